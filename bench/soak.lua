-- SPDX-License-Identifier: Apache-2.0
--- Ten minutes at 1,000 open streams: memory must stay flat, and no event may be lost: `make soak-streams`, or
-- `build/release/qlua lua bench/soak.lua [SECONDS]`. Ends with 1 where it does not.
-- Streams of three seconds, 20 events/s each, one after the other on 1,000 connections, so that replies, Lua's tables and
-- connections come and go all the time. It is warm when there were as many as three streams for each connection, and from then on
-- the time counts. Flat: between the first and the last sixth of it, the median of resident memory grew by 3 % at most.
local clock = require "qlua.core.clock"
local http = require "qlua.core.http"
local pair = require "pair"
local q = require "qlua"
local sys = require "qlua.core.sys"

local STREAMS, TOKENS, RATE, GROWTH_MAX = 1000, 60, 20, 0.03
local SAMPLES, WARM = 120, 3
local seconds = tonumber(arg[1]) or 600

local BODY = '{"messages":[{"content":"What is the answer?","role":"user"}],"model":"mock","stream":true}'

local function one_stream(client, request, found)
  local reply = client:send(request)
  if reply.error or reply.status ~= 200 then
    found.failed = found.failed + 1
    return
  end
  local number = 0
  for _, event in ipairs(reply.events) do
    local index = event.data:match "@ns=%d+ #(%d+)"
    if index then
      if tonumber(index) ~= number then found.lost = found.lost + 1 end
      number = number + 1
    end
  end
  found.lost, found.events, found.streams = found.lost + TOKENS - number, found.events + number, found.streams + 1
end

local function sample_memory(until_ns)
  local list, step = {}, seconds * 1000 / SAMPLES
  while clock.now_ns() < until_ns do
    q.sleep(step)
    list[#list + 1] = sys.rss_bytes() / 1e6
  end
  return list
end

local function sixth(list, which)
  local size = #list // 6
  return q.stats.quantile(table.move(list, (which - 1) * size + 1, which * size, 1, {}), 0.5)
end

local mock = pair.mock("--rate", tostring(RATE), "--tokens", tostring(TOKENS), "--phase", "spread")
local client = http.open { max_in_flight = STREAMS, max_queued = STREAMS }
local request = { method = "POST", url = mock.url, headers = { ["content-type"] = "application/json" }, body = BODY, sse = true }
local found = { events = 0, lost = 0, failed = 0, streams = 0 }
local handles, is_over = {}, false
for i = 1, STREAMS do
  handles[i] = q.spawn(function()
    while not is_over do one_stream(client, request, found) end
  end)
end
while found.streams < WARM * STREAMS and found.failed == 0 do q.sleep(100) end
local memory = sample_memory(clock.now_ns() + math.floor(seconds * 1e9))
is_over = true
for _, handle in ipairs(handles) do handle:join() end
local late = mock.stats().late_us
mock.stop()

local early, last = sixth(memory, 1), sixth(memory, 6)
local growth = last / early - 1
print(("%d s, %d streams open: %d streams ended, %d events, %d lost, %d failed; mock late p99 %.2f ms"):format(seconds, STREAMS,
  found.streams, found.events, found.lost, found.failed, late.p99 / 1e3))
local sixths = {}
for i = 1, 6 do sixths[i] = ("%.1f"):format(sixth(memory, i)) end
print(("resident memory, median of each sixth: %s MB; from the first to the last %+.2f %% (at most %+.0f %%)"):format(
  table.concat(sixths, " "), 100 * growth, 100 * GROWTH_MAX))
local ok = growth <= GROWTH_MAX and found.lost == 0 and found.failed == 0 and found.streams > 0
print(ok and "flat" or "NOT flat, or something was lost")
os.exit(ok and 0 or 1)
