-- SPDX-License-Identifier: Apache-2.0
--- Quirks: what real servers do wrong without a word: 200, and something else than was asked for. Unlike faults they hold
-- for every request, probes included, since that is what probes are for.

local tokens = require "qlua.sim.tokens"

local quirks = {}

--- Names and what each does.
quirks.kinds = {
  ignore_echo = "echo and prompt_logprobs have no effect",
  shift_echo = "an echoed token has the log-probability of the token after it",
  constant_logprobs = "all log-probabilities are the same",
  no_text_offset = "text_offset is -1 for every token",
  few_logprobs = "at most two candidates per token, however many are asked for",
  any_model = "every model name is accepted",
  other_model = "replies come from a model of another name",
  truncate = "a prompt that is too long loses its beginning",
  ignore_choice = "structured_outputs has no effect",
}

--- A set of names.
-- @tparam ?{string,...} list
function quirks.set(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

quirks.FEW = 2

local NUMBER = "%-%d+%.%d%d%d%d%d%d" -- as log-probabilities are written, and nothing else

local function shifted(list)
  local values = {}
  for value in list:gmatch "[^,]+" do values[#values + 1] = value end
  for i = 2, #values - 1 do values[i] = values[i + 1] end
  return table.concat(values, ",")
end

--- Spoil the body of a finished reply.
-- @tparam table set
-- @tparam ?string body
function quirks.spoil(set, body)
  if not body then return body end
  if set.shift_echo then
    body = body:gsub('("token_logprobs":%[)(null,[^%]]*)', function(head, list) return head .. shifted(list) end)
  end
  if set.no_text_offset then
    body = body:gsub('("text_offset":%[)([^%]]*)', function(head, list) return head .. list:gsub("%d+", "-1") end)
  end
  if set.constant_logprobs then body = body:gsub(NUMBER, "-1.000000") end
  return body
end

--- The end of a text that has at most so many tokens.
function quirks.end_of(text, count)
  local pieces = tokens.pieces(text)
  if #pieces <= count then return text end
  return table.concat(pieces, "", #pieces - count + 1, #pieces)
end

return quirks
