-- SPDX-License-Identifier: Apache-2.0
--- Keys: the API key of a variant's server, where it comes from, and how it is sent.
-- A key comes from the environment or a file and goes into a request's header or a child's environment, never into an
-- argument list, which everybody on the machine can read. Whatever was read here is known to `qlua.secrets` from then on.

local file = require "qlua.core.file"
local secrets = require "qlua.secrets"
local sys = require "qlua.core.sys"

local keys = {}

local RANDOM_BYTES = 24

local function fail(variant, text, hint)
  return nil, { kind = "config", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

local function from_environment(variant, name)
  local key = sys.env(name)
  if not key or key == "" then
    return fail(variant, ("server.api_key_env: environment variable %s is not set"):format(name))
  end
  return key
end

local function from_file(variant, path)
  local text, err = file.read(path)
  if not text then return fail(variant, ("server.api_key_file: %s: %s"):format(path, err and err.text or "cannot be read")) end
  local key = text:match "^%s*(%S+)%s*$"
  if not key then
    return fail(variant, ("server.api_key_file: %s: want one key and nothing else, got %s"):format(path,
      text:find "%S" and "several words" or "an empty file"))
  end
  return key
end

--- The key that the configuration names.
-- @tparam table variant resolved
-- @treturn ?string nil where none is named
-- @treturn ?table err
function keys.of(variant)
  local server = variant.server
  if server.api_key_env and server.api_key_file then
    return fail(variant, "server.api_key_env and server.api_key_file exclude each other")
  end
  local key, err
  if server.api_key_env then key, err = from_environment(variant, server.api_key_env) end
  if server.api_key_file then key, err = from_file(variant, server.api_key_file) end
  if key and key:find "[%c\128-\255]" then
    key, err = fail(variant, "the API key holds bytes that no HTTP header can", "is there a line break in it?")
  end
  if key then secrets.remember(key) end
  return key, err
end

--- A key for one run of a server that is ours: others on the machine cannot use it.
-- @treturn string 48 hex digits
function keys.random()
  local source <close> = assert(io.open("/dev/urandom", "rb"))
  local key = source:read(RANDOM_BYTES):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
  secrets.remember(key)
  return key
end

--- The headers that every request to a server has.
-- @tparam table dialect its `auth(key, variant)` returns other headers than `authorization: Bearer …`
-- @tparam table variant resolved
-- @tparam ?string key
-- @treturn table lower-case name → value
function keys.headers(dialect, variant, key)
  secrets.remember((variant.server.base_url or ""):match "^%a[%w+.-]*://[^/@%s]*:([^/@%s]*)@") -- a password in the URL
  local headers = { ["content-type"] = "application/json" }
  if key then
    local own = dialect.auth and dialect.auth(key, variant) or { authorization = "Bearer " .. key }
    for name, value in pairs(own) do headers[name:lower()] = value end
  end
  for name, value in pairs(variant.server.headers or {}) do
    headers[name:lower()] = value
    if secrets.is_name(name) then secrets.remember((value:gsub("^%a+ +", ""))) end
  end
  return headers
end

return keys
