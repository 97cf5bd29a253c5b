-- SPDX-License-Identifier: Apache-2.0
--- Plot: a sheet to draw on, that becomes SVG. Pure: the same calls give the same text.
--
-- Plain SVG without a library: a report has ten kinds of simple drawings, must work without a network and without
-- running anything, and the same drawings stand as files beside the Markdown report. Colours come from classes
-- (`colors.css`, `plot.css`), so that one drawing serves the light and the dark scheme.
-- Texts are data or pairs; a pair is drawn once for each way to show languages, and CSS picks.
local plot = {}
plot.__index = plot

--- How wide every drawing is, in its own units.
plot.WIDTH = 700

--- @tparam table page the page that the drawing is for: it makes texts literal and holds the styles
-- @tparam number height
-- @tparam {string,…} languages those to be drawn
function plot.new(page, height, languages)
  return setmetatable({ page = page, height = height, languages = languages, parts = {} }, plot)
end

local function number(x)
  local text = ("%.1f"):format(x):gsub("%.0$", "")
  return text == "-0" and "0" or text
end

local function add(self, part) self.parts[#self.parts + 1] = part end

local function joined(self, say, languages)
  if type(say) == "string" then return say end
  local sides = {}
  for i, language in ipairs(languages or self.languages) do sides[i] = say[language] end
  if sides[2] == sides[1] then sides[2] = nil end
  return table.concat(sides, " / ")
end

local function tip_of(self, tip)
  return tip and ("<title>%s</title>"):format(self.page:literal(joined(self, tip))) or ""
end

--- A shape: its element, its attributes in the order given, its class, and a tip that shows under the pointer.
local function shape(self, element, attributes, class, tip)
  local parts = {}
  for i = 1, #attributes, 2 do
    local value = attributes[i + 1]
    parts[#parts + 1] = (' %s="%s"'):format(attributes[i], type(value) == "number" and number(value) or value)
  end
  add(self, ('<%s class="%s"%s>%s</%s>'):format(element, class, table.concat(parts), tip_of(self, tip), element))
end

function plot:line(x1, y1, x2, y2, class, tip) shape(self, "line", { "x1", x1, "y1", y1, "x2", x2, "y2", y2 }, class, tip) end

--- @tparam[opt] number opacity 0 to 1
function plot:rect(x, y, width, height, class, tip, opacity)
  local attributes = { "x", x, "y", y, "width", math.max(0, width), "height", math.max(0, height) }
  if opacity then attributes[#attributes + 1], attributes[#attributes + 2] = "fill-opacity", ("%.2f"):format(opacity) end
  shape(self, "rect", attributes, class, tip)
end

function plot:circle(x, y, r, class, tip) shape(self, "circle", { "cx", x, "cy", y, "r", r }, class, tip) end

--- A line through points `{ { x, y }, … }`.
function plot:path(points, class, tip)
  local parts = {}
  for i, point in ipairs(points) do parts[i] = number(point[1]) .. "," .. number(point[2]) end
  shape(self, "polyline", { "points", table.concat(parts, " ") }, class, tip)
end

--- A diamond, for what sums others up.
function plot:diamond(x, y, r, class, tip)
  shape(self, "polygon", { "points", ("%s,%s %s,%s %s,%s %s,%s"):format(number(x - r), number(y), number(x), number(y - r),
    number(x + r), number(y), number(x), number(y + r)) }, class, tip)
end

--- @tparam string|table say data, or a pair
-- @tparam[opt="start"] string anchor start, middle or end
function plot:text(x, y, say, class, anchor)
  local function put(text, shown)
    add(self, ('<text class="%s" x="%s" y="%s"%s%s>%s</text>'):format(class or "label", number(x), number(y),
      anchor and (' text-anchor="%s"'):format(anchor) or "", shown and (' data-shown="%s"'):format(shown) or "",
      self.page:literal(text)))
  end
  if type(say) == "string" or say.en == say.zh or #self.languages == 1 or self.is_alone then return put(joined(self, say)) end
  put(say.en, "en")
  put(say.zh, "zh")
  put(joined(self, say), "both")
end

--- A label in a narrow place: both languages stand one above the other.
function plot:label(x, y, say, class, anchor)
  local two = type(say) == "table" and say.en ~= say.zh and #self.languages == 2
  if not two then return self:text(x, y, say, class, anchor) end
  local function put(text, at, style, shown)
    add(self, ('<text class="%s" x="%s" y="%s"%s%s>%s</text>'):format(style, number(x), number(at),
      anchor and (' text-anchor="%s"'):format(anchor) or "", shown and (' data-shown="%s"'):format(shown) or "",
      self.page:literal(text)))
  end
  local both = not self.is_alone and "both" or nil
  if not self.is_alone then
    put(say.en, y, class, "en")
    put(say.zh, y, class, "zh")
  end
  put(say.en, y - 6, class .. " close", both)
  put(say.zh, y + 6, class .. " close", both)
end

--- Names of variants with their colours, in a row.
-- @treturn number how high they are
function plot:legend(names, x, y)
  local at = x
  for i, name in ipairs(names) do
    local width = 30 + 7.2 * utf8.len(name)
    if at + width > plot.WIDTH and at > x then at, y = x, y + 18 end
    self:rect(at, y - 9, 12, 10, plot.series(i))
    self:text(at + 17, y, name, "label")
    at = at + width
  end
  return y
end

--- The class of the i-th variant's colour.
function plot.series(i) return "s" .. (i - 1) % 6 + 1 end

--- The drawing.
-- @tparam table say what it shows, in words, for those who do not see it
-- @tparam boolean is_alone whether it is a file of its own and brings its style
function plot:svg(say, is_alone)
  local style = is_alone
    and ("<style>%s\n%s</style>"):format(self.page:asset "drawings/colors.css", self.page:asset "drawings/plot.css") or ""
  local frame = '<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 %d %s" role="img" aria-label="%s"%s>%s%s\n%s\n</svg>\n'
  return frame:format(plot.WIDTH, number(self.height), self.page:literal(joined(self, say)),
    is_alone and (' width="%d" height="%s"'):format(plot.WIDTH, number(self.height)) or "", style,
    is_alone and '<rect class="paper" width="100%" height="100%"></rect>' or "", table.concat(self.parts, "\n"))
end

-- ---- scales -----------------------------------------------------------------------------------------------------

local STEPS = { 1, 2, 5, 10 }

-- The round step that makes about `count` ticks.
local function step_for(span, count)
  local raw = span / count
  local power = 10.0 ^ math.floor(math.log(raw, 10))
  for _, step in ipairs(STEPS) do
    if raw <= step * power * 1.0000001 then return step * power end
  end
  return 10 * power
end

--- A linear scale from values to places.
-- @treturn table `{ place = function(value), ticks = { value, … }, decimals }`
function plot.scale(lo, hi, from, to, count)
  if hi <= lo then lo, hi = lo - 1, hi + 1 end
  local step = step_for(hi - lo, count or 6)
  local ticks = {}
  for i = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9) do ticks[#ticks + 1] = i * step end
  return { lo = lo, hi = hi, ticks = ticks, decimals = math.max(0, -math.floor(math.log(step, 10) + 1e-9)),
    place = function(value)
      local inside = math.max(lo, math.min(hi, value))
      return from + (inside - lo) / (hi - lo) * (to - from)
    end }
end

local SECONDS = { 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400 }

--- A scale of seconds from 0, with ticks that are round for a clock.
function plot.time_scale(last, from, to)
  local scale, step = plot.scale(0, last, from, to), 86400 * math.ceil(last / 86400 / 6)
  for i = #SECONDS, 1, -1 do
    if last / SECONDS[i] <= 7 then step = SECONDS[i] end
  end
  scale.ticks = {}
  for i = 0, math.floor(last / step) do scale.ticks[#scale.ticks + 1] = i * step end
  return scale
end

--- A logarithmic scale; both ends are above zero.
function plot.log_scale(lo, hi, from, to)
  if hi <= lo * 1.01 then lo, hi = lo / 2, hi * 2 end
  local a, b = math.log(lo), math.log(hi)
  local decades = math.log(hi / lo, 10)
  local digits = decades > 3.2 and { 1 } or decades > 1.7 and { 1, 3 } or { 1, 2, 5 }
  local ticks = {}
  for power = math.floor(math.log(lo, 10)), math.ceil(math.log(hi, 10)) do
    for _, digit in ipairs(digits) do
      local value = digit * 10.0 ^ power
      if value >= lo * 0.999 and value <= hi * 1.001 then ticks[#ticks + 1] = value end
    end
  end
  return { lo = lo, hi = hi, ticks = ticks, place = function(value)
    local inside = math.max(lo, math.min(hi, value))
    return from + (math.log(inside) - a) / (b - a) * (to - from)
  end }
end

--- Vertical lines and figures of a scale.
function plot:axis(scale, top, bottom, format)
  for _, value in ipairs(scale.ticks) do
    local x = scale.place(value)
    self:line(x, top, x, bottom, "grid")
    self:text(x, bottom + 15, format(value), "tick", "middle")
  end
end

return plot
