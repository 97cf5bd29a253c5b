-- SPDX-License-Identifier: Apache-2.0
--- qlua test: run the examples that dataset and scorer scripts carry.

local say = require "qlua.cli.say"
local scripts = require "qlua.cli.scripts"

local function load_scorer(name) return require("qlua.registry").load("scorer", name) end

-- A file says itself what it is; a bare name is a dataset, or else a scorer.
local function find(name)
  local registry = require "qlua.registry"
  local path = scripts.path_of(name)
  if path then
    if not require("qlua.core.file").stat(path) then return nil, { kind = "io", text = name .. ": no such file" } end
    local kind = registry.kind_of(path)
    if kind ~= "scorer" then kind = "dataset" end
    local script, err = scripts.load(kind, path)
    return script and { kind = kind, script = script }, err
  end
  local dataset, err = registry.load("dataset", name)
  if dataset then return { kind = "dataset", script = dataset } end
  local scorer = registry.load("scorer", name)
  if scorer then return { kind = "scorer", script = scorer } end
  return nil, err
end

local function find_all()
  local registry = require "qlua.registry"
  local found = {}
  for _, kind in ipairs { "dataset", "scorer" } do
    for _, entry in ipairs(registry.list(kind)) do
      local script, err = registry.load(kind, entry.name)
      if not script then return nil, err end
      found[#found + 1] = { kind = kind, script = script }
    end
  end
  return found
end

local TEXT = {
  none = { en = "no examples", zh = "没有示例" },
  line = { en = "%d of %d examples hold", zh = "%d / %d 个示例通过" },
  example = { en = "example %d: %s", zh = "示例 %d：%s" },
  total = { en = "%d scripts, %d passed, %d failed", zh = "共 %d 个脚本，通过 %d，失败 %d" },
}

local function test_one(entry)
  local passed, failures = require("qlua.examples").run(entry.script, entry.kind, load_scorer)
  local total = passed + #failures
  local text = total == 0 and say.pick(TEXT.none) or say.pick(TEXT.line):format(passed, total)
  say.line(("%-8s %s: %s"):format(entry.kind, entry.script.name, text))
  for _, failure in ipairs(failures) do
    say.line("  ", entry.script.path, ": ", say.pick(TEXT.example):format(failure.index, failure.text))
  end
  return passed, #failures
end

return {
  name = "test",
  summary = { en = "run the examples of scripts", zh = "运行脚本自带的示例" },
  usage = "qlua test [FILE|NAME...]",
  positional = { { name = "FILE|NAME", repeated = true,
    summary = { en = "dataset or scorer scripts; none: all that are found", zh = "数据集或评分器脚本；不填则测试全部" } } },
  run = function(_, given)
    local entries = {}
    for i, name in ipairs(given) do
      local entry, err = find(name)
      if not entry then return nil, err end
      entries[i] = entry
    end
    if #given == 0 then
      local err
      entries, err = find_all()
      if not entries then return nil, err end
    end
    local passed, failed = 0, 0
    for _, entry in ipairs(entries) do
      local p, f = test_one(entry)
      passed, failed = passed + p, failed + f
    end
    say.line(say.pick(TEXT.total):format(#entries, passed, failed))
    return failed == 0 and 0 or 1
  end,
}
