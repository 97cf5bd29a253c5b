-- SPDX-License-Identifier: Apache-2.0
local guard = require "qlua.core.guard"

local function spin(times) for _ = 1, times do end end

describe("guard, nested", function()
  it("counts what runs inside for the outer call too", function()
    local ok, err = guard.call({ instructions = 1000000 }, function()
      for _ = 1, 100 do guard.call({ instructions = 1000000 }, spin, 100000) end
    end)
    assert.is_false(ok)
    assert.equal("limit", err.kind)
  end)

  it("never lets an inner limit widen the outer one", function()
    local ok, err = guard.call({ memory_bytes = 8 << 20 }, function()
      local inner, why = guard.call({ memory_bytes = 1 << 30 }, string.rep, "x", 64 << 20)
      return inner, why and why.text
    end)
    assert.is_true(ok)
    assert.is_false(err)
  end)

  it("puts the outer limits back after an error inside", function()
    local ok, err = guard.call({ instructions = 2000000, memory_bytes = 64 << 20 }, function()
      assert(not guard.call({ instructions = 1000 }, spin, 1 << 40))
      assert(not guard.call({ memory_bytes = 1 << 20 }, string.rep, "x", 8 << 20))
      local text = ("x"):rep(8 << 20)
      assert(#text == 8 << 20)
      spin(1 << 40)
    end)
    assert.is_false(ok)
    assert.matches("instruction limit of 2 million", err.text)
  end)

  it("leaves no limit and no hook behind, whatever happened inside", function()
    for _, body in ipairs { function() end, error, function() error {} end, function() spin(1 << 40) end,
      function() return ("x"):rep(1 << 40) end, function() return setmetatable({}, { __tostring = error }) end } do
      guard.call({ instructions = 100000, memory_bytes = 1 << 20 }, body)
      assert.is_nil((debug.gethook()))
      assert.equal(4 << 20, #("x"):rep(4 << 20))
      spin(300000)
    end
  end)

  it("keeps the account of memory: used goes down again, the peak stays", function()
    collectgarbage()
    local before = guard.memory()
    guard.call({}, function() return #("x"):rep(32 << 20) end)
    collectgarbage()
    collectgarbage()
    local after, peak = guard.memory()
    assert.is_true(peak >= 32 << 20)
    assert.is_true(math.abs(after - before) < 4 << 20)
  end)
end)

describe("guard, coroutines", function()
  it("limits each turn, also after one that ran over", function()
    local thread = coroutine.create(function(count)
      while true do
        spin(count)
        count = coroutine.yield "turn"
      end
    end)
    local limits = { instructions = 1000000 }
    for _ = 1, 5 do assert.same({ "yield", "turn" }, { guard.resume(limits, thread, 400000) }) end
    local ok, err = guard.resume(limits, thread, 1 << 40)
    assert.is_false(ok)
    assert.equal("limit", err.kind)
    assert.matches("dead coroutine", select(2, guard.resume(limits, thread, 1)).text)
    assert.is_nil((debug.gethook(thread)))
  end)

  it("refuses to resume what runs", function()
    local ok, err = guard.resume({}, (coroutine.running()))
    assert.is_false(ok)
    assert.matches("non%-suspended", err.text)
  end)

  it("passes many values in and out", function()
    local many = {}
    for i = 1, 500 do many[i] = i end
    local thread = coroutine.create(function(...) return ... end)
    local got = table.pack(guard.resume({}, thread, table.unpack(many)))
    assert.same({ 501, "end", 500 }, { got.n, got[1], got[501] })
  end)

  it("gives the text of an error that is no text, within the limits", function()
    local function text_of(value) return select(2, guard.resume({ instructions = 1000000 }, coroutine.create(error), value)).text end
    assert.equal("an error that is no text", text_of {})
    assert.equal("from a table", text_of { text = "from a table" })
    assert.equal("from tostring", text_of(setmetatable({}, { __tostring = function() return "from tostring" end })))
    assert.equal("an error that is no text", text_of(setmetatable({}, { __tostring = function() spin(1 << 40) end })))
  end)
end)
