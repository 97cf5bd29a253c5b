-- SPDX-License-Identifier: Apache-2.0
--- All of GSM8K, HellaSwag and MMLU by `qlua run` against the mock, which answers at once: what share of the wall time is not the
-- mock's. The mock's share is its processor time over the wall time of the whole command, from the start to the report; it has a
-- core of its own. HellaSwag is asked by log-probabilities of its choices, four requests to a question.
local pair = require "pair"
local row = require "goals.row"
local support = require "support"

local REPEATS, PROFILED = 3, pair.repeats == 1 and 50 or 1000

local function argv(mock, out, limit)
  local words = { support.exe, "run", "gsm8k", "hellaswag", "mmlu", "--url", mock.base .. "/v1", "--model", "mock", "--data",
    support.data, "--concurrency", "64", "--out", out, "--quiet", "--set", "benchmark.collect_latency=false",
    "--set", "benchmark.qualify=off" } -- the mock's log-probabilities are no model's, and the probe would say so
  if limit then table.move({ "--limit", tostring(limit) }, 1, 2, #words + 1, words) end
  return words
end

local function run_once(mock, out, limit)
  local ms, cpu = support.child(argv(mock, out, limit))
  local stats = mock.stats()
  return { wall_s = ms / 1e3, cpu_s = cpu, requests = stats.requests, mock_cpu_s = stats.cpu_s,
    not_mock = 100 * (1 - stats.cpu_s / (ms / 1e3)) }
end

return function()
  local scratch, clean = support.scratch()
  local mock = pair.mock "--user-stamps"
  local limit = pair.repeats == 1 and 100 or nil
  local n = 0
  local found = pair.abba(mock, { { name = "qlua", run = function()
    n = n + 1
    return run_once(mock, ("%s/%d"):format(scratch, n), limit)
  end } }, math.min(REPEATS, pair.repeats)).qlua
  local rows = { row.new { unit = "%", on = "none", values = pair.values(found, "not_mock"),
    measure = ("whole GSM8K + HellaSwag + MMLU of %s: wall time that is not the mock"):format(support.data) } }
  local notes = { ("Whole suite: %d requests in %.1f s of wall time, %.0f µs of qlua's CPU per request, %.0f of the mock's%s."):format(
    found[1].requests, row.median(pair.values(found, "wall_s")), row.median(pair.per(found, "cpu_s", "requests", 1e6)),
    row.median(pair.per(found, "mock_cpu_s", "requests", 1e6)), limit and ("; only %d questions of each"):format(limit) or "") }
  local profiled = pair.profile(argv(mock, scratch .. "/profile", PROFILED), 10)
  mock.stop()
  clean()
  return rows, notes, profiled
end
