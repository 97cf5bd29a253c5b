-- SPDX-License-Identifier: Apache-2.0
--- Regex: what a pattern of the dataset's finds in the reply equals the target.
-- The dataset gives `meta.pattern` (PCRE2), and may give `meta.pick` ("first" or "last"), `meta.group` and
-- `meta.flags`;
-- the match's first non-empty group counts, trimmed. The reply is searched without its reasoning.
local q = require "qlua"

return q.scorer {
  name = "regex",
  summary = { en = "What the dataset's pattern finds equals the target", zh = "按数据集给定的正则提取后与标准答案一致" },
  modes = { "generate" },

  extract = function(response, sample)
    local meta = sample.meta or {}
    if type(meta.pattern) ~= "string" then
      error("scorer 'regex': the dataset gives no meta.pattern (want a PCRE2 pattern)", 0)
    end
    local visible, offset = q.extract.visible(response)
    if not visible then return nil, offset end
    local answer, reason = q.extract.regex(visible, meta.pattern, { pick = meta.pick, group = meta.group,
      flags = meta.flags })
    if not answer then return nil, reason end
    answer.span = { from = answer.span.from + offset, to = answer.span.to + offset }
    return answer
  end,
  score = function(answer, sample) return answer.value == tostring(sample.target) and 1 or 0 end,

  examples = {
    { text = "So the final answer: B", target = "B", meta = { pattern = "answer: ([A-D])" }, score = 1 },
    { text = "x=1, x=2", target = "2", meta = { pattern = "x=(\\d)", pick = "last" }, score = 1 },
    { text = "nothing", target = "2", meta = { pattern = "x=(\\d)" }, outcome = "no_answer" },
  },
}
