-- SPDX-License-Identifier: Apache-2.0
--- The configuration of the suite quiz: which files, how many questions.

local file = require "qlua.core.file"
local real = require "real"

local quiz = {}

quiz.suite = "tests/real/quiz_suite.lua"
quiz.kinds = { "f16", "q8_0", "q4_0" }

--- Write it.
-- @tparam string path
-- @tparam[opt] table options limits { gsm8k =, mmlu =, hellaswag = } (none: all questions), kinds, server (keys as YAML texts),
--   engine (default llama), concurrency
function quiz.configure(path, options)
  options = options or {}
  local kinds, limits = options.kinds or quiz.kinds, options.limits or {}
  local files, variants, datasets = real.quantized(kinds), {}, {}
  for i, kind in ipairs(kinds) do variants[i] = ("    - { name: %s, model: %s }"):format(kind, files[kind]) end
  for i, one in ipairs { { "gsm8k", "generate" }, { "mmlu", "letter" }, { "hellaswag", "loglikelihood" } } do
    datasets[i] = ("  - { name: %s, shots: 0, mode: %s, limit: %s }"):format(one[1], one[2], limits[one[1]] or "null")
  end
  assert(file.write(path, ([[
model:
  base_name: quiz-27m
  variants:
%s
data: %s
datasets:
%s
%sgeneration: { max_tokens: 400, seed: 1 }
benchmark: { concurrency: %d, num_warmup_iterations: 1 }
verdict: { margins_pt: { default: 5.0 } }
report: { language: both, layouts: [markdown, html] }
]]):format(table.concat(variants, "\n"), real.shared "data", table.concat(datasets, "\n"),
    real.server(options.engine or "llama", options.server), options.concurrency or 1)))
  return path
end

return quiz
