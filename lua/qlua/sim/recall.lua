-- SPDX-License-Identifier: Apache-2.0
--- Recall: a memory for what may be asked again soon, of bounded size.
-- Two halves: when the young one is full it becomes the old one, and what is found in the old one moves back. So what
-- is in use stays, what is not is gone after two fillings, and nothing is kept in order.

local recall = {}
recall.__index = recall

--- @tparam integer limit what the costs of one half may add up to
function recall.new(limit)
  return setmetatable({ young = {}, old = {}, cost = 0, limit = limit }, recall)
end

--- Keep a value.
function recall:put(key, value, cost)
  if self.cost + cost > self.limit then self.old, self.young, self.cost = self.young, {}, 0 end
  self.young[key], self.cost = value, self.cost + cost
end

--- The value kept under a key, or nil.
-- @param cost of the value, or nil for 1
function recall:get(key, cost)
  local value = self.young[key]
  if value ~= nil then return value end
  value = self.old[key]
  if value ~= nil then self:put(key, value, cost or value.cost or 1) end
  return value
end

return recall
