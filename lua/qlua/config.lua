-- SPDX-License-Identifier: Apache-2.0
--- Configuration: layers in, one plain table out.
-- Precedence: command line over suite over file over defaults. Each resolved value knows where it came from
-- (`config.origin`). The resolved table has no metatables and no nodes:
--
--   { model = { base_name, variants = { { name, description = {en,zh}, model, engine, quantization,
--                                         kv_cache_dtype, server = {…}, generation = {…}, sim = {…} }, … } },
--     datasets = { { name, description, type, num_samples, limit, mode, shots, scorers, args, form, endpoint }, … },
--     data = "folder" or nil, server = {…}, generation = {…}, benchmark = {…}, report = {…}, verdict = {…}, sim = {…} }
--
-- A variant's `server`, `generation` and `sim` are complete: defaults, the file's section and the variant's own.

local check = require "qlua.config_check"
local nearest = require "qlua.nearest"
local schema = require "qlua.config_schema"
local tree = require "qlua.config_tree"
local variants = require "qlua.config_variants"

local config = {}

-- What is known about a resolved table beside its contents; gone when the table is.
local known = setmetatable({}, { __mode = "k" })

local function fail(text, hint, kind) return nil, { kind = kind or "config", text = text, hint = hint } end

-- ---- layers ----------------------------------------------------------------------------------------------

local function read_file(path)
  local file = require "qlua.core.file"
  local text, err = file.read(path)
  if not text then
    return fail(("%s: cannot be read: %s"):format(path, err and err.text or "no such file"), nil)
  end
  local node, parse_err = require("qlua.core.yaml").parse(text, path)
  if not node then
    parse_err.kind = "config"
    return nil, parse_err
  end
  return tree.stamp(node, { name = path, marked = true })
end

-- A suite's datasets are the list that counts; what the file says about a dataset of that name still holds.
local function apply_suite_datasets(root, suite, source)
  local old = tree.child(root, "datasets")
  local list = { kind = "list", items = {}, source = source }
  for i, wanted in ipairs(suite.datasets) do
    local over = tree.from_lua(type(wanted) == "table" and wanted or { name = wanted }, source)
    local name = tree.name_of(over)
    local item = over
    for _, candidate in ipairs(old and old.items or {}) do
      if tree.name_of(candidate) == name then
        item = type(wanted) == "table" and tree.overlay(candidate, over) or candidate
      end
    end
    list.items[i] = item
  end
  tree.put(root, "datasets", list)
end

local function apply_suite(root, suite)
  -- what the command line names is a suite as well, made on the spot
  local source = { name = suite.path and "suite " .. suite.name or suite.name or "suite" }
  if suite.datasets and type(suite.datasets) ~= "table" then
    return fail(("%s: field 'datasets': want a list of names, got %s"):format(suite.path or source.name,
      type(suite.datasets)), nil, "script")
  end
  if suite.datasets then apply_suite_datasets(root, suite, source) end
  if suite.reports then
    tree.put(tree.ensure(root, "report", "map", source), "layouts", tree.from_lua(suite.reports, source))
  end
  if suite.settings then tree.overlay(root, tree.from_lua(suite.settings, source)) end
  return true
end

local function set_path(root, path, node, source)
  local done, text, hint = tree.set(root, path, node)
  if done then return true end
  return fail(("%s%s: %s"):format(tree.mark(source), path, text), hint, "usage")
end

local function apply_set(root, setting)
  local path, text = setting:match("^([^=]+)=(.*)$")
  if not path then
    return fail(("--set %s: want KEY=VALUE"):format(setting), "for instance --set server.port=8001", "usage")
  end
  local source = { name = "--set", prefix = " ", typed = path }
  local node, err = require("qlua.core.yaml").parse(text, "--set " .. path)
  if not node and text:match("^%s*$") then node = { kind = "scalar" } end
  if not node then
    err.kind = "usage"
    return nil, err
  end
  return set_path(root, path, tree.stamp(node, source), source)
end

-- Command line: first the options that have a name of their own, then --set, which may reach anything.
local function apply_overrides(root, overrides)
  for _, value in ipairs(overrides.values or {}) do
    local source = { name = value.option }
    local done, err = set_path(root, value.path, tree.from_lua(value.value, source), source)
    if not done then return nil, err end
  end
  local limit = overrides.limit
  if limit then
    local datasets = tree.child(root, "datasets")
    for _, item in ipairs(datasets and datasets.items or {}) do
      if item.kind == "map" then tree.put(item, "limit", tree.from_lua(limit, { name = "--limit" })) end
    end
  end
  if overrides.wants_load then -- an empty section is a wish too
    local source = { name = "command line" }
    tree.ensure(tree.ensure(root, "benchmark", "map", source), "load", "map", source)
  end
  for _, setting in ipairs(overrides.set or {}) do
    local done, err = apply_set(root, setting)
    if not done then return nil, err end
  end
  return true
end

-- ---- after the check ---------------------------------------------------------------------------------------

-- A folder named in a file is relative to that file; `a/b/../c` is a/c, so that the name reads like one.
local function finish_data(resolved, origins, file_name)
  local data = resolved.data
  if not data or data:sub(1, 1) == "/" or not file_name or origins.data:sub(1, #file_name) ~= file_name then return end
  local path = (file_name:match("^(.*/)[^/]*$") or "") .. data
  local before
  repeat
    before = path
    path = path:gsub("([^/]+)/%.%./", function(name) return name ~= ".." and "" or nil end, 1)
  until path == before
  resolved.data = path
end

local function finish_datasets(datasets, origins)
  for _, dataset in ipairs(datasets) do
    for key, value in pairs(dataset) do
      if value == check.UNSET then dataset[key] = nil end
    end
    if not dataset.limit then
      local path = "datasets." .. dataset.name .. "."
      dataset.limit, origins[path .. "limit"] = dataset.num_samples, origins[path .. "num_samples"]
    end
    dataset.description = dataset.description or { en = dataset.name, zh = dataset.name }
  end
end

-- ---- selection -------------------------------------------------------------------------------------------

-- Keep the elements that are named, in the order of the list; an unknown name is an error with the nearest.
local function select_named(list, wanted, noun)
  if not wanted or #wanted == 0 then return list end
  local names, asked, out = {}, {}, {}
  for i, item in ipairs(list) do names[i] = item.name end
  for _, name in ipairs(wanted) do asked[name] = true end
  for _, item in ipairs(list) do
    if asked[item.name] then
      out[#out + 1] = item
      asked[item.name] = nil
    end
  end
  for _, name in ipairs(wanted) do
    if asked[name] then
      return fail(("--%s %s: no such %s in this configuration"):format(noun, name, noun),
        nearest.hint(name, names), "usage")
    end
  end
  return out
end

local function check_baseline(resolved, origins)
  local baseline = resolved.report.baseline
  if not baseline then return true end
  local names = {}
  for i, variant in ipairs(resolved.model.variants) do
    if variant.name == baseline then return true end
    names[i] = variant.name
  end
  return fail(("%s: report.baseline: no variant is named '%s'"):format(origins["report.baseline"], baseline),
    nearest.hint(baseline, names))
end

local function select_all(resolved, overrides)
  local kept, err = select_named(resolved.model.variants, overrides.variants, "variant")
  if not kept then return nil, err end
  resolved.model.variants = kept
  kept, err = select_named(resolved.datasets, overrides.datasets, "dataset")
  if not kept then return nil, err end
  resolved.datasets = kept
  return true
end

-- ---- the whole -------------------------------------------------------------------------------------------

local function resolve(root, overrides, suite, file_name)
  tree.spell_out(tree.child(root, "datasets"))
  if suite then
    local is_right, suite_err = apply_suite(root, suite)
    if not is_right then return nil, suite_err end
  end
  local done, err = apply_overrides(root, overrides)
  if not done then return nil, err end
  local ctx = { errors = {}, origins = {} }
  local resolved = check.node(ctx, root, schema.root, "")
  if #ctx.errors > 0 then
    local first = table.remove(ctx.errors, 1)
    first.others = ctx.errors
    return nil, first
  end
  local own = resolved.model.variants
  resolved.model.variants = {}
  for i, variant in ipairs(own) do resolved.model.variants[i] = variants.resolve(variant, resolved, ctx.origins) end
  finish_datasets(resolved.datasets, ctx.origins)
  finish_data(resolved, ctx.origins, file_name)
  done, err = check_baseline(resolved, ctx.origins)
  if not done then return nil, err end
  local overridden = {}
  for _, variant in ipairs(own) do overridden[variant.name] = variant end
  known[resolved] = { origins = ctx.origins, own = overridden, file = file_name, suite = suite and suite.name }
  done, err = select_all(resolved, overrides)
  if not done then return nil, err end
  return resolved
end

--- Load a configuration.
-- @tparam ?string path a YAML file, by path or name; nil for the suite's own
-- @tparam ?table overrides from the command line: `set` list of "key=value", `values` list of
--   `{ path, value, option }`, `variants`, `datasets` names to keep, `limit`
-- @tparam ?table suite a suite script: `config`, `datasets`, `reports`, and `settings`, a map like the file
-- @treturn[1] table resolved configuration
-- @treturn[2] nil
-- @treturn[2] table error; `others` lists further errors of the same file
function config.load(path, overrides, suite)
  local wanted, beside = path, nil
  if not path and suite then wanted, beside = suite.config, suite.path end
  if not wanted then return fail("no configuration", "name one with --config FILE", "usage") end
  local err
  path, err = require("qlua.config_find").find(wanted, beside)
  if not path then return nil, err end
  local root
  root, err = read_file(path)
  if not root then return nil, err end
  if tree.is_null(root) then root = { kind = "map", entries = {}, source = root.source, line = 1, column = 1 } end
  if root.kind ~= "map" then return fail(("%s:1:1: want a map with the key 'model'"):format(path)) end
  return resolve(root, overrides or {}, suite, path)
end

--- A configuration for one server that is already running, without any file.
-- @tparam table options `url`, `model`, `datasets` list of names, `name` of the variant (default: the model's),
--   `engine` (default external), `overrides`, `suite`
-- @treturn[1] table resolved configuration
-- @treturn[2] nil
-- @treturn[2] table error
function config.from_url(options)
  if not options.model then
    return fail("--url wants --model NAME as well", "the server's own list is at URL/models", "usage")
  end
  local name = options.name or options.model:match("[^/]+$"):gsub("[^%w._%-]", "_"):gsub("^[^%w]", "x")
  local from_url, from_model = { name = "--url" }, { name = "--model" }
  local root = { kind = "map", entries = {}, source = from_url }
  local model = tree.ensure(root, "model", "map", from_model)
  tree.put(model, "base_name", tree.from_lua(options.model, from_model))
  local variant = tree.from_lua({ name = name, model = options.model }, from_model)
  tree.put(variant, "base_url", tree.from_lua(options.url, from_url))
  tree.put(variant, "engine", tree.from_lua(options.engine or "external", from_url))
  tree.put(model, "variants", { kind = "list", items = { variant }, source = from_url })
  local datasets = { kind = "list", items = {}, source = { name = "command line" } }
  for i, dataset in ipairs(options.datasets or {}) do
    datasets.items[i] = tree.from_lua(type(dataset) == "table" and dataset or { name = dataset }, datasets.source)
  end
  tree.put(root, "datasets", datasets)
  return resolve(root, options.overrides or {}, options.suite)
end

--- Where a resolved value came from.
-- @tparam table resolved
-- @tparam string path e.g. `server.port`, `variants.fp8.server.port`, `datasets.gsm8k.limit`
-- @treturn string `file:line`, `default`, `--set`, `suite NAME` or the option
function config.origin(resolved, path)
  local about = known[resolved]
  return about and about.origins[(path:gsub("^model%.variants", "variants"))] or "default"
end

--- What is known about a resolved table: `file`, `suite`, and `own`: by variant, what it said itself.
function config.about(resolved) return known[resolved] or { origins = {}, own = {} } end

--- Options that commands taking a configuration share; put them into a command's `options`.
config.options = {
  { long = "config", arg = "FILE", type = "string",
    summary = { en = "configuration file, in place of the suite's own", zh = "配置文件，替代套件自带的配置" } },
  { long = "set", arg = "KEY=VALUE", type = "string", repeated = true,
    summary = { en = "override one value, e.g. server.port=8001", zh = "覆盖单个配置项，例如 server.port=8001" } },
  { long = "variant", arg = "NAME", type = "string", repeated = true,
    summary = { en = "only this variant", zh = "只评测该变体" } },
  { long = "dataset", arg = "NAME", type = "string", repeated = true,
    summary = { en = "only this dataset", zh = "只评测该数据集" } },
  { long = "limit", arg = "N", type = "integer", min = 1,
    summary = { en = "only the first N samples of each dataset", zh = "每个数据集只取前 N 个样本" } },
  { long = "concurrency", arg = "N", type = "integer", min = 1,
    summary = { en = "most requests in flight", zh = "最大并发请求数" } },
}

--- The overrides that parsed options ask for.
-- @tparam table opts as `qlua.cli.args` gives them
-- @treturn table for `config.load`
function config.overrides(opts)
  local values = {}
  local function add(path, value, option)
    if value ~= nil then values[#values + 1] = { path = path, value = value, option = option } end
  end
  add("benchmark.concurrency", opts.concurrency, "--concurrency")
  add("report.language", opts.language, "--language")
  return { set = opts.set, values = values, variants = opts.variant, datasets = opts.dataset, limit = opts.limit }
end

return config
