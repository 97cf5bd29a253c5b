-- SPDX-License-Identifier: Apache-2.0
--- Times the whole pipeline, from row to stored answer: `build/release/qlua lua bench/pipeline.lua`.
-- A real `qlua run` per row, asking a simulated server of its own that answers at once. Requests per second are those of
-- the phase in which questions were asked. CPU per request is that of a run with many questions less that of a
-- run with one, so that loading and reporting do not count; the server's is counted apart. Both share the machine.
local support = require "support"

local RUNS = 3
local CONCURRENCIES = { 1, 64, 256, 1024 }
local KINDS = {
  { name = "letter", dataset = "mmlu", limit = 1500, stream = "false" },
  { name = "generate", dataset = "gsm8k", limit = 1000, stream = "false" },
  { name = "generate, stream", dataset = "gsm8k", limit = 1000, stream = "true" },
  { name = "loglikelihood", dataset = "hellaswag", limit = 400, stream = "false", per_question = 4 },
}

local scratch, clean = support.scratch()

local function run_once(kind, sim, concurrency, limit)
  local out = os.tmpname():gsub("^.*/", scratch .. "/")
  local server_before = sim.cpu()
  local _, cpu = support.child { support.exe, "run", kind.dataset, "--url", sim.url, "--model", "qlua-sim", "--data",
    support.data, "--limit", tostring(limit), "--concurrency", tostring(concurrency), "--out", out, "--quiet",
    "--set", "benchmark.collect_latency=" .. kind.stream }
  local seconds, asked = support.phase(out)
  return { cpu = cpu, server_cpu = sim.cpu() - server_before, requests = asked * (kind.per_question or 1), seconds = seconds }
end

local function measure(kind, sim, concurrency)
  local limit = concurrency == 1 and kind.limit // 4 or kind.limit
  local rate, own, server = {}, {}, {}
  for i = 1, RUNS do
    local idle, busy = run_once(kind, sim, concurrency, 1), run_once(kind, sim, concurrency, limit)
    local more = busy.requests - idle.requests
    rate[i] = busy.requests / busy.seconds
    own[i], server[i] = (busy.cpu - idle.cpu) / more * 1e6, (busy.server_cpu - idle.server_cpu) / more * 1e6
  end
  local name = ("%s, %d at once: "):format(kind.name, concurrency)
  support.row(name .. "requests", "1/s", rate)
  support.row(name .. "CPU of qlua per request", "µs", own)
  support.row(name .. "CPU of the server per request", "µs", server)
end

print(("`qlua run DATASET --url URL --model qlua-sim --data %s --limit N --concurrency C --set benchmark.collect_latency=%s`\n")
  :format(support.data, "STREAM"))
support.head()
for _, kind in ipairs(KINDS) do
  local sim = support.sim("--dataset", kind.dataset, "--data", support.data, "--limit", tostring(kind.limit))
  for _, concurrency in ipairs(CONCURRENCIES) do measure(kind, sim, concurrency) end
  sim.stop()
end
clean()
