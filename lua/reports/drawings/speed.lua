-- SPDX-License-Identifier: Apache-2.0
--- Drawings of what the variants cost: times, throughput, serving figures against the baseline, the choice between
-- them, and the course of the run. Each takes the page, the Summary and the languages, and gives SVG or nil.
local plot = require "drawings.plot"

local WIDTH = plot.WIDTH
local LEFT, RIGHT = 150, 120

local speed = {}

local say = {
  of_times = { en = "Distribution of a time, a curve for every variant", zh = "时间分布，每个变体一条曲线" },
  of_throughput = { en = "Throughput of every variant", zh = "各变体的吞吐量" },
  of_serving = { en = "Serving figures as ratios to the baseline", zh = "各项服务指标与基线之比" },
  of_pareto = { en = "Accuracy against throughput", zh = "准确率与吞吐量的取舍" },
  of_course = { en = "Course of the run", zh = "运行过程" },
  not_measured = { en = "not measured", zh = "未测量" },
  share = { en = "cumulative share", zh = "累计占比" },
  per_second = { en = "{n} questions/s", zh = "{n} 题/秒" },
  tokens = { en = "{n} tokens/s", zh = "{n} 词元/秒" },
  ratio = { en = "ratio to the baseline", zh = "与基线之比" },
  faster = { en = "throughput, ratio to the baseline", zh = "吞吐量（与基线之比）" },
  difference = { en = "accuracy, points from the baseline", zh = "准确率（与基线相差百分点）" },
  events = { en = "retries and other events", zh = "重试及其他事件" },
  axes = {
    throughput = { en = "throughput", zh = "吞吐量" }, ttft_p50 = { en = "first token, p50", zh = "首词元时延 p50" },
    ttft_p95 = { en = "first token, p95", zh = "首词元时延 p95" }, tpot_p50 = { en = "per token, p50", zh = "词元间时延 p50" },
    tpot_p95 = { en = "per token, p95", zh = "词元间时延 p95" }, latency_p50 = { en = "whole reply, p50", zh = "总时延 p50" },
    latency_p95 = { en = "whole reply, p95", zh = "总时延 p95" }, tokens = { en = "tokens per reply", zh = "每次回复词元数" },
    memory = { en = "memory", zh = "显存" }, energy = { en = "energy per correct answer", zh = "每个正确答案的能耗" },
    cost = { en = "cost per correct answer", zh = "每个正确答案的成本" },
  },
}
speed.say = say

local function cell_of(summary, variant, dataset) return summary.variants[variant].datasets[dataset] end

-- ---- distributions ------------------------------------------------------------------------------------------------

local PANEL = 150

-- Below this a time is drawn as this: what arrives in one read of the network has no time between.
local LEAST = 1e-5

local function points_of(distribution, scale, top)
  local points = {}
  for i, point in ipairs(distribution.points) do
    points[i] = { scale.place(math.max(point.x, LEAST)), top + PANEL * (1 - point.share) }
  end
  return points
end

local function draw_panel(sheet, page, panel, top, scale)
  sheet:text(0, top - 8, panel.title, "strong")
  for _, share in ipairs { 0, 0.5, 0.9, 1 } do
    local y = top + PANEL * (1 - share)
    sheet:line(60, y, WIDTH - 20, y, "grid")
    sheet:text(52, y + 4, page:percent(share, 0), "tick", "end")
  end
  sheet:axis(scale, top, top + PANEL, function(value) return page:seconds(value):gsub("%.0+ ", " ") .. "" end)
  for _, one in ipairs(panel) do
    sheet:path(points_of(one.distribution, scale, top), "curve " .. plot.series(one.index), ("%s · %s (n = %s)"):format(one.variant,
      panel.title, page:count(one.distribution.n)))
  end
end

--- A distribution function for every variant, a panel for every dataset.
-- @tparam function get `get(variant, dataset)` → `{ n, points }` or nil
function speed.distributions(page, summary, get, languages, is_alone)
  local panels, lo, hi = {}, math.huge, 0
  for _, dataset in ipairs(summary.dataset_order) do
    local panel = { title = dataset }
    for i, variant in ipairs(summary.variant_order) do
      local found = get(variant, dataset)
      if found then
        panel[#panel + 1] = { variant = variant, index = i, distribution = found }
        lo, hi = math.min(lo, found.points[2].x), math.max(hi, found.points[#found.points].x)
      end
    end
    if #panel > 0 then panels[#panels + 1] = panel end
  end
  if #panels == 0 then return nil end
  local sheet = plot.new(page, 26 + #panels * (PANEL + 54) + 14, languages)
  sheet.is_alone = is_alone
  local scale = plot.log_scale(math.max(lo, LEAST), math.max(hi, LEAST * 10), 60, WIDTH - 20)
  sheet:legend(summary.variant_order, 60, 14)
  for i, panel in ipairs(panels) do draw_panel(sheet, page, panel, 48 + (i - 1) * (PANEL + 54), scale) end
  sheet:text(WIDTH / 2, sheet.height - 4, say.share, "muted", "middle")
  return sheet:svg(say.of_times, is_alone)
end

-- What the Summary holds of a distribution, as a spread from the middle to the tail.
local function spread_rows(summary, field)
  local rows, lo, hi = {}, math.huge, 0
  for _, dataset in ipairs(summary.dataset_order) do
    local is_first = true
    for i, variant in ipairs(summary.variant_order) do
      local d = (cell_of(summary, variant, dataset) or {})[field]
      if d then
        rows[#rows + 1] = { dataset = is_first and dataset or nil, variant = variant, index = i, d = d }
        lo, hi, is_first = math.min(lo, d.p50), math.max(hi, d.p99 or d.p95), false
      end
    end
  end
  return rows, lo, hi
end

--- Half, nineteen of twenty, and 99 of 100 replies were done by then: for pages without the single samples.
-- @tparam string field of a cell: `latency_seconds`, `ttft_seconds`, `tpot_seconds`
function speed.spreads(page, summary, field, languages, is_alone)
  local rows, lo, hi = spread_rows(summary, field)
  if #rows == 0 then return nil end
  local sheet = plot.new(page, #rows * 22 + 40, languages)
  sheet.is_alone = is_alone
  local scale = plot.log_scale(math.max(lo * 0.8, 1e-6), math.max(hi * 1.2, 1e-5), 200, WIDTH - RIGHT)
  sheet:axis(scale, 4, #rows * 22 + 10, function(value) return page:seconds(value):gsub("%.0+ ", " ") .. "" end)
  for i, row in ipairs(rows) do
    local y, color, d = 22 * i - 6, plot.series(row.index), row.d
    if row.dataset then sheet:text(0, y + 4, row.dataset, "strong") end
    sheet:text(188, y + 4, row.variant, "label", "end")
    sheet:line(scale.place(d.p50), y, scale.place(d.p99 or d.p95), y, "bar " .. color)
    sheet:circle(scale.place(d.p50), y, 4.5, color, "p50 " .. page:seconds(d.p50))
    sheet:line(scale.place(d.p95), y - 5, scale.place(d.p95), y + 5, "bar " .. color, "p95 " .. page:seconds(d.p95))
    sheet:text(WIDTH - RIGHT + 12, y + 4, ("%s · %s"):format(page:seconds(d.p50), page:seconds(d.p95)), "muted")
  end
  return sheet:svg(say.of_times, is_alone)
end

-- ---- throughput ---------------------------------------------------------------------------------------------------

--- Questions answered in a second; the longest bar of every dataset is the fastest variant.
function speed.throughput(page, summary, languages, is_alone)
  local rows = {}
  for _, dataset in ipairs(summary.dataset_order) do
    local most, first = 0, true
    for _, variant in ipairs(summary.variant_order) do
      most = math.max(most, (cell_of(summary, variant, dataset) or {}).questions_per_second or 0)
    end
    for i, variant in ipairs(summary.variant_order) do
      local cell = cell_of(summary, variant, dataset)
      if cell and cell.questions_per_second then
        rows[#rows + 1] = { dataset = first and dataset or nil, variant = variant, index = i, cell = cell, most = most }
        first = false
      end
    end
  end
  if #rows == 0 then return nil end
  local sheet = plot.new(page, #rows * 24 + 8, languages)
  sheet.is_alone = is_alone
  for i, row in ipairs(rows) do
    local y = 24 * (i - 1) + 4
    local width = row.cell.questions_per_second / row.most * (WIDTH - 200 - 210)
    if row.dataset then sheet:text(0, y + 14, row.dataset, "strong") end
    sheet:text(188, y + 14, row.variant, "label", "end")
    sheet:rect(200, y + 3, width, 15, plot.series(row.index))
    local label = page:fill(say.per_second, { n = page:rate(row.cell.questions_per_second) })
    if row.cell.tokens_per_second then
      local more = page:fill(say.tokens, { n = page:rate(row.cell.tokens_per_second) })
      label = { en = label.en .. " · " .. more.en, zh = label.zh .. " · " .. more.zh }
    end
    sheet:label(208 + width, y + 14, label, "muted")
  end
  return sheet:svg(say.of_throughput, is_alone)
end

-- ---- serving figures ----------------------------------------------------------------------------------------------

local SERVING_LEFT = 200 -- the names of the axes are long

local function draw_axis_row(sheet, page, summary, axis, y, scale)
  local serving = summary.verdict.serving
  sheet:label(SERVING_LEFT - 12, y + 16, say.axes[axis.name] or axis.name, "label", "end")
  if not axis.measured then return sheet:text(SERVING_LEFT, y + 16, say.not_measured, "muted") end
  local n = 0
  for i, variant in ipairs(summary.variant_order) do
    local one = variant ~= summary.baseline and (serving.variants[variant] or {})[axis.name]
    if one and one.ratio then
      local at, color = y + 8 + 7 * n, plot.series(i)
      local tip = ("%s: %s×"):format(variant, page:decimal(one.ratio, 2))
      if one.interval and one.interval[1] and one.interval[2] then
        tip = ("%s [%s, %s]"):format(tip, page:decimal(one.interval[1], 2), page:decimal(one.interval[2], 2))
        sheet:line(scale.place(one.interval[1]), at, scale.place(one.interval[2]), at, "bar " .. color, tip)
      end
      sheet:circle(scale.place(one.ratio), at, 4, color, tip)
      n = n + 1
    end
  end
  sheet:text(WIDTH - 40, y + 16, axis.better == "higher" and "→ +" or "+ ←", "muted")
end

--- Every serving figure as a ratio to the baseline; the arrow at the right shows which way is better.
function speed.serving(page, summary, languages, is_alone)
  local serving = summary.verdict and summary.verdict.serving
  if not serving or #summary.variant_order < 2 then return nil end
  local lo, hi, any = 0.9, 1.1, false
  for _, variant in ipairs(summary.variant_order) do
    for _, one in pairs(serving.variants[variant] or {}) do
      if type(one) == "table" and one.ratio and one.ratio > 0 then lo, hi, any = math.min(lo, one.ratio), math.max(hi, one.ratio), true end
    end
  end
  if not any then return nil end
  local row_height = math.max(26, 10 + 7 * (#summary.variant_order - 1))
  local bottom = 28 + row_height * #serving.axes
  local sheet = plot.new(page, bottom + 42, languages)
  sheet.is_alone = is_alone
  local scale = plot.log_scale(lo * 0.93, hi * 1.07, SERVING_LEFT, WIDTH - 60)
  scale.ticks = {}
  for _, value in ipairs { 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10 } do
    if value >= scale.lo and value <= scale.hi then scale.ticks[#scale.ticks + 1] = value end
  end
  sheet:axis(scale, 24, bottom, function(value) return ("%s×"):format(("%.2f"):format(value):gsub("%.?0+$", "")) end)
  sheet:line(scale.place(1), 24, scale.place(1), bottom, "zero")
  sheet:legend(summary.variant_order, SERVING_LEFT, 14)
  for i, axis in ipairs(serving.axes) do draw_axis_row(sheet, page, summary, axis, 24 + row_height * (i - 1), scale) end
  sheet:text((SERVING_LEFT + WIDTH - 60) / 2, bottom + 34, say.ratio, "muted", "middle")
  return sheet:svg(say.of_serving, is_alone)
end

-- ---- the choice ---------------------------------------------------------------------------------------------------

-- Without a verdict: the mean difference over the datasets, and the geometric mean of the throughputs' ratios.
local function measured_point(summary, variant)
  local difference, log_ratio, n = 0, 0, 0
  for _, dataset in ipairs(summary.dataset_order) do
    local cell, base = cell_of(summary, variant, dataset), cell_of(summary, summary.baseline, dataset)
    local d = cell and cell.against_baseline
    if not (d and d.difference_pt and cell.questions_per_second and base and base.questions_per_second) then return nil end
    difference, n = difference + d.difference_pt, n + 1
    log_ratio = log_ratio + math.log(cell.questions_per_second / base.questions_per_second)
  end
  return n > 0 and { y = difference / n, x = math.exp(log_ratio / n) } or nil
end

local function choice_points(summary)
  local points, verdict = {}, summary.verdict
  local members = {}
  for _, name in ipairs(verdict and verdict.pareto and verdict.pareto.members or {}) do members[name] = true end
  for i, variant in ipairs(summary.variant_order) do
    local point
    local judged = verdict and verdict.variants and verdict.variants[variant]
    local serving = verdict and verdict.serving and (verdict.serving.variants or {})[variant]
    local faster = serving and serving.throughput
    if variant == summary.baseline then
      point = { x = 1, y = 0 }
    elseif judged and judged.suite and faster and faster.ratio then
      point = { x = faster.ratio, y = judged.suite.difference_pt, y_bounds = judged.suite.interval_pt, x_bounds = faster.interval }
    else
      point = measured_point(summary, variant)
    end
    if point then
      point.variant, point.index, point.is_member = variant, i, members[variant] or not (verdict and verdict.pareto)
      points[#points + 1] = point
    end
  end
  return points
end

local function draw_choice(sheet, page, point, across, up)
  local x, y, color = across.place(point.x), up.place(point.y), plot.series(point.index)
  local tip = ("%s: %s×, %s"):format(point.variant, page:decimal(point.x, 2), page:signed_interval(point.y, point.y_bounds, 2))
  if point.y_bounds then sheet:line(x, up.place(point.y_bounds[1]), x, up.place(point.y_bounds[2]), "bar " .. color, tip) end
  if point.x_bounds and point.x_bounds[1] and point.x_bounds[2] then
    sheet:line(across.place(point.x_bounds[1]), y, across.place(point.x_bounds[2]), y, "bar " .. color, tip)
  end
  sheet:circle(x, y, 7, point.is_member and color or "hollow " .. color, tip)
  local at_right = x > WIDTH - 110
  sheet:text(at_right and x - 12 or x + 12, y - 8, point.variant, "strong", at_right and "end" or nil)
end

--- Accuracy against throughput: up and to the right is better; hollow is what is not in the Pareto set.
function speed.pareto(page, summary, languages, is_alone)
  local points = choice_points(summary)
  if #points < 2 then return nil end
  local lo_x, hi_x, lo_y, hi_y = 1, 1, 0, 0
  for _, point in ipairs(points) do
    lo_x, hi_x = math.min(lo_x, point.x), math.max(hi_x, point.x)
    local bounds = point.y_bounds or { point.y, point.y }
    lo_y, hi_y = math.min(lo_y, bounds[1]), math.max(hi_y, bounds[2])
  end
  local margin = summary.verdict and summary.verdict.plan and summary.verdict.plan.margin_pt
  if margin then lo_y = math.min(lo_y, -margin) end
  local room = math.max((hi_x - lo_x) * 0.15, 0.05)
  local across = plot.scale(math.max(0, lo_x - room), hi_x + room, 70, WIDTH - 20)
  local up = plot.scale(lo_y - (hi_y - lo_y) * 0.12 - 0.1, hi_y + (hi_y - lo_y) * 0.15 + 0.1, 280, 24)
  local sheet = plot.new(page, 330, languages)
  sheet.is_alone = is_alone
  sheet:axis(across, 24, 280, function(value) return page:decimal(value, math.max(1, across.decimals)) .. "×" end)
  for _, value in ipairs(up.ticks) do
    sheet:line(70, up.place(value), WIDTH - 20, up.place(value), "grid")
    sheet:text(62, up.place(value) + 4, page:signed(value, up.decimals), "tick", "end")
  end
  if margin then
    sheet:rect(70, up.place(-margin), WIDTH - 90, 280 - up.place(-margin), "beyond")
    sheet:line(70, up.place(-margin), WIDTH - 20, up.place(-margin), "limit")
  end
  for _, point in ipairs(points) do draw_choice(sheet, page, point, across, up) end
  sheet:text(70, 14, say.difference, "muted")
  sheet:text(WIDTH - 20, 318, say.faster, "muted", "end")
  return sheet:svg(say.of_pareto, is_alone)
end

-- ---- the course of the run ----------------------------------------------------------------------------------------

--- When which variant was asked what, with marks where requests were sent again or failed.
-- @tparam table timeline of `page.samples:timeline()`
function speed.course(page, summary, timeline, languages, is_alone)
  if #timeline.phases == 0 then return nil end
  local last = 0
  for _, phase in ipairs(timeline.phases) do last = math.max(last, phase.to) end
  local names, row_of = {}, {}
  local function add_row(name)
    if row_of[name] then return end
    names[#names + 1], row_of[name] = name, #names + 1
  end
  for _, variant in ipairs(summary.variant_order) do add_row(variant) end
  for _, phase in ipairs(timeline.phases) do add_row(phase.variant) end -- the control is no variant
  local height = 44 + 34 * #names
  local sheet = plot.new(page, height, languages)
  sheet.is_alone = is_alone
  local scale = plot.time_scale(math.max(last, 1), LEFT, WIDTH - 20)
  sheet:axis(scale, 4, height - 40, function(value) return page:span(value) end)
  for i, variant in ipairs(names) do sheet:text(LEFT - 12, 34 * (i - 1) + 25, variant, "label", "end") end
  local dataset_index = {}
  for i, dataset in ipairs(summary.dataset_order) do dataset_index[dataset] = i end
  for _, phase in ipairs(timeline.phases) do
    local row = row_of[phase.variant]
    if row then
      local x, width, y = scale.place(phase.from), scale.place(phase.to) - scale.place(phase.from), 34 * (row - 1) + 10
      local opacity = ({ 0.9, 0.65, 0.42 })[((dataset_index[phase.dataset] or 1) - 1) % 3 + 1]
      sheet:rect(x, y, math.max(width - 1, 1), 18, plot.series(row), ("%s · %s: %s, %s"):format(phase.variant, phase.dataset,
        page:span(phase.to - phase.from), page:count(phase.asked)), opacity)
      if width > 8 * #phase.dataset + 12 then sheet:text(x + 5, y + 13, phase.dataset, "label") end
    end
  end
  local drawn = {}
  for _, event in ipairs(timeline.events) do
    local row = row_of[event.variant]
    local x = math.floor(scale.place(event.at))
    if row and not drawn[row * 10000 + x] then -- one mark for each unit of width
      drawn[row * 10000 + x] = true
      sheet:line(x, 34 * (row - 1) + 30, x, 34 * (row - 1) + 36, "limit", event.kind)
    end
  end
  if #timeline.events > 0 then sheet:text(WIDTH - 20, height - 6, say.events, "muted", "end") end
  return sheet:svg(say.of_course, is_alone)
end

return speed
