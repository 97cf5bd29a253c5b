-- SPDX-License-Identifier: Apache-2.0
--- Plan: everything a run will do, resolved and checked before anything is started: which variants by which dialect,
-- which questions in which mode, judged by which scorers. `--dry-run` prints it, `qlua.run` carries it out.

local ability = require "qlua.ability"
local evaluate = require "qlua.evaluate"
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local permute = require "qlua.permute"
local registry = require "qlua.registry"
local rule = require "qlua.summary.rule"
local scoring = require "qlua.scoring"
local supervisor = require "qlua.supervisor"
local sys = require "qlua.core.sys"
local tasks = require "qlua.tasks"

local plan = {}

local function fail(kind, text, hint) return nil, { kind = kind, text = text, hint = hint } end

local function load_scorers(names, mode, where)
  local scorers = {}
  for _, name in ipairs(names) do
    local scorer, err = registry.load("scorer", name)
    if not scorer then return nil, err end
    scorers[#scorers + 1] = scorer
  end
  local fitting = evaluate.for_mode(scorers, mode)
  if #fitting == 0 then
    return fail("config", ("%s: none of its scorers (%s) fits mode %s"):format(where, table.concat(names, ", "), mode),
      "name others with datasets[].scorers, or another mode")
  end
  return fitting
end

-- As one text or as turns. Only a dataset whose parts are known can be asked either way.
local function form_of(wanted, script)
  if wanted.form == "turns" and not script.question then
    return fail("config", ("dataset '%s': form: turns: it makes its prompts itself, as one text"):format(script.name))
  end
  return wanted.form or (wanted.endpoint == "chat" and script.question and "turns" or "text")
end

-- One dataset as the run will ask it. The task is open, so every row has been read and is well formed.
local function select_dataset(wanted, data_dir, benchmark)
  local script, err = registry.load("dataset", wanted.name)
  if not script then return nil, err end
  local form
  form, err = form_of(wanted, script)
  if not form then return nil, err end
  local task
  task, err = tasks.open { dataset = script, data_dir = data_dir, mode = wanted.mode, shots = wanted.shots, limit = wanted.limit,
    args = wanted.args, form = form }
  if not task then return nil, err end
  if task:size() == 0 then return fail("data", ("dataset '%s' has no rows"):format(script.name)) end
  local where = ("dataset '%s'"):format(script.name)
  local scorers
  scorers, err = load_scorers(wanted.scorers or script.scorers, task.mode, where)
  if not scorers then return nil, err end
  local headline = type(script.headline) == "table" and script.headline[task.mode]
  return { name = script.name, script = script, task = task, mode = task.mode, scorers = scorers, wanted = wanted,
    repeats = task.mode == "generate" and (wanted.repeats or benchmark.repeats) or 1,
    endpoint = wanted.endpoint, args = task.args, description = wanted.description, headline_metric = headline }
end

local function names_of(list)
  local names = {}
  for i, item in ipairs(list) do names[i] = item.name end
  return names
end

-- Scripts that any qlua of this installation finds by name; others are found by their path.
local FOUND_BY_NAME = { embedded = true, installed = true, ["source tree"] = true }

--- What a dialect may know of the questions: the simulated server plants its answers by this.
local function for_dialect(selections, data_dir, seed)
  local list = {}
  for i, one in ipairs(selections) do
    list[i] = { dataset = FOUND_BY_NAME[one.script.origin] and one.name or one.script.path, data_dir = data_dir, mode = one.mode,
      shots = one.task.plan.n, limit = one.wanted.limit, args = one.args, endpoint = one.endpoint,
      form = one.task.form, permute = one.wanted.permute,
      permute_seed = (one.wanted.permute or 0) > 0 and seed or nil, scorers = names_of(one.scorers) }
  end
  return list
end

-- What makes an answer this variant's: how it was served, not where.
local function identity_of(variant, dialect, launched)
  return hash.sha256(json.encode {
    engine = dialect.name, model = variant.model, argv = launched and json.array(launched.argv),
    env = variant.server.env, extra_body = variant.server.extra_body,
    base_url = not launched and variant.server.base_url or nil,
    query = not launched and next(variant.server.query or {}) and variant.server.query or nil,
    scoring = variant.server.scoring,
  })
end

local function check_variant(variant, is_offline, config)
  local dialect, err = registry.load("server", variant.engine)
  if not dialect then return nil, err end
  if dialect.check and not is_offline then
    local ok
    ok, err = dialect.check(variant, { find_on_path = sys.find_on_path, config = config })
    if not ok then return nil, err end
  end
  if not is_offline then
    local ok
    ok, err = ability.check_variant(dialect, variant)
    if not ok then return nil, err end
  end
  local problem = scoring.problem(scoring.of(dialect, variant))
  if problem then return fail("config", ("variant '%s': server.%s"):format(variant.name, problem)) end
  return { name = variant.name, variant = variant, dialect = dialect }
end

-- Adds the command line it will get and what that makes of its answers' identity.
local function complete_variant(one, context)
  one.launch = supervisor.plan(one.dialect, one.variant, context)
  one.variant.identity = identity_of(one.variant, one.dialect, one.launch)
end

local function check_abilities(made)
  for _, one in ipairs(made.variants) do
    for _, dataset in ipairs(made.datasets) do
      local ok, err = ability.check_dataset(one.dialect, one.variant, dataset)
      if not ok then return nil, err end
    end
  end
  return true
end

-- A misspelt layout must not be found when everything has been asked.
local function check_layouts(names)
  for _, name in ipairs(names) do
    local layout, err = registry.load("report", name)
    if not layout then return nil, err end
  end
  return true
end

--- Resolve and check.
-- @tparam table config resolved configuration
-- @tparam table options data_dir; is_offline: nothing will be started, so nothing needs to be installed; is_load_only: no
-- questions, only `benchmark.load`
-- @treturn ?table { config, variants = { {name, variant, dialect, launch} }, datasets = { {name, script, task, mode, scorers} },
--   simulated, load (`qlua.load.plan`) }; or nil and err
function plan.make(config, options)
  if #config.datasets == 0 and not options.is_load_only then
    return fail("config", "datasets: nothing to ask (want at least one dataset)", "name one: qlua run gsm8k …")
  end
  local data_dir = options.data_dir or config.data
  if options.data_dir and not file.stat(options.data_dir) then
    return fail("data", ("--data %s: no such folder"):format(options.data_dir))
  end
  local made = { config = config, data_dir = data_dir, variants = {}, datasets = {}, simulated = false }
  -- The variants come first: what is missing on the machine is said before 25,000 rows are read.
  for i, variant in ipairs(config.model.variants) do
    local one, err = check_variant(variant, options.is_offline, config)
    if not one then return nil, err end
    made.variants[i] = one
    made.simulated = made.simulated or one.dialect.simulated == true
  end
  local ok, layout_err = check_layouts(options.layouts or config.report.layouts)
  if not ok then return nil, layout_err end
  if config.benchmark.load then
    local err
    made.load, err = require("qlua.load.plan").make(config, { data_dir = data_dir })
    if not made.load then return nil, err end
  end
  for i, wanted in ipairs(options.is_load_only and {} or config.datasets) do
    local one, err = select_dataset(wanted, data_dir, config.benchmark)
    if not one then return nil, err end
    made.datasets[i] = one
  end
  if not options.is_offline then
    local is_able, err = check_abilities(made)
    if not is_able then return nil, err end
  end
  made.turned = permute.of(made)
  made.for_dialect = for_dialect(made.datasets, data_dir, permute.seed_of(config))
  for _, one in ipairs(made.variants) do complete_variant(one, { plan = made.for_dialect, config = config }) end
  return made
end

--- What must be the same for a run to be resumed: the questions, how they are asked and judged, who is asked.
-- @treturn table flat: what → value
function plan.fingerprint(made)
  local print = {}
  for _, one in ipairs(made.variants) do
    print["variant " .. one.name] = one.variant.identity
    print["sampling of variant " .. one.name] = json.encode(one.variant.generation)
    print["server script " .. one.dialect.name] = one.dialect.sha256
  end
  print["verdict rule"] = select(2, rule.of(made.config))
  if made.load then
    for what, value in pairs(require("qlua.load.plan").fingerprint(made.load)) do print[what] = value end
  end
  for _, one in ipairs(made.datasets) do
    print["dataset script " .. one.name] = one.script.sha256
    print["mode of dataset " .. one.name] = one.mode
    print["size of dataset " .. one.name] = one.task:size()
    if (one.wanted.permute or 0) > 0 then print["permuted share of dataset " .. one.name] = one.wanted.permute end
    if one.repeats > 1 then print["repeats of dataset " .. one.name] = one.repeats end
    print["shots of dataset " .. one.name] = one.task.plan.n
    print["arguments of dataset " .. one.name] = json.encode(one.args or {})
    print["endpoint of dataset " .. one.name] = one.endpoint or "completions"
    for _, scorer in ipairs(one.scorers) do print["scorer script " .. scorer.name] = scorer.sha256 end
    for _, used in ipairs(one.task.files) do print["data file " .. used.path:match "[^/]*/?[^/]*$"] = used.sha256 end
  end
  return print
end

--- What differs between two fingerprints, in words, sorted.
function plan.differences(old, new)
  local lines = {}
  for what, value in pairs(new) do
    if old[what] == nil then
      lines[#lines + 1] = what .. " is new"
    elseif old[what] ~= value then
      lines[#lines + 1] = what .. " has changed"
    end
  end
  for what in pairs(old) do
    if new[what] == nil then lines[#lines + 1] = what .. " is gone" end
  end
  table.sort(lines)
  return lines
end

return plan
