-- SPDX-License-Identifier: Apache-2.0
--- CMATH (Wei et al. 2023, arXiv:2306.16636): Chinese primary-school word problems, grades 1 to 6.
-- The prompt is this project's own, without examples: the paper fixes none. Golds are plain numbers; a few
-- hold a fraction or a per cent sign, which the scorer compares as numbers.
local q = require "qlua"

return q.dataset {
  name = "cmath",
  summary = { en = "Chinese primary-school math word problems", zh = "中文小学数学应用题" },
  tags = { "math", "reasoning", "chinese" },
  licence = "CC-BY-4.0",
  source = { -- upstream publishes no checksum
    test = { file = "zh/cmath/cmath_dev.jsonl", rows = 600,
      url = "https://raw.githubusercontent.com/XiaoMi/cmath/HEAD/datasets/cmath_dev.jsonl" },
  },
  modes = { "generate" },
  scorers = { "number" },

  sample = function(row)
    if row.golden == nil then return nil, "field 'golden': want a number as text, got nothing" end
    return { input = row.input, target = tostring(row.golden),
      meta = { grade = row.grade, steps = row.reasoning_step, digits = row.num_digits } }
  end,

  prompt = function(sample)
    return { text = "请解答下面的小学数学题。先写出推理过程，最后另起一行，以“答案是：”开头给出最终的数值，不带单位。\n\n题目："
      .. sample.input .. "\n解答：", stop = { "题目：" } }
  end,

  examples = {
    { row = { input = "小明有3个苹果，又买了5个，一共有几个？", golden = "8" }, reply = "3 + 5 = 8\n答案是：8", score = 1 },
    { row = { input = "一根绳子长2米，剪成4段，每段长多少米？", golden = "0.5" }, reply = "2 ÷ 4 = 0.5（米）\n答案是：０．５", score = 1 },
    { row = { input = "小红有10元，花了4元，还剩多少元？", golden = "6" }, reply = "答案是：14", score = 0 },
    { row = { input = "小红有10元，花了4元，还剩多少元？", golden = "6" }, reply = "这道题我不会做。", outcome = "no_answer" },
  },
}
