-- SPDX-License-Identifier: Apache-2.0
--- Health of the replies beside the baseline's: loops, language, length, letters. Descriptive, with flags. Pure.
-- Loops and language come counted (`qlua.health` reads the texts); length and letters are in the cells.
local stats = require "qlua.core.stats"

local health = {}

health.ALPHA = 0.05
--- A geometric mean of lengths this far from the baseline's is flagged, when its interval leaves out 1.
health.LENGTH = 0.1

-- Tokens of a reply, question by question, on the log scale: one endless reply must not make a mean.
local function length_ratio(way, level)
  local base, other = {}, {}
  for _, slot in ipairs(way.pairs.slots) do
    local a, b = way.base.tokens[slot], way.other.tokens[slot]
    if a and b and a > 0 and b > 0 then base[#base + 1], other[#other + 1] = a, b end
  end
  if #base < 2 then return nil end
  local found = stats.log_ratio(base, other, level)
  return found.ratio, found.lo and { found.lo, found.hi } or { found.ratio, found.ratio }
end

local function shares_of(one, slots)
  local counts, total, kinds = {}, 0, 0
  for _, slot in ipairs(slots) do
    local value = one.value[slot]
    if value then
      if not counts[value] then kinds = kinds + 1 end
      counts[value], total = (counts[value] or 0) + 1, total + 1
    end
  end
  if total == 0 or kinds > 10 then return nil end
  for value, count in pairs(counts) do counts[value] = count / total end
  return counts
end

-- For each choice: how often only the one side took it; Holm over the choices, the smallest p counts.
local function letters_p(way, names)
  local p = {}
  for _, name in ipairs(names) do
    local only_base, only_other = 0, 0
    for _, slot in ipairs(way.pairs.slots) do
      local a, b = way.base.value[slot], way.other.value[slot]
      local in_base, in_other = a == name, b == name
      if in_base and not in_other then only_base = only_base + 1 end
      if in_other and not in_base then only_other = only_other + 1 end
    end
    p[#p + 1] = stats.mcnemar(only_base, only_other).p_midp
  end
  return math.min(table.unpack(stats.holm(p)))
end

local function add_letters(row, way)
  row.letters, row.letters_baseline = shares_of(way.other, way.pairs.slots), shares_of(way.base, way.pairs.slots)
  if not row.letters or not row.letters_baseline then
    row.letters, row.letters_baseline = nil, nil
    return
  end
  local names, seen = {}, {}
  for _, map in ipairs { row.letters, row.letters_baseline } do
    for name in pairs(map) do
      if not seen[name] then
        seen[name], names[#names + 1] = true, name
      end
    end
  end
  table.sort(names)
  row.letters_p_holm = letters_p(way, names)
end

local function flags_of(row, base)
  local flags = {}
  local function more(field)
    if not row[field] or not base[field] or row.texts == 0 then return false end
    local n, m = row.texts, math.max(1, base.texts)
    local pooled = (row[field] + base[field]) / (n + m)
    local spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return row[field] >= 3 and row[field] / n - base[field] / m > 2 * spread -- not a single odd reply, and not chance
  end
  if more "loops" then flags[#flags + 1] = "loops" end
  if more "switched" then flags[#flags + 1] = "language" end
  local bounds = row.length_ratio_interval
  if bounds and row.length_ratio > 1 + health.LENGTH and bounds[1] > 1 then flags[#flags + 1] = "longer" end
  if bounds and row.length_ratio < 1 - health.LENGTH and bounds[2] < 1 then flags[#flags + 1] = "shorter" end
  if row.letters_p_holm and row.letters_p_holm < health.ALPHA then flags[#flags + 1] = "letters" end
  return flags
end

local function row_of(variant, dataset, counts)
  local one = counts[variant] and counts[variant][dataset] or {}
  return { variant = variant, dataset = dataset, texts = one.texts, loops = one.loops, switched = one.switched, flags = {} }
end

--- One row per variant and dataset, the baseline's first.
-- @tparam table doc variant_order, dataset_order, datasets, baseline
-- @tparam table ways variant → dataset → way
-- @tparam table counts of `qlua.health`.count, may be empty
-- @tparam table cells variant → dataset → cell
function health.rows(doc, ways, counts, level, cells)
  local rows = {}
  for _, dataset in ipairs(doc.dataset_order) do
    local base = row_of(doc.baseline, dataset, counts)
    local is_text = (doc.datasets[dataset].mode or "generate") == "generate"
    if cells[doc.baseline][dataset] then rows[#rows + 1] = base end
    for _, variant in ipairs(doc.variant_order) do
      local way = ways[variant] and ways[variant][dataset]
      if way and way.pairs.n > 0 then
        local row = row_of(variant, dataset, counts)
        if is_text then row.length_ratio, row.length_ratio_interval = length_ratio(way, level) else add_letters(row, way) end
        row.flags = flags_of(row, base)
        rows[#rows + 1] = row
      end
    end
  end
  return rows
end

return health
