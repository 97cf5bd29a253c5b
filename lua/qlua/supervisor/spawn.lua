-- SPDX-License-Identifier: Apache-2.0
--- Spawn: from a variant to a running process: its name, its address, its command line, its place among the processes.
-- The name that it serves the model by holds the server's nonce, so that no other server answers to it; the port is held,
-- bound and not listening, until just before it starts.

local failure = require "qlua.supervisor.failure"
local file = require "qlua.core.file"
local gpus = require "qlua.supervisor.gpus"
local hash = require "qlua.core.hash"
local launch = require "qlua.launch"
local proc = require "qlua.core.proc"
local secrets = require "qlua.secrets"
local socket = require "qlua.core.socket"
local state = require "qlua.supervisor.state"
local sys = require "qlua.core.sys"

local spawn = {}

--- The name that requests to a variant's server must use. A server of ours, whose dialect lets us name the model, gets a
-- name that no other server has.
-- @tparam table dialect `names_itself`: the name is the server's own
-- @tparam table variant
-- @tparam ?string nonce nil: the name without it, as it stands in plans and identities
function spawn.served_name(dialect, variant, nonce)
  local name = variant.server.served_model_name or variant.model
  if not nonce or dialect.names_itself or not launch.is_ours(dialect, variant) then return name end
  return name .. "#" .. nonce
end

--- What a dialect's `start` is told.
function spawn.context(dialect, variant, options)
  local server = variant.server
  return {
    exe = sys.exe(), host = server.host, unix_socket = server.unix_socket,
    served_name = spawn.served_name(dialect, variant, options.nonce), find_on_path = sys.find_on_path, plan = options.plan,
    config = options.config, nonce = options.nonce, write_file = options.write_file,
  }
end

--- The command line a variant's server would get; for `--dry-run` and for the identity of answers.
-- What differs between two starts of the same thing (port, paths, nonce) is left out or a word in capitals.
-- @treturn ?table { argv, env }, nil for a server that is not ours
function spawn.plan(dialect, variant, options)
  if not launch.is_ours(dialect, variant) then return nil end
  local context = spawn.context(dialect, variant, setmetatable({ nonce = false }, { __index = options }))
  context.exe, context.port = "qlua", "PORT"
  context.unix_socket = context.unix_socket and "UNIX_SOCKET"
  context.write_file = function(name, text) return name .. ":" .. hash.sha256(text) end
  local made = dialect.start(variant, context)
  return { argv = made.argv, env = launch.environment(dialect, variant, gpus.add_environment(variant, made.env),
    dialect.key_env and secrets.HIDDEN) }
end

-- ---- the address --------------------------------------------------------------------------------------------

local function hold_port(variant)
  local server = variant.server
  local port, held = server.port
  local hint = "another program listens there; choose another with --set server.port=…, or stop it"
  local _, err
  if port then
    _, err = sys.free_port(server.host, port) -- also tries to listen, as the server will
    if err then return failure.error(variant, err.text, hint) end
  end
  held, err = socket.hold(server.host, port or 0)
  if not held then return failure.error(variant, err.text, hint) end
  return held
end

-- A socket's file outlives its server, and hinders the next.
local function clear_unix_socket(variant, path)
  if socket.listeners({}, { path = path }).others > 0 then
    return failure.error(variant, "another server listens on " .. path, "stop it, or choose another with server.unix_socket")
  end
  local ok, err = socket.clear(path)
  if not ok then return failure.error(variant, "server.unix_socket: " .. err.text) end
  return true
end

-- Returns what holds the address until the start (it may be closed), or nil and err.
local function take_address(self, context)
  local held, err
  if context.unix_socket then
    held, err = clear_unix_socket(self.variant, context.unix_socket)
    if not held then return nil, err end
    self.unix_socket, self.root_url = context.unix_socket, "http://localhost"
    return { close = function() end }
  end
  held, err = hold_port(self.variant)
  if not held then return nil, err end
  context.port, self.port = held:port(), held:port()
  self.root_url = ("http://%s:%d"):format(context.host, context.port)
  return held
end

-- ---- the process --------------------------------------------------------------------------------------------

--- Start the process of a server.
-- @tparam table self the server: dialect, variant, headers; gets process, argv, env, urls, model
-- @tparam table options of `supervisor.start`
-- @treturn ?boolean true, or nil and err
function spawn.start(self, options)
  local context = spawn.context(self.dialect, self.variant, options)
  local held, err = take_address(self, context)
  if not held then return nil, err end
  self.base_url, self.model = self.root_url .. "/v1", context.served_name
  local made = self.dialect.start(self.variant, context)
  self.argv = made.argv
  self.env = launch.environment(self.dialect, self.variant, gpus.add_environment(self.variant, made.env), self.key)
  self.log_path, self.oom_kills = options.log_path, failure.oom_kills()
  local log = file.stat(self.log_path)
  self.log_from = log and log.bytes or 0
  if options.run_dir then self.state = state.put(options.nonce, { variant = self.variant.name, run_dir = options.run_dir }) end
  held:close() -- as late as can be: until the server binds it, it is anybody's
  self.process, err = proc.spawn { argv = made.argv, env = self.env, log = options.log_path, nonce = options.nonce,
    secrets = secrets.known(), own_cgroup = true }
  if not self.process then
    if self.state then self.state.remove() end
    return failure.error(self.variant, err.text, err.hint)
  end
  if self.state then self.state.update(self.process) end
  return true
end

return spawn
