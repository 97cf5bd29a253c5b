-- SPDX-License-Identifier: Apache-2.0
--- Side by side: the load phase of servers that run at the same time. Replicates go round the variants, forwards and backwards in
-- turn (A B B A), so that what drifts on the machine while it is measured falls on all of them alike. Only one server is
-- under load at any moment.

local clock = require "qlua.core.clock"
local http = require "qlua.core.http"
local launch = require "qlua.launch"
local loading = require "qlua.run.loading"
local variant = require "qlua.run.variant"

local side_by_side = {}

local function ready(self, one, up)
  local server, err
  local client = http.open(launch.transport(one.variant, 4))
  self.clients[client] = true
  up[#up + 1] = { one = one, client = client }
  server, err = variant.start(self, one, client)
  if not server then return err end
  up[#up].server = server
  self.telemetry:after_launch(one, server)
  up[#up].devices = self.telemetry.current
  up[#up].run = loading.attach(self, one, server, client)
end

local function measure(self, up)
  for replicate = 1, self.made.load.replicates do
    for place = 1, #up do
      local at = replicate % 2 == 1 and up[place] or up[#up + 1 - place]
      self.telemetry.current = at.devices -- whose devices the figures are of
      if at.run and not loading.replicate(self, at.one, at.run, replicate) then return end
    end
  end
end

local function all(self, up, errors)
  for _, one in ipairs(self.made.variants) do
    if self.stopped then return end
    if not loading.is_complete(self, one) then errors[#errors + 1] = ready(self, one, up) end
  end
  if not self.made.load.search then return measure(self, up) end
  for _, at in ipairs(up) do
    self.telemetry.current = at.devices
    if at.run and not loading.search(self, at.one, at.run) then return end
  end
end

--- Measure all variants; for `loading.order` interleaved.
-- @tparam table self the run
-- @treturn table list of errs
function side_by_side.run(self)
  local up, errors = {}, {}
  local ok, raised = xpcall(all, variant.traced, self, up, errors)
  for _, at in ipairs(up) do
    at.client:close()
    self.clients[at.client] = nil
    if at.server then at.server:stop() end
  end
  if not ok then errors[#errors + 1] = raised end
  for _, err in ipairs(errors) do
    if err.kind ~= "cancelled" then self.store:put_event(clock.wall_ns(), "load_failed", err.text) end
  end
  return errors
end

return side_by_side
