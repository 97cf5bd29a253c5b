-- SPDX-License-Identifier: Apache-2.0
--- Statistics: all 343 reference cases through the binding, within the tolerance each section states, and what the
-- reference does not cover. The reference file is not part of the project; without it the spec says that it skips.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local stats = require "qlua.core.stats"

local VECTORS = "../shared/reference/stats_vectors.json"
local text = file.read(VECTORS)
local vectors = text and assert(json.decode(text))

--- The reference's own words for what JSON cannot say: null is undefined, "inf" infinite.
local function wanted_number(value)
  if value == json.null then
    return nil
  elseif value == "inf" then
    return math.huge
  elseif value == "-inf" then
    return -math.huge
  end
  return value
end

-- What was compared, and the worst distance in units of its tolerance, by section.
local compared, worst = 0, {}

--- Holds got against want, which may be a list or a table of fields; every leaf counts.
local function compare(section, where, got, want)
  want = wanted_number(want)
  if type(want) == "table" then
    assert(type(got) == "table", where .. ": want a table, got " .. tostring(got))
    for key, value in pairs(want) do
      compare(section, where .. "." .. key, got[key], value)
    end
    return
  end
  compared = compared + 1
  if type(want) ~= "number" or want == math.huge or want == -math.huge then
    assert(got == want, ("%s: want %s, got %s"):format(where, want, got))
    return
  end
  local tol = vectors[section].tol
  assert(type(got) == "number", ("%s: want %.17g, got %s"):format(where, want, got))
  local miss, allowed = math.abs(got - want), tol.abs + tol.rel * math.abs(want)
  assert(miss <= allowed, ("%s: want %.17g, got %.17g"):format(where, want, got))
  if allowed > 0 then
    worst[section] = math.max(worst[section] or 0, miss / allowed)
  end
end

local function pair(lo, hi)
  return { lo = lo, hi = hi }
end

--- { lo=, hi= } as the reference writes it, [lo, hi] with null for what is undefined.
local function as_list(range)
  return { range.lo == nil and json.null or range.lo, range.hi == nil and json.null or range.hi }
end

local function compare_range(section, where, range, want)
  for i, limit in ipairs(as_list(range)) do
    compare(section, where .. "[" .. i .. "]", wanted_number(limit), want[i])
  end
end

local function cells_of(given)
  return { both_right = given.both_right, base_only = given.base_only, variant_only = given.variant_only,
    both_wrong = given.both_wrong }
end

--- The clusters of one case as values and names, whichever of the three encodings it has.
local function rows_of(given)
  local values, names = {}, {}
  local function add(cluster, value, times)
    for _ = 1, times do
      values[#values + 1], names[#names + 1] = value, "cluster " .. cluster
    end
  end
  for g, list in ipairs(given.clusters or {}) do
    for _, value in ipairs(list) do
      add(g, value, 1)
    end
  end
  for g, n in ipairs(given.n or {}) do
    local plus = (given.sum or given.plus)[g]
    local minus = given.minus and given.minus[g] or 0
    add(g, 1, plus)
    add(g, -1, minus)
    add(g, 0, n - plus - minus)
  end
  return values, names
end

-- One function for each section: it asks the binding and compares. S is the section, at says which case it is.
local check = {}

function check.normal_quantile(S, at, given, want) compare(S, at, stats.normal_quantile(given.p), want) end

function check.normal_cdf(S, at, given, want)
  compare(S, at, { cdf = stats.normal_cdf(given.x), sf = stats.normal_sf(given.x) }, want)
end

function check.t_quantile(S, at, given, want) compare(S, at, stats.t_quantile(given.p, given.df), want) end

function check.t_sf(S, at, given, want)
  local two_sided = 2 * stats.t_sf(math.abs(given.t), given.df)
  compare(S, at, { sf = stats.t_sf(given.t, given.df), p_two_sided = two_sided }, want)
end

function check.binomial(S, at, given, want)
  local k, n, p = given.k, given.n, given.p
  compare(S, at, { pmf = stats.binomial_pmf(k, n, p), cdf = stats.binomial_cdf(k, n, p) }, want)
end

function check.wilson_ci(S, at, given, want) compare(S, at, pair(stats.wilson(given.k, given.n, given.conf)), want) end

function check.clopper_pearson_ci(S, at, given, want)
  compare(S, at, pair(stats.clopper_pearson(given.k, given.n, given.conf)), want)
end

function check.mcnemar(S, at, given, want) compare(S, at, stats.mcnemar(given.b, given.c), want) end

function check.paired_diff_ci(S, at, given, want)
  local got = stats.paired(cells_of(given), given.level)
  compare(S, at .. ".diff", got.diff, want.diff)
  compare(S, at .. ".se", got.se, want.se_miller_ddof1)
  compare_range(S, at .. ".t", got.t, want.t_interval_ddof1)
  for _, name in ipairs { "wald", "agresti_min", "bonett_price", "newcombe10", "tango" } do
    compare_range(S, at .. "." .. name, got[name], want[name])
  end
end

function check.tost_paired_binary(S, at, given, want)
  local tango = stats.tango_tost(cells_of(given), given.margin)
  compare(S, at, { tango_z_lower = tango.lower, tango_z_upper = tango.upper, tango_p_tost = tango.p_tost,
    tango_p_noninferior = tango.p_noninferior, tango_p_nonsuperior = tango.p_nonsuperior,
  }, { tango_z_lower = want.tango_z_lower, tango_z_upper = want.tango_z_upper, tango_p_tost = want.tango_p_tost,
    tango_p_noninferior = want.tango_p_noninferior, tango_p_nonsuperior = want.tango_p_nonsuperior })
  local paired = stats.paired(cells_of(given))
  local t = stats.tost(paired.diff, paired.se, paired.df, given.margin)
  compare(S, at, { t_lower = t.lower, t_upper = t.upper, t_p_noninferior = t.p_noninferior,
    t_p_nonsuperior = t.p_nonsuperior, t_p_tost = t.p_tost, t_df = t.df,
  }, { t_lower = want.t_lower, t_upper = want.t_upper, t_p_noninferior = want.t_p_noninferior,
    t_p_nonsuperior = want.t_p_nonsuperior, t_p_tost = want.t_p_tost, t_df = want.t_df })
end

function check.paired_t(S, at, given, want)
  local got = stats.paired_t(given.baseline, given.variant)
  compare(S, at, { mean_diff = got.mean, t = got.t, df = got.df, p = got.p, se = got.se },
    { mean_diff = want.mean_diff, t = want.t, df = want.df, p = want.p, se = want.se })
  compare_range(S, at, got, want.ci95)
end

function check.tost_paired_continuous(S, at, given, want)
  local name, data = given.data:match "^paired_t:(.+)$", nil
  for _, case in ipairs(vectors.paired_t.cases) do
    data = case.name == name and case["in"] or data
  end
  local t = stats.paired_t(data.baseline, data.variant)
  local got = stats.tost(t.mean, t.se, t.df, given.margin)
  compare(S, at, { t_lower = got.lower, p_lower = got.p_noninferior, t_upper = got.upper, p_upper = got.p_nonsuperior,
    df = got.df, p_tost = got.p_tost }, want)
end

function check.p_adjust(S, at, given, want)
  compare(S, at, { holm = stats.holm(given.p), bh = stats.benjamini_hochberg(given.p),
    bonferroni = stats.bonferroni(given.p) }, want)
end

function check.clustered_se(S, at, given, want)
  local got = stats.clustered(rows_of(given))
  compare(S, at, { mean = got.mean, se_iid_ddof1 = got.se_iid, se_cr0 = got.se_cr0, se_cr1 = got.se_cr1, df = got.df,
    deff_cr0 = got.deff }, { mean = want.mean, se_iid_ddof1 = want.se_iid_ddof1, se_cr0 = want.se_cr0,
    se_cr1 = want.se_cr1, df = want.df, deff_cr0 = want.deff_cr0 })
  compare_range(S, at, got, want.ci95_cr1)
end

function check.quantile_type7(S, at, given, want) compare(S, at, stats.quantile(given.x, given.q), want) end

function check.quantile_ci(S, at, given, want)
  local got = stats.quantile_ranks(given.n, given.q, given.conf)
  compare(S, at, { l = got.lower, u = got.upper, coverage = got.coverage, lower_unbounded = got.lower_unbounded,
    upper_unbounded = got.upper_unbounded }, { l = want.l, u = want.u, coverage = want.coverage,
    lower_unbounded = want.lower_unbounded, upper_unbounded = want.upper_unbounded })
end

function check.mann_whitney(S, at, given, want)
  local got = stats.mann_whitney(given.x, given.y)
  compare(S, at, { U_x = got.u, p_two_sided = got.p, p_two_sided_cc = got.p_cc, prob_x_gt_y = got.share,
    hodges_lehmann_x_minus_y = got.shift }, want)
end

function check.kl_divergence(S, at, given, want)
  local full, same_top = stats.kl(given.p_base, given.p_variant)
  local part = stats.kl_top(given.p_base, given.p_variant, want.k)
  compare(S, at, { kl_full_nats = full, kl_topk_plus_tail = part.nats, k = want.k, tail_base = part.rest_base,
    tail_variant = part.rest_variant, same_top = same_top }, want)
  assert(part.same_top == same_top)
end

function check.batch_means_ci(S, at, given, want)
  local got = stats.batch_means(given.batch_means)
  compare(S, at, got.mean, want.mean)
  compare_range(S, at, got, want.ci95)
end

function check.sample_size(S, at, given, want)
  local n, exact = stats.sample_size(given.delta, given.var_d, given.alpha_one_sided, given.power)
  compare(S, at, { n_exact = exact, n_ceil = n }, want)
end

function check.lm_eval_group(S, at, given, want)
  local got = stats.grouped(given.correct, given.n)
  compare(S, at, { micro_acc = got.micro, macro_acc = got.macro, pooled_stderr = got.se_pooled }, want)
end

describe("stats against the reference", function()
  if not vectors then
    pending("needs " .. VECTORS .. ", which is not here")
    return
  end
  local passed, sections = 0, {}
  for section, body in pairs(vectors) do
    if section ~= "meta" then
      sections[#sections + 1] = section
      assert(body.cases, section)
    end
  end
  table.sort(sections)
  for _, section in ipairs(sections) do
    it(("meets all %d cases of %s"):format(#vectors[section].cases, section), function()
      assert.is_function(check[section])
      for i, case in ipairs(vectors[section].cases) do
        local at = ("%s %d%s"):format(section, i, case.name and " " .. case.name or "")
        check[section](section, at, case["in"], case.out)
        passed = passed + 1
      end
    end)
  end
  it("has passed every one of the 343 cases", function()
    assert.equal(21, #sections)
    assert.equal(343, passed)
    assert.is_true(compared > 1100, "compared only " .. compared .. " numbers")
    if os.getenv "QLUA_STATS_WORST" then
      for _, section in ipairs(sections) do
        print(("%-24s worst error: %.2g of the tolerance"):format(section, worst[section] or 0))
      end
      print(compared .. " numbers compared")
    end
  end)
end)

describe("stats for scripts", function()
  it("says nil, not nan, where there is nothing to say", function()
    assert.same({ n = 2 }, { n = select("#", stats.wilson(0, 0)) })
    assert.is_nil((stats.wilson(0, 0)))
    assert.is_nil(stats.quantile({}, 0.5))
    assert.same({}, stats.quantile({}, { 0.5, 0.9 }))
    local none = stats.paired { both_right = 0, base_only = 0, variant_only = 0, both_wrong = 0 }
    assert.same({ n = 0, tango = {}, bonett_price = {}, newcombe10 = {}, agresti_min = {}, t = {}, wald = {} }, none)
    assert.is_nil(stats.mcnemar(0, 0).chi2)
    assert.is_nil(stats.t_test({ 1 }).se)
    assert.is_nil(stats.mann_whitney({}, { 1 }).u)
    assert.same({ nats = 0.0, rest_base = 1.0, rest_variant = 1.0, same_top = false, tokens = 0 },
      stats.kl_known({}, {}))
  end)

  it("takes lists and packed doubles alike", function()
    local values = { 3, 1.5, -2, 8 }
    local packed = string.pack("dddd", table.unpack(values))
    assert.equal(stats.quantile(values, 0.3), stats.quantile(packed, 0.3))
    assert.same(stats.t_test(values), stats.t_test(packed))
    assert.error_matches(function() stats.quantile("123", 0.5) end, "values: want packed doubles, got 3 bytes")
    local with_nan = string.pack("dd", 1, 0 / 0)
    assert.error_matches(function() stats.t_test(with_nan) end, "values%[2%]: want a number, got nan")
  end)

  it("leaves the caller's list as it was", function()
    local values = { 3, 1, 2 }
    stats.quantile(values, 0.5)
    stats.mann_whitney(values, values)
    stats.holm { 0.5, 0.1 }
    assert.same({ 3, 1, 2 }, values)
  end)

  it("names the argument that makes no sense", function()
    local wrong = {
      ["k: want a count from 0 to n"] = function() stats.wilson(3, 2) end,
      ["level: want a number between 0 and 1, got 95"] = function() stats.wilson(1, 2, 95) end,
      ["n: want a number, got no value"] = function() stats.wilson(1) end,
      ["q: want a number from 0 to 1, got 50"] = function() stats.quantile({ 1 }, 50) end,
      ["values%[2%]: want a number, got string"] = function() stats.quantile({ 1, "x" }, 0.5) end,
      ["values: want a list of numbers or packed doubles, got nil"] = function() stats.quantile(nil, 0.5) end,
      ["cells.base_only: want a count, got nil"] = function() stats.paired { both_right = 1 } end,
      ["cells: want { both_right="] = function() stats.paired(1) end,
      ["margin: want a number from 0 to below 1, got 1"] = function()
        stats.tango_tost({ both_right = 1, base_only = 0, variant_only = 0, both_wrong = 0 }, 1)
      end,
      ["base_only, variant_only: want counts"] = function() stats.mcnemar(1.5, 2) end,
      ["p: want numbers from 0 to 1"] = function() stats.holm { 0.5, 2 } end,
      ["want p from 0 to 1"] = function() stats.normal_quantile(1.5) end,
      ["baseline and variant: want lists of one length, got 2 and 1"] = function() stats.paired_t({ 1, 2 }, { 1 }) end,
      ["row 2: want scores of 0 or 1, got 0.5"] = function() stats.cells({ 1, 0.5 }, { 1, 1 }) end,
      ["variant%[1%]: want a number above 0, got 0"] = function() stats.log_ratio({ 1 }, { 0 }) end,
      ["groups%[2%]: want a name, got boolean"] = function() stats.clustered({ 1, 2, 3 }, { "a", false, "b" }) end,
      ["n above 0 and each correct"] = function() stats.grouped({ 3 }, { 2 }) end,
      ["q: want a number between 0 and 1, got 1"] = function() stats.quantile_interval({ 1 }, 1) end,
      ["x, y: want finite numbers"] = function() stats.mann_whitney({ math.huge }, { 1 }) end,
      ["p, q: want probabilities"] = function() stats.kl({ 0, 0 }, { 1, 1 }) end,
      ["base: want { token = logprob }, got string = string"] = function() stats.kl_known({ a = "x" }, {}) end,
      ["sum to at most 1"] = function() stats.kl_known({ a = 0, b = 0 }, { a = 0, b = 0 }) end,
      ["no such sample size"] = function() stats.sample_size(0, 0.1) end,
    }
    for message, call in pairs(wrong) do
      assert.error_matches(call, message)
    end
  end)

  it("counts a table of pairs", function()
    assert.same({ both_right = 1, base_only = 2, variant_only = 1, both_wrong = 1, n = 5 },
      stats.cells({ 1, 1, 1, 0, 0 }, { 1, 0, 0, 1, 0 }))
  end)

  it("prints the worked examples of the decision rule", function()
    local function percent(x) return tonumber(("%.2f"):format(100 * x)) end
    local gsm8k = { both_right = 1160, base_only = 24, variant_only = 20, both_wrong = 115 }
    local got = stats.paired(gsm8k)
    assert.same({ -0.30, -1.34, 0.71 }, { percent(got.diff), percent(got.tango.lo), percent(got.tango.hi) })
    assert.equal("0.55", ("%.2f"):format(stats.mcnemar(24, 20).p_midp))
    assert.equal("0.089", ("%.3f"):format(stats.tango_tost(gsm8k, 0.01).p_noninferior))
    assert.equal("0.0012", ("%.4f"):format(stats.tango_tost(gsm8k, 0.02).p_noninferior))
    local mmlu = { both_right = 10980, base_only = 362, variant_only = 301, both_wrong = 2399 }
    got = stats.paired(mmlu)
    assert.same({ -0.43, -0.80, -0.08 }, { percent(got.diff), percent(got.tango.lo), percent(got.tango.hi) })
    assert.equal("0.0011", ("%.4f"):format(stats.tango_tost(mmlu, 0.01).p_noninferior))
  end)

  it("says before the run what a run can show", function()
    assert.equal(2355, (stats.sample_size(0.01, 0.03)))
    assert.equal("0.55", ("%.2f"):format(stats.power(1319, 0.01, 0.03)))
    -- Miller 2024 has 13.2 % and 7.5 % (cut off, not rounded) for 198 questions with one and with ten answers each.
    assert.equal(132, 1000 * stats.detectable(198, 1 / 9 + 2 / 6) // 1)
    assert.equal(75, 1000 * stats.detectable(198, 1 / 9 + 2 / 60) // 1)
  end)

  it("gives an unbounded limit where a percentile has too few values", function()
    local values = {}
    for i = 1, 100 do
      values[i] = i
    end
    local p99, median = stats.quantile_interval(values, 0.99), stats.quantile_interval(values, 0.5)
    assert.equal(math.huge, p99.hi)
    assert.equal(97, p99.lo)
    assert.same({ 40, 61, 40, 61 }, { median.lo, median.hi, median.lower, median.upper })
    assert.equal(-math.huge, stats.quantile_interval({ 1 }, 0.5).lo)
    assert.is_nil(stats.quantile_interval({}, 0.5).lo)
  end)

  it("compares runs on the log scale", function()
    local slow, fast = { 100, 110, 105, 98, 102 }, { 131, 141, 138, 128, 132 }
    local paired, welch = stats.log_ratio(slow, fast), stats.welch_ratio(slow, fast)
    assert.is_true(math.abs(paired.ratio - welch.ratio) < 1e-12)
    assert.is_true(paired.lo < paired.ratio and paired.ratio < paired.hi)
    assert.is_true(paired.hi - paired.lo < welch.hi - welch.lo) -- the runs of a pair go up and down together
    local back = stats.log_ratio(fast, slow)
    assert.is_true(math.abs(back.lo * paired.hi - 1) < 1e-12)
    assert.equal(4, paired.df)
    assert.is_nil(stats.log_ratio({ 1 }, { 2 }).lo)
  end)

  it("marks slices that depend on each other", function()
    local drifting, steady = {}, {}
    for i = 1, 24 do
      drifting[i], steady[i] = 100 + i, 100 + (i * 7) % 5
    end
    assert.is_true(stats.batch_means(drifting).correlated)
    assert.is_false(stats.batch_means(steady).correlated)
    assert.is_false(stats.batch_means({ 1, 1 }).correlated)
  end)

  it("reads top tokens the same way whatever the order of a table", function()
    local base = { A = math.log(0.4), B = math.log(0.4), C = math.log(0.1) }
    local variant = { A = math.log(0.5), B = math.log(0.3), D = math.log(0.1) }
    local got = stats.kl_known(base, variant)
    assert.is_true(got.same_top)
    assert.equal(2, got.tokens)
    local wanted = 0.4 * math.log(0.4 / 0.5) + 0.4 * math.log(0.4 / 0.3) + 0.2 * math.log(0.2 / 0.2)
    assert.is_true(math.abs(got.nats - wanted) < 1e-12)
    assert.is_false(stats.kl_known(base, { B = -0.1, A = -3 }).same_top)
    assert.is_false(stats.kl_known({}, {}).same_top)
  end)
end)

describe("the verdict's error rates", function()
  --- Sums the probability of every table of n questions for which the event happens.
  local function probability(n, flips, diff, event)
    local harmful, sum = 0.5 * (flips - diff) / flips, 0
    for both = 0, n do
      local outer = stats.binomial_pmf(both, n, flips)
      for b = 0, outer > 1e-9 and both or -1 do
        local cells = { both_right = n - both, base_only = b, variant_only = both - b, both_wrong = 0 }
        if event(cells) then
          sum = sum + outer * stats.binomial_pmf(b, both, harmful)
        end
      end
    end
    return sum
  end

  it("is falsely non-inferior at the margin as often as alpha says", function()
    local function non_inferior(cells) return stats.tango_tost(cells, 0.02).p_noninferior < 0.025 end
    local false_verdict = probability(400, 0.05, -0.02, non_inferior)
    assert.is_true(false_verdict > 0.02 and false_verdict < 0.026, false_verdict)
    assert.is_true(probability(400, 0.05, 0, non_inferior) > 10 * false_verdict) -- and it has power
  end)

  it("covers the truth about as often as the level says", function()
    for _, diff in ipairs { -0.02, 0, 0.01 } do
      local missed = probability(400, 0.05, diff, function(cells)
        local range = stats.paired(cells).tango
        return range.lo > diff or range.hi < diff
      end)
      assert.is_true(missed > 0.04 and missed < 0.058, missed)
    end
  end)

  it("stays within binomial error over simulated pairs of 500 questions", function()
    local PAIRS, N, MARGIN = 400, 500, 0.02
    math.randomseed(20261123)
    local false_verdicts = 0
    for _ = 1, PAIRS do
      local baseline, variant = {}, {}
      for i = 1, N do
        local right = math.random() < 0.8
        local flipped = math.random() < (right and 0.04 / 0.8 or 0.02 / 0.2)
        baseline[i], variant[i] = right and 1 or 0, right ~= flipped and 1 or 0
      end
      local shown = stats.tango_tost(stats.cells(baseline, variant), MARGIN).p_noninferior < 0.025
      false_verdicts = false_verdicts + (shown and 1 or 0)
    end
    local lo, hi = stats.clopper_pearson(false_verdicts, PAIRS, 0.99)
    assert.is_true(lo <= 0.025 and 0.025 <= hi, false_verdicts .. " of " .. PAIRS)
  end)
end)

describe("stats.bootstrap", function()
  local baseline, variant, subject = {}, {}, {}
  for i = 1, 600 do
    baseline[i] = i % 5 > 0 and 1 or 0
    variant[i] = i % 37 == 0 and 1 - baseline[i] or baseline[i]
    subject[i] = ("subject %d"):format(i % 12)
  end
  local function boot(options)
    options.rounds = options.rounds or 2000
    return stats.bootstrap({ baseline, variant }, options)
  end

  it("gives the same bits for the same seed and others for another", function()
    assert.same(boot { seed = 4 }, boot { seed = 4 })
    assert.not_same(boot { seed = 4 }, boot { seed = 5 })
    assert.equal(4, boot { seed = 4 }.seed)
    -- Written down once: a change of generator or of the order of draws must not pass unnoticed.
    local pinned = stats.bootstrap({ { 1, 2, 3, 4, 5, 6, 7 } }, { rounds = 100, seed = 42 })
    assert.equal("4 2.7142857142857 5.4357142857143",
      ("%.14g %.14g %.14g"):format(pinned.estimate, pinned.lo, pinned.hi))
  end)

  it("agrees with the formula where there is one", function()
    local got = boot { seed = 1, rounds = 20000 }
    local paired = stats.paired(stats.cells(baseline, variant))
    assert.equal(paired.diff, got.estimate)
    local se = paired.se * math.sqrt(599 / 600) -- a bootstrap divides by n
    assert.is_true(math.abs(got.se / se - 1) < 5 / math.sqrt(2 * 20000))
    assert.is_true(got.lo < got.estimate and got.estimate < got.hi)
    local clustered = boot { seed = 1, rounds = 20000, groups = subject, resample = "clusters" }
    local differences = {}
    for i = 1, 600 do
      differences[i] = variant[i] - baseline[i]
    end
    local cr0 = stats.clustered(differences, subject).se_cr0
    assert.is_true(math.abs(clustered.se / cr0 - 1) < 5 / math.sqrt(2 * 20000))
  end)

  it("has ratios by name and anything else by a function", function()
    local ratio = boot { seed = 2, statistic = "ratio" }
    assert.same(ratio, boot { seed = 2, statistic = function(sums) return sums[2] / sums[1] end })
    local errors = boot { seed = 2, statistic = "error_ratio" }
    local function error_ratio(sums) return (sums.n - sums[2]) / (sums.n - sums[1]) end
    assert.same(errors, boot { seed = 2, statistic = error_ratio })
    assert.equal("mean", stats.bootstrap({ { 2, 2 } }, { rounds = 10 }).estimate == 2 and "mean")
  end)

  it("keeps each stratum's size, so that groups of one value do not vary", function()
    local strata = { groups = { "a", "a", "b", "b", "b" }, resample = "strata", rounds = 50 }
    local got = stats.bootstrap({ { 1, 1, 0, 0, 0 } }, strata)
    assert.same({ 0.4, 0.4, 0.4, 0 }, { got.estimate, got.lo, got.hi, got.se })
  end)

  it("counts the rounds that have no value", function()
    local got = stats.bootstrap({ { 0, 0, 0, 1 }, { 1, 1, 1, 1 } }, { statistic = "ratio", rounds = 1000, seed = 1 })
    assert.is_true(got.undefined > 200 and got.undefined < 450) -- (3/4)^4 of 1000 is 316
    local never = stats.bootstrap({ { 0 }, { 1 } }, { statistic = "ratio", rounds = 10 })
    assert.equal(10, never.undefined)
    assert.is_nil(never.lo)
    assert.equal(math.huge, never.estimate)
  end)

  it("names what is wrong with its options", function()
    local wrong = {
      ["columns: want 1 to 4 lists, got 0"] = function() stats.bootstrap {} end,
      ["columns: want at least one row"] = function() stats.bootstrap { {} } end,
      ["columns%[1%] and another: want lists of one length, got 2 and 1"] = function()
        stats.bootstrap { { 1, 2 }, { 1 } }
      end,
      ["rounds: want an integer from 1 to 1000000, got 0"] = function() boot { rounds = 0 } end,
      ["rounds: want an integer, got string"] = function() boot { rounds = "many" } end,
      ["seed: want an integer, got number"] = function() boot { seed = 1.5 } end,
      ["statistic: ratio wants 2 column%(s%), got 1"] = function()
        stats.bootstrap({ { 1 } }, { statistic = "ratio" })
      end,
      ["statistic: want mean, diff, ratio, error_ratio or a function, got median"] = function()
        boot { statistic = "median" }
      end,
      ["statistic: want a number from it, got nil"] = function() boot { statistic = function() end } end,
      ["level: want a number between 0 and 1, got 95"] = function() boot { level = 95 } end,
      ["groups: is missing"] = function() boot { resample = "clusters" } end,
      ["resample: want clusters or strata"] = function() boot { groups = subject } end,
      ["invalid option 'days'"] = function() boot { resample = "days" } end,
    }
    for message, call in pairs(wrong) do
      assert.error_matches(call, message)
    end
  end)
end)
