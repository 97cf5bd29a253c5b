-- SPDX-License-Identifier: Apache-2.0
--- Runs busted inside qlua: `qlua lua tests/spec/run.lua [FILE…] [--filter PATTERN]`.
-- Busted's own modules are Debian's; they are the only thing that gets a package path here. The closing line is
-- "N passed, N failed, N skipped", and a skip prints why.

local files, filter = {}, nil
do
  local i = 1
  while arg[i] do
    if arg[i] == "--filter" then
      filter, i = arg[i + 1], i + 1
    else
      files[#files + 1] = arg[i]
    end
    i = i + 1
  end
end

package.path = "/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua;tests/spec/?.lua;tests/e2e/?.lua;tests/real/?.lua"
package.cpath = "/usr/lib/x86_64-linux-gnu/lua/5.4/?.so;/usr/lib/aarch64-linux-gnu/lua/5.4/?.so"
package.searchers[#package.searchers + 1] = function(name)
  local path = package.searchpath(name, package.path)
  return path and assert(loadfile(path)), path
end
package.searchers[#package.searchers + 1] = function(name)
  local path = package.searchpath(name, package.cpath)
  return path and package.loadlib(path, "luaopen_" .. name:gsub("%.", "_"))
end

local ok, new_busted = pcall(require, "busted.core")
if not ok then
  io.stderr:write("lua-busted is not installed: run tools/setup\n", new_busted, "\n")
  return 2
end

local busted = new_busted()
require "busted"(busted)
local passed, failed, skipped = 0, 0, 0

local function name_of(element)
  local parts = {}
  while element and element.descriptor ~= "suite" do
    if element.name and element.descriptor ~= "file" then
      table.insert(parts, 1, element.name)
    end
    element = busted.context.parent(element)
  end
  return table.concat(parts, " ")
end

local function failure(element, message, trace)
  failed = failed + 1
  local where = element.trace and element.trace.short_src and (element.trace.short_src .. ":" .. (element.trace.currentline or 0)) or ""
  io.stdout:write("FAILED ", where, " ", name_of(element), "\n")
  io.stdout:write("  ", tostring(message):gsub("\n", "\n  "), "\n")
  if trace and trace.traceback and os.getenv "QLUA_DEBUG" then
    io.stdout:write("  ", trace.traceback:gsub("\n", "\n  "), "\n")
  end
end

busted.subscribe({ "test", "end" }, function(element, _, status, trace)
  if status == "success" then
    passed = passed + 1
  elseif status == "pending" then
    skipped = skipped + 1
    local why = type(trace) == "table" and trace.message or trace
    io.stdout:write("skipped ", name_of(element), why and (": " .. tostring(why)) or "", "\n")
  end
end)
busted.subscribe({ "failure", "it" }, function(element, _, message, trace) failure(element, message, trace) end)
busted.subscribe({ "error", "it" }, function(element, _, message, trace) failure(element, message, trace) end)
-- A block whose setup fails has its tests left out, and only this says so: `setup` is called lazy_setup inside busted.
for _, descriptor in ipairs { "file", "describe", "lazy_setup", "lazy_teardown", "strict_setup", "strict_teardown", "before_each",
  "after_each" } do
  busted.subscribe({ "error", descriptor }, function(element, _, message, trace) failure(element, message, trace) end)
  busted.subscribe({ "failure", descriptor }, function(element, _, message, trace) failure(element, message, trace) end)
end

if #files == 0 then
  local file = require "qlua.core.file"
  for _, name in ipairs(assert(file.list "tests/spec")) do
    if name:match "_spec%.lua$" then
      files[#files + 1] = "tests/spec/" .. name
    end
  end
end

for _, path in ipairs(files) do
  local chunk, message = loadfile(path)
  if not chunk then
    failed = failed + 1
    io.stdout:write("FAILED ", path, ": ", message, "\n")
  else
    -- busted wants a file to be a callable that knows how to shorten its own tracebacks
    busted.executors.file(path, setmetatable({
      getTrace = function(_, info) return info end,
      rewriteMessage = false,
    }, { __call = chunk }))
  end
end
if filter then
  busted.subscribe({ "test", "start" }, function(element)
    return nil, name_of(element):find(filter) ~= nil
  end, { predicate = function() return true end, priority = 1 })
end

local execute = require "busted.execute"(busted)
execute(1, { seed = 1 })
io.stdout:write(("%d passed, %d failed, %d skipped\n"):format(passed, failed, skipped))
return failed == 0 and passed > 0 and 0 or 1
