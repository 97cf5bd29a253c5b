-- SPDX-License-Identifier: Apache-2.0
--- Power: prints what a plan's questions can show, for assumed shares of flips. Said before the run, when it can still be
-- changed: a run that cannot decide costs as much as one that can.

local format = require "qlua.page.format"
local power = require "qlua.summary.power"
local rule = require "qlua.summary.rule"
local say = require "qlua.cli.say"

local printer = {}

local SAY = {
  title = { en = "what this run can show, by share of answers that flip (shown: chance that an equal variant proves non-inferior):",
    zh = "本次运行能够说明什么，按翻转率给出（判定概率：与基线相同的变体被判为非劣的概率）：" },
  suite = { en = "mean of all", zh = "总体均值" },
  half = { en = "interval +-", zh = "区间 ±" }, detectable = { en = "noticed from", zh = "可察觉自" }, power = { en = "shown", zh = "判定概率" },
  flips = { en = "flips", zh = "翻转率" },
}

local function cells(values, digits, unit)
  local out = {}
  for i, value in ipairs(values) do out[i] = ("%9s"):format(format.decimal(value, digits) .. unit) end
  return table.concat(out)
end

local function pad(words, columns)
  return words .. (" "):rep(math.max(1, columns - require("qlua.core.text").width(words)))
end

--- Print the table of a plan.
-- @tparam table made with config and datasets
function printer.print(made)
  local datasets = {}
  for i, one in ipairs(made.datasets) do datasets[i] = { name = one.name, questions = one.task:size() } end
  local found = power.build(datasets, (rule.of(made.config)))
  local rates = {}
  for i, rate in ipairs(found.flip_rates) do rates[i] = ("%9s"):format(format.decimal(100 * rate, 1) .. " %") end
  say.line(say.pick(SAY.title))
  say.line("  ", pad(say.pick(SAY.flips), 34), table.concat(rates))
  for _, row in ipairs(found.datasets) do
    local name = row.name == "suite" and say.pick(SAY.suite) or row.name
    local head = ("%s, n = %s, %g pt"):format(name, format.count(row.questions), row.margin_pt)
    local shown = {}
    for i, value in ipairs(row.power) do shown[i] = 100 * value end
    say.line("  ", pad(head, 34))
    say.line("    ", pad(say.pick(SAY.half), 32), cells(row.half_width_pt, 2, " pt"))
    say.line("    ", pad(say.pick(SAY.detectable), 32), cells(row.detectable_pt, 2, " pt"))
    say.line("    ", pad(say.pick(SAY.power), 32), cells(shown, 0, " %"))
  end
end

return printer
