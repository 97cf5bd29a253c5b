-- SPDX-License-Identifier: Apache-2.0
--- Drawings of what the variants took of their GPUs: memory, and energy for each correct answer.
local plot = require "drawings.plot"

local WIDTH, LEFT, ROW = plot.WIDTH, 200, 24

local hardware = {}

local say = {
  of_memory = { en = "GPU memory of every variant", zh = "各变体占用的显存" },
  of_energy = { en = "Energy of every variant", zh = "各变体的能耗" },
  peak = { en = "{loaded} GiB loaded, {peak} GiB at most", zh = "加载后 {loaded} GiB，峰值 {peak} GiB" },
  per_correct = { en = "{joules} J per correct answer", zh = "每个正确答案 {joules} J" },
  in_all = { en = "{joules} J in all (too short to divide)", zh = "共 {joules} J（时间过短，不作平均）" },
}
hardware.say = say

-- Bars with a heading before the first of each block; a row is `{ title, label, index, value, part, text }`.
local function bars(page, rows, say_what, languages, is_alone)
  if #rows == 0 then return nil end
  local most = {}
  for _, row in ipairs(rows) do most[row.block] = math.max(most[row.block] or 0, row.value) end
  local sheet = plot.new(page, #rows * ROW + 8, languages)
  sheet.is_alone = is_alone
  for i, row in ipairs(rows) do
    local y, color = ROW * (i - 1) + 4, plot.series(row.index)
    local width = most[row.block] > 0 and row.value / most[row.block] * (WIDTH - LEFT - 240) or 0
    if row.title then sheet:text(0, y + 14, row.title, "strong") end
    sheet:text(LEFT - 12, y + 14, row.label, "label", "end")
    sheet:rect(LEFT, y + 3, width, 15, color, nil, row.part and 0.45 or nil)
    if row.part then sheet:rect(LEFT, y + 3, width * math.min(1, row.part / math.max(row.value, 1)), 15, color) end
    sheet:label(LEFT + width + 8, y + 14, row.text, "muted")
  end
  return sheet:svg(say_what, is_alone)
end

local function gibibytes(page, bytes) return page:decimal(bytes / 2 ^ 30, 1) end

--- What every variant's server holds: loaded, and at most (lighter).
function hardware.memory(page, summary, languages, is_alone)
  local rows = {}
  for i, variant in ipairs(summary.variant_order) do
    local memory = summary.variants[variant].memory
    if memory and memory.peak_bytes then
      rows[#rows + 1] = { block = 1, label = variant, index = i, value = memory.peak_bytes, part = memory.loaded_bytes,
        text = page:fill(say.peak, { loaded = gibibytes(page, memory.loaded_bytes), peak = gibibytes(page, memory.peak_bytes) }) }
    end
  end
  return bars(page, rows, say.of_memory, languages, is_alone)
end

--- Joules for each correct answer, by dataset.
function hardware.energy(page, summary, languages, is_alone)
  local rows = {}
  for _, dataset in ipairs(summary.dataset_order) do
    local title = dataset
    for i, variant in ipairs(summary.variant_order) do
      local cell = summary.variants[variant].datasets[dataset]
      local per_correct = cell and cell.energy_per_correct_joules
      local joules = per_correct or cell and cell.energy_joules
      if joules then
        rows[#rows + 1] = { block = dataset, title = title, label = variant, index = i, value = joules,
          text = page:fill(per_correct and say.per_correct or say.in_all, { joules = page:rate(joules) }) }
        title = nil
      end
    end
  end
  return bars(page, rows, say.of_energy, languages, is_alone)
end

return hardware
