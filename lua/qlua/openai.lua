-- SPDX-License-Identifier: Apache-2.0
--- OpenAI-shaped servers: a Request out of a Prompt, a Response out of a Reply.
-- Dialects use these as they are or build on them. Shapes: docs/servers.md.

local json = require "qlua.core.json"

local openai = {}

--- So many stop strings the original API takes; what is more is applied here alone.
openai.max_stops = 4

local function is_text(value) return type(value) == "string" and value or nil end
local function is_number(value) return type(value) == "number" and value or nil end
local function is_table(value) return type(value) == "table" and value or nil end

openai.standard_sampling = { "temperature", "top_p", "seed" }
openai.extended_sampling = { "temperature", "top_p", "seed", "top_k", "min_p", "repetition_penalty" }

-- Sampling fields the dialect's server knows; sent explicitly, because servers' defaults differ and some take
-- theirs from the model's own files. A field with a name of its own there stands as `our_name = "its_name"`.
local function add_sampling(body, sampling, fields)
  for key, name in pairs(fields) do
    local field = type(key) == "string" and key or name
    body[name] = sampling[field]
  end
end

-- A system prompt of the variant comes before the dataset's own, as one message: templates take one at most.
local function with_system_prompt(messages, text)
  if not text then return messages end
  local first = messages[1]
  local has_own = first and first.role == "system" and type(first.content) == "string"
  local list = { { role = "system", content = has_own and text .. "\n\n" .. first.content or text } }
  return table.move(messages, has_own and 2 or 1, #messages, 2, list)
end

-- A last message of the assistant is a beginning that the model goes on with, not a turn that is over.
local function add_template_fields(body, ask, options)
  local kwargs = ask.sampling and ask.sampling.chat_template_kwargs
  if kwargs and next(kwargs) then body.chat_template_kwargs = kwargs end
  local prompt = ask.prompt
  if prompt.continue_final_message and options.continues ~= "always" then
    body.continue_final_message, body.add_generation_prompt = true, false
  elseif prompt.add_generation_prompt ~= nil then
    body.add_generation_prompt = prompt.add_generation_prompt
  end
end

local function add_prompt(body, ask, options)
  if ask.endpoint == "chat" then
    local messages = ask.prompt.messages or { { role = "user", content = ask.prompt.text } }
    body.messages = with_system_prompt(messages, ask.sampling and ask.sampling.system_prompt)
    add_template_fields(body, ask, options)
    return "/chat/completions"
  end
  body.prompt = ask.prompt.text
  return "/completions"
end

-- OpenAI's newer models take max_completion_tokens over chat and refuse the older name.
local function add_max_tokens(body, ask, options, count)
  local field = ask.endpoint == "chat" and (ask.server and ask.server.max_tokens_field or options.max_tokens_field)
  body[field or "max_tokens"] = count
end

local builders = {}

-- What a reasoning model thinks may hold a stop string; for such a model all stops are applied here, behind its thoughts.
local function add_stops(body, sampling, options)
  local stops = sampling.stop
  if not stops or #stops == 0 or sampling.reasoning then return end
  local most = options.max_stops or openai.max_stops
  body.stop = json.array(table.move(stops, 1, math.min(#stops, most), 1, {}))
end

function builders.generate(body, ask, options)
  local path = add_prompt(body, ask, options)
  add_sampling(body, ask.sampling, options.sampling)
  add_max_tokens(body, ask, options, ask.sampling.max_tokens)
  add_stops(body, ask.sampling, options)
  if ask.stream then
    body.stream = true
    body.stream_options = { include_usage = true }
  end
  return path
end

-- One continuation, scored by echo. One token is generated because some servers refuse to generate none; it is
-- told from the prompt's by usage and never counted.
function builders.loglikelihood(body, ask)
  body.prompt = ask.prompt.text .. ask.continuation
  body.max_tokens, body.temperature = 1, 0
  body.echo, body.logprobs = true, ask.echo_logprobs or 1
  return "/completions"
end

function builders.letter(body, ask, options)
  local path = add_prompt(body, ask, options)
  add_max_tokens(body, ask, options, 1)
  body.temperature = 0
  if ask.endpoint == "chat" then
    body.logprobs, body.top_logprobs = true, ask.top_logprobs or 20
  else
    body.logprobs = ask.top_logprobs or 20
  end
  return path
end

-- Fields of the configuration are the last word: they replace what would be sent, and null takes it away.
local function add_extra(body, extra)
  for field, value in pairs(extra or {}) do
    if value == json.null then value = nil end
    body[field] = value
  end
end

--- The Request for one ask.
-- @tparam table ask mode, prompt, continuation (loglikelihood), sampling, endpoint, stream, model, extra_body, server (the
--   variant's section)
-- @tparam[opt] table options what this server knows: `sampling` (list of parameters; `{ ours = "its name" }`), `max_stops` (stop
--   strings it takes, default 4), `max_tokens_field` (for chat), `continues` ("always": a last message of the assistant is gone on with
--   unasked). A plain list is `sampling`
-- @treturn table Request { method, path, body, sse }
function openai.request(ask, options)
  options = options or {}
  if options[1] then options = { sampling = options } end
  if not options.sampling then options = setmetatable({ sampling = openai.standard_sampling }, { __index = options }) end
  local body = { model = ask.model }
  local path = builders[ask.mode](body, ask, options)
  add_extra(body, ask.extra_body)
  return { method = "POST", path = path, body = body, sse = body.stream == true }
end

--- The sentence in an error body; servers put it in `error.message`, `error`, `message` or `detail`.
-- @treturn ?string message, ?integer code
function openai.error_of(value)
  if type(value) ~= "table" then return nil end
  local err = value.error
  if type(err) == "string" then return err end
  if type(err) == "table" then
    return is_text(err.message) or json.encode(err), math.tointeger(is_number(err.code) or 0)
  end
  if value.object == "error" then return is_text(value.message), math.tointeger(is_number(value.code) or 0) end
  if value.choices ~= nil then return nil end
  if value.detail ~= nil and value.detail ~= json.null then
    return is_text(value.detail) or json.encode(value.detail), math.tointeger(is_number(value.statusCode) or 0)
  end
  return is_text(value.message), math.tointeger(is_number(value.statusCode) or 0)
end

local function protocol(text) return nil, { kind = "protocol", text = text } end

local function server_error(message, code)
  return nil, { kind = "http", status = code and code >= 400 and code or 500, text = "the server says: " .. message }
end

-- Gateways put an error into the choice, and some servers into its finish_reason: what came until then is no answer.
local function error_of_choice(choice)
  local message, code = openai.error_of { error = choice.error }
  if message then return message, code end
  if choice.finish_reason == "error" or choice.finish_reason == "abort" then
    return ("the reply ended with finish_reason '%s'"):format(choice.finish_reason), 500
  end
end

-- Chat log-probabilities as the legacy lists, which is what the scoring works on.
local function from_chat(content)
  local logprobs = { tokens = {}, token_logprobs = {}, top = {} }
  for i, entry in ipairs(content) do
    entry = is_table(entry) or {}
    logprobs.tokens[i], logprobs.token_logprobs[i] = is_text(entry.token) or "", is_number(entry.logprob) or json.null
    logprobs.top[i] = {}
    for _, candidate in ipairs(is_table(entry.top_logprobs) or {}) do
      -- A text may stand for several tokens; the likeliest comes first and is kept.
      local token = is_table(candidate) and is_text(candidate.token)
      if token then logprobs.top[i][token] = logprobs.top[i][token] or is_number(candidate.logprob) end
    end
  end
  return logprobs
end

local function read_logprobs(choice)
  local logprobs = is_table(choice.logprobs)
  if not logprobs then return nil end
  if is_table(logprobs.content) then return from_chat(logprobs.content) end
  return { tokens = is_table(logprobs.tokens), token_logprobs = is_table(logprobs.token_logprobs),
    text_offset = is_table(logprobs.text_offset), top = is_table(logprobs.top_logprobs) }
end

local function read_usage(usage, events)
  usage = is_table(usage) or {}
  local completion = is_number(usage.completion_tokens)
  return { prompt_tokens = is_number(usage.prompt_tokens), completion_tokens = completion or events,
    source = completion and "usage" or events and "events" or nil }
end

local function decoded(reply)
  local value, err = json.decode(reply.body)
  if value == nil then return nil, { kind = "protocol", text = "the reply is " .. err.text } end
  local message, code = openai.error_of(value)
  if message then return server_error(message, code) end
  return value
end

--- A reply of any shape, whose reader wants the JSON itself: a tokenizer's, or log-probabilities as few servers give them.
-- @tparam table reply
-- @treturn ?table `{ value, usage, model, timing }`, or nil and err as `read`
function openai.read_value(reply)
  local value, err = decoded(reply)
  if value == nil then return nil, err end
  if type(value) ~= "table" then return protocol "the reply is no object" end
  local native = is_table(value.meta_info)
  return { value = value, usage = read_usage(value.usage or native), model = is_text(value.model),
    fingerprint = is_text(value.system_fingerprint), timing = { total_ns = reply.marks.last_byte_ns - reply.marks.start_ns } }
end

local function read_whole(reply)
  local value, err = decoded(reply)
  if value == nil then return nil, err end
  local choice = type(value) == "table" and is_table(value.choices) and is_table(value.choices[1])
  if not choice and type(value) == "table" and value.prompt_filter_results then
    return server_error("the prompt was filtered, there are no choices (content_filter)", 400)
  end
  if not choice then return protocol "the reply has no choices[0]" end
  local message, code = error_of_choice(choice)
  if message then return server_error(message, code) end
  local chat = is_table(choice.message)
  if not chat and not is_text(choice.text) then return protocol "choices[0] has neither text nor message" end
  return {
    text = chat and (is_text(chat.content) or "") or choice.text,
    reasoning = chat and (is_text(chat.reasoning) or is_text(chat.reasoning_content)) or nil,
    finish = is_text(choice.finish_reason), usage = read_usage(value.usage), logprobs = read_logprobs(choice),
    model = is_text(value.model), provider = is_text(value.provider), fingerprint = is_text(value.system_fingerprint),
    timing = { total_ns = reply.marks.last_byte_ns - reply.marks.start_ns },
  }
end

-- What a stream adds up to while its events are read.
local function new_sum() return { text = {}, reasoning = {}, stamps = {} } end

local function add_choice(sum, choice, at_ns)
  local delta = is_table(choice.delta)
  local text = delta and is_text(delta.content) or not delta and is_text(choice.text) or ""
  local reasoning = delta and (is_text(delta.reasoning) or is_text(delta.reasoning_content)) or ""
  if #text > 0 then sum.text[#sum.text + 1] = text end
  if #reasoning > 0 then sum.reasoning[#sum.reasoning + 1] = reasoning end
  -- A role-only or empty first event is no token: time to first token is that of the first content or reasoning.
  if #text > 0 or #reasoning > 0 or (delta and is_table(delta.tool_calls)) then sum.stamps[#sum.stamps + 1] = at_ns end
  sum.finish = is_text(choice.finish_reason) or sum.finish
end

local function timing_of(sum, marks)
  local stamps = sum.stamps
  local timing = { total_ns = marks.last_byte_ns - marks.start_ns, gaps_ns = {} }
  if #stamps > 0 then
    timing.ttft_ns = stamps[1] - marks.start_ns
    timing.last_token_ns = stamps[#stamps] - marks.start_ns
    for i = 2, #stamps do timing.gaps_ns[i - 1] = stamps[i] - stamps[i - 1] end
  end
  return timing
end

local function read_stream(reply)
  local sum, done = new_sum(), false
  for _, event in ipairs(reply.events) do
    if event.data == "[DONE]" then
      done = true
    else
      local value, err = json.decode(event.data)
      if value == nil then return nil, { kind = "protocol", text = "an event of the stream is " .. err.text } end
      local message, code = openai.error_of(value)
      if message then return server_error(message, code) end
      if type(value) ~= "table" then return protocol "an event of the stream is no object" end
      local choice = is_table(value.choices) and is_table(value.choices[1])
      if choice then
        message, code = error_of_choice(choice)
        if message then return server_error(message, code) end
        add_choice(sum, choice, event.at_ns)
      end
      sum.provider = is_text(value.provider) or sum.provider
      sum.usage = is_table(value.usage) or sum.usage
      sum.model = is_text(value.model) or sum.model
      sum.fingerprint = is_text(value.system_fingerprint) or sum.fingerprint
    end
  end
  if not done and not sum.finish then return protocol "the stream ended without finish_reason and [DONE]" end
  return {
    text = table.concat(sum.text), reasoning = #sum.reasoning > 0 and table.concat(sum.reasoning) or nil,
    finish = sum.finish, usage = read_usage(sum.usage, #sum.stamps), model = sum.model, provider = sum.provider,
    fingerprint = sum.fingerprint, timing = timing_of(sum, reply.marks),
  }
end

--- The Response in a Reply of status 200.
-- @tparam table reply
-- @tparam table request the Request it answers
-- @return Response, or nil and err of kind protocol (not what the API promises) or http (an error inside a 200)
function openai.read(reply, request)
  if request.sse and reply.events and #reply.events > 0 then return read_stream(reply) end
  return read_whole(reply)
end

--- Does an error sentence say that the prompt was too long for the model?
function openai.is_too_long(message)
  local lower = message:lower()
  return lower:find("context length", 1, true) ~= nil or lower:find("maximum context", 1, true) ~= nil
    or lower:find("context size", 1, true) ~= nil or lower:find("exceed_context_size", 1, true) ~= nil
    or lower:find("maximum input length", 1, true) ~= nil
end

return openai
