-- SPDX-License-Identifier: Apache-2.0
--- Demo: the same three benchmarks against simulated servers, a few dozen questions of each.
local q = require "qlua"

return q.suite {
  name     = "demo",
  summary  = { en = "a minute's look: simulated servers, few questions", zh = "快速体验：模拟服务器，少量题目" },
  config   = "demo",
  datasets = {
    { name = "gsm8k", num_samples = 40 },
    { name = "hellaswag", num_samples = 40 },
    { name = "mmlu", num_samples = 40 },
  },
  settings = { benchmark = { control = true } },   -- the baseline twice: the noise floor of every comparison
  reports  = { "markdown", "html" },
}
