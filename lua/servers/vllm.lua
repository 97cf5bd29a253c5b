-- SPDX-License-Identifier: Apache-2.0
--- vLLM: `vllm serve`, one process tree per variant.
-- What is not obvious: a checkpoint that is quantized already gets no `--quantization` (vLLM reads it from the
-- checkpoint and refuses a wrong one); `--generation-config vllm` keeps the model's own file from setting sampling
-- parameters behind our back; the exit status of a crashed server may be 0.
local q = require "qlua"

local add = q.launch.add

-- Methods that quantize a full-precision checkpoint while it is loaded. All others name a format of the checkpoint.
local online = { fp8 = true, bitsandbytes = true }

-- Words of a configuration, and the number format of the weights that they promise.
local promised = { fp8 = "fp8", awq = "int4", awq_marlin = "int4", ["awq-int4"] = "int4", int4 = "int4", w4a16 = "int4",
  int8 = "int8", w8a8 = "int8", mxfp4 = "fp4", nvfp4 = "fp4" }

local marks_of_quantized = { "fp8", "awq", "gptq", "4bit", "8bit", "int4", "int8", "w4a16", "w8a8", "nvfp4", "mxfp4" }

-- A checkpoint on this machine says so in its config.json; of an id on a hub only the name is known here.
local function is_quantized(variant)
  local found = q.checkpoint.read(variant.model, variant.server.revision)
  if found then return found.quantization ~= nil, found end
  local name = variant.model:lower()
  for _, mark in ipairs(marks_of_quantized) do
    if name:find(mark, 1, true) then return true end
  end
  return false
end

local function executable(variant)
  return variant.server.executable or "vllm"
end

local function config_error(variant, text, hint)
  return nil, { kind = "config", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

-- The word in the configuration against the checkpoint's own: the report would name a format that was never measured.
local function check_quantization(variant)
  local word = variant.server.quantization
  if not word then return true end
  local quantized, found = is_quantized(variant)
  if not quantized then
    if online[word] then return true end
    return config_error(variant, ("quantization: %s is a format of a checkpoint, and '%s' is not one"):format(word, variant.model),
      "set the variant's model to a checkpoint in that format; it needs no quantization then")
  end
  if not found then return true end
  local method, format = q.checkpoint.format_of(found.quantization)
  local wanted = promised[word]
  if method == word or not wanted or not format or wanted == format then return true end
  return config_error(variant, ("quantization: %s, but the checkpoint's config.json says %s (%s)"):format(word, method or "?", format),
    "name the right checkpoint in 'model', or the right word; null takes the checkpoint's own")
end

local function add_identity(argv, variant, context)
  if context.unix_socket then
    add(argv, "--uds", context.unix_socket)
  else
    add(argv, "--host", context.host)
    add(argv, "--port", context.port)
  end
  add(argv, "--served-model-name", context.served_name)
  add(argv, "--generation-config", "vllm")
  if online[variant.server.quantization] and not is_quantized(variant) then
    add(argv, "--quantization", variant.server.quantization)
  end
end

local function add_engine(argv, server)
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
  add(argv, "--max-logprobs", server.max_logprobs or 20)
end

-- Any number of stop strings, and all sampling parameters.
local knows = { sampling = q.openai.extended_sampling, max_stops = math.huge }

return q.server {
  name = "vllm",
  summary = { en = "vLLM, started and stopped for each variant", zh = "vLLM，为每个变体启动和停止" },
  tested = {
    { version = "0.25.1", mode = "generate, loglikelihood, letter", seen = "run" },
    { version = "0.26 to 0.30", mode = "generate, loglikelihood, letter", seen = "read" },
  },
  capabilities = { generate = true, loglikelihood = true, letter = true },
  min_tokens = true, continuous_usage = true,
  sampling = knows.sampling, template_kwargs = true,
  key_env = "VLLM_API_KEY", unix_socket = true, health = "/health",
  tokenize = "prompt",
  -- `logprob_token_ids` is ignored without a word by 0.25.1 (the probe tells). A label that is not among the 20 candidates is
  -- then forced by `logit_bias`, behind a chat template too, and reported with its probability as it was before the bias.
  score = { loglikelihood = { "prompt_logprobs", "echo_ids", "echo_text" },
    letter = { "logprob_token_ids", "top_logprobs", "logit_bias" } },
  grace_ms = 30000,

  check = function(variant, context)
    local ok, err = check_quantization(variant)
    if not ok then return nil, err end
    if variant.server.base_url or context.find_on_path(executable(variant)) then return true end
    return nil, {
      kind = "server", text = ("variant '%s': vLLM is not installed: no executable '%s' on PATH"):format(
        variant.name, executable(variant)),
      hint = "install it (pip install vllm), name it in server.executable, ask a server that is already running (--url), "
        .. "or try everything with simulated answers (--set server.engine=sim)",
    }
  end,

  start = function(variant, context)
    local argv = { executable(variant), "serve", variant.model }
    add_identity(argv, variant, context)
    add_engine(argv, variant.server)
    add(argv, "--seed", variant.generation.seed)
    add(argv, "--disable-uvicorn-access-log", true) -- a line per request would fill the log
    for _, extra in ipairs(variant.server.extra_args or {}) do argv[#argv + 1] = extra end
    return { argv = argv, env = { VLLM_NO_USAGE_STATS = "1", VLLM_DO_NOT_TRACK = "1", NO_COLOR = "1", VLLM_PORT = false } }
  end,

  request = function(ask)
    ask.echo_logprobs = 0 -- the scored tokens alone: half the reply
    return q.openai.request(ask, knows)
  end,
  read = q.openai.read,

  -- Lines that say that a start goes on, however long it takes.
  progress = { "Resolved architecture", "Initializing a V1 LLM engine", "Starting to load model", "Loading model from scratch",
    "Loading safetensors checkpoint shards", "Loading weights took", "Model loading took", "torch.compile", "Dynamo bytecode",
    "compile range", "Available KV cache memory", "GPU KV cache size", "Capturing CUDA graph", "Graph capturing finished",
    "Kernel JIT monitor activated", "init engine", "Starting vLLM server", "Downloading", "Fetching", "Application startup complete" },

  -- Lines of the log that explain why a start failed; the first that matches is shown. Later errors are symptoms.
  failures = {
    { pattern = "unrecognized arguments", kind = "flag",
      say = { en = "this vLLM does not know one of the options", zh = "该版本 vLLM 不支持某个参数" } },
    { pattern = "invalid choice:", kind = "flag",
      say = { en = "this vLLM does not know one of the values of its options", zh = "该版本 vLLM 不支持某个参数取值" } },
    { pattern = "Free memory on device", kind = "memory",
      say = { en = "the GPU's memory is not free", zh = "显存未释放" } },
    { pattern = "KV cache is needed, which is larger", kind = "config",
      say = { en = "max_model_len is too long for the GPU's memory", zh = "max_model_len 超出显存可容纳的长度" } },
    { pattern = "No available memory for the cache blocks", kind = "memory",
      say = { en = "the weights leave no GPU memory for the KV cache: raise gpu_memory_utilization or use more GPUs",
        zh = "权重占满显存，KV 缓存无可用空间：请提高 gpu_memory_utilization 或增加 GPU" } },
    { pattern = "CUDA out of memory", kind = "memory", say = { en = "out of GPU memory", zh = "显存不足" } },
    { pattern = "OutOfMemoryError", kind = "memory", say = { en = "out of GPU memory", zh = "显存不足" } },
    { pattern = "is greater than the derived max_model_len", kind = "config",
      say = { en = "max_model_len is longer than the model's own limit", zh = "max_model_len 超出模型自身的长度上限" } },
    { pattern = "Cannot find the config file for", kind = "config",
      say = { en = "the checkpoint is not quantized in the format that --quantization names",
        zh = "检查点并非 --quantization 所指定的量化格式" } },
    { pattern = "Quantization method specified in the model config", kind = "config",
      say = { en = "the checkpoint has another quantization than the config says", zh = "检查点的量化方法与配置不符" } },
    { pattern = "Only symmetric quantization is supported for MoE", kind = "config",
      say = { en = "this vLLM runs mixtures of experts in 4 bits only with symmetric quantization",
        zh = "该版本 vLLM 的 MoE 4 位量化仅支持对称量化" } },
    { pattern = "are not supported for now", kind = "model",
      say = { en = "this vLLM does not know the model's architecture", zh = "该版本 vLLM 不支持此模型架构" } },
    { pattern = "Address already in use", kind = "port", say = { en = "the port is in use", zh = "端口被占用" } },
    { pattern = "Repository Not Found", kind = "model", say = { en = "the model was not found", zh = "找不到模型" } },
    { pattern = "LocalEntryNotFoundError", kind = "network",
      say = { en = "the model is not in the cache and there is no network", zh = "缓存中没有模型，且无网络" } },
    { pattern = "is not a local folder and is not a valid model identifier", kind = "model",
      say = { en = "the model is neither a folder nor an id on the hub", zh = "模型既不是本地目录，也不是有效的模型 ID" } },
    { pattern = "Failed core proc(s): {}", kind = "memory",
      say = { en = "the engine was killed without a word: is the machine's own memory full?", zh = "引擎被直接终止：请检查主机内存是否耗尽" } },
  },
}
