-- SPDX-License-Identifier: Apache-2.0
--- Figures: every drawing of a report with its heading and caption, for layouts to place. What cannot be drawn, because
-- it was not measured or there is nothing to compare, leaves nothing behind.
local accuracy = require "drawings.accuracy"
local hardware = require "drawings.hardware"
local load = require "drawings.load"
local speed = require "drawings.speed"

local figures = {}

figures.say = {
  accuracy = {
    heading = { en = "Accuracy", zh = "准确率" },
    caption = {
      en = "Share of right answers with its 95 % interval. The dashed line is the baseline; the shaded strip beside it is the margin "
        .. "within which a loss is accepted. † marks a result that must not be used.",
      zh = "正确率及其 95 % 置信区间。虚线为基线，其旁阴影为可接受的损失范围（非劣界值）。† 表示该结果不可用。" },
    caption_plain = {
      en = "Share of right answers with its 95 % interval. The dashed line is the baseline. † marks a result that must not be used.",
      zh = "正确率及其 95 % 置信区间，虚线为基线。† 表示该结果不可用。" },
    forest = {
      en = "The same questions, answered by a variant and by the baseline: the difference, with its interval. An interval that stays "
        .. "right of the red line has lost less than the margin; one that crosses it has not been shown to.",
      zh = "变体与基线回答同一批题目的差值及区间。区间完全位于红线右侧，表明损失小于界值；与红线相交，则尚不能证明。" },
    forest_plain = { en = "The same questions, answered by a variant and by the baseline: the difference, with its 95 % interval.",
      zh = "变体与基线回答同一批题目的差值及其 95 % 置信区间。" },
  },
  flips = {
    heading = { en = "Answers that changed", zh = "答案的变化" },
    caption = {
      en = "Red: the baseline was right and the variant is wrong. Green: the other way round. Equal accuracy with many of both is not "
        .. "the same model.",
      zh = "红色：基线正确而变体错误；绿色：基线错误而变体正确。准确率相同但两者都多，就不是同一个模型。" },
  },
  speed = {
    heading = { en = "Speed", zh = "速度" },
    latency = { en = "Time of the whole reply: the share of replies that were done by then (logarithmic).",
      zh = "总时延：截至该时刻已完成的回复比例（对数坐标）。" },
    ttft = { en = "Time to the first token.", zh = "首词元时延。" },
    gaps = {
      en = "Time between two events with text, from the arrival stamps of up to {n} replies for each curve. Events that arrive in one "
        .. "read have almost no time between them; less than 10 µs is drawn as 10 µs.",
      zh = "两个文本事件之间的间隔，每条曲线取自最多 {n} 个回复的到达时间戳。同一次读取到达的事件几乎没有间隔；不足 10 µs 的按 10 µs 绘制。" },
    spread = { en = "Time of the whole reply: the dot is p50, the bar p95, the line ends at p99.",
      zh = "总时延：圆点为 p50，竖线为 p95，横线止于 p99。" },
    throughput = { en = "Questions per second of wall-clock time, with all requests in flight at once as configured.",
      zh = "按实际用时计算的每秒题数（并发数见配置）。" },
    serving = { en = "Every serving figure as a ratio to the baseline. The arrow at the right points to the better side.",
      zh = "各项服务指标与基线之比，右侧箭头指向更优的一侧。" },
  },
  load = {
    heading = { en = "Under load", zh = "负载下的表现" },
    curve = {
      en = "What more throughput costs: TTFT p95 at every point of the sweep. A bar is the interval from the replicates.",
      zh = "提高吞吐的代价：扫描各测点的 TTFT p95。竖线为各次重复给出的区间。" },
    token_curve = { en = "The same of TPOT p50.", zh = "同上，TPOT p50。" },
    spread = { en = "TTFT at every point, all replicates together: from the least, the dot is p50, the bar p95, the line ends at p99.",
      zh = "各测点的 TTFT（各次重复合并）：左端为最小值，圆点为 p50，竖线为 p95，横线止于 p99。" },
  },
  hardware = {
    heading = { en = "Memory and energy", zh = "显存与能耗" },
    memory = { en = "What every variant's server holds of its GPUs' memory, and at most held (lighter).",
      zh = "各变体的服务占用的显存，浅色为峰值。" },
    energy = { en = "Energy while the questions were answered, for each correct answer.", zh = "回答期间的能耗，按每个正确答案计。" },
    no_memory = { en = "Memory: not measured.", zh = "显存：未测量。" },
    why = { en = "Why: {reason}", zh = "原因：{reason}" },
    no_energy = { en = "Energy: not measured.", zh = "能耗：未测量。" },
  },
  choice = {
    heading = { en = "What accuracy costs", zh = "准确率与代价" },
    caption = {
      en = "Up is more accurate, right is faster. Hollow: another variant is better in something and shown to be worse in nothing. "
        .. "What lies in the shaded area has lost more than the margin.",
      zh = "越靠上越准确，越靠右越快。空心圆点表示另有变体至少在一方面更优，且没有任何一方面被证明更差；落入阴影区表示损失超过界值。" },
    caption_plain = { en = "Up is more accurate, right is faster, both against the baseline.", zh = "越靠上越准确，越靠右越快，均与基线相比。" },
  },
  groups = {
    heading = { en = "{dataset} by group", zh = "{dataset} 分组结果" },
    caption = {
      en = "Every group of {dataset}: its difference from the baseline against its number of questions. Small groups stray far by "
        .. "chance alone; the dashed lines show how far. Named are those that stand out even so.",
      zh = "{dataset} 的各个分组：与基线的差值及其题量。题量少的分组仅因偶然就会偏离很多，虚线表示这种偏离的范围；超出者才标出名称。" },
    caption_plain = {
      en = "Every group of {dataset}: its difference from the baseline against its number of questions. Small groups stray far by "
        .. "chance alone.",
      zh = "{dataset} 的各个分组：与基线的差值及其题量。题量少的分组仅因偶然就会偏离很多。" },
  },
  outcomes = {
    heading = { en = "Outcomes", zh = "结果分类" },
    caption = { en = "What became of every question. Errors are failed requests: they are not counted as wrong.",
      zh = "每道题的最终结果。“出错”指请求失败，不计为答错。" },
  },
  course = {
    heading = { en = "Course of the run", zh = "运行过程" },
    caption = { en = "Which variant was asked which dataset, and when. Red marks are requests that had to be sent again.",
      zh = "各变体在何时回答哪个数据集。红色标记为需要重发的请求。" },
  },
}

-- The words inside the drawings are checked with those around them.
figures.say.drawings = { accuracy = accuracy.say, hardware = hardware.say, speed = speed.say }

local say = figures.say

local function cell_of(summary, variant, dataset) return summary.variants[variant].datasets[dataset] end

function figures.accuracy(page, summary)
  page:figure("accuracy", summary.verdict and say.accuracy.caption or say.accuracy.caption_plain,
    function(...) return accuracy.accuracies(page, summary, ...) end)
end

function figures.differences(page, summary)
  page:figure("differences", summary.verdict and say.accuracy.forest or say.accuracy.forest_plain,
    function(...) return accuracy.forest(page, summary, ...) end)
end

function figures.flips(page, summary)
  page:figure("flips", say.flips.caption, function(...) return accuracy.flips(page, summary, ...) end)
end

function figures.throughput(page, summary)
  page:figure("throughput", say.speed.throughput, function(...) return speed.throughput(page, summary, ...) end)
end

--- From the single samples whole distributions, without them what the Summary holds.
function figures.times(page, summary)
  local samples = page.samples
  if not samples then
    page:figure("latency", say.speed.spread, function(...) return speed.spreads(page, summary, "latency_seconds", ...) end)
    return
  end
  local function of(field) return function(variant, dataset) return samples:distribution(field, variant, dataset) end end
  page:figure("latency", say.speed.latency, function(...) return speed.distributions(page, summary, of "latency", ...) end)
  page:figure("first_token", say.speed.ttft, function(...) return speed.distributions(page, summary, of "ttft", ...) end)
  page:figure("between_tokens", say.speed.gaps, function(...)
    return speed.distributions(page, summary, function(variant, dataset) return samples:gaps(variant, dataset) end, ...)
  end, { n = samples.MAX_STREAMS })
end

function figures.serving(page, summary)
  if not (summary.verdict and summary.verdict.serving) then return end
  page:figure("serving", say.speed.serving, function(...) return speed.serving(page, summary, ...) end)
end

--- Latency against throughput where there was a sweep, and the spread of TTFT.
function figures.load(page, summary)
  if not summary.load then return end
  page:figure("load_curve", say.load.curve, function(...) return load.curve(page, summary, ...) end)
  page:figure("load_token_curve", say.load.token_curve, function(...) return load.token_curve(page, summary, ...) end)
  page:figure("load_first_token", say.load.spread, function(...) return load.spread(page, summary, ...) end)
end

local function some_variant(summary, has)
  for _, variant in ipairs(summary.variant_order) do
    if has(summary.variants[variant]) then return true end
  end
  return false
end

local function has_energy(variant)
  for _, cell in pairs(variant.datasets) do
    if cell.energy_joules then return true end
  end
  return false
end

--- Memory and energy, or that they were not measured.
function figures.hardware(page, summary)
  if some_variant(summary, function(variant) return variant.memory ~= nil end) then
    page:figure("memory", say.hardware.memory, function(...) return hardware.memory(page, summary, ...) end)
  else
    page:text(say.hardware.no_memory)
  end
  if some_variant(summary, has_energy) then
    page:figure("energy", say.hardware.energy, function(...) return hardware.energy(page, summary, ...) end)
  else
    page:text(say.hardware.no_energy)
  end
  local reason = summary.telemetry and summary.telemetry.reason
  if reason then page:text(say.hardware.why, { reason = page:mono(reason) }) end
end

function figures.choice(page, summary)
  page:figure("choice", summary.verdict and say.choice.caption or say.choice.caption_plain,
    function(...) return speed.pareto(page, summary, ...) end)
end

--- Is there anything to say about the groups of a dataset?
function figures.has_groups(summary, dataset)
  local base = summary.baseline and cell_of(summary, summary.baseline, dataset)
  return base and base.groups and #summary.variant_order > 1 or false
end

function figures.groups(page, summary, dataset)
  if not figures.has_groups(summary, dataset) then return end
  local judged = summary.verdict and summary.verdict.funnel and summary.verdict.funnel[dataset]
  page:figure("groups_" .. dataset:gsub("[^%w_]", "_"), judged and say.groups.caption or say.groups.caption_plain,
    function(...) return accuracy.funnel(page, summary, dataset, ...) end, { dataset = dataset })
end

function figures.outcomes(page, summary)
  page:figure("outcomes", say.outcomes.caption, function(...) return accuracy.outcomes(page, summary, ...) end)
end

--- @tparam table timeline of `page.samples:timeline()`
function figures.course(page, summary, timeline)
  page:figure("course", say.course.caption, function(...) return speed.course(page, summary, timeline, ...) end)
end

return figures
