-- SPDX-License-Identifier: Apache-2.0
--- Ollama: `ollama serve`, or one that runs already, asked over its OpenAI-compatible endpoints.
-- What is not obvious: a prompt longer than the context is cut silently, so that a model seems to get worse; the context is
-- the server's setting, not the request's; keys are ignored; models are known by their own names only, and are not fetched here.
local q = require "qlua"

local function executable(variant) return variant.server.executable or "ollama" end

local function address(context)
  local host = context.host:find(":", 1, true) and "[" .. context.host .. "]" or context.host
  return ("%s:%s"):format(host, context.port)
end

local knows = { sampling = q.openai.standard_sampling, max_stops = math.huge, continues = "always" }

return q.server {
  name = "ollama",
  summary = { en = "Ollama: started for each variant, or running already", zh = "Ollama：为每个变体启动，或使用已运行的服务" },
  tested = {
    { version = "0.12 and later", mode = "generate", seen = "read" },
  },
  capabilities = { generate = true,
    letter = { en = "Ollama's log-probabilities over its OpenAI-compatible endpoints are not dependable; ask in mode generate",
      zh = "Ollama 的 OpenAI 兼容接口返回的对数概率不可靠；请使用 generate 模式" },
    loglikelihood = { en = "Ollama gives no log-probabilities of prompts; ask in mode generate",
      zh = "Ollama 不提供提示词的对数概率；请使用 generate 模式" } },
  sampling = knows.sampling, names_itself = true,
  health = "/api/version", grace_ms = 15000,

  check = function(variant, context)
    local server = variant.server
    if server.base_url then return true end
    if server.unix_socket then
      return nil, { kind = "config", text = ("variant '%s': server.unix_socket: Ollama listens on a port only"):format(variant.name) }
    end
    if context.find_on_path(executable(variant)) then return true end
    return nil, { kind = "server",
      text = ("variant '%s': Ollama is not installed: no executable '%s' on PATH"):format(variant.name, executable(variant)),
      hint = "name it in server.executable, or a running one in base_url: http://127.0.0.1:11434/v1" }
  end,

  notices = function(variant)
    local length = variant.server.max_model_len
    local where = variant.server.base_url
      and { en = "the running server's own setting, which qlua cannot see", zh = "由运行中的服务自行设定，qlua 无法得知" }
      or { en = ("%s tokens here"):format(length or "its default"), zh = ("此处为 %s 个词元"):format(length or "默认值") }
    return { { code = "silent_truncation",
      en = ("Ollama cuts prompts that are longer than its context without saying so (context: %s)"):format(where.en),
      zh = ("Ollama 会静默截断超出上下文的提示词（上下文：%s）"):format(where.zh) },
      { code = "own_sampling",
        en = "Ollama's OpenAI endpoints take no top_k, min_p and repeat_penalty: those of the model's Modelfile hold",
        zh = "Ollama 的 OpenAI 接口不接受 top_k、min_p 和 repeat_penalty：以模型 Modelfile 中的设置为准" } }
  end,

  start = function(variant, context)
    local server = variant.server
    local argv = { executable(variant), "serve" }
    for _, extra in ipairs(server.extra_args or {}) do argv[#argv + 1] = extra end
    return { argv = argv, env = {
      OLLAMA_HOST = address(context), OLLAMA_KEEP_ALIVE = "-1", OLLAMA_MAX_LOADED_MODELS = "1",
      OLLAMA_CONTEXT_LENGTH = server.max_model_len and tostring(server.max_model_len) or nil,
      OLLAMA_NUM_PARALLEL = server.max_num_seqs and tostring(server.max_num_seqs) or nil,
      OLLAMA_KV_CACHE_TYPE = server.kv_cache_dtype ~= "auto" and server.kv_cache_dtype or nil,
    } }
  end,

  request = function(ask) return q.openai.request(ask, knows) end,
  read = q.openai.read,

  progress = { "Listening on", "inference compute", "starting runner", "llama runner started", "loading model" },

  failures = {
    { pattern = "address already in use", kind = "port",
      say = { en = "the port is in use, perhaps by the Ollama service of this machine", zh = "端口被占用，可能是本机已有的 Ollama 服务" } },
    { pattern = "not found, try pulling it first", kind = "model",
      say = { en = "the model is not on this machine: ollama pull NAME", zh = "本机没有该模型：请先 ollama pull NAME" } },
    { pattern = "out of memory", kind = "memory", say = { en = "out of memory", zh = "内存或显存不足" } },
    { pattern = "requires more system memory", kind = "memory",
      say = { en = "the machine has too little memory for the model", zh = "主机内存不足以加载该模型" } },
  },
}
