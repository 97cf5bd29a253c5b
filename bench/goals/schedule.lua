-- SPDX-License-Identifier: Apache-2.0
--- An open loop of 5,000 requests a second by an absolute schedule: how late each leaves. The lag is from the planned moment
-- to the request's arrival at the mock by the kernel's clock, so it holds the way there, some 10 µs, and trusts no stamp of the
-- client. The connections stand before the first planned moment.
local pair = require "pair"
local row = require "goals.row"

local RATE, SECONDS, CONNECTIONS = 5000, 2, 256

return function()
  local mock = pair.mock()
  local options = { url = mock.url, rate = RATE, seconds = SECONDS, connections = CONNECTIONS }
  local found = pair.abba(mock, {
    { name = "bare", run = function()
      return pair.bare(mock, "requests", "/v1/chat/completions", "--connections", tostring(CONNECTIONS), "--rate", tostring(RATE),
        "--seconds", tostring(SECONDS))
    end },
    { name = "qlua", run = function() return pair.qlua("schedule", options) end },
  })
  local rows = { row.new { measure = "open loop 5,000/s: dispatch lag p99", unit = "ms", limit = 0.2,
    values = pair.values(found.qlua, "lag_us.p99", 1e-3), floor = pair.values(found.bare, "lag_us.p99", 1e-3) } }
  local notes = { ("Open loop: by qlua's own stamps the lag is %.3f ms at p99; to the arrival %.3f ms at p50 and at most %.2f ms."):format(
    row.median(pair.values(found.qlua, "own_lag_us.p99", 1e-3)), row.median(pair.values(found.qlua, "lag_us.p50", 1e-3)),
    row.median(pair.values(found.qlua, "lag_us.max", 1e-3))) }
  local profiled = row.any_short(rows) and pair.profile(pair.qlua_argv("schedule", options), 6)
  mock.stop()
  return rows, notes, profiled
end
