-- SPDX-License-Identifier: Apache-2.0
--- Sender: the step *send* of a sample's journey: one request, with retries, stored, or replayed from the store.
-- Everything before and after it is pure. A request's key is the hash of all that could change its answer, so that a
-- resumed run finds what it has and a changed one finds nothing.

local backoff = require "qlua.backoff"
local clock = require "qlua.core.clock"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local retry = require "qlua.retry"
local secrets = require "qlua.secrets"
local task = require "qlua.core.task"

local sender = {}
sender.__index = sender

--- A sender; with `replay_only` it never sends.
-- @tparam table parts client, dialect, variant, server, store, timeouts, retries, random, is_stopped(), log(text, where),
--   watch (of `qlua.supervisor.watch`, which is told who is in flight; may be absent),
--   window: most requests at once when the server has refused some, observe(response, ask): who answered
function sender.new(parts)
  return setmetatable(parts, sender)
end

-- What a server sends may repeat the key it was sent. Offsets into the body stay right, since what is hidden keeps its length.
local function without_secrets(reply)
  if reply.error then reply.error.text = secrets.hide(reply.error.text) end
  for name, value in pairs(reply.headers or {}) do
    if type(value) == "string" then reply.headers[name] = secrets.hide_known(value) end
  end
  local body = reply.body and secrets.hide_known(reply.body, true)
  if body == reply.body then return reply end
  reply.body = body
  for _, event in ipairs(reply.events or {}) do event.data = secrets.hide_known(event.data, true) end
  return reply
end

local function failure_of(reply, request, dialect)
  if reply.error then return { kind = reply.error.kind, text = reply.error.text } end
  if reply.status ~= 200 then
    local message, code = openai.error_of((json.decode(reply.body)))
    message = secrets.hide(message or (reply.body or ""):sub(1, 200))
    return { kind = "http", status = reply.status, code = code, text = ("HTTP %d: %s"):format(reply.status, message),
      too_long = (reply.status == 400 or reply.status == 413) and openai.is_too_long(message) }
  end
  local ok, response, err = pcall(dialect.read, reply, request)
  if not ok then return { kind = "script", text = ("%s: read: %s"):format(dialect.path or dialect.name, tostring(response)) } end
  if response then return nil, response end
  if err.kind == "http" then err.too_long = openai.is_too_long(err.text) end
  err.text = secrets.hide(err.text)
  return err
end

-- Who reads the reply: a request made by a means of scoring is read by that means, later; here only its shape is looked at.
local function reader_of(self, ask)
  return ask.request and { name = "scoring", read = openai.read_value } or self.dialect
end

-- The key leaves out what differs between two sessions of one run: the address, and the name the model is served by.
local function key_of(self, ask, request)
  local model = request.body.model
  request.body.model = nil
  local key = hash.sha256(json.encode { self.variant.identity, request.method, request.path, request.body,
    ask.dataset, ask.sample, ask.repeat_index, ask.turn, ask.part })
  request.body.model = model
  return key
end

local PROMPT_FIELDS = { prompt = true, messages = true, input_ids = true, text = true, content = true, input = true }

-- What is stored of the body: its fields without the prompt, which has a table of its own.
local function params_of(body)
  local params = {}
  for field, value in pairs(body) do
    if not PROMPT_FIELDS[field] then params[field] = value end
  end
  return json.encode(params)
end

function sender:transmit(request, text)
  return without_secrets(self.client:send {
    method = request.method,
    url = (request.is_root and self.server.root_url or self.server.base_url) .. request.path .. (self.server.query or ""),
    unix_socket = self.server.unix_socket, headers = self.headers, body = text, sse = request.sse,
    connect_ms = self.timeouts.connect_ms, first_byte_ms = self.timeouts.first_byte_ms,
    idle_ms = self.timeouts.idle_ms, total_ms = self.timeouts.total_ms,
  })
end

-- One for all workers and all datasets of a server.
local function backoff_of(self)
  if not self.server.backoff then self.server.backoff = backoff.new(self.window, self.random) end
  return self.server.backoff
end

-- How long this worker waits before its next try. "Too many requests" and a wish of the server hold all workers, also
-- where this one has no try left; a failure of its own holds this one.
local function wait_after(self, reply, tries)
  local server_ms = retry.asked_wait_ms(reply.headers or {}, clock.wall_ns() // 1000000000)
  local wait_ms = retry.wait_ms(tries, self.random(), server_ms)
  if reply.status ~= 429 and not (reply.status == 503 and server_ms) then return wait_ms end
  backoff_of(self):hold(wait_ms)
  return 0
end

-- A server that no longer answers is either busy or gone, and only its supervisor knows. One that is not ours may
-- be restarted by somebody: it gets all its tries, and is gone when it does not answer after them.
local function is_server_gone(self, failure, is_last_try)
  local kind = failure.kind -- cancelled: by the watch, when the server had died
  if kind ~= "connect" and kind ~= "protocol" and kind ~= "cancelled" then return false end
  if not self.server.is_alive or not (self.server.process or is_last_try) then return false end
  return not self.server:is_alive()
end

-- Sent when nobody holds the server's workers back. Only what is really on its way is in flight for the watch.
local function watched(self, ask, seat, request, text)
  local gate = backoff_of(self)
  if not gate:enter(self.is_stopped) then
    local cancelled = { kind = "cancelled", text = "the run was stopped" }
    return { headers = {}, body = "", marks = {}, error = cancelled }, cancelled
  end
  if seat then self.watch:sent(seat) end
  local is_sent, reply = pcall(self.transmit, self, request, text)
  gate:leave()
  if not is_sent then error(reply, 0) end
  local failure, response = failure_of(reply, request, reader_of(self, ask))
  if seat then self.watch:came_back(seat, failure) end
  return reply, failure, response
end

local function try_until_final(self, ask, request, seat)
  local text = json.encode(request.body)
  local tries, alike = 0, {} -- alike: how often each kind of failure was seen, since some are worth one more try only
  while true do
    tries = tries + 1
    local reply, failure, response = watched(self, ask, seat, request, text)
    if not failure then return reply, tries, nil, response end
    if self.is_stopped() or failure.kind == "cancelled" and not is_server_gone(self, failure, true) then
      return reply, tries, { kind = "cancelled", text = "the run was stopped" }
    end
    local outcome, more = retry.judge(failure)
    local seen = (alike[failure.status or outcome] or 0) + 1
    alike[failure.status or outcome] = seen
    local is_last = tries > self.retries or seen > more
    if is_server_gone(self, failure, is_last) then outcome, is_last = "server_dead", true end
    local wait_ms = wait_after(self, reply, tries)
    if is_last then
      failure.outcome = outcome
      return reply, tries, failure
    end
    self.log(("try %d failed: %s"):format(tries, failure.text), ask)
    if wait_ms > 0 then task.sleep(wait_ms) end
    if self.is_stopped() then return reply, tries, { kind = "cancelled", text = "the run was stopped" } end
  end
end

--- Ask once.
-- @tparam table ask request (a Request that is ready; else the dialect makes it), dataset, sample, repeat_index, turn, part, mode,
--   prompt, prompt_sha256, continuation, sampling, endpoint, stream, model
-- @treturn ?table Response, with `reply` facts in response.sent; or nil and err { outcome=, text=, kind= }
function sender:ask(ask)
  local request = ask.request or self.dialect.request(ask)
  local key = key_of(self, ask, request)
  local stored = self.store:find_reply(key)
  if stored then
    stored.events = request.sse and self.split_events(stored.body, stored.stamps) or nil
    local failure, response = failure_of(stored, request, reader_of(self, ask))
    if response then
      if self.observe then self.observe(response, ask) end
      response.sent = { tries = stored.tries, marks = stored.marks, session = stored.session,
        incarnation = stored.incarnation, replayed = true }
      return response
    end
    self.log("a stored reply could not be read again: " .. failure.text, ask)
  end
  if self.replay_only then return nil, { kind = "cancelled", text = "no stored reply" } end
  local seat = self.watch and self.watch:enter(self.variant.name, ask)
  local reply, tries, failure, response = try_until_final(self, ask, request, seat)
  if seat then self.watch:leave(seat) end
  if failure and failure.kind == "cancelled" then return nil, failure end
  self.store:put_request {
    key = key, variant = self.variant.name, dataset = ask.dataset, sample = ask.sample, repeat_index = ask.repeat_index,
    turn = ask.turn, part = ask.part, path = request.path, prompt_sha256 = ask.prompt_sha256,
    continuation = ask.continuation, params = params_of(request.body), tries = tries, reply = reply,
    error_kind = failure and failure.kind, error_text = failure and failure.text, incarnation = self.server.incarnation,
  }
  if failure then
    failure.tries = tries
    return nil, failure
  end
  if self.observe then self.observe(response, ask) end
  response.sent = { tries = tries, marks = reply.marks, session = self.store.session, incarnation = self.server.incarnation }
  return response
end

return sender
