-- SPDX-License-Identifier: Apache-2.0
--- Validation of a configuration tree against the schema's descriptors.
-- One pass gives plain Lua values, an origin for each of them, and every error found: a person fixing a file
-- wants all of its mistakes at once. What is null on purpose in a partial map becomes `check.UNSET`, since
-- there it must still override the value below.

local nearest = require "qlua.nearest"
local tree = require "qlua.config_tree"

local check = {}

--- Stands for an explicit null in a map that overrides another one.
check.UNSET = setmetatable({}, { __name = "unset" })

local KIND_WORD = { map = "a map", list = "a list" }

local function shown(node)
  if node.kind ~= "scalar" then return KIND_WORD[node.kind] end
  local value = tree.value(node)
  if value == nil then return "null" end
  if type(value) ~= "string" then return tostring(value) end
  if #value > 60 then value = value:sub(1, 57) .. "..." end
  return '"' .. value .. '"'
end

local function range_words(field, noun)
  if field.above and field.max then return ("%s above %s and at most %s"):format(noun, field.above, field.max) end
  if field.above then return ("%s above %s"):format(noun, field.above) end
  if field.min and field.max then return ("%s from %s to %s"):format(noun, field.min, field.max) end
  if field.min then return ("%s of at least %s"):format(noun, field.min) end
  return noun
end

--- What a descriptor wants, in words: `an integer from 1 to 65535`.
-- That null is right as well is left out: nobody who got a value wrong was after it.
-- @tparam table field descriptor
-- @treturn string
function check.wanted(field)
  local kind = field.type
  local words
  if field.allowed then words = "one of " .. table.concat(field.allowed, ", ")
  elseif field.wanted then words = field.wanted
  elseif kind == "integer" then words = range_words(field, "an integer")
  elseif kind == "number" then words = range_words(field, "a number")
  elseif kind == "boolean" then words = "true or false"
  elseif kind == "share" then words = "true, false or a share from 0 to 1"
  elseif kind == "text" then words = 'a string such as "English / 中文", or a map with en and zh'
  elseif kind == "map" or kind == "dict" then words = "a map"
  elseif kind == "list" then words = "a list"
  else words = "a string" end
  return words
end

local function complain(ctx, node, path, text, hint)
  local errors = ctx.errors
  if path == "" then path = node.source.typed or "" end
  errors[#errors + 1] = { kind = node.source.marked and "config" or "usage", hint = hint,
    text = tree.mark(node.source, node.line, node.column) .. (path == "" and "" or path .. ": ") .. text }
end

local function complain_type(ctx, node, field, path, hint)
  complain(ctx, node, path, ("want %s, got %s"):format(check.wanted(field), shown(node)), hint)
end

local function has_cjk(text) return text:find("[\xE3-\xE9][\x80-\xBF][\x80-\xBF]") ~= nil end

-- Both sides of every " / " in a text.
local function slashes(text)
  local sides, from = {}, 1
  while true do
    local first, last = text:find("%s+/%s+", from)
    if not first then return sides end
    sides[#sides + 1] = { text:sub(1, first - 1), text:sub(last + 1) }
    from = last + 1
  end
end

--- Split "English / 中文" into its two languages; a text in one language serves for both.
-- The slash that divides is the one beside which Chinese begins or ends: "FP16/BF16" has no spaces and never divides,
-- and either side may hold slashes of its own.
-- @tparam string text
-- @treturn table `{ en, zh }`
function check.split_languages(text)
  local sides = slashes(text)
  for i = #sides, 1, -1 do
    local left, right = sides[i][1], sides[i][2]
    if has_cjk(right) and not has_cjk(left) then return { en = left, zh = right } end
  end
  for _, side in ipairs(sides) do
    if has_cjk(side[1]) and not has_cjk(side[2]) then return { en = side[2], zh = side[1] } end
  end
  return { en = text, zh = text }
end

local function in_range(field, value)
  if value ~= value or value == math.huge or value == -math.huge then return false end
  return not (field.min and value < field.min or field.max and value > field.max
    or field.above and value <= field.above)
end

-- A number where a string is wanted is taken as it was written (extra_args: [--seed, 7]).
local function string_of(node)
  local value = tree.value(node)
  if type(value) == "string" then return value end
  if type(value) == "number" then return node.text or node.raw or tostring(value) end
end

local function check_string(ctx, node, field, path)
  local value = string_of(node)
  if value == nil then return complain_type(ctx, node, field, path) end
  if field.allowed then
    for _, word in ipairs(field.allowed) do
      if value == word then return value end
    end
    local found = nearest.find(value, field.allowed)
    return complain_type(ctx, node, field, path, found and ("did you mean %s?"):format(found))
  end
  if field.pattern and not value:find(field.pattern) then return complain_type(ctx, node, field, path) end
  return value
end

local scalar = { string = check_string }

function scalar.integer(ctx, node, field, path)
  local value = tree.value(node)
  if math.type(value) == "integer" and in_range(field, value) then return value end
  complain_type(ctx, node, field, path)
end

function scalar.number(ctx, node, field, path)
  local value = tree.value(node)
  if type(value) == "number" and in_range(field, value) then return value end
  complain_type(ctx, node, field, path)
end

function scalar.boolean(ctx, node, field, path)
  local value = tree.value(node)
  if type(value) == "boolean" then return value end
  complain_type(ctx, node, field, path)
end

function scalar.share(ctx, node, field, path)
  local value = tree.value(node)
  if type(value) == "boolean" then return value and 1 or 0 end
  if type(value) == "number" and value >= 0 and value <= 1 then return value end
  complain_type(ctx, node, field, path)
end

function scalar.text(ctx, node, field, path)
  local value = string_of(node)
  if value then return check.split_languages(value) end
  complain_type(ctx, node, field, path)
end

-- Free values are passed on to scripts and request bodies, where null is a value of its own.
local function plain(node)
  if node.kind == "scalar" then
    local value = tree.value(node)
    if value == nil then return require("qlua.core.json").null end
    return value
  end
  local out = {}
  for i, item in ipairs(node.items or {}) do out[i] = plain(item) end
  for _, entry in ipairs(node.entries or {}) do out[entry.key] = plain(entry.node) end
  if node.kind == "list" and #out == 0 then return require("qlua.core.json").array(out) end
  return out
end

local function join(path, key) return path == "" and key or path .. "." .. key end

local function field_names(fields)
  local names = {}
  for i, field in ipairs(fields) do names[i] = field.key end
  return names
end

local function copy_default(value)
  if type(value) ~= "table" then return value end
  return table.move(value, 1, #value, 1, {})
end

-- An empty collection in the place of a node.
local function empty_like(node, kind, children)
  return { kind = kind, [children] = {}, source = node.source, line = node.line, column = node.column }
end

-- What a map without a child gets: sections and collections are never nil, so that readers need no guards.
local function fill_missing(ctx, map, field, path, out, partial)
  if field.required then
    return complain(ctx, map, path, ("missing (want %s)"):format(check.wanted(field)))
  end
  if partial or field.optional then return end
  if field.type == "map" then
    out[field.key] = check.node(ctx, empty_like(map, "map", "entries"), field, path)
  elseif field.type == "dict" or (field.type == "list" and not field.null) then
    out[field.key] = copy_default(field.default) or {}
  else
    out[field.key] = field.default
  end
  ctx.origins[path] = "default"
end

local function key_mark(entry)
  return { source = entry.node.source, line = entry.key_line or entry.node.line,
    column = entry.key_column or entry.node.column }
end

local function check_closed_keys(ctx, node, field, path)
  local known = {}
  for _, key in ipairs(field.keys) do known[key] = true end
  for _, entry in ipairs(node.entries) do
    if not known[entry.key] then
      complain(ctx, key_mark(entry), path, ("unknown key '%s'"):format(entry.key), nearest.hint(entry.key, field.keys))
    end
  end
end

local function check_known_keys(ctx, node, field, path)
  check_closed_keys(ctx, node, { keys = field_names(field.fields) }, path)
end

local function check_map(ctx, node, field, path)
  if tree.is_null(node) then node = empty_like(node, "map", "entries") end
  if node.kind ~= "map" then return complain_type(ctx, node, field, path) end
  check_known_keys(ctx, node, field, path)
  local out = {}
  for _, child_field in ipairs(field.fields) do
    local child = tree.child(node, child_field.key)
    -- `model.variants.fp8` is called `variants.fp8` everywhere, as on the command line
    local child_path = join(path, child_field.key)
    if child_path == "model.variants" then child_path = "variants" end
    if child then
      local value = check.node(ctx, child, child_field, child_path)
      if value == nil and field.partial then value = check.UNSET end
      out[child_field.key] = value
    else
      fill_missing(ctx, node, child_field, child_path, out, field.partial)
    end
  end
  return out
end

local function check_dict(ctx, node, field, path)
  if tree.is_null(node) then return {} end
  if node.kind ~= "map" then return complain_type(ctx, node, field, path) end
  if field.keys then check_closed_keys(ctx, node, field, path) end
  local out = {}
  for _, entry in ipairs(node.entries) do
    local value = check.node(ctx, entry.node, field.of, join(path, entry.key))
    -- an environment variable that is null shall not exist in the child: false says so
    if value == nil and field.of.null then value = false end
    out[entry.key] = value
  end
  return out
end

local function check_unique(ctx, item, name, seen, field, path)
  if seen[name] then
    local at = tree.child(item, "name")
    local first = seen[name].line and (" (the first at line %d)"):format(seen[name].line) or ""
    complain(ctx, at, path, ("two %ss named '%s'%s"):format(field.named, name, first))
  else
    seen[name] = tree.child(item, "name")
  end
end

local function check_list(ctx, node, field, path)
  -- in a suite's Lua an empty table may be either
  local is_either = node.kind == "map" and #node.entries == 0 and not node.source.marked
  if tree.is_null(node) or is_either then node = empty_like(node, "list", "items") end
  if node.kind ~= "list" then return complain_type(ctx, node, field, path) end
  if field.bare_names then tree.spell_out(node) end
  if #node.items < (field.min_items or 0) then
    return complain(ctx, node, path, ("want at least %d %s"):format(field.min_items, field.named or "item"))
  end
  local out, seen = {}, {}
  for i, item in ipairs(node.items) do
    local name = field.named and tree.name_of(item)
    if name then check_unique(ctx, item, name, seen, field, path) end
    out[#out + 1] = check.node(ctx, item, field.of, name and join(path, name) or ("%s[%d]"):format(path, i))
  end
  return out
end

local collections = { map = check_map, dict = check_dict, list = check_list }

--- Validate one node.
-- @tparam table ctx `{ errors = {}, origins = {} }`, filled
-- @tparam table node
-- @tparam table field descriptor
-- @tparam string path dotted path of the node
-- @return the plain value, or nil for null and after an error
function check.node(ctx, node, field, path)
  ctx.origins[path] = tree.origin(node)
  if field.type == "any" then return plain(node) end
  if (field.null or field.optional) and tree.is_null(node) then return nil end
  if field.type == "text" and node.kind == "map" then
    local pair = check_map(ctx, node, { type = "map", fields = {
      { key = "en", type = "string", required = true }, { key = "zh", type = "string", required = true } } }, path)
    return pair
  end
  if collections[field.type] then return collections[field.type](ctx, node, field, path) end
  if node.kind ~= "scalar" then return complain_type(ctx, node, field, path) end
  return scalar[field.type](ctx, node, field, path)
end

return check
