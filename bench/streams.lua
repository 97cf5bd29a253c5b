-- SPDX-License-Identifier: Apache-2.0
--- Measures memory at 1,024 open streams: `build/release/qlua lua bench/streams.lua`.
-- Resident memory of this process before the first request, and at most while all streams are open. All events are
-- kept until their stream ends, so the last row says how many there were then.
local http = require "qlua.core.http"
local q = require "qlua"
local support = require "support"
local sys = require "qlua.core.sys"

local RUNS, STREAMS, TOKENS, ITL_MS = 3, 1024, 200, 15

local function one_run(sim)
  local client = http.open { max_in_flight = STREAMS }
  local before = sys.rss_bytes()
  local handles = {}
  for i = 1, STREAMS do
    handles[i] = q.spawn(function()
      local reply = client:send { method = "POST", url = sim.url .. "/completions", body = support.stream_body("Wait " .. i, TOKENS),
        sse = true, headers = { ["content-type"] = "application/json" } }
      assert(not reply.error and reply.status == 200, reply.error and reply.error.text)
    end)
  end
  local open_rss, events
  while client:stats().done == 0 do
    local now = client:stats()
    if now.in_flight == STREAMS then open_rss, events = math.max(open_rss or 0, sys.rss_bytes()), now.events end
    q.sleep(20)
  end
  for _, handle in ipairs(handles) do handle:join() end
  client:close()
  assert(open_rss, "not all streams were open at once")
  return before, open_rss, events
end

support.head()
local sim = support.sim("--itl-ms", tostring(ITL_MS), "--ttft-ms", "500")
local idle, open, held = {}, {}, {}
for i = 1, RUNS do
  local before, at_once, events = one_run(sim)
  idle[i], open[i], held[i] = before / 2 ^ 20, at_once / 2 ^ 20, events / STREAMS
end
sim.stop()
support.row("resident before each run", "MiB", idle)
support.row("resident with 1,024 streams open", "MiB", open)
support.row("events of a stream by then", "", held)
