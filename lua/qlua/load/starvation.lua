-- SPDX-License-Identifier: Apache-2.0
--- Starvation: for how long this process's threads were ready to run and had no processor, as the kernel counts it.
--
-- A client that is kept from the processor by others is neither busy nor idle by its own counters: the delay is invisible to it.
-- /proc/PID/task/TID/schedstat has it (its second number, ns). Where a kernel or a sandbox does not show it, it is not known.
local file = require "qlua.core.file"
local sys = require "qlua.core.sys"

local starvation = {}

local FOLDER = "/proc/self/task"

--- Time spent waiting for a processor, by thread. The main thread is left out: it never stands between a byte and its stamp.
-- @treturn ?table thread → ns; nil when the kernel does not say
function starvation.ns()
  local threads = file.list(FOLDER)
  if not threads then return nil end
  local waited, main = {}, tostring(sys.pid())
  for _, thread in ipairs(threads) do
    local text = thread ~= main and file.read(("%s/%s/schedstat"):format(FOLDER, thread))
    local ns = text and text:match "^%d+ (%d+)"
    if ns then waited[thread] = math.tointeger(tonumber(ns)) end
  end
  return next(waited) and waited or nil
end

--- The longest wait of any one thread since an earlier reading: a thread that began later counts from its beginning.
-- @tparam ?table before of `starvation.ns`
-- @treturn ?integer ns
function starvation.since(before)
  local now = starvation.ns()
  if not before or not now then return nil end
  local most = 0
  for thread, ns in pairs(now) do most = math.max(most, ns - (before[thread] or 0)) end
  return most
end

return starvation
