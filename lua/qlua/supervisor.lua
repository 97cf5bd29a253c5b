-- SPDX-License-Identifier: Apache-2.0
--- Supervisor: one variant's server, from its argv to its last descendant.
-- The parts: `spawn` (what is started, and where), `ready` (health, identity, a completion), `failure` (why not), `watch` (while it
-- is asked), `restarts` (what then), `state` and `leftovers` (what a killed qlua leaves), `gpus` (whose card it is).

local clock = require "qlua.core.clock"
local failure = require "qlua.supervisor.failure"
local file = require "qlua.core.file"
local keys = require "qlua.keys"
local launch = require "qlua.launch"
local leftovers = require "qlua.supervisor.leftovers"
local ready = require "qlua.supervisor.ready"
local restarts = require "qlua.supervisor.restarts"
local socket = require "qlua.core.socket"
local spawn = require "qlua.supervisor.spawn"

local supervisor = { plan = spawn.plan }

--- Time to stop by itself, where neither the configuration nor the dialect says another.
local GRACE_MS = 30000

local Server = {}
Server.__index = Server

local function reach(self)
  self.base_url = (self.variant.server.base_url or "http://localhost/v1"):gsub("/+$", "")
  self.root_url = self.base_url:gsub("/v1$", "")
  self.unix_socket = self.variant.server.unix_socket
  return true
end

--- Start (or reach) the server of a variant and wait until it is ready. One attempt.
-- @tparam table dialect
-- @tparam table variant resolved
-- @tparam table options client (of `launch.transport`: it knows whom to trust), log_path, nonce, plan, config,
--   write_file(name, text) → path, is_stopped(), endpoint, run_dir (where it is written down; nil: nowhere),
--   on_spawn(server) before the wait begins
-- @treturn ?table server { base_url, unix_socket, model, headers, argv, facts }, with is_alive() and stop(); or nil, err
function supervisor.start(dialect, variant, options)
  local key, err = keys.of(variant)
  if err then return nil, err end
  local is_ours = launch.is_ours(dialect, variant)
  if is_ours and dialect.key_env and not key then key = keys.random() end
  local self = setmetatable({ dialect = dialect, variant = variant, client = options.client, facts = {}, key = key,
    headers = keys.headers(dialect, variant, key), query = launch.query(variant), model = spawn.served_name(dialect, variant) }, Server)
  local began = clock.now_ns()
  local ok
  ok, err = (is_ours and spawn.start or reach)(self, options)
  if ok and options.on_spawn then options.on_spawn(self) end
  if ok then ok, err = ready.make(self, options) end
  if not ok then
    self:stop()
    return nil, err
  end
  if self.state then self.state.update(self.process) end -- its workers are there now
  local log = self.log_path and file.stat(self.log_path)
  self.log_from = log and log.bytes or 0 -- what it said while it started explains no later death
  self.facts.startup_seconds = self.process and (clock.now_ns() - began) / 1e9 or nil
  return self
end

--- The same, once more where a failed start can be mended by it.
-- @tparam table options also: next_nonce() for each attempt, wait_until_free() → true or nil, err, on_retry(err, what) with
--   what = `again`, `when_free`, `port`
function supervisor.bring_up(dialect, variant, options)
  local tries = 0
  while true do
    tries = tries + 1
    local attempt = setmetatable({ nonce = options.next_nonce() }, { __index = options })
    local server, err = supervisor.start(dialect, variant, attempt)
    if server then return server end
    local what = launch.is_ours(dialect, variant) and not options.is_stopped() and restarts.after_start(err, tries) or "no"
    if what == "no" then
      if tries > 1 and err.kind == "server" then err.text = err.text .. (" (tried %d times)"):format(tries) end
      return nil, err
    end
    options.on_retry(err, what)
    local ok, busy = options.wait_until_free()
    if not ok then return nil, busy end
  end
end

--- Does its process live? A server that is not ours is asked.
function Server:is_alive()
  if self.process then return self.process:alive() end
  local reply = ready.get(self, self.base_url .. "/models")
  return not reply.error
end

--- Why it is gone, with the last lines of its log; only after is_alive() said no.
-- @treturn table err, with `crashed`
function Server:explain_death()
  local _, err
  if not self.process then
    _, err = failure.error(self.variant, ("no server at %s any more"):format(self.base_url))
    return err
  end
  local status = self.process:wait(1000) or {}
  _, err = failure.explain(self, self.cause or ("its server " .. failure.exit_text(self, status) .. " while it was asked"))
  err.crashed = true
  return err
end

-- What is to be done when nothing of it is left.
local function forget(self, survivors)
  if self.state and (survivors or 0) == 0 then self.state.remove() end
  if self.unix_socket then socket.clear(self.unix_socket) end
  self.state = nil
end

--- Stop it and everything it started. Our connections to it, also those kept for later, are ended first: some servers wait for
-- their clients.
-- One SIGTERM, to its first process alone; after the grace, SIGKILL to all.
-- @treturn integer how many of its processes could not be ended
function Server:stop()
  if not self.process then return 0 end
  local process = self.process
  socket.shut { host = self.variant.server.host, port = self.port, path = self.unix_socket }
  local grace_s = self.variant.server.stop_grace_s
  local status = process:stop { grace_ms = grace_s and grace_s * 1000 // 1 | 0 or self.dialect.grace_ms or GRACE_MS } or {}
  self.process = nil
  forget(self, status.survivors)
  return status.survivors or 0
end

--- End it and everything it started at once, waiting for it here: what a second Ctrl-C does.
-- @treturn boolean true when nothing of it is left
function Server:kill()
  if not self.process then return true end
  local process, state = self.process, self.state
  self.process = nil
  process:close()
  local is_clean = not state or #leftovers.find(state.record) == 0
  forget(self, is_clean and 0 or 1)
  return is_clean
end

return supervisor
