-- SPDX-License-Identifier: Apache-2.0
--- Builder: from an Item of the workload to the HTTP request that asks it of one server, ready to be sent.

local json = require "qlua.core.json"

local builder = {}
builder.__index = builder

--- @tparam table parts dialect, variant, server, spec (keys of `benchmark.load`), timeouts, hooks, endpoint
function builder.new(parts)
  local self = setmetatable(parts, builder)
  self.headers = self.server.headers
  self.endpoint = self.spec.endpoint or self.variant.server.endpoint
  self.url = self.server.base_url
  return self
end

local function sampling_of(self, item, max_tokens)
  local sampling = {}
  for key, value in pairs(self.variant.generation) do sampling[key] = value end
  sampling.max_tokens = max_tokens
  sampling.stop = nil
  if not self.spec.ignore_eos then -- a stop string would end what shall not end
    local stops = table.move(item.stop or {}, 1, #(item.stop or {}), 1, {})
    sampling.stop = table.move(self.variant.generation.stop or {}, 1, #(self.variant.generation.stop or {}), #stops + 1, stops)
  end
  return sampling
end

-- Which limit is sent, and whether the reply shall have exactly that length.
local function lengths_of(self, item)
  local limit = self.spec.output_tokens or item.output_tokens or self.variant.generation.max_tokens
  return limit, self.spec.ignore_eos and limit or nil
end

local function fix_length(self, body, length)
  body.ignore_eos = true
  if self.dialect.min_tokens then body.min_tokens = length end
end

-- Usage on every event, so that an event's own tokens are known. What the configuration says about it stays.
local function ask_usage(self, body)
  local options = body.stream_options
  if not self.dialect.continuous_usage or type(options) ~= "table" or options.continuous_usage_stats ~= nil then return end
  local with = { continuous_usage_stats = true }
  for key, value in pairs(options) do with[key] = value end -- not in place: a table of the configuration serves all requests
  body.stream_options = with
end

--- The request of one turn.
-- @tparam table item `{ text or messages, stop, output_tokens }`
-- @tparam table entry gets `max_tokens` and `requested_tokens`; `due_ns` becomes the moment at which the I/O thread sends
-- @treturn table for `client:send`
function builder:request(item, entry)
  local limit, fixed = lengths_of(self, item)
  entry.max_tokens, entry.requested_tokens = limit, fixed
  local ask = { mode = "generate", prompt = { text = item.text, messages = item.messages }, model = self.server.model, stream = true,
    endpoint = item.messages and "chat" or self.endpoint or "completions", sampling = sampling_of(self, item, limit),
    extra_body = self.variant.server.extra_body, server = self.variant.server }
  local request = self.dialect.request(ask)
  if fixed then fix_length(self, request.body, fixed) end
  ask_usage(self, request.body)
  local hook = self.hooks and self.hooks.on_request
  if hook then hook(request, entry) end
  local timeouts, server = self.timeouts, self.server
  return {
    method = request.method, url = self.url .. request.path .. (server.query or ""), unix_socket = server.unix_socket,
    headers = request.headers or self.headers,
    body = json.encode(request.body), sse = request.sse,
    connect_ms = timeouts.connect_ms, first_byte_ms = timeouts.first_byte_ms, idle_ms = timeouts.idle_ms, total_ms = timeouts.total_ms,
    start_at_ns = entry.send_at_ns,
  }
end

--- The Item of a session's next turn: what was said so far comes first.
-- @tparam table turn `{ text, output_tokens }`
-- @tparam {table,...} said turns with their replies: `{ text, reply }`
function builder:turn(turn, said)
  if self.spec.endpoint == "completions" then
    local parts = {}
    for _, one in ipairs(said) do parts[#parts + 1] = one.text .. "\n" .. one.reply .. "\n" end
    return { text = table.concat(parts) .. turn.text, output_tokens = turn.output_tokens }
  end
  local messages = {}
  for _, one in ipairs(said) do
    messages[#messages + 1] = { role = "user", content = one.text }
    messages[#messages + 1] = { role = "assistant", content = one.reply }
  end
  messages[#messages + 1] = { role = "user", content = turn.text }
  return { messages = messages, output_tokens = turn.output_tokens }
end

--- How many tokens the server makes of a text, by its /tokenize; vLLM's and SGLang's shape, and llama.cpp's.
-- @tparam table client
-- @tparam string text
-- @treturn ?integer, or nil and err
function builder:count(client, text)
  local server = self.server
  local reply = client:send { method = "POST", url = server.root_url .. "/tokenize", unix_socket = server.unix_socket,
    headers = server.headers, body = json.encode { model = server.model, prompt = text, content = text, add_special_tokens = true },
    connect_ms = 5000, total_ms = 30000 }
  if reply.error then return nil, reply.error end
  local value = reply.status == 200 and json.decode(reply.body)
  if type(value) == "table" then
    if math.type(value.count) == "integer" then return value.count end
    if type(value.tokens) == "table" then return #value.tokens end
  end
  return nil, { kind = "server", text = ("the server has no tokenizer to ask (HTTP %s from /tokenize)"):format(reply.status) }
end

return builder
