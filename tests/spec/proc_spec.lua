-- SPDX-License-Identifier: Apache-2.0
--- The process binding: what tasks see. What happens to descendants is tested in tests/unit/proc_test.c.
local proc = require "qlua.core.proc"
local task = require "qlua.core.task"

local function shell(script, options)
  options = options or {}
  options.argv = { "sh", "-c", script }
  return proc.spawn(options)
end

-- Turns the loop until the process has said so many lines: no time is assumed.
local function until_lines(process, count)
  while process:lines_seen() < count do task.sleep(5) end
end

local function is_alive(pid)
  local file = io.open("/proc/" .. pid .. "/stat")
  if not file then return false end
  local state = file:read("a"):match("^%d+ %(.*%) (%a)")
  file:close()
  return state ~= "Z" and state ~= "X"
end

describe("proc.spawn", function()
  it("waits for an exit, with and without a time-out", function()
    local process = assert(shell("echo ready; read x </dev/null; while [ ! -e $FLAG ]; do sleep 0.01; done; exit 5",
      { env = { FLAG = os.tmpname() .. ".flag" } }))
    assert.is_true(process:alive())
    assert.is_nil(process:wait(1))
    until_lines(process, 1)
    assert.same({ "ready" }, process:tail())
    local ended = process:stop { grace_ms = 10000 }
    assert.equal(15, ended.signal)
    assert.is_true(ended.requested)
    assert.is_false(process:alive())
    assert.same(process:wait(), process:wait(1000))
    process = assert(shell("exit 5"))
    ended = process:wait()
    assert.equal(5, ended.code)
    assert.is_nil(ended.signal)
    assert.is_false(ended.requested)
    assert.is_false(process:stop().requested)
  end)

  it("wakes every task that waits", function()
    local process = assert(shell("echo ready; sleep 1000"))
    until_lines(process, 1)
    local seen = {}
    task.park(function(wake)
      for i = 1, 3 do
        task.spawn(function()
          local record = i == 3 and process:stop { grace_ms = 0 } or process:wait()
          seen[#seen + 1] = record.requested
          if #seen == 3 then wake() end
        end)
      end
    end)
    assert.same({ true, true, true }, seen)
    process:close()
    assert.has_error(function() process:alive() end)
  end)

  it("keeps the log, without colours and secrets", function()
    local path = os.tmpname()
    local process = assert(shell([[printf '\033[31mred\033[0m\r\n 10%%\r 20%%\r'; echo key $KEY; echo problem >&2]],
      { log = path, env = { KEY = "topsecret" }, secrets = { "topsecret" } }))
    process:wait()
    assert.same({ "red", " 10%", " 20%", "key ***", "problem" }, process:tail())
    assert.same({ "problem" }, process:tail(1))
    assert.same({}, process:tail(0))
    assert.equal(5, process:lines_seen())
    process:close()
    local file = assert(io.open(path))
    assert.equal("red\n 10%\n 20%\nkey ***\nproblem\n", file:read("a"))
    file:close()
    os.remove(path)
  end)

  it("gives the environment, the folder and the nonce", function()
    local nonce = "abc-" .. os.time() .. "-" .. require("qlua.core.sys").pid() -- processes are killed by it
    local process = assert(shell("echo $A,${HOME-unset},$QLUA_RUN_ID; pwd",
      { env = { A = 1, HOME = false }, cwd = "/", nonce = nonce }))
    process:wait()
    assert.same({ "1,unset," .. nonce, "/" }, process:tail())
    assert.equal(nonce, process:nonce())
    local other = assert(shell("echo $QLUA_RUN_ID"))
    other:wait()
    assert.equal(other:nonce(), other:tail()[1])
    assert.matches("^%x+$", other:nonce())
  end)

  it("kills a process that is collected while it runs", function()
    local process = assert(shell("setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000"))
    until_lines(process, 1)
    local pid, grandchild = process:pid(), process:tail()[1]
    assert.is_true(is_alive(pid) and is_alive(grandchild))
    process = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_false(is_alive(pid) or is_alive(grandchild))
  end)

  it("returns what cannot be run and raises misuse", function()
    local process, err = proc.spawn { argv = { "no-such-program-qlua" } }
    assert.is_nil(process)
    assert.equal("io", err.kind)
    assert.equal("cannot run 'no-such-program-qlua': No such file or directory", err.text)
    assert.equal("is it installed, and on PATH?", err.hint)
    process, err = proc.spawn { argv = { "true" }, log = "/no/such/x.log" }
    assert.is_nil(process)
    assert.matches("cannot write the log", err.text)
    for _, bad in ipairs { {}, { argv = {} }, { argv = "true" }, { argv = { {} } }, { argv = { "a\0b" } },
      { argv = { "true" }, env = { A = {} } }, { argv = { "true" }, env = { ["A=B"] = "x" } },
      { argv = { "true" }, cwd = 7 } } do
      assert.has_error(function() proc.spawn(bad) end)
    end
  end)
end)

describe("proc.run", function()
  it("gives input, output and the code", function()
    local result = assert(proc.run { argv = { "sh", "-c", "cat; echo problem >&2; exit 3" }, stdin = "in\0put" })
    assert.same({ code = 3, stdout = "in\0put", stderr = "problem\n", timed_out = false, cut = false }, result)
  end)

  it("ends at its limits", function()
    local result = assert(proc.run { argv = { "sleep", "1000" }, timeout_ms = 20 })
    assert.is_true(result.timed_out)
    assert.equal(9, result.signal)
    result = assert(proc.run { argv = { "sh", "-c", "yes | head -c 100000" }, max_bytes = 10 })
    assert.equal("y\ny\ny\ny\ny\n", result.stdout)
    assert.is_true(result.cut)
  end)

  it("runs many at once", function()
    local count, codes = 10, {}
    task.park(function(wake)
      for i = 1, count do
        task.spawn(function()
          codes[i] = proc.run({ argv = { "sh", "-c", "exit " .. i } }).code
          count = count - 1
          if count == 0 then wake() end
        end)
      end
    end)
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, codes)
  end)

  it("returns what cannot be run", function()
    local result, err = proc.run { argv = { "no-such-program-qlua" } }
    assert.is_nil(result)
    assert.equal("io", err.kind)
  end)
end)

-- A qlua that ends while its processes run, the plain way and by an error.
describe("the end of qlua", function()
  local exe = require("qlua.core.sys").exe

  it("takes the processes with it", function()
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write([[
      local proc = require "qlua.core.proc"
      local task = require "qlua.core.task"
      local process = proc.spawn { argv = { "sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & sleep 1000" } }
      while process:lines_seen() < 1 do task.sleep(5) end
      print(process:pid(), process:tail()[1])
      task.spawn(function() process:wait() end)
      task.spawn(function() process:stop { grace_ms = 100000 } end)
      task.spawn(function() proc.run { argv = { "sleep", "1000" } } end)
      task.sleep(5)
    ]])
    file:close()
    local result = assert(proc.run { argv = { exe(), "lua", script }, timeout_ms = 60000 })
    os.remove(script)
    assert.is_false(result.timed_out)
    local leader, grandchild = result.stdout:match("(%d+)%s+(%d+)")
    assert.truthy(leader, result.stderr)
    assert.is_false(is_alive(leader) or is_alive(grandchild))
  end)
end)
