-- SPDX-License-Identifier: Apache-2.0
--- A mock on core 0 and clients on core 1, one after the other in the order A B B A, and medians of what they say.
-- A repeat in which the mock was late (p99 above 1 ms) says nothing about a client: it is counted and run again, and only
-- where the machine never lets one pass are late ones kept, and marked.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local q = require "qlua"
local support = require "support"

local pair = {}

local TOOLS = support.exe:gsub("[^/]*$", "") .. "bench/"
pair.tools = TOOLS
local LATE_US = 1000
local QUICK = os.getenv "QLUA_BENCH_QUICK" ~= nil

--- Repeats of a row; one where only the running of it is checked.
pair.repeats = QUICK and 1 or 5

local function decoded(argv, result, err)
  if not result or result.code ~= 0 then
    error(("%s: %s"):format(table.concat(argv, " "), err and err.text or result.stderr .. result.stdout), 0)
  end
  return json.decode(result.stdout)
end

--- Start a mock on core 0.
-- @treturn table { url, port, pid, stats(), reset(), stop() }
function pair.mock(...)
  if not file.stat(TOOLS .. "mock") then error(TOOLS .. "mock is missing; make bench-tools makes it", 0) end
  local sys = require "qlua.core.sys"
  local port = sys.free_port()
  local process, err = proc.spawn { argv = { TOOLS .. "mock", "--port", tostring(port), "--cpu", "0", ... } }
  if not process then error(err.text, 0) end
  local base = ("http://127.0.0.1:%d"):format(port)
  local mock = { base = base, url = base .. "/v1/chat/completions", port = port, pid = process:pid() }
  local function get(path) return q.http.get(base .. path) end
  function mock.stats() return json.decode(get "/stats".body) end
  function mock.reset() get "/reset" end
  function mock.stop() process:stop { grace_ms = 5000 } end
  for _ = 1, 200 do
    local reply = get "/health"
    if reply and reply.status == 200 then return mock end
    q.sleep(10)
  end
  error("the mock did not start", 0)
end

--- One run of the bare client, on the core of this process.
function pair.bare(mock, mode, path, ...)
  local argv = { TOOLS .. "bare", mode, "--port", tostring(mock.port), "--path", path, ... }
  return decoded(argv, proc.run { argv = argv, timeout_ms = 120000 })
end

--- One run of qlua's client (`bench/client.lua`), on the core of this process.
function pair.qlua(mode, options)
  local argv = { support.exe, "lua", "bench/client.lua", mode, json.encode(options) }
  return decoded(argv, proc.run { argv = argv, timeout_ms = 120000, max_bytes = 1 << 20 })
end

local function one_round(mock, contestants, order, found)
  for _, i in ipairs(order) do
    mock.reset()
    local result = contestants[i].run()
    local late = mock.stats().late_us
    result.mock_late_us, result.mock_ok = late.p99, late.count == 0 or late.p99 <= LATE_US
    found[i][#found[i] + 1] = result
  end
end

local function good(list)
  local kept = {}
  for _, result in ipairs(list) do if result.mock_ok then kept[#kept + 1] = result end end
  return kept
end

-- Least number of good repeats that any contestant has.
local function least_good(found)
  local least = math.huge
  for _, list in ipairs(found) do least = math.min(least, #good(list)) end
  return least
end

--- Run contestants in turns, forwards and backwards, until each has enough repeats in which the mock was on time.
-- @tparam table mock
-- @tparam table contestants list of { name, run = function → table }
-- @treturn table name → { results…, late = how many were left out, marked = true where some contestant has none on time }
function pair.abba(mock, contestants, repeats)
  repeats = repeats or pair.repeats
  local forwards, backwards, found = {}, {}, {}
  for i = 1, #contestants do forwards[i], backwards[#contestants + 1 - i], found[i] = i, i, {} end
  for round = 1, 2 * repeats do
    one_round(mock, contestants, round % 2 == 1 and forwards or backwards, found)
    if least_good(found) >= repeats then break end
  end
  local named = {}
  for i, contestant in ipairs(contestants) do
    local kept = good(found[i])
    named[contestant.name] = #kept > 0 and kept or found[i]
    named[contestant.name].late, named[contestant.name].marked = #found[i] - #kept, least_good(found) == 0
  end
  return named
end

--- What each result holds at a path such as "error_us.p99", as a list.
function pair.values(results, path, scale)
  local values = {}
  for i, result in ipairs(results) do
    local value = result
    for key in path:gmatch "[^.]+" do value = value[key] end
    values[i] = value * (scale or 1)
  end
  return values
end

--- Each result's a divided by its b.
function pair.per(results, a, b, scale)
  local over, under, values = pair.values(results, a), pair.values(results, b), {}
  for i = 1, #over do values[i] = under[i] > 0 and over[i] / under[i] * (scale or 1) or 0 end
  return values
end

local function perf_report(path, keys)
  local report = proc.run { argv = { "perf", "report", "-i", path, "--stdio", "--no-children", "-q", "-s", keys }, max_bytes = 4 << 20 }
  return report and report.code == 0 and report.stdout or ""
end

-- "main 61 %, others 30 % 9 %": a program's first thread has its number.
local function thread_shares(path)
  local script = proc.run { argv = { "perf", "script", "-i", path, "-F", "pid,tid" }, max_bytes = 64 << 20 }
  local counts, all, order = {}, 0, {}
  for pid, tid in (script and script.stdout or ""):gmatch "(%d+)/(%d+)" do
    local name = pid == tid and "main" or tid
    if not counts[name] then order[#order + 1] = name end
    counts[name], all = (counts[name] or 0) + 1, all + 1
  end
  table.sort(order, function(a, b) return counts[a] > counts[b] end)
  local list = {}
  for _, name in ipairs(order) do
    local share = 100 * counts[name] / all
    if share >= 1 then list[#list + 1] = ("%s %.0f %%"):format(name == "main" and "main" or "another", share) end
  end
  return list
end

--- What a recording of `perf` holds: shares of the threads and of the libraries, and the first functions, as one text.
function pair.perf_text(path, functions)
  local threads = thread_shares(path)
  if #threads == 0 then return nil end
  local objects, symbols = {}, {}
  for share, object in perf_report(path, "dso"):gmatch "([%d.]+)%%%s+(%S+)" do
    if tonumber(share) >= 3 then objects[#objects + 1] = ("%s %.0f %%"):format(object, tonumber(share)) end
  end
  for share, object, symbol in perf_report(path, "dso,symbol"):gmatch "([%d.]+)%%%s+(%S+)%s+%[.%] (%S+)" do
    if #symbols == functions then break end
    if not symbol:find "^0x" then symbols[#symbols + 1] = ("`%s` %s %% (%s)"):format(symbol, share, object) end
  end
  return ("threads: %s; libraries: %s; functions that have a name: %s"):format(table.concat(threads, ", "), table.concat(objects, ", "),
    table.concat(symbols, ", "))
end

--- Where a command's processor time goes, as a text, or why that is not known. What the command prints is dropped.
function pair.profile(argv, functions)
  local path = os.tmpname()
  local record = { "sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh", "perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-o", path, "--" }
  table.move(argv, 1, #argv, #record + 1, record)
  local result = proc.run { argv = record, timeout_ms = 300000 }
  local text = result and result.code == 0 and pair.perf_text(path, functions)
  os.remove(path)
  return text or "perf is not here or may not record: no profile"
end

--- The command that pair.qlua runs, for a profile.
function pair.qlua_argv(mode, options) return { support.exe, "lua", "bench/client.lua", mode, json.encode(options) } end

return pair
