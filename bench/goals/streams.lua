-- SPDX-License-Identifier: Apache-2.0
--- 1,024 streams, 50 events a second each, all in step: error of stamps, error of the times between tokens, CPU per event.
-- In step is the hardest case: 1,024 events are due at one moment, and the client is always behind. The floor stamps
-- by the kernel too; a second floor stamps in user space.
local pair = require "pair"
local row = require "goals.row"

local STREAMS, RATE, TOKENS = 1024, 50, 150
local QUERY = ("?tokens=%d&rate=%d&gate=%d&first_ms=100"):format(TOKENS, RATE, STREAMS)
local PATH = "/v1/chat/completions" .. QUERY

local function options(mock, unscored)
  return { url = mock.url .. QUERY, streams = STREAMS, tokens = TOKENS, warm = true, unscored = unscored }
end

local function contestants(mock)
  local function bare(...) return pair.bare(mock, "streams", PATH, "--streams", tostring(STREAMS), ...) end
  return {
    { name = "bare", run = function() return bare "--kernel-stamps" end },
    { name = "qlua", run = function() return pair.qlua("streams", options(mock)) end },
    { name = "user", run = function() return bare() end },
  }
end

local function profile(mock) return pair.profile(pair.qlua_argv("streams", options(mock, true)), 6) end

return function()
  local mock = pair.mock()
  local found = pair.abba(mock, contestants(mock))
  local qlua, bare = found.qlua, found.bare
  local function add(list, spec)
    spec.late, spec.marked = qlua.late, qlua.marked
    list[#list + 1] = row.new(spec)
  end
  local rows = {}
  for _, goal in ipairs { { "p50", 0.01 }, { "p99", 0.05 } } do
    local key = "error_us." .. goal[1]
    add(rows, { measure = ("stamp error %s, 1,024 streams x 50/s in step"):format(goal[1]), unit = "ms", limit = goal[2],
      values = pair.values(qlua, key, 1e-3), floor = pair.values(bare, key, 1e-3) })
  end
  add(rows, { measure = "same load: MAE of times between tokens", unit = "ms", limit = 0.05,
    values = pair.values(qlua, "gap_error_us.mean", 1e-3), floor = pair.values(bare, "gap_error_us.mean", 1e-3) })
  add(rows, { measure = "same load: sigma of that error", unit = "ms", limit = 0.1, values = pair.values(qlua, "gap_sigma_us", 1e-3),
    floor = pair.values(bare, "gap_sigma_us", 1e-3) })
  add(rows, { measure = "same load: CPU per event, whole process", unit = "µs", limit = 1.25, on = "ratio",
    values = pair.per(qlua, "cpu_s", "events", 1e6), floor = pair.per(found.user, "cpu_s", "events", 1e6) })
  local lost = 0
  for _, result in ipairs(qlua) do lost = lost + result.lost end
  local user = pair.values(found.user, "error_us.p99", 1e-3)
  local notes = { ("Streams in step: qlua's stamps are the %s's; events lost over all repeats: %d; CPU of its I/O thread alone per event: "
    .. "%.1f µs; events per read: %.2f. The CPU floor is the bare client with user stamps; with kernel stamps it takes %.1f µs. "
    .. "Bare with user stamps has an error p99 of %.3f ms."):format(qlua[1].stamps, lost,
    row.median(pair.per(qlua, "io_cpu_s", "events", 1e6)), row.median(pair.per(qlua, "events", "reads")),
    row.median(pair.per(bare, "cpu_s", "events", 1e6)), row.median(user)) }
  local profiled = row.any_short(rows) and profile(mock)
  mock.stop()
  return rows, notes, profiled
end
