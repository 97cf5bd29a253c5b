-- SPDX-License-Identifier: Apache-2.0
--- Judge: what a scorer makes of one response: extract, then score, then one word of the closed list of outcomes.
-- Pure: the same for a run, for `qlua rescore`, for `qlua show --reply` and for a script's examples. Not obvious: a
-- response that was cut off and still holds an answer counts as answered; only where nothing is found does the
-- cut explain why.

local judge = {}

local function is_blank(text) return text == nil or not text:find("%S") end

-- Why there is no answer, by what the response itself shows; nil leaves it to the scorer.
local function without_answer(response, reason)
  local is_cut = response.finish == "length"
  if is_blank(response.text) and not response.choices and not response.labels then
    if is_cut and not is_blank(response.reasoning) then return "truncated_reasoning" end
    return is_cut and "truncated" or "empty"
  end
  if is_cut and reason == "no_answer" then return "truncated" end
  return reason
end

--- Judge one response.
-- @tparam table scorer a loaded scorer script
-- @tparam table response Response record
-- @tparam table sample Sample record
-- @treturn table Score `{ value = 0..1, outcome, note, metrics }`
-- @treturn ?table Answer `{ value, how, span }` when one was found
-- @raise what the scorer's script raises
function judge.response(scorer, response, sample)
  local answer, reason = scorer.extract(response, sample)
  if answer == nil then
    return { value = 0, outcome = without_answer(response, reason or "no_answer") }
  end
  if type(answer) ~= "table" then answer = { value = answer } end
  local value, note, metrics = scorer.score(answer, sample), nil, nil
  if type(value) == "table" then value, note, metrics = value.score or value.value, value.note, value.metrics end
  if value == true or value == false then value = value and 1 or 0 end
  if type(value) ~= "number" or value < 0 or value > 1 then
    error({ kind = "script", text = ("%s: scorer '%s': score wants a number from 0 to 1, got %s"):format(
      scorer.path or "?", scorer.name or "?", tostring(value)) }, 0)
  end
  return { value = value, outcome = value >= 1 and "correct" or "wrong", note = note, metrics = metrics }, answer
end

return judge
