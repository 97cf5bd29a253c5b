-- SPDX-License-Identifier: Apache-2.0
local progress = require "qlua.progress"
local text = require "qlua.core.text"

--- A small terminal: wraps at its width as real ones do, knows CR, LF, cursor up, erase to the end and colours.
local function screen(width)
  local self = { width = width, rows = { {} }, row = 1, column = 0, writes = 0 }
  local function down()
    self.row, self.column = self.row + 1, 0
    self.rows[self.row] = self.rows[self.row] or {}
  end
  local function put(char)
    local columns = text.width(char)
    if self.column + columns > self.width then down() end
    self.rows[self.row][self.column] = char
    for i = 1, columns - 1 do self.rows[self.row][self.column + i] = "" end
    self.column = self.column + columns
  end
  function self.write(_, s)
    self.writes = self.writes + 1
    local at = 1
    while at <= #s do
      local count, stop = s:match("^\27%[(%d+)A()", at)
      local _, erased = s:find("^\27%[J", at)
      local _, styled = s:find("^\27%[%d*m", at)
      if count then
        self.row, at = math.max(1, self.row - tonumber(count)), stop
      elseif erased then
        for i = self.column, self.width do self.rows[self.row][i] = nil end
        for i = self.row + 1, #self.rows do self.rows[i] = nil end
        at = erased + 1
      elseif styled then
        at = styled + 1
      elseif s:sub(at, at) == "\r" then
        self.column, at = 0, at + 1
      elseif s:sub(at, at) == "\n" then
        down()
        at = at + 1
      else
        local next_at = utf8.offset(s, 2, at)
        put(s:sub(at, next_at - 1))
        at = next_at
      end
    end
    return true
  end
  function self.lines()
    local lines = {}
    for i, row in ipairs(self.rows) do
      local cells = {}
      for column = 0, self.width do cells[#cells + 1] = row[column] or column < self.width and " " or "" end
      lines[i] = table.concat(cells):gsub(" +$", "")
    end
    while lines[#lines] == "" do lines[#lines] = nil end
    return lines
  end
  return self
end

local SECOND = 1000000000

local function new(options)
  local clock = { now = 5 * SECOND }
  local terminal = screen(options.width or 80)
  options.now_ns = function() return clock.now end
  options.write = terminal.write
  return progress.new(options), terminal, clock
end

describe("the live block", function()
  it("shows where the run is", function()
    local p, terminal, clock = new { tty = true, utf8 = true }
    p:phase("fp8", "gsm8k", 1319, 0)
    clock.now = clock.now + 10 * SECOND
    p:tick { done = 330, correct = 264, errors = 1, tokens = 66000 }
    assert.same({
      "fp8  gsm8k  ███████░░░░░░░░░░░░░░░░░░░░░░░  330/1,319  25 %",
      "33.0 q/s  30 s left  accuracy 80.2 %  errors 1  6,600 tok/s",
    }, terminal.lines())
  end)

  it("is drawn with ASCII and in Chinese when asked", function()
    local p, terminal, clock = new { tty = true, language = "zh", width = 60 }
    p:phase("fp8", "gsm8k", 10, 0)
    clock.now = clock.now + SECOND
    p:tick { done = 5, correct = 5, errors = 0 }
    assert.same({ "fp8  gsm8k  [###############...............]  5/10  50 %",
      "5.00 题/秒  剩余 1 s  准确率 100.0 %  出错 0" }, terminal.lines())
  end)

  it("is erased completely, whatever was drawn", function()
    for _, width in ipairs { 20, 40, 80 } do
      local p, terminal, clock = new { tty = true, utf8 = true, width = width, color = true, language = "zh" }
      p:phase("量化变体-with-a-long-name", "数据集", 25403, 100, 100)
      for i = 1, 50 do
        clock.now = clock.now + SECOND
        p:tick { done = 100 + 500 * i, correct = 400 * i, errors = i, tokens = 70000 * i }
      end
      p:message "a message"
      p:finish()
      local lines = terminal.lines()
      assert.equal(2, #lines)
      assert.equal("a message", lines[1])
      assert(lines[2]:find("^量化"), lines[2])
    end
  end)

  it("is never as wide as the terminal", function()
    for width = 10, 90 do
      local widest = 0
      local p, terminal, clock = new { tty = true, utf8 = width % 2 == 0, width = width, language = width % 3 == 0 and "zh" or "en" }
      local write = terminal.write
      p.write = function(fd, s)
        for line in s:gsub("\27%[%d*%a", ""):gmatch("[^\r\n]+") do widest = math.max(widest, text.width(line)) end
        return write(fd, s)
      end
      p:phase("变体-with-a-name", "hellaswag", 10042, 0)
      clock.now = clock.now + 3600 * SECOND
      p:tick { done = 7, correct = 3, errors = 2, tokens = 100000000 }
      p:finish()
      assert(widest < width, ("%d columns: %d drawn"):format(width, widest))
    end
  end)

  it("survives a terminal that was made narrower", function()
    local p, terminal, clock = new { tty = true, utf8 = true, width = 80 }
    p:message "first"
    p:phase("fp8", "gsm8k", 1319, 0)
    clock.now = clock.now + SECOND
    p:tick { done = 330, correct = 264, errors = 1, tokens = 66000 }
    -- what a terminal does: lines wider than the new width wrap
    local before = terminal.lines()
    local narrow = screen(40)
    narrow.write(2, table.concat(before, "\n"))
    p.write = narrow.write
    p:resize(40)
    p:finish()
    assert.same({ "first", "fp8 gsm8k: 330/1,319, stopped after 1 …" }, narrow.lines())
  end)

  it("is redrawn at most ten times a second", function()
    local p, terminal, clock = new { tty = true, utf8 = true }
    p:phase("fp8", "gsm8k", 100000, 0)
    local before = terminal.writes
    for i = 1, 10000 do
      clock.now = clock.now + SECOND // 5000 -- two seconds of 5,000 answers each
      p:tick { done = i, correct = i, errors = 0 }
    end
    local draws = terminal.writes - before
    assert(draws <= 20 and draws >= 18, draws)
  end)
end)

describe("plain lines", function()
  local function plain(options)
    local lines, clock = {}, { now = 0 }
    options = options or {}
    options.now_ns = function() return clock.now end
    options.write = function(_, s) lines[#lines + 1] = s end
    return progress.new(options), lines, clock
  end

  it("are one at the start, one a tenth, one at the end", function()
    local p, lines, clock = plain()
    p:phase("fp8", "gsm8k", 100, 0)
    for i = 1, 100 do
      clock.now = clock.now + SECOND // 5
      p:tick { done = i, correct = i, errors = 0 }
    end
    p:finish()
    assert.equal(11, #lines)
    assert.equal("fp8 gsm8k: 100 questions\n", lines[1])
    assert.equal("fp8 gsm8k: 10/100 (10 %), 5.00 q/s, 18 s left, accuracy 100.0 %, errors 0\n", lines[2])
    assert.equal("fp8 gsm8k: 90/100 (90 %), 5.00 q/s, 2 s left, accuracy 100.0 %, errors 0\n", lines[10])
    assert.equal("fp8 gsm8k: 100/100, done in 20 s, accuracy 100.0 %\n", lines[11])
  end)

  it("come every ten seconds of a slow run, and not in a heap in a fast one", function()
    local p, lines, clock = plain()
    p:phase("fp8", "gsm8k", 1000, 0)
    for i = 1, 45 do
      clock.now = clock.now + SECOND
      p:tick { done = i, correct = i, errors = 0 }
    end
    assert.equal(1 + 4, #lines)
    p, lines, clock = plain()
    p:phase("fp8", "gsm8k", 1000, 0)
    for i = 1, 1000 do
      clock.now = clock.now + SECOND // 10000
      p:tick { done = i, correct = i, errors = 0 }
    end
    p:finish()
    assert.equal(2, #lines)
  end)

  it("tell what a resumed run found, and do not count it into the rate", function()
    local p, lines, clock = plain { language = "zh" }
    p:phase("fp8", "gsm8k", 100, 0, 40)
    assert.equal("fp8 gsm8k：共 100 题，已有 40 题作答\n", lines[1])
    clock.now = clock.now + 10 * SECOND
    p:tick { done = 60, asked = 20, correct = 48, errors = 2 }
    assert.equal("fp8 gsm8k：60/100 (60 %)，2.00 题/秒，剩余 20 s，准确率 82.8 %，出错 2\n", lines[2])
  end)

  it("hold no escape sequence, also not in messages", function()
    local p, lines = plain { color = true }
    p:phase("fp8\27[31m", "gsm8k", 1, 0)
    p:message "log: \27[2J\27[31mred\7\nsecond line\n"
    p:finish()
    assert.is_nil(table.concat(lines):find("\27", 1, true))
    assert.equal("log: \u{FFFD}[2J\u{FFFD}[31mred\u{FFFD}\nsecond line\n", lines[2])
  end)

  it("show nothing absurd of a phase without questions", function()
    local p, lines = plain()
    p:phase("fp8", "gsm8k", 0, 0)
    p:tick { done = 0 }
    p:finish()
    p:finish()
    assert.same({ "fp8 gsm8k: 0 questions\n", "fp8 gsm8k: 0/0, done in 0 s\n" }, lines)
  end)
end)
