-- SPDX-License-Identifier: Apache-2.0
--- Quiz: the small checkpoint that knows part of three test sets on purpose, asked in the forms that it was trained on.
-- Its scores are a test of qlua and of an engine, never a result. The configuration is made by quiz_config.lua.
local q = require "qlua"

return q.suite {
  name = "quiz",
  summary = { en = "A test instrument: a small model with known answers, in several number formats",
    zh = "测试用：已知答案的小模型，多种数值格式" },
  datasets = { "gsm8k", "mmlu", "hellaswag" },
  reports = { "markdown", "html" },
}
