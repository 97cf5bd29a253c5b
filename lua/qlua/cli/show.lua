-- SPDX-License-Identifier: Apache-2.0
--- qlua show: what a dataset asks, byte for byte, and what its scorers make of a reply; nothing is sent anywhere.

local say = require "qlua.cli.say"
local scripts = require "qlua.cli.scripts"

local TEXT = {
  sample = { en = "sample", zh = "样本" },
  target = { en = "target", zh = "标准答案" },
  choices = { en = "choices", zh = "选项" },
  mode = { en = "mode", zh = "提问方式" },
  shots = { en = "shots", zh = "示例数" },
  prompt = { en = "prompt, %d bytes", zh = "提示词，%d 字节" },
  turn = { en = "turn %d, %s", zh = "第 %d 轮，%s" },
  stop = { en = "stop", zh = "停止文本" },
  continuations = { en = "continuations", zh = "续写" },
  converse = { en = "asks in several turns (converse): its prompts are made while it runs",
    zh = "多轮对话（converse）：提示词在运行时逐轮生成" },
  reply = { en = "what the scorers say", zh = "评分器的判断" },
  scorers = { en = "scorers", zh = "评分器" },
}

local function reply_text(given)
  local path = given:match("^@(.+)$")
  if not path then return given end
  if path == "-" then return io.stdin:read("a") end
  return require("qlua.core.file").read(path)
end

local function load_scorers(script, wanted)
  local registry = require "qlua.registry"
  local list = {}
  for i, name in ipairs(wanted or script.scorers) do
    local scorer, err = registry.load("scorer", name)
    if not scorer then return nil, err end
    list[i] = scorer
  end
  -- a reply is text, whatever the mode; a scorer that was asked for by name is shown in any case
  local fitting = wanted and list or require("qlua.evaluate").for_mode(list, "generate")
  if #fitting > 0 then return fitting end
  return nil, { kind = "usage", text = ("qlua show: --reply: none of the scorers of '%s' (%s) judges text"):format(
    script.name, table.concat(script.scorers, ", ")), hint = "name one with --scorer; 'qlua list scorers' shows all" }
end

-- The prompt, or for a dataset of several turns none.
local function prompt_of(task, index)
  if task.script.converse and not task.script.prompt then
    local sample, err = task:sample(index)
    return false, sample, err
  end
  local prompt, sample = task:prompt(index)
  if not prompt then return nil, nil, sample end
  return prompt, sample
end

local function describe(task, index, scorers, reply)
  local prompt, sample, err = prompt_of(task, index)
  if not sample then return nil, err end
  local about = {
    dataset = task.name, id = sample.id, index = sample.index, split = sample.split, count = task:size(),
    place = task:place(index), mode = task.mode, shots = task.plan.n, group = sample.group,
    scorers = task.script.scorers,
    input = sample.input, target = sample.target, choices = sample.choices, row_sha256 = sample.row_sha256,
  }
  if prompt then
    about.prompt = prompt
    about.prompt_sha256 = require("qlua.prompts").sha256(prompt)
    about.prompt_bytes = prompt.text and #prompt.text or nil
  end
  if reply then
    local evaluate = require "qlua.evaluate"
    about.reply, about.scores = reply, {}
    for _, scorer in ipairs(scorers) do
      local judged = evaluate.response({ scorer }, { text = reply, finish = "stop" }, sample)
      judged.scores = nil
      about.scores[scorer.name] = judged
    end
  end
  return about
end

local function heading(text) say.line("--- ", text, " ---") end

local function print_prompt(about)
  local prompt = about.prompt
  if not prompt then return say.line(say.pick(TEXT.converse)) end
  say.line("prompt_sha256  ", about.prompt_sha256)
  if prompt.text then
    heading(say.pick(TEXT.prompt):format(#prompt.text))
    say.line(prompt.text)
  else
    for i, message in ipairs(prompt.messages) do
      heading(say.pick(TEXT.turn):format(i, message.role))
      say.line(message.content)
    end
  end
  local encode = require("qlua.core.json").encode
  local array = require("qlua.core.json").array
  for _, key in ipairs { "stop", "continuations" } do
    if prompt[key] then
      heading(say.pick(TEXT[key]))
      say.line(encode(array(table.move(prompt[key], 1, #prompt[key], 1, {}))))
    end
  end
end

local function print_scores(about, scorers)
  heading(say.pick(TEXT.reply))
  local rows = {}
  for i, scorer in ipairs(scorers) do
    local judged = about.scores[scorer.name]
    rows[i] = { scorer.name, judged.outcome, judged.score and ("%g"):format(judged.score) or "-",
      judged.error_text or (judged.value and ("%s (%s)"):format(judged.value, judged.how or "?")) or "-" }
  end
  say.columns(rows)
end

local function print_sample(about, scorers)
  local rows = {
    { say.pick(TEXT.sample), ("%s (%d), %s"):format(about.id, about.count, about.place) },
    { say.pick(TEXT.mode), ("%s, %s %d"):format(about.mode, say.pick(TEXT.shots), about.shots) },
    { say.pick(TEXT.target), tostring(about.target) },
  }
  for i, choice in ipairs(about.choices or {}) do
    rows[#rows + 1] = { i == 1 and say.pick(TEXT.choices) or "", ("%d  %s"):format(i - 1, choice) }
  end
  say.columns(rows)
  print_prompt(about)
  if about.scores then return print_scores(about, scorers) end
  heading(say.pick(TEXT.scorers))
  say.line(table.concat(about.scorers, ", "))
end

local function marked(about)
  local array = require("qlua.core.json").array
  local function as_list(list) return list and array(table.move(list, 1, #list, 1, {})) end
  about.choices = as_list(about.choices)
  if about.prompt then
    about.prompt.stop, about.prompt.continuations = as_list(about.prompt.stop), as_list(about.prompt.continuations)
  end
  return about
end

local function open_task(opts, word)
  local script, err = scripts.load("dataset", word)
  if not script then return nil, err end
  return require("qlua.tasks").open { dataset = script, data_dir = scripts.data_dirs(opts.data, word), mode = opts.mode,
    shots = opts.shots, split = opts.split, form = opts.form }
end

local function print_digest(task, opts)
  if task.script.converse and not task.script.prompt then
    return nil, { kind = "usage", text = ("qlua show: --digest: dataset '%s' %s"):format(task.name, TEXT.converse.en) }
  end
  local digest, err = task:digest()
  if not digest then return nil, err end
  if opts.json then say.json { dataset = task.name, count = task:size(), digest = digest }
  else say.line(digest) end
  return 0
end

local function run(opts, given)
  local task, err = open_task(opts, given[1])
  if not task then return nil, err end
  for _, note in ipairs(task.notes) do
    if note.kind ~= "sha256" then io.stderr:write("note: ", say.pick(note), "\n") end
  end
  if opts.digest then return print_digest(task, opts) end
  local index = opts.sample or 0
  if index >= task:size() then
    return nil, { kind = "usage", text = ("qlua show: --sample: want an integer from 0 to %d, got %d"):format(
      task:size() - 1, index) }
  end
  local scorers, reply
  if opts.reply then
    reply, err = reply_text(opts.reply)
    if not reply then return nil, err end
    scorers, err = load_scorers(task.script, opts.scorer)
    if not scorers then return nil, err end
  end
  local about
  about, err = describe(task, index, scorers, reply)
  if not about then return nil, err end
  if opts.json then say.json(marked(about)) else print_sample(about, scorers) end
  return 0
end

return {
  name = "show",
  summary = { en = "show a dataset's prompt, its hash, and what scorers say", zh = "查看数据集的提示词、哈希值与评分器的判断" },
  usage = "qlua show DATASET [--sample N] [--reply TEXT] [options]",
  positional = { { name = "DATASET", required = true,
    summary = { en = "a dataset, by name or path", zh = "数据集的名称或脚本路径" } } },
  options = {
    { long = "sample", arg = "N", type = "integer", min = 0,
      summary = { en = "which sample, from 0", zh = "样本序号，从 0 开始" } },
    { long = "reply", arg = "TEXT|@FILE",
      summary = { en = "judge this reply; @- reads standard input", zh = "判断这条回复；@- 表示读标准输入" } },
    { long = "scorer", arg = "NAME", repeated = true,
      summary = { en = "this scorer instead of the dataset's", zh = "改用该评分器" } },
    { long = "mode", arg = "MODE", allowed = { "generate", "loglikelihood", "letter" },
      summary = { en = "way to ask: generate, loglikelihood or letter", zh = "提问方式：generate、loglikelihood 或 letter" } },
    { long = "shots", arg = "N", type = "integer", min = 0,
      summary = { en = "number of worked examples", zh = "示例数" } },
    { long = "form", arg = "FORM", allowed = { "text", "turns" },
      summary = { en = "examples in one text, or as turns of a chat", zh = "示例写成一段文本（text）或多轮对话（turns）" } },
    { long = "split", arg = "SPLIT", summary = { en = "another split than the evaluated one", zh = "改用其他数据划分" } },
    { long = "data", arg = "DIR", summary = { en = "folder of the data", zh = "数据目录" } },
    { long = "digest", summary = { en = "one hash for all prompts", zh = "输出全部提示词的总哈希" } },
    { long = "json", summary = { en = "as JSON", zh = "以 JSON 输出" } },
  },
  run = run,
}
