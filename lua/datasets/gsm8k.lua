-- SPDX-License-Identifier: Apache-2.0
--- GSM8K (Cobbe et al. 2021, arXiv:2110.14168): grade-school word problems; the answer is one integer.
-- Asked as lm-eval's task gsm8k, version 3.0, does: five examples drawn anew for each question, the whole worked
-- solution as their answer. The hashes of these prompts are published there and tested here.
local q = require "qlua"

local upstream = "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/"

return q.dataset {
  name = "gsm8k",
  summary = { en = "Grade-school math word problems", zh = "小学数学应用题" },
  tags = { "math", "reasoning", "english" },
  licence = "MIT",
  source = {
    test = { file = "gsm8k/test.jsonl", url = upstream .. "test.jsonl", rows = 1319,
      sha256 = "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14" },
    train = { file = "gsm8k/train.jsonl", url = upstream .. "train.jsonl", rows = 7473,
      sha256 = "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465" },
  },
  modes = { "generate" },
  shots = { split = "train", n = 5, sampler = "random", seed = 1234 },
  scorers = { "number", "lm_eval.gsm8k_strict", "lm_eval.gsm8k_flexible" },
  stop = { "Question:", "</s>", "<|im_end|>" },

  sample = function(row)
    local target = type(row.answer) == "string" and row.answer:match "####%s*(.-)%s*$"
    if not target then
      return nil, "field 'answer': want a solution that ends in '#### number', got " .. tostring(row.answer)
    end
    return { input = row.question, target = target, meta = { solution = row.answer } }
  end,

  question = function(sample) return "Question: " .. sample.input .. "\nAnswer:" end,
  answer = function(sample) return sample.meta.solution end,

  examples = {
    { row = { question = "1 + 1?", answer = "so\n#### 2" }, reply = " One and one are two.\n#### 2", score = 1 },
    { row = { question = "How much?", answer = "#### 1,024" }, reply = " It is $1,024.", score = 1 },
    { row = { question = "How cold?", answer = "It falls.\n#### -3" }, reply = " The answer is 3.", score = 0 },
    { row = { question = "1 + 1?", answer = "#### 2" }, reply = " Not sure.", outcome = "no_answer" },
  },
}
