-- SPDX-License-Identifier: Apache-2.0
--- Lanes: which variants of a run are worked on at the same time.
-- One after the other, unless `benchmark.parallel_variants` asks for more: then two servers of ours run at once where their cards are
-- disjoint, and two of somebody else's where their addresses differ. A variant never overtakes one before it.

local concurrent = require "qlua.concurrent"
local gpus = require "qlua.supervisor.gpus"

local lanes = {}

local function is_ours(one) return one.dialect.start and not one.variant.server.base_url end

--- May two variants be worked on at once?
-- @tparam table one of the plan's variants
-- @tparam table other
function lanes.may_share(one, other)
  if is_ours(one) and is_ours(other) then return gpus.are_disjoint(one.variant, other.variant) end
  if is_ours(one) or is_ours(other) then return false end -- whose card the other's is, nobody knows
  local mine, theirs = one.variant.server, other.variant.server
  return mine.base_url ~= theirs.base_url or mine.unix_socket ~= theirs.unix_socket
end

local function in_turn(list, work, is_stopped)
  local errors = {}
  for _, one in ipairs(list) do
    if is_stopped() then break end
    local err = work(one)
    if err then errors[#errors + 1] = err end
  end
  return errors
end

-- The handles of those that must end before this one begins.
local function in_the_way(one, started)
  for _, other in ipairs(started) do
    if not other.is_over and not lanes.may_share(one, other.one) then return other end
  end
end

local function side_by_side(list, work, is_stopped)
  local started = {}
  for i, one in ipairs(list) do
    local other = in_the_way(one, started)
    while other do
      other.handle.join()
      other = in_the_way(one, started)
    end
    if is_stopped() then break end
    local lane = { one = one }
    started[i] = lane
    lane.handle = concurrent.spawn(function()
      local ok, err = pcall(work, one)
      lane.is_over = true
      if not ok then lane.raised = err else lane.err = err end
    end)
  end
  local errors = {}
  for _, lane in ipairs(started) do lane.handle.join() end
  for _, lane in ipairs(started) do
    if lane.raised then error(lane.raised, 0) end
    errors[#errors + 1] = lane.err
  end
  return errors
end

--- Work on variants, in their order.
-- @tparam table list of the plan's variants
-- @tparam boolean is_wanted at once where they may
-- @tparam function work(one) → err or nil
-- @tparam function is_stopped()
-- @treturn table errors in the variants' order; what was raised is raised when all have ended
function lanes.each(list, is_wanted, work, is_stopped)
  return (is_wanted and side_by_side or in_turn)(list, work, is_stopped)
end

return lanes
