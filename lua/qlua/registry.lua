-- SPDX-License-Identifier: Apache-2.0
--- Registry: finds scripts by name, loads and checks them.
-- Order of places: `--lua DIR`, the suite's own folder, $QLUA_PATH, the share folder beside the binary, the source tree (a
-- debug build), embedded. A name with a slash or ending in .lua is a path. Dots in a name are folders:
-- `lm_eval.gsm8k_strict` is lm_eval/gsm8k_strict.lua.

local contracts = require "qlua.contracts"
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local kinds = require "qlua.kinds"
local nearest = require "qlua.nearest"
local sandbox = require "qlua.sandbox"
local script = require "qlua.core.script"
local sys = require "qlua.core.sys"

local registry = {}

local folder_of = { dataset = "datasets", scorer = "scorers", server = "servers", report = "reports", suite = "suites" }
local trusted = { server = true, suite = true }
local settings = {}
local cache = {}

--- Where to look besides the installed places.
-- @tparam table options lua_dir: `--lua DIR`; suite_dir: the folder of the suite
function registry.configure(options)
  for key, value in pairs(options) do settings[key] = value end
  cache = {}
end

local function share_dir()
  local exe = sys.exe()
  local dir = exe and exe:match "^(.*)/[^/]*/[^/]*$"
  dir = dir and dir .. "/share/qlua"
  return dir and file.stat(dir) and dir or nil
end

--- Folders that may hold scripts of a kind, in order: `{ {dir, origin}… }`; the embedded ones are not folders.
local function places(kind)
  local folder, list = folder_of[kind], {}
  local function add(dir, origin)
    list[#list + 1] = { dir = dir, origin = origin }
  end
  local function add_user(dir, origin)
    add(dir .. "/" .. folder, origin)
    add(dir, origin)
  end
  if settings.lua_dir then add_user(settings.lua_dir, "--lua") end
  if settings.suite_dir then add_user(settings.suite_dir, "suite folder") end
  for dir in (sys.env "QLUA_PATH" or ""):gmatch "[^:]+" do add_user(dir, "QLUA_PATH") end
  local inner = kind == "suite" and "suites" or "lua/" .. folder
  local share = share_dir()
  if share then add(share .. "/" .. inner, "installed") end
  local root = script.source_root()
  if root then add(root .. "/" .. inner, "source tree") end
  return list, inner
end

local function is_path(name)
  return name:find("/", 1, true) ~= nil or name:match "%.lua$" ~= nil
end

local function find(kind, name)
  if is_path(name) then
    local source, err = file.read(name)
    if not source then return nil, err end
    return { source = source, path = name, origin = "path" }
  end
  if not name:match "^[%w_%-%.]+$" then
    return nil, { kind = "script", text = ("%s name '%s': want letters, digits, '_', '-' and '.'"):format(kind, name) }
  end
  local relative = name:gsub("%.", "/") .. ".lua"
  local list, inner = places(kind)
  for _, place in ipairs(list) do
    local path = place.dir .. "/" .. relative
    local info = file.stat(path)
    if info and info.kind == "file" then
      local source, err = file.read(path)
      if not source then return nil, err end
      return { source = source, path = path, origin = place.origin }
    end
  end
  local path = inner .. "/" .. relative
  local source = script.embedded(path)
  if source then return { source = source, path = path, origin = "embedded" } end
end

local function kind_said(source) return source and source:match "return%s+q%.(%l+)%s*[%({]" end

--- Scripts of a kind that can be found by name: `{ {name, path, origin}… }`, sorted, the first place winning. In folders
-- inside a kind's own there may also be files that scripts share.
function registry.list(kind)
  local seen, result = {}, {}
  local function add(name, path, origin)
    if not seen[name] then
      seen[name] = true
      result[#result + 1] = { name = name, path = path, origin = origin }
    end
  end
  local list, inner = places(kind)
  local function scan(dir, prefix, origin, is_own_folder)
    for _, entry in ipairs(file.list(dir) or {}) do
      local path = dir .. "/" .. entry
      local info = file.stat(path)
      if info and info.kind == "dir" and is_own_folder then
        scan(path, prefix .. entry .. ".", origin, true)
      elseif entry:match "%.lua$" and (is_own_folder and prefix == "" or registry.kind_of(path) == kind) then
        add(prefix .. entry:gsub("%.lua$", ""), path, origin)
      end
    end
  end
  for _, place in ipairs(list) do
    -- A user's folder may hold scripts of all kinds side by side; there the file says what it is.
    scan(place.dir, "", place.origin, place.dir:match "([^/]+)$" == folder_of[kind])
  end
  for _, path in ipairs(script.list(inner .. "/")) do
    local relative = path:sub(#inner + 2):match "^(.*)%.lua$"
    if relative and (not relative:find("/", 1, true) or kind_said(script.embedded(path)) == kind) then
      add(relative:gsub("/", "."), path, "embedded")
    end
  end
  table.sort(result, function(a, b) return a.name < b.name end)
  return result
end

--- What kind a file says it is, by its text alone: `q.dataset`, `q.scorer`, …
function registry.kind_of(path) return kind_said(file.read(path)) end

local function unknown(kind, name)
  local names = {}
  for _, entry in ipairs(registry.list(kind)) do names[#names + 1] = entry.name end
  local near = nearest.find(name, names)
  return nil, {
    kind = "script",
    text = ("no %s named '%s'"):format(kind, name),
    hint = near and ("did you mean '%s'?"):format(near) or ("known: " .. table.concat(names, ", ")),
  }
end

local function load_trusted(source, path)
  local env = setmetatable({ coroutine = require("qlua.coroutines").library() }, { __index = _G })
  local chunk, message = load(source, "@" .. path, "t", env)
  if not chunk then return nil, { kind = "script", text = message } end
  local ok, value = xpcall(chunk, function(text) return type(text) == "table" and text or debug.traceback(text, 2) end)
  if not ok then
    return nil, type(value) == "table" and value or { kind = "script", text = (tostring(value):match "^[^\n]*") }
  end
  return value
end

-- Every function that is a field of the script is called through the guard; converse is resumed under it.
local function wrap_functions(fields, path)
  local wrapped = {}
  for key, value in pairs(fields) do
    wrapped[key] = type(value) == "function" and key ~= "converse" and sandbox.wrap(value, path) or value
  end
  return wrapped
end

--- Load and check one script.
-- @tparam string kind dataset, scorer, server, report or suite
-- @tparam string name a name, or a path
-- @treturn ?table the script's fields and `path`, `origin`, `sha256`; or nil and err
function registry.load(kind, name)
  local key = kind .. "\0" .. name
  if cache[key] then return cache[key] end
  local found, err = find(kind, name)
  if not found then
    if err then return nil, err end
    return unknown(kind, name)
  end
  local value
  if trusted[kind] then
    value, err = load_trusted(found.source, found.path)
  else
    value, err = sandbox.load(found.source, found.path, found.path:match "^(.*)/[^/]*$" or ".")
  end
  if value == nil then
    return nil, err or { kind = "script", text = ("%s: returns nothing (want q.%s{…})"):format(found.path, kind) }
  end
  local ok
  ok, err = contracts.check(kind, value, found.path, kinds.of(value))
  if not ok then return nil, err end
  local loaded = trusted[kind] and value or wrap_functions(value, found.path)
  loaded.kind, loaded.path, loaded.origin = kind, found.path, found.origin
  loaded.sha256 = hash.sha256(found.source)
  cache[key] = loaded
  return loaded
end

return registry
