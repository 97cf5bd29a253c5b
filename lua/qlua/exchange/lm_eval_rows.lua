-- SPDX-License-Identifier: Apache-2.0
--- lm-eval rows: one stored answer as the row that the reference harness writes for it with `--log_samples`.
-- Fields, their order and the three hashes are those of its `evaluator.py` and `evaluation_tracker.py` (0.4): resps and
-- filtered_resps hold strings only, numbers and truth values included, as Python's `str` gives them. Pure but for
-- reading the dataset's own file, whose rows are written as they stand there.

local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local py = require "qlua.python_json"

local lm_eval_rows = {}

-- ---- doc ------------------------------------------------------------------------------------------------

local function json_lines(path, put)
  local lines, err = file.lines(path)
  if not lines then error(err, 0) end
  local is_first = true
  for line in lines do
    if is_first then line, is_first = line:gsub("^\xEF\xBB\xBF", ""), false end
    put(py.rewrite(line))
  end
  lines:close()
end

local function table_doc(row, columns)
  if not columns then return py.encode(row) end
  local pairs_in_order = {}
  for i, name in ipairs(columns) do pairs_in_order[i] = { name, py.encode(row[name]) } end
  return py.object(pairs_in_order)
end

--- Every row of a task as JSON text, keys in the file's order. To be called before its first sample is made.
-- @tparam table task
-- @treturn {string,...} the i-th sample's at i + 1
function lm_eval_rows.docs(task)
  local docs = {}
  local source = task.script.source[task.split]
  local rows = require "qlua.rows"
  for _, used in ipairs(task.files) do
    if used.split == task.split and (source.format or rows.format_of(used.name)) == "jsonl" then
      json_lines(used.path, function(text) docs[#docs + 1] = text end)
    end
  end
  if #docs == 0 then
    for i, entry in ipairs(task.entries) do docs[i] = table_doc(entry.row, source.columns) end
  end
  return docs
end

-- ---- what was asked -----------------------------------------------------------------------------------------

local function messages_text(messages)
  local turns = {}
  for i, message in ipairs(messages) do
    local fields = { { "role", py.string(message.role) }, { "content", py.encode(message.content) } }
    for key, value in pairs(message) do
      if key ~= "role" and key ~= "content" then fields[#fields + 1] = { key, py.encode(value) } end
    end
    turns[i] = py.object(fields)
  end
  return py.array(turns)
end

local function generation_arguments(prompt, sampling)
  local stops = {}
  for _, list in ipairs { prompt.stop or {}, sampling.stop or {} } do
    for _, stop in ipairs(list) do stops[#stops + 1] = py.string(stop) end
  end
  local fields = { { "until", py.array(stops) } }
  if sampling.temperature then
    fields[#fields + 1] = { "do_sample", sampling.temperature > 0 and "true" or "false" }
    fields[#fields + 1] = { "temperature", py.number(sampling.temperature + 0.0) }
  end
  for _, pair in ipairs { { "max_gen_toks", prompt.max_tokens or sampling.max_tokens }, { "top_p", sampling.top_p },
      { "seed", sampling.seed } } do
    if pair[2] then fields[#fields + 1] = { pair[1], py.number(pair[2]) } end
  end
  return py.object(fields)
end

--- `arguments`, and the text that prompt_hash is taken of: the prompt, or a chat's messages as Python's JSON.
-- @tparam ?table prompt none for a dataset of several turns
-- @tparam string mode
-- @tparam table sampling
-- @tparam ?boolean is_chat it was asked as a chat: then a text was one message of the user
-- @treturn string JSON
-- @treturn ?string the text
function lm_eval_rows.arguments(prompt, mode, sampling, is_chat)
  if not prompt then return "{}", nil end
  local messages = prompt.messages or is_chat and { { role = "user", content = prompt.text } }
  local text = messages and messages_text(messages) or prompt.text
  local first = messages and py.array { py.string(text) } or py.string(text)
  local all = {}
  if mode == "generate" then
    all[1] = { "gen_args_0", py.object { { "arg_0", first }, { "arg_1", generation_arguments(prompt, sampling) } } }
  else
    for i, continuation in ipairs(prompt.continuations) do
      all[i] = { ("gen_args_%d"):format(i - 1), py.object { { "arg_0", first }, { "arg_1", py.string(continuation) } } }
    end
  end
  return py.object(all), text
end

-- ---- what came back -----------------------------------------------------------------------------------------

-- Python's str() of a log-probability and of a truth value; what is not known is None.
local function scored_pair(logprob, is_greedy)
  local value = logprob and py.number(logprob + 0.0) or "None"
  local greedy = is_greedy == nil and "None" or is_greedy and "True" or "False"
  return py.array { py.string(value), py.string(greedy) }
end

-- A label that the server did not list has a bound and no log-probability.
local function label_pairs(response)
  local top, best = response.logprobs and response.logprobs.top and response.logprobs.top[1] or {}, -math.huge
  for _, value in pairs(top) do best = type(value) == "number" and math.max(best, value) or best end
  local list = {}
  for i, label in ipairs(response.labels) do
    if label.bounded then list[i] = scored_pair(nil, false) else list[i] = scored_pair(label.logprob, label.logprob >= best) end
  end
  return list
end

--- The pairs of a choice question, one for each choice, as JSON texts; nil for one that was answered in words.
function lm_eval_rows.choice_pairs(response)
  if response.labels then return label_pairs(response) end
  if not response.choices then return nil end
  local list = {}
  for i, choice in ipairs(response.choices) do list[i] = scored_pair(choice.sum, choice.greedy) end
  return list
end

--- resps: for each request the list of its repeats.
function lm_eval_rows.resps(choice_pairs, texts)
  local list = {}
  if choice_pairs then
    for i, pair in ipairs(choice_pairs) do list[i] = py.array { pair } end
    return py.array(list)
  end
  for i, text in ipairs(texts) do list[i] = py.string(text) end
  return py.array { py.array(list) }
end

-- ---- views: which filter and metrics a scorer stands for ------------------------------------------------------

--- How a scorer appears in that harness: `{ scorer, filter, metrics = {name,…}, fallback }`.
-- A scorer that stands for one of its filters says so (`lm_eval`); scores of log-probabilities are its acc, acc_norm and
-- acc_bytes with filter `none`; any other scorer is a filter by its own name with the metric `score`.
function lm_eval_rows.view(scorer, mode, metrics)
  local own = scorer.lm_eval
  if own then return { scorer = scorer.name, filter = own.filter, metrics = { own.metric }, fallback = own.fallback } end
  if mode ~= "generate" then
    return { scorer = scorer.name, filter = "none", metrics = mode == "loglikelihood" and #metrics > 0 and metrics or { "acc" } }
  end
  return { scorer = scorer.name, filter = scorer.name, metrics = { "score" }, fallback = "[invalid]" }
end

--- The values of a view's metrics for one answer's judgement.
function lm_eval_rows.metric_values(view, judged)
  local values = {}
  for i, name in ipairs(view.metrics) do
    values[i] = (judged.metrics and judged.metrics[name] or judged.score or 0) + 0.0
  end
  return values
end

--- What `doc_to_target` would give: the index of the right choice, else the answer as an example shows it.
function lm_eval_rows.target(task, sample)
  if task.mode == "generate" and task.script.answer then return task.script.answer(sample, task.args) end
  local target = sample.target
  return type(target) == "table" and py.encode(target) or tostring(target)
end

--- One row.
-- @tparam table of doc_id, doc, target, arguments, prompt_text, resps, filtered (JSON), view, values
-- @treturn string JSON in one line
-- @treturn string its three hashes in a row, of which `task_hashes` is made
function lm_eval_rows.row(of)
  local doc_hash, target_hash = hash.sha256(py.rewrite(of.doc, 2)), hash.sha256(of.target)
  local prompt_hash = of.prompt_text and hash.sha256(of.prompt_text)
  local names = {}
  for i, name in ipairs(of.view.metrics) do names[i] = py.string(name) end
  local fields = {
    { "doc_id", py.number(of.doc_id) }, { "doc", of.doc }, { "target", py.string(of.target) }, { "arguments", of.arguments },
    { "resps", of.resps }, { "filtered_resps", of.filtered }, { "filter", py.string(of.view.filter) },
    { "metrics", py.array(names) }, { "doc_hash", py.string(doc_hash) },
    { "prompt_hash", prompt_hash and py.string(prompt_hash) or "null" }, { "target_hash", py.string(target_hash) },
  }
  for i, name in ipairs(of.view.metrics) do fields[#fields + 1] = { name, py.number(of.values[i]) } end
  return py.object(fields), doc_hash .. (prompt_hash or "") .. target_hash
end

return lm_eval_rows
