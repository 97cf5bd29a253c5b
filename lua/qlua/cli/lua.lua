-- SPDX-License-Identifier: Apache-2.0
--- qlua lua: run any script with the full bindings, as a task: what waits in it parks, and others go on.
-- No sandbox: this is the user's own program, as with `lua5.4 FILE`. Its folder is where it may `require` from.

local function source_of(path)
  if path == "-" then return io.stdin:read("a"), "=stdin" end
  local handle, message = io.open(path, "rb")
  if not handle then return nil, message end
  local text = handle:read("a")
  handle:close()
  if not text then return nil, path .. ": cannot be read (is it a folder?)" end
  return (text:gsub("^#[^\n]*", "")), "@" .. path -- a first line `#!/usr/bin/env …` is no Lua
end

local function search_beside(path)
  local folder = path:match("^(.*/)") or "./"
  local template = folder .. "?.lua;" .. folder .. "?/init.lua"
  table.insert(package.searchers, function(name)
    local found, tried = package.searchpath(name, template)
    if not found then return tried end
    local chunk, message = loadfile(found, "t")
    if not chunk then error(message, 0) end
    return chunk, found
  end)
end

-- A script's own error is the script's, not an internal one: keep its place, add the traceback in debug.
local function script_error(raised)
  if type(raised) == "table" and raised.kind and raised.text then return raised end
  return { kind = "script", text = tostring(raised), traceback = debug.traceback("", 2),
    hint = "QLUA_DEBUG=1 shows the traceback" }
end

return {
  name = "lua",
  summary = { en = "run a Lua script with all bindings", zh = "运行 Lua 脚本，可使用全部接口" },
  usage = "qlua lua FILE|- [ARGS]",
  positional = {
    { name = "FILE", required = true,
      summary = { en = "a Lua file, or - for standard input", zh = "Lua 文件；- 表示标准输入" } },
    { name = "ARGS", rest = true,
      summary = { en = "arguments for the script: its `arg` and `...`", zh = "传给脚本的参数，即脚本中的 arg 与 ..." } },
  },
  details = { en = "An integer that the script returns becomes the exit code.", zh = "脚本返回的整数即为退出码。" },
  run = function(_, given)
    local path = given[1]
    local source, chunk_name = source_of(path)
    if not source then return nil, { kind = "io", text = chunk_name } end
    local chunk, message = load(source, chunk_name, "t")
    if not chunk then return nil, { kind = "script", text = message } end
    _G.coroutine = require("qlua.coroutines").library()
    _G.arg = table.move(given, 2, #given, 1, { [0] = path })
    if path ~= "-" then search_beside(path) end
    local is_done, result = xpcall(chunk, script_error, table.unpack(_G.arg))
    io.stdout:flush()
    if not is_done then return nil, result end
    return math.type(result) == "integer" and result or 0
  end,
}
