-- SPDX-License-Identifier: Apache-2.0
--- Speech: the headline, what belongs beside it on the first screen, and one sentence for each variant. Pure.
local choice = require "qlua.summary.choice"
local text = require "qlua.summary.text"

local speech = {}

local SAY = {
  ship = { en = "Ship {variant}: {difference}; {flips}{more}.", zh = "建议部署 {variant}：{difference}；{flips}{more}。" },
  variant = { en = "{variant}: {difference}; {flips}{more}.", zh = "{variant}：{difference}；{flips}{more}。" },
  refused = { en = "{variant}: no verdict, since {why}.", zh = "{variant}：不作结论，原因：{why}。" },
  baseline_better = { en = "Keep {baseline}: {variant} is acceptable in accuracy, but not better in what was to be optimised ({ratio}).",
    zh = "建议保留 {baseline}：{variant} 的准确率合格，但在优化目标上并不占优（{ratio}）。" },
  none_passes = { en = "Keep {baseline}: no variant passes. {first}", zh = "建议保留 {baseline}：没有变体合格。{first}" },
  inconclusive = { en = "Not shown: {variant}: {difference}; {needs}. Until then keep {baseline}.",
    zh = "证据不足：{variant} 的{difference}；{needs}。在此之前请保留 {baseline}。" },
  reaches = { en = "{points} pt reaches past -{margin} pt", zh = "准确率差为 {points} 个百分点，区间下限越过 -{margin}" },
  none = { en = "No verdict: {why}.", zh = "不给出结论：{why}。" },
  more = { en = "; {item}", zh = "；{item}" },
  needs = { en = "; {needs}", zh = "；{needs}" },
  control = { en = "{baseline} against itself: {rate} of answers change between right and wrong{identical}; difference {points} pt.",
    zh = "{baseline} 重跑对照：{rate} 的题目对错发生改变{identical}，差值 {points} 个百分点。" },
  identical = { en = ", {share} of texts are byte-identical", zh = "，{share} 的文本逐字节相同" },
  within_noise = { en = "The flips of {variant} are within rerun noise: {excess} points more than two runs of {baseline} show.",
    zh = "{variant} 的翻转未超出重跑波动：比 {baseline} 两次运行之间多 {excess} 个百分点。" },
  beyond_noise = { en = "{variant} changes more answers than rerun noise explains: {excess} points more than two runs of {baseline}.",
    zh = "{variant} 改变的答案多于重跑波动：比 {baseline} 两次运行之间多 {excess} 个百分点。" },
  unmeasured = { en = "Not measured: {axes}.", zh = "未测量：{axes}。" },
  guardrail = { en = "{variant} on {dataset} alone is not shown to be within {margin} pt: {points}.",
    zh = "单看 {dataset}，不足以证明 {variant} 的损失在 {margin} 个百分点以内：{points}。" },
  failed_guardrail = { en = "{variant} fails on {dataset} alone: {points} pt, margin {margin} pt.",
    zh = "{variant} 在 {dataset} 上单独不合格：{points} 个百分点，界值 {margin} 个百分点。" },
  failed_flips = { en = "{variant} changes {rate} of the answers; at most {limit} may.", zh = "{variant} 的翻转率为 {rate}，超过上限 {limit}。" },
  chosen_by_flips = { en = "{objective} was not measured; {variant} was chosen among those that pass, since it changes the fewest answers.",
    zh = "未测量{objective}；在合格变体中，{variant} 改变的答案最少，故选它。" },
  tie = { en = "Several variants are alike in {objective}; {variant} changes the fewest answers.",
    zh = "多个变体的{objective}相当，其中 {variant} 改变的答案最少。" },
  simulated = { en = "All answers are simulated: this verdict is about simulated answers, not about a model.",
    zh = "全部回复均为模拟产生：本结论仅针对模拟回复，与任何真实模型无关。" },
}

-- The figures that go into one sentence: the objective's, and what is spent, where measured.
local function figures_of(verdict, name)
  local axes, items = { choice.AXIS_OF[verdict.plan.objective] }, {}
  for _, axis in ipairs { "memory", "energy", "cost" } do
    if axis ~= axes[1] then axes[#axes + 1] = axis end
  end
  for _, axis in ipairs(axes) do
    local figure = verdict.serving.variants[name][axis]
    if figure then items[#items + 1] = text.fill(SAY.more, { item = text.ratio(axis, figure) }) end
  end
  return text.list(items, { en = "", zh = "" })
end

local function refusals(findings, variant)
  local list = {}
  for _, finding in ipairs(findings) do
    local is_own = finding.variant == variant
    if finding.severity == "refuses" and (is_own or not finding.variant) then list[#list + 1] = finding.text end
  end
  return text.list(list, { en = "; ", zh = "；" })
end

local function variant_text(doc, verdict, name)
  local entry = verdict.variants[name]
  if not entry.class then return text.fill(SAY.refused, { variant = name, why = refusals(verdict.findings, name) }) end
  local more = figures_of(verdict, name)
  if entry.suite.needs then
    more = text.list({ more, text.fill(SAY.needs, { needs = text.needs(entry.suite.needs) }) }, { en = "", zh = "" })
  end
  return text.fill(SAY.variant, { variant = name, difference = text.difference(entry, doc.baseline, verdict.level),
    flips = text.flips(entry.behaviour, doc.baseline), more = more })
end

-- The variant that is nearest to passing, or failing least: highest lower limit.
local function nearest(doc, verdict)
  local best
  for _, name in ipairs(doc.variant_order) do
    local entry = verdict.variants[name]
    if entry and entry.class and (not best or entry.suite.interval_pt[1] > verdict.variants[best].suite.interval_pt[1]) then best = name end
  end
  return best
end

-- The best of those that pass, where the baseline beats it.
local function runner_up(doc, verdict)
  for _, name in ipairs(doc.variant_order) do
    if verdict.variants[name] and verdict.variants[name].passes then return name end
  end
end

local headlines = {}

function headlines.ship(doc, verdict)
  local name = verdict.chosen
  local entry = verdict.variants[name]
  return text.fill(SAY.ship, { variant = name, difference = text.difference(entry, doc.baseline, verdict.level),
    flips = text.flips(entry.behaviour, doc.baseline), more = figures_of(verdict, name) })
end

function headlines.baseline(doc, verdict)
  if verdict.reason == "none_passes" then
    local name = nearest(doc, verdict)
    return text.fill(SAY.none_passes, { baseline = doc.baseline, first = verdict.variants[name].text })
  end
  local name, axis = runner_up(doc, verdict), choice.AXIS_OF[verdict.plan.objective]
  return text.fill(SAY.baseline_better, { baseline = doc.baseline, variant = name,
    ratio = text.ratio(axis, verdict.serving.variants[name][axis]) })
end

function headlines.inconclusive(doc, verdict)
  local name = nearest(doc, verdict)
  local entry = verdict.variants[name]
  local suite = entry.suite
  local difference = entry.by_holm and text.difference(entry, doc.baseline, verdict.level) or text.fill(SAY.reaches,
    { points = text.points(suite.difference_pt, suite.interval_pt), margin = text.margin(suite.margin_pt) })
  return text.fill(SAY.inconclusive, { variant = name, baseline = doc.baseline, difference = difference,
    needs = text.needs(suite.needs) })
end

function headlines.none(_, verdict)
  local why = {}
  for _, finding in ipairs(verdict.findings) do
    if finding.severity == "refuses" and #why < 3 then why[#why + 1] = finding.text end
  end
  return text.fill(SAY.none, { why = text.list(why, { en = "; ", zh = "；" }) })
end

local function control_text(doc, control)
  local suite = control.suite
  return text.fill(SAY.control, { baseline = doc.baseline, rate = text.share(suite.flip_rate),
    identical = suite.identical_share and text.fill(SAY.identical, { share = text.share(suite.identical_share) }) or { en = "", zh = "" },
    points = text.points(suite.difference_pt, suite.difference_interval_pt) })
end

local function unmeasured(verdict)
  local missing, names = {}, {}
  for _, axis in ipairs(verdict.serving.axes) do missing[axis.name] = not axis.measured end
  for _, name in ipairs { "throughput", "latency_p95", "memory", "energy", "cost" } do
    if missing[name] then names[#names + 1] = text.AXES[name] end
  end
  return #names > 0 and text.fill(SAY.unmeasured, { axes = text.list(names) }) or nil
end

local function guardrail_texts(add, doc, verdict, name, class, say)
  for _, dataset in ipairs(doc.dataset_order) do
    local one = verdict.variants[name].datasets[dataset]
    if one and one.class == class then
      add(text.fill(say, { variant = name, dataset = dataset, margin = text.margin(one.margin_pt),
        points = text.points(one.difference_pt, one.interval_pt) }))
    end
  end
end

local function chosen_texts(add, doc, verdict)
  local name = verdict.chosen
  local entry = verdict.variants[name]
  local objective = text.AXES[choice.AXIS_OF[verdict.plan.objective]]
  if verdict.reason == "not_measured" then add(text.fill(SAY.chosen_by_flips, { objective = objective, variant = name })) end
  if verdict.reason == "tie_flips" then add(text.fill(SAY.tie, { objective = objective, variant = name })) end
  guardrail_texts(add, doc, verdict, name, "inconclusive", SAY.guardrail)
  local excess = entry.behaviour.excess
  if excess then
    add(text.fill(entry.behaviour.label == "changes" and SAY.beyond_noise or SAY.within_noise, { variant = name, baseline = doc.baseline,
      excess = text.points(100 * excess, { 100 * entry.behaviour.excess_interval[1], 100 * entry.behaviour.excess_interval[2] }) }))
  end
end

local function failure_texts(add, doc, verdict, name)
  local entry = verdict.variants[name]
  for _, failed in ipairs(entry.failed) do
    if failed == "refused" and verdict.status ~= "none" then add(entry.text) end
    if failed == "guardrail" then guardrail_texts(add, doc, verdict, name, "inferior", SAY.failed_guardrail) end
    if failed == "max_flips" then
      add(text.fill(SAY.failed_flips, { variant = name, rate = text.share(entry.behaviour.flip_rate),
        limit = text.share(verdict.plan.max_flips) }))
    end
  end
end

--- Add `text` to every variant, `headline` and `sentences` to the verdict.
function speech.add(doc, verdict)
  for name, entry in pairs(verdict.variants) do entry.text = variant_text(doc, verdict, name) end
  verdict.headline = headlines[verdict.status](doc, verdict)
  local sentences = {}
  local function add(say) sentences[#sentences + 1] = say end
  if verdict.status == "ship" then chosen_texts(add, doc, verdict) end
  for _, name in ipairs(doc.variant_order) do
    if verdict.variants[name] then failure_texts(add, doc, verdict, name) end
  end
  if verdict.control then add(control_text(doc, verdict.control)) end
  if not verdict.control and verdict.status ~= "none" then
    for _, finding in ipairs(verdict.findings) do
      if finding.code == "control_missing" then add(text.sentence(finding.text)) end
    end
  end
  if verdict.status ~= "none" then
    local missing = unmeasured(verdict)
    if missing then add(missing) end
  end
  if doc.simulated then add(SAY.simulated) end
  verdict.sentences = sentences
end

return speech
