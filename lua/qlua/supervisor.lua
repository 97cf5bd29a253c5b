-- SPDX-License-Identifier: Apache-2.0
--- Supervisor: one variant's server, from its argv to its last descendant.
-- Ready means: the process lives, its health endpoint answers, /v1/models names the model that was asked for, and one
-- real completion has the right shape. A health check alone would also be answered by somebody else's server.

local clock = require "qlua.core.clock"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local keys = require "qlua.keys"
local launch = require "qlua.launch"
local openai = require "qlua.openai"
local proc = require "qlua.core.proc"
local secrets = require "qlua.secrets"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local supervisor = {}

local Server = {}
Server.__index = Server

local function server_error(text, hint)
  return nil, { kind = "server", text = text, hint = hint }
end

-- ---- what is started ------------------------------------------------------------------------------------

local function new_context(options, variant)
  local server = variant.server
  local context = {
    exe = sys.exe(), host = server.host, unix_socket = server.unix_socket, served_name = server.served_model_name or variant.model,
    find_on_path = sys.find_on_path, plan = options.plan, config = options.config, nonce = options.nonce,
    write_file = options.write_file,
  }
  return context
end

--- The command line a variant's server would get; for `--dry-run` and for the identity of answers.
-- What differs between two starts of the same thing (port, paths) is left as a word in capitals.
-- @treturn ?table { argv, env }, nil for a server that is not ours
function supervisor.plan(dialect, variant, options)
  if not launch.is_ours(dialect, variant) then return nil end
  local context = new_context(options, variant)
  context.exe, context.port = "qlua", "PORT"
  context.unix_socket = context.unix_socket and "UNIX_SOCKET"
  context.write_file = function(name, text) return name .. ":" .. hash.sha256(text) end
  local made = dialect.start(variant, context)
  return { argv = made.argv, env = launch.environment(dialect, variant, made.env, dialect.key_env and secrets.HIDDEN) }
end

local function choose_port(variant)
  local server = variant.server
  if server.unix_socket then return nil end
  local port, err = sys.free_port(server.host, server.port == "auto" and 0 or server.port or 0)
  if port then return port end
  return server_error(("variant '%s': %s"):format(variant.name, err.text),
    "another program listens there; choose another with --set server.port=…, or stop it")
end

-- ---- start ------------------------------------------------------------------------------------------------

local function explain(self, what)
  local lines = self.process and self.process:tail(12) or {}
  local text = ("variant '%s': %s"):format(self.variant.name, what)
  for _, failure in ipairs(self.dialect.failures or {}) do
    for _, line in ipairs(self.process and self.process:tail(64) or {}) do
      if line:find(failure.pattern, 1, true) then
        text = ("%s: %s (%s)"):format(text, failure.say.en, line:match "^%s*(.-)%s*$")
        return server_error(text, "the whole log is " .. self.log_path)
      end
    end
  end
  if #lines > 0 then text = text .. "; its last lines:\n    " .. table.concat(lines, "\n    ") end
  return server_error(text, self.log_path and "the whole log is " .. self.log_path)
end

local function get(self, url)
  return self.client:send { method = "GET", url = url, unix_socket = self.unix_socket, headers = self.headers,
    connect_ms = 2000, total_ms = 10000, ca_file = self.ca_file, insecure = self.insecure }
end

local function exit_text(status)
  if status.signal then return ("was killed by signal %d"):format(status.signal) end
  return ("exited with status %d"):format(status.code or -1)
end

-- Polls until the health endpoint says 200. Progress is any new line of the log.
local function wait_for_health(self, options)
  local began, progress_at, lines = clock.now_ns(), clock.now_ns(), 0
  local limit_ns = self.variant.server.startup_timeout_s * 1e9
  local wait_ms = 50
  while true do
    if options.is_stopped() then return nil, { kind = "cancelled", text = "the run was stopped" } end
    if not self.process:alive() then
      return explain(self, "its server " .. exit_text(self.process:wait(1000) or {}) .. " before it was ready")
    end
    local reply = get(self, self.root_url .. (self.dialect.health or "/health"))
    if not reply.error and reply.status == 200 then return true end
    local now = clock.now_ns()
    if self.process:lines_seen() > lines then lines, progress_at = self.process:lines_seen(), now end
    if now - began > limit_ns then
      return explain(self, ("its server was not healthy after %g s"):format(self.variant.server.startup_timeout_s))
    end
    if now - progress_at > 300e9 and now - began > 300e9 then
      return explain(self, "its server made no progress for 300 s")
    end
    task.sleep(wait_ms)
    wait_ms = math.min(wait_ms * 1.5, 1000)
  end
end

-- /v1/models must name the model we shall ask for; a server without that endpoint is taken at its word.
local function check_identity(self)
  local reply = get(self, self.base_url .. "/models" .. self.query)
  if reply.error then
    return server_error(("variant '%s': no server at %s: %s"):format(self.variant.name, self.base_url, reply.error.text))
  end
  if reply.status == 401 or reply.status == 403 then
    return server_error(("variant '%s': the server refused the API key (HTTP %d)"):format(self.variant.name, reply.status),
      "name the variable or file that holds it: server.api_key_env, server.api_key_file")
  end
  if reply.status ~= 200 then return true end
  local models = json.decode(reply.body)
  local names = {}
  for _, model in ipairs(type(models) == "table" and type(models.data) == "table" and models.data or {}) do
    local id = type(model) == "table" and model.id
    if id == self.model then
      self.facts.model_entry = model
      return true
    end
    names[#names + 1] = type(id) == "string" and id or nil
  end
  if #names == 0 then return true end
  return server_error(("variant '%s': the server at %s does not serve '%s' (it serves: %s)"):format(self.variant.name,
    self.base_url, self.model, table.concat(names, ", ")), "is another server listening there? else give --model")
end

local function read_version(self)
  local reply = get(self, self.root_url .. "/version")
  local value = not reply.error and reply.status == 200 and json.decode(reply.body)
  if type(value) == "table" then self.facts.version = value.version end
end

-- One real completion, sent as the run will send them.
local function check_completion(self, options)
  local ask = { mode = "generate", prompt = { text = "1 + 1 =" }, endpoint = options.endpoint, model = self.model,
    sampling = setmetatable({ max_tokens = 4 }, { __index = self.variant.generation }), extra_body = self.variant.server.extra_body,
    server = self.variant.server }
  local request = self.dialect.request(ask)
  local reply = self.client:send { method = request.method, url = self.base_url .. request.path .. self.query, headers = self.headers,
    unix_socket = self.unix_socket, body = json.encode(request.body), connect_ms = 10000, total_ms = 120000,
    ca_file = self.ca_file, insecure = self.insecure }
  if options.is_stopped() then return nil, { kind = "cancelled", text = "the run was stopped" } end
  if reply.error then
    return server_error(("variant '%s': a first completion failed: %s"):format(self.variant.name, reply.error.text))
  end
  if reply.status ~= 200 then
    local message = openai.error_of((json.decode(reply.body))) or reply.body:sub(1, 200)
    return server_error(("variant '%s': a first completion failed: HTTP %d from %s%s: %s"):format(self.variant.name,
      reply.status, self.base_url, request.path, message))
  end
  local response, err = self.dialect.read(reply, request)
  if not response then
    return server_error(("variant '%s': a first completion makes no sense: %s"):format(self.variant.name, err.text))
  end
  self.facts.fingerprint = response.fingerprint
  return true
end

local function make_ready(self, options)
  local ok, err
  if self.process then
    ok, err = wait_for_health(self, options)
    if not ok then return nil, err end
  end
  ok, err = check_identity(self)
  if not ok then return nil, err end
  read_version(self)
  ok, err = check_completion(self, options)
  if not ok then return nil, err end
  return true
end

local function spawn(self, options)
  local context = new_context(options, self.variant)
  local err
  if not context.unix_socket then
    context.port, err = choose_port(self.variant)
    if not context.port then return nil, err end
  end
  local made = self.dialect.start(self.variant, context)
  local env = launch.environment(self.dialect, self.variant, made.env, self.key)
  self.argv, self.env, self.log_path = made.argv, env, options.log_path
  self.unix_socket = context.unix_socket
  self.root_url = context.unix_socket and "http://localhost" or ("http://%s:%d"):format(context.host, context.port)
  self.base_url = self.root_url .. "/v1"
  self.process, err = proc.spawn { argv = made.argv, env = env, log = options.log_path, nonce = options.nonce,
    secrets = secrets.known() }
  if not self.process then return server_error(("variant '%s': %s"):format(self.variant.name, err.text), err.hint) end
  return true
end

--- Start (or reach) the server of a variant and wait until it is ready.
-- @tparam table dialect
-- @tparam table variant resolved
-- @tparam table options client, log_path, nonce, plan, config, write_file(name, text) → path, is_stopped(), endpoint
-- @treturn ?table server { base_url, unix_socket, model, headers, argv, facts }, with is_alive() and stop(); or nil, err
function supervisor.start(dialect, variant, options)
  local key, err = keys.of(variant)
  if err then return nil, err end
  local is_ours = launch.is_ours(dialect, variant)
  if is_ours and dialect.key_env and not key then key = keys.random() end
  local self = setmetatable({ dialect = dialect, variant = variant, client = options.client, facts = {}, key = key,
    headers = keys.headers(dialect, variant, key), query = launch.query(variant),
    model = variant.server.served_model_name or variant.model, ca_file = variant.server.ca_file,
    insecure = variant.server.insecure }, Server)
  local began = clock.now_ns()
  local ok
  if is_ours then
    ok, err = spawn(self, options)
    if not ok then return nil, err end
  else
    self.base_url = (variant.server.base_url or "http://localhost/v1"):gsub("/+$", "")
    self.root_url = self.base_url:gsub("/v1$", "")
    self.unix_socket = variant.server.unix_socket
  end
  ok, err = make_ready(self, options)
  if not ok then
    self:stop()
    return nil, err
  end
  self.facts.startup_seconds = self.process and (clock.now_ns() - began) / 1e9 or nil
  return self
end

--- Does its process live? A server that is not ours is asked.
function Server:is_alive()
  if self.process then return self.process:alive() end
  local reply = get(self, self.base_url .. "/models")
  return not reply.error
end

--- Why it is gone, with the last lines of its log; only after is_alive() said no.
-- @treturn table err
function Server:explain_death()
  if not self.process then
    return { kind = "server", text = ("variant '%s': no server at %s any more"):format(self.variant.name, self.base_url) }
  end
  local _, err = explain(self, "its server " .. exit_text(self.process:wait(1000) or {}) .. " while it was asked")
  return err
end

--- Stop it and everything it started. Client sockets must be closed by now.
function Server:stop()
  if not self.process then return end
  local grace_ms = (self.variant.server.stop_grace_s or 30) * 1000
  self.process:stop { grace_ms = grace_ms }
  self.process = nil
end

return supervisor
