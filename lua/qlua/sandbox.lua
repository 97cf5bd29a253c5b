-- SPDX-License-Identifier: Apache-2.0
--- Sandbox: where dataset, scorer and layout scripts run.
-- They see plain Lua without io, os, load, coroutine and debug; libraries are read-only; `require` gives "qlua" (a frozen
-- part of it) and files of the script's own folder, which run in the same sandbox. Every call into a script, the
-- loading included, has a memory and an instruction limit. What is not stopped: one library call that takes
-- long in C, such as a pattern that backtracks.

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
    __pairs = function() return next, fields, nil end,
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

local libraries = {
  string = frozen("string", setmetatable({ dump = no_dump }, { __index = string })),
  table = frozen("table", table),
  math = frozen("math", setmetatable({ random = no_random, randomseed = no_random }, { __index = math })),
  utf8 = frozen("utf8", utf8),
}

local builtins = {
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall,
  rawequal = rawequal, rawlen = rawlen, select = select, setmetatable = setmetatable, tonumber = tonumber,
  tostring = tostring, type = type, xpcall = xpcall, _VERSION = _VERSION,
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
    if loaded[name] ~= nil then return loaded[name] end
    local path = dir and (dir .. "/" .. name:gsub("%.", "/") .. ".lua")
    local source = path and (file.read(path) or script.embedded(path))
    if not source then
      error(("require '%s': no file %s"):format(name, path or "(the script has no folder)"), 2)
    end
    local chunk, err = guard.load(source, "@" .. path, env)
    if not chunk then error(err.text, 0) end
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
  return value
end

local function results(chunk_name, ok, ...)
  if ok then return ... end
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
