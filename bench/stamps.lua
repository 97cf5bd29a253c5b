-- SPDX-License-Identifier: Apache-2.0
--- Measures how late an event's stamp is: `build/release/qlua lua bench/stamps.lua`.
-- The simulated server writes the time of each send into the event, on the same clock; the error is our stamp less
-- that. It holds the server's write, the kernel, the wake-up of the I/O thread and its reading of what came before.
local http = require "qlua.core.http"
local q = require "qlua"
local support = require "support"

local RUNS, TOKENS, ITL_MS = 5, 200, 5

local function errors_of(reply, into)
  assert(not reply.error and reply.status == 200, reply.error and reply.error.text)
  for _, event in ipairs(reply.events) do
    local sent_ns = event.data:match "@ns=(%d+)"
    if sent_ns then into[#into + 1] = (event.at_ns - math.tointeger(sent_ns)) / 1e3 end
  end
end

local function one_run(client, sim, streams)
  local bodies, errors = {}, {}
  for i = 1, streams do bodies[i] = support.stream_body("Count, number " .. i, TOKENS) end
  q.map(bodies, function(body)
    errors_of(client:send { method = "POST", url = sim.url .. "/completions", body = body, sse = true,
      headers = { ["content-type"] = "application/json" } }, errors)
  end, streams)
  assert(#errors >= streams * TOKENS, "the events carry no stamps")
  return errors
end

support.head()
local sim = support.sim("--stamp", "--itl-ms", tostring(ITL_MS), "--jitter", "0.5")
for _, streams in ipairs { 1, 64, 256 } do
  local client = http.open { max_in_flight = streams }
  one_run(client, sim, streams)
  local p50, p99 = {}, {}
  for i = 1, RUNS do
    local errors = one_run(client, sim, streams)
    p50[i], p99[i] = q.stats.quantile(errors, 0.5), q.stats.quantile(errors, 0.99)
  end
  local name = ("%d streams, a token every %d ms ± 50 %%: "):format(streams, ITL_MS)
  support.row(name .. "p50", "µs", p50)
  support.row(name .. "p99", "µs", p99)
  client:close()
end
sim.stop()
