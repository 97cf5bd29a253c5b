-- SPDX-License-Identifier: Apache-2.0
--- Letter: the letter of the right choice, as the model wrote it or as the log-probabilities of the letters say.
-- In mode `generate` the letter is read from the reply by anchored patterns (docs/scorers.md); in mode `letter` the
-- likeliest label wins. A label that the server did not list is at most as likely as the least candidate
-- (`bounded`); when that bound does not settle the choice, the sample is ambiguous and not decided by a coin.
local q = require "qlua"

local function labels_of(sample)
  if sample.meta and sample.meta.labels then return sample.meta.labels end
  local labels = {}
  for index = 1, math.min(26, math.max(2, sample.choices and #sample.choices or 4)) do
    labels[index] = string.char(64 + index)
  end
  return labels
end

-- Where labels have several texts that are added up: which one wins by its first text alone; nil where they have one.
local function alone(given, labels)
  local best
  for index, label in ipairs(given) do
    if label.alone and (not best or label.alone > given[best].alone) then best = index end
  end
  return best and labels[best]
end

local function likeliest(given, labels)
  local best
  for index, label in ipairs(given) do
    if label.logprob and not label.bounded and (not best or label.logprob > given[best].logprob) then best = index end
  end
  if not best then return nil, "no_answer" end
  for index, label in ipairs(given) do -- a label that was not listed may be as likely, and so may one of whose texts one was not
    local bound = label.bounded and label.logprob or label.ceiling
    if index ~= best and bound and bound >= given[best].logprob then return nil, "ambiguous" end
  end
  return { value = labels[best], how = "logprob", alone = alone(given, labels) }
end

return q.scorer {
  name = "letter",
  summary = { en = "Letter of the right choice", zh = "所选字母与标准答案一致" },
  modes = { "letter", "generate" },

  extract = function(response, sample)
    local labels = labels_of(sample)
    if response.labels then return likeliest(response.labels, labels) end
    return q.extract.letter(response, labels)
  end,
  score = function(answer, sample)
    local target = sample.target
    if math.type(target) == "integer" then target = labels_of(sample)[target + 1] end
    local value = answer.value == target and 1 or 0
    if not answer.alone then return value end
    return { value = value, metrics = { summed = value, alone = answer.alone == target and 1 or 0 } }
  end,

  examples = {
    { text = "The answer is (B).", target = 1, score = 1 },
    { text = "答案：Ｂ", target = "B", score = 1 },
    { text = "\\boxed{\\text{C}}", target = 2, score = 1 },
    { text = "A dog barks.", target = 0, outcome = "no_answer" },
    { text = "The answer is A or B.", target = 0, outcome = "ambiguous" },
    { response = { labels = { { logprob = -1, alone = -1 }, { logprob = -0.8, alone = -2 } } }, target = 1, score = 1 },
    { response = { labels = { { logprob = -1, ceiling = -0.5 }, { logprob = -0.8 } } }, target = 1, outcome = "ambiguous" },
    { response = { labels = { { logprob = -2.0 }, { logprob = -0.1 }, { logprob = -5, bounded = true } } }, target = 1,
      score = 1 },
  },
}
