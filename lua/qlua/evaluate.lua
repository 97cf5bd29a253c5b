-- SPDX-License-Identifier: Apache-2.0
--- Evaluate: Response → Answer → Score → outcome, by every scorer of a dataset. Pure; used by a run, by `rescore` and by
-- `show --reply`.

local outcomes = require "qlua.outcomes"

local evaluate = {}

-- A scorer that found nothing may not know why: an empty reply, or one that ran into its token limit, says so itself.
local function reason_of(response, reason)
  if response.finish == "content_filter" and (reason == "no_answer" or reason == "empty" or reason == nil) then return "refused" end
  if reason and reason ~= "no_answer" then return reason end
  if response.finish == "length" then
    return response.reasoning and #response.text == 0 and "truncated_reasoning" or "truncated"
  end
  if response.text and not response.text:find "%S" and not (response.choices or response.labels) then return "empty" end
  return "no_answer"
end

local function as_text(value)
  if value == nil or type(value) == "string" then return value end
  return type(value) == "table" and "(a table)" or tostring(value)
end

local function script_error(scorer, what)
  return { outcome = "script_error", error_text = ("%s: scorer '%s': %s"):format(scorer.path or "?", scorer.name, what) }
end

-- What goes into the store is numbers and texts, whatever a script thinks of.
local function span_of(span)
  if type(span) ~= "table" then return nil end
  local from, to = math.tointeger(span.from or span[1]), math.tointeger(span.to or span[2])
  return from and to and { from = from, to = to } or nil
end

local function metrics_of(metrics)
  if type(metrics) ~= "table" then return nil end
  local kept = {}
  for name, value in pairs(metrics) do
    if type(value) == "boolean" then value = value and 1 or 0 end
    if type(name) == "string" and type(value) == "number" and value - value == 0 then kept[name] = value end
  end
  return kept
end

local function judge(scorer, response, sample)
  local ok, answer, reason = pcall(scorer.extract, response, sample)
  if not ok then
    return { outcome = "script_error", error_text = type(answer) == "table" and answer.text or tostring(answer) }
  end
  if not answer then
    local entry = outcomes.by_name[reason]
    if reason ~= nil and not (entry and entry.class == "invalid") then
      return script_error(scorer, ("extract: want a reason such as no_answer, got %s"):format(as_text(reason)))
    end
    return { outcome = reason_of(response, reason), score = 0 }
  end
  if type(answer) ~= "table" then answer = { value = answer } end
  local scored, score = pcall(scorer.score, answer, sample)
  if not scored then
    return { outcome = "script_error", error_text = type(score) == "table" and score.text or tostring(score) }
  end
  local note, metrics
  if type(score) == "table" then score, note, metrics = score.score or score.value, score.note, score.metrics end
  if type(score) == "boolean" then score = score and 1 or 0 end
  if type(score) ~= "number" or not (score >= 0 and score <= 1) then -- NaN is neither
    return script_error(scorer, ("score: want a number from 0 to 1, got %s"):format(as_text(score) or "nil"))
  end
  return { outcome = score >= 1 and "correct" or "wrong", score = score, value = as_text(answer.value),
    how = as_text(answer.how), span = span_of(answer.span), note = note, metrics = metrics_of(metrics) }
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
    local judged = judge(scorer, response, sample)
    assert(outcomes.by_name[judged.outcome], judged.outcome)
    scores[scorer.name] = { outcome = judged.outcome, score = judged.score, value = judged.value, how = judged.how,
      metrics = judged.metrics, span = judged.span }
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
