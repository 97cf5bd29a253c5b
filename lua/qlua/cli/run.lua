-- SPDX-License-Identifier: Apache-2.0
--- qlua run: asks a suite, or single datasets, of every variant of a configuration or of one running server.

local config = require "qlua.config"
local file = require "qlua.core.file"
local say = require "qlua.cli.say"
local scripts = require "qlua.cli.scripts"

local command = {
  name = "run",
  summary = { en = "ask a suite or datasets and write the report", zh = "运行评测并生成报告" },
  usage = "qlua run SUITE|DATASET… [options]",
  positional = { { name = "SUITE|DATASET", repeated = true,
    summary = { en = "a suite (suites/full.lua or full), or datasets (gsm8k, ./mine.lua)",
      zh = "套件（suites/full.lua 或 full），或数据集（gsm8k、./mine.lua）" } } },
  options = {
    { long = "url", arg = "URL", summary = { en = "ask this running server; no configuration needed",
      zh = "评测该地址上已运行的服务，无需配置文件" } },
    { long = "model", arg = "NAME", summary = { en = "model name, with --url", zh = "模型名，与 --url 同用" } },
    { long = "data", arg = "DIR", summary = { en = "folder of the datasets", zh = "数据集目录" } },
    { long = "out", arg = "DIR", summary = { en = "folder for runs (default results)", zh = "结果目录（默认 results）" } },
    { long = "resume", arg = "DIR", summary = { en = "go on with a run that was stopped", zh = "继续被中断的运行" } },
    { long = "layout", arg = "FILE", repeated = true, summary = { en = "report layout, by name or path", zh = "报告版式的名称或路径" } },
    { long = "dry-run", summary = { en = "print what would be done, and do nothing", zh = "仅打印将执行的操作，不实际运行" } },
    { long = "quiet", short = "q", summary = { en = "no progress, only the final table", zh = "不显示进度，只显示最终表格" } },
  },
}
for _, option in ipairs(config.options) do command.options[#command.options + 1] = option end

-- A word that is a suite: a path to a file that returns q.suite, or a known suite's name.
function command.find_suite(word)
  local registry = require "qlua.registry"
  local path = scripts.path_of(word)
  if path then
    if registry.kind_of(path) == "suite" then return scripts.load("suite", word) end
    if not file.stat(path) and path:find "suites/" then -- suites/full.lua from anywhere: the one that came with qlua
      return registry.load("suite", (path:match "([^/]+)%.lua$" or path))
    end
    return nil
  end
  for _, entry in ipairs(registry.list "suite") do
    if entry.name == word then return registry.load("suite", word) end
  end
  return nil
end

local function unknown(word)
  local registry = require "qlua.registry"
  local nearest = require "qlua.nearest"
  local names = {}
  for _, kind in ipairs { "suite", "dataset" } do
    for _, entry in ipairs(registry.list(kind)) do names[#names + 1] = entry.name end
  end
  return nil, { kind = "usage", text = ("nothing to run is named '%s' (no suite, no dataset)"):format(word),
    hint = nearest.hint(word, names) }
end

-- What the words mean: one suite, or a list of datasets.
local function read_words(words, opts)
  if #words == 0 and opts.config then return {} end -- the configuration's own datasets
  if #words == 0 then
    return nil, { kind = "usage", text = "qlua run: nothing to run", hint = "name a suite or a dataset: qlua run suites/full.lua" }
  end
  local suite, err = command.find_suite(words[1])
  if err then return nil, err end
  if suite then
    if #words > 1 then
      return nil, { kind = "usage", text = ("qlua run: '%s' is a suite and stands alone, got also '%s'"):format(words[1], words[2]) }
    end
    return { suite = suite }
  end
  local datasets = {}
  for _, word in ipairs(words) do
    local script
    script, err = scripts.load("dataset", word)
    if not script then
      if not scripts.path_of(word) and err.text:find "^no dataset named" then return unknown(word) end
      return nil, err
    end
    datasets[#datasets + 1] = scripts.path_of(word) or word
  end
  return { suite = { name = "command line", datasets = datasets }, is_made_up = true }
end

local function load_config(opts, wanted)
  local overrides = config.overrides(opts)
  if opts.url then
    return config.from_url { url = opts.url, model = opts.model, datasets = wanted.suite and wanted.suite.datasets, overrides = overrides }
  end
  local path = opts.config
  if not path and wanted.is_made_up then
    return nil, { kind = "usage", text = "qlua run: no server to ask",
      hint = "give --url http://HOST:8000/v1 --model NAME, or --config FILE" }
  end
  return config.load(path, overrides, wanted.suite)
end

-- A resumed run is asked again with the words it was started with.
local function resumed_command(dir)
  local run_store = require "qlua.run_store"
  if not file.stat(dir .. "/run.db") then
    return nil, { kind = "usage", text = ("--resume %s: no run.db there"):format(dir),
      hint = "want the folder of a run, e.g. results/20261123_101500" }
  end
  local store, err = run_store.open(dir, { read_only = true })
  if not store then return nil, err end
  local started = store:meta "options" or {}
  store:close()
  if started.command and require("qlua.secrets").is_hidden_in(started.command) then
    return nil, { kind = "usage", text = ("--resume %s: a key was given on the command line, and is not kept"):format(dir),
      hint = "repeat the command with --resume: qlua run SUITE --config FILE … --resume " .. dir }
  end
  if not started.command then
    return nil, { kind = "data", text = ("--resume %s: the run does not say how it was started"):format(dir),
      hint = "start a new run: this one was stopped before anything was asked" }
  end
  return started
end

-- What is said now is stronger than what was said then; settings of both hold. What would mix answers is refused later.
local function laid_over(stored, now)
  for name, value in pairs(now) do
    if name == "set" and stored.set then
      table.move(value, 1, #value, #stored.set + 1, stored.set)
    else
      stored[name] = value
    end
  end
  return stored
end

--- A word for a shell.
function command.quote(word)
  if word:find "^[%w%._/:=@%%+,%-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- What a run shows of itself, by the options and the terminal.
function command.new_progress(opts)
  local locale, sys, term = require "qlua.locale", require "qlua.core.sys", require "qlua.core.term"
  if opts.quiet then
    local nothing = function() end
    return { phase = nothing, tick = nothing, message = nothing, finish = nothing, resize = nothing }
  end
  local is_tty = term.is_tty(2)
  return require("qlua.progress").new { fd = 2, tty = is_tty, width = term.width(2) or 80, color = locale.has_color(sys.env, is_tty),
    utf8 = locale.is_utf8(sys.env), language = opts.language or say.language() }
end

--- As many I/O threads as the configuration wants; before the first client.
function command.set_threads(made)
  local count = made.config.benchmark.io_threads
  if count > 1 then require("qlua.core.http").set_io_threads(count) end
end

--- What shows a load while it runs; nothing with --quiet.
-- @treturn ?function `(gpu)` → view
function command.new_live(opts)
  if opts.quiet then return nil end
  local locale, sys, term = require "qlua.locale", require "qlua.core.sys", require "qlua.core.term"
  local is_tty = term.is_tty(2)
  return function(gpu)
    return require("qlua.load.live").new { fd = 2, tty = is_tty, width = term.width(2) or 80, color = locale.has_color(sys.env, is_tty),
      utf8 = locale.is_utf8(sys.env), language = opts.language or say.language(), gpu = gpu }
  end
end

--- The table at the end of a run.
function command.print_result(summary, dir, opts)
  local locale, sys, term = require "qlua.locale", require "qlua.core.sys", require "qlua.core.term"
  local run_report = require "qlua.run_report"
  local text = run_report.set("terminal", summary, { language = opts.language or say.language(),
    width = term.width(1) or 80, ascii = not locale.is_utf8(sys.env), color = locale.has_color(sys.env, term.is_tty(1)) })
  term.write(1, text)
  say.line ""
  say.line(say.pick { en = "results  ", zh = "结果  " }, dir, "/evaluation_results.json")
  for _, name in ipairs(file.list(dir .. "/reports") or {}) do
    say.line(say.pick { en = "report   ", zh = "报告  " }, dir, "/reports/", name)
  end
end

local function error_rate_gate(summary)
  local lines = {}
  for _, variant in ipairs(summary.variant_order) do
    for _, dataset in ipairs(summary.dataset_order) do
      local one = summary.variants[variant].datasets[dataset]
      if one and (one.error_rate or 0) > summary.max_error_rate then
        lines[#lines + 1] = ("%s on %s: %d of %d questions ended in an error"):format(variant, dataset, one.num_errors, one.num_total)
      end
    end
  end
  if #lines == 0 then return 0 end
  return nil, { kind = "gate", text = table.concat(lines, "\n"),
    hint = ("more than benchmark.max_error_rate = %g allows; the results are marked not usable"):format(summary.max_error_rate) }
end

local function note_differences(made)
  for _, one in ipairs(made.datasets) do
    for _, note in ipairs(one.task.notes) do
      if note.kind ~= "sha256" then io.stderr:write("note: ", say.pick(note), "\n") end
    end
  end
end

--- The plan that words and options mean; other commands use it to look without running.
-- @tparam table opts
-- @tparam {string,...} words
-- @tparam[opt] table more is_offline: nothing needs to be installed
-- @treturn ?table plan; or nil and err
function command.plan(opts, words, more)
  local wanted, err = read_words(words, opts)
  if not wanted then return nil, err end
  local resolved
  resolved, err = load_config(opts, wanted)
  if not resolved then return nil, err end
  local made
  made, err = require("qlua.plan").make(resolved, { data_dir = opts.data, layouts = opts.layout, is_offline = more and more.is_offline })
  if made and made.load and wanted.suite then
    made.load.hooks = { on_request = wanted.suite.on_request, on_reply = wanted.suite.on_reply }
  end
  return made, err
end

local function run_words(opts, words, argv)
  local made, err = command.plan(opts, words)
  if not made then return nil, err end
  note_differences(made)
  if opts.dry_run then
    require("qlua.dry_run").print(made, config)
    return 0
  end
  command.set_threads(made)
  local summary, dir = require("qlua.run").execute(made, {
    out = opts.out, resume = opts.resume, progress = command.new_progress(opts), live = command.new_live(opts), command = argv,
    language = opts.language,
    layouts = opts.layout, max_pages = tonumber(os.getenv "QLUA_TEST_MAX_PAGES"),
    resume_command = function(folder) return "qlua run --resume " .. command.quote(folder) end,
  })
  if not summary then return nil, dir end
  command.print_result(summary, dir, opts)
  local code, gate = error_rate_gate(summary)
  return require("qlua.gates").check(summary, code, gate)
end

--- Go on with a run by the words it was started with.
-- @tparam table by the command that started it
-- @tparam table opts of now; they are the stronger
-- @tparam function work `(opts, words, argv)` → exit code, or nil and err
function command.resume(by, opts, work)
  local started, err = resumed_command(opts.resume)
  if not started then return nil, err end
  local again, more = require("qlua.cli.args").parse(by, started.command)
  if not again then return nil, more end
  local code
  code, err = work(laid_over(again, opts), more, started.command)
  local here = require("qlua.core.sys").cwd()
  if code == nil and started.folder and started.folder ~= here and (err.kind == "config" or err.kind == "data" or err.kind == "io") then
    err.hint = (err.hint and err.hint .. "; " or "") .. ("the run was started in %s: names of files may be relative to it"):format(
      started.folder)
  end
  return code, err
end

function command.run(opts, words, argv)
  if not opts.resume or #words > 0 or opts.url or opts.config then return run_words(opts, words, argv) end
  return command.resume(command, opts, run_words)
end

return command
