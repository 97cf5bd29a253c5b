-- SPDX-License-Identifier: Apache-2.0
--- A variant of a run: its server started, asked, and stopped, whatever happens in between; and started again when it died.

local asking = require "qlua.run.asking"
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local gpus = require "qlua.supervisor.gpus"
local http = require "qlua.core.http"
local launch = require "qlua.launch"
local loading = require "qlua.run.loading"
local restarts = require "qlua.supervisor.restarts"
local secrets = require "qlua.secrets"
local session = require "qlua.run.session"
local supervisor = require "qlua.supervisor"
local watch = require "qlua.supervisor.watch"

local variant = {}

local function wall_ns(self) return clock.now_ns() + self.wall_offset_ns end

local function note(self, one, kind, text)
  self.store:put_event(clock.wall_ns(), kind, text, { variant = one.name })
end

-- ---- one server ---------------------------------------------------------------------------------------------

-- Each start has a nonce of its own, which begins with the run's.
local function next_nonce(self)
  self.starts.count = self.starts.count + 1
  return ("%s-%d"):format(self.nonce, self.starts.count)
end

local function note_failed(self, one, err)
  local server = self.servers[one.name]
  if not server then return end
  self.servers[one.name] = nil
  self.store:update_server(one.name, server.incarnation, { end_ns = wall_ns(self),
    end_kind = err.kind == "cancelled" and "stopped" or "failed", cause = err.text })
end

local function on_retry(self, one, err, what)
  note(self, one, "server_start_failed", err.text)
  local why = { again = "once more", when_free = "once more when the GPU is free", port = "once more, at another port" }
  self.progress:message(err.text)
  self.progress:message { en = ("%s: starting it %s"):format(one.name, why[what]), zh = ("%s：再次尝试启动"):format(one.name) }
  note_failed(self, one, err)
end

local function on_spawn(self, one, server)
  server.incarnation = self.store:open_server(one.name, wall_ns(self), server.process and server.process:nonce())
  self.store:update_server(one.name, server.incarnation, { pid = server.process and server.process:pid() })
  self.servers[one.name] = server
end

-- Servers of ours have their cards for themselves as long as the run lasts.
local function take_cards(self, one)
  if one.dialect.simulated or not launch.is_ours(one.dialect, one.variant) then return nil end
  return gpus.take(self.cards, one.variant, self.telemetry:cards_of(one), self.dir)
end

--- Start a variant's server, or reach it.
-- @treturn ?table server, or nil and err
function variant.start(self, one, client)
  self.progress:message { en = ("%s: starting %s"):format(one.name, one.dialect.name),
    zh = ("%s：正在启动 %s"):format(one.name, one.dialect.name) }
  local taken = take_cards(self, one)
  if taken then return nil, taken end
  local server, err = supervisor.bring_up(one.dialect, one.variant, {
    client = client, log_path = ("%s/logs/%s.log"):format(self.dir, one.name), plan = self.made.for_dialect, run_dir = self.dir,
    config = self.made.config, endpoint = asking.endpoint_of(one, self.made.datasets[1]),
    write_file = function(name, text)
      local path = ("%s/logs/%s"):format(self.dir, name)
      local ok, err = file.write(path, text)
      if not ok then error(err, 0) end
      return path
    end,
    is_stopped = function() return self.stopped end,
    next_nonce = function() return next_nonce(self) end,
    on_retry = function(err, what) on_retry(self, one, err, what) end,
    on_spawn = function(server) on_spawn(self, one, server) end,
    wait_until_free = function()
      local busy = self.telemetry:before_launch(one)
      return not busy or nil, busy
    end,
  })
  if not server then note_failed(self, one, err) end
  return server, err
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

local function conclude(self, one, server, err)
  -- whatever was going on when it died, the probe before the first question for one: that it died is the cause
  if err and not err.crashed and err.kind ~= "cancelled" and server.process and not server:is_alive() then err = server:explain_death() end
  local is_crash = err and err.crashed
  self.store:update_server(one.name, server.incarnation, { end_ns = wall_ns(self), end_kind = is_crash and "crashed" or "stopped",
    cause = err and err.text })
  if is_crash then return err, server.watch:suspects() end
  return err
end

-- What is done with a server that is ready; the error that ended it early, or nil; after a crash also what was in flight.
local function use(self, one, server, client, only_load)
  self.store:update_server(one.name, server.incarnation, { ready_ns = wall_ns(self) })
  session.record_server(self, one, server)
  self.telemetry:after_launch(one, server)
  local _, err = xpcall(work, variant.traced, self, one, server, client, only_load)
  return conclude(self, one, server, err)
end

local function start_and_use(self, one, client, account, life, only_load)
  local server, err = variant.start(self, one, client)
  if not server then return err end
  server.account, server.life = account, life
  server.watch = watch.new(server, client, { limit = account.concurrency, endpoint = asking.endpoint_of(one, self.made.datasets[1]),
    is_stopped = function() return self.stopped end })
  return use(self, one, server, client, only_load)
end

local function note_stuck(self, one, count)
  if count == 0 then return end
  note(self, one, "server_left", ("%d processes of the server could not be ended"):format(count))
  self.progress:message { en = ("%s: %d processes of its server could not be ended: qlua reap %s"):format(one.name, count, self.dir),
    zh = ("%s：服务有 %d 个进程无法结束：qlua reap %s"):format(one.name, count, self.dir) }
end

-- A server's life with a client of its own. Whatever is raised in it, a full disk for one, the server is stopped.
local function live(self, one, account, life, only_load)
  local client = http.open(launch.transport(one.variant, account.concurrency))
  self.clients[client] = true
  local _, err, suspects = xpcall(start_and_use, variant.traced, self, one, client, account, life, only_load)
  local server = self.servers[one.name]
  if server and server.watch then server.watch:close() end
  client:close() -- before the server is told to stop: some wait for their clients
  self.clients[client] = nil
  local stuck = server and server:stop() or 0
  self.servers[one.name] = nil
  note_stuck(self, one, stuck)
  return err, suspects
end

-- ---- and the next -------------------------------------------------------------------------------------------

local function note_crash(self, one, account, err, suspects)
  note(self, one, "server_crashed", err.text)
  self.progress:message(err.text)
  local before = account.concurrency
  for _, question in ipairs(account:crashed(suspects, err, err.mode)) do
    self.store:put_event(clock.wall_ns(), "quarantine", restarts.QUARANTINED, { variant = question.variant, dataset = question.dataset,
      sample = question.sample })
    self.progress:message { en = ("%s %s: %s"):format(question.variant, question.sample, restarts.QUARANTINED),
      zh = ("%s %s：两次崩溃时均在处理此题，已隔离"):format(question.variant, question.sample) }
  end
  if account.concurrency < before then
    local text = ("concurrency %d instead of %d from here on: scoring prompts took more memory than there is"):format(
      account.concurrency, before)
    note(self, one, "concurrency_reduced", text)
    self.progress:message { en = one.name .. ": " .. text, zh = ("%s：显存不足，并发数由 %d 降为 %d"):format(one.name, before,
      account.concurrency) }
  end
end

-- Lives of a variant's server, until all is asked, or it has died once too often.
local function serve(self, one, only_load)
  local benchmark = self.made.config.benchmark
  local account = restarts.new { max_restarts = one.variant.server.max_restarts or 2, concurrency = benchmark.concurrency }
  local life = 0
  while true do
    life = life + 1
    local err = self.telemetry:before_launch(one)
    if err then return err end
    local suspects
    err, suspects = live(self, one, account, life, only_load)
    if not suspects or self.stopped then return err end
    note_crash(self, one, account, err, suspects)
    if not account:take() then
      err.text = ("%s; it was started %d times"):format(err.text, life)
      return err
    end
  end
end

local function is_complete(self, one)
  local is_elsewhere = self.made.load and loading.order(self.made) == "interleaved"
  return asking.is_complete(self, one) and (is_elsewhere or loading.is_complete(self, one))
end

local function noted(self, one, err)
  if err then err.text, err.hint = secrets.hide(err.text), secrets.hide(err.hint) end
  if err and err.kind ~= "cancelled" then note(self, one, "variant_failed", err.text) end
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
  return noted(self, one, serve(self, one))
end

--- The second half of `abba`: the variant's server once more, for the load alone.
function variant.load_again(self, one)
  if loading.is_complete(self, one) then return nil end
  return noted(self, one, serve(self, one, true))
end

return variant
