-- SPDX-License-Identifier: Apache-2.0
--- The strict filter of lm-eval's task gsm8k, version 3.0: the first number right after `#### `, then exact_match.
-- For comparison with published figures, oddities included; `number` is the scorer to trust. What that harness
-- counts as "[invalid]" is the outcome no_answer here, and wrong in accuracy as there.
local q = require "qlua"

local IGNORED = { ",", "\\$", "(?s).*#### ", "\\.$" }

return q.scorer {
  name = "lm_eval.gsm8k_strict",
  summary = { en = "GSM8K as lm-eval: number after ####", zh = "GSM8K（lm-eval 口径）：#### 之后的数" },
  modes = { "generate" },
  lm_eval = { filter = "strict-match", metric = "exact_match", fallback = "[invalid]" }, -- what it stands for there

  extract = function(response)
    return q.extract.regex(response.text or "", [[#### (\-?[0-9\.\,]+)]], { pick = "first", how = "strict" })
  end,
  score = function(answer, sample)
    local options = { ignore_case = true, regexes_to_ignore = IGNORED }
    return q.extract.exact_match(answer.value, tostring(sample.target), options) and 1 or 0
  end,

  examples = {
    { text = "so 70,000\n#### 70,000", target = "70000", score = 1 },
    { text = "#### 18.", target = "18", score = 1 },
    { text = "#### 18.00", target = "18", score = 0 },
    { text = "#### $18", target = "18", outcome = "no_answer" },
    { text = "The answer is 18.", target = "18", outcome = "no_answer" },
  },
}
