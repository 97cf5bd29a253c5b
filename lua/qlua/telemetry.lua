-- SPDX-License-Identifier: Apache-2.0
--- Telemetry: what a variant costs its GPUs, measured while it is asked. docs/gpu.md says how, and what it cannot say.
-- One session per run, opened when `benchmark.collect_memory` is set. Its rows go into the run's table `telemetry`;
-- `qlua.summary.hardware` makes figures of them. Without a GPU every call does nothing, and `reason` says why.
--
-- Rows have a moment: `idle` (before the run's first server; of no variant), `baseline` (before a variant's server is started),
-- `loaded` (it has answered; which devices it uses is decided here) and `phase` (it was asked one dataset).

local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local gpu = require "qlua.core.gpu"
local gpus = require "qlua.supervisor.gpus"
local http = require "qlua.core.http"
local nvidia_smi = require "qlua.nvidia_smi"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local telemetry = {}

--- How long the devices are watched before the first server starts, for their power at rest.
telemetry.IDLE_MS = 2000
--- How long a device may take to give back what a stopped server had.
telemetry.FREE_TIMEOUT_S = 120
--- Memory that a device may hold beyond its baseline and still count as free: this much, or the share, whichever is more.
telemetry.FREE_SLACK_BYTES, telemetry.FREE_SLACK_SHARE = 512 << 20, 0.02
--- A device whose used memory grows by less than this while a server loads is not used by it.
telemetry.USED_BYTES = 64 << 20
--- Readings of a phase that are kept for a drawing.
telemetry.SERIES = 120

local Session = {}
Session.__index = Session

-- ---- which devices ----------------------------------------------------------------------------------------

local function by_word(devices, word)
  local index = math.tointeger(tonumber(word))
  if index then return devices[index + 1] end
  for _, device in ipairs(devices) do
    if word:find "^GPU%-" and device.uuid and device.uuid:sub(1, #word) == word then return device end
  end
end

--- The devices that a value of CUDA_VISIBLE_DEVICES leaves, as CUDA reads it: the first word that names none ends the list.
-- @tparam table devices as `gpu:devices()` gives them
-- @tparam ?string value nil: all
-- @treturn table list of devices
function telemetry.visible(devices, value)
  if not value then return devices end
  local list, seen = {}, {}
  for word in (value .. ","):gmatch "%s*([^,]-)%s*," do
    local device = by_word(devices, word)
    if not device or seen[device] then break end
    seen[device] = true
    list[#list + 1] = device
  end
  return list
end

local function visible_to(self, one)
  return telemetry.visible(self.devices, gpus.visible(one.variant))
end

-- Only what runs on this machine can be measured here.
local function why_not(one, server)
  if one.dialect.simulated then return "its server is simulated" end
  local host = server and not server.process and server.base_url:match "^%a+://%[?([^/:%]]+)"
  if host and not server.unix_socket and not http.is_loopback(host) then return "its server is on another machine" end
end

-- ---- open ---------------------------------------------------------------------------------------------------

local function open_source(library)
  local source, err = gpu.open { library = library }
  if source then return source, "nvml" end
  local fallback = nvidia_smi.open()
  if fallback then return fallback, "nvidia-smi" end
  return nil, err.text
end

--- Open the devices of this machine.
-- @tparam table options `is_wanted`, `store`, `is_stopped()`, `nonce` (what processes of ours have in their environment),
-- `library` (default: $QLUA_NVML, then the system's; `off`: none)
-- @treturn table session, also where there is no device
function telemetry.open(options)
  local self = setmetatable({ store = options.store, nonce = options.nonce, baselines = {}, idle = {},
    is_stopped = options.is_stopped or function() return false end, idle_ms = options.idle_ms or telemetry.IDLE_MS,
    free_timeout_s = options.free_timeout_s or telemetry.FREE_TIMEOUT_S }, Session)
  local library = options.library or sys.env "QLUA_NVML"
  self.library = library
  if not options.is_wanted then
    self.reason = "benchmark.collect_memory is off"
  elseif library == "off" then
    self.reason = "QLUA_NVML is off"
  else
    local name_or_reason
    self.gpu, name_or_reason = open_source(library)
    if self.gpu then self.source, self.devices = name_or_reason, self.gpu:devices() else self.reason = name_or_reason end
  end
  return self
end

-- Also where nothing is to be measured: the driver is asked once, and let go.
local function devices_of(self)
  if self.devices or self.has_listed then return self.devices or self.listed end
  self.has_listed = true
  local source = self.library ~= "off" and open_source(self.library) or nil
  if source then
    self.listed = source:devices()
    source:close()
  end
  return self.listed
end

--- The cards that a variant's server sees, for locks; those that its configuration names where the driver cannot be asked.
-- @treturn {table,...} `{ index, uuid }`
function Session:cards_of(one)
  local list = {}
  local devices = devices_of(self)
  if devices then
    for i, device in ipairs(telemetry.visible(devices, gpus.visible(one.variant))) do
      list[i] = { index = device.index, uuid = device.uuid }
    end
  else
    for i, index in ipairs(one.variant.server.gpus or {}) do list[i] = { index = index } end
  end
  return list
end

--- A session of its own for a variant that is worked on beside others: the same devices, its own baseline.
function Session:lane()
  return setmetatable({}, { __index = self })
end

--- What was found, for the run's records.
-- @treturn table `{ source, devices }` or `{ reason }`
function Session:facts()
  return { source = self.source, devices = self.devices, reason = self.reason }
end

function Session:close()
  if self.gpu then self.gpu:close() end
  self.gpu = nil
end

-- ---- readings -------------------------------------------------------------------------------------------------

-- Figures of all devices at one moment, or nil when the driver does not answer.
local function now_of(self)
  local mark = self.gpu:mark()
  return self.gpu:window(mark, mark)
end

local function put(self, moment, where, figures)
  self.store:put_telemetry(moment, where, self.devices[figures.index + 1].uuid or tostring(figures.index), figures)
end

-- The first call watches the devices at rest; the server of somebody else is there already, so nothing is at rest then.
local function watch_idle(self)
  if self.idle.seen then return end
  self.idle.seen = true
  local from = self.gpu:mark()
  task.sleep(self.idle_ms)
  for _, figures in ipairs(self.gpu:window(from, self.gpu:mark()) or {}) do put(self, "idle", {}, figures) end
end

local function uses(device, before, figures, lists)
  if before then
    local old = before[device.index + 1].memory_used_max_bytes
    if not old or not figures.memory_used_max_bytes then return true end -- it does not say: what is visible counts
    return figures.memory_used_max_bytes - old >= telemetry.USED_BYTES
  end
  local list = lists[device.index + 1]
  return list and #list > 0 or (figures.memory_used_max_bytes or 0) >= telemetry.FREE_SLACK_BYTES
end

-- ---- after a stop -----------------------------------------------------------------------------------------------

local function is_ours(pid, nonce)
  local environment = file.read(("/proc/%d/environ"):format(pid))
  return environment and nonce and environment:find(nonce, 1, true) ~= nil
end

local function name_of(pid)
  local name = file.read(("/proc/%d/comm"):format(pid))
  return ("%d (%s)"):format(pid, name and name:gsub("%s+$", "") or "?")
end

local function pids_of(list)
  local pids = {}
  for _, process in ipairs(list or {}) do pids[process.pid] = true end
  return pids
end

-- What is still there on one device, seen by this variant: nil when it is free again.
local function occupied(self, baseline, index, figures, list)
  local before, used = baseline.figures[index].memory_used_max_bytes, figures.memory_used_max_bytes
  local slack = math.max(telemetry.FREE_SLACK_BYTES, telemetry.FREE_SLACK_SHARE * (self.devices[index].memory_total_bytes or 0))
  local is_full, is_held, others = before and used and used > before + slack, false, {}
  local known = pids_of(baseline.processes[index])
  for _, process in ipairs(list or {}) do
    is_held = is_held or is_ours(process.pid, self.nonce)
    if not known[process.pid] then others[#others + 1] = name_of(process.pid) end
  end
  if not is_full and not is_held then return nil end
  local text = ("GPU %d holds %d MiB"):format(index - 1, (used or 0) >> 20)
  if before then text = ("%s, %d MiB before"):format(text, before >> 20) end
  if #others > 0 then text = ("%s; processes there: %s"):format(text, table.concat(others, ", ")) end
  return text
end

local function find_occupied(self, baseline)
  local now, lists, complaints = now_of(self), self.gpu:processes(), {}
  for index, figures in ipairs(now or {}) do
    if baseline.figures[index] then complaints[#complaints + 1] = occupied(self, baseline, index, figures, lists[index]) end
  end
  return complaints
end

--- Wait until a stopped server's memory is free and no process of it is left on any device.
-- @tparam table baseline `{ figures, processes }` from before it was started
-- @tparam number timeout_s
-- @treturn ?boolean true, or nil and err (server, or cancelled)
function Session:wait_until_free(baseline, timeout_s)
  local began = clock.now_ns()
  local complaints = find_occupied(self, baseline)
  while #complaints > 0 do
    if self.is_stopped() then return nil, { kind = "cancelled", text = "the run was stopped" } end
    if clock.now_ns() - began >= timeout_s * 1e9 then
      return nil, { kind = "server", text = ("not free %g s after the last server was stopped: %s"):format(timeout_s,
        table.concat(complaints, "; ")), hint = "end what holds the GPU (nvidia-smi shows it), or give the variant other GPUs" }
    end
    task.sleep(math.min(500, timeout_s * 100) // 1 | 0)
    complaints = find_occupied(self, baseline)
  end
  return true
end

-- ---- what a run calls -----------------------------------------------------------------------------------------

-- What these devices held before they were last used; nil when none of them was. Each device has its own, as variants that
-- are worked on at once have different ones.
local function baseline_of(self, devices)
  local made = { figures = {}, processes = {} }
  for _, device in ipairs(devices) do
    local known = self.baselines[device.index + 1]
    if known then made.figures[device.index + 1], made.processes[device.index + 1] = known.figures, known.processes end
  end
  return next(made.figures) and made or nil
end

--- Before a variant's server is started: its devices are free again, and what they hold is noted.
-- @tparam table one of the plan's variants
-- @treturn ?table err when a GPU is still taken by what ran before
function Session:before_launch(one)
  self.current = nil
  if not self.gpu or why_not(one) or not one.dialect.start then return nil end
  local devices = visible_to(self, one)
  local known = baseline_of(self, devices)
  if known then
    local _, err = self:wait_until_free(known, self.free_timeout_s)
    if err then
      if err.kind == "server" then err.text = ("variant '%s': %s"):format(one.name, err.text) end
      return err
    end
  end
  watch_idle(self)
  local figures = now_of(self)
  if not figures then return nil end
  local lists = self.gpu:processes()
  self.current = { baseline = { figures = figures, processes = lists } }
  for _, device in ipairs(devices) do
    local index = device.index + 1
    self.baselines[index] = { figures = figures[index], processes = lists[index] }
    put(self, "baseline", { variant = one.name }, figures[index])
  end
end

--- A variant's server has answered.
function Session:after_launch(one, server)
  if not self.gpu or why_not(one, server) then return end
  local figures = now_of(self)
  if not figures then return end
  local current = self.current or {}
  local before, lists = current.baseline and current.baseline.figures, self.gpu:processes()
  self.current, current.used = current, {}
  for _, device in ipairs(visible_to(self, one)) do
    local now = figures[device.index + 1]
    now.used = uses(device, before, now, lists)
    now.processes = lists[device.index + 1] and #lists[device.index + 1] or nil
    current.used[device.index + 1] = now.used
    put(self, "loaded", { variant = one.name }, now)
  end
end

--- A phase begins; what this gives goes to `end_phase`.
function Session:begin_phase()
  return self.gpu and self.current and self.current.used and self.gpu:mark() or nil
end

--- Memory and power of the current variant's devices at this moment, for a view.
-- @treturn ?table list of `{ index, memory_bytes, power_w }`
function Session:now()
  if not (self.gpu and self.current and self.current.used) then return nil end
  local list = {}
  for _, figures in ipairs(now_of(self) or {}) do
    if self.current.used[figures.index + 1] then
      list[#list + 1] = { index = figures.index, memory_bytes = figures.memory_used_max_bytes, power_w = figures.power_w_mean }
    end
  end
  return list
end

--- What the devices of the current variant did since a phase began; for phases that keep their figures themselves.
-- @tparam ?integer from what `begin_phase` gave
-- @treturn ?table list of figures, one per device
function Session:figures(from)
  if not from or not self.gpu then return nil end
  local list = {}
  for _, figures in ipairs(self.gpu:window(from, self.gpu:mark()) or {}) do
    if self.current.used[figures.index + 1] then list[#list + 1] = figures end
  end
  return #list > 0 and list or nil
end

--- A phase is over.
-- @tparam ?integer from what `begin_phase` gave
-- @tparam table where `{ phase, variant, dataset }`
function Session:end_phase(from, where)
  if not from or not self.gpu then return end
  local to = self.gpu:mark()
  for _, figures in ipairs(self.gpu:window(from, to) or {}) do
    if self.current.used[figures.index + 1] then
      figures.series = self.gpu:series(figures.index, from, to, telemetry.SERIES)
      put(self, "phase", where, figures)
    end
  end
end

return telemetry
