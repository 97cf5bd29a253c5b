-- SPDX-License-Identifier: Apache-2.0
--- Multiple choice by log-probabilities: the sum of a continuation's tokens out of an echoed prompt, and the
-- labels' log-probabilities out of the next token's candidates.
-- Everything that does not fit is an error, never a number: a server that ignores echo would otherwise score at
-- chance level without a word.

local choices = {}

local function protocol(text) return nil, { kind = "protocol", text = text } end

local function check_echo(logprobs, usage)
  if not logprobs or not logprobs.tokens or not logprobs.token_logprobs then
    return "the reply has no log-probabilities of the prompt (does the server support echo?)"
  end
  local count = #logprobs.token_logprobs
  if count ~= #logprobs.tokens then return ("%d tokens but %d log-probabilities"):format(#logprobs.tokens, count) end
  if usage.prompt_tokens and count < usage.prompt_tokens then
    return ("echo gave %d entries for %d prompt tokens (does the server support echo?)"):format(count, usage.prompt_tokens)
  end
  if not logprobs.text_offset or #logprobs.text_offset ~= count then return "the reply has no text_offset per token" end
end

--- Sum of the log-probabilities of a continuation (lm-eval: `_loglikelihood_tokens` of API models).
-- Offsets count code points of the prompt's text, as the servers give them.
-- @tparam table response with logprobs of the echoed prompt
-- @tparam string context the prompt without the continuation
-- @tparam string continuation
-- @tparam[opt] boolean is_alone the echo gave no other candidates, so that greedy is unknown
-- @treturn ?table { sum= nat, tokens= count, greedy= whether each token was the likeliest }, or nil and err
function choices.sum(response, context, continuation, is_alone)
  local logprobs, usage = response.logprobs, response.usage
  local problem = check_echo(logprobs, usage)
  if problem then return protocol(problem) end
  local start = utf8.len(context, 1, -1, true) or #context
  local stop = start + (utf8.len(continuation, 1, -1, true) or #continuation)
  local offsets = logprobs.text_offset
  local last = usage.prompt_tokens or #offsets
  local result, first = { sum = 0.0, tokens = 0, greedy = true }, nil
  for i = 1, last do
    if offsets[i] >= start and offsets[i] < stop then
      if not first then
        first = i
        if offsets[i] ~= start then
          return protocol(("a token spans the boundary between prompt and choice (it begins at character %d, the choice at %d)")
            :format(offsets[i - 1] or 0, start))
        end
      end
      local value = logprobs.token_logprobs[i]
      if type(value) ~= "number" or value ~= value or value > 1e-6 then
        return protocol(("token %d has no log-probability (got %s)"):format(i, tostring(value)))
      end
      result.sum, result.tokens = result.sum + value, result.tokens + 1
      local top = logprobs.top and logprobs.top[i]
      for _, other in pairs(type(top) == "table" and top or {}) do
        if type(other) == "number" and other > value + 1e-9 then result.greedy = false end
      end
    end
  end
  if result.tokens == 0 then return protocol "no token of the choice was echoed" end
  if is_alone then result.greedy = nil end
  return result
end

--- Log-probabilities of answer labels as the next token.
-- A label that is not among the candidates is at most as likely as the least of them: `bounded`.
-- @tparam table response with the candidates of one generated token
-- @tparam {string,...} labels as texts of tokens: " A", or "A" after a chat template
-- @treturn ?table { { logprob=, bounded=bool }… }, or nil and err
function choices.labels(response, labels)
  local top = response.logprobs and response.logprobs.top and response.logprobs.top[1]
  if type(top) ~= "table" or next(top) == nil then
    return protocol "the reply has no candidates of the next token (does the server support logprobs?)"
  end
  local least = math.huge
  for _, value in pairs(top) do least = math.min(least, type(value) == "number" and value or least) end
  local result = {}
  for i, label in ipairs(labels) do
    local value = top[label]
    result[i] = { logprob = type(value) == "number" and value or least, bounded = type(value) ~= "number" }
  end
  return result
end

return choices
