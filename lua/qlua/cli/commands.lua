-- SPDX-License-Identifier: Apache-2.0
--- Commands: which there are, in the order in which help shows them, and how one is loaded.
-- Names only; what a command is and takes stands in its own file lua/qlua/cli/NAME.lua.

local commands = {}

commands.groups = {
  { title = { en = "Measure", zh = "评测" }, "run", "load", "report", "compare", "power", "rescore", "export", "score", "sim" },
  { title = { en = "Look", zh = "查看" }, "view", "list", "show", "config" },
  { title = { en = "Write and check", zh = "编写与检查" }, "new", "check", "test", "lua" },
  { title = { en = "Other", zh = "其他" }, "fetch", "reap", "completion", "help", "version" },
}

--- All names, in order.
-- @treturn {string,...}
function commands.names()
  local names = {}
  for _, group in ipairs(commands.groups) do
    for _, name in ipairs(group) do names[#names + 1] = name end
  end
  return names
end

local function is_known(name)
  for _, known in ipairs(commands.names()) do
    if known == name then return true end
  end
end

--- Load one command.
-- @tparam string name
-- @treturn[1] table the command
-- @treturn[2] nil when there is no such command
-- @treturn[2] ?string what went wrong, when there is one but its file does not load
function commands.load(name)
  if not is_known(name) then return nil end
  local module = "qlua.cli." .. name
  local is_loaded, command = pcall(require, module)
  if is_loaded then return command end
  if tostring(command):find("module '" .. module .. "' not found", 1, true) then return nil end
  return nil, command
end

return commands
