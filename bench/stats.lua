-- SPDX-License-Identifier: Apache-2.0
--- Times the statistics that a report waits for: `build/release/qlua lua bench/stats.lua`.
-- Best of three, one core, the sizes of a full run. The goal that counts is the bootstrap of 14,042 paired rows in
-- 10,000 rounds in less than two seconds.
local clock = require "qlua.core.clock"
local stats = require "qlua.core.stats"

local ROWS, ROUNDS, SUBJECTS = 14042, 10000, 57
math.randomseed(20261123)

local baseline, variant, subject, latency, slower = {}, {}, {}, {}, {}
for i = 1, ROWS do
  baseline[i] = math.random() < 0.80 and 1 or 0
  variant[i] = math.random() < 0.05 and 1 - baseline[i] or baseline[i]
  subject[i] = "subject " .. (i % SUBJECTS)
  latency[i] = math.exp(math.random() + math.random())
  slower[i] = 1.05 * math.exp(math.random() + math.random())
end
local cells = stats.cells(baseline, variant)

local function report(name, work)
  local best = math.huge
  for _ = 1, 3 do
    local before = clock.now_ns()
    work()
    best = math.min(best, clock.now_ns() - before)
  end
  print(("%-64s %10.3f ms"):format(name, best / 1e6))
end

local function boot(options)
  options.rounds, options.seed = ROUNDS, 1
  return function() stats.bootstrap({ baseline, variant }, options) end
end

local size = ("%d rows x %d rounds"):format(ROWS, ROUNDS)
report("bootstrap of the paired difference, " .. size, boot { statistic = "diff" })
report("bootstrap of the recovery ratio, " .. size, boot { statistic = "ratio" })
report("bootstrap with a Lua statistic, " .. size, boot { statistic = function(sums) return sums[2] / sums[1] end })
report("bootstrap within 57 strata, " .. size, boot { groups = subject, resample = "strata" })
report("bootstrap of 57 clusters, " .. size, boot { groups = subject, resample = "clusters" })
report("Tango and the other paired intervals, 14042 questions", function() stats.paired(cells) end)
report("Mann-Whitney with Hodges-Lehmann, 14042 x 14042", function() stats.mann_whitney(latency, slower) end)
report("quantile interval of p99, 14042 values", function() stats.quantile_interval(latency, 0.99) end)
report("clustered standard error, 14042 rows in 57 clusters", function() stats.clustered(variant, subject) end)
