-- SPDX-License-Identifier: Apache-2.0
--- Other clients beside qlua, on the same mock and the same load: `build/release/qlua lua bench/peers.lua [NAME…]`.
-- A peer is measured where its command is on PATH or in .venv-peers/bin (bench/peers.sh fills that), as it comes, with its own
-- defaults, and scored from the file that it writes itself: its mean time to first token and its mean time between tokens, less
-- those that the mock made. Connection time is in the figures of clients that connect anew. Absent ones are named as not run.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local pair = require "pair"
local proc = require "qlua.core.proc"
local q = require "qlua"
local support = require "support"
local sys = require "qlua.core.sys"

require "pinned" "bench/peers.lua"

local CONCURRENCY, TOKENS = tonumber(os.getenv "QLUA_PEERS_CONCURRENCY") or 64, 50
local REQUESTS = CONCURRENCY * 6
local REPEATS = pair.repeats == 1 and 1 or 3
local VENV = sys.cwd() .. "/.venv-peers"
local OFFLINE = { HF_HUB_OFFLINE = "1", TRANSFORMERS_OFFLINE = "1" } -- the tokenizer lies in a folder; nothing is to be asked for

local function read_json(path) return json.decode(assert(file.read(path), path .. ": the peer wrote no such file")) end

-- The first file of a name below a folder.
local function find_below(dir, name)
  local found = assert(proc.run { argv = { "find", dir, "-name", name } }).stdout:match "[^\n]+"
  return assert(found, ("the peer wrote no %s"):format(name))
end

-- Its list of times between events holds the role's event and the closing one, which carry no token: TPOT does not.
local function of_vllm(doc)
  return { ttft_ms = doc.mean_ttft_ms, gap_ms = doc.mean_tpot_ms }
end

local peers = {
  { name = "qlua load", command = support.exe,
    argv = function(mock, out) return { "load", "--url", mock.base .. "/v1", "--model", "mock", "--concurrency", tostring(CONCURRENCY),
      "--num-requests", tostring(REQUESTS), "--random-input", "32", "--random-output", tostring(TOKENS), "--endpoint", "chat", "--out",
      out .. "/runs", "--quiet", "--save-vllm", out .. "/result.json" } end,
    read = function(out) return of_vllm(read_json(out .. "/result.json")) end },
  { name = "vllm bench serve", command = "vllm", env = OFFLINE,
    argv = function(mock, out) return { "bench", "serve", "--backend", "openai-chat", "--base-url", mock.base, "--endpoint",
      "/v1/chat/completions", "--model", "mock", "--tokenizer", VENV .. "/tokenizer", "--dataset-name", "random",
      "--random-input-len", "32", "--random-output-len", tostring(TOKENS), "--num-prompts", tostring(REQUESTS), "--max-concurrency",
      tostring(CONCURRENCY), "--disable-tqdm", "--save-result", "--result-dir", out, "--result-filename", "result.json" } end,
    read = function(out) return of_vllm(read_json(out .. "/result.json")) end },
  { name = "guidellm", command = "guidellm", env = OFFLINE,
    argv = function(mock, out) return { "run", "--backend", ("kind=openai_http,target=%s,model=mock"):format(mock.base), "--profile",
      "kind=concurrent,streams=" .. CONCURRENCY, "--constraint", "kind=max_requests,count=" .. REQUESTS, "--tokenizer",
      ("kind=hf_auto,model=%s/tokenizer"):format(VENV), "--data", "kind=synthetic_text,prompt_tokens=32,output_tokens=" .. TOKENS,
      "--output", ("kind=json,path=%s/result.json"):format(out), "--disable-console" } end,
    read = function(out)
      local metrics = read_json(out .. "/result.json").benchmarks[1].metrics
      return { ttft_ms = metrics.time_to_first_token_ms.successful.mean, gap_ms = metrics.inter_token_latency_ms.successful.mean }
    end },
  { name = "aiperf", command = "aiperf",
    argv = function(mock, out) return { "profile", "--model", "mock", "--url", mock.base, "--endpoint-type", "chat", "--streaming",
      "--concurrency", tostring(CONCURRENCY), "--request-count", tostring(REQUESTS), "--synthetic-input-tokens-mean", "32",
      "--output-tokens-mean", tostring(TOKENS), "--tokenizer", VENV .. "/tokenizer", "--use-server-token-count",
      "--artifact-dir", out, "--ui", "none" } end,
    read = function(out)
      local doc = read_json(find_below(out, "profile_export_aiperf.json"))
      return { ttft_ms = doc.time_to_first_token.avg, gap_ms = doc.inter_token_latency.avg }
    end },
  { name = "evalscope perf", command = "evalscope",
    argv = function(mock, out) return { "perf", "--url", mock.url, "--model", "mock", "--api", "openai", "--dataset", "random",
      "--tokenizer-path", VENV .. "/tokenizer", "--min-prompt-length", "32", "--max-prompt-length", "32", "--max-tokens", tostring(TOKENS),
      "--parallel", tostring(CONCURRENCY), "--number", tostring(REQUESTS), "--outputs-dir", out, "--stream" } end,
    read = function(out)
      local doc = read_json(find_below(out, "benchmark_summary.json"))
      return { ttft_ms = 1e3 * doc["Average time to first token (s)"], gap_ms = 1e3 * doc["Average inter-token latency (s)"] }
    end },
}

local function find_command(name)
  if name:find "/" then return name end
  local own = VENV .. "/bin/" .. name
  return file.stat(own) and own or sys.find_on_path(name)
end

-- One peer, once. Its processor time is that of the whole command, with its start and what it makes of its results.
local function run_once(peer, command, mock)
  local out, clean = support.scratch()
  mock.reset()
  local argv = table.move(peer.argv(mock, out), 1, 200, 2, { command })
  local cpu = support.children_cpu()
  local result, err = proc.run { argv = argv, timeout_ms = 300000, max_bytes = 16 << 20,
    env = peer.env }
  cpu = support.children_cpu() - cpu
  local truth = mock.stats()
  local ok, found = pcall(peer.read, out)
  clean()
  if not result or result.code ~= 0 or not ok then
    local said = result and (result.stderr .. result.stdout):sub(-400) or err.text
    return nil, ("%s: %s"):format(ok and ("exit " .. tostring(result and result.code)) or found, said)
  end
  return { ttft_ms = found.ttft_ms - truth.ttft_us.mean / 1e3, gap_ms = found.gap_ms - truth.gap_us.mean / 1e3, requests = truth.streams,
    connections = truth.connections, cpu_s = cpu, late_ms = truth.late_us.p99 / 1e3 }
end

local function line(peer, runs)
  local function of(key) return q.stats.quantile(pair.values(runs, key), 0.5) end
  print(("| %s | %+.2f | %+.3f | %d | %d | %.1f | %d |"):format(peer.name, of "ttft_ms", of "gap_ms", of "requests", of "connections",
    of "cpu_s", #runs))
end

local function measure(peer, mock)
  local command = find_command(peer.command)
  if not command then return ("%s is not on PATH nor in .venv-peers: not run"):format(peer.name) end
  local runs = {}
  for i = 1, REPEATS do
    local run, err = run_once(peer, command, mock)
    if not run then return ("%s did not finish, or wrote what is not understood: %s"):format(peer.name, err:gsub("%s+", " ")) end
    runs[i] = run
  end
  line(peer, runs)
end

local wanted, notes = {}, {}
for _, name in ipairs(arg) do wanted[name] = true end
local mock = pair.mock("--rate", "50", "--tokens", tostring(TOKENS), "--first_ms", "50", "--phase", "spread")
print(("%d requests, %d at once, %d tokens at 50/s each; error of the mean is what the client says less what the mock did.\n"):format(
  REQUESTS, CONCURRENCY, TOKENS))
print("| client | TTFT: error of the mean, ms | time between tokens: error of the mean, ms | requests | connections "
  .. "| CPU of the whole command, s | runs |")
print "|:--|--:|--:|--:|--:|--:|--:|"
for _, peer in ipairs(peers) do
  if #arg == 0 or wanted[peer.name:match "%S+"] then notes[#notes + 1] = measure(peer, mock) end
end
mock.stop()
print ""
for _, note in ipairs(notes) do print("- " .. note) end
