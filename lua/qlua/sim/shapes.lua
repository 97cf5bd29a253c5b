-- SPDX-License-Identifier: Apache-2.0
--- Shapes: replies as vLLM writes them, whole and as events.
-- Field names, nulls and the order of events follow vLLM's protocol; only `system_fingerprint` says who really answers.

local clock = require "qlua.core.clock"
local echo = require "qlua.sim.echo"
local json = require "qlua.core.json"
local tokens = require "qlua.sim.tokens"

local shapes = {}

shapes.FINGERPRINT = "qlua-sim"

local quote = json.encode

local function nullable(text) return text and quote(text) or "null" end

--- The usage object.
local function usage(prompt_tokens, completion_tokens)
  return ('{"completion_tokens":%d,"prompt_tokens":%d,"prompt_tokens_details":null,"total_tokens":%d}'):format(
    completion_tokens, prompt_tokens, prompt_tokens + completion_tokens)
end

local function frame(object, reply, choices, usage_text)
  return ('{"id":%s,"object":"%s","created":%d,"model":%s,"choices":[%s],"system_fingerprint":"%s"%s}'):format(
    quote(reply.id), object, reply.created, quote(reply.model), choices, shapes.FINGERPRINT,
    usage_text and ',"usage":' .. usage_text or "")
end

--- What every reply to one request shares.
-- @tparam string kind cmpl or chatcmpl
-- @tparam string id
-- @tparam string model
function shapes.reply(kind, id, model)
  return { id = kind .. "-" .. id, model = model, created = clock.wall_ns() // 1000000000 }
end

-- ---- text completions -----------------------------------------------------------------------------------

--- One choice of a text completion.
-- @tparam table parts `index`, `text`, `finish`, `stop_reason`, `logprobs` (JSON), `prompt_logprobs` (JSON), `prompt_ids`, `ids`
function shapes.completion_choice(parts)
  return ('{"index":%d,"text":%s,"logprobs":%s,"finish_reason":%s,"stop_reason":%s,"token_ids":%s,'
    .. '"prompt_logprobs":%s,"prompt_token_ids":%s}'):format(parts.index, quote(parts.text), parts.logprobs or "null",
    nullable(parts.finish), nullable(parts.stop_reason), parts.ids or "null", parts.prompt_logprobs or "null",
    parts.prompt_ids or "null")
end

--- A whole text completion.
function shapes.completion(reply, choices, prompt_tokens, completion_tokens)
  return frame("text_completion", reply, table.concat(choices, ","), usage(prompt_tokens, completion_tokens))
end

local function completion_event(reply, text, finish, stop_reason, logprobs, usage_text)
  local choice = ('{"index":0,"text":%s,"logprobs":%s,"finish_reason":%s,"stop_reason":%s}'):format(quote(text),
    logprobs or "null", nullable(finish), nullable(stop_reason))
  return frame("text_completion", reply, choice, usage_text)
end

-- ---- chat -------------------------------------------------------------------------------------------------

local function bytes_of(piece) return "[" .. table.concat({ piece:byte(1, -1) }, ",") .. "]" end

local function chat_token(entry, is_by_id)
  local token = is_by_id and ("token_id:%d"):format(tokens.id(entry.piece)) or entry.piece
  return ('"token":%s,"logprob":%.6f,"bytes":%s'):format(quote(token), entry.logprob, bytes_of(entry.piece))
end

-- One token of chat's logprobs.content, with the likeliest k.
local function chat_logprob(saying, i, k, is_by_id)
  local top, piece = saying.tops[i](k), saying.pieces[i]
  local own = top[#top]
  local parts = {}
  for j, entry in ipairs(top) do
    if entry.piece == piece then own = entry end
    if j <= k then parts[#parts + 1] = "{" .. chat_token(entry, is_by_id) .. "}" end
  end
  return ('{%s,"top_logprobs":[%s]}'):format(chat_token(own, is_by_id), table.concat(parts, ","))
end

local function chat_logprobs(saying, first, last, k, is_by_id)
  if not k then return "null" end
  local parts = {}
  for i = first, last do parts[#parts + 1] = chat_logprob(saying, i, k, is_by_id) end
  return '{"content":[' .. table.concat(parts, ",") .. "]}"
end

--- A whole chat completion.
-- @tparam table saying
-- @tparam table wanted of `qlua.sim.ask`
function shapes.chat(reply, saying, wanted)
  local message = ('{"role":"assistant","content":%s,"refusal":null,"annotations":null,"audio":null,'
    .. '"function_call":null,"tool_calls":[],"reasoning":null}'):format(quote(saying.text))
  local choice = ('{"index":0,"message":%s,"logprobs":%s,"finish_reason":%s,"stop_reason":%s,"token_ids":null}'):format(
    message, chat_logprobs(saying, 1, #saying.pieces, wanted.logprobs, wanted.as_ids), nullable(saying.finish),
    nullable(saying.stop_reason))
  return frame("chat.completion", reply, choice, usage(wanted.prompt_tokens, saying.count))
end

local function chat_event(reply, delta, finish, logprobs, usage_text, stop_reason)
  local choice = ('{"index":0,"delta":%s,"logprobs":%s,"finish_reason":%s%s}'):format(delta, logprobs or "null",
    nullable(finish), finish and ',"stop_reason":' .. nullable(stop_reason) or "")
  return frame("chat.completion.chunk", reply, choice, usage_text)
end

-- ---- streams ------------------------------------------------------------------------------------------------

-- Pieces first..last as one event's text; `stamp` stands in for it when sends are to be timed.
local function text_between(saying, first, last, stamp)
  if stamp then return stamp end
  return table.concat(saying.pieces, "", first, last)
end

local function completion_logprobs(saying, first, last, k, chars)
  if not k then return nil, chars end
  local lists = echo.new(k)
  lists.chars = chars
  echo.add_pieces(lists, table.move(saying.pieces, first, last, 1, {}), function(i) return saying.tops[first + i - 1] end)
  return echo.logprobs(lists), lists.chars
end

--- All events of a stream, as JSON texts; the pause goes before those that carry tokens.
-- @tparam table reply
-- @tparam table saying
-- @tparam table wanted of `qlua.sim.ask`, with `prompt_tokens`
-- @tparam table options `tokens_per_event`, `stamp`, `role_event` ("" | "null" | "absent")
-- @treturn {string,...} without [DONE]
-- @treturn {boolean,...} which of them carry tokens
function shapes.events(reply, saying, wanted, options)
  local events, carries = {}, {}
  local step, chars = options.tokens_per_event or 1, 0
  local function put(text, is_token)
    events[#events + 1] = text
    carries[#events] = is_token or false
  end
  local function usage_at(count)
    return wanted.continuous_usage and usage(wanted.prompt_tokens, count) or nil
  end
  if wanted.is_chat and options.role_event ~= "absent" then
    local content = options.role_event == "null" and "null" or '""'
    put(chat_event(reply, ('{"role":"assistant","content":%s}'):format(content), nil, nil, usage_at(0)))
  end
  for first = 1, #saying.pieces, step do
    local last = math.min(first + step - 1, #saying.pieces)
    local text = text_between(saying, first, last, options.stamp)
    if wanted.is_chat then
      local logprobs = wanted.logprobs and chat_logprobs(saying, first, last, wanted.logprobs)
      put(chat_event(reply, ('{"content":%s}'):format(quote(text)), nil, logprobs, usage_at(last)), true)
    else
      local logprobs
      logprobs, chars = completion_logprobs(saying, first, last, wanted.logprobs, chars)
      put(completion_event(reply, text, nil, nil, logprobs, usage_at(last)), true)
    end
  end
  if wanted.is_chat then
    put(chat_event(reply, '{"content":""}', saying.finish, nil, usage_at(saying.count), saying.stop_reason))
  else
    put(completion_event(reply, "", saying.finish, saying.stop_reason, nil, usage_at(saying.count)))
  end
  if wanted.include_usage then
    local object = wanted.is_chat and "chat.completion.chunk" or "text_completion"
    put(frame(object, reply, "", usage(wanted.prompt_tokens, saying.count)))
  end
  return events, carries
end

-- ---- the rest -------------------------------------------------------------------------------------------

--- GET /v1/models. `simulated` is for whoever asks without having started this server: a run says so in its report.
function shapes.models(plan, created)
  return json.encode { object = "list", data = json.array { { id = plan.served_model, object = "model", created = created,
    owned_by = "qlua-sim (simulated)", simulated = true, root = plan.served_model, parent = json.null, max_model_len = plan.max_model_len,
    permission = json.array {} } } }
end

--- POST /tokenize.
function shapes.tokenized(pieces, plan, with_text)
  local ids = {}
  for i, piece in ipairs(pieces) do ids[i] = tokens.id(piece) end
  return json.encode { count = #ids, max_model_len = plan.max_model_len, tokens = json.array(ids),
    token_strs = with_text and json.array(pieces) or json.null }
end

return shapes
