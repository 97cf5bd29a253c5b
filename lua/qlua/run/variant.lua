-- SPDX-License-Identifier: Apache-2.0
--- A variant of a run: its server started, asked, and stopped, whatever happens in between.

local asking = require "qlua.run.asking"
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local launch = require "qlua.launch"
local loading = require "qlua.run.loading"
local session = require "qlua.run.session"
local supervisor = require "qlua.supervisor"

local variant = {}

--- Start a variant's server, or reach it.
-- @treturn ?table server, or nil and err
function variant.start(self, one, client)
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

--- For xpcall: what was raised as an err.
function variant.traced(raised)
  return type(raised) == "table" and raised or { kind = "internal", text = debug.traceback(tostring(raised), 2) }
end

-- Which replicates of the load this life of the server is for: with `abba` the first half, and of the last variant all, since
-- its second turn would follow at once.
local function replicates_of(self, one)
  local load, order = self.made.load, loading.order(self.made)
  if order == "interleaved" then return 1, 0 end
  local is_last = one == self.made.variants[#self.made.variants]
  if order == "abba" and not is_last and not load.search then return 1, (load.replicates + 1) // 2 end
  return 1, load.replicates
end

local function work(self, one, server, client, only_load)
  local err = not only_load and asking.all(self, one, server, client) or nil
  if err or self.stopped or not self.made.load then return err end
  local first, last = replicates_of(self, one)
  if only_load then first, last = last + 1, self.made.load.replicates end
  if first <= last and not loading.is_complete(self, one) then loading.all(self, one, server, client, first, last) end
end

-- A server's life with a client of its own; the error that ended it early, or nil.
local function serve(self, one, only_load)
  local client = http.open(launch.transport(one.variant, self.made.config.benchmark.concurrency))
  self.clients[client] = true
  local server, err = variant.start(self, one, client)
  if server then
    session.record_server(self, one, server)
    self.telemetry:after_launch(one, server)
    local _
    _, err = xpcall(work, variant.traced, self, one, server, client, only_load)
  end
  client:close() -- before the server is told to stop: some wait for their clients
  self.clients[client] = nil
  if server then server:stop() end
  return err
end

local function is_complete(self, one)
  local is_elsewhere = self.made.load and loading.order(self.made) == "interleaved"
  return asking.is_complete(self, one) and (is_elsewhere or loading.is_complete(self, one))
end

local function noted(self, one, err)
  if err and err.kind ~= "cancelled" then self.store:put_event(clock.wall_ns(), "variant_failed", err.text, { variant = one.name }) end
  return err
end

--- Ask one variant all that is not answered yet, and measure it under load.
-- @tparam table self the run
-- @tparam table one of the plan's variants
-- @treturn ?table err why it is not complete; noted in the store
function variant.run(self, one)
  if is_complete(self, one) then
    if #self.made.datasets > 0 then
      self.progress:message { en = one.name .. ": all answers are there already", zh = one.name .. "：已全部作答" }
    end
    return nil
  end
  return noted(self, one, self.telemetry:before_launch(one) or serve(self, one))
end

--- The second half of `abba`: the variant's server once more, for the load alone.
function variant.load_again(self, one)
  if loading.is_complete(self, one) then return nil end
  return noted(self, one, self.telemetry:before_launch(one) or serve(self, one, true))
end

return variant
