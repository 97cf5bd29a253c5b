-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local leftovers = require "qlua.supervisor.leftovers"
local proc = require "qlua.core.proc"
local state = require "qlua.supervisor.state"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local folder = os.tmpname()
os.remove(folder)

-- Programs that nobody supervises: the shell that starts them is gone at once.
local function start(command)
  local shell = assert(io.popen(command .. " >/dev/null 2>&1 & echo $!"))
  local pid = assert(math.tointeger(shell:read "n"))
  shell:close()
  return pid
end

local function is_running(pid)
  local stat = proc.stat(pid)
  return stat ~= nil and not stat.dead
end

local function finish(pid)
  local stat = proc.stat(pid)
  if stat then proc.kill(pid, stat.start) end
end

local function wait_until(is_so)
  for _ = 1, 500 do
    if is_so() then return true end
    task.sleep(10)
  end
  return false
end

local number = 0

local function record_of(pid, fields)
  number = number + 1
  local stat = pid and proc.stat(pid)
  local record = { nonce = ("spec%x-%d"):format(sys.pid(), number), pid = pid or 0, start = stat and stat.start or 0,
    members = json.array {}, boot_id = state.boot_id(), owner = { pid = 1, start = -1 }, host = sys.host().hostname,
    run_dir = folder, started_at = "2026-01-01T00:00:00Z" }
  for key, value in pairs(fields or {}) do record[key] = value end
  return record
end

local function pids(list)
  local set = {}
  for _, process in ipairs(list) do set[process.pid] = true end
  return set
end

describe("leftovers", function()
  setup(function() assert(file.make_dir(folder)) end)

  it("are found by the nonce in their environment, with their children, and ended", function()
    local record = record_of()
    local pid = start("env QLUA_RUN_ID=" .. record.nonce .. " setsid sh -c 'env -i sleep 1000; :'")
    assert.is_true(wait_until(function() return #leftovers.find(record) == 2 end))
    assert.is_true(pids(leftovers.find(record))[pid] ~= nil)
    local count, left = leftovers.reap(record)
    assert.same({ 2, {} }, { count, left })
    assert.is_false(is_running(pid))
    assert.same({}, leftovers.find(record))
  end)

  it("are found by pid and start time where their environment is gone", function()
    local pid = start "env -i setsid sleep 1000"
    assert.is_true(wait_until(function() return (file.read(("/proc/%d/environ"):format(pid)) or "x") == "" end))
    local stat = proc.stat(pid)
    local record = record_of(nil, { members = { { pid = pid, start = stat.start } } })
    assert.same({ [pid] = true }, pids(leftovers.find(record)))
    leftovers.reap(record)
    assert.is_false(is_running(pid))
  end)

  it("are nobody else's: another start time, another nonce, another boot", function()
    local pid = start "env QLUA_RUN_ID=someone-else setsid sleep 1000"
    assert.is_true(wait_until(function() return (file.read(("/proc/%d/environ"):format(pid)) or ""):find "someone" end))
    local stat = proc.stat(pid)
    assert.same({}, leftovers.find(record_of(pid, { start = stat.start + 1 })))
    assert.same({}, leftovers.find(record_of(pid))) -- the pid and the start are right, but it says that it is another's
    assert.same({}, leftovers.find(record_of(nil, { nonce = "someone-else", boot_id = "another" })))
    assert.same(0, (leftovers.reap(record_of(pid))))
    assert.is_true(is_running(pid))
    finish(pid)
  end)

  it("do not include what is older than the server", function()
    local record = record_of()
    local pid = start("env QLUA_RUN_ID=" .. record.nonce .. " setsid sleep 1000")
    assert.is_true(wait_until(function() return #leftovers.find(record) == 1 end))
    record.start = proc.stat(pid).start + 1
    assert.same({}, leftovers.find(record))
    finish(pid)
  end)
end)

describe("the state of servers", function()
  it("is written while a server runs, knows whether its qlua lives, and goes with it", function()
    local nonce = ("specstate%x"):format(sys.pid())
    local handle = state.put(nonce, { variant = "one", run_dir = folder })
    assert.same({ nonce, 0 }, { state.list(folder)[1].nonce, state.list(folder)[1].pid }) -- before there is a process
    local process = assert(proc.spawn { argv = { "sleep", "1000" }, nonce = nonce })
    handle.update(process)
    local list = state.list(folder)
    assert.equal(1, #list)
    assert.same({ process:pid(), process:nonce(), "one" }, { list[1].pid, list[1].nonce, list[1].variant })
    assert.is_true(state.has_owner(list[1]))
    list[1].owner.start = list[1].owner.start + 1 -- another process with the same pid
    assert.is_false(state.has_owner(list[1]))
    assert.equal(1, #state.list(folder)[1].members)
    process:stop { grace_ms = 0 }
    handle.remove()
    assert.same({}, state.list(folder))
  end)

  it("takes no other file for one", function()
    assert(file.write(folder .. "/server-x.json", "{"))
    assert(file.write(folder .. "/server-y.json", '{"nonce":"short"}'))
    assert.same({}, state.list(folder))
    file.remove(folder .. "/server-x.json")
    file.remove(folder .. "/server-y.json")
    file.remove(folder)
  end)
end)
