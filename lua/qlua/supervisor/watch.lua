-- SPDX-License-Identifier: Apache-2.0
--- Watch: a server while it is asked: which questions are in flight, whether it lives, and whether it still answers.
--
-- A crash is seen by the process, never by a request; requests that hang in a survivor's connection are cancelled then. A wedged
-- engine has a live process and a healthy `/health`: it is found by nothing coming back for `server.stall_timeout_s` while requests
-- are in flight, and a completion of our own, over a connection of its own, not coming back in that time either.

local clock = require "qlua.core.clock"
local http = require "qlua.core.http"
local launch = require "qlua.launch"
local ready = require "qlua.supervisor.ready"
local task = require "qlua.core.task"

local watch = {}
watch.__index = watch

local DRAIN_MS = 200 -- for replies that have arrived already
local KILL_GRACE_MS = 2000 -- a wedged engine rarely stops by itself
local SOCKET_CHECK_S = 10

--- Watch a server that is ours.
-- @tparam table server of `supervisor.start`
-- @tparam userdata client that it is asked with
-- @tparam table options endpoint, is_stopped(), limit (how many requests the client has in flight at most)
function watch.new(server, client, options)
  local self = setmetatable({ server = server, client = client, options = options, seats = {}, is_on = true, tries = 0, burst_try = 0,
    stall_s = server.variant.server.stall_timeout_s or 0 }, watch)
  if server.process then
    task.spawn(self.wait_for_exit, self)
    task.spawn(self.look_for_stalls, self)
  end
  return self
end

--- Watch no more; before the server is stopped.
function watch:close() self.is_on = false end

-- ---- who is in flight -----------------------------------------------------------------------------------------

--- A question begins; what this gives goes to the others.
function watch:enter(variant, ask)
  local seat = { variant = variant, dataset = ask.dataset, sample = ask.sample, repeat_index = ask.repeat_index, in_flight = false }
  self.seats[seat] = true
  return seat
end

function watch:leave(seat) self.seats[seat] = nil end

-- The client sends in the order of the calls, so many at once: the first of what waits is what the server has. Whether a try got
-- through cannot be told by its error: libcurl sends again by itself what was lost on a kept connection, and is refused.
local function in_flight(self)
  local list, seen, waiting = {}, {}, {}
  for seat in pairs(self.seats) do
    if seat.in_flight then waiting[#waiting + 1] = seat end
  end
  table.sort(waiting, function(a, b) return a.try < b.try end)
  for i = 1, math.min(#waiting, self.options.limit or #waiting) do
    local seat = waiting[i]
    local key = ("%s\0%s\0%s"):format(seat.variant, seat.dataset, seat.sample)
    if not seen[key] then
      seen[key] = true
      list[#list + 1] = seat
    end
  end
  return list
end

--- A try of a question is sent.
function watch:sent(seat)
  self.tries = self.tries + 1
  seat.in_flight, seat.try = true, self.tries
end

--- A try came back. The first of a burst of failures marks the moment of a crash: what was in flight then is suspect, what was
-- sent into the ruins later is not. A good reply to what was sent after it ends the burst: the server lives. One to what was sent
-- before may only have been on its way.
-- @tparam table seat
-- @tparam ?table failure
function watch:came_back(seat, failure)
  local is_blow = failure and failure.kind ~= "cancelled" and not (failure.kind == "http" and (failure.status or 0) < 500)
  if is_blow and not self.burst then self.burst, self.burst_try = in_flight(self), self.tries end
  if not failure and not self.is_dead and seat.try > self.burst_try then self.burst = nil end
  seat.in_flight = false
end

--- The questions that were in flight when the server died.
-- @treturn table list of `{ variant, dataset, sample, repeat_index }`
function watch:suspects() return self.burst or in_flight(self) end

-- ---- does it live -----------------------------------------------------------------------------------------------

function watch:wait_for_exit()
  self.server.process:wait()
  if not self.is_on then return end
  self.is_dead, self.burst = true, self.burst or in_flight(self)
  task.sleep(DRAIN_MS)
  if self.is_on then self.client:cancel_all() end
end

-- ---- does it answer ---------------------------------------------------------------------------------------------

local function progress_of(client)
  local stats = client:stats()
  return stats.in_flight + stats.queued, ("%d %d"):format(stats.done - stats.failed, stats.received_bytes)
end

-- True when a completion of our own came back.
local function answers(self)
  local client = http.open(launch.transport(self.server.variant, 1))
  local reply = ready.complete(self.server, client, { endpoint = self.options.endpoint, total_ms = self.stall_s * 1000 // 1 | 0 })
  client:close()
  return not reply.error and reply.status == 200
end

local function declare(self, cause)
  if not self.is_on or not self.server.process:alive() then return end
  self.server.cause = cause
  self.burst = self.burst or in_flight(self)
  self.server.process:stop { grace_ms = KILL_GRACE_MS }
end

local function check_stall(self, seen)
  local waiting, progress = progress_of(self.client)
  local now = clock.now_ns()
  if waiting == 0 or progress ~= seen.progress then
    seen.progress, seen.at_ns = progress, now
  elseif self.stall_s > 0 and now - seen.at_ns > self.stall_s * 1e9 then
    if answers(self) or not self.is_on or select(2, progress_of(self.client)) ~= progress then
      seen.at_ns = clock.now_ns()
    else
      declare(self, ("its server is wedged: it is healthy, and answered none of %d requests for %g s, nor a test completion"):format(
        waiting, self.stall_s))
    end
  end
end

local function check_socket(self, seen)
  if clock.now_ns() - seen.socket_ns < SOCKET_CHECK_S * 1e9 then return end
  seen.socket_ns = clock.now_ns()
  local ok, err = ready.check_socket(self.server)
  if not ok then declare(self, err.text:match "^variant '.-': (.*)$" or err.text) end
end

function watch:look_for_stalls()
  local now = clock.now_ns()
  local seen = { at_ns = now, socket_ns = now }
  local pause_ms = math.max(50, math.min(1000, self.stall_s > 0 and self.stall_s * 250 or 1000)) // 1 | 0
  while true do
    task.sleep(pause_ms)
    if not self.is_on or self.options.is_stopped() or not self.server.process or not self.server.process:alive() then return end
    check_stall(self, seen)
    if self.is_on then check_socket(self, seen) end
  end
end

return watch
