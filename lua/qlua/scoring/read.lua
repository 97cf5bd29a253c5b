-- SPDX-License-Identifier: Apache-2.0
--- Read: what every reader of log-probabilities needs: checked numbers, the next token's candidates by text or by id. Pure.

local json = require "qlua.core.json"

local read = {}

function read.protocol(text) return nil, { kind = "protocol", text = text } end

local CLAMPED = 1e-6 -- a logarithm of a probability, rounded

--- Is it a log-probability? Minus infinity is none: nothing can be compared with it (servers write -9999).
function read.is_logprob(value)
  return type(value) == "number" and value == value and value <= CLAMPED and value > -math.huge
end

--- Add up the log-probabilities from one token on.
-- @tparam {number,...} values one per token of the prompt
-- @tparam integer start tokens before the choice
-- @treturn ?table { sum, tokens }, or nil and err
function read.total(values, start)
  local sum = 0.0
  for i = start + 1, #values do
    if not read.is_logprob(values[i]) then
      local got = values[i] == json.null and "null" or tostring(values[i])
      return read.protocol(("token %d has no log-probability (got %s)"):format(i, got))
    end
    sum = sum + values[i]
  end
  return { sum = sum, tokens = #values - start }
end

local MIN_CONSTANT = 4

--- Do all tokens but the first have one value? A server that cannot score prompts may still answer, with zeros.
function read.is_constant(values)
  for i = 3, #values do
    if values[i] ~= values[2] then return false end
  end
  return #values > MIN_CONSTANT
end

--- The candidates of the first generated token, in either shape.
-- @tparam table choice of a completion or a chat completion
-- @treturn ?table { own = {token, id?, logprob}, list = { {token, id?, logprob}… } }; nil where there are none
function read.next_token(choice)
  local logprobs = type(choice.logprobs) == "table" and choice.logprobs
  if not logprobs then return nil end
  if type(logprobs.content) == "table" then
    local entry = logprobs.content[1]
    if type(entry) ~= "table" then return nil end
    local list = {}
    for _, one in ipairs(type(entry.top_logprobs) == "table" and entry.top_logprobs or {}) do
      if type(one) == "table" then list[#list + 1] = { token = one.token, id = one.id, logprob = one.logprob } end
    end
    return { own = { token = entry.token, id = entry.id, logprob = entry.logprob }, list = list }
  end
  local tokens, values, top = logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs
  if type(tokens) ~= "table" or type(values) ~= "table" or values[1] == nil then return nil end
  local list = {}
  local first = type(top) == "table" and top[1]
  for token, logprob in pairs(type(first) == "table" and first or {}) do list[#list + 1] = { token = token, logprob = logprob } end
  table.sort(list, function(a, b)
    local x, y = tonumber(a.logprob) or -math.huge, tonumber(b.logprob) or -math.huge
    if x ~= y then return x > y end
    return tostring(a.token) < tostring(b.token)
  end)
  return { own = { token = tokens[1], logprob = values[1] }, list = list }
end

--- The id in "token_id:362", as servers write tokens when they are asked to.
function read.id_of(entry)
  if math.type(entry.id) == "integer" then return entry.id end
  return type(entry.token) == "string" and math.tointeger(tonumber(entry.token:match "^token_id:(%d+)$")) or nil
end

--- The first choice of a completion, or nil and err.
function read.choice(value)
  local choice = type(value.choices) == "table" and value.choices[1]
  if type(choice) ~= "table" then return read.protocol "the reply has no choices[0]" end
  return choice
end

return read
