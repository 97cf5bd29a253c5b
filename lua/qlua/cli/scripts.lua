-- SPDX-License-Identifier: Apache-2.0
--- Scripts as people name them on the command line: by name, or by the path of a file in their own folder.

local scripts = {}

--- The path that a word on the command line means, or nil when it is a name.
-- @tparam string word `gsm8k`, `mine.lua`, `./folder/mine.lua`
-- @treturn ?string always with a slash, so that nobody takes it for a name
function scripts.path_of(word)
  if word:find("/", 1, true) then return word end
  if word:find("%.lua$") then return "./" .. word end
end

--- Load a script; for one given by path, scripts of its own folder are found by name as well.
-- @tparam string kind
-- @tparam string word name or path
-- @treturn[1] table script
-- @treturn[2] nil
-- @treturn[2] table error
function scripts.load(kind, word)
  local registry = require "qlua.registry"
  local path = scripts.path_of(word)
  if path then registry.configure { suite_dir = path:match("^(.*)/") } end
  return registry.load(kind, path or word)
end

--- The folders to look for data in: `--data`; else for a script given by path its own folder, the usual ones, and the
-- sample sets that come with the program.
-- @tparam ?string given `--data DIR`
-- @tparam string word the script as it was named
-- @treturn {string,...} for `qlua.tasks`
function scripts.data_dirs(given, word)
  local dirs = require("qlua.tasks").data_dirs(given)
  if given then return dirs end
  local path, all = scripts.path_of(word), {}
  if path then all[1] = path:match("^(.*)/") end
  table.move(dirs, 1, #dirs, #all + 1, all)
  for _, home in ipairs(require("qlua.config_find").homes()) do all[#all + 1] = home .. "/data/sample" end
  return all
end

return scripts
