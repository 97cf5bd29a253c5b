-- SPDX-License-Identifier: Apache-2.0
--- Configuration trees: YAML's nodes with marks, and the same kind of node made of Lua values.
-- Every layer (file, suite, command line) is a tree of nodes; layers are laid over each other as trees and the
-- result is validated once, so that each value still knows where it came from. A node is
-- `{ kind = "map"|"list"|"scalar", line, column, value | items | entries }` as `qlua.core.yaml` gives it, plus
-- `source = { name, marked }`: `marked` sources have lines (files), others only a name ("--set", "suite full").

local nearest = require "qlua.nearest"

local tree = {}

--- Stamp a tree with its source.
-- @tparam table node
-- @tparam table source `{ name = string, marked = boolean }`
-- @treturn table the node
function tree.stamp(node, source)
  node.source = source
  for _, item in ipairs(node.items or {}) do tree.stamp(item, source) end
  for _, entry in ipairs(node.entries or {}) do tree.stamp(entry.node, source) end
  return node
end

--- Node of a plain Lua value: a sequence becomes a list, another table a map with sorted keys.
-- @param value string, number, boolean, nil or a table of such
-- @tparam table source
-- @treturn table node
function tree.from_lua(value, source)
  if type(value) ~= "table" then return { kind = "scalar", value = value, source = source } end
  if #value > 0 then
    local node = { kind = "list", items = {}, source = source }
    for i, item in ipairs(value) do node.items[i] = tree.from_lua(item, source) end
    return node
  end
  local node = { kind = "map", entries = {}, source = source }
  for key, item in pairs(value) do
    node.entries[#node.entries + 1] = { key = tostring(key), node = tree.from_lua(item, source) }
  end
  table.sort(node.entries, function(a, b) return a.key < b.key end)
  return node
end

--- The value of a scalar, whether a parser says nil or a null object for YAML's null.
-- @tparam table node a scalar
-- @return string, number, boolean or nil
function tree.value(node)
  local value = node.value
  if type(value) == "userdata" or type(value) == "table" then return nil end
  return value
end

--- An empty node (`key:` with nothing behind it) stands for an empty map or list.
function tree.is_null(node)
  return node.kind == "scalar" and tree.value(node) == nil
end

--- Where a value comes from, for people: `configs/a.yaml:12`, `--set`, `suite full`.
function tree.origin(node)
  if node.source.marked then return ("%s:%d"):format(node.source.name, node.line) end
  return node.source.name
end

--- The same as the start of an error: `configs/a.yaml:12:9: `, `--set `.
-- @tparam table source
-- @tparam integer line
-- @tparam integer column
function tree.mark(source, line, column)
  if source.marked and line then return ("%s:%d:%d: "):format(source.name, line, column) end
  return source.name .. (source.prefix or ": ")
end

--- The entry of a map by its key.
-- @treturn ?table `{ key, node, key_line, key_column }`
function tree.entry(map, key)
  for _, entry in ipairs(map.entries or {}) do
    if entry.key == key then return entry end
  end
end

--- The child of a map by its key.
function tree.child(map, key)
  local entry = tree.entry(map, key)
  return entry and entry.node
end

--- Put a child into a map, replacing what was there.
function tree.put(map, key, node)
  local entry = tree.entry(map, key)
  if entry then
    entry.node, entry.key_line, entry.key_column = node, node.line, node.column
  else
    map.entries[#map.entries + 1] = { key = key, node = node, key_line = node.line, key_column = node.column }
  end
end

--- Turn a null or missing child into an empty map or list, and return it.
function tree.ensure(map, key, kind, source)
  local node = tree.child(map, key)
  if not node or tree.is_null(node) then
    node = { kind = kind, source = source, [kind == "map" and "entries" or "items"] = {} }
    tree.put(map, key, node)
  end
  return node
end

--- The `name` of an element of a named list, if it has a readable one.
function tree.name_of(item)
  local node = item.kind == "map" and tree.child(item, "name")
  local value = node and node.kind == "scalar" and tree.value(node)
  return value ~= nil and value ~= false and tostring(value) or nil
end

--- In a named list a bare name stands for `{ name: … }`.
function tree.spell_out(list)
  for i, item in ipairs(list and list.items or {}) do
    if item.kind == "scalar" and type(tree.value(item)) == "string" then
      local map = { kind = "map", entries = {}, source = item.source, line = item.line, column = item.column }
      tree.put(map, "name", item)
      list.items[i] = map
    end
  end
end

--- The names of all elements of a named list.
function tree.names(list)
  local names = {}
  for _, item in ipairs(list and list.items or {}) do names[#names + 1] = tree.name_of(item) end
  return names
end

--- Lay one map over another: maps merge, everything else is replaced. `under` is changed.
function tree.overlay(under, over)
  for _, entry in ipairs(over.entries) do
    local old = tree.child(under, entry.key)
    if old and old.kind == "map" and entry.node.kind == "map" then
      tree.overlay(old, entry.node)
    else
      tree.put(under, entry.key, entry.node)
    end
  end
  return under
end

-- Names may contain dots (q4.0, ./mine.lua), so the longest run of segments that is a name wins.
local function step_into_list(list, segments, at)
  for stop = #segments, at, -1 do
    local name = table.concat(segments, ".", at, stop)
    for _, item in ipairs(list.items) do
      if tree.name_of(item) == name then return item, stop + 1 end
    end
  end
end

--- Set a value by its dotted path; elements of named lists are addressed by name.
-- @tparam table root
-- @tparam string path `server.port`, `variants.fp8.server.port`
-- @tparam table node
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string what is wrong
-- @treturn[2] ?string hint
function tree.set(root, path, node)
  local segments = {}
  for segment in (path .. "."):gmatch("(.-)%.") do segments[#segments + 1] = segment end
  if segments[1] == "variants" then table.insert(segments, 1, "model") end
  local at, here = 1, root
  while at < #segments do
    local child = tree.child(here, segments[at])
    at = at + 1
    if child and child.kind == "list" then
      local item, after = step_into_list(child, segments, at)
      if not item then
        return nil, ("nothing is named '%s'"):format(segments[at]), nearest.hint(segments[at], tree.names(child))
      end
      child, at = item, after
      if at > #segments then return nil, "want the path of a value, not of all its fields" end
    elseif not child or child.kind ~= "map" then
      child = { kind = "map", entries = {}, source = node.source, line = node.line, column = node.column }
      tree.put(here, segments[at - 1], child)
    end
    here = child
  end
  tree.put(here, segments[at], node)
  return true
end

return tree
