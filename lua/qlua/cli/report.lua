-- SPDX-License-Identifier: Apache-2.0
--- qlua report: sets a page from a results file alone, without the run's database or servers.

local locale = require "qlua.locale"
local results = require "qlua.results"

-- A run's folder stands for the file in it.
local function results_file(path)
  local info = require("qlua.core.file").stat(path)
  if info and info.kind == "dir" then return (path:gsub("/+$", "")) .. "/evaluation_results.json" end
  return path
end

local function screen(report)
  local term, sys = require "qlua.core.term", require "qlua.core.sys"
  local is_tty = term.is_tty(1)
  return {
    width = term.width(1) or tonumber(sys.env "COLUMNS" or "") or 80,
    ascii = not locale.is_utf8(sys.env),
    color = report.format == "terminal" and locale.has_color(sys.env, is_tty),
  }
end

local function set_page(report, summary, language)
  local options = screen(report)
  options.language = language
  local ok, text = pcall(require("qlua.page").set, report, summary, options)
  if ok then return text end
  if type(text) == "table" then return nil, text end
  return nil, { kind = "script", text = ("%s: %s"):format(report.path, tostring(text)) }
end

local command

command = {
  name = "report",
  summary = { en = "set a report from a results file", zh = "由结果文件生成报告" },
  usage = "qlua report RESULTS [--language LANG] [--layout LAYOUT] [--out FILE]",
  positional = { { name = "RESULTS", required = true,
    summary = { en = "evaluation_results.json, or the folder of a run", zh = "evaluation_results.json 文件或运行目录" } } },
  options = {
    { long = "layout", arg = "LAYOUT", summary = { en = "a layout's name, or a path to your own (default markdown)",
      zh = "版式名称，或自定义版式文件的路径（默认 markdown）" } },
    { long = "out", arg = "FILE", summary = { en = "write to this file (default: standard output)",
      zh = "写入该文件（默认输出到标准输出）" } },
  },
  run = function(opts, args)
    local summary, err = results.read(results_file(args[1]))
    if not summary then return nil, err end
    local done
    done, err = command.print(summary, opts)
    if not done then return nil, err end
    return 0
  end,
}

--- Set a Summary and write it where the options say.
-- @tparam table summary
-- @tparam table opts layout, language, out
-- @treturn ?boolean true; or nil and err
function command.print(summary, opts)
  local report, err = require("qlua.registry").load("report", opts.layout or "markdown")
  if not report then return nil, err end
  local text
  text, err = set_page(report, summary, opts.language or locale.language(require("qlua.core.sys").env))
  if not text then return nil, err end
  if opts.out then return require("qlua.core.file").write(opts.out, text) end
  return require("qlua.core.term").write(1, text)
end

return command
