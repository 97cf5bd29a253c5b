-- SPDX-License-Identifier: Apache-2.0
--- Full: the three benchmarks, all of their questions, every variant of the configuration.
local q = require "qlua"

return q.suite {
  name     = "full",
  summary  = { en = "GSM8K, HellaSwag and MMLU, every question", zh = "GSM8K、HellaSwag 与 MMLU 的全部题目" },
  config   = "model_config",            -- configs/model_config.yaml; --config replaces it
  datasets = { "gsm8k", "hellaswag", "mmlu" },
  settings = { benchmark = { control = true } },   -- the baseline twice: the noise floor of every comparison
  reports  = { "markdown", "html" },
}
