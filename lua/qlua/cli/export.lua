-- SPDX-License-Identifier: Apache-2.0
--- qlua export: a run's answers for other tools: the reference harness's files, CSV, JSON lines. The run is only read.

local nearest = require "qlua.nearest"
local say = require "qlua.cli.say"

local function fail(kind, text, hint) return nil, { kind = kind, text = text, hint = hint } end

-- The names asked for, in the run's order, also as a set; all when none was asked for, but for what only a name brings.
local function chosen(records, words, flag, by_name_only)
  local names, list = {}, {}
  for i, record in ipairs(records) do names[i], names[record.name] = record.name, true end
  if words and by_name_only then names[#names + 1], names[by_name_only.name] = by_name_only.name, true end
  for _, word in ipairs(words or {}) do
    if not names[word] then
      return fail("usage", ("qlua export: --%s: want one of %s, got \"%s\""):format(flag, table.concat(names, ", "), word),
        nearest.hint(word, names))
    end
    list[word] = true
  end
  for _, name in ipairs(names) do
    if list[name] or not words then list[#list + 1], list[name] = name, true end
  end
  return list
end

local function kept(list, names)
  local result = {}
  for _, item in ipairs(list) do
    if names[item.name] then result[#result + 1] = item end
  end
  return result
end

local function export_lm_eval(store, wanted, opts)
  if not opts.out then return fail("usage", "qlua export: --format lm-eval wants a folder to write to: --out DIR") end
  local rescore = require "qlua.rescore"
  local config = store:meta "config"
  config.model.variants = kept(config.model.variants, wanted.variants)
  local data_dir = opts.data or store:meta "data_dir"
  local made, err = require("qlua.plan").make(config, { data_dir = data_dir, is_offline = true })
  if not made then return nil, err end
  made.datasets = kept(made.datasets, wanted.datasets)
  rescore.restore_identities(store, made)
  store.session = store:one("SELECT max(number) AS number FROM session").number
  local offsets = rescore.offsets(store, config)
  local written = require("qlua.exchange.lm_eval_export").write { store = store, run = wanted.run, made = made, config = config,
    out = opts.out:gsub("/+$", ""), job = function(one, dataset) return rescore.job(store, one, dataset, offsets) end }
  for _, one in ipairs(written) do
    say.line(one.path)
    if one.left_out > 0 then
      io.stderr:write(say.pick { en = "%s: %d questions ended in an error and have no row\n", zh = "%s：%d 道题以错误告终，未导出\n" }
        :format(one.variant, one.left_out))
    end
  end
  return 0
end

local function export_load(store, wanted, opts)
  if not opts.out then return fail("usage", "qlua export: --format vllm wants a folder to write to: --out DIR") end
  local paths, err = require("qlua.exchange.vllm_export").write { store = store, run = wanted.run, out = opts.out:gsub("/+$", ""),
    variants = wanted.variants, is_detailed = opts.detailed }
  if not paths then return nil, err end
  for _, path in ipairs(paths) do say.line(path) end
  return 0
end

local function export_columns(store, wanted, opts)
  local writer = require "qlua.exchange.writer"
  local out = writer.open(opts.out)
  local ok, count = pcall(require("qlua.exchange.columns").write, store, wanted, out)
  if not ok then
    out:abandon()
    error(count, 0)
  end
  out:close()
  if opts.out then say.line(opts.out, "  ", say.pick { en = "%d answers", zh = "%d 条答案" }:format(count)) end
  return 0
end

local function run(opts, given)
  local dir = given[1]:gsub("/+$", "")
  if not require("qlua.core.file").stat(dir .. "/run.db") then
    return fail("usage", ("qlua export: %s: no run.db there"):format(dir), "want the folder of a run")
  end
  local store, err = require("qlua.run_store").open(dir, { read_only = true })
  if not store then return nil, err end
  local wanted = { run = dir:match "([^/]+)$", format = opts.format }
  wanted.variants, err = chosen(store:variants(), opts.variant, "variant",
    (opts.format == "csv" or opts.format == "jsonl") and store:control() or nil)
  if not wanted.variants then return nil, err end
  wanted.datasets, err = chosen(store:datasets(), opts.dataset, "dataset")
  if not wanted.datasets then return nil, err end
  local export = ({ ["lm-eval"] = export_lm_eval, vllm = export_load })[opts.format] or export_columns
  local code
  code, err = export(store, wanted, opts)
  store:close()
  return code, err
end

return {
  name = "export",
  summary = { en = "write a run's answers for other tools", zh = "将一次运行的答案导出给其他工具" },
  usage = "qlua export RUN --format lm-eval|csv|jsonl|vllm [--out PATH] [options]",
  details = {
    en = "lm-eval: the reference harness's folders, one for each variant; csv, jsonl: a row per answer; vllm: the JSON of serving "
      .. "benchmarks, a file for each measurement under load. See docs/exchange.md.",
    zh = "lm-eval：按参考评测框架的目录结构，每个变体一个目录；csv、jsonl：每条答案一行；vllm：服务基准测试的 JSON，每次负载测量一个文件。见 docs/exchange.md。" },
  positional = { { name = "RUN", required = true, summary = { en = "folder of a run", zh = "运行目录" } } },
  options = {
    { long = "format", arg = "FORMAT", allowed = { "lm-eval", "csv", "jsonl", "vllm" },
      summary = { en = "lm-eval, csv, jsonl or vllm", zh = "lm-eval、csv、jsonl 或 vllm" } },
    { long = "out", arg = "PATH", summary = { en = "the folder (lm-eval, vllm) or file to write; csv and jsonl default to standard output",
      zh = "写入的目录（lm-eval、vllm）或文件；csv 与 jsonl 默认输出到标准输出" } },
    { long = "detailed", summary = { en = "with a list per request (vllm)", zh = "附每个请求的明细（仅 vllm）" } },
    { long = "variant", arg = "NAME", repeated = true, summary = { en = "only this variant", zh = "只导出该变体" } },
    { long = "dataset", arg = "NAME", repeated = true, summary = { en = "only this dataset", zh = "只导出该数据集" } },
    { long = "data", arg = "DIR",
      summary = { en = "folder of the datasets, where it has moved (lm-eval)", zh = "数据集目录（若已移动，仅 lm-eval 需要）" } },
  },
  run = function(opts, given)
    if not opts.format then
      return fail("usage", "qlua export: --format is missing (want lm-eval, csv, jsonl or vllm)")
    end
    return run(opts, given)
  end,
}
