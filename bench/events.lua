-- SPDX-License-Identifier: Apache-2.0
--- Times what one event of a stream costs the I/O thread: `build/release/qlua lua bench/events.lua`.
-- CPU time of the whole thread (sockets, curl, splitting, stamping) divided by the events of streams of 512. The pause
-- between two tokens decides how many events come with one read, so each pause is a row.
local http = require "qlua.core.http"
local q = require "qlua"
local support = require "support"

local RUNS, TOKENS = 5, 512

local function stream(client, sim, count)
  local bodies = {}
  for i = 1, count do bodies[i] = support.stream_body("Tell a story, number " .. i, TOKENS) end
  q.map(bodies, function(body)
    local reply = client:send { method = "POST", url = sim.url .. "/completions", body = body, sse = true,
      headers = { ["content-type"] = "application/json" } }
    assert(not reply.error and reply.status == 200, reply.error and reply.error.text)
  end, count)
end

local function measure(itl_ms, streams)
  local sim = support.sim("--itl-ms", tostring(itl_ms))
  local client = http.open { max_in_flight = streams }
  stream(client, sim, streams) -- connections are made, code is warm
  local per_event, events = {}, 0
  for i = 1, RUNS do
    local before = client:stats()
    stream(client, sim, streams)
    local after = client:stats()
    events = after.events - before.events
    per_event[i] = (after.io_cpu_ns - before.io_cpu_ns) / events / 1e3
  end
  support.row(("%d streams, a token every %g ms, %d events"):format(streams, itl_ms, events), "µs", per_event)
  client:close()
  sim.stop()
end

support.head()
measure(0, 64)
measure(1, 1)
measure(1, 64)
measure(4, 256)
