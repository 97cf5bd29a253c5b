-- SPDX-License-Identifier: Apache-2.0
--- kill -9 at random moments. Whatever was going on: the servers die with the run, the port is free, and the run that is
-- resumed until it is done has the answers of one that nobody disturbed, none lost, none twice, none asked again.
-- QLUA_E2E_KILLS says how many times (12); `make soak` makes it 50.
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local proc = require "qlua.core.proc"
local support = require "support"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local KILLS = math.tointeger(tonumber(sys.env "QLUA_E2E_KILLS" or "12"))
local SEED = math.tointeger(tonumber(sys.env "QLUA_E2E_SEED" or "20261123"))
local LONGEST_MS = 1500

local random = require("qlua.random")(SEED, "kills")
local folder, config_path, port

-- Started by a shell that is gone at once, so that nobody but qlua itself looks after its children.
local function start(argv, mark)
  local words = { "env -u QLUA_PATH -u QLUA_DATA -u QLUA_RUN_ID", "E2E_MARK=" .. mark, support.quote(support.exe) }
  for _, word in ipairs(argv) do words[#words + 1] = support.quote(word) end
  local shell = assert(io.popen(("%s >>%s/output 2>&1 </dev/null & echo $!"):format(table.concat(words, " "), folder)))
  local pid = assert(math.tointeger(shell:read "n"))
  shell:close()
  return pid
end

-- True when it was killed, false when it had ended by itself.
local function kill_after(pid, ms, signal)
  local until_ns = clock.now_ns() + ms * 1000000
  while clock.now_ns() < until_ns do
    if not support.is_running(pid) then return false end
    task.sleep(5)
  end
  if proc.run({ argv = { "kill", "-" .. signal, tostring(pid) } }).code ~= 0 then return false end
  support.wait_until("it ends by the signal", function() return not support.is_running(pid) end)
  return true
end

local function assert_nothing_left(mark)
  support.wait_until_gone(mark)
  -- a process that is being torn down has no command line any more and its sockets a moment longer
  support.wait_until("the port is free", function() return sys.free_port("127.0.0.1", port) end)
end

local function kept_answers(dir)
  local by_key = {}
  for _, row in ipairs(support.rows(dir, "SELECT * FROM answer WHERE outcome NOT IN ('connect', 'server_dead')")) do
    by_key[row.variant .. " " .. row.sample] = row
  end
  return by_key
end

-- What was committed before the kill is still there, to the last field; only an answer's place in the list may come later.
local function assert_kept(dir, known)
  local now = kept_answers(dir)
  local count = 0
  for key, row in pairs(known) do
    count = count + 1
    assert.same(row, now[key])
  end
  return now, count
end

local function has_answers(dir)
  if not dir or not file.stat(dir .. "/run.db") then return false end
  local opened, rows = pcall(support.rows, dir, "SELECT value FROM meta WHERE key = 'options'")
  return opened and #rows == 1
end

-- One run from its start to its end, killed on the way as often as there are kills left.
local function killed_run(number, kills_left, signal)
  local out, kills, known, dir = ("%s/killed-%d"):format(folder, number), 0, {}, nil
  local mark = ("e2e-%d-%d-%d"):format(sys.pid(), number, clock.now_ns())
  while true do
    local argv = dir and { "run", "--resume", dir }
      or { "run", "gsm8k", "hellaswag", "mmlu", "--config", config_path, "--limit", "40", "--out", out }
    local pid = start(argv, mark)
    if kills < kills_left and kill_after(pid, random:number() * LONGEST_MS, signal) then
      kills = kills + 1
      assert_nothing_left(mark)
    else
      support.wait_until("the run ends", function() return not support.is_running(pid) end)
      assert_nothing_left(mark)
      return support.run_dir(out), kills
    end
    if not dir and file.stat(out) then
      local found = support.run_dir(out)
      if has_answers(found) then dir = found else support.command { "rm", "-r", out } end -- killed before it had begun
    end
    if dir then known = assert_kept(dir, known) end
  end
end

describe("kill -9", function()
  local undisturbed, runs = nil, 0

  setup(function()
    folder, port = support.folder(), support.fixed_port()
    config_path = support.config(folder, { server = "port: " .. port, variants = { "{ name: one }", "{ name: two }" },
      sim = 'latency: { ttft_ms: 25, itl_ms: 0.2 }, faults: { "429": { share: 0.03, retry_after: 0 }, rst: 0.02 }',
      benchmark = "retries: 20" })
    config_path = support.write(config_path, (support.read(config_path):gsub("port: null, ", "")))
    local run = support.run(folder, { "gsm8k", "hellaswag", "mmlu", "--config", config_path, "--limit", "40" })
    assert.equal(0, run.code, run.all)
    undisturbed = run.dir
  end)
  teardown(support.clean)

  local function killed_so_often(times, signal)
    local kills, want = 0, support.lasting(undisturbed)
    while kills < times do
      runs = runs + 1
      local dir, more = killed_run(runs, times - kills, signal)
      kills = kills + more
      assert.is_truthy(file.stat(dir .. "/evaluation_results.json"), support.read(folder .. "/output"))
      assert.is_nil(support.difference(want, support.lasting(dir)))
      assert.same({}, require("ledger").compare(dir).mismatches)
      assert.same({ { n = 240, m = 240 } }, support.rows(dir,
        "SELECT count(*) AS n, count(DISTINCT variant || ' ' || dataset || ' ' || sample) AS m FROM answer"))
      assert.same({ { integrity_check = "ok" } }, support.rows(dir, "PRAGMA integrity_check"))
      -- every question has its requests once: 1 of gsm8k and mmlu, 4 of hellaswag, for two variants
      assert.same({ { n = 2 * (40 + 160 + 40) } }, support.rows(dir, "SELECT count(*) AS n FROM request WHERE error_kind IS NULL"))
    end
    assert.equal(times, kills)
    if sys.env "QLUA_E2E_KILLS" then print(("%d times SIG%s, %d runs so far"):format(kills, signal, runs)) end
  end

  it(("%d times, and each run ends as if nothing had happened"):format(KILLS), function() killed_so_often(KILLS, "KILL") end)

  it(("%d times Ctrl-C, at any moment, just so"):format(KILLS // 3), function() killed_so_often(KILLS // 3, "INT") end)
end)
