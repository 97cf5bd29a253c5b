-- SPDX-License-Identifier: Apache-2.0
--- State: what must be known to clean up after a qlua that was killed: one small file per running server.
-- It is written before the server is started, again when it runs and when it is ready (its workers are known then), and removed
-- when nothing of it is left. It lies in the run's folder and, for `qlua reap`, once more in the user's: $XDG_STATE_HOME/qlua/servers.

local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local sys = require "qlua.core.sys"

local state = {}

--- The user's folder of qlua's state.
function state.folder()
  local home = sys.env "XDG_STATE_HOME"
  if home and home:sub(1, 1) == "/" then return home .. "/qlua" end
  return (sys.env "HOME" or "/tmp") .. "/.local/state/qlua"
end

local function boot_id()
  local text = file.read "/proc/sys/kernel/random/boot_id"
  return text and text:match "%S+"
end

--- This boot of this machine: pids and start times mean nothing in another.
state.boot_id = boot_id

local function me() return proc.stat(sys.pid()) or { pid = sys.pid(), start = 0 } end

local function paths_of(record)
  local name = ("server-%s.json"):format(record.nonce)
  return { record.run_dir .. "/" .. name, state.folder() .. "/servers/" .. name }
end

local function write(record)
  file.make_dir(state.folder() .. "/servers")
  local text = json.encode(record)
  for _, path in ipairs(paths_of(record)) do file.write(path, text) end -- a full disk must not keep a run from its work
end

--- Write down a server that is about to be started: from here on it can be found by its nonce and its control group.
-- @tparam string nonce
-- @tparam table facts variant, run_dir
-- @treturn table handle with record, update(process) once it runs and again when it is ready, and remove()
function state.put(nonce, facts)
  local owner = me()
  local record = { nonce = nonce, pid = 0, members = json.array {}, cgroup = proc.cgroup_path(nonce), boot_id = boot_id(),
    owner = { pid = owner.pid, start = owner.start }, host = sys.host().hostname, variant = facts.variant,
    run_dir = file.real(facts.run_dir) or facts.run_dir, started_at = clock.iso() }
  write(record)
  return {
    record = record,
    update = function(process)
      local stat = proc.stat(process:pid())
      record.pid, record.start = process:pid(), record.start or stat and stat.start
      record.members = json.array(process:members())
      write(record)
    end,
    remove = function() state.remove(record) end,
  }
end

--- Forget a server of which nothing is left.
function state.remove(record)
  for _, path in ipairs(paths_of(record)) do
    if file.stat(path) then file.remove(path) end
  end
end

local function is_record(value)
  return type(value) == "table" and type(value.nonce) == "string" and #value.nonce >= 8 and type(value.run_dir) == "string"
    and math.type(value.pid) == "integer" and type(value.owner) == "table"
end

--- The servers that are written down in a folder.
-- @tparam ?string folder a run's; nil: all of this user
-- @treturn table list of records, oldest first
function state.list(folder)
  folder = folder or state.folder() .. "/servers"
  local list = {}
  for _, name in ipairs(file.list(folder) or {}) do
    if name:find "^server%-.*%.json$" then
      local text = file.read(folder .. "/" .. name)
      local record = text and json.decode(text)
      if is_record(record) then list[#list + 1] = record end
    end
  end
  table.sort(list, function(a, b) return tostring(a.started_at) < tostring(b.started_at) end)
  return list
end

--- Does the qlua that started it still live?
function state.has_owner(record)
  if record.boot_id ~= boot_id() then return false end
  local owner = proc.stat(record.owner.pid)
  return owner ~= nil and not owner.dead and owner.start == record.owner.start
end

return state
