-- SPDX-License-Identifier: Apache-2.0
--- Exact: the reply, trimmed, is the target, character for character.
-- Nothing is folded or lowered: a benchmark that wants leniency should say which, with `regex` or a scorer of its own.
-- A target that is a list holds if any of its strings does.
local q = require "qlua"

return q.scorer {
  name = "exact",
  summary = { en = "Reply equals the target exactly", zh = "回复与标准答案完全一致" },
  modes = { "generate" },

  extract = function(response)
    local visible, reason = q.extract.visible(response)
    if not visible then return nil, reason end
    local value = q.text.trim(visible)
    local from = visible:find(value, 1, true) + reason
    return { value = value, how = "whole reply", span = { from = from, to = from + #value - 1 } }
  end,
  score = function(answer, sample)
    local targets = type(sample.target) == "table" and sample.target or { sample.target }
    for _, target in ipairs(targets) do
      if answer.value == q.text.trim(tostring(target)) then return 1 end
    end
    return 0
  end,

  examples = {
    { text = " Paris\n", target = "Paris", score = 1 },
    { text = "paris", target = "Paris", score = 0 },
    { text = "<think>hm</think>\n巴黎", target = "巴黎", score = 1 },
    { text = " \n", target = "Paris", outcome = "empty" },
    { text = "<think>Pa", target = "Paris", outcome = "truncated_reasoning" },
  },
}
