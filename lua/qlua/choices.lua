-- SPDX-License-Identifier: Apache-2.0
--- Multiple choice by log-probabilities: the sum of a continuation's tokens out of an echoed prompt, and the
-- labels' log-probabilities out of the next token's candidates.
-- What is kept of the candidates serves to compare variants.
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
  for i = 1, count do
    if type(logprobs.text_offset[i]) ~= "number" then return ("token %d has no text_offset"):format(i) end
  end
end

local MIN_CONSTANT = 4

-- A server that cannot score prompts may still answer, with zeros.
local function is_constant(values, last)
  for i = 3, last do
    if values[i] ~= values[2] then return false end
  end
  return last > MIN_CONSTANT
end

-- The tokens that were added up must spell the choice: offsets alone are shifted by a token the server put in front.
local function spells(tokens, first, last, continuation)
  local text = {}
  for i = first, last do
    if type(tokens[i]) ~= "string" or tokens[i]:find("\u{FFFD}", 1, true) then return true end -- part of a character
    text[#text + 1] = tokens[i]
  end
  return table.concat(text) == continuation
end

-- Where a token is part of both, `spans_from` says at which character it begins; -1 and the like say nothing.
local function spans(offsets, i, text)
  local from = offsets[i]
  return nil, { kind = "protocol", text = text, spans_from = i > 1 and type(from) == "number" and from > 0 and from or nil }
end

--- Sum of the log-probabilities of a continuation (lm-eval: `_loglikelihood_tokens` of API models).
-- Offsets count code points of the prompt's text, as the servers give them.
-- @tparam table response with logprobs of the echoed prompt
-- @tparam string context the prompt without the continuation
-- @tparam string continuation
-- @tparam[opt] boolean is_alone the echo gave no other candidates, so that greedy is unknown
-- @treturn ?table { sum= nat, tokens= count, greedy= whether each token was the likeliest }, or nil and err; err.spans_from
--   is the character at which a token begins that is part of the context and of the continuation
function choices.sum(response, context, continuation, is_alone)
  local logprobs, usage = response.logprobs, response.usage
  local problem = check_echo(logprobs, usage)
  if problem then return protocol(problem) end
  local start = utf8.len(context, 1, -1, true) or #context
  local stop = start + (utf8.len(continuation, 1, -1, true) or #continuation)
  local offsets = logprobs.text_offset
  local last = usage.prompt_tokens or #offsets
  if is_constant(logprobs.token_logprobs, last) then
    return protocol(("all %d prompt tokens have the same log-probability (does the server support echo?)"):format(last))
  end
  local result, first, final = { sum = 0.0, tokens = 0, greedy = true }, nil, nil
  for i = 1, last do
    if offsets[i] >= start and offsets[i] < stop then
      if not first then
        first = i
        if offsets[i] ~= start then
          return spans(offsets, i - 1,
            ("a token spans the boundary between prompt and choice (it begins at character %d, the choice at %d)")
              :format(offsets[i - 1] or 0, start))
        end
      end
      local value = logprobs.token_logprobs[i]
      if type(value) ~= "number" or value ~= value or value > 1e-6 then
        return protocol(("token %d has no log-probability (got %s)"):format(i, tostring(value)))
      end
      result.sum, result.tokens, final = result.sum + value, result.tokens + 1, i
      local top = logprobs.top and logprobs.top[i]
      for _, other in pairs(type(top) == "table" and top or {}) do
        if type(other) == "number" and other > value + 1e-9 then result.greedy = false end
      end
    end
  end
  if result.tokens == 0 then return spans(offsets, last, "no token of the choice was echoed") end
  if not spells(logprobs.tokens, first, final, continuation) then
    return protocol(("the echoed tokens at character %d are not the choice"):format(start))
  end
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
  if least == math.huge then return protocol "the candidates of the next token have no log-probabilities" end
  local result = {}
  for i, label in ipairs(labels) do
    local value = top[label]
    result[i] = { logprob = type(value) == "number" and value or least, bounded = type(value) ~= "number" }
  end
  return result
end

--- As many candidates are kept as the API gives (OpenAI's limit).
choices.MAX_CANDIDATES = 20

local FLOAT_DIGITS = "%.7g" -- what the 32-bit number behind it holds

-- Candidates with a finite log-probability, the likeliest first, of equal ones the first in byte order.
local function by_likelihood(top)
  local list = {}
  for token, value in pairs(top) do
    if type(token) == "string" and type(value) == "number" and value > -math.huge and value < math.huge then
      list[#list + 1] = { token = token, logprob = tonumber((FLOAT_DIGITS):format(value)) }
    end
  end
  table.sort(list, function(a, b)
    if a.logprob ~= b.logprob then return a.logprob > b.logprob end
    return a.token < b.token
  end)
  return list
end

--- The next token's candidates, to be compared with another variant's at the same prompt.
-- A token that is part of a character reads U+FFFD as others do: it is left to the rest, and where it is the likeliest the
-- place cannot be compared. Nor can numbers that are no distribution.
-- @tparam table response with the candidates of one generated token
-- @treturn ?{[string]=number} token → natural log-probability, `MAX_CANDIDATES` at most; nil where there is nothing to compare
function choices.candidates(response)
  local top = response.logprobs and response.logprobs.top and response.logprobs.top[1]
  local list = type(top) == "table" and by_likelihood(top) or {}
  if #list == 0 or list[1].token:find("\u{FFFD}", 1, true) then return nil end
  local kept, mass = {}, 0
  for i = 1, math.min(#list, choices.MAX_CANDIDATES) do
    local token, logprob = list[i].token, list[i].logprob
    if not token:find("\u{FFFD}", 1, true) then kept[token], mass = logprob, mass + math.exp(logprob) end
  end
  if list[1].logprob > 1e-6 or mass > 1 + 1e-3 then return nil end
  return kept
end

return choices
