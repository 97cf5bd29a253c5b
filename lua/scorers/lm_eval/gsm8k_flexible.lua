-- SPDX-License-Identifier: Apache-2.0
--- The flexible filter of lm-eval's task gsm8k, version 3.0: the last thing that looks like a number, then exact_match.
-- For comparison with published figures, oddities included; `number` is the scorer to trust. What that harness
-- counts as "[invalid]" is the outcome no_answer here, and wrong in accuracy as there.
local q = require "qlua"

local IGNORED = { ",", "\\$", "(?s).*#### ", "\\.$" }

return q.scorer {
  name = "lm_eval.gsm8k_flexible",
  summary = { en = "GSM8K as lm-eval: last number", zh = "GSM8K（lm-eval 口径）：最后一个数" },
  modes = { "generate" },
  lm_eval = { filter = "flexible-extract", metric = "exact_match", fallback = "[invalid]" }, -- what it stands for there

  extract = function(response)
    return q.extract.regex(response.text or "", [[(-?[$0-9.,]{2,})|(-?[0-9]+)]], { pick = "last", how = "flexible" })
  end,
  score = function(answer, sample)
    local options = { ignore_case = true, regexes_to_ignore = IGNORED }
    return q.extract.exact_match(answer.value, tostring(sample.target), options) and 1 or 0
  end,

  examples = {
    { text = "The answer is $70,000.", target = "70,000", score = 1 },
    { text = "so she makes 18 dollars...", target = "18", score = 0 },
    { text = "18 (see step 2)", target = "18", score = 0 },
    { text = "No idea", target = "18", outcome = "no_answer" },
  },
}
