-- SPDX-License-Identifier: Apache-2.0
--- Requests over HTTP for scripts: `q.http.get(url)`, `q.http.post(url, { json = {…} })`.
-- Each call parks its task until the whole reply is there, so a thousand at once read like one. An HTTP status is
-- not an error: look at `reply.status`. What is one: no connection, a time limit, a broken answer; then the call
-- returns nil and what happened. The calls of this module share one client of 64 requests in flight; a script
-- that wants a window or defaults of its own takes `http.client { … }`.
-- @module qlua.http

local core = require "qlua.core.http"
local json = require "qlua.core.json"
local task = require "qlua.core.task"

local http = {}

-- ---- replies ------------------------------------------------------------------------------------------

local Reply = {}
Reply.__index = Reply

--- The body as a value.
-- @return value; or nil and `{ kind = "protocol", text = … }`
function Reply:json()
  return json.decode(self.body)
end

--- Whether the status is 2xx.
-- @treturn boolean
function Reply:is_ok()
  return self.status ~= nil and self.status >= 200 and self.status < 300
end

--- A header by any spelling of its name.
-- @tparam string name
-- @treturn ?string the value; values of a repeated header are joined by ", "
function Reply:header(name)
  return self.headers[name:lower()]
end

-- ---- requests -----------------------------------------------------------------------------------------

local function add_headers(into, headers)
  for name, value in pairs(headers or {}) do
    into[name:lower()] = value
  end
  return into
end

-- Escapes for a query by RFC 3986: everything but the unreserved characters.
local function escape(text)
  return (tostring(text):gsub("[^%w%-._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- A query string from a table, its keys sorted.
-- @tparam table values name to text, number, or a list of them
-- @treturn string such as "a=1&b=x%20y"
function http.query(values)
  local names, parts = {}, {}
  for name in pairs(values) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local list = type(values[name]) == "table" and values[name] or { values[name] }
    for _, value in ipairs(list) do
      parts[#parts + 1] = escape(name) .. "=" .. escape(value)
    end
  end
  return table.concat(parts, "&")
end

-- The core's request: `json` and `query` worked in, headers over the client's.
local function prepare(client, request)
  local out = {}
  for key, value in pairs(request) do
    out[key] = value
  end
  local headers = add_headers(add_headers({}, client.headers), request.headers)
  if request.json ~= nil then
    if request.body ~= nil then
      error("request: fields 'json' and 'body' exclude each other", 0)
    end
    out.body, out.json = json.encode(request.json), nil
    headers["content-type"] = headers["content-type"] or "application/json"
  end
  if request.query then
    local joint = request.url:find("?", 1, true) and "&" or "?"
    out.url, out.query = request.url .. joint .. http.query(request.query), nil
  end
  out.headers = headers
  return out
end

local Client = {}
Client.__index = Client

--- Sends one request and waits for its reply.
-- @tparam table request `url`, `method`, `headers` (name to value or list of values), `body` or `json`, `query`,
-- `sse` (split an event stream into `reply.events`), `unix_socket`, `connect_ms`, `first_byte_ms`, `idle_ms`,
-- `total_ms`, `ca_file`, `pin`, `insecure`, `max_body_bytes`, `max_event_bytes`, `max_redirects`, `sink_path` and
-- `resume_from` (the body goes to a file, from that byte on), `fresh_connection`, `start_at_ns` (a moment of
-- `clock.now_ns()`: until then the request waits outside the client's window, and the I/O thread itself sends it then),
-- `transport` ("auto", "plain": sockets of our own, whose reads the kernel stamps, or "curl")
-- @treturn table reply `{ status, headers, body, events, stamps, marks }` (docs/architecture.md, Records); or nil,
-- `{ kind, text, hint }` and what had come of the reply until then
function Client:request(request)
  local ok, prepared = pcall(prepare, self, request)
  if not ok then
    error(prepared, 2)
  end
  local is_sent, reply = pcall(self.core.send, self.core, prepared)
  if not is_sent then
    error((tostring(reply):gsub("^[^:]*:%d+: ", "")), 2) -- misuse: the place is the caller's, not ours
  end
  setmetatable(reply, Reply)
  if reply.error then
    return nil, reply.error, reply
  end
  return reply
end

local function with_method(method)
  return function(self, url, options)
    local request = { url = url, method = method }
    for key, value in pairs(options or {}) do
      request[key] = value
    end
    return self:request(request)
  end
end

--- GET, the other fields of the request in `options`; returns as `request` does.
-- @function Client:get
Client.get = with_method "GET"
--- POST, the other fields of the request in `options`; returns as `request` does.
-- @function Client:post
Client.post = with_method "POST"

--- Opens connections before they are needed, so that no measurement pays for them: so many GETs at once, each on a
-- connection of its own, which are kept.
-- @tparam table request what to ask, cheap for the server, such as its health
-- @tparam integer count how many, at most the client's `max_in_flight`
-- @treturn integer how many connections stand now
function Client:prewarm(request, count)
  local left, opened = count, 0
  if count < 1 then
    return 0
  end
  local fresh = { fresh_connection = true }
  for key, value in pairs(request) do
    fresh[key] = value
  end
  return task.park(function(wake)
    for _ = 1, count do
      task.spawn(function()
        local is_called, reply = pcall(self.request, self, fresh)
        opened, left = opened + (is_called and reply and 1 or 0), left - 1
        if left == 0 then
          wake(opened)
        end
      end)
    end
  end)
end

--- Cancels everything that was sent; each call returns nil and an error of kind "cancelled".
function Client:cancel_all()
  self.core:cancel_all()
end

--- Cancels everything and ends the client.
function Client:close()
  self.core:close()
end

--- Counters: `queued in_flight` now; `done failed connections connect_failures retries received_bytes reads events
-- kernel_reads shared_reads file_bytes file_total_bytes` so far, and of the I/O threads that all clients share
-- `io_threads io_cpu_ns io_idle_ns wakeups wakeup_events clock_error_ns clock_steps` and, one by one, `threads`. Two
-- spreads `{ count, p50_ns, p99_ns, max_ns }`: `stamp_delay`, from the kernel's stamp of a read to our having it, and
-- `dispatch_lag`, from a request's `start_at_ns` to its start. What each means: docs/architecture.md, The transport.
-- @treturn table
function Client:stats()
  return self.core:stats()
end

--- A client with a window and defaults of its own.
-- @tparam ?table options `max_in_flight` (64), `max_queued` (65536), and any field of a request as a default
-- @treturn table client with `request`, `get`, `post`, `prewarm`, `cancel_all`, `stats`, `close`; or nil and an error
function http.client(options)
  local core_options = {}
  for key, value in pairs(options or {}) do
    core_options[key] = value
  end
  local headers = core_options.headers
  core_options.headers = nil
  local opened, err = core.open(core_options)
  if not opened then
    return nil, err
  end
  return setmetatable({ core = opened, headers = headers }, Client)
end

--- How many I/O threads carry the requests of all clients, 1 unless said; before the first client only.
-- @function http.set_io_threads
-- @tparam integer count 1 to 64
http.set_io_threads = core.set_io_threads

-- ---- the shared client --------------------------------------------------------------------------------

local shared

local function shared_client()
  if not shared then
    shared = assert(http.client())
  end
  return shared
end

--- One request by the shared client; see `Client:request`.
-- @tparam table request
function http.request(request)
  return shared_client():request(request)
end

--- GET by the shared client.
-- @tparam string url
-- @tparam ?table options further fields of the request
function http.get(url, options)
  return shared_client():get(url, options)
end

--- POST by the shared client.
-- @tparam string url
-- @tparam ?table options further fields of the request: `json` or `body`, `headers`, …
function http.post(url, options)
  return shared_client():post(url, options)
end

return http
