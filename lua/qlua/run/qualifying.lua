-- SPDX-License-Identifier: Apache-2.0
--- Qualifying: the probe of a variant's server before its first question, what came of it in the run's store, and how its
-- questions were scored then.

local clock = require "qlua.core.clock"
local http = require "qlua.core.http"
local qualify = require "qlua.qualify"

local qualifying = {}

local function modes_of(datasets)
  local modes = {}
  for _, dataset in ipairs(datasets) do modes[dataset.mode] = true end
  return modes
end

-- Into the store, and into the manifest, where the report finds it.
local function keep(self, one, record)
  local all = self.store:meta "qualification" or {}
  all[one.name] = record
  self.store:meta("qualification", all)
  self.manifest.qualification = all
  self.store:meta("manifest", self.manifest)
end

local function note(self, one, record)
  if record.level == "off" then
    local text = "the server was not probed (benchmark.qualify: off): whether it scores and samples as asked is not known"
    self.store:put_event(clock.wall_ns(), "not_qualified", text, { variant = one.name })
    self.progress:message { en = one.name .. ": " .. text, zh = one.name .. "：未探测服务器（benchmark.qualify: off），其打分与采样是否如所要求无从得知" }
    return
  end
  for _, step in ipairs(record.steps) do
    if step.status == "failed" then self.store:put_event(clock.wall_ns(), "qualify", step.text, { variant = one.name }) end
  end
end

--- Probe a server that is ready.
-- @tparam table self the run
-- @tparam table one a variant of the plan
-- @tparam table options `timeouts`, `endpoint`, `label_endpoint`
-- @treturn ?table err why nothing is asked
function qualifying.run(self, one, server, client, options)
  local record, err = qualify.run(server, one, { client = client, timeouts = options.timeouts, split_events = http.split_events,
    is_stopped = function() return self.stopped end, endpoint = options.endpoint,
    label_endpoint = options.label_endpoint, window = self.made.config.benchmark.concurrency, nonce = self.nonce,
    level = self.made.config.benchmark.qualify, modes = modes_of(self.made.datasets) })
  if not record and not err.record then return err end
  note(self, one, record or err.record)
  local before = (self.store:meta "qualification" or {})[one.name]
  if not record then
    keep(self, one, err.record)
    return err
  end
  local difference = before and before.level ~= "off" and record.level ~= "off" and qualify.difference(before, record)
  if difference then
    return { kind = "server", text = ("variant '%s': cannot go on: %s"):format(one.name, difference),
      hint = "start a new run: answers scored in two ways would be mixed" }
  end
  keep(self, one, record)
end

return qualifying
