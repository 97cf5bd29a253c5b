-- SPDX-License-Identifier: Apache-2.0
--- Secrets: what a run writes down about itself, without the keys in it. Pure.
-- A run's folder is made to be shared. Keys belong into environment variables or files (`server.api_key_env`, `api_key_file`), of
-- which only names are recorded. Two defences: names that promise a secret (for those who wrote one into a header, an
-- environment entry, `--set`, `extra_args` or a URL), and values that are known, wherever they turn up: servers and gateways
-- like to repeat a key in their errors.

local secrets = {}

--- What stands where a secret was.
secrets.HIDDEN = "(hidden)"

local telling = { "authorization", "cookie", "api[-_]?key", "key$", "token$", "secret", "passw", "credential" }

-- ---- known values -------------------------------------------------------------------------------------------

local SHORTEST = 6 -- what is shorter would be found by chance

local known = {} -- form → true: every way in which a known value may be written

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local made = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for shift = 18, 0, -6 do
      local at = (n >> shift & 63) + 1
      made[#made + 1] = BASE64:sub(at, at)
    end
  end
  local whole = table.concat(made)
  local missing = (3 - #text % 3) % 3
  return whole:sub(1, #whole - missing) .. ("="):rep(missing)
end

-- Base64 of any text that holds the value (user:KEY) shows it in one of three shifts: the part of each that does not
-- depend on what stands before or behind.
local function add_base64(forms, value)
  for shift = 0, 2 do
    local coded = base64(("\0"):rep(shift) .. value):gsub("=", "")
    local first = shift == 0 and 1 or shift + 2
    local last = (shift + #value) * 8 // 6
    local core = coded:sub(first, last)
    if #core >= SHORTEST then
      forms[core] = true
      forms[(core:gsub("%+", "-"):gsub("/", "_"))] = true
    end
  end
end

local function url_encoded(value, format)
  return (value:gsub("[^%w%-._~]", function(c) return format:format(c:byte()) end))
end

--- All ways in which a secret may be written: as it is, in JSON, in a URL, in base64.
-- @tparam string value
-- @treturn {string,...} the longest first
function secrets.forms(value)
  local set = { [value] = true, [value:gsub("/", "\\/")] = true, [url_encoded(value, "%%%02X")] = true,
    [url_encoded(value, "%%%02x")] = true }
  add_base64(set, value)
  local list = {}
  for form in pairs(set) do list[#list + 1] = form end
  table.sort(list, function(a, b) return #a > #b or #a == #b and a < b end)
  return list
end

local ordered = {} -- the keys of `known`, the longest first

--- From now on this value is hidden wherever it turns up. Too short a one is not: it would be found by chance.
-- @tparam ?string value
function secrets.remember(value)
  if type(value) ~= "string" or #value < SHORTEST or known[value] then return end
  for _, form in ipairs(secrets.forms(value)) do known[form] = true end
  ordered = {}
  for form in pairs(known) do ordered[#ordered + 1] = form end
  table.sort(ordered, function(a, b) return #a > #b or #a == #b and a < b end)
end

--- All forms of all values that are known, for others that hide them (the log of a server's output).
-- @treturn {string,...}
function secrets.known() return table.move(ordered, 1, #ordered, 1, {}) end

local function replace_plain(text, what, by)
  local from, to = text:find(what, 1, true)
  if not from then return text end
  local parts, done = {}, 0
  while from do
    parts[#parts + 1], parts[#parts + 2] = text:sub(done + 1, from - 1), by
    done = to
    from, to = text:find(what, done + 1, true)
  end
  parts[#parts + 1] = text:sub(done + 1)
  return table.concat(parts)
end

--- A text without the known values. `mask` keeps its length: offsets into it stay right.
-- @tparam string text
-- @tparam ?boolean mask
-- @treturn string
function secrets.hide_known(text, mask)
  for _, form in ipairs(ordered) do
    text = replace_plain(text, form, mask and ("*"):rep(#form) or secrets.HIDDEN)
  end
  return text
end

local function star(before, value) return before .. ("*"):rep(#value) end

--- A sentence of ours or a server's, without known values and without what looks like a key. Not for what a model says.
-- @tparam ?string text
-- @treturn ?string
function secrets.hide(text)
  if type(text) ~= "string" then return text end
  text = secrets.hide_known(text)
  text = text:gsub("([Bb]earer +)([%w%-._~+/=]+)", star)
  text = text:gsub("%f[%w](sk%-)([%w%-_*]+)", function(before, value) return #value >= SHORTEST and star(before, value) or nil end)
  text = text:gsub("%f[%w](hf_)(%w+)", function(before, value) return #value >= SHORTEST and star(before, value) or nil end)
  return text
end

--- The same for every text in a table, keys left alone; a copy.
function secrets.hide_all(value)
  if type(value) == "string" then return secrets.hide_known(value) end
  if type(value) ~= "table" or #ordered == 0 then return value end
  local made = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do made[key] = secrets.hide_all(inner) end
  return made
end

-- ---- names that promise one -----------------------------------------------------------------------------------

--- Does this name of a header, a variable or an option promise a secret?
function secrets.is_name(name)
  local lower = tostring(name):lower()
  if lower:find "_env$" or lower:find "_file$" then return false end -- the name of a variable, of a file
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
