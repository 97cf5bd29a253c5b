-- SPDX-License-Identifier: Apache-2.0
--- Loglikelihood: the choice whose continuation the model finds likeliest.
-- acc takes the sum of log-probabilities, acc_norm that sum per code point and acc_bytes per UTF-8 byte of the choice
-- without its leading space; ties go to the lowest index (lm-eval: `process_results`, numpy's argmax). The dataset
-- names its headline in `meta.headline`; without one it is acc_norm where the continuations are texts of more
-- than one character, else acc, which is then the same.
local q = require "qlua"

local METRICS = { "acc", "acc_norm", "acc_bytes" }

-- The text that was scored: what the runtime sent, or the sample's choice.
local function scored_text(choice, sample, index)
  local text = choice.text or sample.choices and sample.choices[index] or ""
  return (text:gsub("^ ", "", 1))
end

local function picks(choices, sample)
  local best, best_value = {}, {}
  local is_long = false
  for index, choice in ipairs(choices) do
    local text = scored_text(choice, sample, index)
    is_long = is_long or choice.text ~= nil and #text > 1
    local value = { acc = choice.sum, acc_norm = choice.sum / q.text.chars(text), acc_bytes = choice.sum / #text }
    for _, metric in ipairs(METRICS) do
      if not best[metric] or value[metric] > best_value[metric] then
        best[metric], best_value[metric] = index - 1, value[metric]
      end
    end
  end
  return best, is_long
end

return q.scorer {
  name = "loglikelihood",
  summary = { en = "Likeliest continuation is the right choice", zh = "对数似然最高的选项为标准答案" },
  modes = { "loglikelihood" },

  extract = function(response, sample)
    local choices = response.choices
    if not choices or #choices == 0 then return nil, "no_answer" end
    for _, choice in ipairs(choices) do
      if type(choice.sum) ~= "number" or choice.sum ~= choice.sum then return nil, "no_answer" end
    end
    local best, is_long = picks(choices, sample)
    local headline = sample.meta and sample.meta.headline or is_long and "acc_norm" or "acc"
    return { value = best[headline], how = headline, picks = best }
  end,
  score = function(answer, sample)
    local metrics = {}
    for _, metric in ipairs(METRICS) do metrics[metric] = answer.picks[metric] == sample.target and 1 or 0 end
    return { value = metrics[answer.how], metrics = metrics }
  end,

  examples = {
    { response = { choices = { { sum = -4 }, { sum = -3 } } }, sample = { choices = { "aaaaaaaa", "bb" } }, target = 1,
      answer = 1 },
    { response = { choices = { { sum = -4, text = " aaaaaaaa" }, { sum = -3, text = " bb" } } }, target = 0,
      answer = 0 },
    { response = { choices = { { sum = -4 }, { sum = -3 } } }, meta = { headline = "acc_norm" },
      sample = { choices = { "四个汉字", "bb" } }, target = 0, answer = 0 },
    { response = { choices = { { sum = -3 }, { sum = -3 } } }, sample = { choices = { "a", "b" } }, target = 0,
      answer = 0 },
    { response = { choices = {} }, target = 0, outcome = "no_answer" },
  },
}
