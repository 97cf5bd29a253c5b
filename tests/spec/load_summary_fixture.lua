-- SPDX-License-Identifier: Apache-2.0
--- A measurement under load that never was: two variants at two points of a closed loop, three replicates each, every stamp
-- computed. `fast` needs `factor` times what `base` needs, give or take a hundredth, and each replicate has a machine of its own speed.
local f = require "load_fixture"
local row = require "qlua.load.row"

local fixture = {}

fixture.SPEED = { 1, 1.1, 0.9 }

-- One worker, `count` requests one after the other, each with four texts.
local function rows_of(variant, replicate, point, scale, count)
  local rows, at = {}, 0
  for i = 1, count do
    local first, gap = 40 * scale * (1 + (i % 5) / 10), 10 * scale
    local list = { { at + first / 2, f.role() } }
    for j = 0, 3 do list[j + 2] = { at + first + j * gap, f.content "x" } end
    list[6], list[7] = { at + first + 3 * gap, f.usage(8, 4) }, { at + first + 3 * gap, "[DONE]" }
    local reply = f.stream(list, { queued_ns = at, start_ns = at, stamp_source = "kernel" })
    rows[i] = row.make({ index = i, variant = variant, stage = point, replicate = replicate }, reply)
    at = at + first + 3 * gap
  end
  return rows
end

local function stats(done)
  return { reads = done * 6, events = done * 7, kernel_reads = done * 6, io_threads = 1, clock_error_ns = 600, io_idle_ns = 9e9,
    io_cpu_ns = 5e8,
    wakeups = done, wakeup_events = done, stamp_delay = { count = 9, p50_ns = 8000, p99_ns = 50000, max_ns = 90000 },
      dispatch_lag = { count = 0 },
    threads = { { idle_ns = 0 } } }
end

--- What `qlua.summary.load` takes.
-- @tparam[opt] table options `replicates` (3), `factor` (0.5), `slo`, `idle_ns` of the client's loop, `count` of requests (40)
function fixture.input(options)
  options = options or {}
  local phases, rows, count = {}, {}, options.count or 40
  for number, concurrency in ipairs { 1, 4 } do
    local label = "concurrency=" .. concurrency
    for replicate = 1, options.replicates or 3 do
      for _, variant in ipairs { "base", "fast" } do
        local own = variant == "fast" and (options.factor or 0.5) * (1 + (replicate - 2) / 100) or 1
        local scale = fixture.SPEED[replicate] * number * own
        local after = stats(count)
        after.threads[1].idle_ns = options.idle_ns or 9e9
        local phase = { variant = variant, point = label, replicate = replicate, record = { axis = "concurrency", value = concurrency,
          place = number, stages = { { label = label } }, planned = { count = count, seconds = 0 },
          client = { blocks = { { begin_ns = 0, end_ns = 10000000000, before = stats(0), after = after } } } } }
        phases[#phases + 1] = phase
        rows[phase] = rows_of(variant, replicate, label, scale, count)
      end
    end
  end
  return { phases = phases, about = { replicates = options.replicates or 3, order = "interleaved", seed = 7, warmup = 3, slo = options.slo,
    workload = { kind = "random", input = "512", output = "128", unit = "tokens" } },
    rows = function(phase)
      local i = 0
      return function()
        i = i + 1
        return rows[phase][i]
      end
    end }
end

return fixture
