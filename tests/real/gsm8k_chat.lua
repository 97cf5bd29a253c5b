-- SPDX-License-Identifier: Apache-2.0
--- GSM8K in the chat form that the small checkpoint was trained on: the question, then how the answer is to be given.
local q = require "qlua"

return q.dataset {
  name = "gsm8k_chat",
  summary = { en = "GSM8K as a chat, for the small test model", zh = "GSM8K 对话形式，用于小型测试模型" },
  source = { test = { file = "gsm8k/test.jsonl" } },
  modes = { "generate" },
  scorers = { "number" },
  sample = function(row)
    local target = row.answer:match "####%s*(.-)%s*$"
    if not target then return nil, "field 'answer': want a solution that ends in '#### number'" end
    return { input = row.question, target = target }
  end,
  prompt = function(sample)
    return { messages = { { role = "user", content = sample.input .. "\n\nEnd with one line: Answer: <number>" } }, max_tokens = 400 }
  end,
  examples = { { row = { question = "1 + 1?", answer = "so\n#### 2" }, reply = "One and one.\nAnswer: 2", score = 1 } },
}
