-- SPDX-License-Identifier: Apache-2.0
--- SGLang: `python3 -m sglang.launch_server`, one process tree per variant.
-- What is not obvious: internal ports are derived from the port, so that two launches want ports that are apart; echo with
-- `logprobs: 0` gives none at all; `text_offset` is -1 throughout. A key goes by the command line only, which everybody
-- on the machine can read: a server that qlua starts has none and listens on loopback.
local q = require "qlua"

local add = q.launch.add

-- Methods that quantize a full-precision checkpoint while it is loaded.
local online = { fp8 = true, bitsandbytes = true, ["w8a8_fp8"] = true, ["w8a8_int8"] = true, torchao = true }

local kv_cache_dtypes = { fp8 = "fp8_e4m3" }

local function executable(variant) return variant.server.executable or "python3" end

local function is_quantized(variant)
  local found = q.checkpoint.read(variant.model, variant.server.revision)
  return found and found.quantization ~= nil or false
end

local function add_engine(argv, variant)
  local server = variant.server
  if online[server.quantization] and not is_quantized(variant) then add(argv, "--quantization", server.quantization) end
  add(argv, "--kv-cache-dtype", kv_cache_dtypes[server.kv_cache_dtype] or server.kv_cache_dtype)
  add(argv, "--dtype", server.dtype)
  add(argv, "--revision", server.revision)
  add(argv, "--tensor-parallel-size", server.tensor_parallel_size)
  add(argv, "--context-length", server.max_model_len)
  add(argv, "--mem-fraction-static", server.gpu_memory_utilization)
  add(argv, "--trust-remote-code", server.trust_remote_code)
  add(argv, "--disable-cuda-graph", server.enforce_eager)
  add(argv, "--disable-radix-cache", server.enable_prefix_caching == false)
  add(argv, "--max-running-requests", server.max_num_seqs)
  add(argv, "--chunked-prefill-size", server.max_num_batched_tokens)
  add(argv, "--random-seed", variant.generation.seed)
end

local knows = { sampling = q.openai.extended_sampling, max_stops = math.huge }

return q.server {
  name = "sglang",
  summary = { en = "SGLang, started and stopped for each variant", zh = "SGLang，为每个变体启动和停止" },
  tested = {
    { version = "2026-09 sources", mode = "generate, loglikelihood, letter", seen = "read" },
  },
  capabilities = { generate = true, loglikelihood = true, letter = true },
  min_tokens = true, continuous_usage = true,
  tokenize = "prompt",
  score = { loglikelihood = { "generate_logprob" }, letter = { "token_ids_logprob", "top_logprobs" } },
  sampling = knows.sampling, template_kwargs = true,
  health = "/health_generate", grace_ms = 30000,

  check = function(variant, context)
    local server = variant.server
    if server.base_url then return true end
    if server.api_key_env or server.api_key_file then
      return nil, { kind = "config",
        text = ("variant '%s': SGLang takes a key on its command line only, where everybody on the machine can read it"):format(
          variant.name),
        hint = "leave the key away, the server listens on loopback; or start it yourself and name it in base_url" }
    end
    if server.unix_socket then
      return nil, { kind = "config", text = ("variant '%s': server.unix_socket: SGLang listens on a port only"):format(variant.name) }
    end
    if context.find_on_path(executable(variant)) then return true end
    return nil, { kind = "server",
      text = ("variant '%s': no executable '%s' on PATH to start SGLang with"):format(variant.name, executable(variant)),
      hint = "name the python of its environment in server.executable" }
  end,

  start = function(variant, context)
    local argv = { executable(variant), "-m", "sglang.launch_server", "--model-path", variant.model }
    add(argv, "--host", context.host)
    add(argv, "--port", context.port)
    add(argv, "--served-model-name", context.served_name)
    add_engine(argv, variant)
    for _, extra in ipairs(variant.server.extra_args or {}) do argv[#argv + 1] = extra end
    return { argv = argv, env = { NO_COLOR = "1" } }
  end,

  request = function(ask)
    ask.echo_logprobs = 1 -- 0 is falsy there: no log-probabilities at all
    return q.openai.request(ask, knows)
  end,
  read = q.openai.read,

  progress = { "server_args=", "Init torch distributed", "Load weight begin", "Loading safetensors checkpoint shards",
    "Multi-thread loading shards", "Load weight end", "KV Cache is allocated", "Memory pool end", "Capture cuda graph begin",
    "Capturing batches", "Capture cuda graph end", "max_total_num_tokens", "Application startup complete", "Fetching", "Downloading" },

  failures = {
    { pattern = "No module named 'sglang'", kind = "config",
      say = { en = "SGLang is not installed for this python", zh = "该 Python 环境未安装 SGLang" } },
    { pattern = "unrecognized arguments", kind = "flag",
      say = { en = "this SGLang does not know one of the options", zh = "该版本 SGLang 不支持某个参数" } },
    { pattern = "invalid choice:", kind = "flag",
      say = { en = "this SGLang does not know one of the values of its options", zh = "该版本 SGLang 不支持某个参数取值" } },
    { pattern = "is used by a process already", kind = "port",
      say = { en = "an internal port is held, perhaps by what an earlier server left behind", zh = "内部端口被占用，可能是先前的服务残留进程" } },
    { pattern = "address already in use", kind = "port", say = { en = "the port is in use", zh = "端口被占用" } },
    { pattern = "Not enough memory. Please try to increase --mem-fraction-static", kind = "memory",
      say = { en = "the weights leave no GPU memory for the KV cache: raise gpu_memory_utilization",
        zh = "权重占满显存：请提高 gpu_memory_utilization" } },
    { pattern = "CUDA out of memory", kind = "memory", say = { en = "out of GPU memory", zh = "显存不足" } },
    { pattern = "Quantization method specified in the model config", kind = "config",
      say = { en = "the checkpoint has another quantization than the config says", zh = "检查点的量化方法与配置不符" } },
    { pattern = "Repository Not Found", kind = "model", say = { en = "the model was not found", zh = "找不到模型" } },
    { pattern = "LocalEntryNotFoundError", kind = "network",
      say = { en = "the model is not in the cache and there is no network", zh = "缓存中没有模型，且无网络" } },
    { pattern = "is not a local folder and is not a valid model identifier", kind = "model",
      say = { en = "the model is neither a folder nor an id on the hub", zh = "模型既不是本地目录，也不是有效的模型 ID" } },
  },
}
