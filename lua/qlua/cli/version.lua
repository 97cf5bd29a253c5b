-- SPDX-License-Identifier: Apache-2.0
--- qlua version: this program and the libraries it runs with, as loaded.

local say = require "qlua.cli.say"

return {
  name = "version",
  summary = { en = "show the version, and those of the libraries", zh = "显示 qlua 及其所用各库的版本" },
  usage = "qlua version [--json]",
  options = { { long = "json", summary = { en = "as JSON", zh = "以 JSON 输出" } } },
  run = function(opts)
    local versions = require("qlua.core.sys").versions()
    if opts.json then
      say.json(versions)
      return 0
    end
    say.line("qlua ", versions.qlua)
    local names, rows = {}, {}
    for name in pairs(versions) do
      if name ~= "qlua" then names[#names + 1] = name end
    end
    table.sort(names)
    for i, name in ipairs(names) do rows[i] = { name, versions[name] } end
    say.columns(rows, "  ")
    return 0
  end,
}
