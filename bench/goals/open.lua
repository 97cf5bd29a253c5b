-- SPDX-License-Identifier: Apache-2.0
--- 10,000 streams open at once: resident memory, and events lost. Memory is read while all are open; it holds the events
-- that came until then, 6 of each stream at most.
local pair = require "pair"
local row = require "goals.row"

local STREAMS, TOKENS = 10000, 6
local QUERY = ("?tokens=%d&rate=2&phase=spread&first_ms=1500"):format(TOKENS)

return function()
  local mock = pair.mock()
  local found = pair.abba(mock, {
    { name = "bare", run = function()
      return pair.bare(mock, "streams", "/v1/chat/completions" .. QUERY, "--streams", tostring(STREAMS))
    end },
    { name = "qlua", run = function()
      return pair.qlua("streams", { url = mock.url .. QUERY, streams = STREAMS, tokens = TOKENS, memory = true })
    end },
  })
  mock.stop()
  local late, marked = found.qlua.late, found.qlua.marked
  return {
    row.new { measure = "10,000 open streams: resident memory", unit = "MB", limit = 60, late = late, marked = marked,
      values = pair.values(found.qlua, "rss_bytes", 1e-6), floor = pair.values(found.bare, "rss_bytes", 1e-6) },
    row.new { measure = "10,000 open streams: events lost", unit = "", limit = 0, late = late, marked = marked,
      values = pair.values(found.qlua, "lost"), floor = pair.values(found.bare, "lost") },
  }, { ("10,000 streams: %.1f MB of it before the first request."):format(row.median(pair.values(found.qlua, "idle_rss_bytes", 1e-6))) }
end
