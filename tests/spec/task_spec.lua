-- SPDX-License-Identifier: Apache-2.0
local guard = require "qlua.core.guard"
local task = require "qlua.core.task"
local clock = require "qlua.core.clock"

describe("task", function()
  it("parks until it is woken, with what it was woken with", function()
    local got = table.pack(task.park(function(wake)
      task.spawn(function(...) wake(nil, "x", ...) end, 7)
    end))
    assert.same({ n = 3, nil, "x", 7 }, got)
  end)

  it("may be woken before it waits, and only once", function()
    local second
    local got = task.park(function(wake)
      wake(1)
      second = wake(2)
    end)
    assert.equal(1, got)
    assert.is_false(second)
  end)

  it("sleeps at least as long as asked and lets others run", function()
    local order, before = {}, clock.now_ns()
    task.park(function(wake)
      task.spawn(function() task.sleep(20) order[#order + 1] = "late" wake() end)
      task.spawn(function() order[#order + 1] = "early" end)
    end)
    assert.same({ "early", "late" }, order)
    assert.is_true(clock.now_ns() - before >= 20 * 1000000)
  end)

  it("says so when something waits where no coroutine may yield", function()
    assert.error_matches(function() ("x"):gsub("x", function() task.sleep(1) end) end, "cannot wait here")
    assert.error_matches(function() table.sort({ 2, 1 }, function() task.sleep(1) end) end, "cannot wait here")
  end)
end)

describe("guard", function()
  local limits = { memory_bytes = 8 << 20, instructions = 1000000 }

  it("passes results and errors through", function()
    assert.same({ true, 1, nil, 3 }, { guard.call(limits, function(...) return ... end, 1, nil, 3) })
    local ok, err = guard.call(limits, function() error("bad row", 0) end)
    assert.is_false(ok)
    assert.equal("script", err.kind)
    assert.equal("bad row", err.text)
  end)

  it("stops an endless loop, also one that hides in pcall", function()
    for _, body in ipairs { function() while true do end end, function() while true do pcall(function() while true do end end) end end,
      function() coroutine.wrap(function() while true do end end)() end } do
      local ok, err = guard.call(limits, body)
      assert.is_false(ok)
      assert.equal("limit", err.kind)
      assert.matches("instruction limit", err.text)
    end
  end)

  it("stops a memory bomb and gives the memory back", function()
    for _, body in ipairs { function() return ("x"):rep(1 << 30) end,
      function() local t = {} for i = 1, 1 << 30 do t[i] = { i } end return #t end } do
      local ok, err = guard.call({ memory_bytes = 8 << 20 }, body)
      assert.is_false(ok)
      assert.equal("limit", err.kind)
      assert.equal("memory limit of 8 MiB reached", err.text)
    end
    collectgarbage()
    assert.equal(20 << 20, #("x"):rep(20 << 20)) -- no limit is left behind
  end)

  it("does not limit what comes after", function()
    guard.call({ instructions = 1000 }, function() while true do end end)
    local sum = 0
    for i = 1, 100000 do sum = sum + i end
    assert.equal(5000050000, sum)
  end)

  it("resumes a coroutine under limits", function()
    local co = coroutine.create(function(a)
      local b = coroutine.yield(a + 1)
      return b * 2
    end)
    assert.same({ "yield", 2 }, { guard.resume(limits, co, 1) })
    assert.same({ "end", 10 }, { guard.resume(limits, co, 5) })
    local loop = coroutine.create(function() while true do end end)
    local ok, err = guard.resume(limits, loop)
    assert.is_false(ok)
    assert.equal("limit", err.kind)
  end)
end)
