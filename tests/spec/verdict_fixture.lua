-- SPDX-License-Identifier: Apache-2.0
--- A verdict written by hand: every field that docs/architecture.md ("The Summary") promises, none of it computed.
-- For specs of layouts, with the variants and datasets of report_fixture. That the real one has the same shape is
-- checked in verdict_spec.
local verdict_fixture = {}

local function same(text) return { en = text, zh = text } end

local function dataset(class, margin, pairs_, difference, lo, hi, method, more)
  local one = { class = class, margin_pt = margin, pairs = pairs_, difference_pt = difference, interval_pt = { lo, hi },
    method = method, se_pt = (hi - lo) / 3.92, p_noninferior = 0.0012, mcnemar_p = 0.55, recovery = 0.9967,
    recovery_interval = { 0.985, 1.008 }, error_ratio = 1.02 }
  for key, value in pairs(more or {}) do one[key] = value end
  return one
end

local function behaviour(n, to_wrong, to_right, changed, identical)
  local flips = to_wrong + to_right
  return { pairs = n, flips = flips, flip_rate = flips / n, flip_rate_interval = { flips / n * 0.9, flips / n * 1.1 },
    correct_to_wrong = to_wrong, wrong_to_correct = to_right, wrong_changed = changed, identical_share = identical,
    control_flip_rate = 0.012, control_identical_share = 0.41, excess = flips / n - 0.012,
    excess_interval = { flips / n - 0.018, flips / n - 0.006 }, label = flips / n > 0.02 and "changes" or "within_rerun_noise" }
end

-- Where letters were asked for.
local function with_divergence(one, questions, mean, same_top, uncovered)
  one.divergence = { questions = questions, mean_nats = mean, p95_nats = 4 * mean, p99_nats = 9 * mean, same_top = same_top,
    same_top_interval = { same_top - 0.002, same_top + 0.002 }, uncovered = uncovered, weak = uncovered > 0.01 }
  return one
end

local function total(one, parts)
  one.correct_to_wrong, one.wrong_to_correct, one.wrong_changed, one.datasets = nil, nil, nil, parts
  return one
end

local function control_part(n, flips, difference)
  return { pairs = n, flips = flips, flip_rate = flips / n, flip_rate_interval = { flips / n * 0.8, flips / n * 1.2 },
    identical_share = 0.41, correct_to_wrong = flips // 2, wrong_to_correct = flips - flips // 2, wrong_changed = 3,
    difference_pt = difference, difference_interval_pt = { difference - 0.3, difference + 0.3 } }
end

local function control()
  local suite = control_part(25403, 290, 0.04)
  suite.correct_to_wrong, suite.wrong_to_correct, suite.wrong_changed = nil, nil, nil
  return { name = "original@control", of = "original", share = 1, within = true, margin_pt = 1, suite = suite,
    datasets = { gsm8k = control_part(1319, 21, 0.08), hellaswag = control_part(10042, 89, -0.01),
      mmlu = with_divergence(control_part(14042, 180, 0.05), 14042, 0.0004, 0.992, 0.004) } }
end

local function fp8()
  return { class = "non_inferior", passes = true, failed = {},
    text = {
      en = "fp8: -0.19 pt [-0.46, +0.08], non-inferior at 1 pt (p < 0.001); 1.9 % of answers change, "
        .. "1.1 % between two runs of original.",
      zh = "fp8：准确率差 -0.19 个百分点，95 % 置信区间 [-0.46, +0.08]，在 1 个百分点界值内非劣（p < 0.001）；1.9 % 的答案发生变化，original 两次运行之间为 1.1 %。" },
    suite = { datasets = { "gsm8k", "hellaswag", "mmlu" }, margin_pt = 1, difference_pt = -0.19, interval_pt = { -0.46, 0.08 },
      se_pt = 0.14, df = 412.5, p_noninferior = 1.2e-8, p_holm = 2.4e-8, p_equivalent = 1.2e-8 },
    datasets = {
      gsm8k = dataset("non_inferior", 2, 1319, -0.3, -1.34, 0.71, "tango"),
      hellaswag = dataset("non_inferior", 1, 10042, -0.06, -0.26, 0.14, "tango"),
      mmlu = dataset("lower_within_margin", 1, 14042, -0.21, -0.39, -0.03, "clustered",
        { clusters = 57, design_effect = 1.21, unclustered_interval_pt = { -0.37, -0.05 } }),
    },
    behaviour = total(behaviour(25403, 270, 213, 120, 0.36), { gsm8k = behaviour(1319, 24, 20, 9, 0.15),
      hellaswag = behaviour(10042, 50, 44, 20, nil),
      mmlu = with_divergence(behaviour(14042, 196, 149, 91, 0.92), 14042, 0.0031, 0.978, 0.004) }),
  }
end

local function awq()
  return { class = "inferior", passes = false, failed = { "class", "guardrail" },
    text = { en = "awq: -2.63 pt [-3.20, -2.06], inferior: it loses more than 1 pt; 8.1 % of answers change.",
      zh = "awq：准确率差 -2.63 个百分点，95 % 置信区间 [-3.20, -2.06]，劣于基线：损失超过 1 个百分点；8.1 % 的答案发生变化。" },
    suite = { datasets = { "gsm8k", "hellaswag", "mmlu" }, margin_pt = 1, difference_pt = -2.63, interval_pt = { -3.2, -2.06 },
      se_pt = 0.29, df = 380.1, p_noninferior = 0.9999, p_holm = 0.9999, p_equivalent = 0.9999 },
    datasets = {
      gsm8k = dataset("inconclusive", 2, 1319, -2.1, -3.6, -0.6, "tango", { needs = { questions = 210000, repeats = 160 } }),
      hellaswag = dataset("inferior", 1, 10042, -2.5, -3.0, -2.0, "tango"),
      mmlu = dataset("inferior", 1, 14042, -3.3, -3.9, -2.7, "clustered",
        { clusters = 57, design_effect = 1.6, unclustered_interval_pt = { -3.8, -2.8 } }),
    },
    behaviour = total(behaviour(25403, 1360, 700, 800, 0.2), { gsm8k = behaviour(1319, 66, 38, 30, 0.04),
      hellaswag = behaviour(10042, 540, 289, 260, nil),
      mmlu = with_divergence(behaviour(14042, 754, 373, 510, 0.81), 14042, 0.0412, 0.921, 0.013) }),
  }
end

local function sensitivity()
  local rows = {}
  local function add(variant, dataset_, kind, name, n, d, flips)
    rows[#rows + 1] = { variant = variant, dataset = dataset_, kind = kind, name = name, pairs = n, difference_pt = d,
      interval_pt = { d - 1, d + 1 }, flips = flips }
  end
  for _, variant in ipairs { "fp8", "awq" } do
    add(variant, "gsm8k", "headline", "number", 1319, -0.3, 44)
    add(variant, "gsm8k", "scorer", "lm_eval.gsm8k_strict", 1319, -0.5, 61)
    add(variant, "gsm8k", "scorer", "lm_eval.gsm8k_flexible", 1319, -0.3, 45)
    add(variant, "gsm8k", "both_parsed", "both_parsed", 1302, -0.2, 40)
    add(variant, "gsm8k", "without_truncated", "without_truncated", 1310, -0.2, 41)
    add(variant, "gsm8k", "length", "48..161", 440, 0.2, 9)
    add(variant, "gsm8k", "length", "162..247", 440, -0.2, 14)
    add(variant, "gsm8k", "length", "248..985", 439, -0.9, 21)
    add(variant, "mmlu", "category", "stem", 3153, -0.4, 88)
    add(variant, "mmlu", "category", "humanities", 4705, -0.1, 120)
  end
  return rows
end

local function funnel()
  local rows = {}
  for v, variant in ipairs { "fp8", "awq" } do
    for i, group in ipairs { "abstract_algebra", "anatomy", "computer_security", "formal_logic", "world_religions" } do
      local d = ({ -1.2, 0.4, 0.9, -2.6, 0.1 })[i] * v
      rows[#rows + 1] = { variant = variant, group = group, pairs = 90 + 10 * i, flips = 2 + i * v, difference_pt = d,
        interval_pt = { d - 4, d + 4 }, p = 0.04 * i / v, p_holm = math.min(1, 0.4 * i / v), stands_out = v == 2 and i == 4 }
    end
  end
  return rows
end

local function health(variant, dataset_, more)
  local one = { variant = variant, dataset = dataset_, texts = 1319, loops = 2, switched = 0, length_ratio = 1.01,
    length_ratio_interval = { 0.995, 1.025 }, flags = {} }
  for key, value in pairs(more or {}) do one[key] = value end
  return one
end

local function serving()
  local names = { { "throughput", "tokens/s", "higher" }, { "ttft_p50", "s", "lower" }, { "ttft_p95", "s", "lower" },
    { "tpot_p50", "s", "lower" }, { "tpot_p95", "s", "lower" }, { "latency_p50", "s", "lower" }, { "latency_p95", "s", "lower" },
    { "tokens", "tokens", "lower" }, { "memory", "bytes", "lower" }, { "energy", "J", "lower" }, { "cost", "price", "lower" } }
  local result = { axes = {}, variants = { original = {}, fp8 = {}, awq = {} } }
  for i, axis in ipairs(names) do
    local is_measured = i <= 8
    result.axes[i] = { name = axis[1], unit = axis[2], better = axis[3], measured = is_measured }
    if is_measured then
      result.variants.original[axis[1]] = { value = 100 / i, ratio = 1 }
      result.variants.fp8[axis[1]] = { value = 131 / i, ratio = 1.31, interval = i == 1 and { 1.27, 1.35 } or nil }
      result.variants.awq[axis[1]] = { value = 115 / i, ratio = 1.15 }
    end
  end
  return result
end

local function power_row(name, questions, margin)
  local row = { name = name, questions = questions, margin_pt = margin, half_width_pt = {}, detectable_pt = {}, power = {} }
  for i, rate in ipairs { 0.01, 0.02, 0.05 } do
    local se = 100 * math.sqrt(rate / questions)
    row.half_width_pt[i], row.detectable_pt[i], row.power[i] = 1.96 * se, 2.80 * se, 0.99 - 0.1 * i
  end
  return row
end

--- The verdict. A new table on each call.
function verdict_fixture.verdict()
  return {
    status = "ship", chosen = "fp8", reason = "only_one",
    headline = {
      en = "Ship fp8: -0.19 pt [-0.46, +0.08], non-inferior at 1 pt (p < 0.001); 1.9 % of answers change (1.1 % between two runs of "
        .. "original); 1.31x throughput [1.27, 1.35].",
      zh = "建议部署 fp8：准确率差 -0.19 个百分点，95 % 置信区间 [-0.46, +0.08]，在 1 个百分点界值内非劣（p < 0.001）；1.9 % 的答案发生变化（original 两次运行之间为 1.1 %）；"
        .. "吞吐为 1.31 倍 [1.27, 1.35]。" },
    sentences = {
      { en = "Not measured: memory, energy, cost.", zh = "未测量：显存、能耗、成本。" },
      { en = "All answers are simulated: the verdict is about simulated answers.", zh = "全部回复均为模拟产生，本结论仅针对模拟回复。" },
    },
    plan = { alpha = 0.025, margin_pt = 1, margins_pt = { gsm8k = 2 }, objective = "throughput", tie = 0.05, control = 1,
      min_baseline = { gsm8k = 0.5 }, gates = { { gate = "non_inferior", variant = "fp8" } }, exclude = {} },
    plan_sha256 = ("9f86d081"):rep(8),
    findings = {
      { code = "simulated", severity = "notes", text = { en = "all answers are simulated", zh = "全部回复均为模拟产生" } },
      { code = "truncated_differs", severity = "warns", variant = "awq", dataset = "gsm8k",
        text = { en = "awq on gsm8k: 1.4 % of replies are cut off, 0.3 % of the baseline's",
          zh = "awq 在 gsm8k 上：1.4 % 的回复被截断，基线为 0.3 %" } },
    },
    differences = {
      { path = "model", expected = true,
        values = { original = "Example/Model-8B", fp8 = "Example/Model-8B", awq = "Example/Model-8B-AWQ" } },
      { path = "quantization", values = { fp8 = "fp8" }, expected = true },
      { path = "server.max_num_seqs", values = { original = "256", fp8 = "256", awq = "128" }, expected = false },
    },
    control = control(),
    variants = { fp8 = fp8(), awq = awq() },
    rates = {
      { variant = "fp8", dataset = "gsm8k", kind = "truncated", rate = 0.004, baseline_rate = 0.003, only_baseline = 2, only_variant = 3,
        p = 0.69, p_holm = 1, differs = false },
      { variant = "awq", dataset = "gsm8k", kind = "truncated", rate = 0.014, baseline_rate = 0.003, only_baseline = 1, only_variant = 15,
        p = 0.0003, p_holm = 0.005, differs = true },
    },
    sensitivity = sensitivity(),
    funnel = { mmlu = funnel() },
    funnel_limits = { mmlu = { { pairs = 90, lo_pt = -4.2, hi_pt = 4.2 }, { pairs = 150, lo_pt = -3.2, hi_pt = 3.2 } } },
    health = {
      health("original", "gsm8k", { length_ratio = 1, length_ratio_interval = { 1, 1 } }),
      health("fp8", "gsm8k"),
      health("awq", "gsm8k", { loops = 31, switched = 4, length_ratio = 1.18, length_ratio_interval = { 1.15, 1.21 },
        flags = { "loops", "language", "longer" } }),
      health("awq", "mmlu", { letters = { A = 0.31, B = 0.24, C = 0.23, D = 0.22 }, letters_p_holm = 0.001, flags = { "letters" },
        letters_baseline = { A = 0.25, B = 0.25, C = 0.26, D = 0.24 } }),
    },
    serving = serving(),
    pareto = { axes = { "accuracy", "throughput" }, members = { "original", "fp8" }, dominated = { awq = "fp8" } },
    gates = {
      { gate = "non_inferior", variant = "fp8", ok = true, text = same "non_inferior: fp8" },
      { gate = "accuracy", variant = "awq", dataset = "gsm8k", ok = false, limit = 0.8, value = 0.79,
        text = { en = "accuracy of awq on gsm8k: 79.0 %, want at least 80.0 %", zh = "awq 在 gsm8k 上的准确率为 79.0 %，要求不低于 80.0 %" } },
    },
    power = { flip_rates = { 0.01, 0.02, 0.05 },
      datasets = { power_row("gsm8k", 1319, 2), power_row("hellaswag", 10042, 1), power_row("mmlu", 14042, 1),
        power_row("suite", 25403, 1) } },
  }
end

--- The Summary of report_fixture with this verdict.
function verdict_fixture.summary()
  local fixture, summary = require "report_fixture", require "qlua.summary"
  local doc = summary.build(fixture.each(fixture.list()), fixture.run())
  doc.verdict = verdict_fixture.verdict()
  return doc
end

return verdict_fixture
