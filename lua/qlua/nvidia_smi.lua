-- SPDX-License-Identifier: Apache-2.0
--- nvidia-smi: readings of NVIDIA devices from the driver's own program, where its library cannot be loaded.
-- Offers what `qlua.core.gpu` offers (devices, processes, mark, window, series, close), with less in it: two readings a
-- second, no energy counter, no throttle reasons. Energy is the trapezoid of the power readings, and says so.

local clock = require "qlua.core.clock"
local proc = require "qlua.core.proc"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local nvidia_smi = {}

local Source = {}
Source.__index = Source

-- The name comes last, as it alone may hold a comma.
local FIELDS = { "index", "uuid", "driver_version", "memory.total", "memory.used", "power.draw", "power.limit", "temperature.gpu",
  "utilization.gpu", "clocks.sm", "persistence_mode", "mig.mode.current", "name" }
local QUERY = "--query-gpu=" .. table.concat(FIELDS, ",")
local FORMAT = "--format=csv,noheader,nounits"
local PERIOD_MS, MAX_SERIES = 500, 4096

-- ---- lines ------------------------------------------------------------------------------------------------

-- What is not known is written "[N/A]", "[Not Supported]", "N/A", "[Unknown Error]" or "[GPU is lost]": never 0.
local function known(word)
  if word == "" or word == "N/A" or word:find "^%[.*%]$" then return nil end
  return word
end

local function words_of(line, count)
  local words, at = {}, 1
  while #words < count - 1 do
    local from, to = line:find("%s*,%s*", at)
    if not from then return nil end
    words[#words + 1] = line:sub(at, from - 1):match "^%s*(.-)$"
    at = to + 1
  end
  words[count] = line:sub(at):match "^%s*(.-)%s*$"
  return words
end

local function flag(word)
  if word == "Enabled" then return true end
  if word == "Disabled" then return false end
end

local function bytes(word)
  local mib = word and tonumber(word)
  return mib and (mib * 1048576) // 1 | 0
end

--- One line of `--query-gpu` with the fields above.
-- @tparam string line
-- @treturn ?table a reading with what is known of the device; nil for a line that is none
function nvidia_smi.parse(line)
  local words = words_of(line, #FIELDS)
  local index = words and math.tointeger(tonumber(words[1]))
  if not index then return nil end
  local value = {}
  for i, name in ipairs(FIELDS) do value[name] = known(words[i]) end
  local utilisation = tonumber(value["utilization.gpu"])
  return { index = index, uuid = value.uuid, name = value.name, driver = value.driver_version,
    memory_total_bytes = bytes(value["memory.total"]), power_limit_w = tonumber(value["power.limit"]),
    persistence = flag(value.persistence_mode), partitioned = flag(value["mig.mode.current"]),
    memory_used_bytes = bytes(value["memory.used"]), power_w = tonumber(value["power.draw"]),
    temperature_c = math.tointeger(tonumber(value["temperature.gpu"])), utilisation = utilisation and utilisation / 100,
    sm_clock_mhz = math.tointeger(tonumber(value["clocks.sm"])) }
end

--- One line of `--query-compute-apps=gpu_uuid,pid,used_memory`.
function nvidia_smi.parse_process(line)
  local words = words_of(line, 3)
  local pid = words and math.tointeger(tonumber(words[2]))
  return pid and { uuid = words[1], pid = pid, memory_bytes = bytes(known(words[3])) } or nil
end

local function lines_of(text, parse)
  local list = {}
  for line in text:gmatch "[^\r\n]+" do list[#list + 1] = parse(line) end
  return list
end

local function query(program, ...)
  local result, err = proc.run { argv = { program, FORMAT, ... }, timeout_ms = 20000 }
  if not result then return nil, err end
  if result.code ~= 0 then
    local said = (result.stdout .. result.stderr):match "[^\r\n]+" or "nothing"
    return nil, { kind = "io", text = ("nvidia-smi: %s"):format(result.timed_out and "no answer in 20 s" or said) }
  end
  return result.stdout
end

-- ---- folding ------------------------------------------------------------------------------------------------

local function new_stretch(reading)
  return { first = reading, from_ns = reading.at_ns, to_ns = reading.at_ns, samples = 0, power_j = 0, power_s = 0, sums = {}, counts = {},
    power = reading.power_w, power_ns = reading.at_ns, max = { power_w = reading.power_w, memory_used_bytes = reading.memory_used_bytes,
    temperature_c = reading.temperature_c } }
end

local function raise_max(max, other)
  for _, name in ipairs { "power_w", "memory_used_bytes", "temperature_c" } do
    if other[name] then max[name] = math.max(max[name] or other[name], other[name]) end
  end
end

local function add(stretch, reading)
  stretch.to_ns, stretch.samples = reading.at_ns, stretch.samples + 1
  raise_max(stretch.max, reading)
  if reading.power_w then
    if stretch.power then
      local seconds = (reading.at_ns - stretch.power_ns) / 1e9
      stretch.power_j = stretch.power_j + seconds * (stretch.power + reading.power_w) / 2
      stretch.power_s = stretch.power_s + seconds
    end
    stretch.power, stretch.power_ns = reading.power_w, reading.at_ns
  end
  for _, name in ipairs { "sm_clock_mhz", "utilisation" } do
    if reading[name] then
      stretch.sums[name] = (stretch.sums[name] or 0) + reading[name]
      stretch.counts[name] = (stretch.counts[name] or 0) + 1
    end
  end
end

local function join(stretch, following)
  stretch.to_ns, stretch.samples = following.to_ns, stretch.samples + following.samples
  stretch.power_j, stretch.power_s = stretch.power_j + following.power_j, stretch.power_s + following.power_s
  raise_max(stretch.max, following.max)
  for name, count in pairs(following.counts) do
    stretch.counts[name] = (stretch.counts[name] or 0) + count
    stretch.sums[name] = (stretch.sums[name] or 0) + following.sums[name]
  end
end

local function figures_of(stretch)
  local function mean(name) return stretch.counts[name] and stretch.sums[name] / stretch.counts[name] or stretch.first[name] end
  local has_energy = stretch.power_s > 0
  return { samples = stretch.samples, seconds = (stretch.to_ns - stretch.from_ns) / 1e9, energy_j = has_energy and stretch.power_j or nil,
    energy_source = has_energy and "integrated" or nil,
    power_w_mean = has_energy and stretch.power_j / stretch.power_s or stretch.first.power_w,
    power_w_max = stretch.max.power_w, memory_used_max_bytes = stretch.max.memory_used_bytes, temperature_c_max = stretch.max.temperature_c,
    sm_clock_mhz_mean = mean "sm_clock_mhz", utilisation_mean = mean "utilisation" }
end

local function fold(self, reading)
  local stretches = self.stretches[reading.index]
  if not stretches then return end
  add(stretches[#stretches], reading)
  local series = self.readings[reading.index]
  if #series == MAX_SERIES then -- thinned out: every second one goes
    for i = 1, MAX_SERIES do series[i] = series[2 * i] end
  end
  series[#series + 1] = reading
end

-- Lines that the child has written since last time.
local function drain(self)
  if not self.child then return end
  local seen = self.child:lines_seen()
  local now = clock.now_ns()
  for _, line in ipairs(seen > self.seen and self.child:tail(seen - self.seen) or {}) do
    local reading = nvidia_smi.parse(line)
    if reading then
      reading.at_ns = now
      fold(self, reading)
    end
  end
  self.seen = seen
end

-- ---- what a run calls -----------------------------------------------------------------------------------------

--- Look for the program and ask it once.
-- @tparam[opt] string program its path
-- @treturn ?table source, or nil and err
function nvidia_smi.open(program)
  program = program or sys.find_on_path "nvidia-smi"
  if not program then return nil, { kind = "io", text = "nvidia-smi is not on the PATH" } end
  local text, err = query(program, QUERY)
  if not text then return nil, err end
  local list = lines_of(text, nvidia_smi.parse)
  if #list == 0 then return nil, { kind = "io", text = "nvidia-smi lists no GPU" } end
  local self = setmetatable({ program = program, list = list, stretches = {}, readings = {}, marks = 0, seen = 0 }, Source)
  for i, reading in ipairs(list) do
    reading.index, reading.at_ns = i - 1, clock.now_ns()
    self.stretches[i - 1], self.readings[i - 1] = { [0] = new_stretch(reading) }, {}
  end
  self.child = proc.spawn { argv = { program, QUERY, FORMAT, "-lms", tostring(PERIOD_MS) } } -- without it marks still read
  task.spawn(function()
    while self.child do
      drain(self)
      task.sleep(PERIOD_MS // 2)
    end
  end)
  return self
end

function Source:devices()
  local result = {}
  for i, one in ipairs(self.list) do
    result[i] = { index = one.index, uuid = one.uuid, name = one.name, driver = one.driver, memory_total_bytes = one.memory_total_bytes,
      power_limit_w = one.power_limit_w, persistence = one.persistence, partitioned = one.partitioned }
  end
  return result
end

--- Reads all devices once; parks for it.
function Source:mark()
  drain(self)
  local text = query(self.program, QUERY)
  local now = clock.now_ns()
  self.marks = self.marks + 1
  for _, reading in ipairs(text and lines_of(text, nvidia_smi.parse) or {}) do
    reading.at_ns = now
    fold(self, reading)
    local stretches = self.stretches[reading.index]
    if stretches then stretches[self.marks] = new_stretch(reading) end
  end
  return self.marks
end

--- Figures of each device between two marks, or nil and err where a mark could not be read.
function Source:window(from, to)
  local result = {}
  for i, device in ipairs(self.list) do
    local stretches = self.stretches[i - 1]
    for mark = from, to do
      if not stretches[mark] then return nil, { kind = "io", text = "nvidia-smi did not answer" } end
    end
    local whole = new_stretch(stretches[from].first)
    for mark = from, to - 1 do join(whole, stretches[mark]) end
    result[i] = figures_of(whole)
    result[i].index, result[i].uuid = i - 1, device.uuid
  end
  return result
end

function Source:series(index, from, to, max)
  local stretches, inside, result = self.stretches[index], {}, {}
  if not stretches[from] or not stretches[to] then return result end
  for _, reading in ipairs(self.readings[index]) do
    if reading.at_ns >= stretches[from].from_ns and reading.at_ns <= stretches[to].from_ns then inside[#inside + 1] = reading end
  end
  for i = 1, #inside, math.max(1, (#inside + max - 1) // max) do
    local one = inside[i]
    result[#result + 1] = { at_ns = one.at_ns, power_w = one.power_w, memory_used_bytes = one.memory_used_bytes,
      temperature_c = one.temperature_c, sm_clock_mhz = one.sm_clock_mhz, utilisation = one.utilisation }
  end
  return result
end

function Source:processes()
  local text = query(self.program, "--query-compute-apps=gpu_uuid,pid,used_memory")
  local result = {}
  for i, device in ipairs(self.list) do
    result[i] = text and {} or false
    for _, process in ipairs(text and lines_of(text, nvidia_smi.parse_process) or {}) do
      if process.uuid == device.uuid then table.insert(result[i], { pid = process.pid, memory_bytes = process.memory_bytes }) end
    end
  end
  return result
end

function Source:close()
  local child = self.child
  self.child = nil
  if child then child:close() end
end

return nvidia_smi
