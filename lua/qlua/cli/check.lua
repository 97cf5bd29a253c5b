-- SPDX-License-Identifier: Apache-2.0
--- qlua check: load scripts and configurations and say what is wrong with them, without running anything.
-- What a file is, it says itself: `return q.dataset{…}` and so on, or its ending for YAML. All files are looked at,
-- also after an error.

local say = require "qlua.cli.say"
local scripts = require "qlua.cli.scripts"

-- Scripts named inside another script: a scorer that is misspelt should not wait for the run to be found.
local function check_names(kind, names, path, field)
  local registry = require "qlua.registry"
  for _, name in ipairs(names or {}) do
    local script, err = registry.load(kind, name)
    if not script then
      return nil, { kind = err.kind, text = ("%s: %s: %s"):format(path, field, err.text), hint = err.hint }
    end
  end
  return true
end

local check_kind = {}

function check_kind.dataset(script, path)
  return check_names("scorer", script.scorers, path, ("dataset '%s': field 'scorers'"):format(script.name))
end

function check_kind.suite(script, path)
  local names = {}
  for i, dataset in ipairs(script.datasets) do names[i] = type(dataset) == "table" and dataset.name or dataset end
  local is_right, err = check_names("dataset", names, path, ("suite '%s': field 'datasets'"):format(script.name))
  if not is_right then return nil, err end
  is_right, err = check_names("report", script.reports, path, ("suite '%s': field 'reports'"):format(script.name))
  if not is_right then return nil, err end
  if not script.config then return true end
  local resolved
  resolved, err = require("qlua.config").load(nil, nil, script)
  return resolved ~= nil, err
end

-- An engine or layout that does not exist is the script's absence, seen from the configuration.
local function check_config(path)
  local config = require "qlua.config"
  local resolved, err = config.load(path)
  if not resolved then return nil, err end
  local is_right
  for _, variant in ipairs(resolved.model.variants) do
    local origin = config.origin(resolved, ("variants.%s.server.engine"):format(variant.name))
    is_right, err = check_names("server", { variant.engine }, origin, "engine")
    if not is_right then return nil, err end
  end
  for _, dataset in ipairs(resolved.datasets) do
    local origin = config.origin(resolved, ("datasets.%s.name"):format(dataset.name))
    is_right, err = check_names("dataset", { dataset.name }, origin, "datasets")
    if not is_right then return nil, err end
    is_right, err = check_names("scorer", dataset.scorers, origin, "scorers")
    if not is_right then return nil, err end
  end
  return check_names("report", resolved.report.layouts, config.origin(resolved, "report.layouts"), "report.layouts")
end

local function check_script(path)
  local registry = require "qlua.registry"
  local stat, err = require("qlua.core.file").stat(path)
  if not stat then return nil, err or { kind = "io", text = path .. ": no such file" } end
  local kind = registry.kind_of(path)
  if not kind then
    -- no constructor to be seen: the syntax may be wrong already, and that is then the better message
    local source = require("qlua.core.file").read(path)
    local chunk, message = load(source or "", "@" .. path, "t")
    return nil, { kind = "script", text = chunk and path .. ": returns no script (want return q.dataset{…}, "
      .. "q.scorer{…}, q.server{…}, q.report{…} or q.suite{…})" or message }
  end
  local script
  script, err = scripts.load(kind, scripts.path_of(path) or "./" .. path)
  if not script then return nil, err end
  local is_right = true
  if check_kind[kind] then is_right, err = check_kind[kind](script, path) end
  if not is_right then return nil, err end
  return kind, ("%s '%s'"):format(kind, script.name)
end

local function check_file(path)
  if path:find("%.ya?ml$") then
    local is_right, err = check_config(path)
    if not is_right then return nil, err end
    return "configuration", "configuration"
  end
  return check_script(path)
end

return {
  name = "check",
  summary = { en = "check scripts and configurations without running them", zh = "检查脚本与配置，不运行评测" },
  usage = "qlua check FILE...",
  positional = { { name = "FILE", required = true, repeated = true,
    summary = { en = "a Lua script or a YAML configuration", zh = "Lua 脚本或 YAML 配置文件" } } },
  run = function(_, given)
    local failed
    for _, path in ipairs(given) do
      local kind, text = check_file(path)
      if kind then
        say.line(path, ": ", say.language() == "zh" and "通过（" .. text .. "）" or "ok (" .. text .. ")")
      else
        failed = failed or { kind = text.kind, others = {} }
        table.insert(failed.others, text)
        for _, other in ipairs(text.others or {}) do table.insert(failed.others, other) end
      end
    end
    if not failed then return 0 end
    local first = table.remove(failed.others, 1)
    return nil, { kind = failed.kind, text = first.text, hint = first.hint, others = failed.others }
  end,
}
