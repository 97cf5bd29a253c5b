-- SPDX-License-Identifier: Apache-2.0
--- A variant of a run: its server started, asked, and stopped, whatever happens in between.

local asking = require "qlua.run.asking"
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local launch = require "qlua.launch"
local session = require "qlua.run.session"
local supervisor = require "qlua.supervisor"

local variant = {}

local function start_server(self, one, client)
  self.progress:message { en = ("%s: starting %s"):format(one.name, one.dialect.name),
    zh = ("%s：正在启动 %s"):format(one.name, one.dialect.name) }
  return supervisor.start(one.dialect, one.variant, {
    client = client, log_path = ("%s/logs/%s.log"):format(self.dir, one.name), nonce = self.nonce, plan = self.made.for_dialect,
    config = self.made.config, endpoint = asking.endpoint_of(one, self.made.datasets[1]),
    write_file = function(name, text)
      local path = ("%s/logs/%s"):format(self.dir, name)
      local ok, err = file.write(path, text)
      if not ok then error(err, 0) end
      return path
    end,
    is_stopped = function() return self.stopped end,
  })
end

local function traced(raised)
  return type(raised) == "table" and raised or { kind = "internal", text = debug.traceback(tostring(raised), 2) }
end

-- A server's life with a client of its own; the error that ended it early, or nil.
local function serve(self, one)
  local client = http.open(launch.transport(one.variant, self.made.config.benchmark.concurrency))
  self.clients[client] = true
  local server, err = start_server(self, one, client)
  if server then
    session.record_server(self, one, server)
    self.telemetry:after_launch(one, server)
    local _
    _, err = xpcall(asking.all, traced, self, one, server, client)
  end
  client:close() -- before the server is told to stop: some wait for their clients
  self.clients[client] = nil
  if server then server:stop() end
  return err
end

--- Ask one variant all that is not answered yet.
-- @tparam table self the run
-- @tparam table one of the plan's variants
-- @treturn ?table err why it is not complete; noted in the store
function variant.run(self, one)
  if asking.is_complete(self, one) then
    self.progress:message { en = one.name .. ": all answers are there already", zh = one.name .. "：已全部作答" }
    return nil
  end
  local err = self.telemetry:before_launch(one) or serve(self, one)
  if err and err.kind ~= "cancelled" then self.store:put_event(clock.wall_ns(), "variant_failed", err.text, { variant = one.name }) end
  return err
end

return variant
