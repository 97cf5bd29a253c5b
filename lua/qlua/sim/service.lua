-- SPDX-License-Identifier: Apache-2.0
--- Service: from a request to the plan of its reply.
-- One call per request, nothing between the events of a stream: pacing is the transport's.

local ask = require "qlua.sim.ask"
local chance = require "qlua.sim.chance"
local clock = require "qlua.core.clock"
local core = require "qlua.core.sim"
local echo = require "qlua.sim.echo"
local faults = require "qlua.sim.faults"
local hostile = require "qlua.sim.hostile"
local json = require "qlua.core.json"
local metrics = require "qlua.sim.metrics"
local problem = require "qlua.sim.problem"
local quirks = require "qlua.sim.quirks"
local scores = require "qlua.sim.scores"
local shapes = require "qlua.sim.shapes"
local sys = require "qlua.core.sys"
local tokens = require "qlua.sim.tokens"
local voice = require "qlua.sim.voice"

local service = {}
service.__index = service

local JSON = { ["Content-Type"] = "application/json" }
local EVENTS = { ["Content-Type"] = "text/event-stream; charset=utf-8" }
local VERSION = "0.11.0+qlua.sim"

--- A service for one plan.
-- @tparam table plan checked
-- @tparam table book
-- @tparam ?string api_key
-- @tparam ?table again the book of a second pass: what a request with `x-qlua-pass: control` is answered from
-- @tparam ?function draw seed → book, of requests with a temperature
-- @treturn table `answer(request)` is what the transport calls; set `server` before the first request
function service.new(plan, book, api_key, again, draw)
  local self = setmetatable({ plan = plan, book = book, api_key = api_key, faults = faults.new(plan), count = 0, asked = 0, draw = draw,
    quirks = quirks.set(plan.quirks), metrics = metrics.new(plan.served_model), created = clock.wall_ns() // 1000000000,
    ready_ns = clock.now_ns() + math.floor((plan.ready_after_ms or 0) * 1e6) }, service)
  if again then self.again = setmetatable({ book = again }, { __index = self, __newindex = self }) end
  return self
end

local function answer_json(body) return { status = 200, headers = JSON, body = body } end

-- ---- latency ----------------------------------------------------------------------------------------------

-- Milliseconds to the first token, and a function that gives the pause before each further one.
local function latency(self, key, prompt_tokens)
  local model = self.plan.latency
  local crowd = 1
  if (model.per_running or 0) > 0 then crowd = 1 + model.per_running * self.server:stats().running end
  local jitter = model.jitter or 0
  local state = jitter > 0 and math.floor(chance.unit("jitter", key) * 2 ^ 31) or 0
  local function wobble()
    if jitter == 0 then return 1 end
    state = (state * 1103515245 + 12345) & 0x7fffffff
    return 1 + jitter * (2 * state / 0x7fffffff - 1)
  end
  local first_ms = ((model.ttft_ms or 0) + (model.prefill_ms_per_token or 0) * prompt_tokens) * wobble()
  return first_ms, function() return (model.itl_ms or 0) * crowd * wobble() end
end

-- ---- generation -------------------------------------------------------------------------------------------

local function new_reply(self, kind, request)
  self.count = self.count + 1
  local given = request.headers["x-request-id"]
  local name = self.quirks.other_model and "somebody-elses-model" or self.plan.served_model
  return shapes.reply(kind, given or ("%016x%016x"):format(self.created, self.count), name)
end

local function stream_plan(self, reply, saying, wanted, key)
  local options = { tokens_per_event = self.plan.tokens_per_event, role_event = self.plan.role_event,
    stamp = self.plan.stamp and core.STAMP or nil }
  local events, carries = shapes.events(reply, saying, wanted, options)
  local first_ms, pause = latency(self, key, wanted.prompt_tokens)
  local pauses, seen, total = {}, false, 0
  for i = 1, #events do
    local ms = carries[i] and seen and pause() or 0
    pauses[i], seen, total = ms, seen or carries[i], total + ms
  end
  events[#events + 1] = "[DONE]"
  metrics.note(self.metrics, wanted.prompt_tokens, saying.count, first_ms, total)
  return { status = 200, headers = EVENTS, events = events, after_ms = pauses, first_ms = first_ms, finish = saying.finish,
    stamp = self.plan.stamp }
end

local function whole_plan(self, body, key, prompt_tokens, generated, finish)
  local first_ms, pause = latency(self, key, prompt_tokens)
  local total = 0
  for _ = 2, generated do total = total + pause() end
  metrics.note(self.metrics, prompt_tokens, generated, first_ms, total)
  return { status = 200, headers = JSON, body = body, first_ms = first_ms + total, finish = finish }
end

-- The lists of an echoed prompt; what a known question is continued with has its planned values.
local function echo_prompt(self, prompt, k)
  local lists = echo.new(k)
  local context, pieces, logprobs = voice.continuation(self.book, prompt)
  echo.add_text(lists, context or prompt)
  if pieces then
    echo.add_pieces(lists, pieces, function(i)
      return function(count) return scores.top(pieces[i], logprobs[i], count) end
    end)
  end
  return lists
end

local function completion_choice(self, index, prompt, wanted)
  local saying = { text = "", pieces = {}, finish = "length", count = 1 }
  if wanted.max_tokens > 0 then saying = voice.say(self.book, prompt, wanted) end
  local parts = { index = index, finish = saying.finish, stop_reason = saying.stop_reason,
    text = (wanted.echo and prompt or "") .. saying.text }
  local count, scored
  if wanted.prompt_logprobs then
    scored = echo_prompt(self, prompt, wanted.prompt_logprobs)
    count, parts.prompt_logprobs = scored.count, echo.prompt_logprobs(scored)
    if wanted.return_ids then parts.prompt_ids = echo.ids(scored) end
  end
  if wanted.logprobs then
    local lists = echo.new(wanted.logprobs)
    if wanted.echo then
      lists = wanted.logprobs == wanted.prompt_logprobs and echo.copy(scored) or echo_prompt(self, prompt, wanted.logprobs)
    end
    echo.add_pieces(lists, saying.pieces, function(i) return saying.tops[i] end, wanted.as_ids)
    parts.logprobs = echo.logprobs(lists)
  end
  count = count or voice.count(self.book, prompt)
  return shapes.completion_choice(parts), count, saying
end

-- What this server makes of a request that it does not quite obey.
local function bent(self, wanted)
  local set = self.quirks
  if set.ignore_echo then wanted.echo, wanted.prompt_logprobs = false, nil end
  if set.ignore_choice then wanted.choice = nil end
  if set.few_logprobs then wanted.candidates_at_most = quirks.FEW end
  if set.truncate then
    local room = self.plan.max_model_len - (wanted.max_tokens or 1)
    for i, prompt in ipairs(wanted.prompts or {}) do wanted.prompts[i] = quirks.end_of(prompt, room) end
    if wanted.prompt_tokens then wanted.prompt_tokens = math.min(wanted.prompt_tokens, room) end
  end
  return wanted
end

local function name_wanted(self) return not self.quirks.any_model and self.plan.served_model end

local function completion(self, request, body)
  local wanted = bent(self, ask.completion(body, name_wanted(self)))
  local longest_prompt = 0
  for _, prompt in ipairs(wanted.prompts) do longest_prompt = math.max(longest_prompt, voice.count(self.book, prompt)) end
  ask.check_length(wanted, longest_prompt, self.plan.max_model_len)
  local reply, key = new_reply(self, "cmpl", request), wanted.prompts[1]
  if wanted.stream then
    wanted.prompt_tokens = longest_prompt
    return stream_plan(self, reply, voice.say(self.book, key, wanted), wanted, key), key
  end
  local choices, prompt_tokens, generated, longest, finish = {}, 0, 0, 0, "stop"
  for i, prompt in ipairs(wanted.prompts) do
    local choice, count, saying = completion_choice(self, i - 1, prompt, wanted)
    choices[i], prompt_tokens, generated = choice, prompt_tokens + count, generated + saying.count
    longest, finish = math.max(longest, saying.count), saying.finish
  end
  local text = shapes.completion(reply, choices, prompt_tokens, generated)
  return whole_plan(self, text, key, prompt_tokens, longest, finish), key
end

local function chat(self, request, body)
  local wanted = bent(self, ask.chat(body, name_wanted(self)))
  ask.check_length(wanted, wanted.prompt_tokens, self.plan.max_model_len)
  local reply, key = new_reply(self, "chatcmpl", request), wanted.prompt
  local saying = voice.say(self.book, key, wanted)
  if wanted.stream then return stream_plan(self, reply, saying, wanted, key), key end
  local text = shapes.chat(reply, saying, wanted)
  return whole_plan(self, text, key, wanted.prompt_tokens, saying.count, saying.finish), key
end

-- At a temperature each seed has answers of its own, where the plan says how much they differ.
local function drawn(self, body)
  local seed, temperature = body.seed, tonumber(body.temperature)
  if not self.draw or math.type(seed) ~= "integer" or not temperature or temperature <= 0 then return self end
  return setmetatable({ book = self.draw(seed) }, { __index = self, __newindex = self })
end

local function generated(handler)
  return function(self, request)
    local body = ask.decode(request.body)
    self = drawn(self, body)
    local plan, key = handler(self, request, body)
    plan.body = quirks.spoil(self.quirks, plan.body)
    local question = self.book:find(key)
    if question or #self.book.questions == 0 then self.asked = self.asked + 1 end
    if hostile.is_wedged(self.plan, self.asked) then return hostile.never(plan) end
    -- Probes and free questions get through, where there are questions to hit: a run must be able to begin.
    if not question and #self.book.questions > 0 then return plan end
    local changed, exit_code = faults.apply(self.faults, key, plan, function(record)
      record.id, record.dataset = question and question.id, question and question.entry.dataset
      self.book:note(record)
    end)
    if exit_code then
      io.stderr:write("RuntimeError: Engine core died. (simulated)\n")
      sys.exit(exit_code)
    end
    return changed
  end
end

-- ---- everything else ----------------------------------------------------------------------------------------

local function health(self)
  if clock.now_ns() < self.ready_ns then return { status = 503, body = "" } end
  return { status = 200, body = "" }
end

local function tokenize(self, request)
  local body = ask.decode(request.body)
  local pieces
  if body.messages then
    pieces = ask.chat_pieces(ask.messages(body), body.continue_final_message == true)
  elseif type(body.prompt) == "string" then
    pieces = tokens.pieces(body.prompt)
  else
    problem.invalid("missing", "prompt", "Field required")
  end
  return answer_json(shapes.tokenized(pieces, self.plan, body.return_token_strs == true))
end

local function detokenize(_, request)
  local body = ask.decode(request.body)
  local text = type(body.tokens) == "table" and tokens.text(body.tokens)
  if not text then problem.invalid("missing", "tokens", "Field required") end
  return answer_json(json.encode { prompt = text })
end

local ROUTES = {
  ["/health"] = { GET = health }, ["/ping"] = { GET = health, POST = health },
  ["/version"] = { GET = function() return answer_json(json.encode { version = VERSION }) end },
  ["/metrics"] = { GET = function(self)
    return { status = 200, headers = { ["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8" },
      body = metrics.page(self.metrics, self.server:stats()) }
  end },
  ["/load"] = { GET = function(self) return answer_json(json.encode { server_load = self.server:stats().running }) end },
  ["/tokenize"] = { POST = tokenize }, ["/detokenize"] = { POST = detokenize },
  ["/v1/models"] = { GET = function(self) return answer_json(shapes.models(self.plan, self.created)) end },
  ["/v1/completions"] = { POST = generated(completion) },
  ["/v1/chat/completions"] = { POST = generated(chat) },
}

local function is_authorized(self, request)
  if not self.api_key or request.path:sub(1, 3) ~= "/v1" then return true end
  return request.headers.authorization == "Bearer " .. self.api_key
end

--- Answer one request.
-- @tparam table request `method`, `path`, `headers`, `body`
-- @treturn table plan for the transport
function service:answer(request)
  if request.headers["x-qlua-pass"] == "control" and rawget(self, "again") then self = self.again end
  if not is_authorized(self, request) then
    return { status = 401, headers = JSON, body = '{"error":"Unauthorized"}' } -- a string here, as vLLM does it
  end
  local route = ROUTES[request.path]
  if not route then return problem.plan(404, "Not Found", "Not Found") end
  local handler = route[request.method]
  if not handler then return problem.plan(405, "Method Not Allowed", "Method Not Allowed") end
  return problem.caught(handler, self, request)
end

return service
