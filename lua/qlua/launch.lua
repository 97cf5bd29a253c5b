-- SPDX-License-Identifier: Apache-2.0
--- Launch: what exactly is started for a variant: argument list and changes of the environment. Pure.
-- One place for both that start it and that print it, so that `--dry-run` shows what will be done.

local secrets = require "qlua.secrets"
local sys = require "qlua.core.sys"

local launch = {}

--- One option of an argument list; nil and false add nothing, true adds a switch.
-- @tparam {string,...} argv
-- @tparam string flag
-- @param value
function launch.add(argv, flag, value)
  if value == nil or value == false then return end
  argv[#argv + 1] = flag
  if value ~= true then argv[#argv + 1] = tostring(value) end
end

--- Hosts that a client inside the server must not ask by way of a proxy.
launch.NO_PROXY = "localhost,127.0.0.1,::1"

--- Is the variant's server ours to start? One with an address runs already, whatever its engine.
-- @tparam table dialect
-- @tparam table variant resolved
-- @treturn boolean
function launch.is_ours(dialect, variant)
  return dialect.start and not variant.server.base_url and true or false
end

--- What stands behind each URL of a variant's server: "?api-version=…", or nothing.
-- @tparam table variant resolved
-- @treturn string
function launch.query(variant)
  local query = variant.server.query
  return query and next(query) and "?" .. require("qlua.http").query(query) or ""
end

--- How a variant's server is reached, as options of an HTTP client. A pinned key is trusted whoever signed the certificate;
-- with `ca_file` beside it both must hold.
-- @tparam table variant resolved
-- @tparam integer in_flight
-- @treturn table
function launch.transport(variant, in_flight)
  local server = variant.server
  return { max_in_flight = in_flight, ca_file = server.ca_file, pin = server.pin,
    insecure = server.insecure or (server.pin ~= nil and server.ca_file == nil) }
end

local function no_proxy(env)
  local known = env "no_proxy" or env "NO_PROXY"
  if not known or known == "" then return launch.NO_PROXY end
  if known:find("127.0.0.1", 1, true) and known:find("localhost", 1, true) then return known end
  return known .. "," .. launch.NO_PROXY
end

--- All changes that a server's process gets over qlua's own environment: the engine's over the common ones, the
-- configuration's over both.
-- @tparam table dialect
-- @tparam table variant resolved
-- @tparam ?table env the dialect's, of `start`
-- @tparam ?string key the server's API key, into the variable that the dialect names in `key_env`
-- @tparam ?function getenv for tests
-- @treturn table name → value, or false to remove it
function launch.environment(dialect, variant, env, key, getenv)
  getenv = getenv or sys.env
  local made = { NO_PROXY = no_proxy(getenv), no_proxy = no_proxy(getenv) }
  -- else CUDA and NVML may number the cards differently
  if not getenv "CUDA_DEVICE_ORDER" then made.CUDA_DEVICE_ORDER = "PCI_BUS_ID" end
  for name, value in pairs(env or {}) do made[name] = value end
  for name, value in pairs(variant.server.env or {}) do made[name] = value end
  if key and dialect.key_env then made[dialect.key_env] = key end
  return made
end

local function quote(word)
  word = tostring(word)
  if word:find "^[%w%._/:=@%%+,%-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end
launch.quote = quote

--- A command that a shell would understand, secrets hidden: `env -u NAME NAME=value … program …`.
-- @tparam {string,...} argv
-- @tparam ?table env
-- @treturn {string,...} words, quoted
function launch.words(argv, env)
  local words, removed, set = {}, {}, {}
  for name, value in pairs(env or {}) do
    if value == false then
      removed[#removed + 1] = name
    else
      set[#set + 1] = name .. "=" .. (secrets.is_name(name) and secrets.HIDDEN or secrets.hide(value))
    end
  end
  table.sort(removed)
  table.sort(set)
  if #removed + #set > 0 then words[1] = "env" end
  for _, name in ipairs(removed) do words[#words + 1], words[#words + 2] = "-u", quote(name) end
  for _, pair in ipairs(set) do words[#words + 1] = quote(pair) end
  for _, word in ipairs(secrets.words(argv)) do words[#words + 1] = quote(secrets.hide(word)) end
  return words
end

return launch
