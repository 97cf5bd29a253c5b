-- SPDX-License-Identifier: Apache-2.0
--- Hostile: what real servers do to those who supervise them, as fields of `hostile` in a plan. docs/sim.md lists them.

local task = require "qlua.core.task"

local hostile = {}

--- Field → type, as `qlua.sim.plan` checks them.
hostile.FIELDS = { children = "count", forget = "boolean", ignore_term = "boolean", hold_term = "boolean", load = "string",
  load_ms = "number", identity = "string", wedge_after = "count", reuse_port = "boolean" }

local FOREVER_MS = 86400000
local LOADING_MS = 50

--- What is wrong with the fields together, or nil.
function hostile.problem(given)
  if given.load and given.load ~= "silent" and given.load ~= "chatty" then
    return "load", ('want silent or chatty, got "%s"'):format(given.load)
  end
end

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- Children as an engine's: with sessions of their own, holding on to the log. They outlive their parent. With `forget` nothing in
-- their environment says whose they are.
-- @tparam table plan
function hostile.fork(plan)
  local command = ("%ssetsid sh -c 'while :; do sleep 1000; done' %s &"):format(plan.hostile.forget and "env -i " or "",
    quote(plan.ledger or "engine"))
  for _ = 1, plan.hostile.children or 0 do os.execute(command) end
end

--- A load without an end; `chatty` says that it goes on.
function hostile.load(plan)
  plan.ready_after_ms = plan.hostile.load and FOREVER_MS or plan.hostile.load_ms or plan.ready_after_ms
  if plan.hostile.load ~= "chatty" then return end
  task.spawn(function()
    local percent = 0
    while true do
      io.stdout:write(("Loading safetensors checkpoint shards: %d%% (simulated)\n"):format(percent % 100))
      io.stdout:flush()
      percent = percent + 1
      task.sleep(LOADING_MS)
    end
  end)
end

--- Is the engine wedged by now? Requests hang then, and `/health` says 200.
-- @tparam table plan
-- @tparam integer count of requests for questions so far
function hostile.is_wedged(plan, count)
  local after = plan.hostile.wedge_after
  return after ~= nil and count > after
end

--- A reply that does not come.
function hostile.never(plan)
  plan.first_ms = FOREVER_MS
  return plan
end

--- What SIGTERM does: nothing, or nothing as long as a client is connected, or the end.
-- @tparam table plan
-- @tparam userdata server of `qlua.core.sim`
-- @tparam function wake ends the wait
function hostile.on_term(plan, server, wake)
  if plan.hostile.ignore_term then return function() end end
  if not plan.hostile.hold_term then return wake end
  return function()
    task.spawn(function()
      while server:stats().open > 0 do task.sleep(20) end
      wake()
    end)
  end
end

return hostile
