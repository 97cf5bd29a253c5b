-- SPDX-License-Identifier: Apache-2.0
--- Evaluate: Response → Answer → Score → outcome, by every scorer of a dataset. Pure; used by a run, by `rescore` and by
-- `show --reply`.

local judge = require "qlua.judge"
local outcomes = require "qlua.outcomes"

local evaluate = {}

local function failed(err)
  return { outcome = "script_error", error_text = type(err) == "table" and err.text or tostring(err) }
end

local function as_text(value)
  if value == nil or type(value) == "string" then return value end
  return tostring(value)
end

local function judge_safely(scorer, response, sample)
  local ok, score, answer = pcall(judge.response, scorer, response, sample)
  if not ok then return failed(score) end
  if not outcomes.by_name[score.outcome] then
    return failed(("%s: scorer '%s': extract gave no known outcome: %s"):format(scorer.path or "?", scorer.name,
      tostring(score.outcome)))
  end
  answer = answer or {}
  return { outcome = score.outcome, score = score.value, note = score.note, metrics = score.metrics,
    value = as_text(answer.value), how = answer.how, span = answer.span }
end

--- Judge one response.
-- @tparam {table,...} scorers loaded scorer scripts; the first is the headline
-- @tparam table response
-- @tparam table sample
-- @treturn table { outcome, score, value, how, span, error_text, scores = { name → { outcome, score, value, how } } }
function evaluate.response(scorers, response, sample)
  local headline
  local scores = {}
  for i, scorer in ipairs(scorers) do
    local judged = judge_safely(scorer, response, sample)
    scores[scorer.name] = { outcome = judged.outcome, score = judged.score, value = judged.value, how = judged.how,
      metrics = judged.metrics }
    if i == 1 then headline = judged end
  end
  headline.scores = scores
  return headline
end

--- The scorers of a dataset that fit a mode, in the dataset's order.
-- @tparam {table,...} scorers
-- @tparam string mode
-- @treturn {table,...}
function evaluate.for_mode(scorers, mode)
  local fitting = {}
  for _, scorer in ipairs(scorers) do
    for _, able in ipairs(scorer.modes or { "generate" }) do
      if able == mode then
        fitting[#fitting + 1] = scorer
        break
      end
    end
  end
  return fitting
end

return evaluate
