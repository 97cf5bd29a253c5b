-- SPDX-License-Identifier: Apache-2.0
--- Ask: a request's body, checked as vLLM checks it, in the few fields that the simulated model obeys.
-- What vLLM ignores is ignored: unknown fields have no effect and give no error.

local book = require "qlua.sim.book"
local json = require "qlua.core.json"
local problem = require "qlua.sim.problem"
local tokens = require "qlua.sim.tokens"

local ask = {}

local DEFAULT_COMPLETION_TOKENS = 16 -- vLLM's default for text completions; chat has none
local LOGPROBS_AT_MOST = 20

local function given(value)
  if value == json.null then return nil end
  return value
end

--- Decode a body or raise.
function ask.decode(body)
  local decoded = json.decode(body)
  if type(decoded) ~= "table" then
    problem.raise(400, "Bad Request", "[{'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON decode error'}]")
  end
  return decoded
end

local function integer(body, field, least)
  local value = given(body[field])
  if value == nil then return nil end
  if math.type(value) ~= "integer" then
    problem.invalid("int_type", field, "Input should be a valid integer")
  end
  if value < least then problem.bad(("%s must be at least %d, got %d."):format(field, least, value), field) end
  return value
end

local function boolean(body, field)
  local value = given(body[field])
  if value ~= nil and type(value) ~= "boolean" then
    problem.invalid("bool_type", field, "Input should be a valid boolean")
  end
  return value or false
end

local function stops(body)
  local value = given(body.stop)
  if value == nil then return {} end
  if type(value) == "string" then value = { value } end
  for _, stop in ipairs(value) do
    if type(stop) ~= "string" then problem.invalid("string_type", "stop", "Input should be a valid string") end
    if stop == "" then problem.bad("stop cannot contain an empty string.", "stop") end
  end
  return value
end

local function check_model(body, served)
  local model = given(body.model)
  if served and model ~= nil and model ~= served then
    problem.raise(404, "NotFoundError", ("The model `%s` does not exist."):format(tostring(model)), "model")
  end
end

local function check_logprobs(kind, count)
  if count and count > LOGPROBS_AT_MOST then
    problem.bad(("Requested %s logprobs of %d, which is greater than max allowed: %d"):format(kind, count,
      LOGPROBS_AT_MOST))
  end
end

local function check_sampling(body)
  local temperature = given(body.temperature)
  if temperature and (type(temperature) ~= "number" or temperature < 0) then
    problem.bad(("temperature must be non-negative, got %s."):format(tostring(temperature)), "temperature")
  end
  local n = given(body.n) or 1
  if n ~= 1 then
    problem.bad(temperature == 0 and ("n must be 1 when using greedy sampling, got %s."):format(tostring(n))
      or "the simulated server answers n=1 only", "n")
  end
end

local function stream_options(body, wanted)
  local options = given(body.stream_options)
  if options == nil then return {} end
  if not wanted.stream then problem.bad("Stream options can only be defined when `stream=True`.", "stream_options") end
  return options
end

-- Ids as pieces; what this process has never written has no text, and so is nothing it could say.
local function pieces_of(body, field)
  local list = given(body[field])
  if list == nil then return nil end
  if type(list) ~= "table" then problem.invalid("list_type", field, "Input should be a valid list") end
  local pieces = {}
  for i, id in ipairs(list) do
    pieces[i] = math.type(id) == "integer" and tokens.text { id }
    if not pieces[i] then problem.bad(("token id %s is not in the vocabulary."):format(tostring(id)), field) end
  end
  return pieces
end

-- `{ "id": bias }`, or `[[id, bias]]`.
local function bias_of(body)
  local map, bias = given(body.logit_bias), nil
  for key, value in pairs(type(map) == "table" and map or {}) do
    if type(value) == "table" then key, value = value[1], value[2] end
    local piece = math.tointeger(tonumber(key)) and tokens.text { math.tointeger(tonumber(key)) }
    if piece and type(value) == "number" then
      bias = bias or {}
      bias[piece] = value
    end
  end
  return bias
end

local function choice_of(body)
  local outputs = given(body.structured_outputs)
  local choice = type(outputs) == "table" and given(outputs.choice)
  return type(choice) == "table" and #choice > 0 and choice or nil
end

local function common(body, served)
  check_model(body, served)
  check_sampling(body)
  local wanted = { stream = boolean(body, "stream"), stops = stops(body), ignore_eos = boolean(body, "ignore_eos"),
    include_stop = boolean(body, "include_stop_str_in_output"), return_ids = boolean(body, "return_token_ids"),
    as_ids = boolean(body, "return_tokens_as_token_ids"), exact = pieces_of(body, "logprob_token_ids"), bias = bias_of(body),
    choice = choice_of(body) }
  local options = stream_options(body, wanted)
  wanted.include_usage = options.include_usage == true
  wanted.continuous_usage = wanted.include_usage and options.continuous_usage_stats == true
  return wanted
end

local function text_of_ids(ids)
  local text = tokens.text(ids)
  if not text then problem.bad("the simulated server knows only token ids that its /tokenize has given out", "prompt") end
  return text
end

local function prompts(body)
  local prompt = given(body.prompt)
  if prompt == nil then problem.invalid("missing", "prompt", "Field required") end
  if type(prompt) == "string" then return { prompt } end
  if type(prompt) ~= "table" or #prompt == 0 then
    problem.bad("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
  end
  if math.type(prompt[1]) == "integer" then return { text_of_ids(prompt) } end
  local list = {}
  for i, one in ipairs(prompt) do list[i] = type(one) == "table" and text_of_ids(one) or one end
  return list
end

--- What a text completion asks for.
-- @tparam table body decoded
-- @tparam string|boolean served the served model's name; false: any is taken
-- @treturn table `prompts`, `max_tokens`, `echo`, `logprobs`, `prompt_logprobs`, …
function ask.completion(body, served)
  local wanted = common(body, served)
  wanted.prompts = prompts(body)
  wanted.echo = boolean(body, "echo")
  wanted.logprobs = integer(body, "logprobs", -1)
  wanted.prompt_logprobs = integer(body, "prompt_logprobs", -1)
  check_logprobs("sample", wanted.logprobs)
  check_logprobs("prompt", wanted.prompt_logprobs)
  wanted.max_tokens = integer(body, "max_tokens", wanted.echo and 0 or 1) or DEFAULT_COMPLETION_TOKENS
  if wanted.stream and (wanted.prompt_logprobs or #wanted.prompts > 1) then
    problem.bad(wanted.prompt_logprobs and "`prompt_logprobs` are not available when `stream=True`."
      or "the simulated server streams one prompt at a time")
  end
  if wanted.prompt_logprobs == nil and wanted.echo then wanted.prompt_logprobs = wanted.logprobs end
  return wanted
end

local function content_text(content)
  if type(content) ~= "table" then return given(content) or "" end
  local parts = {}
  for _, part in ipairs(content) do parts[#parts + 1] = type(part) == "table" and part.text or tostring(part) end
  return table.concat(parts)
end

--- A conversation's messages with their contents as plain text.
-- @treturn {{role=string,content=string},...}
function ask.messages(body)
  local messages = given(body.messages)
  if messages == nil then problem.invalid("missing", "messages", "Field required") end
  if type(messages) ~= "table" or #messages == 0 then
    problem.invalid("too_short", "messages", "List should have at least 1 item")
  end
  local plain = {}
  for i, message in ipairs(messages) do
    if type(message) ~= "table" or type(message.role) ~= "string" then
      problem.invalid("missing", "messages', " .. (i - 1) .. ", 'role", "Field required")
    end
    plain[i] = { role = message.role, content = content_text(message.content) }
  end
  return plain
end

--- The pieces of a conversation under a template like ChatML, its marks being one piece each.
-- @tparam[opt] boolean is_open the last message is to be continued: it has no end, and no turn begins after it
-- @treturn {string,...}
function ask.chat_pieces(messages, is_open)
  local pieces = {}
  local function put(...)
    for _, piece in ipairs { ... } do pieces[#pieces + 1] = piece end
  end
  for i, message in ipairs(messages) do
    put("<|im_start|>", message.role, "\n")
    local content = tokens.pieces(message.content)
    table.move(content, 1, #content, #pieces + 1, pieces)
    if is_open and i == #messages then return pieces end
    put("<|im_end|>", "\n")
  end
  put("<|im_start|>", "assistant", "\n")
  return pieces
end

--- What a chat completion asks for.
-- @treturn table `messages`, `prompt` (what the book is asked for), `max_tokens` or nil, `logprobs`, …
function ask.chat(body, served)
  local wanted = common(body, served)
  wanted.is_chat = true
  wanted.messages = ask.messages(body)
  wanted.prompt = book.conversation_key(wanted.messages)
  wanted.prompt_tokens = #ask.chat_pieces(wanted.messages)
  wanted.max_tokens = integer(body, "max_completion_tokens", 1) or integer(body, "max_tokens", 1)
  local top = integer(body, "top_logprobs", 0)
  check_logprobs("sample", top)
  if top and not boolean(body, "logprobs") then
    problem.bad("when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs")
  end
  if boolean(body, "logprobs") then wanted.logprobs = top or 0 end
  return wanted
end

--- Refuse what does not fit the context.
-- @tparam table wanted with `max_tokens`, which is filled in for chat
-- @tparam integer prompt_tokens
-- @tparam integer limit the model's context length
function ask.check_length(wanted, prompt_tokens, limit)
  if not wanted.max_tokens then wanted.max_tokens = math.max(1, limit - prompt_tokens) end
  if prompt_tokens + wanted.max_tokens <= limit then return end
  problem.bad(("You passed %d input tokens and requested %d output tokens. However, the model's context length is only"
    .. " %d tokens, resulting in a maximum input length of %d tokens. Please reduce the length of the input prompt.")
    :format(prompt_tokens, wanted.max_tokens, limit, math.max(0, limit - wanted.max_tokens)), "input_tokens")
end

return ask
