-- SPDX-License-Identifier: Apache-2.0
local live = require "qlua.load.live"
local text = require "qlua.core.text"

local SECOND = 1000000000

local function new(options)
  local now, written = 1000 * SECOND, {}
  local view = live.new { tty = options.tty, width = options.width or 100, utf8 = options.utf8 ~= false, language = options.language,
    now_ns = function() return now end, write = function(_, s) written[#written + 1] = s return true end, gpu = options.gpu }
  return view, written, function(seconds) now = now + math.floor(seconds * SECOND) end
end

local function reply(view, ttft_ms, gap_ms, outcome)
  view:row({ outcome = outcome or "ok" }, { ttft = ttft_ms * 1e6, gaps = { gap_ms * 1e6, gap_ms * 1e6 }, tokens = 3 })
end

local function last(written) return written[#written] end

describe("the live view of a load", function()
  it("draws courses from their lowest to their highest", function()
    assert.equal("▁▅█ ▁", live.sparkline({ 1, 2, 2.75, false, 1 }, false))
    assert.equal("▁▁", live.sparkline({ 5, 5 }, false))
    assert.equal("_#", live.sparkline({ 0, 9 }, true))
    assert.equal("", live.sparkline({}, false))
  end)

  it("shows rate, requests in flight, quantiles, errors and devices on a terminal", function()
    local view, written, pass = new { tty = true, gpu = function() return { { index = 0, memory_bytes = 3 << 30, power_w = 251.3 } } end }
    view:phase("fp8", "rate=5", 1, 1, { count = 10 })
    for _ = 1, 6 do view:sent() end
    for i = 1, 4 do reply(view, 10 * i, 2) end
    reply(view, 50, 2, "timeout")
    pass(1.1)
    view:tick()
    local shown = last(written)
    assert.matches("fp8  rate=5  5/10", shown, 1, true)
    assert.matches("4 req/s", shown, 1, true)
    assert.matches("1 in flight", shown, 1, true)
    assert.matches("12 tok/s", shown, 1, true)
    assert.matches("errors 1", shown, 1, true)
    assert.matches("TTFT  ▁  p50 20.0 ms  p99 40.0 ms", shown, 1, true)
    assert.matches("p50 2.0 ms", shown, 1, true)
    assert.matches("GPU 0  3.0 GiB  251 W", shown, 1, true)
    view:finish()
    assert.matches("fp8 rate=5: 5 requests in", last(written), 1, true)
    assert.matches("\n$", last(written))
  end)

  it("never is wider than the terminal less one column, and erases what it drew", function()
    for _, width in ipairs { 20, 40, 79 } do
      local view, written, pass = new { tty = true, width = width }
      view:phase("a-variant-with-a-long-name", "concurrency=128", 1, 1, { count = 10 })
      for i = 1, 3 do reply(view, 10 * i, 2) end
      pass(1.1)
      view:tick()
      local rows = 0
      for line in last(written):gsub("\27%[%d*[AJm]", ""):gsub("\r", ""):gmatch "[^\n]+" do
        rows = rows + 1
        assert.is_true(text.width(line) <= width - 1, line)
      end
      assert.equal(4, rows)
      view:finish()
      assert.matches("^\r\27%[3A\27%[J", last(written))
    end
  end)

  it("counts a request of an open loop as in flight once it is due", function()
    local view, written, pass = new { tty = true }
    view:phase("v", "rate=1", 1, 1, { count = 3 })
    view:sent(1000 * SECOND + SECOND)
    view:sent(1000 * SECOND + 5 * SECOND)
    pass(0.5)
    view:tick()
    assert.matches("0 in flight", last(written), 1, true)
    pass(1)
    view:tick()
    assert.matches("1 in flight", last(written), 1, true)
  end)

  it("shows of a closed loop what is in flight, not what is ready", function()
    local view, written, pass = new { tty = true }
    view:phase("v", "concurrency=2", 1, 1, { count = 30, window = 2 })
    for _ = 1, 4 do view:sent() end
    pass(1)
    view:tick()
    assert.matches("2 in flight", last(written), 1, true)
  end)

  it("writes plain lines elsewhere: at the start, every ten seconds, at the end", function()
    local view, written, pass = new { language = "en" }
    view:phase("v", "concurrency=2", 2, 3, { seconds = 30 })
    assert.equal("v concurrency=2: replicate 2 of 3\n", written[1])
    for i = 1, 20 do
      reply(view, i, 1)
      pass(1)
      view:tick()
    end
    assert.equal(3, #written)
    assert.matches("^v concurrency=2  2/3: 1 req/s, 0 in flight, 3 tok/s, errors 0, TTFT p50", written[2])
    view:finish()
    assert.matches("^v concurrency=2  2/3: 20 requests in", written[4])
    assert.equal(nil, table.concat(written):find("\27", 1, true))
  end)

  it("speaks Chinese, and ASCII where nothing else is understood", function()
    local view, written = new { language = "zh" }
    view:phase("v", "p", 1, 2, {})
    assert.equal("v p：第 1/2 次\n", written[1])
    local plain, lines, pass = new { tty = true, utf8 = false, gpu = function() return { { index = 0 } } end }
    plain:phase("v", "p", 1, 1, { count = 2 })
    reply(plain, 1, 1)
    pass(1.5)
    plain:tick()
    assert.equal(nil, last(lines):find "[\x80-\xFF]")
  end)
end)
