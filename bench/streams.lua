-- SPDX-License-Identifier: Apache-2.0
--- Measures memory at 1,024 open streams: `build/release/qlua lua bench/streams.lua`.
-- Resident memory of this process before the first request and while all streams are open and have had 100 to 200 events
-- each, all of which are kept until the stream ends.
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
  local open_rss, most = before, 0
  while client:stats().done == 0 do
    most = math.max(most, client:stats().in_flight)
    if client:stats().in_flight == STREAMS and client:stats().events >= STREAMS * 100 then open_rss = sys.rss_bytes() end
    q.sleep(20)
  end
  for _, handle in ipairs(handles) do handle:join() end
  client:close()
  assert(most == STREAMS, "not all streams were open at once")
  return before, open_rss
end

support.head()
local sim = support.sim("--itl-ms", tostring(ITL_MS), "--ttft-ms", "500")
local idle, open = {}, {}
for i = 1, RUNS do
  local before, at_once = one_run(sim)
  idle[i], open[i] = before / 2 ^ 20, at_once / 2 ^ 20
end
sim.stop()
support.row("resident before each run", "MiB", idle)
support.row("resident with 1,024 streams open", "MiB", open)
