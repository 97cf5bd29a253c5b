-- SPDX-License-Identifier: Apache-2.0
local concurrent = require "qlua.concurrent"
local coroutines = require "qlua.coroutines"
local task = require "qlua.core.task"

local co = coroutines.library()

local function first_line(text) return (tostring(text):match "^[^\n]*") end

describe("concurrent", function()
  it("keeps the items' order whatever ends first", function()
    local ended = {}
    local results = concurrent.map({ 30, 1, 10 }, function(ms, index)
      task.sleep(ms)
      ended[#ended + 1] = index
      return ms * 2
    end)
    assert.same({ 60, 2, 20 }, results)
    assert.equal(1, ended[3])
  end)

  it("never has more at work than the limit", function()
    local active, most = 0, 0
    concurrent.map({ 1, 2, 3, 4, 5, 6, 7 }, function()
      active = active + 1
      most = math.max(most, active)
      task.sleep(1)
      active = active - 1
    end, 3)
    assert.equal(3, most)
    assert.equal(0, active)
  end)

  it("lets all end and then raises the first error in the items' order", function()
    local done = 0
    local ok, err = pcall(concurrent.map, { 5, 1, 1 }, function(ms, index)
      task.sleep(ms)
      done = done + 1
      if index < 3 then error("item " .. index, 0) end
    end)
    assert.is_false(ok)
    assert.equal("item 1", first_line(err))
    assert.equal(3, done)
  end)

  it("keeps an err table as it is, and does not lose an error that is nil", function()
    local err = { kind = "io", text = "x" }
    local _, raised = pcall(concurrent.all, { function() error(err) end })
    assert.equal(err, raised)
    assert.is_false((pcall(concurrent.all, { function() error(nil) end })))
  end)

  it("runs nothing for no items, and refuses a limit of none", function()
    assert.same({}, concurrent.map({}, error))
    assert.same({}, concurrent.all {})
    assert.is_false((pcall(concurrent.map, { 1 }, print, 0)))
    assert.is_false((pcall(concurrent.map, { 1 }, print, -1)))
  end)

  it("nests", function()
    local results = concurrent.all {
      function() return concurrent.all { function() task.sleep(2) return 1 end, function() return 2 end } end,
      function() return concurrent.map({ 3, 4 }, function(x) task.sleep(1) return x end, 1) end,
    }
    assert.same({ { 1, 2 }, { 3, 4 } }, results)
  end)

  it("gives a spawned task's results and error to each who joins", function()
    local handle = concurrent.spawn(function(...) task.sleep(1) return ..., nil, "z" end, "a")
    local seen = concurrent.all { function() return (table.pack(handle.join())) end, function() return (table.pack(handle.join())) end }
    assert.same({ n = 3, "a", nil, "z" }, seen[1])
    assert.same(seen[1], seen[2])
    assert.equal("a", (handle.join())) -- long after it ended
    local failing = concurrent.spawn(error, "no", 0)
    assert.is_false((pcall(failing.join)))
    assert.is_false((pcall(failing.join)))
  end)

  it("spawns with a thousand arguments", function()
    local numbers = {}
    for i = 1, 1000 do numbers[i] = i end
    assert.equal(1000, concurrent.spawn(select, "#", table.unpack(numbers)).join())
  end)
end)

describe("coroutines", function()
  it("lets a generator wait", function()
    local produce = co.wrap(function()
      for i = 1, 3 do
        task.sleep(1)
        co.yield(i)
      end
    end)
    local got = {}
    for value in produce do got[#got + 1] = value end
    assert.same({ 1, 2, 3 }, got)
  end)

  it("lets a generator in a generator wait, beside others", function()
    local function numbers(n)
      return co.wrap(function()
        local inner = co.wrap(function() for i = 1, n do task.sleep(1) co.yield(i) end end)
        for i in inner do co.yield(i * 10) end
      end)
    end
    local function sum(n)
      local total = 0
      for i in numbers(n) do total = total + i end
      return total
    end
    assert.same({ 10, 30, 60 }, concurrent.map({ 1, 2, 3 }, sum))
  end)

  it("passes values both ways and errors outwards, with status and close as ever", function()
    local thread = co.create(function(a)
      task.sleep(1)
      local b = co.yield(a + 1)
      error("bad " .. b, 0)
    end)
    assert.same({ true, 2 }, { co.resume(thread, 1) })
    assert.equal("suspended", co.status(thread))
    assert.same({ false, "bad 5" }, { co.resume(thread, 5) })
    assert.equal("dead", co.status(thread))
    assert.has_error(co.wrap(function() task.sleep(1) error("wrapped", 0) end), "wrapped")
  end)

  it("refuses to wait inside a coroutine where the task cannot yield, and goes on after it", function()
    local function waits() co.wrap(function() task.sleep(1) end)() end
    for _, attempt in ipairs { function() table.sort({ 2, 1 }, waits) end, function() ("x"):gsub("x", waits) end } do
      local ok, message = pcall(attempt)
      assert.is_false(ok)
      assert.matches("cannot wait here", message)
    end
    -- a timer left over from there would end this early, or wake a task that is gone
    local order = {}
    concurrent.all {
      function() pcall(table.sort, { 2, 1 }, waits) end,
      function() task.sleep(20) order[#order + 1] = "late" end,
      function() task.sleep(3) order[#order + 1] = "early" end,
    }
    assert.same({ "early", "late" }, order)
  end)

  it("may run a coroutine that does not wait anywhere", function()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b) return co.wrap(function() return a < b end)() end)
    assert.same({ 1, 2, 3 }, list)
    assert.is_false((pcall(co.resume, "no thread")))
    task.sleep(1) -- not sealed for good
  end)
end)

describe("task.park", function()
  it("is not woken by a wake that a failed start left behind", function()
    local kept
    local ok, message = pcall(task.park, function(wake)
      kept = wake
      error("no start", 0)
    end)
    assert.same({ false, "no start" }, { ok, message })
    assert.is_false(kept("late"))
    assert.equal("mine", (task.park(function(wake) task.spawn(function() kept "late" wake "mine" end) end)))
  end)

  it("forgets a wake that came before the start failed", function()
    local ok = pcall(task.park, function(wake)
      wake "early"
      error("no start", 0)
    end)
    assert.is_false(ok)
    assert.equal("mine", (task.park(function(wake) task.spawn(function() task.sleep(2) wake "mine" end) end)))
  end)

  it("does not let start wait", function()
    assert.is_false((pcall(task.park, function() task.sleep(1) end)))
  end)
end)
