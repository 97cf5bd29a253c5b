-- SPDX-License-Identifier: Apache-2.0
--- A burst of 1,024 requests over connections that stand: the error of the time to first token. The true one is between
-- two stamps of the mock, from the request's arrival to the send of the first token; qlua's is from its sending to its receiving.
local pair = require "pair"
local row = require "goals.row"

local STREAMS = 1024
local QUERY = "?tokens=1&rate=50&first_ms=50"

return function()
  local mock = pair.mock()
  local function qlua() return pair.qlua("streams", { url = mock.url .. QUERY, streams = STREAMS, tokens = 1, warm = true }) end
  local found = pair.abba(mock, {
    { name = "bare", run = function()
      return pair.bare(mock, "streams", "/v1/chat/completions" .. QUERY, "--streams", tostring(STREAMS), "--kernel-stamps")
    end },
    { name = "qlua", run = qlua },
  })
  mock.stop()
  local made = 0
  for _, result in ipairs(found.qlua) do made = math.max(made, result.connections) end
  local function shown(list, key) return row.median(pair.values(list, key, 1e-3)) end
  return { row.new { measure = "TTFT error, mean of its size, of a burst of 1,024, warm pool", unit = "ms", limit = 1,
    late = found.qlua.late, marked = found.qlua.marked, values = pair.values(found.qlua, "ttft_error_us.mean", 1e-3),
    floor = pair.values(found.bare, "ttft_error_us.mean", 1e-3) } },
    { ("Burst: with its sign, qlua's mean error is %+.3f ms (it counts from when the kernel has the request), the bare client's "
      .. "%+.3f ms; connections made inside the measured part, at most: %d."):format(shown(found.qlua, "ttft_bias_us"),
      shown(found.bare, "ttft_bias_us"), made) }
end
