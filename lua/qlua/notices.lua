-- SPDX-License-Identifier: Apache-2.0
--- Notices: what a reader of the numbers must know about how a variant was reached: a certificate that nobody checked, a key
-- in the open, a gateway that answered for another model. Kept with the run, on top of every report.

local core = require "qlua.core.http"

local notices = {}

local function has_key(server)
  if server.api_key_env or server.api_key_file then return true end
  for name in pairs(server.headers or {}) do
    if require("qlua.secrets").is_name(name) then return true end
  end
  return false
end

local function of_transport(server, list)
  local url = server.base_url
  if not url then return end
  if server.insecure and url:find "^https:" then
    list[#list + 1] = { code = "insecure",
      en = "the server's certificate was NOT CHECKED (insecure: true): whoever sat between could read and change everything",
      zh = "未校验服务器证书（insecure: true）：中间人可读取并篡改全部内容" }
  end
  local host = url:match "^http://%[?([^%]/:]+)"
  if host and has_key(server) and not core.is_loopback(host) then
    list[#list + 1] = { code = "key_in_the_open", en = "the API key went over the network unencrypted (http, not https)",
      zh = "API 密钥以明文经网络传输（http 而非 https）" }
  end
end

--- What is known before anything is asked.
-- @tparam table one a variant of a plan: `variant`, `dialect`
-- @treturn {table,...} `{ code, en, zh }`
function notices.of(one)
  local list = {}
  of_transport(one.variant.server, list)
  for _, notice in ipairs(one.dialect.notices and one.dialect.notices(one.variant) or {}) do list[#list + 1] = notice end
  return list
end

local function is_same(dialect, asked, said)
  if dialect.echoes then return dialect.echoes(asked, said) end
  return asked == said
end

notices.several_providers = { code = "several_providers",
  en = "the replies came from several providers (manifest.json names them), perhaps with different quantizations",
  zh = "回复来自多个提供商（见 manifest.json），其量化方式可能不同" }

--- What a reply says about who answered it.
-- @tparam table dialect
-- @tparam string asked the model that was asked for
-- @tparam table response with `model` and `provider` where the reply names them
-- @treturn ?table notice, the same one for the same cause
function notices.of_response(dialect, asked, response)
  local said = response.model
  if said and asked and not is_same(dialect, asked, said) then
    return { code = "other_model",
      en = ("asked for '%s', the replies say '%s': a gateway may have sent the requests elsewhere"):format(asked, said),
      zh = ("请求的模型是“%s”，回复自称“%s”：网关可能把请求转给了别的模型"):format(asked, said) }
  end
end

return notices
