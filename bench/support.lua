-- SPDX-License-Identifier: Apache-2.0
--- Support of the benches: children, their processor time, medians, and rows of a Markdown table.
-- A row is printed as soon as it is known, so a bench reads well alone; `bench/run.lua` puts its heading above it.
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local q = require "qlua"
local run_store = require "qlua.run_store"
local sys = require "qlua.core.sys"

local support = {}

--- The program that runs this, and the folder of the data sets: the real ones where they are.
support.exe = sys.exe()
support.data = file.stat "../shared/data/hellaswag" and "../shared/data" or "data/sample"

-- ---- numbers --------------------------------------------------------------------------------------------------

local function sorted(values)
  local copy = table.move(values, 1, #values, 1, {})
  table.sort(copy)
  return copy
end

function support.median(values) return q.stats.quantile(values, 0.5) end

local function shown(value)
  local size = math.abs(value)
  local text = (size >= 100 and "%.0f" or size >= 10 and "%.1f" or size >= 1 and "%.2f" or "%.3f"):format(value)
  local digits, rest = text:match "^(%d%d%d%d+)(.*)$"
  if not digits then return text end
  return (digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")) .. rest
end

--- Head of a table; its rows follow.
function support.head() print "| what | unit | median | min – max | runs |\n|:--|:--|--:|--:|--:|" end

--- One row: a name, a unit, and what each run gave.
function support.row(name, unit, values)
  local list = sorted(values)
  print(("| %s | %s | %s | %s – %s | %d |"):format(name, unit, shown(support.median(list)), shown(list[1]),
    shown(list[#list]), #list))
  io.stdout:flush()
end

--- Wall time of fn, in milliseconds, and its results.
function support.timed(fn, ...)
  local before = clock.now_ns()
  local results = table.pack(fn(...))
  return (clock.now_ns() - before) / 1e6, table.unpack(results, 1, results.n)
end

-- ---- processor time -------------------------------------------------------------------------------------------

local function stat_fields(pid)
  local handle = assert(io.open(("/proc/%s/stat"):format(pid)))
  local fields = {}
  for word in handle:read("a"):match("%) (.*)$"):gmatch "%S+" do fields[#fields + 1] = word end
  handle:close()
  return fields
end

local TICKS = 100 -- per second, in what /proc shows on Linux

--- Seconds of processor time a process has used; of all its threads.
function support.cpu(pid)
  local fields = stat_fields(pid)
  return (fields[12] + fields[13]) / TICKS
end

--- Seconds used by the children of this process that have ended.
function support.children_cpu()
  local fields = stat_fields "self"
  return (fields[14] + fields[15]) / TICKS
end

-- ---- children -------------------------------------------------------------------------------------------------

--- An empty folder that is removed at the end of the bench.
function support.scratch()
  local path = os.tmpname()
  os.remove(path)
  assert(file.make_dir(path))
  return path, function() proc.run { argv = { "rm", "-rf", path } } end
end

--- Run a command to its end.
-- @treturn number milliseconds, and seconds of processor time
function support.child(argv)
  local cpu = support.children_cpu()
  local ms, result, err = support.timed(proc.run, { argv = argv })
  if not result or result.code ~= 0 then error(("%s: %s"):format(table.concat(argv, " "), err and err.text or result.stderr), 0) end
  return ms, support.children_cpu() - cpu
end

--- Start `qlua sim` with these options and wait until it answers.
-- @treturn table { url, cpu(), stop() }
function support.sim(...)
  local port = sys.free_port()
  local argv = { support.exe, "sim", "--port", tostring(port), ... }
  local process, err = proc.spawn { argv = argv }
  if not process then error(err.text, 0) end
  local sim = { url = ("http://127.0.0.1:%d/v1"):format(port) }
  function sim.cpu() return support.cpu(process:pid()) end
  function sim.stop() process:stop { grace_ms = 5000 } end
  for _ = 1, 600 do
    local reply = q.http.get(("http://127.0.0.1:%d/health"):format(port))
    if reply and reply.status == 200 then return sim end
    if not process:alive() then break end
    q.sleep(50)
  end
  error("the simulated server did not start: " .. table.concat(argv, " "), 0)
end

--- Seconds in which a finished run asked its questions, and how many it asked.
function support.phase(out)
  local names = assert(file.list(out))
  local store = assert(run_store.open(("%s/%s"):format(out, names[#names]), { read_only = true }))
  local seconds, asked = 0, 0
  for _, phase in ipairs(store:phases()) do
    seconds, asked = seconds + (phase.end_ns - phase.start_ns) / 1e9, asked + phase.asked
  end
  store:close()
  return seconds, asked
end

--- The body of a streaming request for so many tokens.
function support.stream_body(prompt, tokens)
  return json.encode { model = "qlua-sim", prompt = prompt, max_tokens = tokens, ignore_eos = true, stream = true }
end

return support
