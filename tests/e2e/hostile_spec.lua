-- SPDX-License-Identifier: Apache-2.0
--- Servers as they really are (docs/sim.md, "Hostile"), and qlua stopped at every point of a run. Whatever happens: nothing of a
-- server is left, no port is held, the cause is one sentence, and the run that is resumed ends as one that nobody disturbed.
-- QLUA_E2E_HOSTILE=all (`make soak`) takes every point with every signal; otherwise each point and each signal comes at least once.
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local proc = require "qlua.core.proc"
local support = require "support"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local QUESTIONS = 24

-- A configuration, its folder, and the words of a run with it. Options: server, benchmark (tables), faults, ttft_ms.
local function prepare(hostile, options)
  options = options or {}
  local folder = support.folder()
  local server = { startup_timeout_s = 120, stop_grace_s = 60 }
  for key, value in pairs(options.server or {}) do server[key] = value end
  local lines = {}
  for key, value in pairs(server) do lines[#lines + 1] = key .. ": " .. value end
  local path = support.write(folder .. "/config.yaml", ([[
model: { base_name: simulated, variants: [ { name: one } ] }
data: %s
server: { engine: sim, port: null, %s }
sim: { seed: 7, accuracy: { default: 0.7 }, latency: { ttft_ms: %d }, faults: { %s }, hostile: { %s } }
generation: { max_tokens: 512, seed: 1 }
benchmark: { concurrency: %d, num_warmup_iterations: 0 }
report: { language: en, layouts: [markdown] }
]]):format(support.sample_data, table.concat(lines, ", "), options.ttft_ms or 10, options.faults or "", hostile or "",
    options.concurrency or 8))
  return folder, { "gsm8k", "--config", path, "--limit", tostring(QUESTIONS), "--out", folder .. "/results" }
end

local function run(hostile, options)
  local folder, words = prepare(hostile, options)
  table.insert(words, 1, "run")
  local result = support.qlua(words)
  result.folder = folder
  local names = file.list(folder .. "/results")
  result.dir = names and names[1] and folder .. "/results/" .. names[1]
  return result
end

-- All of a run's processes name its folder: the server by its plan, its children by the ledger that they hold open.
local function left_of(folder) return support.processes_with(folder) end

local function ports_of(dir)
  local ports = {}
  for port in (file.read(dir .. "/logs/one.log") or ""):gmatch "listening on http://[%d.]+:(%d+)" do ports[#ports + 1] = port end
  return ports
end

local function assert_nothing_left(folder, dir)
  assert.same({}, left_of(folder))
  for _, name in ipairs(file.list(dir) or {}) do assert.is_nil(name:match "^server%-.*%.json$") end
  for _, port in ipairs(ports_of(dir)) do assert.is_truthy(sys.free_port("127.0.0.1", tonumber(port))) end
end

local function answers(dir)
  return support.rows(dir, "SELECT sample, outcome, value, text_sha256 FROM answer ORDER BY sample")
end

local function servers(dir)
  return support.rows(dir, "SELECT incarnation, end_kind, cause FROM server ORDER BY incarnation")
end

local plain

local function assert_undisturbed(result)
  assert.equal(0, result.code, result.all)
  assert.same(plain, answers(result.dir))
  assert_nothing_left(result.folder, result.dir)
end

describe("a server", function()
  setup(function() plain = answers(run().dir) end)
  teardown(support.clean)

  it("whose workers leave its session, and outlive it, leaves none of them", function()
    assert_undisturbed(run "children: 2")
    assert_undisturbed(run "children: 2, forget: true")
  end)

  it("that ignores SIGTERM is killed after the grace", function()
    local result = run("ignore_term: true, children: 1", { server = { stop_grace_s = 0.2 } })
    assert_undisturbed(result)
  end)

  it("that waits for its clients at SIGTERM has none by then", function() -- else it would take the whole grace
    assert_undisturbed(run("hold_term: true", { server = { stop_grace_s = 10000 } }))
  end)

  it("that loads for ever in silence is given up: no progress", function()
    local result = run("load: silent, children: 1", { server = { startup_stall_s = 0.5 } })
    assert.equal(4, result.code, result.all)
    assert.is_truthy(result.err:find("variant 'one': its server was not healthy and made no progress for 0.5 s", 1, true), result.err)
    assert_nothing_left(result.folder, result.dir)
  end)

  it("that loads for ever and talks is given up at the cap", function()
    local result = run("load: chatty", { server = { startup_stall_s = 1, startup_timeout_s = 2 } })
    assert.equal(4, result.code, result.all)
    assert.is_truthy(result.err:find("variant 'one': its server was not healthy after 2 s", 1, true), result.err)
    assert_nothing_left(result.folder, result.dir)
  end)

  it("that exits with 0 when its engine dies has crashed: it is started again, and only what is unanswered is asked", function()
    local result = run("children: 1", { faults = "exit: { after_n: 20, code: 0 }" })
    assert_undisturbed(result)
    local lives = servers(result.dir)
    assert.same({ "crashed", "stopped" }, { lives[1].end_kind, lives[2].end_kind })
    assert.is_truthy(lives[1].cause:find("exited with status 0 while it was asked", 1, true))
    local by_life = support.rows(result.dir, "SELECT incarnation, count(*) AS n FROM answer GROUP BY 1 ORDER BY 1")
    assert.same({ 1, 2 }, { by_life[1].incarnation, by_life[2].incarnation })
    assert.equal(QUESTIONS, by_life[1].n + by_life[2].n)
    assert.is_true(by_life[1].n >= 5, "most of what came before the crash is kept")
    -- nothing that was answered was asked again
    assert.same({ { n = QUESTIONS } }, support.rows(result.dir, "SELECT count(*) AS n FROM request WHERE error_kind IS NULL"))
  end)

  it("that dies too often is given up, and the run goes on when it is resumed", function()
    local result = run(nil, { faults = "exit: { after_n: 9, code: 0 }", server = { max_restarts = 0 }, concurrency = 2 })
    assert.equal(4, result.code, result.all)
    assert.is_truthy(result.err:find("exited with status 0 while it was asked", 1, true))
    assert_nothing_left(result.folder, result.dir)
    local again
    for _ = 1, 4 do
      again = support.qlua { "run", "--resume", result.dir }
      assert_nothing_left(result.folder, result.dir)
      if again.code == 0 then break end
    end
    again.dir, again.folder = result.dir, result.folder
    assert_undisturbed(again)
  end)

  it("that is wedged behind a healthy /health is found and started again", function()
    local result = run("wedge_after: 15, children: 1", { server = { stall_timeout_s = 1 } })
    assert_undisturbed(result)
    local lives = servers(result.dir)
    assert.equal("crashed", lives[1].end_kind)
    assert.matches("^variant 'one': its server is wedged: it is healthy, and answered none of %d+ requests for 1 s, nor a test completion",
      lives[1].cause)
  end)

  it("that serves another model is refused", function()
    local result = run "identity: someone-else, children: 1"
    assert.equal(4, result.code, result.all)
    assert.matches("variant 'one': the server at %S+ does not serve 'simulated#%S+' %(it serves: someone%-else%)", result.err)
    assert_nothing_left(result.folder, result.dir)
  end)

  it("that dies of one question loses that question alone", function()
    local result = run("children: 1", { faults = "exit: { share: 0.04, code: 1 }" })
    local rows = answers(result.dir)
    local dead = {}
    for i, row in ipairs(rows) do
      if row.outcome == "server_dead" then dead[#dead + 1] = row.sample else assert.same(plain[i], row) end
    end
    assert.equal(1, #dead, result.all)
    assert.equal(1, result.code, result.all) -- an error, and more than max_error_rate allows
    assert.same({ { error_text = "quarantined: in flight at two crashes" } },
      support.rows(result.dir, "SELECT error_text FROM answer WHERE sample = ?", dead[1]))
    assert.equal(3, #servers(result.dir))
    assert_nothing_left(result.folder, result.dir)
    local again = support.qlua { "run", "--resume", result.dir }
    assert.equal(1, again.code, again.all)
    assert.equal(3, #servers(result.dir)) -- it is not asked again, so nothing is started
  end)

  it("with which another shares its port is given up for one at another port, whoever of them answers", function()
    local folder, words = prepare("load_ms: 1500, reuse_port: true")
    table.insert(words, 1, "run")
    local process = support.start(words)
    local out = folder .. "/results"
    local port = support.wait_until("the server listens", function()
      return file.stat(out) and #file.list(out) == 1 and ports_of(support.run_dir(out))[1]
    end)
    local other = support.start { "sim", "--port", port, "--served-model", "other", "--hostile", "reuse_port=true" }
    local status = process:wait()
    local said = table.concat(process:tail(64), "\n")
    other:close()
    assert.matches("another server listens on port " .. port .. " too, and would answer some of the requests", said)
    assert.equal(0, status.code, said)
    local dir = support.run_dir(out)
    assert.same(plain, answers(dir))
    assert.same({ "failed", "stopped" }, { servers(dir)[1].end_kind, servers(dir)[2].end_kind })
    assert.same({}, left_of(folder))
  end)
end)

-- ---- stopped at every point -----------------------------------------------------------------------------------

-- Started by a shell that is gone at once, so that nobody but qlua itself looks after its children.
local function start(words, folder)
  local list = { "env -u QLUA_PATH -u QLUA_DATA -u QLUA_RUN_ID", "XDG_STATE_HOME=" .. support.state_home, "QLUA_LOCK_DIR=" .. folder,
    support.quote(support.exe) }
  for _, word in ipairs(words) do list[#list + 1] = support.quote(word) end
  local shell = assert(io.popen(("%s >>%s/output 2>&1 </dev/null & echo $!"):format(table.concat(list, " "), folder)))
  local pid = assert(math.tointeger(shell:read "n"))
  shell:close()
  return pid
end

local function signal(pid, name) proc.run { argv = { "kill", "-" .. name, tostring(pid) } } end

local function dir_of(folder)
  local names = file.list(folder .. "/results")
  return names and names[1] and folder .. "/results/" .. names[1]
end

local function count_answers(dir)
  local opened, rows = pcall(support.rows, dir, "SELECT count(*) AS n FROM answer")
  return opened and rows[1].n or 0
end

local function listens(dir) return #ports_of(dir) > 0 end

-- When a point has been reached; a moment more or less is what the points have between them.
local POINTS = {
  spawn = function(dir) return file.stat(dir .. "/logs/one.plan.json") end,
  load = listens,
  probe = function(dir)
    if not listens(dir) then return false end
    task.sleep(450) -- the load takes 300 ms, the first completion 300 ms more
    return true
  end,
  asking = function(dir) return count_answers(dir) >= 3 end,
  stopping = function(dir) return count_answers(dir) == QUESTIONS end,
}

local SIGNALS = { KILL = { "KILL" }, TERM = { "TERM" }, HUP = { "HUP" }, INT = { "INT" }, twice = { "INT", "INT" } }

local function all_cases()
  local cases = {}
  for point in pairs(POINTS) do
    for name in pairs(SIGNALS) do cases[#cases + 1] = { point, name } end
  end
  table.sort(cases, function(a, b) return a[1] .. a[2] < b[1] .. b[2] end)
  return cases
end

local CASES = sys.env "QLUA_E2E_HOSTILE" == "all" and all_cases() or {
  { "spawn", "KILL" }, { "load", "KILL" }, { "probe", "KILL" }, { "asking", "KILL" }, { "stopping", "KILL" },
  { "spawn", "INT" }, { "load", "twice" }, { "probe", "TERM" }, { "asking", "HUP" }, { "asking", "twice" }, { "stopping", "twice" },
}

local function is_over(pid) return not support.is_running(pid) end

local function stop_at(folder, words, case)
  local point, name = case[1], case[2]
  local pid = start(words, folder)
  local is_late = false
  support.wait_until(point, function()
    is_late = is_over(pid)
    local dir = dir_of(folder)
    return is_late or dir and POINTS[point](dir)
  end)
  for i, word in ipairs(SIGNALS[name]) do
    if i > 1 then task.sleep(50) end -- the first must have been taken in
    signal(pid, word)
  end
  support.wait_until("it ends by the signal", function() return is_over(pid) end)
  return is_late
end

local function reap(folder, dir, log)
  support.wait_until("the first process dies with qlua", function()
    for _, line in ipairs(left_of(folder)) do
      if line:find(" sim ", 1, true) then return false end
    end
    return true
  end)
  local before = left_of(folder)
  local env = { env = { QLUA_LOCK_DIR = folder } }
  local listed = support.qlua({ "reap", dir, "--dry-run" }, env)
  assert.equal(0, listed.code, listed.all)
  for _, line in ipairs(before) do assert.is_truthy(listed.out:find("  " .. line:match "^%d+" .. "  ", 1, true), listed.all) end
  assert.same(before, left_of(folder)) -- looking ends nothing
  log.left = #before
  local reaped = support.qlua({ "reap", dir }, env)
  assert.equal(0, reaped.code, reaped.all)
  assert.same({}, left_of(folder))
end

local function resume(folder, words)
  local dir = dir_of(folder)
  local opened, rows = pcall(support.rows, dir, "SELECT value FROM meta WHERE key = 'options'")
  if not (dir and opened and #rows == 1) then -- stopped before it had begun
    if dir then support.command { "rm", "-r", dir } end
    return support.qlua(words)
  end
  return support.qlua { "run", "--resume", dir }
end

-- Without a control group an orphan that has forgotten its environment is anybody's, also that of the commands of this test.
local function has_cgroup()
  local process = assert(proc.spawn { argv = { "sleep", "1000" }, own_cgroup = true })
  local path = process:cgroup()
  process:close()
  return path ~= nil
end

local function stopped_run(case, log)
  local shape = ("children: 2, forget: %s, ignore_term: true, load_ms: 300"):format(has_cgroup())
  local folder, words = prepare(shape, { server = { stop_grace_s = 1 }, ttft_ms = 300, concurrency = 4 })
  table.insert(words, 1, "run")
  log.is_late = stop_at(folder, words, case)
  local dir = dir_of(folder)
  if case[2] == "KILL" and case[1] ~= "asking" then reap(folder, dir, log) end -- `asking`: the resumed run does it
  if case[2] ~= "KILL" then assert.same({}, left_of(folder)) end
  local again = resume(folder, words)
  again.dir, again.folder = dir_of(folder), folder
  assert_undisturbed(again)
  return again
end

describe("a run that is stopped", function()
  local logs = {}
  setup(function()
    plain = plain or answers(run().dir)
    local jobs = {}
    for i, case in ipairs(CASES) do
      logs[i] = {}
      jobs[i] = function()
        local ok, err = pcall(stopped_run, case, logs[i])
        logs[i].error = not ok and (type(err) == "table" and (err.message or err.text) or tostring(err)) or nil
      end
    end
    support.at_once(jobs, 4)
  end)
  teardown(support.clean)

  for i, case in ipairs(CASES) do
    local name = case[2] == "twice" and "INT twice" or case[2]
    it(("by %s at the point '%s' leaves nothing, and ends as if nothing had happened"):format(name, case[1]), function()
      assert.is_nil(logs[i].error)
      assert.is_false(logs[i].is_late, "it had ended before the signal")
    end)
  end

  it("by KILL leaves workers behind that only `qlua reap` finds", function()
    local left = 0
    for _, log in ipairs(logs) do left = left + (log.left or 0) end
    assert.is_true(left > 0, "the test has nothing to reap")
  end)
end)

describe("variants on cards of their own", function()
  teardown(support.clean)

  -- Two simulated variants, each slow enough to be seen beside the other.
  local function lives(parallel)
    local folder = support.folder()
    local path = support.config(folder, { variants = { "{ name: one, server: { gpus: [0] } }", "{ name: two, server: { gpus: [1] } }" },
      sim = "latency: { ttft_ms: 100 }", benchmark = "parallel_variants: " .. tostring(parallel) })
    local result = support.run(folder, { "gsm8k", "--config", path, "--limit", "24" })
    assert.equal(0, result.code, result.all)
    assert.same({}, left_of(folder))
    local rows = support.rows(result.dir, "SELECT variant, start_ns, end_ns FROM server ORDER BY variant")
    assert.equal(2, #rows)
    return rows[2].start_ns < rows[1].end_ns, support.lasting(result.dir)
  end

  it("are asked at once where that is wanted, in turn elsewhere, with the same answers", function()
    local is_beside, at_once = lives(true)
    assert.is_true(is_beside)
    local is_beside_too, in_turn = lives(false)
    assert.is_false(is_beside_too)
    local function answers_of(text) return (text:gsub('"parallel_variants": %a+,?', "")) end
    assert.is_nil(support.difference(answers_of(in_turn), answers_of(at_once)))
  end)
end)

describe("qlua reap", function()
  teardown(support.clean)

  it("has nothing to do where nothing is written down", function()
    local result = support.qlua { "reap", support.folder() }
    assert.equal(0, result.code, result.all)
    assert.is_truthy(result.out:find("nothing to end", 1, true))
  end)

  it("leaves a run alone that still goes on", function()
    local folder, words = prepare("children: 1", { concurrency = 1, ttft_ms = 400 })
    table.insert(words, 1, "run")
    local process = support.start(words)
    support.wait_until("it asks", function() return dir_of(folder) and count_answers(dir_of(folder)) > 0 end)
    local before = #left_of(folder)
    local result = support.qlua { "reap", dir_of(folder) }
    assert.equal(0, result.code, result.all)
    assert.is_truthy(result.out:find("its qlua still runs (pid " .. process:pid(), 1, true), result.all)
    assert.equal(before, #left_of(folder))
    process:stop { grace_ms = support.guard_ms }
    process:close()
    local began = clock.now_ns()
    support.wait_until_gone(folder)
    assert.is_true(clock.now_ns() >= began)
  end)
end)
