-- SPDX-License-Identifier: Apache-2.0
--- Progress: what a run shows of itself while it runs.
--
-- On a terminal one live block, redrawn at most ten times a second, erased before anything else is printed and
-- never wider than the terminal less one column (a full last column makes some terminals wrap). Elsewhere plain
-- lines: one when a phase starts, one at each tenth but not within a second of the last, one every ten seconds
-- at the latest, one at the end. Clock and output are handed in, so that all of this can be tested.
--
-- A phase is one variant on one dataset. `tick` takes totals of the phase, not increments. A resumed run ticks
-- through the answers it finds in its store; they are part of `done` and `correct`, but not of `asked` and `tokens`, and
-- so not of the rates.
local clean = require "qlua.page.clean"
local format = require "qlua.page.format"
local locale = require "qlua.locale"
local tables = require "qlua.table"
local text = require "qlua.core.text"

local progress = {}
progress.__index = progress

local REDRAW_NS = 100 * 1000000
local LINE_NS, STEP_NS = 10 * 1000000000, 1000000000
local BOLD, RED, PLAIN = "\27[1m", "\27[31m", "\27[0m"

local say = {
  rate = { en = "%s q/s", zh = "%s 题/秒" },
  tokens = { en = "%s tok/s", zh = "%s 词元/秒" },
  left = { en = "%s left", zh = "剩余 %s" },
  accuracy = { en = "accuracy %s", zh = "准确率 %s" },
  errors = { en = "errors %s", zh = "出错 %s" },
  start = { en = "%s %s: %s questions", zh = "%s %s：共 %s 题" },
  resumed = { en = ", %s already answered", zh = "，已有 %s 题作答" },
  finished = { en = "done in %s", zh = "完成，用时 %s" },
  comma = { en = ", ", zh = "，" },
  line = { en = "%s %s: %s", zh = "%s %s：%s" },
  stopped = { en = "stopped after %s", zh = "已停止，用时 %s" },
}

--- A new progress display.
-- @tparam table options `fd` (2), `tty`, `width` (80), `color`, `utf8`, `language` (`en`; `both` shows English),
-- `now_ns` and `write(fd, text)` for tests
function progress.new(options)
  local self = {
    fd = options.fd or 2, is_tty = options.tty, width = options.width or 80, color = options.color,
    ascii = not options.utf8, language = options.language == "zh" and "zh" or "en",
    now_ns = options.now_ns or require("qlua.core.clock").now_ns,
    write = options.write or require("qlua.core.term").write,
    drawn = {}, -- display widths of the lines now on the terminal
  }
  return setmetatable(self, progress)
end

local function phrase(self, name, ...) return locale.sides(say[name], self.language)[1]:format(...) end

-- ---- what there is to say --------------------------------------------------------------------------------------

-- Questions and tokens per second since the phase began, or nil in its first instant.
local function rates(self)
  local p, seconds = self.current, (self.now_ns() - self.current.start_ns) / 1e9
  if seconds <= 0 or p.asked <= 0 then return nil end
  return p.asked / seconds, p.tokens > 0 and p.tokens / seconds or nil
end

local function bar(self, columns)
  local p = self.current
  local share = p.total > 0 and math.min(1, p.done / p.total) or 0
  local full = math.floor(share * columns)
  if self.ascii then return "[" .. ("#"):rep(full) .. ("."):rep(columns - full) .. "]" end
  return ("█"):rep(full) .. ("░"):rep(columns - full)
end

local function share_text(p) return ("%d %%"):format(p.total > 0 and math.floor(100 * p.done / p.total) or 0) end

local function count_text(p) return ("%s/%s"):format(format.count(p.done), format.count(p.total)) end

-- The figures, most wanted first: on a narrow terminal the last ones go to the next line.
local function figures(self)
  local p, list = self.current, {}
  local rate, token_rate = rates(self)
  if rate then list[#list + 1] = phrase(self, "rate", format.rate(rate)) end
  if rate and p.done < p.total then list[#list + 1] = phrase(self, "left", format.span((p.total - p.done) / rate)) end
  local judged = p.done - p.errors
  if judged > 0 then list[#list + 1] = phrase(self, "accuracy", format.percent(p.correct / judged)) end
  list[#list + 1] = phrase(self, "errors", format.count(p.errors))
  if token_rate then list[#list + 1] = phrase(self, "tokens", format.rate(token_rate)) end
  return list
end

-- ---- the live block --------------------------------------------------------------------------------------------

-- The block's lines as plain text, each at most `room` columns wide.
local function block(self, room)
  local p, mark = self.current, self.ascii and "..." or "…"
  local counts = ("%s  %s"):format(count_text(p), share_text(p))
  local name = ("%s  %s"):format(p.variant, p.dataset)
  local free = room - text.width(name) - text.width(counts) - 4
  local lines = {}
  if free >= 10 then
    lines[1] = ("%s  %s  %s"):format(name, bar(self, math.min(free - (self.ascii and 2 or 0), 30)), counts)
  else
    lines[1] = tables.cut(name, room, mark)
    local columns = room - text.width(counts) - 2 - (self.ascii and 2 or 0)
    lines[2] = columns >= 5 and ("%s  %s"):format(bar(self, math.min(columns, 30)), counts) or tables.cut(counts, room, mark)
  end
  local line = ""
  for _, figure in ipairs(figures(self)) do
    figure = tables.cut(figure, room, mark)
    local longer = line == "" and figure or line .. "  " .. figure
    if text.width(longer) > room then lines[#lines + 1], line = line, figure else line = longer end
  end
  lines[#lines + 1] = line
  return lines
end

-- A terminal that was made narrower has wrapped what was drawn, so rows are counted at its present width.
local function rows_drawn(self)
  local rows = 0
  for _, width in ipairs(self.drawn) do rows = rows + math.max(1, (width + self.width - 1) // self.width) end
  return rows
end

local function erased(self)
  local rows = rows_drawn(self)
  if rows == 0 then return "" end
  self.drawn = {}
  return "\r" .. (rows > 1 and ("\27[%dA"):format(rows - 1) or "") .. "\27[J"
end

local function draw(self)
  local lines, widths, out = block(self, math.max(self.width - 1, 8)), {}, {}
  local before = erased(self)
  for i, line in ipairs(lines) do
    widths[i] = text.width(line)
    local style = self.color and (i == 1 and BOLD or i == #lines and self.current.errors > 0 and RED)
    out[i] = style and style .. line .. PLAIN or line
  end
  self.write(self.fd, before .. table.concat(out, "\n"))
  self.drawn, self.drawn_ns, self.is_stale = widths, self.now_ns(), false
end

-- ---- plain lines -----------------------------------------------------------------------------------------------

local function line_of(self)
  local p = self.current
  local list = figures(self)
  table.insert(list, 1, phrase(self, "line", p.variant, p.dataset, count_text(p)) .. (" (%s)"):format(share_text(p)))
  return table.concat(list, phrase(self, "comma")) .. "\n"
end

local function plain_tick(self)
  local p, now = self.current, self.now_ns()
  local tenth = p.total > 0 and p.done * 10 // p.total or 0
  local is_step = tenth > p.tenth and tenth < 10 and now - p.line_ns >= STEP_NS
  if not is_step and now - p.line_ns < LINE_NS then return end
  p.tenth, p.line_ns = tenth, now
  self.write(self.fd, line_of(self))
end

-- ---- what a run calls --------------------------------------------------------------------------------------------

--- A phase begins; the one before ends.
-- @tparam string variant
-- @tparam string dataset
-- @tparam integer total questions (times repeats)
-- @tparam[opt=0] integer done how many the phase begins with
-- @tparam[opt=0] integer known answers that the run's store has already (resume)
function progress:phase(variant, dataset, total, done, known)
  self:finish()
  local now = self.now_ns()
  self.current = {
    variant = clean.line(variant), dataset = clean.line(dataset), total = total, done = done or 0,
    asked = 0, correct = 0, errors = 0, tokens = 0, done_before = done or 0,
    start_ns = now, line_ns = now, tenth = total > 0 and (done or 0) * 10 // total or 0,
  }
  if self.is_tty then return draw(self) end
  local p = self.current
  local resumed = (known or 0) > 0 and phrase(self, "resumed", format.count(known)) or ""
  self.write(self.fd, phrase(self, "start", p.variant, p.dataset, format.count(total)) .. resumed .. "\n")
end

--- The phase went on. Cheap enough to call for each answer.
-- @tparam table totals `{ done, asked, correct, errors, tokens }` of the phase so far: `asked` of `done` were asked just
-- now (absent: all since the phase began), `tokens` are theirs; a field that is absent keeps its value
function progress:tick(totals)
  local p = self.current
  if not p then return end
  p.done, p.correct = totals.done or p.done, totals.correct or p.correct
  p.errors, p.tokens = totals.errors or p.errors, totals.tokens or p.tokens
  p.asked = totals.asked or p.done - p.done_before
  if not self.is_tty then return plain_tick(self) end
  self.is_stale = true
  if #self.drawn == 0 or self.now_ns() - self.drawn_ns >= REDRAW_NS then draw(self) end
end

--- A line for the user, above the block.
-- @tparam string|table message a text or a pair
function progress:message(message)
  local lines = clean.lines(locale.sides(message, self.language)[1]) .. "\n"
  if not self.is_tty then
    self.write(self.fd, lines)
    return
  end
  self.write(self.fd, erased(self) .. lines)
  if self.current then draw(self) end
end

--- The terminal has another width now (SIGWINCH).
-- @tparam integer width columns
function progress:resize(width)
  if not width or width < 1 then return end
  self.width = width
  if self.is_tty and self.current then draw(self) end
end

--- A progress of its own for a variant that is worked on beside others: plain lines, as one block cannot show two.
function progress:lane()
  return setmetatable({ is_tty = false, current = false, drawn = {} }, { __index = self })
end

--- The phase is over: the block gives way to one line that stays.
function progress:finish()
  local p = self.current
  if not p then return end
  local name = p.done < p.total and "stopped" or "finished"
  local took = phrase(self, name, format.span((self.now_ns() - p.start_ns) / 1e9))
  local list = { phrase(self, "line", p.variant, p.dataset, count_text(p)), took }
  local judged = p.done - p.errors
  if judged > 0 then list[#list + 1] = phrase(self, "accuracy", format.percent(p.correct / judged)) end
  if p.errors > 0 then list[#list + 1] = phrase(self, "errors", format.count(p.errors)) end
  local line = table.concat(list, phrase(self, "comma"))
  if self.is_tty then line = erased(self) .. tables.cut(line, math.max(self.width - 1, 8), self.ascii and "..." or "…") end
  self.write(self.fd, line .. "\n")
  self.current = nil
end

return progress
