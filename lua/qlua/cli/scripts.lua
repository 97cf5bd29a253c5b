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

return scripts
