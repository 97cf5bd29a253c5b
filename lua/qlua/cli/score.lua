-- SPDX-License-Identifier: Apache-2.0
--- qlua score: what a dataset's scorers make of replies that another tool saved. Nothing is sent, no run is needed.

local say = require "qlua.cli.say"
local scripts = require "qlua.cli.scripts"

local TEXT = {
  replies = { en = "replies", zh = "回复" },
  of_samples = { en = "%d of %d samples (%s)", zh = "%d / %d 个样本（%s）" },
  matched = { en = "matched by", zh = "匹配方式" },
  order = { en = "order: the n-th row is the n-th sample", zh = "顺序：第 n 行对应第 n 个样本" },
  header = { { en = "scorer", zh = "评分器" }, { en = "accuracy", zh = "准确率" }, { en = "95 % interval", zh = "95% 区间" },
    { en = "correct", zh = "正确" }, { en = "invalid", zh = "无有效答案" }, { en = "why invalid", zh = "无效原因" } },
  disagree = { en = "scorers that disagree", zh = "评分器之间的分歧" },
  pair = { en = "%s right, %s not: %d%s; the other way round: %d%s", zh = "%s 判对而 %s 判错：%d%s；反之：%d%s" },
  file_says = { en = "what the file says itself", zh = "与文件自带结论比较" },
  no_peer = { en = "filter %s: none of these scorers stands for it", zh = "过滤器 %s：没有对应的评分器" },
  check = { en = "filter %s, scorer %s: %d answers and %d metrics compared, %d differ",
    zh = "过滤器 %s，评分器 %s：比较了 %d 个答案与 %d 个指标，%d 处不同" },
  difference = { en = "sample %d (line %d) %s: the file %s, qlua %s", zh = "样本 %d（第 %d 行）%s：文件为 %s，qlua 为 %s" },
  others = { en = "note: %d rows have another question than the dataset, the first on line %d\n",
    zh = "注意：%d 行的题目与数据集不同，首见于第 %d 行\n" },
}

local SHOWN = 5 -- indices in a sentence; all of them are in --json

local function fail(kind, text, hint) return nil, { kind = kind, text = text, hint = hint } end

-- ---- opening ----------------------------------------------------------------------------------------------------

local function open_task(opts, word, mode)
  local script, err = scripts.load("dataset", word)
  if not script then return nil, err end
  local is_able = false
  for _, able in ipairs(script.modes) do is_able = is_able or able == mode end
  return require("qlua.tasks").open { dataset = script, data_dir = scripts.data_dirs(opts.data, word), mode = is_able and mode or nil,
    shots = script.shots and 0 or nil, split = opts.split }
end

local function load_scorers(script, wanted, mode)
  local registry, list = require "qlua.registry", {}
  for i, name in ipairs(wanted or script.scorers) do
    local scorer, err = registry.load("scorer", name)
    if not scorer then return nil, err end
    list[i] = scorer
  end
  local fitting = require("qlua.evaluate").for_mode(list, mode)
  if #fitting > 0 then return fitting end
  return fail("usage", ("qlua score: none of the scorers of '%s' (%s) judges %s"):format(script.name,
    table.concat(wanted or script.scorers, ", "), mode == "generate" and "text" or "log-probabilities"),
    "name one with --scorer; 'qlua list scorers' shows all")
end

-- The samples that the file is about: all, or one group's, which the harness's file name tells.
local function positions_of(task, group, path)
  local groups, positions = {}, {}
  for _, entry in ipairs(task.entries) do
    if entry.group then groups[entry.group] = true end
  end
  if group and not groups[group] then return fail("usage", ("qlua score: --group: no group '%s' in %s"):format(group, task.name)) end
  local stem = path:match "samples_(.*)_[^_/]*$"
  local told = stem and stem:sub(1, #task.name + 1) == task.name .. "_" and stem:sub(#task.name + 2)
  group = group or (told and groups[told] and told or nil)
  for i = 0, task:size() - 1 do
    if not group or task.entries[i + 1].group == group then positions[#positions + 1] = i end
  end
  return positions, group
end

local function ids_of(task, positions)
  local by_id = {}
  for at, index in ipairs(positions) do by_id[("%s/%s/%d"):format(task.name, task.split, index)] = at - 1 end
  return by_id
end

-- ---- showing ----------------------------------------------------------------------------------------------------

local function percent(share) return share and ("%.2f %%"):format(100 * share) or "-" end

local function reasons(tally)
  local names, parts = {}, {}
  for name in pairs(tally.outcomes) do
    if name ~= "correct" and name ~= "wrong" then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = ("%s %d"):format(name, tally.outcomes[name]) end
  return #parts > 0 and table.concat(parts, ", ") or "-"
end

local function print_scorers(result)
  local rows = { {} }
  for i, title in ipairs(TEXT.header) do rows[1][i] = say.pick(title) end
  for _, tally in ipairs(result.scorers) do
    local interval = tally.low and ("%.2f - %.2f"):format(100 * tally.low, 100 * tally.high) or "-"
    rows[#rows + 1] = { tally.scorer, percent(tally.accuracy), interval, ("%d/%d"):format(tally.correct, tally.answered),
      tostring(tally.invalid), reasons(tally) }
    local metrics = {}
    for name in pairs(tally.metrics) do metrics[#metrics + 1] = name end
    table.sort(metrics)
    for _, name in ipairs(metrics) do rows[#rows + 1] = { "  " .. name, percent(tally.metrics[name]), "", "", "", "" } end
  end
  say.columns(rows)
end

local function some(list)
  if #list == 0 then return "" end
  local shown = {}
  for i = 1, math.min(SHOWN, #list) do shown[i] = tostring(list[i]) end
  return (" (%s%s)"):format(table.concat(shown, ", "), #list > SHOWN and ", …" or "")
end

local function print_checks(checks)
  say.line()
  say.line(say.pick(TEXT.file_says))
  for _, check in ipairs(checks) do
    if not check.scorer then
      say.line("  ", say.pick(TEXT.no_peer):format(check.filter))
    else
      say.line("  ", say.pick(TEXT.check):format(check.filter, check.scorer, check.values_compared, check.metrics_compared,
        #check.differences))
      for _, one in ipairs(check.differences) do
        say.line("    ", say.pick(TEXT.difference):format(one.index, one.line, one.what, tostring(one.file), tostring(one.qlua)))
      end
    end
  end
end

local function print_result(result)
  say.columns {
    { result.dataset, result.file },
    { say.pick(TEXT.replies), say.pick(TEXT.of_samples):format(result.replies, result.samples,
      result.format .. (result.field and ", " .. result.field or "")) },
    { say.pick(TEXT.matched), result.matched_by == "order" and say.pick(TEXT.order) or result.matched_by },
  }
  say.line()
  print_scorers(result)
  local has_title = false
  for _, pair in ipairs(result.disagreements) do
    if #pair.only_first + #pair.only_second > 0 then
      if not has_title then
        say.line()
        say.line(say.pick(TEXT.disagree))
        has_title = true
      end
      local a, b = pair.scorers[1], pair.scorers[2]
      say.line("  ", say.pick(TEXT.pair):format(a, b, #pair.only_first, some(pair.only_first), #pair.only_second, some(pair.only_second)))
    end
  end
  if #result.checks > 0 then print_checks(result.checks) end
end

local function as_json(result)
  local array = require("qlua.core.json").array
  for _, key in ipairs { "scorers", "disagreements", "checks", "items" } do array(result[key]) end
  for _, pair in ipairs(result.disagreements) do array(pair.scorers) array(pair.only_first) array(pair.only_second) end
  for _, check in ipairs(result.checks) do array(check.differences) end
  return require("qlua.core.json").encode(result) .. "\n"
end

local FIELDS = { "outcome", "score", "value", "how" }

local function as_csv(result)
  local record = require("qlua.exchange.columns").csv_record
  local names, lines = { "index", "id", "line", "target" }, {}
  for _, tally in ipairs(result.scorers) do
    for _, field in ipairs(FIELDS) do names[#names + 1] = tally.scorer .. "." .. field end
  end
  lines[1] = record(names, #names)
  for _, item in ipairs(result.items) do
    local values = { item.index, item.id, item.line, item.target }
    for i, tally in ipairs(result.scorers) do
      for k, field in ipairs(FIELDS) do values[4 + (i - 1) * #FIELDS + k] = item.scores[tally.scorer][field] end
    end
    lines[#lines + 1] = record(values, #names)
  end
  return table.concat(lines, "\n") .. "\n"
end

-- ---- the command --------------------------------------------------------------------------------------------------

local function refuse_other_targets(result, path)
  local first = result.other.first_target
  if not first then return end
  error({ kind = "data", text = ("%s:%d: target: want the dataset's \"%s\", got \"%s\" (%d rows differ)"):format(path, first.line,
    first.dataset, first.file, result.other.targets),
    hint = "another dataset, version, split (--split) or group (--group); --match order does not look at doc_id" }, 0)
end

-- Log-probabilities or text: the first row tells, and with it which task and scorers are needed.
local function read_and_score(opts, word, path)
  local saved_replies = require "qlua.exchange.saved_replies"
  local mode = saved_replies.mode_of(path, opts.format or "auto")
  local task, err = open_task(opts, word, mode)
  if not task then return nil, err end
  local scorers
  scorers, err = load_scorers(task.script, opts.scorer, mode)
  if not scorers then return nil, err end
  local positions, group = positions_of(task, opts.group, path)
  if not positions then return nil, group end
  local saved = saved_replies.read(path, { format = opts.format or "auto", match = opts.match or "auto", field = opts.field,
    size = #positions, by_id = ids_of(task, positions) })
  local result = require("qlua.exchange.score_saved").score(task, scorers, saved, positions)
  refuse_other_targets(result, path)
  result.dataset, result.file, result.format, result.field, result.matched_by, result.group = task.name, path, saved.format, saved.field,
    saved.matched_by, group
  return result
end

local function run(opts, given)
  local result, err = read_and_score(opts, given[1], given[2])
  if not result then return nil, err end
  if result.other.questions > 0 then
    io.stderr:write(say.pick(TEXT.others):format(result.other.questions, result.other.first_question))
  end
  if not (opts.json or opts.csv) then
    print_result(result)
    if not opts.out then return 0 end
  end
  local text = opts.csv and as_csv(result) or as_json(result)
  local ok
  if opts.out then ok, err = require("qlua.core.file").write(opts.out, text) else ok, err = require("qlua.core.term").write(1, text) end
  if not ok then return nil, err end
  return 0
end

return {
  name = "score",
  summary = { en = "score replies that another tool saved", zh = "对其他工具保存的回复评分" },
  usage = "qlua score DATASET FILE [--field PATH] [--scorer NAME] [options]",
  details = { en = "FILE is lm-eval's samples_*.jsonl, or JSON lines with a reply in some field. See docs/exchange.md.",
    zh = "FILE 为 lm-eval 的 samples_*.jsonl，或每行含一条回复的 JSON lines 文件。见 docs/exchange.md。" },
  positional = {
    { name = "DATASET", required = true, summary = { en = "a dataset, by name or path", zh = "数据集的名称或脚本路径" } },
    { name = "FILE", required = true, summary = { en = "the saved replies; may be compressed", zh = "保存的回复文件，可为压缩文件" } },
  },
  options = {
    { long = "format", arg = "FORMAT", allowed = { "auto", "lm-eval", "jsonl" },
      summary = { en = "auto (default), lm-eval or jsonl", zh = "auto（默认）、lm-eval 或 jsonl" } },
    { long = "field", arg = "PATH", summary = { en = "where a row has its reply, e.g. reply, choices.0.message.content",
      zh = "回复所在字段，如 reply、choices.0.message.content" } },
    { long = "match", arg = "FIELD", summary = { en = "the field that numbers the samples from 0 or names them, or order (default: auto)",
      zh = "给出样本序号（从 0 开始）或标识的字段；order 表示按行序（默认 auto）" } },
    { long = "scorer", arg = "NAME", repeated = true,
      summary = { en = "this scorer instead of the dataset's", zh = "改用该评分器" } },
    { long = "group", arg = "NAME", summary = { en = "the file holds this group of the dataset only", zh = "文件只含数据集的该分组" } },
    { long = "split", arg = "SPLIT", summary = { en = "another split than the evaluated one", zh = "改用其他数据划分" } },
    { long = "data", arg = "DIR", summary = { en = "folder of the data", zh = "数据目录" } },
    { long = "json", summary = { en = "everything, with a record for each reply, as JSON", zh = "以 JSON 输出全部内容，含每条回复的记录" } },
    { long = "csv", summary = { en = "a row for each reply, as CSV", zh = "以 CSV 输出，每条回复一行" } },
    { long = "out", arg = "FILE", summary = { en = "write to this file (JSON, unless --csv)", zh = "写入该文件（默认 JSON，除非指定 --csv）" } },
  },
  run = run,
}
