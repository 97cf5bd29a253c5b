-- SPDX-License-Identifier: Apache-2.0
--- lm-eval export: a run as the folders of the reference harness: for each variant `results_<time>.json` and one
-- `samples_<task>_<time>.jsonl` for each task. Owns the files while they are written.
-- A dataset with groups is one task per group and a group over them, as there. Rows go filter by filter, as there, so a
-- dataset is read once for each of its scorers. The dataset's own files are needed: doc and target are theirs.

local json = require "qlua.core.json"
local evaluate = require "qlua.evaluate"
local lm_eval_results = require "qlua.exchange.lm_eval_results"
local lm_eval_rows = require "qlua.exchange.lm_eval_rows"
local outcomes = require "qlua.outcomes"
local pipeline = require "qlua.pipeline"
local prompts = require "qlua.prompts"
local py = require "qlua.python_json"
local writer = require "qlua.exchange.writer"

local lm_eval_export = {}

local function data_error(text, ...)
  error({ kind = "data", text = text:format(...), hint = "pass the folder of the run's data: --data DIR" }, 0)
end

-- ---- one dataset of one variant ---------------------------------------------------------------------------------

local function task_of(self, sample)
  local dataset = self.dataset
  local name = sample.group and dataset.name .. "_" .. sample.group or dataset.name
  local task = self.by_name[name]
  if not task then
    task = lm_eval_results.new_task { name = name, alias = sample.group, dataset = dataset.name, mode = dataset.mode,
      shots = dataset.task.plan.n, split = dataset.task.split, script_sha256 = dataset.script.sha256, repeats = 1 }
    task.out = writer.open(("%s/samples_%s_%s.jsonl"):format(self.dir, name, self.stamp))
    self.by_name[name] = task
    self.tasks[#self.tasks + 1] = task
  end
  return task
end

-- A row's number in its task: of the whole dataset, or of its group; and how many rows each has in the dataset's files.
local function number_docs(task)
  local ids, originals, seen = {}, {}, {}
  for i, sample in task:each() do
    local key = sample and sample.group or ""
    ids[i + 1] = seen[key] or 0
    seen[key] = ids[i + 1] + 1
  end
  for _, entry in ipairs(task.entries) do originals[entry.group or ""] = (originals[entry.group or ""] or 0) + 1 end
  return ids, originals
end

-- What was asked and what came back, checked to be this very question.
local function recover(self, row)
  local job, index = self.job, row.position
  local sample, prompt, response, err
  if self.dataset.mode == "generate" then
    sample, err = job.task:sample(index)
    if sample and not self.dataset.script.converse then prompt, err = job.task:prompt(index) end
    if prompt then err = nil end
    response = { text = row.text }
  else
    sample, prompt, response, err = pipeline.replay(job, index)
  end
  if err or not sample then data_error("%s: %s", row.sample, err and err.text or "no such row") end
  if sample.row_sha256 ~= row.row_sha256 then
    data_error("%s: the row at %s is not the one that was asked", row.sample, job.task:place(index))
  elseif prompt and prompts.sha256(prompt) ~= row.prompt_sha256 then
    data_error("%s: its prompt is not made as it was when it was asked", row.sample)
  end
  return sample, prompt, response
end

local function filtered_of(view, judged, choice_pairs)
  if choice_pairs then return py.array(choice_pairs) end
  return py.array { py.string(judged.value or view.fallback or "[invalid]") }
end

local function put_row(self, view, row, texts)
  local judged = row.scores[view.scorer]
  if not judged or outcomes.class(judged.outcome) == "error" then return false end
  local sample, prompt, response = recover(self, row)
  local task, doc_id = task_of(self, sample), self.doc_ids[row.position + 1]
  local is_chat = self.job.endpoint == "chat" and self.dataset.mode ~= "loglikelihood"
  local arguments, prompt_text = lm_eval_rows.arguments(prompt, self.dataset.mode, self.job.sampling, is_chat)
  local choice_pairs = lm_eval_rows.choice_pairs(response)
  local values = lm_eval_rows.metric_values(view, judged)
  local line, hashes = lm_eval_rows.row { doc_id = doc_id, doc = self.docs[row.position + 1],
    target = lm_eval_rows.target(self.dataset.task, sample), arguments = arguments, prompt_text = prompt_text,
    resps = lm_eval_rows.resps(choice_pairs, texts), filtered = filtered_of(view, judged, choice_pairs), view = view, values = values }
  task.out:write(line, "\n")
  lm_eval_results.add(task, view, values, hashes)
  task.repeats = math.max(task.repeats, #texts)
  if view.is_first then task.count = task.count + 1 end
  return true
end

-- Answers of one question follow each other; the filters of that harness take the first of its repeats.
local function questions(store, variant, dataset)
  local nextrow, a, b, closing = store:whole_answers(variant, dataset)
  local held = nextrow(a, b)
  return function()
    local first = held
    if not first then return nil end
    local texts = {}
    while held and held.sample == first.sample do
      texts[#texts + 1] = held.text or ""
      held = nextrow(a, b)
    end
    return first, texts
  end, nil, nil, closing
end

local function write_rows(self)
  local left_out = 0
  for position, scorer in ipairs(evaluate.for_mode(self.dataset.scorers, self.dataset.mode)) do
    local view = lm_eval_rows.view(scorer, self.dataset.mode, self.store:metrics_of(scorer.name))
    view.is_first = position == 1
    for row, texts in questions(self.store, self.job.variant.name, self.dataset.name) do
      local is_error = outcomes.class(row.outcome) == "error"
      local is_put = not is_error and put_row(self, view, row, texts)
      if view.is_first and not is_put then left_out = left_out + 1 end
    end
  end
  return left_out
end

local function write_dataset(self)
  self.by_name, self.tasks = {}, {}
  local ok, left_out = pcall(write_rows, self)
  for _, task in ipairs(self.tasks) do
    if ok then task.out:close() else task.out:abandon() end
    task.original = self.originals[task.alias or ""]
  end
  if not ok then error(left_out, 0) end
  return left_out
end

-- ---- one variant ------------------------------------------------------------------------------------------------

-- Two variants of one model have one name there; here a folder holds one variant.
local function model_names(store)
  local count, names = {}, {}
  local list = store:variants()
  for _, variant in ipairs(list) do count[variant.model or ""] = (count[variant.model or ""] or 0) + 1 end
  for _, variant in ipairs(list) do
    local model = variant.model or variant.name
    names[variant.name] = (count[variant.model or ""] or 0) > 1 and model .. ":" .. variant.name or model
  end
  return names
end

local function seconds_asked(store, variant)
  local total
  for _, phase in ipairs(store:phases()) do
    if phase.variant == variant and phase.end_ns then total = (total or 0) + (phase.end_ns - phase.start_ns) / 1e9 end
  end
  return total
end

local function unix_seconds(iso)
  local year, month, day, hour, minute, second = (iso or ""):match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)Z$"
  if not year then return nil end
  local y, m = tonumber(year), tonumber(month) -- days from the civil calendar: os.time would take the local zone
  if m <= 2 then y, m = y - 1, m + 12 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + tonumber(day) - 1 - 719468
  return days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
end

local function about_variant(context, one, is_chat)
  local store, config = context.store, context.config
  local facts = store:meta "manifest" or {}
  local server = facts.servers and facts.servers[one.name] or {}
  local limit, seed
  for _, dataset in ipairs(context.made.datasets) do
    limit = dataset.wanted.limit or limit
    seed = dataset.task.plan.n > 0 and dataset.task.plan.seed or seed
  end
  local name = context.model_names[one.name]
  return { run = context.run, variant = one.name, model_name = name, model_name_sanitized = lm_eval_results.sanitized(name),
    engine = one.variant.engine, base_url = server.base_url, generation = one.variant.generation, limit = limit,
    fewshot_seed = seed, max_length = one.variant.server and one.variant.server.max_model_len or config.server
      and config.server.max_model_len, started_s = unix_seconds(store:meta "started_at"), seconds = seconds_asked(store, one.name),
    qlua = facts.qlua and facts.qlua.qlua, is_chat = is_chat }
end

local function write_variant(context, one)
  local tasks, groups, is_chat, left_out = {}, {}, false, 0
  local about = about_variant(context, one)
  local dir = ("%s/%s"):format(context.out, about.model_name_sanitized)
  for _, dataset in ipairs(context.made.datasets) do
    local self = { store = context.store, dataset = dataset, dir = dir, stamp = context.stamp, job = context.job(one, dataset),
      docs = dataset.docs, doc_ids = dataset.doc_ids, originals = dataset.originals }
    left_out = left_out + write_dataset(self)
    is_chat = is_chat or dataset.task.form == "turns"
    table.move(self.tasks, 1, #self.tasks, #tasks + 1, tasks)
    if self.tasks[1] and self.tasks[1].alias then
      groups[#groups + 1] = { name = dataset.name, tasks = self.tasks, is_micro = dataset.script.group_average == "micro" }
    end
  end
  about.is_chat = is_chat
  local path = ("%s/results_%s.json"):format(dir, context.stamp)
  local out = writer.open(path)
  out:write(json.encode(lm_eval_results.document(about, tasks, groups), 2), "\n")
  out:close()
  return { variant = one.name, path = path, tasks = #tasks, left_out = left_out }
end

--- Write the folders.
-- @tparam table context store, run (id), made (a plan of what is exported), config, out (folder), job(one, dataset)
-- @treturn {table,...} { variant, path, tasks, left_out (questions that ended in an error) }
-- @raise err of kind data or io
function lm_eval_export.write(context)
  context.model_names = model_names(context.store)
  local at = context.store:meta "finished_at" or context.store:meta "started_at"
  context.stamp = at:gsub(":", "-"):gsub("Z$", ".000000")
  for _, dataset in ipairs(context.made.datasets) do -- rows are dropped once their samples are made
    dataset.docs = lm_eval_rows.docs(dataset.task)
    dataset.doc_ids, dataset.originals = number_docs(dataset.task)
  end
  local written = {}
  for i, one in ipairs(context.made.variants) do written[i] = write_variant(context, one) end
  return written
end

return lm_eval_export
