-- SPDX-License-Identifier: Apache-2.0
--- A stream whose events come 64 to a write as fast as the client takes them: events per second.
-- The floor finds each event and its content; a second one only counts line ends. Time is from the first request to the
-- last byte: making Lua tables of the events comes after it and is in the CPU of the note.
local pair = require "pair"
local row = require "goals.row"

local STREAMS, TOKENS = 1, 240000
local QUERY = ("?mode=flood&tokens=%d&per_write=64"):format(TOKENS)

return function()
  local mock = pair.mock()
  local options = { url = mock.url .. QUERY, streams = STREAMS, tokens = TOKENS, unscored = true }
  local function bare(...) return pair.bare(mock, "streams", "/v1/chat/completions" .. QUERY, "--streams", tostring(STREAMS), ...) end
  local found = pair.abba(mock, {
    { name = "bare", run = function() return bare() end },
    { name = "qlua", run = function() return pair.qlua("streams", options) end },
    { name = "count", run = function() return bare "--count-only" end },
  }, pair.repeats + 2)
  local rows = { row.new { measure = "events of a coalesced stream", unit = "k/s", limit = 0.7, at_least = true, on = "ratio",
    values = pair.per(found.qlua, "events", "seconds", 1e-3), floor = pair.per(found.bare, "events", "seconds", 1e-3) } }
  local notes = { ("Coalesced: a client that only counts line ends has %.0f k/s. CPU per event, whole process, with its Lua table made: "
    .. "%.2f µs, of which the I/O thread %.2f."):format(row.median(pair.per(found.count, "events", "seconds", 1e-3)),
    row.median(pair.per(found.qlua, "cpu_s", "events", 1e6)), row.median(pair.per(found.qlua, "io_cpu_s", "events", 1e6))) }
  local profiled = row.any_short(rows) and pair.profile(pair.qlua_argv("streams", options), 6)
  mock.stop()
  return rows, notes, profiled
end
