-- SPDX-License-Identifier: Apache-2.0
--- OpenAI and those who sell the same interface: OpenAI, Azure OpenAI, OpenRouter. Told apart by the host of `base_url`.
-- What is not obvious: Azure takes the key in a header of its own and its version in the URL; OpenRouter sends a request to
-- whoever has room, in whatever quantization, unless a provider is pinned; models with a date in their name answer under it.
local q = require "qlua"

local DEFAULT_URL = "https://api.openai.com/v1"

local function host_of(variant)
  return ((variant.server.base_url or DEFAULT_URL):match "^%a+://([^/:]+)" or ""):lower()
end

local function ends_with(host, name) return host == name or host:sub(-#name - 1) == "." .. name end

local function is_azure(variant)
  local host = host_of(variant)
  return ends_with(host, "openai.azure.com") or ends_with(host, "cognitiveservices.azure.com") or ends_with(host, "services.ai.azure.com")
end

local function is_open_router(variant) return ends_with(host_of(variant), "openrouter.ai") end

local function config_error(variant, text, hint)
  return nil, { kind = "config", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

-- Pinned: one place, no way around it.
local function is_pinned(variant)
  local provider = (variant.server.extra_body or {}).provider
  if type(provider) ~= "table" or provider.allow_fallbacks ~= false then return false end
  local named = provider.order or provider.only
  return type(named) == "table" and #named == 1
end

local function check_azure(variant)
  local url, query = variant.server.base_url, variant.server.query or {}
  if url:find("/openai/v1", 1, true) or (url:find("/openai/deployments/[^/]+") and query["api-version"]) then return true end
  return config_error(variant, "server.base_url: Azure wants …/openai/v1, or …/openai/deployments/NAME with query: { api-version: … }",
    "without api-version every request is 'Resource not found'")
end

local function check_open_router(variant, context)
  if is_pinned(variant) then return true end
  local variants = context.config and context.config.model.variants or {}
  if #variants < 2 then return true end
  return config_error(variant, "OpenRouter sends requests to different providers, who serve different quantizations: "
    .. "no comparison of variants",
    'pin one: extra_body: { provider: { order: ["NAME"], allow_fallbacks: false, require_parameters: true, quantizations: ["fp8"] } }')
end

-- `gpt-x` may answer as `gpt-x-2026-01-31`, but `gpt-x-mini` is another model; OpenRouter adds `:free` and the like.
local function echoes(asked, said)
  if said == asked then return true end
  local rest = said:sub(1, #asked) == asked and said:sub(#asked + 1) or ""
  return rest:find "^%-%d%d%d%d%-%d%d%-%d%d$" ~= nil or rest:find "^[:@]" ~= nil
end

local knows = { sampling = q.openai.standard_sampling, max_stops = 4 }
local newer = { sampling = knows.sampling, max_stops = 4, max_tokens_field = "max_completion_tokens" }

return q.server {
  name = "openai",
  summary = { en = "OpenAI, Azure OpenAI, OpenRouter: somebody else's models behind a key",
    zh = "OpenAI、Azure OpenAI、OpenRouter：通过密钥访问的第三方模型" },
  tested = {
    { version = "API of 2026", mode = "generate, letter (chat)", seen = "read" },
  },
  capabilities = { generate = true, letter = true,
    loglikelihood = { en = "no hosted API gives log-probabilities of prompts any more; use letter or generate",
      zh = "托管 API 均已不再提供提示词的对数概率；请使用 letter 或 generate 模式" } },
  sampling = knows.sampling,
  echoes = echoes,

  auth = function(key, variant)
    if is_azure(variant) then return { ["api-key"] = key } end
    return { authorization = "Bearer " .. key }
  end,

  check = function(variant, context)
    local server = variant.server
    if not server.base_url then
      return config_error(variant, "server.base_url is missing", "for instance base_url: " .. DEFAULT_URL)
    end
    if not (server.api_key_env or server.api_key_file or next(server.headers or {})) then
      return config_error(variant, "no API key", "name the variable that holds it: server.api_key_env: OPENAI_API_KEY")
    end
    if is_azure(variant) then return check_azure(variant) end
    if is_open_router(variant) then return check_open_router(variant, context) end
    return true
  end,

  notices = function(variant)
    if not is_open_router(variant) or is_pinned(variant) then return {} end
    return { { code = "provider_not_pinned", en = "OpenRouter was free to choose the provider and its quantization for each request",
      zh = "OpenRouter 可为每个请求任意选择提供商及其量化方式" } }
  end,

  request = function(ask)
    local url = ask.server and ask.server.base_url or ""
    return q.openai.request(ask, url:find("openrouter.ai", 1, true) and knows or newer)
  end,
  read = q.openai.read,
}
