-- SPDX-License-Identifier: Apache-2.0
--- transformers: `transformers serve MODEL`, one process per variant, for checkpoints as they are on a hub or in a folder.
-- What is not obvious: it gives no log-probabilities, and ignores being asked for them; a field that it does not know is refused
-- (422), so only temperature, top_p and seed can be sent, and whatever else the model's own generation_config.json sets holds; a
-- temperature above 0 is ignored unless that file says do_sample; the model is known by its path or id alone, and is named in
-- replies as PATH@REVISION; /v1/models lists the hub's cache, not what is served.
local q = require "qlua"

local add = q.launch.add

local quantizations = { ["bnb-4bit"] = true, ["bnb-8bit"] = true }

local function executable(variant) return variant.server.executable or "transformers" end

local function config_error(variant, text, hint)
  return nil, { kind = "config", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

-- What the model's own file sets, where the model is on this machine.
local function own_settings(variant)
  local known = q.checkpoint.read(variant.model, variant.server.revision)
  local text = known and q.file.read(known.path .. "/generation_config.json")
  local settings = text and q.json.decode(text)
  return type(settings) == "table" and settings or {}, known ~= nil
end

local function check_sampling(variant)
  local settings, is_known = own_settings(variant)
  if (variant.generation.temperature or 0) > 0 and is_known and settings.do_sample ~= true then
    return config_error(variant, ("temperature: %g would be ignored: transformers serve samples only where the model's "
      .. "generation_config.json says do_sample: true"):format(variant.generation.temperature), "set temperature to 0, or change that file")
  end
  return true
end

local knows = { sampling = { "temperature", "top_p", "seed" }, max_stops = math.huge }

-- Settings of the model's own file that change greedy decoding too, or that no request can take back.
local LASTING = { repetition_penalty = 1, no_repeat_ngram_size = 0, encoder_repetition_penalty = 1, min_new_tokens = 0, num_beams = 1 }
local SAMPLING = { "top_k", "min_p", "typical_p", "epsilon_cutoff" }

local function names_of_lasting(variant)
  local settings, names = own_settings(variant), {}
  for name, neutral in pairs(LASTING) do
    local value = settings[name]
    if type(value) == "number" and value ~= neutral then names[#names + 1] = ("%s=%g"):format(name, value) end
  end
  if (variant.generation.temperature or 0) > 0 then
    for _, name in ipairs(SAMPLING) do
      if type(settings[name]) == "number" then names[#names + 1] = ("%s=%g"):format(name, settings[name]) end
    end
  end
  table.sort(names)
  return names
end

local NO_LOGPROBS = { en = "transformers serve gives no log-probabilities; ask in mode generate",
  zh = "transformers serve 不提供对数概率；请使用 generate 模式" }

return q.server {
  name = "transformers",
  summary = { en = "transformers serve, started and stopped for each variant", zh = "transformers serve，为每个变体启动和停止" },
  tested = {
    { version = "5.24.0", mode = "generate", seen = "read" },
  },
  capabilities = { generate = true, letter = NO_LOGPROBS, loglikelihood = NO_LOGPROBS },
  sampling = knows.sampling, template_kwargs = true, names_itself = true, health = "/health", grace_ms = 15000,
  echoes = function(asked, said) return said == asked or said:match "^(.*)@[^@]*$" == asked end,

  check = function(variant, context)
    local server = variant.server
    if server.base_url then return true end
    if server.unix_socket then return config_error(variant, "server.unix_socket: transformers serve listens on a port only") end
    if server.quantization and not quantizations[server.quantization] then
      return config_error(variant, ("quantization: transformers serve has no '%s'"):format(server.quantization),
        "want bnb-4bit or bnb-8bit")
    end
    local ok, err = check_sampling(variant)
    if not ok then return nil, err end
    if context.find_on_path(executable(variant)) then return true end
    return nil, { kind = "server",
      text = ("variant '%s': transformers is not installed: no executable '%s' on PATH"):format(variant.name, executable(variant)),
      hint = "pip install 'transformers[serving]' torch, or name it in server.executable" }
  end,

  notices = function(variant)
    local names = names_of_lasting(variant)
    if #names == 0 then return {} end
    local list = table.concat(names, ", ")
    return { { code = "own_sampling",
      en = "the model's own generation_config.json holds where no request can change it: " .. list,
      zh = "请求无法覆盖模型自带 generation_config.json 中的设置：" .. list } }
  end,

  start = function(variant, context)
    local server = variant.server
    local argv = { executable(variant), "serve", server.revision and variant.model .. "@" .. server.revision or variant.model }
    add(argv, "--host", context.host)
    add(argv, "--port", context.port)
    add(argv, "--dtype", server.dtype)
    add(argv, "--quantization", server.quantization)
    add(argv, "--trust-remote-code", server.trust_remote_code)
    add(argv, "--default-seed", variant.generation.seed)
    for _, extra in ipairs(server.extra_args or {}) do argv[#argv + 1] = extra end
    local env = { NO_COLOR = "1", PYTHONUNBUFFERED = "1", HF_HUB_DISABLE_TELEMETRY = "1" }
    if q.file.stat(variant.model) then env.HF_HUB_OFFLINE = "1" end -- a folder: nothing is to be fetched
    return { argv = argv, env = env }
  end,

  request = function(ask)
    local request = q.openai.request(ask, knows)
    request.body.stream_options = nil -- usage comes in the last event unasked
    return request
  end,
  read = q.openai.read,

  progress = { "Loading weights", "Loading checkpoint shards", "Downloading", "Application startup complete" },

  failures = {
    { pattern = "Missing dependencies for serving", kind = "config",
      say = { en = "transformers is installed without its server: pip install 'transformers[serving]'",
        zh = "transformers 安装时缺少 serving 组件：pip install 'transformers[serving]'" } },
    { pattern = "No such option", kind = "flag",
      say = { en = "this transformers does not know one of the options", zh = "该版本 transformers 不支持某个参数" } },
    { pattern = "address already in use", kind = "port", say = { en = "the port is in use", zh = "端口被占用" } },
    { pattern = "CUDA out of memory", kind = "memory", say = { en = "out of GPU memory", zh = "显存不足" } },
    { pattern = "is not a local folder and is not a valid model identifier", kind = "model",
      say = { en = "the model was not found", zh = "找不到模型" } },
    { pattern = "does not appear to have a file named", kind = "model",
      say = { en = "the folder lacks a file of the model", zh = "模型目录缺少文件" } },
    { pattern = "offline mode is enabled", kind = "network",
      say = { en = "the model is not in the cache and there is no network", zh = "缓存中没有模型，且无网络" } },
    { pattern = "couldn't connect to", kind = "network",
      say = { en = "the model is not in the cache and there is no network", zh = "缓存中没有模型，且无网络" } },
  },
}
