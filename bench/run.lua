-- SPDX-License-Identifier: Apache-2.0
--- Runs the benches one after the other and writes `bench/RESULTS.md`: `build/release/qlua lua bench/run.lua [NAME…]`.
-- Each runs in a process of its own; with names only those, and only on the terminal. Figures are facts about one machine at
-- one moment, so the file says which and how busy it was; nothing is compared with a limit.
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local proc = require "qlua.core.proc"
local support = require "support"
local sys = require "qlua.core.sys"

local BENCHES = {
  { "goals", "Goals" },
  { "peers", "Other clients" },
  { "start", "Starting up" },
  { "load", "Loading the data sets" },
  { "pipeline", "The whole pipeline" },
  { "events", "CPU per event of a stream" },
  { "stamps", "Error of an event's stamp" },
  { "streams", "Memory at 1,024 open streams" },
  { "store", "Writing into the store" },
  { "report", "Report of 3 x 25,403 answers" },
}

local function read_line(path)
  local handle = io.open(path)
  local line = handle and handle:read "l" or "unknown"
  if handle then handle:close() end
  return line
end

local function load_average() return read_line "/proc/loadavg":match "^%S+ %S+ %S+" end

local function output_of(...)
  local result = proc.run { argv = { ... } }
  return result and result.code == 0 and result.stdout:gsub("%s+$", "") or "unknown"
end

local function host_facts()
  local cpu = "unknown"
  for line in io.lines "/proc/cpuinfo" do
    cpu = line:match "^model name%s*:%s*(.+)" or cpu
  end
  local kib = read_line "/proc/meminfo":match "%d+"
  return ([[# Results

Written by `make bench` (`bench/run`). How to read it: [README.md](README.md). The machine was shared with the simulated server, and
with whatever its load average says besides.

- date: %s
- processor: %s, %s available
- memory: %.1f GiB
- kernel: %s
- program: %s
- data: `%s`
]]):format(clock.iso(), cpu, output_of "nproc", (tonumber(kib) or 0) / 2 ^ 20, output_of("uname", "-sr"),
    output_of(support.exe, "version"):match "^[^\n]*", support.data)
end

local function section(name, title)
  local path = ("bench/%s.lua"):format(name)
  local before = load_average()
  local result, err = proc.run { argv = { sys.exe(), "lua", path } }
  if not result then error(err.text, 0) end
  if result.code ~= 0 then error(("%s: %s"):format(path, result.stderr), 0) end
  return ("## %s\n\n`build/release/qlua lua %s`; load average before and after: %s; %s\n\n%s"):format(title, path, before,
    load_average(), result.stdout)
end

local wanted = {}
for _, name in ipairs(arg) do wanted[name] = true end
local parts = { host_facts() }
for _, bench in ipairs(BENCHES) do
  if #arg == 0 or wanted[bench[1]] then
    local text = section(bench[1], bench[2])
    print(text)
    parts[#parts + 1] = text
  end
end
if #arg == 0 then
  assert(file.write("bench/RESULTS.md", table.concat(parts, "\n")))
  print "bench/RESULTS.md is written"
end
