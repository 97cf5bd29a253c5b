-- SPDX-License-Identifier: Apache-2.0
--- Validity: may this run be judged at all? Each objection is a finding with a code, a severity and a sentence. Pure.
--
-- `refuses` takes away the verdict: of one variant when it names one, else of the whole run. `warns` stays beside the
-- verdict. A wrong comparison gives a number like any other; that is why these come first.
local format = require "qlua.page.format"
local outcomes = require "qlua.outcomes"
local stats = require "qlua.core.stats"
local text = require "qlua.summary.text"

local validity = {}

--- Replies cut off above this share are worth a warning (statistics.md 6.6).
validity.TRUNCATED = 0.005
--- Two rates differ where the adjusted p is below this.
validity.RATE_ALPHA = 0.05

local SAY = {
  single_variant = { en = "there is only one variant: nothing to compare", zh = "只有一个变体，无从比较" },
  no_pairs = { en = "{variant} and {baseline} have no question of {dataset} in common",
    zh = "{variant} 与 {baseline} 在 {dataset} 上没有共同作答的题目" },
  no_answers = { en = "{variant} has no answers on {dataset}", zh = "{variant} 在 {dataset} 上没有任何回复" },
  incomplete = { en = "{variant} on {dataset}: {got} of {expected} answers are there",
    zh = "{variant} 在 {dataset} 上应有 {expected} 个回复，实有 {got} 个" },
  error_rate = { en = "{variant} on {dataset}: {rate} of the requests failed, at most {limit} may",
    zh = "{variant} 在 {dataset} 上的出错率为 {rate}，超过上限 {limit}" },
  questions_differ = { en = "{variant} on {dataset}: {n} questions were asked of only one of the two",
    zh = "{variant} 在 {dataset} 上：有 {n} 题只问了其中一方" },
  prompts_differ = { en = "{variant} on {dataset}: {n} of {of} prompts differ from the baseline's",
    zh = "{variant} 在 {dataset} 上：{of} 个提示词中有 {n} 个与基线不同" },
  prompt_tokens_differ = {
    en = "{variant} on {dataset}: the server counted a different number of prompt tokens on {n} of {of} "
      .. "questions (chat template or tokenizer)",
    zh = "{variant} 在 {dataset} 上：{of} 题中有 {n} 题的提示词词元数与基线不同（请检查对话模板与分词器）" },
  baseline_low = {
    en = "the baseline {variant} has only {rate} on {dataset}, at least {limit} was expected: the measurement itself is wrong",
    zh = "基线 {variant} 在 {dataset} 上的准确率仅 {rate}，预期不低于 {limit}，说明评测本身有问题" },
  control_outside = { en = "asked again, {variant} differs from itself by {points} pt, more than half the margin",
    zh = "{variant} 重跑后与自身相差 {points} 个百分点，超过界值的一半" },
  control_wide = { en = "the control is too small to tell: {variant} asked again differs by {points} pt",
    zh = "对照的题量太少，不足以判断：{variant} 重跑后相差 {points} 个百分点" },
  control_missing = { en = "the baseline {variant} was asked only once: how much of the flips is rerun noise is not known",
    zh = "基线 {variant} 只运行了一遍，无从得知翻转中有多少是重跑本身的波动" },
  control_incomplete = { en = "the second pass of {variant} on {dataset} is not complete: {got} of {expected} answers",
    zh = "{variant} 在 {dataset} 上的第二遍运行不完整：应有 {expected} 个回复，实有 {got} 个" },
  errors_differs = { en = "{variant} on {dataset}: {rate} of the requests failed, {base} of the baseline's",
    zh = "{variant} 在 {dataset} 上的出错率为 {rate}，基线为 {base}" },
  truncated_differs = { en = "{variant} on {dataset}: {rate} of the replies are cut off, {base} of the baseline's",
    zh = "{variant} 在 {dataset} 上有 {rate} 的回复被截断，基线为 {base}" },
  invalid_differs = { en = "{variant} on {dataset}: {rate} of the replies have no usable answer, {base} of the baseline's",
    zh = "{variant} 在 {dataset} 上有 {rate} 的回复无有效答案，基线为 {base}" },
  truncated_high = { en = "{variant} on {dataset}: {rate} of the replies are cut off by the token limit; raise generation.max_tokens",
    zh = "{variant} 在 {dataset} 上有 {rate} 的回复因词元上限被截断，宜调大 generation.max_tokens" },
  tokenizer_differs = {
    en = "{variant} cuts the probe's texts into other tokens than the baseline: another tokenizer, so log-probabilities are sums "
      .. "over other tokens",
    zh = "{variant} 对探测文本的切分与基线不同，即分词器不同，对数概率是在不同词元上求和" },
  scored_differently = { en = "{variant} on {dataset}: questions were scored by {means}, the baseline's by {base}",
    zh = "{variant} 在 {dataset} 上以 {means} 打分，基线则以 {base} 打分" },
  not_qualified = { en = "the server of {variant} was not probed (benchmark.qualify: off)",
    zh = "未对 {variant} 的服务器进行资格探测（benchmark.qualify: off）" },
  device_idle = {
    en = "while questions were asked the GPU of {variant} had work for {rate} of the time: its speed and energy are then those of "
      .. "the server's front end or of what asked it, not of the number format; a closed-loop measurement under load shows more",
    zh = "作答期间 {variant} 的 GPU 仅有 {rate} 的时间在工作：此时的速度与能耗取决于服务前端或请求方，并不反映数值格式；宜以闭环负载另行测量" },
  unexpected_differences = { en = "the variants also differ in {paths}", zh = "各变体在以下方面也不相同：{paths}" },
  simulated = { en = "all answers are simulated: the verdict is about simulated answers",
    zh = "全部回复均为模拟产生，本结论仅针对模拟回复" },
}

--- A finding.
function validity.finding(code, severity, values)
  values = values or {}
  return { code = code, severity = severity, variant = values.scope ~= "run" and values.variant or nil, dataset = values.dataset,
    text = text.fill(SAY[code], values) }
end

-- ---- one cell ------------------------------------------------------------------------------------------------

local function check_cell(add, doc, variant, dataset, scope)
  local one = doc.variants[variant].datasets[dataset]
  local values = { variant = variant, dataset = dataset, scope = scope }
  if not one or one.num_total == 0 then return add("no_answers", "refuses", values) end
  if one.incomplete then
    values.got, values.expected = format.count(one.num_total), format.count(one.num_expected)
    add("incomplete", "refuses", values)
  end
  if one.error_rate > doc.max_error_rate then
    values.rate, values.limit = text.share(one.error_rate), text.share(doc.max_error_rate)
    add("error_rate", "refuses", values)
  end
  local cut = one.truncated
  if cut and (cut.share or 0) > validity.TRUNCATED then
    add("truncated_high", "warns", { variant = variant, dataset = dataset, rate = format.percent(cut.share, 2) })
  end
end

local function check_baseline(add, doc, plan)
  for _, dataset in ipairs(doc.dataset_order) do
    check_cell(add, doc, doc.baseline, dataset, "run")
    local one, least = doc.variants[doc.baseline].datasets[dataset], plan.min_baseline[dataset] or 0
    if one and one.accuracy and (one.accuracy < least or one.accuracy == 0) then
      add("baseline_low", "refuses", { variant = doc.baseline, dataset = dataset, scope = "run", rate = text.share(one.accuracy),
        limit = text.share(least) })
    end
  end
end

local function count_unmatched(base, other, known)
  local n = 0
  for slot = 1, known.num_slots do
    if not (known.excluded or {})[slot] and (base.outcome[slot] == nil) ~= (other.outcome[slot] == nil) then n = n + 1 end
  end
  return n
end

local function check_pair(add, doc, variant, dataset, way)
  local against = doc.variants[variant].datasets[dataset].against_baseline
  local values = { variant = variant, dataset = dataset, baseline = doc.baseline }
  if way.pairs.n == 0 then add("no_pairs", "refuses", values) end
  local unmatched = count_unmatched(way.base, way.other, way.known)
  if unmatched > 0 then
    values.n = format.count(unmatched)
    add("questions_differ", "refuses", values)
  end
  for _, what in ipairs { "prompts", "prompt_tokens" } do
    if against and against[what .. "_differ"] > 0 then
      values.n, values.of = format.count(against[what .. "_differ"]), format.count(against[what .. "_compared"])
      add(what .. "_differ", "refuses", values)
    end
  end
end

-- ---- rates ---------------------------------------------------------------------------------------------------

local KINDS = {
  { name = "errors", is = function(one, slot) return not outcomes.is_answered(one.outcome[slot]) end },
  { name = "truncated", is = function(one, slot) return one.is_cut[slot] or false end },
  { name = "invalid", is = function(one, slot) return outcomes.class(one.outcome[slot]) == "invalid" end },
}

local function rate_of(way, kind)
  local n, a, b, only_a, only_b = 0, 0, 0, 0, 0
  for slot = 1, way.known.num_slots do
    if way.base.outcome[slot] and way.other.outcome[slot] and not (way.known.excluded or {})[slot] then
      local x, y = kind.is(way.base, slot), kind.is(way.other, slot)
      n = n + 1
      a, b = a + (x and 1 or 0), b + (y and 1 or 0)
      only_a, only_b = only_a + (x and not y and 1 or 0), only_b + (y and not x and 1 or 0)
    end
  end
  if n == 0 or a + b == 0 then return nil end
  return { kind = kind.name, rate = b / n, baseline_rate = a / n, only_baseline = only_a, only_variant = only_b,
    p = stats.mcnemar(only_a, only_b).p_midp }
end

--- Error, truncation and invalid rates of every variant against the baseline's; a kind that never occurred has no row.
-- @tparam table ways variant → dataset → way
function validity.rates(doc, ways)
  local rows, p = {}, {}
  for _, variant in ipairs(doc.variant_order) do
    for _, dataset in ipairs(doc.dataset_order) do
      local way = ways[variant] and ways[variant][dataset]
      for _, kind in ipairs(way and KINDS or {}) do
        local row = rate_of(way, kind)
        if row then
          row.variant, row.dataset = variant, dataset
          rows[#rows + 1], p[#p + 1] = row, row.p
        end
      end
    end
  end
  local adjusted = #p > 0 and stats.holm(p) or {}
  for i, row in ipairs(rows) do row.p_holm, row.differs = adjusted[i], adjusted[i] < validity.RATE_ALPHA end
  return rows
end

-- ---- the control ---------------------------------------------------------------------------------------------

local function check_control(add, doc, control, margin_pt)
  if not control then return add("control_missing", "notes", { variant = doc.baseline, scope = "run" }) end
  for _, gap in ipairs(control.gaps or {}) do
    add("control_incomplete", "warns", { variant = doc.baseline, scope = "run", dataset = gap.dataset, got = format.count(gap.got),
      expected = format.count(gap.expected) })
  end
  local suite = control.suite
  if not suite.difference_pt or math.abs(suite.difference_pt) <= margin_pt / 2 then return end
  add(control.within and "control_wide" or "control_outside", control.within and "warns" or "refuses", { variant = doc.baseline,
    scope = "run", points = text.points(suite.difference_pt, suite.difference_interval_pt) })
end

-- ---- what the probe said ---------------------------------------------------------------------------------------

local function scores_choices(doc)
  for _, dataset in ipairs(doc.dataset_order) do
    if (doc.datasets[dataset].mode or "generate") ~= "generate" then return true end
  end
  return false
end

-- The means that most questions were scored by.
local function means_of(cell)
  local name, most = "", 0
  for key, count in pairs(cell and cell.scoring or {}) do
    local means = key:match "^by_(.+)$"
    if means and (count > most or count == most and means < name) then name, most = means, count end
  end
  return name
end

local function check_probes(add, doc)
  local all = type(doc.manifest) == "table" and doc.manifest.qualification or {}
  local base = all[doc.baseline] or {}
  for _, variant in ipairs(doc.variant_order) do
    local one = all[variant] or {}
    if one.level == "off" then add("not_qualified", "warns", { variant = variant }) end
    if variant ~= doc.baseline then
      if base.tokenizer_sha256 and one.tokenizer_sha256 and base.tokenizer_sha256 ~= one.tokenizer_sha256 then
        add("tokenizer_differs", scores_choices(doc) and "refuses" or "warns", { variant = variant })
      end
      for _, dataset in ipairs(doc.dataset_order) do
        local mine, theirs = means_of(doc.variants[variant].datasets[dataset]), means_of(doc.variants[doc.baseline].datasets[dataset])
        if mine ~= "" and theirs ~= "" and mine ~= theirs then
          add("scored_differently", "warns", { variant = variant, dataset = dataset, means = mine, base = theirs })
        end
      end
    end
  end
end

local function by_severity(list)
  local sorted = {}
  for _, severity in ipairs { "refuses", "warns", "notes" } do
    for _, finding in ipairs(list) do
      local is_now = finding.severity == severity
      if is_now then sorted[#sorted + 1] = finding end
    end
  end
  return sorted
end

--- All objections to a run, the gravest first.
-- @tparam table doc the Summary so far
-- @tparam table ways variant → dataset → `{ base, other, known, pairs }`
-- @tparam table parts `plan`, `control`, `rates`, `differences`
-- @treturn {table,…} findings
function validity.findings(doc, ways, parts)
  local list = {}
  local function add(code, severity, values) list[#list + 1] = validity.finding(code, severity, values) end
  if doc.simulated then add("simulated", "notes") end
  if #doc.variant_order < 2 then
    add("single_variant", "refuses")
    return list
  end
  check_baseline(add, doc, parts.plan)
  check_control(add, doc, parts.control, parts.plan.margin_pt)
  check_probes(add, doc)
  for _, variant in ipairs(doc.variant_order) do
    for _, dataset in ipairs(variant ~= doc.baseline and doc.dataset_order or {}) do
      check_cell(add, doc, variant, dataset)
      local way = ways[variant][dataset]
      if way then check_pair(add, doc, variant, dataset, way) end
    end
  end
  for _, variant in ipairs(doc.variant_order) do
    local gpu = doc.variants[variant].gpu
    if gpu and gpu.idle_utilisation then
      add("device_idle", "warns", { variant = variant, rate = format.percent(gpu.idle_utilisation, 1) })
    end
  end
  for _, row in ipairs(parts.rates) do
    if row.differs then
      add(row.kind .. "_differs", "warns", { variant = row.variant, dataset = row.dataset, rate = format.percent(row.rate, 2),
        base = format.percent(row.baseline_rate, 2) })
    end
  end
  local paths = {}
  for _, difference in ipairs(parts.differences) do
    if not difference.expected then paths[#paths + 1] = difference.path end
  end
  if #paths > 0 then add("unexpected_differences", "warns", { paths = table.concat(paths, ", ") }) end
  return by_severity(list)
end

return validity
