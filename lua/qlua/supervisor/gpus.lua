-- SPDX-License-Identifier: Apache-2.0
--- GPUs: which cards a variant's server sees, and a lock for each, so that two runs cannot share one unknowingly.
-- A card's lock is a file named after its UUID in a folder that all users of the machine share; the kernel gives it back when
-- its holder ends, however it ends.

local failure = require "qlua.supervisor.failure"
local file = require "qlua.core.file"
local state = require "qlua.supervisor.state"
local sys = require "qlua.core.sys"

local gpus = {}

--- The environment of a server's process with the cards that the configuration gives it.
-- @tparam table variant its server.gpus: list of indexes as nvidia-smi shows them; nil: all; empty: none
-- @tparam ?table env of the dialect
-- @treturn table env
function gpus.add_environment(variant, env)
  local made = {}
  for name, value in pairs(env or {}) do made[name] = value end
  local list = variant.server.gpus
  if list then made.CUDA_VISIBLE_DEVICES = table.concat(list, ",") end -- in the order of the bus: see `launch.environment`
  return made
end

--- The value of CUDA_VISIBLE_DEVICES that a variant's server gets; nil: all.
function gpus.visible(variant)
  local env = variant.server.env or {}
  if env.CUDA_VISIBLE_DEVICES then return env.CUDA_VISIBLE_DEVICES end
  if variant.server.gpus then return table.concat(variant.server.gpus, ",") end
  return sys.env "CUDA_VISIBLE_DEVICES"
end

--- May two variants' servers run at once? Only when both say which cards are theirs, and none is both's.
-- @tparam table one variant
-- @tparam table other variant
function gpus.are_disjoint(one, other)
  local mine, theirs = one.server.gpus, other.server.gpus
  if not mine or not theirs then return false end
  local taken = {}
  for _, index in ipairs(mine) do taken[index] = true end
  for _, index in ipairs(theirs) do
    if taken[index] then return false end
  end
  return true
end

-- ---- locks --------------------------------------------------------------------------------------------------

-- Shared by all users where it may be; else one's own, which at least keeps one's own runs apart.
local function folders()
  local list = {}
  for _, folder in ipairs { sys.env "QLUA_LOCK_DIR" or false, "/run/lock", state.folder() } do
    if folder then list[#list + 1] = folder end
  end
  return list
end

local function take(name, holder)
  local lock, err
  for _, folder in ipairs(folders()) do
    if folder == state.folder() then file.make_dir(folder) end
    lock, err = file.lock(("%s/qlua-gpu-%s.lock"):format(folder, name), holder)
    if lock or err.kind == "limit" then break end
  end
  return lock, err
end

--- Take the cards of a variant for this run; those that it has already are its own.
-- @tparam table held the run's cards so far, name → lock; more are added
-- @tparam table variant
-- @tparam {table,...} devices `{ index, uuid }`, those that its server sees
-- @tparam string run_dir for the message of who comes later
-- @treturn ?table err when another run has one
function gpus.take(held, variant, devices, run_dir)
  for _, device in ipairs(devices) do
    local name = (device.uuid or "index-" .. device.index):gsub("[^%w%-]", "_")
    local lock, err = held[name], nil
    if not lock then lock, err = take(name, ("qlua (pid %d) for the run %s\n"):format(sys.pid(), run_dir)) end
    held[name] = lock
    if err and err.kind == "limit" then
      return select(2, failure.error(variant, ("GPU %d is in use by another run: %s"):format(device.index, err.text),
        "wait for it to end, or give the variant other GPUs (gpus: [1])"))
    end
  end
end

--- Give all cards back.
function gpus.release(held)
  for _, lock in pairs(held) do lock:close() end
end

return gpus
