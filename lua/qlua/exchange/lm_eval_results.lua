-- SPDX-License-Identifier: Apache-2.0
--- lm-eval results: the aggregate file of the reference harness, `results_<time>.json`, out of sums. Pure.
-- Keys as its `result_schema.py` (0.4) lists them. What qlua does not know is null, and what depends on that harness's
-- own version (task versions, its git hash) is never filled in; docs/exchange.md lists both.

local hash = require "qlua.core.hash"
local json = require "qlua.core.json"

local lm_eval_results = {}

--- What the rows of one task add up to.
function lm_eval_results.new_task(fields)
  fields.sums, fields.hashes, fields.count, fields.order = {}, {}, 0, {}
  return fields
end

--- Add one row of a view.
function lm_eval_results.add(task, view, values, hashes)
  for i, metric in ipairs(view.metrics) do
    local key = metric .. "," .. view.filter
    local sum = task.sums[key]
    if not sum then
      sum = { metric = metric, filter = view.filter, n = 0, total = 0.0, squares = 0.0 }
      task.sums[key] = sum
      task.order[#task.order + 1] = key
    end
    sum.n, sum.total, sum.squares = sum.n + 1, sum.total + values[i], sum.squares + values[i] ^ 2
  end
  task.hashes[#task.hashes + 1] = hashes
end

-- lm-eval `mean_stderr`: the sample's standard deviation (n - 1) over the root of n; none of a single row.
local function mean_and_error(sum)
  local mean = sum.total / sum.n
  if sum.n < 2 then return mean, "N/A" end
  local variance = math.max(0, (sum.squares - sum.n * mean ^ 2) / (sum.n - 1))
  return mean, math.sqrt(variance / sum.n)
end

local function metrics_of(task)
  local record = { name = task.name, alias = task.alias or task.name, sample_len = task.count }
  for key, sum in pairs(task.sums) do
    local mean, err = mean_and_error(sum)
    record[key], record[sum.metric .. "_stderr," .. sum.filter] = mean, err
  end
  return record
end

-- lm-eval `pooled_sample_stderr`; the mean weighs each question alike, or each task.
local function group_metrics(name, tasks, is_micro)
  local record, counts = { name = name, alias = name, sample_len = 0 }, {}
  for _, task in ipairs(tasks) do record.sample_len = record.sample_len + task.count end
  for key, first in pairs(tasks[1].sums) do
    local n, weighted, plain, pooled, is_whole = 0, 0, 0, 0, true
    for _, task in ipairs(tasks) do
      local sum = task.sums[key]
      local mean, err = mean_and_error(sum)
      n, weighted, plain = n + sum.n, weighted + mean * sum.n, plain + mean
      if err == "N/A" then is_whole = false else pooled = pooled + (sum.n - 1) * err ^ 2 * sum.n end
    end
    record[key] = is_micro and weighted / n or plain / #tasks
    record[first.metric .. "_stderr," .. first.filter] = is_micro and is_whole and n > #tasks
      and math.sqrt(pooled / (n - #tasks) / n) or "N/A"
    counts[key] = n
  end
  record.sample_count = counts
  return record
end

local function task_config(task, about)
  local metrics, filters, seen = {}, {}, {}
  for _, key in ipairs(task.order) do
    local sum = task.sums[key]
    if not seen[sum.metric] then metrics[#metrics + 1] = { metric = sum.metric, aggregation = "mean", higher_is_better = true } end
    if not seen["," .. sum.filter] then filters[#filters + 1] = { name = sum.filter } end
    seen[sum.metric], seen["," .. sum.filter] = true, true
  end
  return { task = task.name, output_type = task.mode == "generate" and "generate_until" or "multiple_choice", num_fewshot = task.shots,
    repeats = task.repeats, test_split = task.split, metric_list = json.array(metrics), filter_list = json.array(filters),
    metadata = { qlua_dataset = task.dataset, qlua_mode = task.mode, qlua_script_sha256 = task.script_sha256,
      qlua_run = about.run } }
end

local function or_null(value)
  if value == nil then return json.null end
  return value
end

--- The document.
-- @tparam table about run, variant, model_name, model_name_sanitized, engine, base_url, generation, limit, started_s, seconds, qlua,
--   fewshot_seed, is_chat
-- @tparam {table,...} tasks in order, each of `new_task`
-- @tparam {table,...} groups { name, tasks, is_micro }
-- @treturn table
function lm_eval_results.document(about, tasks, groups)
  local doc = { results = {}, group_subtasks = {}, configs = {}, versions = {}, ["n-shot"] = {}, higher_is_better = {},
    ["n-samples"] = {}, task_hashes = {} }
  for _, task in ipairs(tasks) do
    local name, better = task.name, {}
    for _, sum in pairs(task.sums) do better[sum.metric] = true end
    doc.results[name], doc.configs[name], doc["n-shot"][name] = metrics_of(task), task_config(task, about), task.shots
    doc.higher_is_better[name], doc.group_subtasks[name] = better, json.array {}
    doc["n-samples"][name] = { original = task.original, effective = task.count }
    doc.task_hashes[name] = hash.sha256(table.concat(task.hashes))
  end
  for _, group in ipairs(groups) do
    local names = {}
    for i, task in ipairs(group.tasks) do names[i] = task.name end
    doc.groups = doc.groups or {}
    doc.groups[group.name] = group_metrics(group.name, group.tasks, group.is_micro)
    doc.results[group.name], doc.group_subtasks[group.name] = doc.groups[group.name], json.array(names)
    doc.higher_is_better[group.name] = doc.higher_is_better[names[1]]
  end
  doc.config = { model = about.engine, model_args = { model = about.model_name, base_url = about.base_url }, batch_size = json.null,
    limit = or_null(about.limit), bootstrap_iters = json.null, gen_kwargs = about.generation, random_seed = json.null,
    numpy_seed = json.null, torch_seed = json.null, fewshot_seed = or_null(about.fewshot_seed) }
  for _, key in ipairs { "git_hash", "pretty_env_info", "transformers_version", "lm_eval_version", "upper_git_hash", "tokenizer_pad_token",
      "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id", "system_instruction", "system_instruction_sha", "chat_template",
      "chat_template_sha" } do
    doc[key] = json.null
  end
  doc.max_length, doc.date, doc.fewshot_as_multiturn = or_null(about.max_length), or_null(about.started_s), about.is_chat
  doc.model_source, doc.model_name, doc.model_name_sanitized = "qlua", about.model_name, about.model_name_sanitized
  doc.total_evaluation_time_seconds = or_null(about.seconds and tostring(about.seconds))
  doc.qlua = { run = about.run, variant = about.variant, version = about.qlua }
  return doc
end

--- A model's name as the name of a folder (lm-eval `sanitize_model_name`).
function lm_eval_results.sanitized(name) return (name:gsub('["<>:/|\\?*%[%]]+', "__")) end

return lm_eval_results
