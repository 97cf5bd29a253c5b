-- SPDX-License-Identifier: Apache-2.0
--- Number: the reply's final number equals the target, as numbers.
-- The headline of arithmetic benchmarks. What counts as the final number is said in docs/scorers.md.
local q = require "qlua"

return q.scorer {
  name = "number",
  summary = { en = "Final number equals the target", zh = "最后的数值等于标准答案" },
  modes = { "generate" },

  extract = function(response) return q.extract.final_number(response) end,
  score = function(answer, sample) return q.number.equal(answer.value, sample.target) and 1 or 0 end,

  examples = {
    { text = "16 - 3 - 4 = 9, and 9 * 2 = 18.\n#### 18", target = "18", score = 1 },
    { text = "The total is \\boxed{70{,}000}.", target = "70,000", score = 1 },
    { text = "所以答案是１８。", target = "18", score = 1 },
    { text = "The answer is −5.", target = "5", score = 0 },
    { text = "Each gets \\frac{1}{2}, so the answer is \\frac{1}{2}.", target = "0.5", score = 1 },
    { text = "<think>maybe 18 or 20", target = "18", outcome = "truncated_reasoning" },
    { text = "I'm sorry, but I can't help with these 3 things.", target = "18", outcome = "refused" },
    { text = "It is either \\boxed{18} or \\boxed{20}", target = "18", outcome = "ambiguous" },
    { text = "She first counts 16 eggs, then", finish = "length", target = "18", outcome = "truncated" },
    { text = "Not sure.", target = "18", outcome = "no_answer" },
  },
}
