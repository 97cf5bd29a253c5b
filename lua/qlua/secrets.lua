-- SPDX-License-Identifier: Apache-2.0
--- Secrets: what a run writes down about itself, without the keys in it. Pure.
-- A run's folder is made to be shared. Keys belong into environment variables (`server.api_key_env`), of which only names
-- are recorded; this is for those who wrote one into a header, an environment entry, `--set`, `extra_args` or a URL.

local secrets = {}

--- What stands where a secret was.
secrets.HIDDEN = "(hidden)"

local telling = { "authorization", "cookie", "api[-_]?key", "key$", "token$", "secret", "passw", "credential" }

--- Does this name of a header, a variable or an option promise a secret?
function secrets.is_name(name)
  local lower = tostring(name):lower()
  if lower:find "_env$" then return false end -- the name of a variable
  for _, pattern in ipairs(telling) do
    if lower:find(pattern) then return true end
  end
  return false
end

--- A URL without its user and password.
function secrets.url(url)
  return type(url) == "string" and url:gsub("^(%a[%w+.-]*://)[^/@%s]*@", "%1") or url
end

local function copy(value, key, is_dict)
  if type(value) == "string" then
    if is_dict and secrets.is_name(key) then return secrets.HIDDEN end
    return (secrets.url(value))
  end
  if type(value) ~= "table" then return value end
  if key == "extra_args" then return secrets.words(value) end
  local made = setmetatable({}, getmetatable(value))
  for name, inner in pairs(value) do made[name] = copy(inner, name, key == "headers" or key == "env") end
  return made
end

--- A configuration as it may be written down.
-- @tparam table config resolved
-- @treturn table a copy
function secrets.config(config)
  return copy(config)
end

local function hide_value(word)
  local before, name, value = word:match "^(%-*)([^=]*)=(.*)$"
  if not name then return (secrets.url(word)) end
  local last = name:match "[^.=]*$"
  if secrets.is_name(last) then return before .. name .. "=" .. secrets.HIDDEN end
  if name == "set" then return before .. name .. "=" .. hide_value(value) end
  return before .. name .. "=" .. secrets.url(value)
end

--- A command line as it may be written down.
-- @tparam {string,...} words
-- @treturn {string,...} a copy, in which `--api-key X` and `--set server.headers.authorization=X` have no X
function secrets.words(words)
  local made = setmetatable({}, getmetatable(words))
  for i, word in ipairs(words) do
    local option = i > 1 and words[i - 1]:match "^%-%-([^=]+)$"
    made[i] = option and secrets.is_name(option) and word:sub(1, 2) ~= "--" and secrets.HIDDEN or hide_value(word)
  end
  return made
end

--- Is something hidden in these words, so that they cannot be used again?
function secrets.is_hidden_in(words)
  for _, word in ipairs(words) do
    if word:find(secrets.HIDDEN, 1, true) then return true end
  end
  return false
end

return secrets
