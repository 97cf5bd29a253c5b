-- SPDX-License-Identifier: Apache-2.0
--- From the start of the process to the first byte that it sends: `qlua lua bench/client.lua first URL`. The start is read just
-- before the process is spawned, the arrival is the kernel's, both on one clock.
local clock = require "qlua.core.clock"
local pair = require "pair"
local proc = require "qlua.core.proc"
local row = require "goals.row"
local support = require "support"

local function timed(mock, argv)
  local begin = clock.now_ns()
  local result, err = proc.run { argv = argv }
  if not result or result.code ~= 0 then error(err and err.text or result.stderr, 0) end
  return { ms = (mock.stats().first_arrival_ns - begin) / 1e6 }
end

return function()
  local mock = pair.mock()
  local found = pair.abba(mock, {
    { name = "bare", run = function()
      return timed(mock, { pair.tools .. "bare", "requests", "--port", tostring(mock.port), "--path", "/v1/chat/completions",
        "--connections", "1", "--seconds", "0.001" })
    end },
    { name = "qlua", run = function() return timed(mock, { support.exe, "lua", "bench/client.lua", "first", mock.url }) end },
  }, pair.repeats * 3)
  mock.stop()
  return { row.new { measure = "start to first byte sent", unit = "ms", limit = 10, values = pair.values(found.qlua, "ms"),
    floor = pair.values(found.bare, "ms") } }, {}
end
