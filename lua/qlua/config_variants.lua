-- SPDX-License-Identifier: Apache-2.0
--- Variants: each is what all share, with its own values laid over, field by field.
-- A variant writes them in a block (`server: { port: 8001 }`) or directly (`port: 8001`); the block is the stronger.

local check = require "qlua.config_check"
local schema = require "qlua.config_schema"

local variants = {}

local SECTIONS = { server = schema.server, generation = schema.generation, sim = schema.sim }

-- The value that holds for one field of a variant's section, and the path its origin is filed under.
local function pick(own, section, key, base, paths)
  local block = own[section]
  if type(block) == "table" and block[key] ~= nil then return block[key], paths.block .. key end
  if section ~= "sim" and own[key] ~= nil then return own[key], paths.flat .. key end
  return base[key], section .. "." .. key
end

local function is_dict(field) return field.type == "dict" end

local function merged_dict(base, own)
  local out = {}
  for k, v in pairs(base or {}) do out[k] = v end
  for k, v in pairs(own or {}) do out[k] = v end
  return out
end

local function resolve_section(own, section, base, origins)
  local path = "variants." .. own.name .. "."
  local paths = { block = path .. section .. ".", flat = path }
  local out = {}
  for _, field in ipairs(SECTIONS[section]) do
    local value, from = pick(own, section, field.key, base, paths)
    if value == check.UNSET then value = nil end
    -- environment, headers, accuracies: a variant adds to what all share
    if is_dict(field) and value ~= base[field.key] then value = merged_dict(base[field.key], value) end
    out[field.key] = value
    origins[paths.block .. field.key] = origins[from] or "default"
  end
  return out
end

-- A variant with an address and no engine of its own is a server that somebody else runs.
local function infer_engine(variant, origins)
  local path = "variants." .. variant.name .. ".server.engine"
  if variant.server.base_url and origins[path] == "default" then
    variant.server.engine = "external"
    origins[path] = "default with base_url"
  end
end

--- Make a variant complete.
-- @tparam table own what the variant says, checked; `check.UNSET` where it says null
-- @tparam table resolved with `model.base_name` and the complete sections
-- @tparam table origins path → origin; those of the variant's values are added
-- @treturn table `{ name, description, model, engine, quantization, kv_cache_dtype, server, generation, sim }`
function variants.resolve(own, resolved, origins)
  local model = own.model
  if model == check.UNSET then model = nil end
  local path = "variants." .. own.name
  local description = own.description
  local variant = {
    name = own.name,
    description = description ~= check.UNSET and description or { en = own.name, zh = own.name },
    model = model or resolved.model.base_name,
  }
  origins[path .. ".model"] = model and origins[path .. ".model"] or origins["model.base_name"]
  for section in pairs(SECTIONS) do variant[section] = resolve_section(own, section, resolved[section], origins) end
  infer_engine(variant, origins)
  for _, key in ipairs { "engine", "quantization", "kv_cache_dtype" } do
    variant[key] = variant.server[key]
    origins[path .. "." .. key] = origins[path .. ".server." .. key]
  end
  return variant
end

return variants
