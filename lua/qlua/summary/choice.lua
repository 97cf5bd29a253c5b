-- SPDX-License-Identifier: Apache-2.0
--- Choice: which of the variants that pass, and which of all are worth a look (Pareto). Pure.
--
-- One variant dominates another only if it is better on some axis beyond the intervals and worse beyond them on none. Where
-- a figure has no interval, ratios within the declared `tie` are alike. The rule was fixed before the run: by objective,
-- ties to fewer flips, then to less memory, then to the order of the configuration.
local choice = {}

choice.AXIS_OF = { throughput = "throughput", latency = "latency_p95", memory = "memory", energy = "energy", cost = "cost" }
local PARETO_AXES = { "throughput", "latency_p95", "memory", "energy", "cost" }

-- -1 a is worse, 0 alike, 1 a is better
local function compare_figures(a, b, better, tie)
  if not a or not b then return 0 end
  local lo_a, hi_a, lo_b, hi_b
  if a.interval and b.interval then
    lo_a, hi_a, lo_b, hi_b = a.interval[1], a.interval[2], b.interval[1], b.interval[2]
  else
    lo_a, hi_a, lo_b, hi_b = a.ratio, a.ratio, b.ratio * (1 - tie), b.ratio * (1 + tie)
  end
  local order = lo_a > hi_b and 1 or hi_a < lo_b and -1 or 0
  return better == "higher" and order or -order
end

local function better_of(serving)
  local map = {}
  for _, axis in ipairs(serving.axes) do map[axis.name] = axis.better end
  return map
end

local function accuracy_order(a, b)
  if a[1] > b[2] then return 1 end
  return a[2] < b[1] and -1 or 0
end

-- Does a dominate b?
local function dominates(a, b, context)
  local order = accuracy_order(context.accuracy[a], context.accuracy[b])
  if order < 0 then return false end
  local better = order > 0
  for _, axis in ipairs(context.axes) do
    local one = compare_figures(context.serving.variants[a][axis], context.serving.variants[b][axis], context.better[axis], context.tie)
    if one < 0 then return false end
    better = better or one > 0
  end
  return better
end

--- The variants that no other one beats, among those that pass and the baseline.
-- @tparam table doc variant_order, baseline
-- @tparam table verdict variants, serving
-- @tparam number tie
function choice.pareto(doc, verdict, tie)
  local context = { axes = {}, accuracy = {}, serving = verdict.serving, better = better_of(verdict.serving), tie = tie }
  local measured = {}
  for _, axis in ipairs(verdict.serving.axes) do measured[axis.name] = axis.measured end
  for _, axis in ipairs(PARETO_AXES) do
    if measured[axis] then context.axes[#context.axes + 1] = axis end
  end
  local names = {}
  for _, name in ipairs(doc.variant_order) do
    local entry = verdict.variants[name]
    if name == doc.baseline then context.accuracy[name] = { 0, 0 } end
    if entry and entry.passes then context.accuracy[name] = entry.suite.interval_pt end
    if context.accuracy[name] then names[#names + 1] = name end
  end
  local result = { axes = { "accuracy", table.unpack(context.axes) }, members = {}, dominated = {} }
  for _, b in ipairs(names) do
    for _, a in ipairs(names) do
      if not result.dominated[b] and a ~= b and dominates(a, b, context) then result.dominated[b] = a end
    end
    if not result.dominated[b] then result.members[#result.members + 1] = b end
  end
  return result
end

local function fewest(list, figure)
  local least, kept = math.huge, {}
  for _, name in ipairs(list) do
    local value = figure(name) or math.huge
    if value < least then least, kept = value, {} end
    if value == least then kept[#kept + 1] = name end
  end
  return kept
end

local function break_tie(list, verdict)
  local kept = fewest(list, function(name) return verdict.variants[name].behaviour.flips end)
  if #kept == 1 then return kept[1], "tie_flips" end
  kept = fewest(kept, function(name)
    local memory = verdict.serving.variants[name].memory
    return memory and memory.ratio
  end)
  return kept[1], #kept == 1 and "tie_memory" or "tie_order"
end

-- The variants that nothing beats on one axis.
local function leaders(passing, figures, better, tie)
  local best = passing[1]
  for _, name in ipairs(passing) do
    local a, b = figures(name), figures(best)
    if a and (not b or (better == "higher" and a.ratio > b.ratio or better == "lower" and a.ratio < b.ratio)) then best = name end
  end
  local kept = {}
  for _, name in ipairs(passing) do
    if name == best or figures(name) and compare_figures(figures(best), figures(name), better, tie) == 0 then kept[#kept + 1] = name end
  end
  return kept
end

--- The decision.
-- @tparam table doc variant_order, baseline
-- @tparam table verdict variants, serving
-- @tparam table plan objective, tie
-- @treturn string status: ship, baseline, inconclusive or none
-- @treturn ?string chosen
-- @treturn string reason
function choice.make(doc, verdict, plan)
  local passing, judged, inconclusive = {}, 0, 0
  for _, name in ipairs(doc.variant_order) do
    local entry = verdict.variants[name]
    if entry and entry.class then judged = judged + 1 end
    if entry and entry.class == "inconclusive" then inconclusive = inconclusive + 1 end
    if entry and entry.passes then passing[#passing + 1] = name end
  end
  if judged == 0 then return "none", nil, "refused" end
  if #passing == 0 then
    if inconclusive == judged then return "inconclusive", nil, "inconclusive" end
    return "baseline", doc.baseline, "none_passes"
  end
  local axis = choice.AXIS_OF[plan.objective]
  local better = better_of(verdict.serving)[axis]
  local function figures(name) return verdict.serving.variants[name][axis] end
  local is_measured = false
  for _, name in ipairs(passing) do is_measured = is_measured or figures(name) ~= nil end
  if not is_measured then
    if #passing == 1 then return "ship", passing[1], "only_one" end
    return "ship", (break_tie(passing, verdict)), "not_measured"
  end
  local first = leaders(passing, figures, better, plan.tie)
  local base = figures(doc.baseline)
  if base and compare_figures(base, figures(first[1]), better, plan.tie) > 0 then return "baseline", doc.baseline, "baseline_better" end
  if #first > 1 then return "ship", break_tie(first, verdict) end
  return "ship", first[1], #passing == 1 and "only_one" or "objective"
end

return choice
