-- SPDX-License-Identifier: Apache-2.0
--- Drawings of what the variants got right: accuracies, paired differences, flips, groups, outcomes.
-- Each takes the page, the Summary and the languages, and gives SVG, or nil where there is nothing to draw.
local plot = require "drawings.plot"

local WIDTH = plot.WIDTH

local accuracy = {}

local say = {
  of_accuracy = { en = "Accuracy of every variant with its 95 % interval", zh = "各变体的准确率及其 95 % 置信区间" },
  of_forest = { en = "Differences from the baseline with their intervals and the margin", zh = "各变体与基线之差、置信区间与非劣界值" },
  of_flips = { en = "How answers changed between right and wrong", zh = "答案在对错之间的变化" },
  of_funnel = { en = "Difference of every group against its size", zh = "各分组的差值与题量" },
  of_outcomes = { en = "Shares of outcomes", zh = "各类结果所占比例" },
  margin = { en = "margin", zh = "界值" },
  suite = { en = "all together", zh = "总体" },
  control = { en = "{name}, asked again", zh = "{name}（重复提问）" },
  points = { en = "percentage points, variant minus baseline", zh = "百分点（变体减基线）" },
  base_right = { en = "baseline ✓", zh = "基线 ✓" },
  base_wrong = { en = "baseline ✗", zh = "基线 ✗" },
  variant_right = { en = "variant ✓", zh = "变体 ✓" },
  variant_wrong = { en = "variant ✗", zh = "变体 ✗" },
  questions = { en = "questions in the group", zh = "分组题量" },
  classes = {
    correct = { en = "correct", zh = "正确" }, wrong = { en = "wrong", zh = "错误" },
    invalid = { en = "no usable answer", zh = "无有效答案" }, error = { en = "error", zh = "出错" },
  },
}
accuracy.say = say

local function cell_of(summary, variant, dataset) return summary.variants[variant].datasets[dataset] end

--- The margin that a dataset's difference is held against, where one was declared.
function accuracy.margin(summary, dataset)
  local plan = summary.verdict and summary.verdict.plan
  return plan and (plan.margins_pt and plan.margins_pt[dataset] or plan.margin_pt)
end

local function domain(pairs_of_limits, pad)
  local lo, hi = math.huge, -math.huge
  for _, limits in ipairs(pairs_of_limits) do lo, hi = math.min(lo, limits[1]), math.max(hi, limits[2]) end
  local room = math.max((hi - lo) * pad, 1e-6)
  return lo - room, hi + room
end

local LEFT, RIGHT, ROW = 146, 178, 24

-- ---- accuracy with intervals --------------------------------------------------------------------------------------

local function accuracy_rows(summary)
  local blocks, limits = {}, {}
  for _, dataset in ipairs(summary.dataset_order) do
    local block = { dataset = dataset, margin = accuracy.margin(summary, dataset) }
    for i, variant in ipairs(summary.variant_order) do
      local cell = cell_of(summary, variant, dataset)
      if cell and cell.accuracy then
        local bounds = cell.accuracy_interval or { cell.accuracy, cell.accuracy }
        block[#block + 1] = { variant = variant, index = i, value = cell.accuracy, bounds = bounds, usable = cell.usable }
        limits[#limits + 1] = bounds
        if variant == summary.baseline then
          block.base = cell.accuracy
          limits[#limits + 1] = { cell.accuracy - (block.margin or 0) / 100, cell.accuracy }
        end
      end
    end
    if #block > 0 then blocks[#blocks + 1] = block end
  end
  return blocks, limits
end

local function draw_block(sheet, page, block, y, scale)
  local bottom = y + ROW * #block
  sheet:text(0, y - 6, block.dataset, "strong")
  if block.base then
    local x = scale.place(block.base)
    if block.margin then
      local from = scale.place(block.base - block.margin / 100)
      sheet:rect(from, y, x - from, bottom - y, "margin")
    end
    sheet:line(x, y, x, bottom, "dashed")
  end
  for i, row in ipairs(block) do
    local at, color = y + ROW * (i - 0.5), plot.series(row.index)
    local tip = ("%s · %s: %s"):format(row.variant, block.dataset, page:interval(row.value, row.bounds))
    sheet:text(LEFT - 12, at + 4, row.variant .. (row.usable and "" or " †"), "label", "end")
    sheet:line(scale.place(row.bounds[1]), at, scale.place(row.bounds[2]), at, "bar " .. color, tip)
    sheet:circle(scale.place(row.value), at, 4.5, color, tip)
    sheet:text(WIDTH - RIGHT + 12, at + 4, page:interval(row.value, row.bounds), "label")
  end
  return bottom
end

--- Every variant's accuracy on every dataset; the baseline as a dashed line, the margin below it shaded.
function accuracy.accuracies(page, summary, languages, is_alone)
  local blocks, limits = accuracy_rows(summary)
  if #blocks == 0 then return nil end
  local height = 36
  for _, block in ipairs(blocks) do height = height + ROW * #block + 34 end
  local sheet = plot.new(page, height, languages)
  sheet.is_alone = is_alone
  local lo, hi = domain(limits, 0.06)
  local scale = plot.scale(math.max(0, lo), math.min(1, hi), LEFT, WIDTH - RIGHT)
  sheet:axis(scale, 6, height - 26, function(value) return page:percent(value, math.max(0, scale.decimals - 2)) end)
  local y = 24
  for _, block in ipairs(blocks) do y = draw_block(sheet, page, block, y, scale) + 34 end
  return sheet:svg(say.of_accuracy, is_alone)
end

-- ---- paired differences -------------------------------------------------------------------------------------------

local CLASS_COLOR = { better = "good", non_inferior = "good", lower_within_margin = "warn", inferior = "bad", inconclusive = "flat" }

local function difference(row, one)
  row.value, row.bounds, row.class = one.difference_pt, one.interval_pt or one.difference_interval_pt, one.class
  return row
end

local function forest_rows(page, summary)
  local rows, verdict = {}, summary.verdict
  if verdict and verdict.control and verdict.control.suite then
    local name = page:fill(say.control, { name = verdict.control.of or summary.baseline })
    rows[1] = difference({ label = name, index = 1, margin = verdict.control.margin_pt and verdict.control.margin_pt / 2 },
      verdict.control.suite)
  end
  for i, variant in ipairs(summary.variant_order) do
    local judged = verdict and verdict.variants and verdict.variants[variant]
    local group = {}
    if judged and judged.suite then
      group[1] = difference({ label = say.suite, index = i, margin = judged.suite.margin_pt, is_suite = true }, judged.suite)
      group[1].class = judged.class
    end
    for _, dataset in ipairs(summary.dataset_order) do
      local cell = cell_of(summary, variant, dataset)
      local one = judged and judged.datasets and judged.datasets[dataset] or cell and cell.against_baseline
      if one and one.difference_pt then
        group[#group + 1] = difference({ label = dataset, index = i,
          margin = one.margin_pt or accuracy.margin(summary, dataset) }, one)
      end
    end
    if #group > 0 then rows[#rows + 1] = { title = variant } end
    for _, row in ipairs(group) do rows[#rows + 1] = row end
  end
  return rows
end

local function draw_difference(sheet, page, row, y, scale)
  local at, color = y + ROW / 2, plot.series(row.index)
  local tip = page:signed_interval(row.value, row.bounds, 2)
  sheet:label(LEFT - 12, at + 4, row.label, row.is_suite and "strong" or "label", "end")
  if row.margin then
    local limit = scale.place(-row.margin)
    sheet:rect(LEFT, y + 1, limit - LEFT, ROW - 2, "beyond")
    sheet:line(limit, y + 1, limit, y + ROW - 1, "limit", page:signed(-row.margin, 2))
  end
  if row.bounds then sheet:line(scale.place(row.bounds[1]), at, scale.place(row.bounds[2]), at, "bar " .. color, tip) end
  if row.is_suite then
    sheet:diamond(scale.place(row.value), at, 6.5, color, tip)
  else
    sheet:circle(scale.place(row.value), at, 4.5, color, tip)
  end
  if row.class then sheet:rect(WIDTH - RIGHT + 12, at - 5, 4, 10, CLASS_COLOR[row.class] or "flat") end
  sheet:text(WIDTH - RIGHT + 22, at + 4, page:signed_interval(row.value, row.bounds, 2), row.is_suite and "strong" or "label")
end

--- The differences from the baseline, question by question: a forest plot. What lies beyond the margin is shaded.
function accuracy.forest(page, summary, languages, is_alone)
  local rows, limits = forest_rows(page, summary), { { 0, 0 } }
  if #rows == 0 then return nil end
  for _, row in ipairs(rows) do
    if row.value then limits[#limits + 1] = row.bounds or { row.value, row.value } end
    if row.margin then limits[#limits + 1] = { -row.margin, 0 } end
  end
  local lo, hi = domain(limits, 0.08)
  local height = ROW * #rows + 56
  local sheet = plot.new(page, height, languages)
  sheet.is_alone = is_alone
  local scale = plot.scale(lo, hi, LEFT, WIDTH - RIGHT)
  local bottom = height - 44
  sheet:axis(scale, 4, bottom, function(value) return page:signed(value, scale.decimals) end)
  sheet:line(scale.place(0), 4, scale.place(0), bottom, "zero")
  sheet:text((LEFT + WIDTH - RIGHT) / 2, height - 8, say.points, "muted", "middle")
  for i, row in ipairs(rows) do
    local y = 6 + ROW * (i - 1)
    if row.title then sheet:text(0, y + 16, row.title, "strong") else draw_difference(sheet, page, row, y, scale) end
  end
  return sheet:svg(say.of_forest, is_alone)
end

-- ---- flips --------------------------------------------------------------------------------------------------------

local CELL_W, CELL_H = 84, 34

local function draw_matrix(sheet, page, d, x, y, title)
  local counts = { { d.both_correct, "flat" }, { d.correct_to_wrong, "bad" }, { d.wrong_to_correct, "good" }, { d.both_wrong, "flat" } }
  local most = math.max(d.correct_to_wrong, d.wrong_to_correct, 1)
  sheet:text(x, y - 36, title, "strong")
  sheet:label(x + CELL_W / 2, y - 12, say.variant_right, "muted", "middle")
  sheet:label(x + CELL_W * 1.5, y - 12, say.variant_wrong, "muted", "middle")
  for i, one in ipairs(counts) do
    local is_flip = one[2] ~= "flat"
    local left, top = x + CELL_W * ((i - 1) % 2), y + CELL_H * ((i - 1) // 2)
    sheet:rect(left + 1, top + 1, CELL_W - 2, CELL_H - 2, one[2], ("%s (%s)"):format(page:count(one[1]),
      page:percent(d.pairs > 0 and one[1] / d.pairs or nil, 2)), is_flip and 0.15 + 0.5 * one[1] / most or 0.1)
    sheet:text(left + CELL_W / 2, top + CELL_H / 2 + 5, page:count(one[1]), is_flip and "strong" or "label", "middle")
  end
end

--- One two by two table for every variant and dataset: what the baseline had right, against what the variant has.
function accuracy.flips(page, summary, languages, is_alone)
  local list = {}
  for _, variant in ipairs(summary.variant_order) do
    for _, dataset in ipairs(summary.dataset_order) do
      local cell = cell_of(summary, variant, dataset)
      if cell and cell.against_baseline and cell.against_baseline.both_correct then
        list[#list + 1] = { title = ("%s · %s"):format(variant, dataset), d = cell.against_baseline }
      end
    end
  end
  if #list == 0 then return nil end
  local columns, step_x, step_y = 3, 2 * CELL_W + 30, 2 * CELL_H + 68
  local sheet = plot.new(page, math.ceil(#list / columns) * step_y + 4, languages)
  sheet.is_alone = is_alone
  for i, one in ipairs(list) do
    local x, y = 90 + (i - 1) % columns * step_x, 56 + (i - 1) // columns * step_y
    draw_matrix(sheet, page, one.d, x, y, one.title)
    if (i - 1) % columns == 0 then
      sheet:label(x - 6, y + CELL_H / 2 + 4, say.base_right, "muted", "end")
      sheet:label(x - 6, y + CELL_H * 1.5 + 4, say.base_wrong, "muted", "end")
    end
  end
  return sheet:svg(say.of_flips, is_alone)
end

-- ---- groups -------------------------------------------------------------------------------------------------------

-- From the verdict, or else the plain difference of the group's accuracies.
local function funnel_points(summary, dataset)
  local verdict = summary.verdict
  if verdict and verdict.funnel and verdict.funnel[dataset] then return verdict.funnel[dataset] end
  local points = {}
  local base = summary.baseline and cell_of(summary, summary.baseline, dataset)
  for _, variant in ipairs(base and base.groups and summary.variant_order or {}) do
    local cell = cell_of(summary, variant, dataset)
    for group, one in pairs(variant ~= summary.baseline and cell and cell.groups or {}) do
      local other = base.groups[group]
      if other and other.accuracy and one.accuracy then
        points[#points + 1] = { variant = variant, group = group, pairs = one.num_answered,
          difference_pt = 100 * (one.accuracy - other.accuracy) }
      end
    end
  end
  table.sort(points, function(a, b) return a.variant .. "\0" .. a.group < b.variant .. "\0" .. b.group end)
  return points
end

local function draw_limits(sheet, limits, across, up)
  local low, high = {}, {}
  for i, one in ipairs(limits) do
    low[i], high[i] = { across.place(one.pairs), up.place(one.lo_pt) }, { across.place(one.pairs), up.place(one.hi_pt) }
  end
  sheet:path(low, "funnel")
  sheet:path(high, "funnel")
end

--- The groups of a dataset by size and difference; the lines are where groups of that size stray by chance alone.
function accuracy.funnel(page, summary, dataset, languages, is_alone)
  local points = funnel_points(summary, dataset)
  if #points == 0 then return nil end
  local limits = summary.verdict and summary.verdict.funnel_limits and summary.verdict.funnel_limits[dataset] or {}
  local ys, xs, index = { { 0, 0 } }, {}, {}
  for i, variant in ipairs(summary.variant_order) do index[variant] = i end
  for _, point in ipairs(points) do
    ys[#ys + 1], xs[#xs + 1] = { point.difference_pt, point.difference_pt }, { point.pairs, point.pairs }
  end
  for _, one in ipairs(limits) do ys[#ys + 1] = { one.lo_pt, one.hi_pt } end
  local lo, hi = domain(ys, 0.06)
  local left, right = domain(xs, 0)
  local sheet = plot.new(page, 330, languages)
  sheet.is_alone = is_alone
  local across = plot.log_scale(math.max(1, left * 0.9), right * 1.12, 56, WIDTH - 20)
  local up = plot.scale(lo, hi, 270, 30)
  sheet:axis(across, 30, 270, function(value) return page:count(value) end)
  for _, value in ipairs(up.ticks) do
    sheet:line(56, up.place(value), WIDTH - 20, up.place(value), "grid")
    sheet:text(48, up.place(value) + 4, page:signed(value, up.decimals), "tick", "end")
  end
  sheet:line(56, up.place(0), WIDTH - 20, up.place(0), "zero")
  draw_limits(sheet, limits, across, up)
  for _, point in ipairs(points) do
    local x, y = across.place(point.pairs), up.place(point.difference_pt)
    sheet:circle(x, y, point.stands_out and 6 or 4, "light " .. plot.series(index[point.variant] or 1),
      ("%s · %s: %s (n = %s)"):format(point.variant, point.group, page:signed(point.difference_pt, 1), page:count(point.pairs)))
    local is_far = x > WIDTH - 40 - 7.5 * #point.group
    if point.stands_out then sheet:text(is_far and x - 9 or x + 9, y + 4, point.group, "strong", is_far and "end" or nil) end
  end
  sheet:text(WIDTH / 2, 308, say.questions, "muted", "middle")
  sheet:legend(summary.variant_order, 56, 16)
  return sheet:svg(say.of_funnel, is_alone)
end

-- ---- outcomes -----------------------------------------------------------------------------------------------------

local CLASSES = { { "correct", "good", "num_correct" }, { "wrong", "bad", "num_wrong" }, { "invalid", "warn", "num_invalid" },
  { "error", "flat", "num_errors" } }

-- Room for the names of the classes, in both languages together.
local LEGEND = { 130, 120, 250, 100 }

local function draw_shares(sheet, page, cell, label, y)
  local x, total = LEFT, math.max(1, cell.num_total)
  sheet:text(LEFT - 12, y + 14, label, "label", "end")
  for _, class in ipairs(CLASSES) do
    local n = cell[class[3]] or 0
    local width = n / total * (WIDTH - LEFT - 10)
    if n > 0 then
      sheet:rect(x, y + 3, math.max(width - 1, 1), 15, class[2], ("%s %s (%s)"):format(say.classes[class[1]].en, page:count(n),
        page:percent(n / total, 2)), 0.75)
    end
    x = x + width
  end
end

--- Shares of the four classes of outcomes, a bar for every variant on every dataset.
function accuracy.outcomes(page, summary, languages, is_alone)
  local rows = {}
  for _, dataset in ipairs(summary.dataset_order) do
    rows[#rows + 1] = { title = dataset }
    for _, variant in ipairs(summary.variant_order) do
      rows[#rows + 1] = { label = variant, cell = cell_of(summary, variant, dataset) }
    end
  end
  local sheet = plot.new(page, #rows * 22 + 34, languages)
  sheet.is_alone = is_alone
  local x = 60
  for i, class in ipairs(CLASSES) do
    sheet:rect(x, 6, 12, 10, class[2], nil, 0.75)
    sheet:text(x + 17, 15, say.classes[class[1]], "label")
    x = x + LEGEND[i]
  end
  for i, row in ipairs(rows) do
    local y = 26 + 22 * (i - 1)
    if row.title then sheet:text(0, y + 15, row.title, "strong") end
    if row.cell then draw_shares(sheet, page, row.cell, row.label, y) end
  end
  return sheet:svg(say.of_outcomes, is_alone)
end

return accuracy
