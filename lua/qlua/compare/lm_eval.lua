-- SPDX-License-Identifier: Apache-2.0
--- Samples that lm-evaluation-harness exported (`--log_samples`: samples_TASK_TIME.jsonl) as a source of a comparison.
-- One line per document and filter; every filter is a scorer here, `metric,filter`, the first of a task its headline. Of a
-- multiple-choice task acc_norm counts before acc. Subjects of one benchmark (mmlu_anatomy, …) become its groups again.
-- Neither latency nor finish reason nor token counts are in these files, so nothing is said about them.

local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local text = require "qlua.core.text"

local lm_eval = {}

local METRICS = { "exact_match", "acc_norm", "acc", "pass@1" }

local function task_of(name)
  return name:match "^samples_(.-)_%d%d%d%d%-%d%d%-%d%dT.*%.jsonl" or name:match "^samples_(.*)%.jsonl"
end

--- The files of samples that a path stands for.
-- @tparam string path a file, or a folder with such files
-- @treturn {{path=string,task=string},…} empty when there are none
function lm_eval.files(path)
  local info, list = file.stat(path), {}
  if info and info.kind == "file" then
    local task = task_of(path:match "[^/]+$")
    if task then list[1] = { path = path, task = task } end
  elseif info then
    for _, name in ipairs(file.list(path) or {}) do
      local task = task_of(name)
      if task then list[#list + 1] = { path = path:gsub("/+$", "") .. "/" .. name, task = task } end
    end
  end
  return list
end

local function fail(path, line, message) error({ kind = "data", text = ("%s:%d: %s"):format(path, line, message) }, 0) end

local function metric_of(row, path, line)
  local named = {}
  for _, name in ipairs(row.metrics or {}) do named[name] = true end
  for _, name in ipairs(METRICS) do
    if type(row[name]) == "number" and (named[name] or not row.metrics) then return name, row[name] end
  end
  for name in pairs(named) do
    if type(row[name]) == "number" then return name, row[name] end
  end
  fail(path, line, "no metric with a number (want one of exact_match, acc_norm, acc)")
end

local function first_text(list)
  local inner = type(list) == "table" and list[1]
  if type(inner) == "table" then inner = inner[1] end
  return type(inner) == "string" and inner or nil
end

-- A subject's task belongs to its benchmark: mmlu_anatomy with doc.subject "anatomy" is mmlu, group anatomy.
local function place_of(task, row)
  local subject = type(row.doc) == "table" and row.doc.subject
  if type(subject) == "string" and task:sub(-#subject - 1) == "_" .. subject then
    return task:sub(1, -#subject - 2), subject, ("%s/%s"):format(subject, row.doc_id)
  end
  return task, nil, tostring(row.doc_id)
end

local function outcome_of(row, score)
  if score >= 1 then return "correct" end
  local value = first_text(row.filtered_resps)
  return value == "[invalid]" and "no_answer" or "wrong"
end

local function dataset_of(source, name)
  local one = source.datasets[name]
  if not one then
    one = { record = { name = name, scorers = {}, split = "test" }, questions = {}, count = 0, scorers = {}, asked = {}, answers = {} }
    source.datasets[name] = one
    source.order[#source.order + 1] = name
  end
  return one
end

local function new_answer(source, dataset, row, id, group)
  local reply = first_text(row.resps)
  local question = type(row.doc) == "table" and (row.doc.question or row.doc.query)
  dataset.count = dataset.count + 1
  dataset.questions[id] = { row = row.doc_hash, prompt = row.prompt_hash }
  dataset.record.mode = reply and "generate" or "loglikelihood"
  local arguments = type(row.arguments) == "table" and row.arguments.gen_args_0
  if reply and type(arguments) == "table" and not dataset.asked.sampling then
    dataset.asked.sampling = type(arguments.arg_1) == "table" and json.encode(arguments.arg_1) or nil
  end
  local answer = { variant = source.label, dataset = dataset.record.name, sample = id, repeat_index = 0, group = group, tries = 1,
    scores = {}, text_sha256 = reply and hash.sha256(reply) or nil, prompt_sha256 = row.prompt_hash, session = 0,
    input_chars = type(question) == "string" and text.chars(question) or nil }
  dataset.answers[#dataset.answers + 1], dataset.answers[id] = answer, answer
  return answer
end

local function add_row(source, task, row, path, line)
  if type(row) ~= "table" or row.doc_id == nil then fail(path, line, "no doc_id: not a file of samples") end
  local name, group, id = place_of(task, row)
  local dataset = dataset_of(source, name)
  local metric, score = metric_of(row, path, line)
  local scorer = row.filter and row.filter ~= "none" and ("%s,%s"):format(metric, row.filter) or metric
  if not dataset.scorers[scorer] then
    dataset.scorers[scorer] = "lm-eval"
    table.insert(dataset.record.scorers, scorer)
    dataset.record.headline_scorer = dataset.record.headline_scorer or scorer
  end
  local answer = dataset.answers[id] or new_answer(source, dataset, row, id, group)
  local outcome = outcome_of(row, score)
  if answer.scores[scorer] then fail(path, line, ("document %s comes twice with filter '%s'"):format(id, tostring(row.filter))) end
  answer.scores[scorer] = { outcome = outcome, score = score }
  if scorer == dataset.record.headline_scorer then
    answer.outcome, answer.score, answer.value = outcome, score, first_text(row.filtered_resps)
  end
end

local function read_file(source, one)
  local lines, err = file.lines(one.path)
  if not lines then error(err, 0) end
  local number = 0
  for line in lines do
    number = number + 1
    if line:find "%S" then
      local row, json_err = json.decode(line)
      if row == nil then fail(one.path, number, "not JSON: " .. (json_err and json_err.text or "?")) end
      add_row(source, one.task, row, one.path, number)
    end
  end
end

local function label_of(path)
  local clean = path:gsub("/+$", "")
  local info = file.stat(clean)
  if info and info.kind == "dir" then return clean:match "[^/]+$" end
  return clean:match "([^/]+)/[^/]+$" or clean:match("[^/]+$"):gsub("%.jsonl.*$", "")
end

--- Open exported samples.
-- @tparam string path a file, or the folder of one model
-- @treturn ?table source; or nil and err
function lm_eval.open(path)
  local source = { kind = "samples", path = path, label = label_of(path), datasets = {}, order = {}, sampling = {} }
  source.variants, source.baseline = { { name = source.label, description = { en = source.label, zh = source.label } } }, source.label
  local done, err = pcall(function()
    for _, one in ipairs(lm_eval.files(path)) do read_file(source, one) end
  end)
  if not done then
    if type(err) == "table" then return nil, err end
    error(err, 0)
  end
  source.rows = function()
    local d, i = 1, 0
    return function()
      while source.order[d] do
        i = i + 1
        local answer = source.datasets[source.order[d]].answers[i]
        if answer then return answer end
        d, i = d + 1, 0
      end
    end
  end
  source.close = function() end
  return source
end

return lm_eval
