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

-- With the folder of a run its database is at hand; a layout that wants the samples gets them from there.
local function store_of(path)
  local file = require "qlua.core.file"
  local info = path and file.stat(path)
  if not (info and info.kind == "dir" and file.stat(path .. "/run.db")) then return nil end
  return require("qlua.run_store").open((path:gsub("/+$", "")), { read_only = true })
end

local function set_page(report, summary, language, options, path)
  local store = report.wants and store_of(path)
  if store then
    for key, value in pairs(require("qlua.run_report").sources(report, store)) do options[key] = value end
  end
  options.language, options.run_name = language, summary.run.id
  local ok, text, files = pcall(require("qlua.page").set, report, summary, options)
  if store then store:close() end
  if ok then return text, files end
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
    { long = "out", arg = "FILE", summary = { en = "write to this file, drawings beside it (default: standard output)",
      zh = "写入该文件，图形放在同一目录（默认输出到标准输出）" } },
  },
  run = function(opts, args)
    local summary, err = results.read(results_file(args[1]))
    if not summary then return nil, err end
    local done
    done, err = command.print(summary, opts, args[1])
    if not done then return nil, err end
    return 0
  end,
}

--- Set a Summary and write it where the options say.
-- @tparam table summary
-- @tparam table opts layout, language, out
-- @tparam ?string path what the Summary was read from; the folder of a run may have the samples too
-- @treturn ?boolean true; or nil and err
function command.print(summary, opts, path)
  local report, err = require("qlua.registry").load("report", opts.layout or "markdown")
  if not report then return nil, err end
  local file, options = require "qlua.core.file", screen(report)
  options.figures = opts.out ~= nil
  local text, files = set_page(report, summary, opts.language or locale.language(require("qlua.core.sys").env), options, path)
  if not text then return nil, files end
  if not opts.out then return require("qlua.core.term").write(1, text) end
  for name, content in pairs(files) do
    local ok
    ok, err = file.write((opts.out:match "^(.*/)" or "") .. name, content)
    if not ok then return nil, err end
  end
  return file.write(opts.out, text)
end

return command
