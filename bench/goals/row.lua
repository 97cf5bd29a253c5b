-- SPDX-License-Identifier: Apache-2.0
--- A row of the table of goals: what was wanted, what qlua did, what the floor did in the same run, their ratio.
local q = require "qlua"

local row = {}

local function shown(value)
  local size = math.abs(value)
  local format = size >= 1000 and "%.0f" or size >= 100 and "%.1f" or size >= 1 and "%.2f" or size >= 0.01 and "%.3f" or "%.4f"
  local text = format:format(value)
  local digits, rest = text:match "^(%d%d%d%d+)(.*)$"
  if not digits then return text end
  return (digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")) .. rest
end

local function range(values, unit)
  local lo, hi = math.huge, -math.huge
  for _, value in ipairs(values) do lo, hi = math.min(lo, value), math.max(hi, value) end
  return ("%s (%s – %s) %s"):format(shown(q.stats.quantile(values, 0.5)), shown(lo), shown(hi), unit)
end

--- Make a row.
-- @tparam table spec
--   measure, unit  text
--   limit          number; the goal is "at most" it, or with at_least = true "at least"
--   on             "value" (default): the goal is on qlua's median; "ratio": on qlua's median over the floor's;
--                  "none": stated, no goal
--   values, floor  lists, one number per repeat; floor may be absent
--   late, marked   of pair.abba
-- @treturn table the row, with met (absent where there is no goal, or the mock was late throughout)
function row.new(spec)
  local median = q.stats.quantile(spec.values, 0.5)
  local floor = spec.floor and q.stats.quantile(spec.floor, 0.5)
  local made = { measure = spec.measure, qlua = range(spec.values, spec.unit), floor = spec.floor and range(spec.floor, spec.unit) or "–",
    ratio = floor and floor ~= 0 and shown(median / floor) or "–", repeats = #spec.values, late = spec.late or 0, marked = spec.marked,
    note = spec.note }
  if spec.on == "none" then
    made.goal, made.verdict = "stated", "–"
    return made
  end
  local judged = spec.on == "ratio" and median / floor or median
  made.goal = ("%s %s%s"):format(spec.at_least and "≥" or "≤", shown(spec.limit), spec.on == "ratio" and "x" or " " .. spec.unit)
  if spec.marked then
    made.verdict = "not judged"
    return made
  end
  made.met = spec.at_least and judged >= spec.limit or not spec.at_least and judged <= spec.limit
  local off = spec.at_least and spec.limit / judged or spec.limit > 0 and judged / spec.limit or judged
  made.verdict = made.met and "met" or spec.limit > 0 and ("short: %sx off"):format(shown(off)) or ("short: %s"):format(shown(judged))
  return made
end

function row.median(values) return q.stats.quantile(values, 0.5) end

--- Did any row fall short of its goal?
function row.any_short(rows)
  for _, made in ipairs(rows) do if made.met == false then return true end end
  return false
end

row.HEAD = "| measure | goal | qlua: median (min – max) | bare client | qlua / bare | met? | repeats (late ones left out) |\n"
  .. "|:--|:--|--:|--:|--:|:--|--:|"

function row.line(made)
  return ("| %s | %s | %s | %s | %s | %s | %d (%d)%s |"):format(made.measure, made.goal, made.qlua, made.floor, made.ratio, made.verdict,
    made.repeats, made.late, made.marked and " mock late" or "")
end

return row
