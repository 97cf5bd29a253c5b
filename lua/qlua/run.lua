-- SPDX-License-Identifier: Apache-2.0
--- Run: carries out a plan: variant by variant, dataset by dataset, then results and reports.
-- Owns the run's folder and its store while it works. Whatever ends it early (an error, Ctrl-C) leaves a folder that can be
-- resumed, no server behind, and says how to go on. The parts are in `qlua.run.*`.

local clock = require "qlua.core.clock"
local control = require "qlua.control"
local file = require "qlua.core.file"
local folder = require "qlua.run.folder"
local gpus = require "qlua.supervisor.gpus"
local lanes = require "qlua.run.lanes"
local leftovers = require "qlua.supervisor.leftovers"
local run_report = require "qlua.run_report"
local loading = require "qlua.run.loading"
local session = require "qlua.run.session"
local side_by_side = require "qlua.run.side_by_side"
local state = require "qlua.supervisor.state"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"
local telemetry = require "qlua.telemetry"
local term = require "qlua.core.term"
local variant = require "qlua.run.variant"

local run = {}

-- ---- Ctrl-C -----------------------------------------------------------------------------------------------

-- The second time: nobody waits any more, and nothing is left behind all the same.
local function at_once(self)
  pcall(self.store.commit, self.store)
  local is_clean = true
  for _, server in pairs(self.servers) do
    local ok, is_gone = pcall(server.kill, server)
    is_clean = is_clean and ok and is_gone
  end
  if not is_clean then
    self.progress:message { en = "processes of a server are left: qlua reap " .. self.dir, zh = "服务仍有残留进程：qlua reap " .. self.dir }
  end
  sys.exit(130)
end

-- A terminal that is closed is a Ctrl-C, unless nohup has said before that it shall not matter.
local function is_ignored(signum)
  local mask = (file.read "/proc/self/status" or ""):match "SigIgn:%s*(%x+)"
  return mask ~= nil and tonumber(mask, 16) >> (signum - 1) & 1 == 1
end

local function watch_signals(self)
  local function on_signal(signum)
    if self.stopped and signum == task.SIGHUP then return end
    if self.stopped then at_once(self) end
    self.stopped = true
    self.progress:message { en = "stopping: answers are kept, servers are stopped (once more: at once)",
      zh = "正在停止：答案已保存，服务器正在关闭（再按一次立即退出）" }
    for client in pairs(self.clients) do client:cancel_all() end
  end
  task.on_signal(task.SIGINT, on_signal)
  task.on_signal(task.SIGTERM, on_signal)
  if not is_ignored(task.SIGHUP) then task.on_signal(task.SIGHUP, on_signal) end
  task.on_signal(task.SIGWINCH, function() self.progress:resize(term.width(2)) end)
end

-- ---- the whole ----------------------------------------------------------------------------------------------

local function open_telemetry(self)
  self.telemetry = telemetry.open { is_wanted = self.made.config.benchmark.collect_memory, store = self.store, nonce = self.nonce,
    is_stopped = function() return self.stopped end }
  self.store:meta("telemetry", self.telemetry:facts())
end

-- What a killed qlua left: of this run it is ended, of others it is told.
local function reap_leftovers(self)
  local seen, records = {}, state.list(self.dir)
  table.move(state.list(), 1, #state.list(), #records + 1, records)
  for _, record in ipairs(records) do
    local is_again = seen[record.nonce]
    seen[record.nonce] = true
    if not is_again and record.host == sys.host().hostname and not state.has_owner(record) then
      local count = #leftovers.find(record)
      local is_mine = record.run_dir == file.real(self.dir)
      if count == 0 or is_mine then leftovers.reap(record) end
      if count > 0 then
        local where = is_mine and { en = "ended", zh = "已结束" } or { en = "not ended: qlua reap", zh = "未处理，请执行 qlua reap" }
        self.progress:message { en = ("%d processes were left of a killed run (%s): %s"):format(count, record.run_dir, where.en),
          zh = ("被强制终止的运行残留了 %d 个进程（%s）：%s"):format(count, record.run_dir, where.zh) }
      end
    end
  end
end

local function conclude(self, errors)
  self.telemetry:close()
  gpus.release(self.cards)
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

-- The run as one variant sees it that is worked on beside others.
local function lane_of(self)
  local progress = self.progress
  return setmetatable({ telemetry = self.telemetry:lane(), progress = progress.lane and progress:lane() or progress }, { __index = self })
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
-- @tparam table options out, resume, progress, command (list of words), resume_command(dir), language, layouts, max_pages,
--   live(gpu) makes the view of a load (`qlua.load.live`)
-- @treturn ?table summary, and the run's folder; or nil and err
function run.execute(made, options)
  local dir, store = folder.open(made, options)
  if not dir then return nil, store end
  local self = { made = made, options = options, dir = dir, store = store, progress = options.progress, stopped = false,
    clients = {}, servers = {}, starts = { count = 0 }, cards = {},
    nonce = ("%x%x"):format(sys.pid(), clock.wall_ns()), control = control.of(made) }
  if made.load and options.live then self.live = options.live(function() return self.telemetry:now() end) end
  session.open(self)
  watch_signals(self)
  reap_leftovers(self)
  open_telemetry(self)
  local errors = {}
  local is_parallel = made.config.benchmark.parallel_variants and #made.variants > 1
  lanes.each(made.variants, is_parallel, function(one)
    take_error(self, errors, variant.run(is_parallel and lane_of(self) or self, one))
  end, function() return self.stopped end)
  if made.load then load_rest(self, errors) end
  return conclude(self, errors)
end

return run