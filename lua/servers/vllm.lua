-- SPDX-License-Identifier: Apache-2.0
--- vLLM: `vllm serve`, one process tree per variant.
-- What is not obvious: a checkpoint that is quantized already gets no `--quantization` (vLLM reads it from the
-- checkpoint and refuses a wrong one); `--generation-config vllm` keeps the model's own file from setting sampling
-- parameters behind our back; the exit status of a crashed server may be 0.
local q = require "qlua"

-- Methods that quantize a full-precision checkpoint while it is loaded. All others name a format of the checkpoint.
local online = { fp8 = true, bitsandbytes = true }

local marks_of_quantized = { "fp8", "awq", "gptq", "4bit", "8bit", "int4", "int8", "w4a16", "w8a8", "nvfp4", "mxfp4" }

-- A local folder says so in its config.json; of an id on a hub only the name is known here.
local function is_quantized(model)
  local config = q.file.read(model .. "/config.json")
  if config then
    local value = q.json.decode(config)
    return type(value) == "table" and value.quantization_config ~= nil
  end
  local name = model:lower()
  for _, mark in ipairs(marks_of_quantized) do
    if name:find(mark, 1, true) then return true end
  end
  return false
end

local function add(argv, flag, value)
  if value == nil or value == false then return end
  argv[#argv + 1] = flag
  if value ~= true then argv[#argv + 1] = tostring(value) end
end

local function executable(variant)
  return variant.server.executable or "vllm"
end

return q.server {
  name = "vllm",
  summary = { en = "vLLM, started and stopped for each variant", zh = "vLLM，为每个变体启动和停止" },
  capabilities = { generate = true, loglikelihood = true, letter = true },
  tokenize = "prompt",
  score = { loglikelihood = { "prompt_logprobs", "echo_ids", "echo_text" }, letter = { "logprob_token_ids", "top_logprobs" } },
  grace_ms = 30000,

  check = function(variant, context)
    local method = variant.server.quantization
    if method and not online[method] and not is_quantized(variant.model) then
      return nil, {
        kind = "config", text = ("variant '%s': quantization: %s is a format of a checkpoint, and '%s' is not one"):format(
          variant.name, method, variant.model),
        hint = "set the variant's model to a checkpoint in that format; it needs no quantization then",
      }
    end
    if context.find_on_path(executable(variant)) then return true end
    return nil, {
      kind = "server", text = ("variant '%s': vLLM is not installed: no executable '%s' on PATH"):format(
        variant.name, executable(variant)),
      hint = "give the URL of a running server (--url http://HOST:8000/v1 --model NAME), "
        .. "or try it with simulated answers (--set server.engine=sim)",
    }
  end,

  start = function(variant, context)
    local server = variant.server
    local argv = { executable(variant), "serve", variant.model }
    if context.unix_socket then
      add(argv, "--uds", context.unix_socket)
    else
      add(argv, "--host", context.host)
      add(argv, "--port", context.port)
    end
    add(argv, "--served-model-name", context.served_name)
    add(argv, "--generation-config", "vllm")
    if online[server.quantization] and not is_quantized(variant.model) then
      add(argv, "--quantization", server.quantization)
    end
    add(argv, "--kv-cache-dtype", server.kv_cache_dtype)
    add(argv, "--dtype", server.dtype)
    add(argv, "--revision", server.revision)
    add(argv, "--tensor-parallel-size", server.tensor_parallel_size)
    add(argv, "--max-model-len", server.max_model_len)
    add(argv, "--gpu-memory-utilization", server.gpu_memory_utilization)
    add(argv, "--trust-remote-code", server.trust_remote_code)
    add(argv, "--enforce-eager", server.enforce_eager)
    if server.enable_prefix_caching ~= nil then
      add(argv, server.enable_prefix_caching and "--enable-prefix-caching" or "--no-enable-prefix-caching", true)
    end
    add(argv, "--max-num-seqs", server.max_num_seqs)
    add(argv, "--max-num-batched-tokens", server.max_num_batched_tokens)
    add(argv, "--max-logprobs", server.max_logprobs)
    add(argv, "--seed", variant.generation.seed)
    for _, extra in ipairs(server.extra_args or {}) do argv[#argv + 1] = extra end
    return { argv = argv, env = { VLLM_NO_USAGE_STATS = "1", VLLM_DO_NOT_TRACK = "1", NO_COLOR = "1", VLLM_PORT = false } }
  end,

  request = function(ask)
    ask.echo_logprobs = 0 -- the scored tokens alone: half the reply
    return q.openai.request(ask, q.openai.extended_sampling)
  end,
  read = q.openai.read,

  -- Lines of the log that explain why a start failed; the first that matches is shown.
  failures = {
    { pattern = "Free memory on device", kind = "memory",
      say = { en = "the GPU's memory is not free", zh = "显存未释放" } },
    { pattern = "CUDA out of memory", kind = "memory", say = { en = "out of GPU memory", zh = "显存不足" } },
    { pattern = "KV cache is needed, which is larger", kind = "config",
      say = { en = "max_model_len is too long for the GPU's memory", zh = "max_model_len 超出显存可容纳的长度" } },
    { pattern = "Quantization method specified in the model config", kind = "config",
      say = { en = "the checkpoint has another quantization than the config says", zh = "检查点的量化方法与配置不符" } },
    { pattern = "unrecognized arguments", kind = "config",
      say = { en = "this vLLM does not know one of the options", zh = "该版本 vLLM 不支持某个参数" } },
    { pattern = "Address already in use", kind = "port", say = { en = "the port is in use", zh = "端口被占用" } },
    { pattern = "Repository Not Found", kind = "model", say = { en = "the model was not found", zh = "找不到模型" } },
    { pattern = "LocalEntryNotFoundError", kind = "model",
      say = { en = "the model is not in the cache and there is no network", zh = "缓存中没有模型，且无网络" } },
  },
}
