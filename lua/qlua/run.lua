-- SPDX-License-Identifier: Apache-2.0
--- Run: carries out a plan: variant by variant, dataset by dataset, then results and reports.
-- Owns the run's folder and its store while it works. Whatever ends it early (an error, Ctrl-C) leaves a folder that can be
-- resumed, no server behind, and says how to go on. The parts are in `qlua.run.*`.

local clock = require "qlua.core.clock"
local control = require "qlua.control"
local folder = require "qlua.run.folder"
local run_report = require "qlua.run_report"
local loading = require "qlua.run.loading"
local session = require "qlua.run.session"
local side_by_side = require "qlua.run.side_by_side"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"
local telemetry = require "qlua.telemetry"
local term = require "qlua.core.term"
local variant = require "qlua.run.variant"

local run = {}

-- ---- Ctrl-C -----------------------------------------------------------------------------------------------

local function watch_signals(self)
  local function on_signal()
    if self.stopped then sys.exit(130) end
    self.stopped = true
    self.progress:message { en = "stopping: answers are kept, servers are stopped (once more: at once)",
      zh = "正在停止：答案已保存，服务器正在关闭（再按一次立即退出）" }
    for client in pairs(self.clients) do client:cancel_all() end
  end
  task.on_signal(task.SIGINT, on_signal)
  task.on_signal(task.SIGTERM, on_signal)
  task.on_signal(task.SIGWINCH, function() self.progress:resize(term.width(2)) end)
end

-- ---- the whole ----------------------------------------------------------------------------------------------

local function open_telemetry(self)
  self.telemetry = telemetry.open { is_wanted = self.made.config.benchmark.collect_memory, store = self.store, nonce = self.nonce,
    is_stopped = function() return self.stopped end }
  self.store:meta("telemetry", self.telemetry:facts())
end

local function conclude(self, errors)
  self.telemetry:close()
  self.store:meta("finished_at", clock.iso())
  self.store:commit()
  local is_written, summary = pcall(run_report.write, self.dir, self.store, self.options)
  self.store:close()
  if not is_written then
    if type(summary) == "table" and summary.kind == "script" then -- a layout's: nothing that was asked is lost
      summary.hint = (summary.hint and summary.hint .. "; " or "") .. "the answers are kept: qlua report " .. self.dir
    end
    error(summary, 0)
  end
  if self.stopped then
    return nil, { kind = "cancelled", text = "stopped: what was answered is in " .. self.dir,
      hint = "go on with: " .. self.options.resume_command(self.dir) }
  end
  if #errors > 0 then
    local first = table.remove(errors, 1)
    first.others = errors
    first.hint = (first.hint and first.hint .. "; " or "") .. "go on with: " .. self.options.resume_command(self.dir)
    return nil, first
  end
  return summary, self.dir
end

-- What one variant's work ended with: kept, and shown; or raised, when nothing more can be kept or trusted.
local function take_error(self, errors, err)
  if not err or err.kind == "cancelled" then return end
  if err.kind == "store" or err.kind == "internal" then
    err.hint = (err.hint and err.hint .. "; " or "") .. "go on with: " .. self.options.resume_command(self.dir)
    error(err, 0)
  end
  errors[#errors + 1] = err
  self.progress:message(err.text)
end

local function each_variant(self, errors, work)
  for _, one in ipairs(self.made.variants) do
    if self.stopped then break end
    take_error(self, errors, work(self, one))
  end
end

-- The part of the load that does not belong to the first life of a variant's server.
local function load_rest(self, errors)
  local order, variants = loading.order(self.made), self.made.variants
  if self.stopped then return end
  if order == "interleaved" then
    for _, err in ipairs(side_by_side.run(self)) do take_error(self, errors, err) end
  elseif order == "abba" then
    for i = #variants - 1, 1, -1 do
      if self.stopped then return end
      take_error(self, errors, variant.load_again(self, variants[i]))
    end
  end
end

--- Carry out a plan.
-- @tparam table made a plan
-- @tparam table options out, resume, progress, command (list of words), resume_command(dir), language, layouts, max_pages
-- @treturn ?table summary, and the run's folder; or nil and err
function run.execute(made, options)
  local dir, store = folder.open(made, options)
  if not dir then return nil, store end
  local self = { made = made, options = options, dir = dir, store = store, progress = options.progress, stopped = false, clients = {},
    nonce = ("%x%x"):format(sys.pid(), clock.wall_ns()), control = control.of(made) }
  session.open(self)
  watch_signals(self)
  open_telemetry(self)
  local errors = {}
  each_variant(self, errors, variant.run)
  if made.load then load_rest(self, errors) end
  return conclude(self, errors)
end

return run