-- SPDX-License-Identifier: Apache-2.0
--- Drawings of measurements under load: latency against throughput over the points of a sweep, and the spread of a latency at each
-- point. Each takes the page, the Summary and the languages, and gives SVG or nil.
local plot = require "drawings.plot"

local WIDTH = plot.WIDTH

local load = {}

local say = {
  of_curve = { en = "Latency against throughput, a line for every variant", zh = "时延与吞吐，每个变体一条线" },
  of_spread = { en = "Spread of the time to the first token at every point", zh = "各测点首词元时延的分布" },
  token_rate = { en = "output tokens/s", zh = "输出词元/秒" },
  request_rate = { en = "requests/s", zh = "请求/秒" },
  ttft = { en = "TTFT p95", zh = "TTFT p95" },
  tpot = { en = "TPOT p50", zh = "TPOT p50" },
}
load.say = say

local function seconds(page) return function(value) return page:seconds(value):gsub("%.0+ ", " ") .. "" end end

-- Logarithmic where that has ticks to read it by, else linear.
local function time_scale(lo, hi, from, to)
  if hi / lo < 4 then return plot.scale(lo, hi, from, to, 5) end
  return plot.log_scale(lo, hi, from, to)
end

-- The points of one variant that have both figures, in the order of the axis.
local function line_of(section, variant, across, up)
  local line = {}
  for _, point in ipairs(section.points) do
    local cell = point.axis and point.variants[variant]
    local x, y = cell and cell.means[across], cell and cell.means[up]
    if x and y and x.mean > 0 and y.mean > 0 then line[#line + 1] = { x = x, y = y, label = point.label } end
  end
  return line
end

local function lines_of(summary, across, up)
  local lines, range, most = {}, { lo_x = math.huge, hi_x = 0, lo_y = math.huge, hi_y = 0 }, 0
  for i, variant in ipairs(summary.variant_order) do
    local line = line_of(summary.load, variant, across, up)
    line.index, line.variant = i, variant
    lines[#lines + 1], most = line, math.max(most, #line)
    for _, one in ipairs(line) do
      range.lo_x, range.hi_x = math.min(range.lo_x, one.x.mean), math.max(range.hi_x, one.x.mean)
      range.lo_y, range.hi_y = math.min(range.lo_y, one.y.lo and math.max(one.y.lo, one.y.mean / 4) or one.y.mean),
        math.max(range.hi_y, math.min(one.y.hi or one.y.mean, one.y.mean * 4))
    end
  end
  return most >= 2 and lines or nil, range
end

local function draw_line(sheet, page, line, across, up)
  local color, places = plot.series(line.index), {}
  for i, one in ipairs(line) do places[i] = { across.place(one.x.mean), up.place(one.y.mean) } end
  sheet:path(places, "curve " .. color, line.variant)
  for i, one in ipairs(line) do
    local tip = ("%s · %s: %s, %s"):format(line.variant, one.label, page:rate(one.x.mean), page:seconds(one.y.mean))
    if one.y.lo and one.y.hi then
      sheet:line(places[i][1], up.place(math.max(one.y.lo, up.lo)), places[i][1], up.place(one.y.hi), "bar " .. color, tip)
    end
    sheet:circle(places[i][1], places[i][2], 4, color, tip)
  end
end

local TOP, BOTTOM, LEFT = 40, 280, 74

local function curve(page, summary, across_name, up_name, titles, languages, is_alone)
  local lines, range = lines_of(summary, across_name, up_name)
  if not lines then return nil end
  local across = plot.scale(0, range.hi_x * 1.05, LEFT, WIDTH - 20)
  local up = time_scale(range.lo_y * 0.9, range.hi_y * 1.1, BOTTOM, TOP)
  local sheet = plot.new(page, BOTTOM + 46, languages)
  sheet.is_alone = is_alone
  sheet:legend(summary.variant_order, LEFT, 14)
  sheet:axis(across, TOP, BOTTOM, function(value) return page:decimal(value, across.decimals) end)
  local label = seconds(page)
  for _, value in ipairs(up.ticks) do
    sheet:line(LEFT, up.place(value), WIDTH - 20, up.place(value), "grid")
    sheet:text(LEFT - 8, up.place(value) + 4, label(value), "tick", "end")
  end
  for _, line in ipairs(lines) do draw_line(sheet, page, line, across, up) end
  sheet:text(LEFT, TOP - 8, titles.up, "muted")
  sheet:text(WIDTH - 20, BOTTOM + 34, titles.across, "muted", "end")
  return sheet:svg(say.of_curve, is_alone)
end

local function has_tokens(summary)
  for _, point in ipairs(summary.load.points) do
    for _, cell in pairs(point.variants) do
      if not cell.means.output_tokens_per_second then return false end
    end
  end
  return true
end

--- What more throughput costs in latency: the points of a sweep, TTFT p95 against output tokens (else requests) per second; a bar
-- is the interval from replicates. Nothing for fewer than two points on an axis.
function load.curve(page, summary, languages, is_alone)
  if not summary.load then return nil end
  local across = has_tokens(summary) and "output_tokens_per_second" or "requests_per_second"
  local titles = { up = say.ttft, across = across == "requests_per_second" and say.request_rate or say.token_rate }
  return curve(page, summary, across, "ttft_p95", titles, languages, is_alone)
end

--- The same of the time between tokens.
function load.token_curve(page, summary, languages, is_alone)
  if not summary.load or not has_tokens(summary) then return nil end
  return curve(page, summary, "output_tokens_per_second", "tpot_p50", { up = say.tpot, across = say.token_rate }, languages, is_alone)
end

local function spread_rows(summary)
  local rows, lo, hi = {}, math.huge, 0
  for _, point in ipairs(summary.load.points) do
    local is_first = true
    for i, variant in ipairs(summary.variant_order) do
      local cell = point.variants[variant]
      local d = cell and cell.pooled.ttft_seconds
      if d and d.p50 and d.p95 then
        rows[#rows + 1] = { point = is_first and point.label or nil, variant = variant, index = i, d = d }
        lo, hi, is_first = math.min(lo, d.min, d.p50), math.max(hi, d.p99 or d.p95), false
      end
    end
  end
  return rows, lo, hi
end

--- TTFT at each point: from the least, over half the requests (dot) and nineteen of twenty (bar), to 99 of 100.
function load.spread(page, summary, languages, is_alone)
  if not summary.load then return nil end
  local rows, lo, hi = spread_rows(summary)
  if #rows == 0 then return nil end
  local sheet = plot.new(page, #rows * 22 + 40, languages)
  sheet.is_alone = is_alone
  local scale = time_scale(math.max(lo * 0.9, 1e-6), math.max(hi * 1.1, 1e-5), 250, WIDTH - 130)
  sheet:axis(scale, 4, #rows * 22 + 10, seconds(page))
  for i, row in ipairs(rows) do
    local y, color, d = 22 * i - 6, plot.series(row.index), row.d
    if row.point then sheet:text(0, y + 4, row.point, "strong") end
    sheet:text(240, y + 4, row.variant, "label", "end")
    sheet:line(scale.place(math.max(d.min, 1e-6)), y, scale.place(d.p99 or d.p95), y, "bar " .. color)
    sheet:circle(scale.place(d.p50), y, 4.5, color, "p50 " .. page:seconds(d.p50))
    sheet:line(scale.place(d.p95), y - 5, scale.place(d.p95), y + 5, "bar " .. color, "p95 " .. page:seconds(d.p95))
    sheet:text(WIDTH - 118, y + 4, ("%s · %s"):format(page:seconds(d.p50), page:seconds(d.p95)), "muted")
  end
  return sheet:svg(say.of_spread, is_alone)
end

return load
