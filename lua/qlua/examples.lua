-- SPDX-License-Identifier: Apache-2.0
--- Examples: a script's `examples` are its test. Runs them and says which do not hold.
-- A dataset's example is `{ row, reply, score | outcome }`: the row goes through `sample`, the reply through the first
-- scorer that fits (or the one it names as `scorer`). A scorer's is `{ text | response, target, … , score | outcome }`:
-- what is not about the response is the sample. Both may say `answer`, the value that must have been extracted.

local evaluate = require "qlua.evaluate"

local examples = {}

-- What an example expects of its judgement; nil when it holds.
local function mismatch(example, judged)
  if judged.error_text then return judged.error_text end
  if example.outcome and example.outcome ~= judged.outcome then
    return ("want outcome %s, got %s"):format(example.outcome, judged.outcome)
  end
  if example.score and (not judged.score or math.abs(example.score - judged.score) > 1e-9) then
    return ("want score %s, got %s (%s)"):format(example.score, judged.score, judged.outcome)
  end
  if example.answer ~= nil and judged.value ~= tostring(example.answer) then
    return ("want answer %s, got %s"):format(tostring(example.answer), tostring(judged.value))
  end
end

local function response_of(example)
  local response = {}
  for key, value in pairs(example.response or {}) do response[key] = value end
  response.text = response.text or example.reply or example.text
  response.finish = response.finish or example.finish or "stop"
  response.reasoning = response.reasoning or example.reasoning
  for _, key in ipairs { "choices", "labels" } do
    if type(example[key]) == "table" and type(example[key][1]) == "table" then response[key] = example[key] end
  end
  if not response.text and not response.choices and not response.labels then response.text = "" end
  return response
end

local function context_of(example, script)
  return { index = 0, split = script.split or "test", file = example.file or script.path, group = example.group }
end

local function dataset_sample(script, example)
  local sample = script.sample(example.row, context_of(example, script))
  if type(sample) ~= "table" then
    error({ kind = "script", text = ("%s: dataset '%s': sample returned %s (want a table)"):format(
      script.path, script.name, type(sample)) }, 0)
  end
  sample.id, sample.index, sample.split = script.name .. "/example/0", 0, script.split or "test"
  sample.group = sample.group or example.group
  sample.meta = sample.meta or {}
  return sample
end

local function scorer_sample(example)
  local sample = { id = "example/0", index = 0, input = example.input or "", meta = example.meta or {} }
  for key, value in pairs(example.sample or {}) do sample[key] = value end
  if example.target ~= nil then sample.target = example.target end
  if type(example.choices) == "table" and type(example.choices[1]) ~= "table" then sample.choices = example.choices end
  return sample
end

-- The first scorer that fits the way in which the example's response was asked for.
local function load_fitting(script, example, load_scorer)
  if example.scorer then return load_scorer(example.scorer) end
  local mode = example.labels and "letter" or type(example.choices) == "table" and "loglikelihood" or "generate"
  local first, err
  for _, name in ipairs(script.scorers) do
    local scorer
    scorer, err = load_scorer(name)
    if not scorer then return nil, err end
    if evaluate.for_mode({ scorer }, mode)[1] then return scorer end
    first = first or scorer
  end
  return first
end

local function expects(example)
  return example.score ~= nil or example.outcome ~= nil or example.answer ~= nil
end

local function try(fn, ...)
  local is_done, result = pcall(fn, ...)
  if is_done then return result end
  return nil, type(result) == "table" and result.text or tostring(result)
end

-- One example; returns nil when it holds, else what does not.
local function run_one(script, kind, example, load_scorer)
  if not expects(example) then return "says neither score nor outcome nor answer" end
  if kind == "dataset" and type(example.row) ~= "table" then return "has no row" end
  local scorer, sample, err = script
  if kind == "dataset" then
    scorer, err = load_fitting(script, example, load_scorer)
    if not scorer then return err.text end
    sample, err = try(dataset_sample, script, example)
    if not sample then return err end
  else
    sample = scorer_sample(example)
  end
  local judged
  judged, err = try(evaluate.response, { scorer }, response_of(example), sample)
  return err or mismatch(example, judged)
end

--- Run all examples of a script.
-- @tparam table script loaded dataset or scorer
-- @tparam string kind "dataset" or "scorer"
-- @tparam function load_scorer name → script or nil, err
-- @treturn integer how many hold
-- @treturn {table,...} failures `{ index, text }`
function examples.run(script, kind, load_scorer)
  local passed, failures = 0, {}
  for i, example in ipairs(script.examples or {}) do
    local text = run_one(script, kind, example, load_scorer)
    if text then
      failures[#failures + 1] = { index = i, text = text }
    else
      passed = passed + 1
    end
  end
  return passed, failures
end

return examples
