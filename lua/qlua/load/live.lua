-- SPDX-License-Identifier: Apache-2.0
--- Live: what a load measurement shows of itself while it runs.
--
-- On a terminal one block, redrawn a few times a second: how far it is, rate and requests in flight, time to first token and between
-- tokens of the last second with their course, errors, and the GPUs. Elsewhere plain lines, one when a phase starts, one every ten seconds
-- at the latest, one at the end. It sees whole replies only, so nothing that it does can touch a stamp. The figures are a view, not
-- the result: percentiles of what ended within a second, which favour what is fast while a load begins. Clock and output are handed in.

local clean = require "qlua.page.clean"
local format = require "qlua.page.format"
local locale = require "qlua.locale"
local tables = require "qlua.table"
local text = require "qlua.core.text"

local live = {}
live.__index = live

local SECOND, REDRAW_NS, LINE_NS = 1000000000, 200000000, 10000000000
local BOLD, RED, PLAIN = "\27[1m", "\27[31m", "\27[0m"
--- Slices of a course, each a second.
live.COURSE = 24

local say = {
  rate = { en = "%s req/s", zh = "%s 请求/秒" }, tokens = { en = "%s tok/s", zh = "%s 词元/秒" },
  flight = { en = "%s in flight", zh = "在途 %s" }, errors = { en = "errors %s", zh = "出错 %s" },
  ttft = { en = "TTFT", zh = "首词元" }, itl = { en = "ITL ", zh = "间隔  " },
  quantiles = { en = "p50 %s  p99 %s", zh = "p50 %s  p99 %s" },
  gpu = { en = "GPU %d  %s GiB  %s W", zh = "GPU %d  %s GiB  %s W" },
  start = { en = "%s %s: replicate %d of %d", zh = "%s %s：第 %d/%d 次" },
  done = { en = "%s %s: %s requests in %s", zh = "%s %s：%s 个请求，用时 %s" },
  comma = { en = ", ", zh = "，" },
}

--- @tparam table options as of `qlua.progress`, and `gpu()` → list of `{ index, memory_bytes, power_w }` or nil
function live.new(options)
  return setmetatable({ fd = options.fd or 2, is_tty = options.tty, width = options.width or 80, color = options.color,
    ascii = not options.utf8, language = options.language == "zh" and "zh" or "en", gpu = options.gpu,
    now_ns = options.now_ns or require("qlua.core.clock").now_ns, write = options.write or require("qlua.core.term").write,
    drawn = {} }, live)
end

local function phrase(self, name, ...) return locale.sides(say[name], self.language)[1]:format(...) end

-- ---- figures ----------------------------------------------------------------------------------------------------

local function new_slice() return { ttft = {}, itl = {}, done = 0, tokens = 0 } end

local function quantile(sorted, q)
  local n = #sorted
  if n == 0 then return nil end
  return sorted[math.max(1, math.ceil(q * n))]
end

-- The second that has just ended becomes a point of each course.
local function close_slice(self)
  local p, slice = self.current, self.current.slice
  for _, name in ipairs { "ttft", "itl" } do
    table.sort(slice[name])
    local course = p.course[name]
    local point = { p50 = quantile(slice[name], 0.5), p99 = quantile(slice[name], 0.99) }
    course[#course + 1] = point
    if point.p50 then p.last[name] = point end
    if #course > live.COURSE then table.remove(course, 1) end
  end
  p.rate, p.token_rate = slice.done, slice.tokens
  p.slice, p.slice_ns = new_slice(), p.slice_ns + SECOND
end

local function roll(self)
  local p, now = self.current, self.now_ns()
  if now - p.slice_ns > live.COURSE * SECOND then p.slice_ns = now - live.COURSE * SECOND end
  while now - p.slice_ns >= SECOND do close_slice(self) end
end

local BARS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }
local ASCII_BARS = { "_", ".", "-", "=", "+", "*", "%", "#" }

--- A course as one character per second, from its own lowest to its highest; a blank where nothing ended.
-- @tparam {number|false,...} values
-- @tparam boolean ascii
function live.sparkline(values, ascii)
  local lo, hi = math.huge, -math.huge
  for _, value in ipairs(values) do
    if value then lo, hi = math.min(lo, value), math.max(hi, value) end
  end
  local bars, parts = ascii and ASCII_BARS or BARS, {}
  for i, value in ipairs(values) do
    local level = value and (hi > lo and math.floor((value - lo) / (hi - lo) * 7 + 0.5) or 0)
    parts[i] = level and bars[level + 1] or " "
  end
  return table.concat(parts)
end

local function missing(self) return self.ascii and "-" or "–" end
local function milliseconds(self, ns) return ns and ("%.1f ms"):format(ns / 1e6) or missing(self) end

local function course_line(self, name)
  local p, values = self.current, {}
  local last = p.last[name]
  for i, point in ipairs(p.course[name]) do values[i] = point.p50 or false end
  local figures = last and phrase(self, "quantiles", milliseconds(self, last.p50), milliseconds(self, last.p99)) or "…"
  return ("%s  %s  %s"):format(phrase(self, name), live.sparkline(values, self.ascii), self.ascii and figures:gsub("…", "...") or figures)
end

local function share_of(p, now)
  if p.planned then return math.min(1, p.done / math.max(1, p.planned)) end
  return p.seconds and p.seconds > 0 and math.min(1, (now - p.start_ns) / 1e9 / p.seconds) or 0
end

local function bar(self, share, columns)
  local full = math.floor(share * columns)
  if self.ascii then return "[" .. ("#"):rep(full) .. ("."):rep(columns - full) .. "]" end
  return ("█"):rep(full) .. ("░"):rep(columns - full)
end

local function gpu_lines(self, lines)
  local p, now = self.current, self.now_ns()
  if self.gpu and now - (p.gpu_ns or 0) >= SECOND then p.gpu_now, p.gpu_ns = self.gpu(), now end
  for _, device in ipairs(p.gpu_now or {}) do
    lines[#lines + 1] = phrase(self, "gpu", device.index,
      device.memory_bytes and ("%.1f"):format(device.memory_bytes / 2 ^ 30) or missing(self),
      device.power_w and ("%.0f"):format(device.power_w) or missing(self))
  end
end

local function counts(self)
  local p = self.current
  local list = { phrase(self, "rate", format.count(p.rate or 0)),
    phrase(self, "flight", format.count(math.min(p.window or math.huge, p.sent - p.done))) }
  if (p.token_rate or 0) > 0 then list[#list + 1] = phrase(self, "tokens", format.count(p.token_rate)) end
  list[#list + 1] = phrase(self, "errors", format.count(p.errors))
  return list
end

local function block(self, room)
  local p, now = self.current, self.now_ns()
  local head = ("%s  %s  %s"):format(p.variant, p.point, p.planned and ("%s/%s"):format(format.count(p.done), format.count(p.planned))
    or format.count(p.done))
  local free = room - text.width(head) - 4
  if free >= 10 then head = head .. "  " .. bar(self, share_of(p, now), math.min(free - 2, 30)) end
  local lines = { head, table.concat(counts(self), "  "), course_line(self, "ttft"), course_line(self, "itl") }
  gpu_lines(self, lines)
  for i, line in ipairs(lines) do lines[i] = tables.cut(line, room, self.ascii and "..." or "…") end
  return lines
end

-- ---- the terminal -------------------------------------------------------------------------------------------------

local function erased(self)
  local rows = 0
  for _, width in ipairs(self.drawn) do rows = rows + math.max(1, (width + self.width - 1) // self.width) end
  self.drawn = {}
  if rows == 0 then return "" end
  return "\r" .. (rows > 1 and ("\27[%dA"):format(rows - 1) or "") .. "\27[J"
end

local function draw(self)
  local lines, widths, out = block(self, math.max(self.width - 1, 8)), {}, {}
  local before = erased(self)
  for i, line in ipairs(lines) do
    widths[i] = text.width(line)
    local style = self.color and (i == 1 and BOLD or i == 2 and self.current.errors > 0 and RED)
    out[i] = style and style .. line .. PLAIN or line
  end
  self.write(self.fd, before .. table.concat(out, "\n"))
  self.drawn, self.drawn_ns = widths, self.now_ns()
end

local function plain_line(self)
  local p = self.current
  local list = counts(self)
  for _, name in ipairs { "ttft", "itl" } do
    local last = p.last[name]
    if last then
      list[#list + 1] = ("%s %s"):format(phrase(self, name):gsub(" +$", ""),
        phrase(self, "quantiles", milliseconds(self, last.p50), milliseconds(self, last.p99)))
    end
  end
  return ("%s %s: %s"):format(p.variant, p.point, table.concat(list, phrase(self, "comma"))) .. "\n"
end

local function show(self)
  local p, now = self.current, self.now_ns()
  roll(self)
  if self.is_tty then
    if #self.drawn == 0 or now - self.drawn_ns >= REDRAW_NS then draw(self) end
  elseif now - p.line_ns >= LINE_NS then
    p.line_ns = now
    self.write(self.fd, plain_line(self))
  end
end

-- ---- what a run calls ---------------------------------------------------------------------------------------------

--- A measurement begins.
-- @tparam string variant
-- @tparam string point
-- @tparam integer replicate
-- @tparam integer replicates
-- @tparam table planned `{ count, seconds, window }`: what is known of its extent; of a closed loop the most in flight, since as many
-- again are ready
function live:phase(variant, point, replicate, replicates, planned)
  self:finish()
  local now = self.now_ns()
  self.current = { variant = clean.line(variant), point = clean.line(point), planned = planned.count, seconds = planned.seconds,
    window = planned.window, sent = 0,
    done = 0, errors = 0, start_ns = now, line_ns = now, slice_ns = now, slice = new_slice(), course = { ttft = {}, itl = {} }, last = {} }
  if replicates > 1 then self.current.point = ("%s  %d/%d"):format(self.current.point, replicate, replicates) end
  if self.is_tty then return draw(self) end
  self.write(self.fd, phrase(self, "start", self.current.variant, clean.line(point), replicate, replicates) .. "\n")
end

--- A request was handed over. Those of an open loop are handed over ahead of their time, so they count once they are due.
-- @tparam[opt] integer due_ns
function live:sent(due_ns)
  local p = self.current
  if not p then return end
  if due_ns then
    p.dues = p.dues or {}
    p.dues[#p.dues + 1] = due_ns
  else
    p.sent = p.sent + 1
  end
end

-- Due times come in order.
local function take_due(p, now)
  if not p.dues then return end
  p.due_at = p.due_at or 1
  while p.dues[p.due_at] and p.dues[p.due_at] <= now do p.sent, p.due_at = p.sent + 1, p.due_at + 1 end
end

--- A reply came.
-- @tparam table one its row
-- @tparam table figures of `qlua.load.metrics`
function live:row(one, figures)
  local p = self.current
  if not p then return end
  p.done = p.done + 1
  if one.outcome ~= "ok" then
    p.errors = p.errors + 1
  else
    roll(self)
    local slice = p.slice
    slice.done, slice.tokens = slice.done + 1, slice.tokens + (figures.tokens or 0)
    slice.ttft[#slice.ttft + 1] = figures.ttft
    for _, gap in ipairs(figures.gaps or {}) do
      if #slice.itl < 4096 then slice.itl[#slice.itl + 1] = gap end
    end
  end
  self:tick()
end

--- Time has passed; cheap enough to call ten times a second.
function live:tick()
  local p = self.current
  if not p then return end
  take_due(p, self.now_ns())
  p.sent = math.max(p.sent, p.done)
  show(self)
end

--- The terminal has another width now.
function live:resize(width)
  if not width or width < 1 then return end
  self.width = width
  if self.is_tty and self.current then draw(self) end
end

--- A line for the user, above the block.
function live:message(message)
  local lines = clean.lines(locale.sides(message, self.language)[1]) .. "\n"
  self.write(self.fd, self.is_tty and erased(self) .. lines or lines)
  if self.is_tty and self.current then draw(self) end
end

--- The measurement is over: the block gives way to one line that stays.
function live:finish()
  local p = self.current
  if not p then return end
  roll(self)
  local line = phrase(self, "done", p.variant, p.point, format.count(p.done), format.span((self.now_ns() - p.start_ns) / 1e9))
  if p.errors > 0 then line = line .. phrase(self, "comma") .. phrase(self, "errors", format.count(p.errors)) end
  if self.is_tty then line = erased(self) .. tables.cut(line, math.max(self.width - 1, 8), self.ascii and "..." or "…") end
  self.write(self.fd, line .. "\n")
  self.current = nil
end

return live
