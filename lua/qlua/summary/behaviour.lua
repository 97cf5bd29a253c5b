-- SPDX-License-Identifier: Apache-2.0
--- Behaviour: how many answers a variant changes, and how many of those changes the baseline makes by itself. Pure.
--
-- Accuracy is the net of the flips, behaviour their sum (Dutta et al. 2024, arXiv 2407.09141). A baseline asked twice flips
-- as well; what counts against a variant is the excess over that. Both comparisons share the first baseline pass, so the
-- excess is bootstrapped over questions: |variant - first| - |second - first|, question by question.
local divergence = require "qlua.summary.divergence"
local measure = require "qlua.summary.measure"
local paired = require "qlua.summary.pairs"
local stats = require "qlua.core.stats"

local behaviour = {}

behaviour.ROUNDS = 10000
behaviour.SEED = 1

-- Values and texts that changed, over the pairs; nil where there are none to compare.
local function changes(p, base, other)
  local texts, identical, wrong_changed, has_values = 0, 0, 0, false
  for i, slot in ipairs(p.slots) do
    local a, b = base.text[slot], other.text[slot]
    if a and b then
      texts = texts + 1
      if a == b then identical = identical + 1 end
    end
    local x, y = base.value[slot], other.value[slot]
    has_values = has_values or x ~= nil or y ~= nil
    if p.base[i] == 0 and p.other[i] == 0 and x ~= y then wrong_changed = wrong_changed + 1 end
  end
  return texts, identical, has_values and wrong_changed or nil
end

--- Flips of one pair of cells.
-- @treturn ?table nil without pairs
function behaviour.of(p, base, other)
  if p.n == 0 then return nil end
  local texts, identical, wrong_changed = changes(p, base, other)
  local result = { pairs = p.n, flips = p.flips, correct_to_wrong = p.cells.base_only, wrong_to_correct = p.cells.variant_only,
    wrong_changed = wrong_changed, texts_compared = texts, texts_identical = identical,
    identical_share = texts > 0 and identical / texts or nil }
  result.flip_rate, result.flip_rate_interval = measure.share(p.flips, p.n, p.known.repeats)
  result.divergence = divergence.of(p, base, other)
  return result
end

-- One number per question that all three passes answered.
local function excess_values(base, other, control, known)
  local by_control, p = {}, paired.of(base, other, known)
  local again = paired.of(base, control, known)
  for i, slot in ipairs(again.slots) do by_control[slot] = math.abs(again.diffs[i]) end
  local values = {}
  for i, slot in ipairs(p.slots) do
    if by_control[slot] then values[#values + 1] = math.abs(p.diffs[i]) - by_control[slot] end
  end
  return values
end

local function add_excess(result, values, strata, level)
  if #values == 0 then return end
  local found = stats.bootstrap({ values }, { rounds = behaviour.ROUNDS, seed = behaviour.SEED, level = level, statistic = "mean",
    groups = strata, resample = strata and "strata" or nil })
  result.excess, result.excess_interval = found.estimate, { found.lo, found.hi }
end

-- Changed or not: an excess whose interval contains 0 is what two runs of one model show as well.
local function label_of(result)
  if not result.excess_interval then return "no_control" end
  return result.excess_interval[1] > 0 and "changes" or "within_rerun_noise"
end

--- Counts of several datasets added up.
function behaviour.total(parts)
  local total = { pairs = 0, flips = 0 }
  local texts, identical = 0, 0
  for _, one in pairs(parts) do
    total.pairs, total.flips = total.pairs + one.pairs, total.flips + one.flips
    texts, identical = texts + one.texts_compared, identical + one.texts_identical
  end
  total.flip_rate, total.flip_rate_interval = measure.share(total.flips, total.pairs)
  total.identical_share = texts > 0 and identical / texts or nil
  return total
end

--- A variant's behaviour on all datasets.
-- @tparam table ways dataset → `{ base, other, control?, known, pairs }`
-- @tparam {string,…} order datasets
-- @tparam ?table control the control's part of the verdict
-- @tparam number level
function behaviour.build(ways, order, control, level)
  local parts, values, strata, covered = {}, {}, {}, 0
  for i, name in ipairs(order) do
    local way = ways[name]
    local one = way and behaviour.of(way.pairs, way.base, way.other)
    parts[name] = one
    if one and way.control and control.datasets[name] then
      local own = excess_values(way.base, way.other, way.control, way.known)
      one.control_flip_rate, one.control_identical_share = control.datasets[name].flip_rate, control.datasets[name].identical_share
      add_excess(one, own, nil, level)
      for _, value in ipairs(own) do values[#values + 1], strata[#strata + 1] = value, i end
      covered = covered + 1
    end
    if one then one.label = label_of(one) end
  end
  local total = behaviour.total(parts)
  total.datasets = parts
  if control then
    total.control_flip_rate, total.control_identical_share = control.suite.flip_rate, control.suite.identical_share
  end
  add_excess(total, values, covered > 1 and strata or nil, level)
  total.label = label_of(total)
  return total
end

return behaviour
