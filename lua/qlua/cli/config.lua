-- SPDX-License-Identifier: Apache-2.0
--- qlua config: the configuration as a run would see it, each value with its origin.

local config = require "qlua.config"
local say = require "qlua.cli.say"

local function options()
  local list = table.move(config.options, 2, #config.options, 1, {}) -- the file is a positional here
  list[#list + 1] = { long = "suite", arg = "SUITE",
    summary = { en = "with what this suite adds and overrides", zh = "叠加该套件的设置" } }
  list[#list + 1] = { long = "json", summary = { en = "as JSON, without origins", zh = "以 JSON 输出（不含来源）" } }
  return list
end

-- Without --suite the file stands alone; a suite alone brings its own file.
local function load(opts, path)
  local suite
  if opts.suite then
    local err
    suite, err = require("qlua.registry").load("suite", opts.suite)
    if not suite then return nil, err end
  end
  if not suite then path = path or "model_config" end
  return config.load(path, config.overrides(opts), suite)
end

return {
  name = "config",
  summary = { en = "show the configuration as a run would see it", zh = "显示运行时实际生效的配置" },
  usage = "qlua config [FILE] [--set KEY=VALUE] [--suite SUITE] [--json]",
  positional = { { name = "FILE",
    summary = { en = "a configuration, by path or name (default model_config)",
      zh = "配置文件的路径或名称（默认 model_config）" } } },
  options = options(),
  details = {
    en = "Every line ends with where its value came from: file:line, default, suite, or the option.",
    zh = "每行末尾注明取值的来源：文件:行号、default（默认值）、suite（套件）或命令行选项。",
  },
  run = function(opts, given)
    local resolved, err = load(opts, given[1])
    if not resolved then return nil, err end
    if opts.json then
      say.json(require("qlua.config_text").plain(resolved))
    else
      io.stdout:write(require("qlua.config_text").yaml(resolved))
    end
    return 0
  end,
}
