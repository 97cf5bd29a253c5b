-- SPDX-License-Identifier: Apache-2.0
--- Sensitivity: does the difference survive another reading of the same answers? Descriptive, never a verdict. Pure.
--
-- The headline counts unusable answers as wrong. Beside it stand the other scorers, the pairs where both gave an answer, the
-- pairs that were not cut off, thirds by length of the question, and categories. Leaving answers out conditions on what
-- the variants did, so these may not replace the headline; a large gap to it says that something else is at work.
local outcomes = require "qlua.outcomes"
local paired = require "qlua.summary.pairs"
local stats = require "qlua.core.stats"

local sensitivity = {}

--- A group stands out where the adjusted p is below this.
sensitivity.ALPHA = 0.05

local function row_of(p, kind, name, level)
  if p.n == 0 then return nil end
  local found = stats.paired(p.cells, level)
  return { kind = kind, name = name, pairs = p.n, flips = p.flips, difference_pt = 100 * found.diff,
    interval_pt = { 100 * found.tango.lo, 100 * found.tango.hi } }
end

local function by_scorer(name)
  return function(one, slot)
    local scorer = one.scorers[name]
    if not scorer then return nil end
    return scorer.right[slot]
  end
end

local function both(way, is_kept)
  return function(slot)
    local a, b = way.base.outcome[slot], way.other.outcome[slot]
    return a and b and is_kept(way.base, a, slot) and is_kept(way.other, b, slot)
  end
end

local function is_parsed(_, outcome)
  local class = outcomes.class(outcome)
  return class == "correct" or class == "wrong"
end

local function is_whole(one, _, slot) return not one.is_cut[slot] end

-- Thirds of the questions by their length in characters; short sets and sets without lengths have none.
local function thirds(known)
  local lengths, any = {}, false
  for slot = 1, known.num_slots do
    if known.length[slot] then lengths[#lengths + 1], any = known.length[slot], true end
  end
  if not any or #lengths < 90 then return {} end
  table.sort(lengths)
  local one, two = lengths[#lengths // 3], lengths[2 * #lengths // 3]
  if one == lengths[#lengths] or one == two then return {} end
  return { { lengths[1], one }, { one + 1, two }, { two + 1, lengths[#lengths] } }
end

local function category_names(dataset)
  local seen, names = {}, {}
  for _, category in pairs(dataset.group_categories or {}) do
    if not seen[category] then
      seen[category] = true
      names[#names + 1] = category
    end
  end
  table.sort(names)
  return names
end

--- All readings of one variant on one dataset.
-- @tparam table way `{ base, other, known, pairs }`
-- @tparam table dataset its record in the Summary
-- @tparam number level
function sensitivity.rows(way, dataset, level)
  local rows, known = {}, way.known
  local function add(kind, name, options)
    rows[#rows + 1] = row_of(options and paired.of(way.base, way.other, known, options) or way.pairs, kind, name, level)
  end
  add("headline", dataset.headline_scorer or "headline")
  for _, name in ipairs(dataset.scorers or {}) do
    if name ~= dataset.headline_scorer then add("scorer", name, { right = by_scorer(name) }) end
  end
  if known.has_text then
    add("both_parsed", "both_parsed", { keep = both(way, is_parsed) })
    add("without_truncated", "without_truncated", { keep = both(way, is_whole) })
  end
  for _, range in ipairs(known.has_text and thirds(known) or {}) do
    add("length", ("%d..%d"):format(range[1], range[2]), { keep = function(slot)
      local length = known.length[slot]
      return length and length >= range[1] and length <= range[2]
    end })
  end
  for _, category in ipairs(category_names(dataset)) do
    add("category", category, { keep = function(slot)
      local own = dataset.group_categories[known.group[slot]] -- a local first: Lua 5.4.4 miscompiles `t[a == b]` forms
      return own == category
    end })
  end
  return rows
end

local function group_cells(p)
  local by_group, names = {}, {}
  for i, slot in ipairs(p.slots) do
    local name = p.known.group[slot]
    if name then
      local cells = by_group[name]
      if not cells then
        cells = { both_right = 0, base_only = 0, variant_only = 0, both_wrong = 0 }
        by_group[name], names[#names + 1] = cells, name
      end
      local kind = p.base[i] == 1 and (p.other[i] == 1 and "both_right" or "base_only")
        or (p.other[i] == 1 and "variant_only" or "both_wrong")
      cells[kind] = cells[kind] + 1
    end
  end
  table.sort(names)
  return by_group, names
end

--- The groups of one dataset for all variants, with Holm over all of them: one group in twenty looks bad by chance.
-- @tparam {{variant=string,way=table},…} ways
function sensitivity.funnel(ways, level)
  local rows, p = {}, {}
  for _, entry in ipairs(ways) do
    local by_group, names = group_cells(entry.way.pairs)
    for _, name in ipairs(names) do
      local cells = by_group[name]
      local found = stats.paired(cells, level)
      rows[#rows + 1] = { variant = entry.variant, group = name, pairs = found.n, flips = cells.base_only + cells.variant_only,
        difference_pt = 100 * found.diff, interval_pt = { 100 * found.tango.lo, 100 * found.tango.hi },
        p = stats.mcnemar(cells.base_only, cells.variant_only).p_midp }
      p[#p + 1] = rows[#rows].p
    end
  end
  local adjusted = #p > 0 and stats.holm(p) or {}
  for i, row in ipairs(rows) do row.p_holm, row.stands_out = adjusted[i], adjusted[i] < sensitivity.ALPHA end
  return rows
end

--- Between which limits a group of that size falls when nothing but chance is at work: ±z·√(flips / n).
-- @tparam {table,…} rows of `funnel`
-- @tparam number flip_rate of the whole dataset
function sensitivity.limits(rows, flip_rate, level)
  local smallest, largest = math.huge, 0
  for _, row in ipairs(rows) do smallest, largest = math.min(smallest, row.pairs), math.max(largest, row.pairs) end
  local list, z = {}, stats.normal_quantile((1 + level) / 2)
  if largest == 0 then return list end
  for step = 0, 12 do
    local n = math.floor(smallest * (largest / smallest) ^ (step / 12) + 0.5)
    local reach = math.min(100, 100 * z * math.sqrt(flip_rate / n))
    if not list[#list] or list[#list].pairs ~= n then list[#list + 1] = { pairs = n, lo_pt = -reach, hi_pt = reach } end
  end
  return list
end

return sensitivity
