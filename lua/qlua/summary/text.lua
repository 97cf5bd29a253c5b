-- SPDX-License-Identifier: Apache-2.0
--- Text: the verdict in words, both languages from the same figures. Pure; knows no layout.
--
-- Sentences hold data (names), so a layout prints them as data. Figures are typeset alike in both languages. Two decimals
-- throughout: with one, -0.96 against a margin of 1 would read -1.0.
local format = require "qlua.page.format"

local text = {}

--- Fill `{name}` places; a value is a string, or a pair.
function text.fill(say, values)
  local result = {}
  for _, side in ipairs { "en", "zh" } do
    result[side] = say[side]:gsub("{([%a_][%w_]*)}", function(name)
      local value = values[name]
      if value == nil then error(("verdict text '%s': no value for {%s}"):format(say.en, name), 2) end
      return type(value) == "table" and value[side] or tostring(value)
    end)
  end
  return result
end

--- A finding as a sentence of its own.
function text.sentence(say)
  return { en = say.en:sub(1, 1):upper() .. say.en:sub(2) .. ".", zh = say.zh .. "。" }
end

--- Pairs joined: `a, b` and `a、b`.
function text.list(items, comma)
  local en, zh = {}, {}
  for i, item in ipairs(items) do
    en[i], zh[i] = type(item) == "table" and item.en or item, type(item) == "table" and item.zh or item
  end
  comma = comma or { en = ", ", zh = "、" }
  return { en = table.concat(en, comma.en), zh = table.concat(zh, comma.zh) }
end

--- A probability in words: `p = 0.012`, `p < 0.001`.
function text.p(p)
  if not p then return "p = –" end
  if p < 0.001 then return "p < 0.001" end
  return ("p = %s"):format(format.decimal(p, p < 0.095 and 3 or 2))
end

--- Points: `-0.30`, and with limits `-0.30 [-1.34, +0.71]`.
function text.points(difference, bounds) return format.signed_interval(difference, bounds, 2) end

--- A margin without needless zeros: 1 → `1`, 0.5 → `0.5`.
function text.margin(pt) return ("%g"):format(pt) end

function text.share(share) return format.percent(share) end

local CLASS = {
  better = { en = "better than {baseline}", zh = "优于 {baseline}" },
  non_inferior = { en = "non-inferior at {margin} pt ({p})", zh = "在 {margin} 个百分点界值内非劣（{p}）" },
  lower_within_margin = { en = "lower than {baseline}, but within the margin of {margin} pt ({p})",
    zh = "低于 {baseline}，但未超出 {margin} 个百分点的界值（{p}）" },
  inferior = { en = "inferior: it loses more than {margin} pt", zh = "劣于 {baseline}：损失超过 {margin} 个百分点" },
  inconclusive = { en = "not shown to be within {margin} pt", zh = "不足以证明损失在 {margin} 个百分点以内" },
}
local BY_HOLM = { en = "not shown to be within {margin} pt once several variants are allowed for ({p})",
  zh = "计入多个变体的校正后，不足以证明损失在 {margin} 个百分点以内（{p}）" }

local DIFFERENCE = { en = "{points}, {class}", zh = "准确率差 {difference} 个百分点，95 % 置信区间 {limits}，{class}" }

--- `-0.19 pt [-0.46, +0.08], non-inferior at 1 pt (p < 0.001)`
function text.difference(entry, baseline, level)
  local suite = entry.suite
  local figures = { points = ("%s pt [%s, %s]"):format(format.signed(suite.difference_pt, 2), format.signed(suite.interval_pt[1], 2),
    format.signed(suite.interval_pt[2], 2)), difference = format.signed(suite.difference_pt, 2),
    limits = ("[%s, %s]"):format(format.signed(suite.interval_pt[1], 2), format.signed(suite.interval_pt[2], 2)) }
  figures.class = text.fill(entry.by_holm and BY_HOLM or CLASS[entry.class],
    { baseline = baseline, margin = text.margin(suite.margin_pt), p = text.p(suite.p_holm or suite.p_noninferior) })
  local say = DIFFERENCE
  if math.abs(level - 0.95) > 1e-9 then say = { en = say.en, zh = say.zh:gsub("95 %%", ("%g %%%%"):format(100 * level)) } end
  return text.fill(say, figures)
end

local FLIPS = { en = "{rate} of answers change between right and wrong", zh = "{rate} 的题目对错发生改变" }
local FLIPS_CONTROL = { en = "{rate} of answers change between right and wrong ({control} between two runs of {baseline})",
  zh = "{rate} 的题目对错发生改变（{baseline} 两次运行之间为 {control}）" }

function text.flips(behaviour, baseline)
  local values = { rate = text.share(behaviour.flip_rate), baseline = baseline }
  if not behaviour.control_flip_rate then return text.fill(FLIPS, values) end
  values.control = text.share(behaviour.control_flip_rate)
  return text.fill(FLIPS_CONTROL, values)
end

--- What the axes are called.
text.AXES = {
  accuracy = { en = "accuracy", zh = "准确率" }, throughput = { en = "throughput", zh = "吞吐" },
  ttft_p50 = { en = "time to first token, p50", zh = "首词元时延（p50）" }, ttft_p95 = { en = "time to first token, p95", zh = "首词元时延（p95）" },
  tpot_p50 = { en = "time per output token, p50", zh = "每词元时延（p50）" }, tpot_p95 = { en = "time per output token, p95", zh = "每词元时延（p95）" },
  latency_p50 = { en = "latency, p50", zh = "总时延（p50）" }, latency_p95 = { en = "latency, p95", zh = "总时延（p95）" },
  tokens = { en = "tokens per answer", zh = "每个回复的词元数" }, memory = { en = "memory", zh = "显存" },
  energy = { en = "energy per correct answer", zh = "每个正确答案的能耗" },
  cost = { en = "cost per correct answer", zh = "每个正确答案的成本" },
}

local RATIO = { en = "{ratio}x {axis}{limits}", zh = "{axis}为基线的 {ratio} 倍{limits}" }
local LESS = { en = "{percent} % less {axis}", zh = "{axis}降低 {percent} %" }
local MORE = { en = "{percent} % more {axis}", zh = "{axis}升高 {percent} %" }

--- One figure beside the baseline's: throughput and latency as a factor, what is spent as a saving.
function text.ratio(axis, figure)
  local name = text.AXES[axis]
  if axis == "memory" or axis == "energy" or axis == "cost" then
    local change = 100 * (figure.ratio - 1)
    return text.fill(change <= 0 and LESS or MORE, { percent = format.decimal(math.abs(change), 0), axis = name })
  end
  local limits = figure.interval
    and (" [%s, %s]"):format(format.decimal(figure.interval[1], 2), format.decimal(figure.interval[2], 2)) or ""
  return text.fill(RATIO, { ratio = format.decimal(figure.ratio, 2), axis = name, limits = limits })
end

local NEEDS = { en = "about {questions} questions, or {repeats} repeats of these, would settle it",
  zh = "需约 {questions} 题，或将这些题目重复 {repeats} 轮，方可定论" }
local NEVER = { en = "the difference lies at the margin itself, so that no number of questions would settle it",
  zh = "差值恰在界值附近，增加题量也无从定论" }

function text.needs(needs)
  if needs.never then return NEVER end
  return text.fill(NEEDS, { questions = format.count(needs.questions), repeats = format.count(needs.repeats) })
end

return text
