-- SPDX-License-Identifier: Apache-2.0
--- Finds configuration files: by path, or by name in the folders where configurations live.

local nearest = require "qlua.nearest"

local find = {}

local function is_file(path)
  local file = require "qlua.core.file"
  local stat = file.stat(path)
  return stat ~= nil and stat.kind == "file"
end

local function folder_of(path) return path and (path:match("^(.*)/[^/]*$") or ".") end

--- Where configs/ and data/ stand: the share folder of an installed qlua, or the tree that this one was built in.
-- @treturn {string,...}
function find.homes()
  local homes = {}
  local root = require("qlua.core.script").source_root()
  if root then homes[#homes + 1] = root end
  local exe = require("qlua.core.sys").exe()
  local prefix = exe and folder_of(folder_of(exe))
  if prefix then
    homes[#homes + 1] = prefix .. "/share/qlua"
    homes[#homes + 1] = folder_of(prefix) -- build/release/qlua: two folders up is the tree
  end
  return homes
end

--- Folders that are searched for configurations, in order.
-- @tparam ?string suite_path path of the suite that asks
-- @treturn {string,...}
function find.folders(suite_path)
  local folders = {}
  if suite_path then
    folders[1] = folder_of(suite_path)
    folders[2] = folder_of(suite_path) .. "/../configs"
  end
  folders[#folders + 1] = "configs"
  for _, home in ipairs(find.homes()) do folders[#folders + 1] = home .. "/configs" end
  return folders
end

-- Names of the configurations in all folders, for the hint.
local function known_names(folders)
  local file = require "qlua.core.file"
  local names, seen = {}, {}
  for _, folder in ipairs(folders) do
    for _, entry in ipairs(file.list(folder) or {}) do
      local name = entry:match("^(.+)%.ya?ml$")
      if name and not seen[name] then
        names[#names + 1] = name
        seen[name] = true
      end
    end
  end
  return names
end

--- The path of a configuration.
-- @tparam string wanted a path, or a name without ending
-- @tparam ?string suite_path path of the suite that asks
-- @treturn[1] string path
-- @treturn[2] nil
-- @treturn[2] table error
function find.find(wanted, suite_path)
  if wanted:find("/", 1, true) or wanted:find("%.ya?ml$") then
    if is_file(wanted) then return wanted end
    local beside = suite_path and folder_of(suite_path) .. "/" .. wanted
    if beside and is_file(beside) then return beside end
    return nil, { kind = "config", text = wanted .. ": no such file" }
  end
  local folders = find.folders(suite_path)
  for _, folder in ipairs(folders) do
    for _, ending in ipairs { ".yaml", ".yml" } do
      local path = folder .. "/" .. wanted .. ending
      if is_file(path) then return path end
    end
  end
  return nil, { kind = "config", text = ("configuration '%s' is in none of %s"):format(wanted,
    table.concat(folders, ", ")), hint = nearest.hint(wanted, known_names(folders)) }
end

return find
