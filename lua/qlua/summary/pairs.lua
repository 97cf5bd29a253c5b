-- SPDX-License-Identifier: Apache-2.0
--- Pairs: two cells of one dataset, question by question, and what their difference allows one to say. Pure.
--
-- Three ways to the same figures, by the shape of the data: Tango's score interval where each question was asked once;
-- clustered (CR1, t with G-1) where questions come in groups; Student's t on the questions' means where they were asked
-- several times. docs/statistics.md has sources and coverage. Where a way has no spread to work with (nothing
-- flipped), Tango's is taken, which is never of zero width.
local outcomes = require "qlua.outcomes"
local stats = require "qlua.core.stats"

local paired = {}

--- Fewer groups than this are taken as these very groups: an error estimated from a handful of sums is no better than a guess.
paired.MIN_GROUPS = 10

-- The questions' right or wrong by the headline scorer; nil for an error.
local function headline(one, slot)
  local outcome = one.outcome[slot]
  if not outcome or not outcomes.is_answered(outcome) then return nil end
  return outcome == "correct"
end

--- Line two cells up.
-- @tparam table base, other cells
-- @tparam table known the dataset: `ordered` slots, `group[slot]`, `question[slot]`, `repeats`, `excluded[slot]`
-- @tparam[opt] table options `right(cell, slot)` → boolean or nil: another judgement; `keep(slot)`: only these
-- @treturn table `{ n, base = {0,1,…}, other = {…}, diffs = {…}, slots = {…}, cells, has_groups }`
function paired.of(base, other, known, options)
  local right, keep = options and options.right or headline, options and options.keep
  local p = { n = 0, base = {}, other = {}, diffs = {}, slots = {}, known = known,
    cells = { both_right = 0, base_only = 0, variant_only = 0, both_wrong = 0 } }
  local cells, excluded = p.cells, known.excluded or {}
  for _, slot in ipairs(known.ordered) do
    local a, b
    if not excluded[slot] and (not keep or keep(slot)) then a, b = right(base, slot), right(other, slot) end
    if a ~= nil and b ~= nil then
      local n = p.n + 1
      p.n, p.slots[n] = n, slot
      p.base[n], p.other[n] = a and 1 or 0, b and 1 or 0
      p.diffs[n] = p.other[n] - p.base[n]
      local kind = a and (b and "both_right" or "base_only") or (b and "variant_only" or "both_wrong")
      cells[kind] = cells[kind] + 1
    end
  end
  p.flips = cells.base_only + cells.variant_only
  p.has_groups = known.has_groups or false
  return p
end

--- Of each pair what a per-slot list says.
function paired.column(p, list)
  local out = {}
  for i, slot in ipairs(p.slots) do out[i] = list[slot] end
  return out
end

-- Mean difference of each question over its repeats, and the group it belongs to.
local function by_question(p)
  local sums, counts, groups, order = {}, {}, {}, {}
  for i, slot in ipairs(p.slots) do
    local question = p.known.question[slot]
    if not sums[question] then
      order[#order + 1] = question
      sums[question], counts[question], groups[question] = 0, 0, p.known.group[slot]
    end
    sums[question], counts[question] = sums[question] + p.diffs[i], counts[question] + 1
  end
  local means, names = {}, {}
  for i, question in ipairs(order) do means[i], names[i] = sums[question] / counts[question], groups[question] end
  return means, names
end

local function tango(p, level, margin)
  local found, test = stats.paired(p.cells, level), stats.tango_tost(p.cells, margin)
  return { method = "tango", se = found.se, df = found.df, lo = found.tango.lo, hi = found.tango.hi,
    p_noninferior = test.p_noninferior, p_equivalent = test.p_tost }
end

local function by_t(method, estimate, se, df, level, margin)
  local lo, hi = stats.interval(estimate, se, df, level)
  if not lo then return nil end
  local test = stats.tost(estimate, se, df, margin)
  return { method = method, se = se, df = df, lo = lo, hi = hi, p_noninferior = test.p_noninferior, p_equivalent = test.p_tost }
end

local function clustered(values, groups, level, margin)
  local found = stats.clustered(values, groups, level)
  if found.clusters < paired.MIN_GROUPS or not found.se_cr1 or found.se_cr1 == 0 then return nil end
  local result = by_t("clustered", found.mean, found.se_cr1, found.df, level, margin)
  if result then result.clusters, result.design_effect = found.clusters, found.deff end
  return result
end

local function repeated(values, level, margin)
  local found = stats.t_test(values, level)
  return found.se and found.se > 0 and by_t("repeats", found.mean, found.se, found.df, level, margin) or nil
end

local function by_shape(p, level, margin)
  if p.known.repeats > 1 then
    local values, groups = by_question(p)
    return p.has_groups and clustered(values, groups, level, margin) or repeated(values, level, margin)
  end
  return p.has_groups and clustered(p.diffs, paired.column(p, p.known.group), level, margin) or nil
end

--- The difference with its interval and tests, as shares.
-- @tparam table p of `of`
-- @tparam number level two-sided
-- @tparam number margin as a share
-- @treturn ?table `{ n, difference, lo, hi, se, df, method, p_noninferior, p_equivalent, plain = {lo, hi}?, … }`; nil without pairs
function paired.estimate(p, level, margin)
  if p.n == 0 then return nil end
  local plain = tango(p, level, margin)
  local found = by_shape(p, level, margin) or plain
  found.n, found.difference = p.n, (p.cells.variant_only - p.cells.base_only) / p.n
  if found ~= plain then found.plain = { plain.lo, plain.hi } end
  -- With no flip there is no spread: what Tango's interval says about the noise stands in, so that it is never certainty.
  if not found.se or found.se == 0 then found.se = (plain.hi - plain.lo) / 2 / stats.normal_quantile((1 + level) / 2) end
  return found
end

--- The mean of several datasets' differences: D = Σd/K, SE = √Σ(SE²)/K, degrees of freedom after Satterthwaite 1946 (with
-- one clustered dataset that is t with G-1; with large ones it is the normal).
-- @tparam {table,…} estimates of `estimate`; a single one stands for itself
function paired.mean(estimates, level, margin)
  if #estimates == 1 then return estimates[1] end
  local k, difference, variance, below, n = #estimates, 0, 0, 0, 0
  for _, one in ipairs(estimates) do
    local part = (one.se / k) ^ 2
    difference, variance, n = difference + one.difference / k, variance + part, n + one.n
    if one.df and one.df > 0 and one.df < math.huge then below = below + part ^ 2 / one.df end
  end
  local df = below > 0 and variance ^ 2 / below or math.huge
  local found = by_t("mean", difference, math.sqrt(variance), df, level, margin)
  if found then found.difference, found.n = difference, n end
  return found
end

--- In which of the five classes an interval lies (statistics.md: better, non-inferior, lower within the margin, inferior,
-- inconclusive).
function paired.class(lo, hi, margin)
  if lo > 0 then return "better" end
  if lo > -margin then return hi >= 0 and "non_inferior" or "lower_within_margin" end
  return hi < -margin and "inferior" or "inconclusive"
end

--- What would settle an inconclusive interval if the difference stays as it is: n·(half-width / distance to the margin)².
-- @treturn table `{ questions, repeats }`, or `{ never = true }` when the difference lies at the margin (some 900 times as many questions)
function paired.needs(found, margin)
  local distance = found.difference + margin
  local half = distance > 0 and found.difference - found.lo or found.hi - found.difference
  if math.abs(distance) * 30 < half then return { never = true } end
  local factor = (half / distance) ^ 2
  return { questions = math.ceil(found.n * factor), repeats = math.ceil(factor) }
end

return paired
