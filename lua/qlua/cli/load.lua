-- SPDX-License-Identifier: Apache-2.0
--- qlua load: puts servers under load and measures latency and throughput: one running server by its URL, or the variants of a suite.
-- Every key of `benchmark.load` has an option of its name; here they become overrides of the configuration, so that one check and
-- one set of messages serves both.

local config = require "qlua.config"
local fields = require "qlua.config_load"
local exchange = require "qlua.cli.load_exchange"
local run_command = require "qlua.cli.run"

local command = {
  name = "load",
  summary = { en = "put servers under load and measure latency and throughput", zh = "对服务器施加负载，测量时延与吞吐" },
  usage = "qlua load SUITE [options] | qlua load --url URL --model NAME [options]",
  positional = { { name = "SUITE", summary = { en = "its variants are measured one by one", zh = "逐个测量其各个变体" } } },
  details = {
    en = "An open loop (--rate, --ramp, --trace) sends on a schedule that is fixed before the first request; a closed loop "
      .. "(--concurrency) keeps so many requests in flight. docs/load.md says what is measured.",
    zh = "开环（--rate、--ramp、--trace）按预先确定的时刻发送；闭环（--concurrency）保持固定的并发数。测量内容见 docs/load.md。",
  },
}

-- ---- options out of the schema ------------------------------------------------------------------------------------

local LONG = { duration_s = "duration" } -- options whose name is not the key's
local ARG = { integer = "N", number = "X", string = "TEXT", list = "LIST", dict = "LIMITS" }
local NAMED_ARG = { dataset = "NAME", sharegpt = "FILE", trace = "FILE", custom = "FILE", ramp = "SHAPE:FROM:TO", slo = "NAME:MS,…",
  sweep_rate = "R,R,…", sweep_concurrency = "C,C,…", rate = "R", concurrency = "C", duration_s = "S", think_ms = "MS" }

local function long_of(key) return LONG[key] or (key:gsub("_", "-")) end

local function option_of(field)
  local option = { long = long_of(field.key), summary = field.summary }
  if field.type == "boolean" then return option end
  option.arg = NAMED_ARG[field.key] or ARG[field.type]
  option.type = (field.type == "integer" or field.type == "number") and field.type or nil
  option.allowed = field.allowed
  return option
end

local function build_options()
  local options = {}
  for _, field in ipairs(fields) do
    if field.key ~= "stages" then options[#options + 1] = option_of(field) end
  end
  options[#options + 1] = { long = "stage", arg = "KEY=VALUE,…", repeated = true,
    summary = { en = "one of several stages, e.g. rate=5,duration_s=10", zh = "多个阶段之一，如 rate=5,duration_s=10" } }
  for _, option in ipairs {
    { long = "url", arg = "URL", summary = { en = "this running server; no configuration needed", zh = "该地址上已运行的服务，无需配置文件" } },
    { long = "model", arg = "NAME", summary = { en = "model name, with --url", zh = "模型名，与 --url 同用" } },
    { long = "data", arg = "DIR", summary = { en = "folder of the datasets", zh = "数据集目录" } },
    { long = "hooks", arg = "FILE", summary = { en = "Lua file that returns { on_request =, on_reply = }",
      zh = "返回 { on_request =, on_reply = } 的 Lua 文件" } },
    { long = "io-threads", arg = "N", type = "integer", min = 1, max = 64,
      summary = { en = "threads that send and receive", zh = "收发数据的线程数" } },
    { long = "out", arg = "DIR", summary = { en = "folder for runs (default results)", zh = "结果目录（默认 results）" } },
    { long = "resume", arg = "DIR", summary = { en = "go on with a load that was stopped", zh = "继续被中断的测量" } },
    { long = "layout", arg = "FILE", repeated = true, summary = { en = "report layout, by name or path", zh = "报告版式的名称或路径" } },
    { long = "compat", arg = "TOOL", allowed = require("qlua.load.compat").ORDER,
      summary = { en = "print the same requests by another tool's definitions as well", zh = "另按其他工具的定义输出同一批请求" } },
    { long = "from", arg = "PATH", summary = {
      en = "send nothing: read a run's folder (with --compat), or a JSON file of vllm bench serve",
      zh = "不发送请求：读取运行目录（须同时给出 --compat）或 vllm bench serve 的 JSON 文件" } },
    { long = "dry-run", summary = { en = "print the schedule, and send nothing", zh = "仅打印发送计划，不实际发送" } },
    { long = "quiet", short = "q", summary = { en = "no progress, only the final table", zh = "不显示进度，只显示最终表格" } },
  } do options[#options + 1] = option end
  for _, option in ipairs(exchange.options) do options[#options + 1] = option end
  for _, option in ipairs(config.options) do
    if option.long == "config" or option.long == "set" or option.long == "variant" then options[#options + 1] = option end
  end
  return options
end
command.options = build_options()

-- ---- options to overrides --------------------------------------------------------------------------------------------

local function usage(text, hint) return nil, { kind = "usage", text = "qlua load: " .. text, hint = hint } end

local function words_of(text)
  local list = {}
  for word in (text .. ","):gmatch "([^,]*)," do list[#list + 1] = word end
  return list
end

local function limits_of(text)
  local map = {}
  for _, word in ipairs(words_of(text)) do
    local name, value = word:match "^(%a[%w_]*)[:=](.+)$"
    if not name then return usage(("--slo: want NAME:MS,…, got \"%s\""):format(text), "for instance --slo ttft:200,tpot:50") end
    map[name] = tonumber(value) or value
  end
  return map
end

local function stages_of(texts)
  local stages = {}
  for i, text in ipairs(texts) do
    stages[i] = {}
    for _, word in ipairs(words_of(text)) do
      local key, value = word:match "^([%w_]+)=(.+)$"
      if not key then return usage(("--stage: want KEY=VALUE,…, got \"%s\""):format(text), "for instance --stage rate=5,duration_s=10") end
      stages[i][key == "duration" and "duration_s" or key] = tonumber(value) or value
    end
  end
  return stages
end

-- Keys of which a load has one: what the command line says takes the place of what a file says, whichever of them that is.
local ONE_OF = {
  { "rate", "ramp", "concurrency", "stages", "sweep_rate", "sweep_concurrency" },
  { "dataset", "random_input", "sharegpt", "trace", "custom" },
  { "num_requests", "duration_s" },
}
local EMPTY = { stages = {}, sweep_rate = {}, sweep_concurrency = {} }

-- Calls `add` to unset what the options given take the place of.
local function replace_others(is_given, add)
  for _, group in ipairs(ONE_OF) do
    local by
    for _, key in ipairs(group) do by = by or is_given[key] end
    for _, key in ipairs(by and group or {}) do
      if not is_given[key] then add(key, EMPTY[key], by) end
    end
  end
  if is_given.find_max then
    for _, key in ipairs { "ramp", "stages", "sweep_rate", "sweep_concurrency" } do
      if not is_given[key] then add(key, EMPTY[key], is_given.find_max) end
    end
  elseif is_given.ramp or is_given.stages or is_given.sweep_rate or is_given.sweep_concurrency then
    add("find_max", false, is_given.ramp or is_given.stages or is_given.sweep_rate or is_given.sweep_concurrency)
  end
  local source = is_given.dataset or is_given.sharegpt or is_given.trace or is_given.custom
  if source and not is_given.random_output then add("random_output", nil, source) end
end

local function value_of(field, given)
  if field.type == "list" then return words_of(given) end
  if field.type == "dict" then return limits_of(given) end
  return given
end

--- The overrides that options of this command ask for.
-- @tparam table opts
-- @treturn ?table for `config.load`; or nil and err
function command.overrides(opts)
  local overrides = config.overrides { set = opts.set, variant = opts.variant, language = opts.language }
  overrides.wants_load = true
  local is_given = {} -- key → option
  local function add(key, value, option)
    overrides.values[#overrides.values + 1] = { path = "benchmark.load." .. key, value = value, option = option }
  end
  for _, field in ipairs(fields) do
    local given = field.key ~= "stages" and opts[long_of(field.key):gsub("-", "_")]
    if given then
      local value, err = value_of(field, given)
      if value == nil then return nil, err end
      is_given[field.key] = "--" .. long_of(field.key)
      add(field.key, value, is_given[field.key])
    end
  end
  if opts.stage then
    local stages, err = stages_of(opts.stage)
    if not stages then return nil, err end
    is_given.stages = "--stage"
    add("stages", stages, "--stage")
  end
  replace_others(is_given, add)
  if opts.save_detailed then add("save_texts", true, "--save-detailed") end
  -- A server given by its URL is measured once unless told otherwise; a configuration says how often itself.
  if opts.url and not opts.replicates then
    table.insert(overrides.values, { path = "benchmark.num_runs", value = 1, option = "qlua load --url" })
  end
  if opts.io_threads then
    table.insert(overrides.values, { path = "benchmark.io_threads", value = opts.io_threads, option = "--io-threads" })
  end
  return overrides
end

local function load_config(opts, words)
  local overrides, err = command.overrides(opts)
  if not overrides then return nil, err end
  local suite
  if words[1] then
    suite, err = run_command.find_suite(words[1])
    if err then return nil, err end
    if not suite then return usage(("no suite is named '%s'"):format(words[1]), "a dataset is named by --dataset") end
  end
  if opts.url then
    local resolved
    resolved, err = config.from_url { url = opts.url, model = opts.model, overrides = overrides, suite = suite }
    return resolved, err, suite
  end
  if not suite and not opts.config then
    return usage("no server to measure", "give --url http://HOST:8000/v1 --model NAME, a suite, or --config FILE")
  end
  local resolved
  resolved, err = config.load(opts.config, overrides, suite)
  return resolved, err, suite
end

local function hooks_of(opts, suite)
  if not opts.hooks then return suite and { on_request = suite.on_request, on_reply = suite.on_reply } or {} end
  local chunk, problem = loadfile(opts.hooks, "t")
  if not chunk then return nil, { kind = "script", text = tostring(problem) } end
  local ok, hooks = pcall(chunk)
  if not ok then return nil, { kind = "script", text = tostring(hooks) } end
  if type(hooks) ~= "table" then
    return nil, { kind = "script", text = ("%s: want a table { on_request =, on_reply = }, got %s"):format(opts.hooks, type(hooks)) }
  end
  for name, value in pairs(hooks) do
    if (name ~= "on_request" and name ~= "on_reply") or type(value) ~= "function" then
      return nil, { kind = "script", text = ("%s: want functions on_request and on_reply, got %s"):format(opts.hooks, tostring(name)) }
    end
  end
  return hooks
end

local function plan_of(opts, words)
  local resolved, err, suite = load_config(opts, words)
  if not resolved then return nil, err end
  local made
  made, err = require("qlua.plan").make(resolved, { data_dir = opts.data, layouts = opts.layout, is_load_only = true,
    is_offline = opts.dry_run })
  if not made then return nil, err end
  made.load.hooks, err = hooks_of(opts, suite)
  if not made.load.hooks then return nil, err end
  return made
end

-- ---- the command ------------------------------------------------------------------------------------------------------

local function load_words(opts, words, argv)
  local made, err = plan_of(opts, words)
  if not made then return nil, err end
  run_command.set_threads(made)
  if opts.dry_run then
    require("qlua.load.dry_run").print(made.load, #made.variants, require("qlua.run.loading").order(made))
    return 0
  end
  local summary, dir = require("qlua.run").execute(made, {
    out = opts.out, resume = opts.resume, progress = run_command.new_progress(opts), live = run_command.new_live(opts), command = argv,
    language = opts.language, layouts = opts.layout,
    resume_command = function(folder) return "qlua load --resume " .. run_command.quote(folder) end,
  })
  if not summary then return nil, dir end
  run_command.print_result(summary, dir, opts)
  local ok
  ok, err = exchange.after(dir, opts)
  if not ok then return nil, err end
  if opts.compat then
    local printed
    printed, err = require("qlua.cli.load_views").run(dir, opts.compat)
    if not printed then return nil, err end
  end
  return require("qlua.load.gate").check(summary)
end

function command.run(opts, words, argv)
  if opts.from then return require("qlua.cli.load_views").from(opts.from, opts.compat) end
  if not opts.resume or #words > 0 or opts.url or opts.config then return load_words(opts, words, argv) end
  return run_command.resume(command, opts, load_words)
end

return command
