-- SPDX-License-Identifier: Apache-2.0
--- Sandbox: where dataset, scorer and layout scripts run.
-- They see plain Lua without io, os, load, coroutine and debug; libraries are read-only; `require` gives "qlua" (a frozen
-- part of it) and files of the script's own folder, which run in the same sandbox. Every call into a script, the
-- loading included, has a memory and an instruction limit. Metatables are a script's own: it reads and sets no other,
-- none with a finalizer (those run when nobody counts), and what it returns has none that runs code, since the
-- runtime reads it outside the limits. What is not stopped: one library call that takes long in C, such as a
-- pattern that backtracks.

local file = require "qlua.core.file"
local guard = require "qlua.core.guard"
local script = require "qlua.core.script"

local sandbox = {}

--- Limits of one call: memory the call may add, and Lua instructions.
sandbox.limits = { memory_bytes = 256 << 20, instructions = 200 * 1000 * 1000 }

local function frozen(what, fields)
  return setmetatable({}, {
    __index = fields,
    __newindex = function(_, key) error(("%s is read-only (assigning field '%s')"):format(what, tostring(key)), 2) end,
    __pairs = function(self) return function(_, key) return next(fields, key) end, self, nil end,
    __metatable = false,
  })
end

local function copy(fields, without)
  local result = {}
  for key, value in pairs(fields) do
    if not without or not without[key] then result[key] = value end
  end
  return result
end

local function no_random()
  error("math.random is not available: use q.random(seed, sample.id), so that results do not depend on the order of calls", 2)
end

local function no_dump()
  error("string.dump is not available", 2)
end

-- Strings of all scripts share one metatable; its __index must not become a way to change `string` for others.
debug.getmetatable("").__metatable = false

-- Loops of C that no instruction hook sees must be bounded by what is really there.
local function move(from, first, last, at, to)
  if math.type(first) == "integer" and math.type(last) == "integer" and last - first > 1 << 24 then
    error(("table.move: want at most %d elements"):format(1 << 24), 2)
  end
  return table.move(from, first, last, at, to)
end

local function without_length(name)
  local fn = table[name]
  return function(list, ...)
    local meta = type(list) == "table" and debug.getmetatable(list)
    if meta and rawget(meta, "__len") then
      error(("table.%s: want a table without __len"):format(name), 2)
    end
    return fn(list, ...)
  end
end

local safe_table = { move = move, insert = without_length "insert", remove = without_length "remove",
  sort = without_length "sort", concat = without_length "concat", pack = table.pack, unpack = without_length "unpack" }

local own_metatables = setmetatable({}, { __mode = "k" })

local function safe_getmetatable(value)
  local meta = getmetatable(value)
  if type(meta) ~= "table" or own_metatables[meta] then return meta end
  return false
end

local function safe_setmetatable(value, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
    error("setmetatable: __gc is not available", 2)
  end
  local old = debug.getmetatable(value)
  if old and not own_metatables[old] then error("setmetatable: this metatable is not the script's own", 2) end
  setmetatable(value, meta)
  if meta then own_metatables[meta] = true end
  return value
end

-- What leaves a script is data: reading it must not run the script's code outside of the limits.
local function check_data(value, seen)
  if type(value) ~= "table" or seen[value] then return end
  seen[value] = true
  local meta = debug.getmetatable(value)
  if meta and own_metatables[meta] then
    for event, handler in next, meta do
      if type(handler) == "function" then
        error({ kind = "script", text = ("a table with the metamethod %s cannot leave the script"):format(tostring(event)) }, 0)
      end
      if event == "__index" then check_data(handler, seen) end
    end
  end
  for _, inner in next, value do
    if type(inner) == "table" then check_data(inner, seen) end
  end
end

local function checked(...)
  for i = 1, select("#", ...) do check_data((select(i, ...)), {}) end
  return ...
end

local libraries = {
  string = frozen("string", setmetatable({ dump = no_dump }, { __index = string })),
  table = frozen("table", safe_table),
  math = frozen("math", setmetatable({ random = no_random, randomseed = no_random }, { __index = math })),
  utf8 = frozen("utf8", utf8),
}

local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, handler((...))
end

-- A real message handler runs where the error was raised; if that was the instruction hook, nothing would stop it.
local function safe_xpcall(fn, handler, ...)
  return handled(handler, pcall(fn, ...))
end

local builtins = {
  assert = assert, error = error, getmetatable = safe_getmetatable, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall,
  rawequal = rawequal, rawlen = rawlen, select = select, setmetatable = safe_setmetatable, tonumber = tonumber,
  tostring = tostring, type = type, xpcall = safe_xpcall, _VERSION = _VERSION,
}

local absent = { io = true, os = true, load = true, loadstring = true, loadfile = true, dofile = true, debug = true,
  coroutine = true, collectgarbage = true, package = true, rawget = true, rawset = true, print = true }

local public_parts = { "text", "number", "extract", "regex", "random", "json", "prompt" }
local constructors = { "dataset", "scorer", "report" }

local function make_public_q()
  local q, loaded = require "qlua", {}
  for _, name in ipairs(constructors) do loaded[name] = q[name] end
  for _, name in ipairs(public_parts) do public_parts[name] = true end
  return setmetatable({}, {
    __index = function(_, name)
      if loaded[name] == nil and public_parts[name] then
        local value = q[name]
        loaded[name] = type(value) == "table" and frozen("q." .. name, value) or value
      end
      return loaded[name]
    end,
    __newindex = function(_, key) error(("q is read-only (assigning field '%s')"):format(tostring(key)), 2) end,
    __metatable = false,
  })
end

local public_q

local function make_environment(dir)
  local env = copy(builtins)
  for name, library in pairs(libraries) do env[name] = library end
  env._G = env
  local loaded = {}
  env.require = function(name)
    if name == "qlua" then
      public_q = public_q or make_public_q()
      return public_q
    end
    if type(name) ~= "string" or not name:match "^[%w_][%w_%.%-]*$" or name:match "^qlua%." or name:find("..", 1, true) then
      error(("require '%s': a script may require \"qlua\" and files of its own folder"):format(tostring(name)), 2)
    end
    if loaded[name] then return loaded[name] end
    if loaded[name] == false then error(("require '%s': the files require each other"):format(name), 2) end
    local path = dir and (dir .. "/" .. name:gsub("%.", "/") .. ".lua")
    local source = path and (file.read(path) or script.embedded(path))
    if not source then
      error(("require '%s': no file %s"):format(name, path or "(the script has no folder)"), 2)
    end
    local chunk, err = guard.load(source, "@" .. path, env)
    if not chunk then error(err.text, 0) end
    loaded[name] = false
    local value = chunk(name)
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
  return setmetatable(env, {
    __index = function(_, name)
      if absent[name] then
        error(("'%s' is not available to dataset, scorer and layout scripts"):format(name), 2)
      end
      error(("global '%s' is not defined"):format(tostring(name)), 2)
    end,
    __newindex = function(self, name, value)
      if type(value) == "function" then
        rawset(self, name, value) -- a helper function; data as globals would outlive its sample
        return
      end
      error(("assigning global '%s' (want a local)"):format(tostring(name)), 2)
    end,
    __metatable = false,
  })
end

--- Run a script's source and return what it returns.
-- @tparam string source
-- @tparam string chunk_name path shown in errors
-- @tparam ?string dir its folder, for require
-- @return value, or nil and err
function sandbox.load(source, chunk_name, dir)
  local chunk, err = guard.load(source, "@" .. chunk_name, make_environment(dir))
  if not chunk then return nil, err end
  local ok, value = guard.call(sandbox.limits, chunk)
  if not ok then
    value.text = value.text:find(chunk_name, 1, true) and value.text or (chunk_name .. ": " .. value.text)
    return nil, value
  end
  local is_data, problem = pcall(check_data, value, {})
  if not is_data then
    problem.text = chunk_name .. ": " .. problem.text
    return nil, problem
  end
  return value
end

--- Raises unless a script's value is plain data all through.
function sandbox.check_data(value) check_data(value, {}) end

local function results(chunk_name, ok, ...)
  if ok then return checked(...) end
  local err = ...
  if not err.text:find(chunk_name, 1, true) then err.text = chunk_name .. ": " .. err.text end
  error(err, 0)
end

--- A function of a script, guarded: it raises an err table of kind script or limit that names the file.
function sandbox.wrap(fn, chunk_name)
  return function(...)
    return results(chunk_name, guard.call(sandbox.limits, fn, ...))
  end
end

return sandbox
