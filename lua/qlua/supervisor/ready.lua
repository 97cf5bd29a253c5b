-- SPDX-License-Identifier: Apache-2.0
--- Ready: health, then identity, then one real completion. Each alone would also be passed by somebody else's server.
-- Identity is two proofs: the listening socket belongs to the process tree that was started, and /v1/models names the model by
-- the name that only this server was given. The wait has a hard cap, and one on silence, which lines of the log put off.

local clock = require "qlua.core.clock"
local failure = require "qlua.supervisor.failure"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local socket = require "qlua.core.socket"
local task = require "qlua.core.task"

local ready = {}

local cancelled = { kind = "cancelled", text = "the run was stopped" }
local TAIL = 64

local function get(self, url)
  return self.client:send { method = "GET", url = url, unix_socket = self.unix_socket, headers = self.headers,
    connect_ms = 2000, total_ms = 10000 }
end
ready.get = get

-- ---- health -------------------------------------------------------------------------------------------------

local function health_path(self) return self.dialect.health or "/health" end

-- A line that our own polling causes is no progress.
local function is_progress(self, line)
  if line:find(health_path(self), 1, true) then return false end
  local patterns = self.dialect.progress
  if not patterns or #patterns == 0 then return true end
  for _, pattern in ipairs(patterns) do
    if line:find(pattern, 1, true) then return true end
  end
  return false
end

local function has_progress(self, wait)
  local seen = self.process:lines_seen()
  local new = seen - wait.lines
  wait.lines = seen
  for _, line in ipairs(new > 0 and self.process:tail(math.min(new, TAIL)) or {}) do
    if is_progress(self, line) then return true end
  end
  return false
end

-- Why to wait no longer, or nil.
local function lost_patience(self, wait)
  local server, now = self.variant.server, clock.now_ns()
  if has_progress(self, wait) then wait.progress_ns = now end
  if now - wait.began_ns > server.startup_timeout_s * 1e9 then
    return ("its server was not healthy after %g s"):format(server.startup_timeout_s)
  end
  local patience_s = server.startup_stall_s or 300
  if now - wait.progress_ns > patience_s * 1e9 then
    return ("its server was not healthy and made no progress for %g s"):format(patience_s)
  end
end

--- Wait until the health endpoint says 200.
-- @treturn ?boolean true; or nil and err, when the process ends, time is up, or the run is stopped
function ready.wait_for_health(self, options)
  local now = clock.now_ns()
  local wait, wait_ms = { began_ns = now, progress_ns = now, lines = 0 }, 50
  while true do
    if options.is_stopped() then return nil, cancelled end
    if not self.process:alive() then
      local status = self.process:wait(1000) or {}
      local _, err = failure.explain(self, "its server " .. failure.exit_text(self, status) .. " before it was ready")
      err.crashed = true
      return nil, err
    end
    local reply = get(self, self.root_url .. health_path(self))
    if not reply.error and reply.status == 200 then return true end
    local reason = lost_patience(self, wait)
    if reason then return failure.explain(self, reason) end
    task.sleep(wait_ms // 1 | 0)
    wait_ms = math.min(wait_ms * 1.5, 1000)
  end
end

-- ---- identity -----------------------------------------------------------------------------------------------

--- Who listens where the server should: only processes that we started, as far as that can be seen.
-- @treturn ?boolean true; or nil and err, with failure = "port"
function ready.check_socket(self)
  if not self.process then return true end
  local pids = {}
  for i, member in ipairs(self.process:members()) do pids[i] = member.pid end
  local found = socket.listeners(pids, self.unix_socket and { path = self.unix_socket }
    or { host = self.variant.server.host, port = self.port })
  self.facts.socket = found.ours > 0 and "ours" or "unknown"
  if found.others == 0 or found.blind then return true end
  local where = self.unix_socket or ("port %d"):format(self.port)
  local _, err = failure.error(self.variant, found.ours > 0
      and ("another server listens on %s too, and would answer some of the requests"):format(where)
      or ("what answers on %s is not the server that was started, but another one"):format(where),
    "stop the other server, or choose another address with --set server.port=…")
  err.failure, err.foreign = "port", true
  return nil, err
end

local function names_in(models)
  local names = {}
  for _, model in ipairs(type(models) == "table" and type(models.data) == "table" and models.data or {}) do
    local id = type(model) == "table" and model.id
    if type(id) == "string" then names[#names + 1] = { id = id, entry = model } end
  end
  return names
end

--- /v1/models must name the model that we shall ask for; a server without that endpoint is taken at its word.
function ready.check_model(self)
  local reply = get(self, self.base_url .. "/models" .. self.query)
  if reply.error then
    return failure.error(self.variant, ("no server at %s: %s"):format(self.base_url, reply.error.text))
  end
  if reply.status == 401 or reply.status == 403 then
    return failure.error(self.variant, ("the server refused the API key (HTTP %d)"):format(reply.status),
      "name the variable or file that holds it: server.api_key_env, server.api_key_file")
  end
  local names = reply.status == 200 and names_in((json.decode(reply.body))) or {}
  local words = {}
  for i, name in ipairs(names) do
    words[i] = name.id
    if name.id == self.model then
      self.facts.model_entry = name.entry
      return true
    end
  end
  if #names == 0 then return true end
  local _, err = failure.error(self.variant, ("the server at %s does not serve '%s' (it serves: %s)"):format(self.base_url,
    self.model, table.concat(words, ", ")), "is another server listening there? else give --model")
  err.foreign = self.process ~= nil
  return nil, err
end

function ready.read_version(self)
  local reply = get(self, self.root_url .. "/version")
  local value = not reply.error and reply.status == 200 and json.decode(reply.body)
  if type(value) == "table" then self.facts.version = value.version end
end

-- ---- one completion -----------------------------------------------------------------------------------------

--- A short completion, sent as the run will send its requests.
-- @tparam table self the server
-- @tparam userdata client
-- @tparam table options endpoint, total_ms
-- @treturn table reply
-- @treturn table request
function ready.complete(self, client, options)
  local ask = { mode = "generate", prompt = { text = "1 + 1 =" }, endpoint = options.endpoint, model = self.model,
    sampling = setmetatable({ max_tokens = 4 }, { __index = self.variant.generation }),
    extra_body = self.variant.server.extra_body, server = self.variant.server }
  local request = self.dialect.request(ask)
  return client:send { method = request.method, url = self.base_url .. request.path .. self.query,
    headers = self.headers, unix_socket = self.unix_socket, body = json.encode(request.body), connect_ms = 10000,
    total_ms = options.total_ms or 120000 }, request
end

--- One real completion of the right shape, by the right model.
function ready.check_completion(self, options)
  local reply, request = ready.complete(self, self.client, options)
  if options.is_stopped() then return nil, cancelled end
  if reply.error then
    return failure.explain(self, "a first completion failed: " .. reply.error.text)
  end
  if reply.status ~= 200 then
    local message = openai.error_of((json.decode(reply.body))) or reply.body:sub(1, 200)
    return failure.error(self.variant, ("a first completion failed: HTTP %d from %s%s: %s"):format(
      reply.status, self.base_url, request.path, message))
  end
  local response, err = self.dialect.read(reply, request)
  if not response then return failure.error(self.variant, "a first completion makes no sense: " .. err.text) end
  self.facts.fingerprint = response.fingerprint
  return true
end

--- All of it.
-- @tparam table self the server
-- @tparam table options of `supervisor.start`
-- @treturn ?boolean true, or nil and err
function ready.make(self, options)
  local steps = { ready.check_model, ready.check_completion }
  if self.process then steps = { ready.wait_for_health, ready.check_socket, ready.check_model, ready.check_completion } end
  for _, step in ipairs(steps) do
    local ok, err = step(self, options)
    if not ok then return nil, err end
    if step == ready.check_model then ready.read_version(self) end
  end
  return true
end

return ready
