-- SPDX-License-Identifier: Apache-2.0
--- Summary: what the answers of a run come down to. Pure: rows in, one table out.
--
-- The Summary *is* the document `evaluation_results.json` holds (`qlua.results` writes and reads it), so a page
-- made from the file equals the page made after the run. Rules that hold everywhere in it: accuracy is correct /
-- answered, where an invalid answer counts as wrong and an error counts as nothing; a number that is not known is
-- absent, never 0; shares are 0..1, differences percentage points (`_pt`), times seconds. What the figures allow
-- one to conclude is `verdict` (`qlua.summary.verdict`).
local cell = require "qlua.summary.cell"
local compare = require "qlua.summary.compare"
local divergence = require "qlua.summary.divergence"
local hardware = require "qlua.summary.hardware"
local instrument = require "qlua.summary.instrument"
local json = require "qlua.core.json"
local load = require "qlua.summary.load"
local measure = require "qlua.summary.measure"
local outcomes = require "qlua.outcomes"
local repeated = require "qlua.summary.repeats"
local verdict = require "qlua.summary.verdict"

local summary = {}

--- The version of the document's layout.
summary.FORMAT = 1
--- The error rate above which a result is not usable, where the config says nothing (`benchmark.max_error_rate`).
summary.MAX_ERROR_RATE = 0.01

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- ---- rows in ------------------------------------------------------------------------------------------------

-- What is the same for all variants about an answer: its number, and its question's group and length.
local function slot_of(known, row, turn)
  local number = known.questions[row.sample]
  if not number then
    number = known.num_questions + 1
    known.questions[row.sample], known.num_questions = number, number
  end
  known.repeats = math.max(known.repeats, turn + 1)
  local key = turn == 0 and row.sample or row.sample .. "\0" .. turn
  local slot = known.slots[key]
  if not slot then
    slot = known.num_slots + 1
    known.slots[key], known.num_slots, known.question[slot] = slot, slot, number
  end
  if row.group and row.group ~= "" then known.group[slot], known.has_groups = row.group, true end
  known.length[slot] = known.length[slot] or row.input_chars
  return slot
end

local function collect(rows, run)
  local state, diverged = { cells = {}, datasets = {} }, divergence.new(run.baseline)
  for _, variant in ipairs(run.variants) do state.cells[variant.name] = {} end
  if run.control then state.cells[run.control.name] = {} end
  for _, dataset in ipairs(run.datasets) do
    state.datasets[dataset.name] = { slots = {}, num_slots = 0, questions = {}, num_questions = 0, repeats = 1,
      question = {}, group = {}, length = {}, has_groups = false, has_text = (dataset.mode or "generate") == "generate" }
  end
  for row in rows do
    local cells, known = state.cells[row.variant], state.datasets[row.dataset]
    if not cells then error(("summary: variant '%s' is not part of the run"):format(tostring(row.variant)), 3) end
    if not known then error(("summary: dataset '%s' is not part of the run"):format(tostring(row.dataset)), 3) end
    local slot = slot_of(known, row, row.repeat_index or 0)
    cells[row.dataset] = cells[row.dataset] or cell.new()
    cells[row.dataset]:add(row, slot, known.has_text)
    diverged:add(row, cells[row.dataset], slot)
  end
  return state
end

-- ---- one variant on one dataset --------------------------------------------------------------------------------

local function outcome_counts(one)
  local counts = {}
  for _, entry in ipairs(outcomes.list) do counts[entry.name] = one.counts[entry.name] or 0 end
  return counts
end

-- A scorer's further figures, such as acc_norm beside acc: means over what it judged.
local function metric_means(scorer)
  if not next(scorer.metrics) then return nil end
  local means = {}
  for name, total in pairs(scorer.metrics) do means[name] = total / scorer.num_answered end
  return means
end

local function scorer_results(one, repeats)
  local results = {}
  for name, scorer in pairs(one.scorers) do
    local share, bounds = measure.share(scorer.num_correct, scorer.num_answered, repeats)
    results[name] = {
      num_correct = scorer.num_correct, num_invalid = scorer.num_invalid, num_answered = scorer.num_answered,
      accuracy = share, accuracy_interval = bounds,
      only_right_here = scorer.only_right_here, only_right_in_headline = scorer.only_right_in_headline,
      disagreements = scorer.only_right_here + scorer.only_right_in_headline,
      metrics = metric_means(scorer),
    }
  end
  return results
end

-- Micro is the share of all questions; macro the mean of the groups' accuracies (a small group weighs as much
-- as a large one). A group without any answer is left out of the mean.
local function group_results(one)
  local names = sorted_keys(one.groups)
  if #names == 0 then return nil end
  local results, total, counted = {}, 0, 0
  for _, name in ipairs(names) do
    local group = one.groups[name]
    local share = group.num_answered > 0 and group.num_correct / group.num_answered or nil
    results[name] = { num_total = group.num_total, num_answered = group.num_answered,
      num_correct = group.num_correct, accuracy = share }
    if share then total, counted = total + share, counted + 1 end
  end
  return results, counted > 0 and total / counted or nil
end

-- Groups gathered into the dataset's categories, where it names any (`group_categories`: group → category).
local function category_results(groups, category_of)
  if not groups or not category_of then return nil end
  local results = {}
  for name, group in pairs(groups) do
    local category = category_of[name]
    if category then
      local sum = results[category] or { num_groups = 0, num_total = 0, num_answered = 0, num_correct = 0 }
      results[category] = sum
      sum.num_groups = sum.num_groups + 1
      for _, key in ipairs { "num_total", "num_answered", "num_correct" } do sum[key] = sum[key] + group[key] end
    end
  end
  for _, sum in pairs(results) do
    sum.accuracy, sum.accuracy_interval = measure.share(sum.num_correct, sum.num_answered)
  end
  return results
end

local function tokens(list)
  local d = measure.distribution(list)
  if not d then return nil end
  return { n = d.n, mean = d.mean, median = d.p50, p95 = d.p95, max = math.tointeger(d.max) or d.max,
    total = measure.sum(list) }
end

local function add_accuracy(result, one, repeats)
  local correct, invalid, errors = one:class_count "correct", one:class_count "invalid", one:class_count "error"
  local answered = one.num_total - errors
  result.num_total, result.num_answered = one.num_total, answered
  result.num_correct, result.num_wrong, result.num_invalid, result.num_errors =
    correct, one:class_count "wrong", invalid, errors
  result.accuracy, result.accuracy_interval = measure.share(correct, answered, repeats)
  result.invalid_rate, result.invalid_rate_interval = measure.share(invalid, answered, repeats)
  result.error_rate = one.num_total > 0 and errors / one.num_total or nil
  result.outcomes = outcome_counts(one)
  if one.is_graded then result.mean_score = one.judged_score / answered end
end

local function add_speed(result, one, has_text)
  result.latency_seconds = measure.distribution(one.latency)
  result.ttft_seconds = measure.distribution(one.ttft)
  result.tpot_seconds = measure.distribution(one.tpot)
  result.longest_pause_seconds = measure.distribution(one.pause)
  result.completion_tokens, result.prompt_tokens = tokens(one.completion), tokens(one.prompt)
  result.count_sources = next(one.sources) and one.sources or nil
  result.retries = { count = one.retries, answers = one.retried }
  local seconds, sessions = measure.window(one.starts, one.ends, one.sessions)
  if not seconds then return end
  result.window_seconds, result.window_sessions = seconds, sessions
  result.questions_per_second = #one.starts / seconds
  -- One forced token per choice is no throughput of tokens.
  if has_text and #one.completion > 0 then result.tokens_per_second = measure.sum(one.completion) / seconds end
end

local function cell_result(one, dataset, known, max_error_rate)
  local result = {}
  local repeats = known.repeats
  add_accuracy(result, one, repeats)
  local expected = dataset.expected or known.num_slots
  result.num_expected = expected
  result.incomplete = result.num_total < expected
  result.usable = not result.incomplete and result.num_answered > 0 and result.error_rate <= max_error_rate
  if known.has_text then
    local whole = result.num_answered - one.cut
    result.truncated = { count = one.cut, share = result.num_answered > 0 and one.cut / result.num_answered or nil,
      accuracy_without = whole > 0 and (result.num_correct - one.cut_correct) / whole or nil }
  end
  result.scorers = scorer_results(one, repeats)
  result.groups, result.macro_average = group_results(one)
  if result.groups then
    result.micro_average = result.accuracy
    result.headline_average = dataset.group_average or "micro"
    result.categories = category_results(result.groups, dataset.group_categories)
  end
  result.repeated = repeated.of(one, known)
  result.scoring = next(one.scoring) and one.scoring or nil
  add_speed(result, one, known.has_text)
  return result
end

-- ---- the document ----------------------------------------------------------------------------------------------

local function description_text(say)
  if type(say) ~= "table" then return say end
  return say.en == say.zh and say.en or ("%s / %s"):format(say.en, say.zh)
end

-- The classic key `description` stays a string; the pair goes beside it, so that pages need not split it again.
local function variant_result(variant)
  local result = { datasets = {} }
  for key, value in pairs(variant) do
    if key ~= "name" then result[key] = value end
  end
  result.description = description_text(variant.description)
  result.title = type(variant.description) == "table" and variant.description or nil
  return result
end

local function dataset_result(dataset, known)
  local result = {}
  for key, value in pairs(dataset) do
    if key ~= "name" then result[key] = value end
  end
  result.num_questions, result.repeats = known.num_questions, known.repeats
  return result
end

-- The highest measured figure, ties included. It is a description: what may ship is another question.
local function best(doc)
  local result = {}
  for _, dataset in ipairs(doc.dataset_order) do
    local top, names = nil, {}
    for _, variant in ipairs(doc.variant_order) do
      local one = doc.variants[variant].datasets[dataset]
      local accuracy = one and one.accuracy
      if accuracy and (not top or accuracy > top) then top, names = accuracy, {} end
      if accuracy and accuracy == top then names[#names + 1] = variant end
    end
    if top then result[dataset] = { accuracy = top, variants = json.array(names) } end
  end
  return result
end

local function totals(doc)
  local result = { num_total = 0, num_errors = 0, num_invalid = 0, all_usable = true, all_complete = true }
  for _, variant in ipairs(doc.variant_order) do
    for _, dataset in ipairs(doc.dataset_order) do
      local one = doc.variants[variant].datasets[dataset]
      result.all_usable = result.all_usable and one ~= nil and one.usable
      result.all_complete = result.all_complete and one ~= nil and not one.incomplete
      for _, key in ipairs { "num_total", "num_errors", "num_invalid" } do
        result[key] = result[key] + (one and one[key] or 0)
      end
    end
  end
  return result
end

local function names(list)
  local result = {}
  for i, item in ipairs(list) do result[i] = item.name end
  return json.array(result)
end

local function max_error_rate(run)
  local benchmark = type(run.config) == "table" and run.config.benchmark
  return type(benchmark) == "table" and benchmark.max_error_rate or summary.MAX_ERROR_RATE
end

--- Build the Summary of a run.
-- @tparam function rows an iterator over answer rows: `{ variant, dataset, sample, repeat_index, group, outcome, score,
-- scores = { scorer → { outcome, score, value } }, value, finish, prompt_tokens, completion_tokens, count_source,
-- latency_ns, ttft_ns, gaps, start_ns, end_ns, session, tries, turns, text_sha256, prompt_sha256, candidates, scoring }`; in any order,
-- none held on to (of the baseline the candidates are; what comes before it has to wait for them)
-- @tparam table run `{ id, simulated, started_at, finished_at, model, variants, datasets, config, manifest,
-- baseline, control, health, telemetry, instrument, load, notices }`; `notices` is what a reader must know
-- (`qlua.notices`); `instrument` as for `qlua.summary.instrument`, `load` as for
-- `qlua.summary.load`; `control` `{ name, share, expected }` is the baseline's second pass, whose rows come under
-- that name; `health` what `qlua.health` counted; `telemetry` the rows of `qlua.telemetry`;
-- `turned` what `qlua.permute` made of turned questions; a dataset's `expected` says how many
-- answers (questions times repeats) a complete run has, its
-- `group_categories` to which category a group belongs
-- @treturn table the Summary
-- @raise for a row of an unknown variant, dataset or outcome, and for one that comes twice
function summary.build(rows, run)
  local state = collect(rows, run)
  local limit = max_error_rate(run)
  local doc = {
    format = summary.FORMAT, simulated = run.simulated and true or false,
    run = { id = run.id, started_at = run.started_at, finished_at = run.finished_at },
    model = type(run.model) == "table" and run.model.base_name or run.model,
    baseline = run.baseline, config = run.config, manifest = run.manifest, max_error_rate = limit,
    notices = run.notices and #run.notices > 0 and json.array(run.notices) or nil,
    variant_order = names(run.variants), dataset_order = names(run.datasets), variants = {}, datasets = {},
  }
  for _, dataset in ipairs(run.datasets) do
    doc.datasets[dataset.name] = dataset_result(dataset, state.datasets[dataset.name])
  end
  for _, variant in ipairs(run.variants) do
    local result = variant_result(variant)
    for _, dataset in ipairs(run.datasets) do
      local one, known = state.cells[variant.name][dataset.name], state.datasets[dataset.name]
      local base = state.cells[run.baseline] and state.cells[run.baseline][dataset.name]
      if one then
        local measured = cell_result(one, dataset, known, limit)
        measured.turned = run.turned and run.turned[variant.name] and run.turned[variant.name][dataset.name]
        if base and variant.name ~= run.baseline then
          measured.against_baseline = compare(base, one, known.num_slots, known.repeats)
        end
        result.datasets[dataset.name] = measured
      end
    end
    doc.variants[variant.name] = result
  end
  hardware.add(doc, run.telemetry)
  doc.instrument = instrument.build(run.instrument)
  doc.load = load.build(run.load, doc.variant_order, doc.baseline)
  doc.summary = totals(doc)
  doc.summary.best = best(doc)
  if doc.variants[doc.baseline or ""] and #doc.dataset_order > 0 then doc.verdict = verdict.build(doc, state, run) end
  return doc
end

return summary
