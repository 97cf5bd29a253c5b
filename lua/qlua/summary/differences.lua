-- SPDX-License-Identifier: Apache-2.0
--- Differences: what the variants of a comparison do not share, from their records, configuration, command lines and what
-- their servers said. Pure. A quantized variant is meant to differ in its model and its quantization; whatever else
-- differs competes with it as an explanation. Where a server listens and logs is no difference.
local json = require "qlua.core.json"

local differences = {}

-- Names and places: they always differ and explain nothing.
local IGNORED = { "^name$", "^title", "^description", "^simulated$", "^server%.port$", "^server%.host$", "^server%.base_url$",
  "^server%.unix_socket$", "^server%.served_model_name$", "^server%.api_key_env$",
  "^server%.executable$", "^argv%.1$", "^argv%.%-%-port$",
  "^argv%.%-%-host$", "^argv%.%-%-uds$", "^argv%.%-%-unix%-socket$", "^argv%.%-%-plan$", "^argv%.%-%-ledger$",
  "^argv%.%-%-served%-model%-name$",
  "^facts%.root$", "^facts%.id$", "^facts%.created$", "^facts%.pid$" }
-- What a comparison of variants is about.
local EXPECTED = { "^model$", "^quantization$", "^kv_cache_dtype$", "^server%.quantization$", "^server%.kv_cache_dtype$",
  "^argv%.%-%-quantization$", "^argv%.%-%-kv%-cache%-dtype$", "^argv%.%-%-model$", "^sim%.", "^argv%.%d+$" }

local function matches(path, patterns)
  for _, pattern in ipairs(patterns) do
    if path:find(pattern) then return true end
  end
  return false
end

local function flatten(into, path, value)
  if type(value) ~= "table" or value == json.null then
    if value ~= nil then into[path] = tostring(value) end
  elseif #value > 0 then
    into[path] = json.encode(json.array(value))
  else
    for key, item in pairs(value) do flatten(into, path == "" and tostring(key) or path .. "." .. tostring(key), item) end
  end
end

-- `--opt value` as argv.--opt → value, `--flag` → true; other words by their place.
local function flatten_argv(into, argv)
  local i, place = 1, 0
  while i <= #argv do
    local word, following = argv[i], argv[i + 1]
    local option, value = word:match "^(%-%-[^=]+)=(.*)$"
    if option then
      into["argv." .. option] = value
    elseif word:find "^%-%-" and following and not following:find "^%-%-" then
      into["argv." .. word], i = following, i + 1
    elseif word:find "^%-" then
      into["argv." .. word] = "true"
    else
      place = place + 1
      into["argv." .. place] = word
    end
    i = i + 1
  end
end

local RECORD = { "model", "engine", "quantization", "kv_cache_dtype" }

local function facts_of(doc, name)
  local flat, record = {}, doc.variants[name]
  for _, key in ipairs(RECORD) do flatten(flat, key, record[key]) end
  flatten(flat, "generation", record.generation or {})
  for _, variant in ipairs(type(doc.config) == "table" and doc.config.model and doc.config.model.variants or {}) do
    if variant.name == name then
      flatten(flat, "server", variant.server or {})
      flatten(flat, "sim", variant.sim or {})
    end
  end
  local server = doc.manifest and doc.manifest.servers and doc.manifest.servers[name] or {}
  flatten_argv(flat, record.argv or server.argv or {})
  flatten(flat, "facts.version", type(server.facts) == "table" and server.facts.version or nil)
  return flat
end

--- What differs.
-- @tparam table doc variant_order, variants, config, manifest
-- @treturn {table,…} `{ path, values, expected }`, sorted by path
function differences.list(doc)
  local flat, paths = {}, {}
  for _, name in ipairs(doc.variant_order) do
    flat[name] = facts_of(doc, name)
    for path in pairs(flat[name]) do paths[path] = true end
  end
  local rows = {}
  for path in pairs(paths) do
    -- what a server did not say (or was not asked, in a resumed run) is not known, and so no difference
    local values, first, differs, is_fact = {}, nil, false, path:find "^facts%." ~= nil
    for i, name in ipairs(doc.variant_order) do
      local value = flat[name][path]
      values[name] = value
      if i == 1 or is_fact and first == nil then first = value end
      differs = differs or value ~= first and not (is_fact and value == nil)
    end
    if differs and not matches(path, IGNORED) then
      rows[#rows + 1] = { path = path, values = values, expected = matches(path, EXPECTED) }
    end
  end
  table.sort(rows, function(a, b)
    if a.expected ~= b.expected then return b.expected end
    return a.path < b.path
  end)
  return rows
end

return differences
