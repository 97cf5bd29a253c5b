-- SPDX-License-Identifier: Apache-2.0
--- Score saved: the scorers of a dataset on replies that another tool saved. Pure: task, scorers and replies in, one
-- table out. Samples without a reply are counted and are part of no rate.

local evaluate = require "qlua.evaluate"
local lm_eval_rows = require "qlua.exchange.lm_eval_rows"
local outcomes = require "qlua.outcomes"
local stats = require "qlua.core.stats"

local score_saved = {}

local LEVEL = 0.95

local function judge(scorers, reply, sample)
  local response = { text = reply.text, choices = reply.choices, finish = reply.finish }
  for i, choice in ipairs(reply.choices or {}) do
    choice.text = choice.text or (sample.choices and " " .. sample.choices[i])
  end
  if reply.choices and sample.choices and #reply.choices ~= #sample.choices then
    error({ kind = "data", text = ("%s: want log-probabilities of %d choices, got %d"):format(sample.id, #sample.choices,
      #reply.choices) }, 0)
  end
  return evaluate.response(scorers, response, sample).scores
end

local function new_tally(scorer)
  return { scorer = scorer.name, answered = 0, correct = 0, invalid = 0, errors = 0, outcomes = {}, metrics = {} }
end

local function count(tally, judged)
  local class = outcomes.class(judged.outcome)
  tally.outcomes[judged.outcome] = (tally.outcomes[judged.outcome] or 0) + 1
  if class == "error" then
    tally.errors = tally.errors + 1
    return
  end
  tally.answered = tally.answered + 1
  if class == "correct" then tally.correct = tally.correct + 1 end
  if class == "invalid" then tally.invalid = tally.invalid + 1 end
  for name, value in pairs(judged.metrics or {}) do tally.metrics[name] = (tally.metrics[name] or 0) + value end
end

local function finish(tally)
  if tally.answered == 0 then return tally end
  tally.accuracy, tally.invalid_rate = tally.correct / tally.answered, tally.invalid / tally.answered
  tally.low, tally.high = stats.wilson(tally.correct, tally.answered, LEVEL)
  for name, total in pairs(tally.metrics) do tally.metrics[name] = total / tally.answered end
  return tally
end

-- ---- between scorers --------------------------------------------------------------------------------------------

local function is_right(judged) return outcomes.class(judged.outcome) == "correct" end

local function disagreements(scorers, items)
  local list = {}
  for i = 1, #scorers do
    for j = i + 1, #scorers do
      local a, b = scorers[i].name, scorers[j].name
      local pair = { scorers = { a, b }, only_first = {}, only_second = {} }
      for _, item in ipairs(items) do
        local first, second = is_right(item.scores[a]), is_right(item.scores[b])
        if first and not second then table.insert(pair.only_first, item.index) end
        if second and not first then table.insert(pair.only_second, item.index) end
      end
      list[#list + 1] = pair
    end
  end
  return list
end

-- ---- with the file's own verdicts ---------------------------------------------------------------------------------

local function add_difference(check, item, what, theirs, ours)
  table.insert(check.differences, { index = item.index, line = item.line, what = what, file = theirs, qlua = ours })
end

local function compare_item(view, item, verdict, check)
  local judged = item.scores[view.scorer]
  if verdict.filtered and view.fallback and not item.is_choice then
    check.values_compared = check.values_compared + 1
    local ours = judged.value or view.fallback
    if ours ~= verdict.filtered then
      add_difference(check, item, "filtered_resps", verdict.filtered, ours)
    end
  end
  local values = lm_eval_rows.metric_values(view, judged)
  for i, name in ipairs(view.metrics) do
    if verdict.metrics[name] then
      check.metrics_compared = check.metrics_compared + 1
      if verdict.metrics[name] ~= values[i] then
        add_difference(check, item, name, verdict.metrics[name], values[i])
      end
    end
  end
end

-- Each of the file's filters against the scorer that stands for it; a filter that none stands for is named.
local function compare(scorers, mode, items, saved, tallies)
  local checks = {}
  for _, filter in ipairs(saved.filters) do
    local check = { filter = filter, values_compared = 0, metrics_compared = 0, differences = {} }
    for i, scorer in ipairs(scorers) do
      local names = {}
      for name in pairs(tallies[i].metrics) do names[#names + 1] = name end
      table.sort(names)
      local view = lm_eval_rows.view(scorer, mode, names)
      if view.filter == filter then
        check.scorer = scorer.name
        for _, item in ipairs(items) do
          local verdict = saved.replies[item.position].filters[filter]
          if verdict then compare_item(view, item, verdict, check) end
        end
        break
      end
    end
    checks[#checks + 1] = check
  end
  return checks
end

-- ---- the whole ----------------------------------------------------------------------------------------------------

-- A target, or a question, that is not the dataset's: the file is about something else.
local function check_same(task, sample, reply, found)
  if reply.target and reply.target ~= lm_eval_rows.target(task, sample) and reply.target ~= tostring(sample.target) then
    found.targets = found.targets + 1
    found.first_target = found.first_target or { line = reply.line, file = reply.target, dataset = tostring(sample.target) }
  end
  if reply.question and not (sample.input:find(reply.question, 1, true) or reply.question:find(sample.input, 1, true)) then
    found.questions = found.questions + 1
    found.first_question = found.first_question or reply.line
  end
end

--- Score.
-- @tparam table task an open task
-- @tparam {table,...} scorers
-- @tparam table saved what `saved_replies.read` gave
-- @tparam {integer,...} positions for the i-th position of the file (from 0, at i + 1) the sample's index
-- @treturn table { replies, samples, missing, scorers = {tally,…}, disagreements, checks (of lm-eval files), other = { targets,
--   questions: how many rows have others than the dataset }, items = { { index, id, position, line, target, scores }… } }
-- @raise err of kind data for a sample that cannot be made
function score_saved.score(task, scorers, saved, positions)
  local result = { replies = saved.count, samples = #positions, missing = #positions - saved.count, items = {}, scorers = {},
    other = { targets = 0, questions = 0 } }
  for i, scorer in ipairs(scorers) do result.scorers[i] = new_tally(scorer) end
  local mode = "generate"
  for at, index in ipairs(positions) do
    local reply = saved.replies[at - 1]
    if reply then
      local sample, err = task:sample(index)
      if not sample then error(err, 0) end
      check_same(task, sample, reply, result.other)
      if reply.choices then mode = "loglikelihood" end
      local item = { index = index, id = sample.id, position = at - 1, line = reply.line, target = sample.target,
        is_choice = reply.choices ~= nil or nil, scores = judge(scorers, reply, sample) }
      for i, scorer in ipairs(scorers) do count(result.scorers[i], item.scores[scorer.name]) end
      result.items[#result.items + 1] = item
    end
  end
  for _, tally in ipairs(result.scorers) do finish(tally) end
  result.disagreements = disagreements(scorers, result.items)
  result.checks = compare(scorers, mode, result.items, saved, result.scorers)
  return result
end

return score_saved
