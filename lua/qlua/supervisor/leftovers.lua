-- SPDX-License-Identifier: Apache-2.0
--- Leftovers: what a killed qlua left running, found and ended.
-- A process is taken for one of a server only by proof: it is in the server's own control group; or its environment holds the
-- server's nonce; or its pid and start time were written down while qlua lived; or it descends from one of these. Never by its
-- name, and never because it holds a port. One that carries another run's nonce is never touched.

local file = require "qlua.core.file"
local proc = require "qlua.core.proc"
local state = require "qlua.supervisor.state"
local task = require "qlua.core.task"

local leftovers = {}

local LOOKS, WAIT_MS = 100, 20

-- nil: no mark; else the nonce in its environment.
local function mark_of(pid)
  local environment = file.read(("/proc/%d/environ"):format(pid))
  return environment and ("\0" .. environment):match "%zQLUA_RUN_ID=([^%z]*)"
end

local function words_of(pid)
  local words = file.read(("/proc/%d/cmdline"):format(pid)) or ""
  words = words:gsub("%z", " "):gsub("%s+$", "")
  if words == "" then words = "[" .. (file.read(("/proc/%d/comm"):format(pid)) or "?"):gsub("%s+$", "") .. "]" end
  return words
end

local function in_cgroup(record)
  local pids = {}
  local text = record.cgroup and file.read(record.cgroup .. "/cgroup.procs")
  for pid in (text or ""):gmatch "%d+" do pids[math.tointeger(tonumber(pid))] = true end
  return pids
end

local function written_down(record)
  local starts = { [record.pid] = record.start }
  for _, member in ipairs(record.members or {}) do starts[member.pid] = member.start end
  return starts
end

local function all_processes()
  local list, by_pid = {}, {}
  for _, name in ipairs(file.list "/proc" or {}) do
    local pid = math.tointeger(tonumber(name))
    local stat = pid and proc.stat(pid)
    if stat and not stat.dead then
      list[#list + 1] = stat
      by_pid[pid] = stat
    end
  end
  return list, by_pid
end

local function is_proven(record, stat, grouped, starts)
  if record.start and stat.start < record.start then return false end -- older than the server
  local mark = mark_of(stat.pid)
  if mark then return mark == record.nonce end
  return grouped[stat.pid] or starts[stat.pid] == stat.start
end

-- A child of one of them is one too, unless it carries another mark.
local function add_children(list, found)
  local changed = true
  while changed do
    changed = false
    for _, stat in ipairs(list) do
      local mark = not found[stat.pid] and found[stat.parent] and (mark_of(stat.pid) or "")
      if mark and (mark == "" or mark == found.nonce) then
        found[stat.pid], changed = stat, true
      end
    end
  end
end

--- The living processes of a server that is written down.
-- @tparam table record of `qlua.supervisor.state`
-- @treturn table list of `{ pid, start, words }`
function leftovers.find(record)
  if record.boot_id ~= state.boot_id() then return {} end
  local list = all_processes()
  local found, grouped, starts = { nonce = record.nonce }, in_cgroup(record), written_down(record)
  for _, stat in ipairs(list) do
    if is_proven(record, stat, grouped, starts) then found[stat.pid] = stat end
  end
  add_children(list, found)
  local result = {}
  for _, stat in ipairs(list) do
    if found[stat.pid] then result[#result + 1] = { pid = stat.pid, start = stat.start, words = words_of(stat.pid) } end
  end
  return result
end

local function remove_cgroup(record)
  if not record.cgroup or not record.cgroup:find("/qlua-" .. record.nonce, 1, true) then return end
  if file.stat(record.cgroup) then file.remove(record.cgroup) end
end

--- End what is left of a server, and forget it.
-- @tparam table record whose owner is gone
-- @treturn integer how many processes were ended
-- @treturn table those that could not be ended
function leftovers.reap(record)
  local ended, left = {}, leftovers.find(record)
  for _ = 1, LOOKS do
    if #left == 0 then break end
    for _, process in ipairs(left) do
      if proc.kill(process.pid, process.start) then ended[process.pid] = true end
    end
    task.sleep(WAIT_MS)
    left = leftovers.find(record)
  end
  local count = 0
  for _ in pairs(ended) do count = count + 1 end
  if #left == 0 then
    remove_cgroup(record)
    state.remove(record)
  end
  return count, left
end

return leftovers
