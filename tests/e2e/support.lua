-- SPDX-License-Identifier: Apache-2.0
--- Support of the end-to-end tests: the binary under test as its users start it.
-- QLUA_BINARY names another binary than the one that runs the tests. Nothing here waits for a time to pass: waits are
-- for conditions, and GUARD_MS only turns a hang into a failure that says so.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local support = {}

support.root = sys.cwd()
support.guard_ms = tonumber(sys.env "QLUA_E2E_GUARD_MS") or 120000
support.shared = file.real(support.root .. "/../shared/data") or file.real(support.root .. "/../../shared/data")

--- A word for a shell.
local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end
support.quote = quote

local function absolute(path) return path:sub(1, 1) == "/" and path or support.root .. "/" .. path end

support.exe = absolute(sys.env "QLUA_BINARY" or sys.exe())
support.sample_data = support.root .. "/data/sample"

-- ---- folders and files ------------------------------------------------------------------------------------

local folders = {}

--- A new empty folder; `support.clean` removes it.
function support.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(file.make_dir(path))
  folders[#folders + 1] = path
  return path
end

--- Remove the folders of the tests so far; with QLUA_E2E_KEEP they stay, and are named.
function support.clean()
  for _, path in ipairs(folders) do
    if sys.env "QLUA_E2E_KEEP" then
      io.stdout:write("kept ", path, "\n")
    else
      assert(proc.run { argv = { "rm", "-rf", path } })
    end
  end
  folders = {}
end

function support.write(path, text)
  assert(file.write(path, text))
  return path
end

function support.read(path) return assert(file.read(path)) end

-- ---- the binary -------------------------------------------------------------------------------------------

-- What qlua keeps for its user and for the machine stays among the tests.
local state_home = os.tmpname()
os.remove(state_home)
support.state_home = state_home

-- The same whatever the tester's own environment says.
local function environment(changes)
  local env = { LANG = "C.UTF-8", LC_ALL = false, LC_MESSAGES = false, LANGUAGE = false, QLUA_PATH = false, QLUA_DATA = false,
    QLUA_DEBUG = false, NO_COLOR = false, QLUA_RUN_ID = false, COLUMNS = false, CLICOLOR_FORCE = false, FORCE_COLOR = false,
    http_proxy = false, https_proxy = false, all_proxy = false, HTTP_PROXY = false, HTTPS_PROXY = false, ALL_PROXY = false,
    XDG_STATE_HOME = state_home, QLUA_LOCK_DIR = state_home }
  for name, value in pairs(changes or {}) do env[name] = value end
  return env
end

--- Run any program to its end.
-- @tparam {string,...} argv
-- @tparam[opt] table options env, cwd, stdin
-- @treturn table { code, signal, out, err, all }
function support.command(argv, options)
  options = options or {}
  local result = assert(proc.run { argv = argv, env = environment(options.env), cwd = options.cwd, stdin = options.stdin,
    timeout_ms = support.guard_ms })
  if result.timed_out then error("it hangs: " .. table.concat(argv, " ") .. "\n" .. result.stderr, 2) end
  return { code = result.code, signal = result.signal, out = result.stdout, err = result.stderr, all = result.stdout .. result.stderr }
end

--- Run qlua to its end.
function support.qlua(argv, options)
  local words = table.move(argv, 1, #argv, 2, { options and options.exe or support.exe })
  return support.command(words, options)
end

--- Start qlua and come back at once.
-- @treturn userdata process of qlua.core.proc
function support.start(argv, options)
  options = options or {}
  local words = table.move(argv, 1, #argv, 2, { support.exe })
  return assert(proc.spawn { argv = words, env = environment(options.env), cwd = options.cwd, log = options.log })
end

--- Wait until `is_so()` gives something true, and return it.
function support.wait_until(what, is_so)
  local clock = require "qlua.core.clock"
  local give_up = clock.now_ns() + support.guard_ms * 1000000
  while true do
    local value = is_so()
    if value then return value end
    if clock.now_ns() > give_up then error("waited in vain: " .. what, 2) end
    task.sleep(10)
  end
end

--- Start a simulated server and wait until it says where it listens.
-- @tparam {string,...} argv options of `qlua sim`
-- @treturn table { url, process, stop() }
function support.sim(argv, options)
  local words = { "sim", "--port", "0" }
  table.move(argv, 1, #argv, #words + 1, words)
  local process = support.start(words, options)
  local url = support.wait_until("the sim listens", function()
    for _, line in ipairs(process:tail(5)) do
      local found = line:match "^listening on (http://%S+)"
      if found then return found end
    end
    if not process:alive() then error("the sim ended: " .. table.concat(process:tail(20), "\n")) end
  end)
  return { url = url .. "/v1", root = url, process = process, stop = function()
    local status = process:stop { grace_ms = support.guard_ms }
    process:close()
    return status
  end }
end

--- Call functions at once, so many at a time; a run that waits leaves the machine to the others.
-- @treturn table results in their order
function support.at_once(functions, limit)
  return require("qlua.concurrent").all(functions, limit or 4)
end

-- ---- runs -------------------------------------------------------------------------------------------------

--- Run datasets of a configuration into a results folder of their own.
-- @tparam string folder the test's
-- @tparam {string,...} words datasets and options
-- @tparam[opt] table options of support.qlua
-- @treturn table as support.qlua, with `dir`, the run's folder, when there is one
function support.run(folder, words, options)
  local argv = { "run" }
  table.move(words, 1, #words, 2, argv)
  argv[#argv + 1], argv[#argv + 2] = "--out", folder .. "/results"
  local result = support.qlua(argv, options)
  local names = file.list(folder .. "/results")
  result.dir = names and #names == 1 and folder .. "/results/" .. names[1] or nil
  return result
end

--- A configuration with simulated variants.
-- @tparam string folder where to write it
-- @tparam[opt] table options variants (list of lines), sim, server, benchmark, data (YAML of the section's inside)
-- @treturn string path
function support.config(folder, options)
  options = options or {}
  local variants = {}
  for i, line in ipairs(options.variants or { "{ name: one }" }) do variants[i] = "    - " .. line end
  return support.write(folder .. "/" .. (options.name or "config.yaml"), ([[
model:
  base_name: simulated
  variants:
%s
data: %s
server: { engine: sim, port: null, startup_timeout_s: 120, stop_grace_s: 60%s }
sim: { seed: 7, accuracy: { default: 0.7 }%s }
generation: { max_tokens: 512, seed: 1 }
benchmark: { concurrency: 8, num_warmup_iterations: 0%s }
report: { language: en, layouts: [markdown] }
]]):format(table.concat(variants, "\n"), options.data or support.sample_data, options.server and ", " .. options.server or "",
    options.sim and ", " .. options.sim or "", options.benchmark and ", " .. options.benchmark or ""))
end

--- The only run below a results folder.
function support.run_dir(out)
  local names = assert(file.list(out))
  assert(#names == 1, ("want one run in %s, got %d"):format(out, #names))
  return out .. "/" .. names[1]
end

function support.results(dir)
  local doc, err = require("qlua.results").read(dir .. "/evaluation_results.json")
  if not doc then error(err.text, 2) end
  return doc
end

--- The results without times and host facts, as text.
function support.lasting(dir)
  local results = require "qlua.results"
  return results.encode(results.strip_volatile(assert(json.decode(support.read(dir .. "/evaluation_results.json")))))
end

--- What distinguishes two texts: the first line that differs, or nil.
function support.difference(one, other)
  if one == other then return nil end
  local text = require "qlua.text"
  local left, right = text.lines(one), text.lines(other)
  for i = 1, math.max(#left, #right) do
    if left[i] ~= right[i] then return ("line %d: %s | %s"):format(i, tostring(left[i]), tostring(right[i])) end
  end
end

--- Rows of a run's database.
function support.rows(dir, sql, ...)
  local db = assert(require("qlua.core.store").open(dir .. "/run.db",
    { read_only = true, version = require("qlua.schema").version }))
  local rows = assert(db:rows(sql, ...))
  db:close()
  return rows
end

-- ---- what is left behind ----------------------------------------------------------------------------------

-- The contents of a file of /proc; nil when the process is gone.
local function proc_file(pid, name)
  local handle = io.open(("/proc/%s/%s"):format(pid, name), "rb")
  local text = handle and handle:read "a"
  if handle then handle:close() end
  return text
end

function support.is_running(pid)
  local stat = proc_file(pid, "stat")
  local state = stat and stat:match "^%d+ %(.*%) (%a)"
  return state ~= nil and state ~= "Z" and state ~= "X"
end

--- Processes whose command line or environment has a text.
-- @treturn {string,...} "PID command line"
function support.processes_with(text)
  local found = {}
  for _, pid in ipairs(assert(file.list "/proc")) do
    if pid:find "^%d+$" and tonumber(pid) ~= sys.pid() and support.is_running(pid) then
      local words = proc_file(pid, "cmdline") or ""
      if words:find(text, 1, true) or (proc_file(pid, "environ") or ""):find(text, 1, true) then
        found[#found + 1] = pid .. " " .. words:gsub("%z", " ")
      end
    end
  end
  return found
end

--- Waits until no process has a text any more: a killed parent's children die a moment after it.
function support.wait_until_gone(text)
  support.wait_until("no process has " .. text, function() return #support.processes_with(text) == 0 end)
end

--- A port below the ones that the kernel hands out, free at this moment.
function support.fixed_port()
  local from = 12000 + sys.pid() % 9000
  for port = from, from + 999 do
    if sys.free_port("127.0.0.1", port) then return port end
  end
  error "no free port"
end

-- ---- a terminal ---------------------------------------------------------------------------------------------

--- Run qlua on a terminal of its own.
-- @tparam {string,...} argv
-- @tparam table options columns (80), env, folder (for its files), keys: called with `screen()` (what was shown so far)
--   and `press(text)` until the program ends
-- @treturn table { code, screen }
function support.terminal(argv, options)
  local words = { quote(support.exe) }
  for _, word in ipairs(argv) do words[#words + 1] = quote(word) end
  local keys, shown = options.folder .. "/keys", options.folder .. "/screen"
  os.remove(keys)
  assert(proc.run({ argv = { "mkfifo", keys } }).code == 0)
  local inside = support.write(options.folder .. "/inside.sh",
    ("stty cols %d rows 24\nexec %s\n"):format(options.columns or 80, table.concat(words, " ")))
  local env = environment(options.env)
  env.TERM = env.TERM or "xterm"
  env.SHELL = "/bin/sh"
  local process = assert(proc.spawn { env = env, argv = { "sh", "-c",
    ("exec script -qefc %s %s <%s >/dev/null"):format(quote("sh " .. inside), quote(shown), quote(keys)) } })
  local input = assert(io.open(keys, "r+")) -- both ends, so that opening does not wait and no end of file is seen
  input:setvbuf "no"
  local function screen() return (file.read(shown) or "") end
  local status
  support.wait_until("the program on the terminal ends", function()
    if options.keys then options.keys(screen, function(text) input:write(text) end) end
    status = process:wait(20)
    return status
  end)
  input:close()
  process:close()
  return { code = status.code, screen = screen() }
end

return support
