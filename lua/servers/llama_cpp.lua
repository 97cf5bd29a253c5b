-- SPDX-License-Identifier: Apache-2.0
--- llama.cpp: `llama-server`, one process per variant; the variant's model is a GGUF file, which is its quantization.
-- What is not obvious: `-c` is shared by the slots of `-np`; echo is accepted and ignored, so a text is scored token by token;
-- log-probabilities come in chat's shape over both endpoints; it does not end on SIGTERM while a client is connected.
local q = require "qlua"

local add = q.launch.add

local DEFAULT_SLOTS = 4

-- Words of the configuration, and llama.cpp's for the cache of keys and values.
local cache_types = { auto = false, fp16 = "f16", f16 = "f16", bf16 = "bf16", f32 = "f32", q8_0 = "q8_0", q5_1 = "q5_1", q5_0 = "q5_0",
  q4_1 = "q4_1", q4_0 = "q4_0", iq4_nl = "iq4_nl" }

local function executable(variant) return variant.server.executable or "llama-server" end

local function config_error(variant, text, hint)
  return nil, { kind = "config", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

local function check_model(variant)
  local stat = q.file.stat(variant.model)
  if not stat then
    return config_error(variant, ("no such file: %s (llama.cpp wants a GGUF file as model)"):format(variant.model),
      "convert the checkpoint to GGUF first, one file for each variant")
  end
  if stat.kind == "dir" then
    return config_error(variant, ("%s is a folder (llama.cpp wants a GGUF file as model)"):format(variant.model))
  end
  return true
end

local function slots_of(server) return server.max_num_seqs or DEFAULT_SLOTS end

-- Other engines' names and defaults differ: top_k 40, min_p 0.05 and a random seed unless told otherwise.
local knows = {
  sampling = { "temperature", "top_p", "top_k", "min_p", "seed", repetition_penalty = "repeat_penalty" },
  max_stops = math.huge, continues = "always",
}

return q.server {
  name = "llama_cpp",
  summary = { en = "llama.cpp's llama-server, started and stopped for each variant (GGUF files)",
    zh = "llama.cpp 的 llama-server，为每个变体启动和停止（GGUF 文件）" },
  tested = {
    { version = "v0.5.0", mode = "generate, letter", seen = "read" },
  },
  capabilities = { generate = true, letter = true, loglikelihood = true },
  -- A token that is forced is reported with its probability as it was before the bias.
  tokenize = "content",
  score = { loglikelihood = { "forced" }, letter = { "logit_bias", "top_logprobs" }, options = { bias_form = "pairs", bias = 1000 } },
  sampling = knows.sampling, template_kwargs = true,
  key_env = "LLAMA_API_KEY", unix_socket = true, health = "/health",
  port_line = "listening on http://[^%s]*:(%d+)",
  grace_ms = 15000,

  check = function(variant, context)
    local server = variant.server
    if server.base_url then return true end
    if cache_types[server.kv_cache_dtype] == nil then
      return config_error(variant, ("kv_cache_dtype: llama.cpp has no '%s'"):format(server.kv_cache_dtype),
        "want auto, f16, bf16, f32, q8_0, q5_1, q5_0, q4_1, q4_0 or iq4_nl")
    end
    local ok, err = check_model(variant)
    if not ok then return nil, err end
    if context.find_on_path(executable(variant)) then return true end
    return nil, { kind = "server",
      text = ("variant '%s': llama.cpp is not installed: no executable '%s' on PATH"):format(variant.name, executable(variant)),
      hint = "name it in server.executable, or ask a server that is already running (--url)" }
  end,

  start = function(variant, context)
    local server = variant.server
    local argv = { executable(variant), "-m", variant.model }
    add(argv, "--alias", context.served_name)
    add(argv, "--host", context.unix_socket or context.host)
    if not context.unix_socket then add(argv, "--port", context.port) end
    add(argv, "-np", slots_of(server))
    add(argv, "-c", server.max_model_len and server.max_model_len * slots_of(server))
    local cache = cache_types[server.kv_cache_dtype]
    add(argv, "-ctk", cache)
    add(argv, "-ctv", cache)
    add(argv, "-b", server.max_num_batched_tokens)
    add(argv, "--seed", variant.generation.seed)
    add(argv, "--offline", true) -- the model is a file: nothing is to be fetched
    for _, extra in ipairs(server.extra_args or {}) do argv[#argv + 1] = extra end
    return { argv = argv, env = { NO_COLOR = "1" } }
  end,

  request = function(ask)
    local request = q.openai.request(ask, knows)
    local caching = ask.server and ask.server.enable_prefix_caching
    if caching ~= nil and request.body.cache_prompt == nil then request.body.cache_prompt = caching end
    return request
  end,
  read = q.openai.read,

  progress = { "loading model", "load_tensors", "llama_model_loader", "llama_context", "warming up", "model loaded", "listening on" },

  failures = {
    { pattern = "invalid argument:", kind = "flag",
      say = { en = "this llama-server does not know one of the options", zh = "该版本 llama-server 不支持某个参数" } },
    { pattern = "couldn't bind HTTP server socket", kind = "port", say = { en = "the port is in use", zh = "端口被占用" } },
    { pattern = "cudaMalloc failed: out of memory", kind = "memory", say = { en = "out of GPU memory", zh = "显存不足" } },
    { pattern = "failed to allocate", kind = "memory", say = { en = "out of memory", zh = "内存不足" } },
    { pattern = "unknown model architecture", kind = "model",
      say = { en = "this llama.cpp does not know the model's architecture", zh = "该版本 llama.cpp 不支持此模型架构" } },
    { pattern = "invalid magic characters", kind = "model", say = { en = "the model file is no GGUF", zh = "模型文件不是 GGUF 格式" } },
    { pattern = "failed to load model", kind = "model", say = { en = "the model file could not be loaded", zh = "无法加载模型文件" } },
    { pattern = "exiting due to model loading error", kind = "model",
      say = { en = "the model file could not be loaded", zh = "无法加载模型文件" } },
  },
}
