-- SPDX-License-Identifier: Apache-2.0
--- A resolved configuration as YAML: every value, each line with a comment that says where it came from.
-- What is written is itself a valid configuration that resolves to the same values; variants therefore show
-- only what they override.

local check = require "qlua.config_check"
local config = require "qlua.config"
local schema = require "qlua.config_schema"

local text = {}

local COMMENT_COLUMN = 56

-- Plain scalars only where no YAML reader could take them for anything else.
local function scalar(value)
  if value == nil or value == check.UNSET then return "null" end
  if type(value) == "userdata" then return "null" end
  if math.type(value) == "float" then
    local short = ("%.15g"):format(value)
    if tonumber(short) ~= value then short = ("%.17g"):format(value) end
    return short:find("[%.eEn]") and short or short .. ".0"
  end
  if type(value) ~= "string" then return tostring(value) end
  local is_plain = value:find("^[%a/][%w _/%.%-]*$") and not value:find("%s$")
  local lower = value:lower()
  local is_word = lower == "null" or lower == "true" or lower == "false" or lower == "yes" or lower == "no"
    or lower == "on" or lower == "off" or lower == "y" or lower == "n"
  if is_plain and not is_word then return value end
  return require("qlua.core.json").encode(value)
end

-- Lists and free values in flow style: they have one origin and take one line.
local function flow(value)
  if type(value) ~= "table" or value == check.UNSET then return scalar(value) end
  local parts = {}
  if #value > 0 or (getmetatable(value) and next(value) == nil) then
    for i, item in ipairs(value) do parts[i] = flow(item) end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  for key, item in pairs(value) do parts[#parts + 1] = scalar(key) .. ": " .. flow(item) end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- In a dict whose elements may be null, false stands for null.
local function flow_with_nulls(dict)
  local out = {}
  for key, value in pairs(dict) do out[key] = value == false and check.UNSET or value end
  return flow(out)
end

local function pad(line)
  local is_there, width = pcall(function() return require("qlua.core.text").width(line) end)
  local columns = is_there and width or utf8.len(line) or #line
  return line .. (" "):rep(math.max(1, COMMENT_COLUMN - columns))
end

local function emit(out, indent, line, origin)
  out[#out + 1] = origin and pad(indent .. line) .. "# " .. origin or indent .. line
end

local function value_text(field, value)
  if field.type == "text" and type(value) == "table" and value ~= check.UNSET then
    if value.en == value.zh then return scalar(value.en) end
    return ("{ en: %s, zh: %s }"):format(scalar(value.en), scalar(value.zh))
  end
  if type(value) == "table" and next(value) == nil and value ~= check.UNSET then
    return field.type == "list" and "[]" or "{}"
  end
  if field.type == "dict" and field.of.null then return flow_with_nulls(value) end
  return flow(value)
end

local emit_fields

local function emit_field(out, indent, field, value, path, resolved, only_given)
  if (only_given or field.optional) and value == nil then return end
  if field.type == "map" then
    if only_given and next(value) == nil then return end
    emit(out, indent, field.key .. ":")
    return emit_fields(out, indent .. "  ", field.fields, value, path, resolved, only_given)
  end
  emit(out, indent, field.key .. ": " .. value_text(field, value), config.origin(resolved, path))
end

function emit_fields(out, indent, fields, values, path, resolved, only_given)
  for _, field in ipairs(fields) do
    emit_field(out, indent, field, values[field.key], path .. "." .. field.key, resolved, only_given)
  end
end

-- num_samples and limit say the same; one line is enough where one was made from the other.
local function without_copy(dataset, resolved)
  local path = "datasets." .. dataset.name .. "."
  if dataset.limit ~= dataset.num_samples
    or config.origin(resolved, path .. "limit") ~= config.origin(resolved, path .. "num_samples") then
    return dataset
  end
  local out = {}
  for key, value in pairs(dataset) do out[key] = value end
  out.limit = nil
  return out
end

-- The elements of a named list; the dash goes where the first key's indent was.
local function emit_items(out, list, fields, path, resolved)
  for _, item in ipairs(list) do
    local from = #out + 1
    emit_fields(out, "      ", fields, item, path .. "." .. item.name, resolved, true)
    out[from] = out[from]:gsub("^      ", "    - ", 1)
  end
end

local function emit_model(out, resolved)
  emit(out, "", "model:")
  emit(out, "  ", "base_name: " .. scalar(resolved.model.base_name), config.origin(resolved, "model.base_name"))
  emit(out, "  ", "variants:")
  local own = config.about(resolved).own
  local items = {}
  for i, variant in ipairs(resolved.model.variants) do items[i] = own[variant.name] end
  emit_items(out, items, schema.variant, "variants", resolved)
end

--- A resolved configuration as YAML with origins.
-- @tparam table resolved from `config.load`
-- @treturn string
function text.yaml(resolved)
  local out = {}
  emit_model(out, resolved)
  if #resolved.datasets == 0 then
    emit(out, "", "datasets: []", config.origin(resolved, "datasets"))
  else
    emit(out, "", "datasets:")
    local items = {}
    for i, dataset in ipairs(resolved.datasets) do items[i] = without_copy(dataset, resolved) end
    emit_items(out, items, schema.dataset, "datasets", resolved)
  end
  for _, section in ipairs(schema.root.fields) do
    if section.type == "string" then
      emit_field(out, "", section, resolved[section.key], section.key, resolved)
    elseif section.type == "map" and section.key ~= "model" then
      emit(out, "", section.key .. ":")
      emit_fields(out, "  ", section.fields, resolved[section.key], section.key, resolved)
    end
  end
  return table.concat(out, "\n") .. "\n"
end

-- Empty lists would read as empty objects: give them the mark of an array, by the schema.
local function marked(value, fields)
  local array = require("qlua.core.json").array
  local out = {}
  for key, item in pairs(value) do out[key] = item end
  for _, field in ipairs(fields) do
    local item = out[field.key]
    if field.type == "list" and item then out[field.key] = array(table.move(item, 1, #item, 1, {})) end
    if field.type == "map" and item then out[field.key] = marked(item, field.fields) end
  end
  return out
end

--- A resolved configuration ready for `json.encode`, lists marked as lists.
-- @tparam table resolved
-- @treturn table
function text.plain(resolved)
  local out = marked(resolved, schema.root.fields)
  local array = require("qlua.core.json").array
  local variants, datasets = array {}, array {}
  for i, variant in ipairs(resolved.model.variants) do variants[i] = marked(variant, schema.variant) end
  for i, dataset in ipairs(resolved.datasets) do datasets[i] = marked(dataset, schema.dataset) end
  out.model.variants, out.datasets = variants, datasets
  return out
end

return text
