-- SPDX-License-Identifier: Apache-2.0
--- llama-cpp-python: `python -m llama_cpp.server`, one process per variant; the variant's model is a GGUF file.
-- What is not obvious: it answers one request at a time, and by default a new one cuts off the reply that is being streamed
-- (`--interrupt_requests`); repeat_penalty is 1.1 unless the request says otherwise; an unknown model name is answered by the
-- model that is there, under the unknown name; HOST and PORT of the environment beat the command line, and every other setting
-- may come from there too; echo without a begin-of-text token gives each token the probability of the next place
-- (docs/servers.md), so that texts are scored token by token instead.
local q = require "qlua"

local add = q.launch.add

-- Settings are read from the environment under their own names. What is given on the command line is safe; of the rest, these would
-- change answers or the address without a word.
local SETTINGS = { "HOST", "PORT", "CONFIG_FILE", "ROOT_PATH", "MODEL", "MODEL_ALIAS", "SEED", "CACHE", "CACHE_TYPE", "CHAT_FORMAT",
  "CHAT_TEMPLATE_KWARGS", "DRAFT_MODEL", "LORA_BASE", "LORA_PATH", "KV_OVERRIDES", "TYPE_K", "TYPE_V", "ROPE_SCALING_TYPE",
  "ROPE_FREQ_BASE",
  "ROPE_FREQ_SCALE", "YARN_EXT_FACTOR", "YARN_ATTN_FACTOR", "YARN_BETA_FAST", "YARN_BETA_SLOW", "YARN_ORIG_CTX", "VOCAB_ONLY", "EMBEDDING",
  "FLASH_ATTN", "N_CTX", "N_BATCH", "N_UBATCH", "N_GPU_LAYERS", "HF_TOKENIZER_CONFIG_PATH", "HF_PRETRAINED_MODEL_NAME_OR_PATH",
  "HF_MODEL_REPO_ID", "CLIP_MODEL_PATH", "API_KEY", "SSL_KEYFILE", "SSL_CERTFILE", "VERBOSE" }

-- GGML's numbers of the formats that a cache of keys and values may have.
local cache_types = { auto = false, f32 = 0, f16 = 1, fp16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, bf16 = 30 }

local function executable(variant) return variant.server.executable or "python3" end

local function config_error(variant, text, hint)
  return nil, { kind = "config", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

local function check_model(variant)
  local stat = q.file.stat(variant.model)
  if not stat then
    return config_error(variant, ("no such file: %s (llama-cpp-python wants a GGUF file as model)"):format(variant.model),
      "convert the checkpoint to GGUF first, one file for each variant")
  end
  if stat.kind == "dir" then
    return config_error(variant, ("%s is a folder (llama-cpp-python wants a GGUF file as model)"):format(variant.model))
  end
  return true
end

local knows = {
  sampling = { "temperature", "top_p", "top_k", "min_p", "seed", repetition_penalty = "repeat_penalty" },
  max_stops = math.huge,
}

return q.server {
  name = "llama_cpp_python",
  summary = { en = "llama-cpp-python's server, started and stopped for each variant (GGUF files)",
    zh = "llama-cpp-python 的服务，为每个变体启动和停止（GGUF 文件）" },
  tested = {
    { version = "0.3.36", mode = "generate, letter, loglikelihood", seen = "run" },
  },
  capabilities = { generate = true, letter = true, loglikelihood = true },
  -- Echo is right only for models that begin a text with a token of their own: the probe tells, and token by token it goes too.
  tokenize = "input",
  score = { loglikelihood = { "echo_text", "stepwise" }, letter = { "top_logprobs" },
    options = { prompt = "text", top_logprobs = 64, bias = 100, bias_reported = "after" } },
  sampling = knows.sampling, key_env = "API_KEY", health = "/v1/models", grace_ms = 15000,

  check = function(variant, context)
    local server = variant.server
    if server.base_url then return true end
    if server.unix_socket then return config_error(variant, "server.unix_socket: llama-cpp-python listens on a port only") end
    if cache_types[server.kv_cache_dtype] == nil then
      return config_error(variant, ("kv_cache_dtype: llama-cpp-python has no '%s'"):format(server.kv_cache_dtype),
        "want auto, f16, bf16, f32, q8_0, q5_1, q5_0, q4_1 or q4_0")
    end
    local ok, err = check_model(variant)
    if not ok then return nil, err end
    if context.find_on_path(executable(variant)) then return true end
    return nil, { kind = "server",
      text = ("variant '%s': no executable '%s' on PATH"):format(variant.name, executable(variant)),
      hint = "name the Python that llama-cpp-python[server] is installed for in server.executable" }
  end,

  notices = function(variant)
    if (variant.server.max_num_seqs or 1) == 1 then return {} end
    return { { code = "one_at_a_time", en = "llama-cpp-python answers one request at a time, whatever max_num_seqs says",
      zh = "llama-cpp-python 一次只处理一个请求，max_num_seqs 不起作用" } }
  end,

  start = function(variant, context)
    local server = variant.server
    local argv = { executable(variant), "-m", "llama_cpp.server", "--model", variant.model }
    add(argv, "--model_alias", context.served_name)
    add(argv, "--host", context.host)
    add(argv, "--port", context.port)
    add(argv, "--n_ctx", server.max_model_len) -- logits_all keeps 4 bytes × vocabulary for each token of it
    add(argv, "--logits_all", "true")
    add(argv, "--interrupt_requests", "false")
    add(argv, "--n_batch", server.max_num_batched_tokens)
    add(argv, "--type_k", cache_types[server.kv_cache_dtype])
    add(argv, "--type_v", cache_types[server.kv_cache_dtype])
    add(argv, "--seed", variant.generation.seed)
    for _, extra in ipairs(server.extra_args or {}) do argv[#argv + 1] = extra end
    local env = { NO_COLOR = "1", PYTHONUNBUFFERED = "1" }
    for _, name in ipairs(SETTINGS) do env[name] = false end
    return { argv = argv, env = env }
  end,

  request = function(ask)
    if ask.mode == "letter" then ask.top_logprobs = 64 end -- as many as one likes
    local request = q.openai.request(ask, knows)
    -- Fields that it does not know are ignored, and its own defaults hold.
    if request.body.top_k and request.body.top_k < 0 then request.body.top_k = 0 end
    return request
  end,
  read = q.openai.read,

  progress = { "llama_model_loader", "load_tensors", "llama_context", "llama_kv_cache", "Model metadata", "Application startup complete" },

  failures = {
    { pattern = "No module named llama_cpp", kind = "config",
      say = { en = "this Python has no llama-cpp-python", zh = "该 Python 未安装 llama-cpp-python" } },
    { pattern = "No module named 'llama_cpp", kind = "config",
      say = { en = "this Python has no llama-cpp-python", zh = "该 Python 未安装 llama-cpp-python" } },
    { pattern = "No module named", kind = "config",
      say = { en = "llama-cpp-python is installed without its server: pip install 'llama-cpp-python[server]'",
        zh = "llama-cpp-python 安装时缺少 server 组件：pip install 'llama-cpp-python[server]'" } },
    { pattern = "error: unrecognized arguments", kind = "flag",
      say = { en = "this llama-cpp-python does not know one of the options", zh = "该版本 llama-cpp-python 不支持某个参数" } },
    { pattern = "address already in use", kind = "port", say = { en = "the port is in use", zh = "端口被占用" } },
    { pattern = "Unable to allocate", kind = "memory",
      say = { en = "out of memory: max_model_len × vocabulary × 4 bytes are kept for log-probabilities",
        zh = "内存不足：为对数概率需保留 max_model_len × 词表大小 × 4 字节" } },
    { pattern = "failed to allocate", kind = "memory", say = { en = "out of memory", zh = "内存不足" } },
    { pattern = "Failed to create llama_context", kind = "memory",
      say = { en = "no context of that length: out of memory, or an option does not fit the model",
        zh = "无法创建上下文：内存不足，或参数与模型不符" } },
    { pattern = "unknown model architecture", kind = "model",
      say = { en = "this llama-cpp-python does not know the model's architecture", zh = "该版本 llama-cpp-python 不支持此模型架构" } },
    { pattern = "invalid magic characters", kind = "model", say = { en = "the model file is no GGUF", zh = "模型文件不是 GGUF 格式" } },
    { pattern = "Failed to load model from file", kind = "model",
      say = { en = "the model file could not be loaded", zh = "无法加载模型文件" } },
    { pattern = "Model path does not exist", kind = "model", say = { en = "no such model file", zh = "找不到模型文件" } },
  },
}
