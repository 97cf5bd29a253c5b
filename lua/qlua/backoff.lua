-- SPDX-License-Identifier: Apache-2.0
--- Back-off: one for all workers of a server. A server that says "too many requests" to one has said it to all.
-- While it holds nobody sends. Afterwards each comes back at a moment of its own, and from then on no more requests are on
-- their way than the window is wide: none wait on the I/O thread, where the next hold could not reach them.

local clock = require "qlua.core.clock"
local task = require "qlua.core.task"

local Backoff = {}
Backoff.__index = Backoff

local backoff = {}

--- Coming back is spread over so many milliseconds.
backoff.spread_ms = 250

--- A back-off for one server.
-- @tparam ?integer width most requests at once after the first hold; nil: any number
-- @tparam function random draws from [0, 1)
function backoff.new(width, random)
  return setmetatable({ width = width, random = random, until_ns = 0, is_tight = false, inside = 0, waiting = {} }, Backoff)
end

--- Nobody sends for so long. A shorter hold does not end a longer one.
-- @tparam number ms
function Backoff:hold(ms)
  self.is_tight = true
  self.until_ns = math.max(self.until_ns, clock.now_ns() + math.floor(ms * 1e6))
end

local function wake_next(self)
  local wake = table.remove(self.waiting, 1)
  if wake then wake() end
end

--- Wait until sending is allowed.
-- @tparam function is_stopped the wait ends early when it says so
-- @treturn boolean true: send, and `leave` when the request is back; false: stopped, nothing to leave
function Backoff:enter(is_stopped)
  while true do
    local left_ms = (self.until_ns - clock.now_ns()) / 1e6
    if left_ms > 0 then
      task.sleep(left_ms + self.random() * backoff.spread_ms)
    elseif self.is_tight and self.width and self.inside >= self.width then
      task.park(function(wake) self.waiting[#self.waiting + 1] = wake end)
    else
      self.inside = self.inside + 1
      return true
    end
    if is_stopped() then
      wake_next(self)
      return false
    end
  end
end

--- The request is back.
function Backoff:leave()
  self.inside = self.inside - 1
  wake_next(self)
end

return backoff
