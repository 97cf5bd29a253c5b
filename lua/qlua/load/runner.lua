-- SPDX-License-Identifier: Apache-2.0
--- Runner: puts one running server under load, point by point.
--
-- Lua never stands between a moment and a send. In an open loop every request is handed to the I/O thread ahead of its time, with
-- the time at which that thread shall send it; in a closed loop twice as many requests are ready as the window is wide, so that
-- the I/O thread has the next one at hand when one ends. What Lua does with a reply (its row, the store, hooks, the live view) happens
-- after its last byte was stamped. The exception is a session's later turn, which cannot be made before the reply it follows.

local clock = require "qlua.core.clock"
local http = require "qlua.core.http"
local launch = require "qlua.launch"
local metrics = require "qlua.load.metrics"
local random = require "qlua.random"
local row = require "qlua.load.row"
local secrets = require "qlua.secrets"
local starvation = require "qlua.load.starvation"
local task = require "qlua.core.task"

local runner = {}
runner.__index = runner

--- How far ahead of its time a request is handed over, how many at most, and the pause between the first and the start.
runner.HORIZON_NS, runner.AHEAD, runner.LEAD_NS = 2000000000, 8192, 50000000
--- Bodies of an open loop that are made before its clock starts, at most; what is more is made on the way, ahead of its time.
runner.READY_BYTES = 64 << 20
--- Connections opened beforehand where the number in flight can only be guessed, at most.
runner.MOST_WARM = 1024
local OPEN_WINDOW = 65535
--- So many failures of the connection in a row, with no reply between them, end a measurement: nobody is there.
runner.HOPELESS = 200

--- A runner for one variant's server.
-- @tparam table parts `build` (`qlua.load.builder`), `work`, `spec`, `seed`, `variant` its name, `health` path, `hooks`, `on_row(row)`,
--   `is_stopped()`, `live` (optional), `clients` a set in which its clients are listed while they are open
function runner.new(parts)
  local self = setmetatable(parts, runner)
  self.hooks = self.hooks or {}
  return self
end

-- ---- one request --------------------------------------------------------------------------------------------------

-- A closed loop whose server is gone would otherwise fail as fast as it can until its time is up.
local function note_outcome(self, state, one)
  state.refused = one.outcome == "connect" and (state.refused or 0) + 1 or 0
  if state.refused >= runner.HOPELESS and not self.is_stopped() then
    state.failed = state.failed or { kind = "connect", text = ("variant '%s': %d requests in a row found no server: %s"):format(
      self.variant, state.refused, one.error_text or "?") }
  end
end

-- A request's whole life but its send; returns its row.
local function finish(self, state, entry, reply)
  local keep = state.keep_text or self.spec.save_texts
  local one = row.make(entry, reply, { keep_text = keep })
  if one.error_text then one.error_text = secrets.hide(one.error_text) end -- a server may repeat the key it was sent
  if self.hooks.on_reply then self.hooks.on_reply(one, reply, entry) end
  local text = one.text
  one.text = self.spec.save_texts and text and secrets.hide_known(text, true) or nil
  self.on_row(one)
  if self.live then self.live:row(one, metrics.of(one)) end
  note_outcome(self, state, one)
  one.text = text
  return one
end

local function send(self, state, item, entry)
  local request = self.build:request(item, entry)
  if self.live then self.live:sent(entry.due_ns) end
  return finish(self, state, entry, state.client:send(request))
end

local function new_entry(self, state, fields)
  state.sent = state.sent + 1
  local entry = { index = state.sent, variant = self.variant, replicate = state.replicate, warmup = state.warmup }
  for name, value in pairs(fields) do entry[name] = value end
  return entry
end

-- The turns of a session: each is made of the reply before it. One that failed ends the session: the next could not be asked.
local function converse(self, state, item, plan)
  local generator, said = random(self.seed, ("think/%s/%d"):format(state.key, plan.number)), {}
  local at_ns = plan.due_ns
  for i, turn in ipairs(item.turns) do
    if self.is_stopped() then return end
    local entry = new_entry(self, state, { stage = plan.stage, session = tostring(plan.number), turn = i,
      due_ns = i == 1 and plan.due_ns or nil, send_at_ns = at_ns })
    local one = send(self, state, self.build:turn(turn, said), entry)
    if one.outcome ~= "ok" then return end
    said[i] = { text = turn.text, reply = one.text or "" }
    local think_ns = self.spec.think_ms > 0 and math.floor(-math.log(1 - generator:number()) * self.spec.think_ms * 1e6) or 0
    at_ns = think_ns > 0 and row.end_ns(one) + think_ns or nil
  end
end

-- What is planned for one item: `{ number, stage, due_ns }`, its number from 0.
local function ask(self, state, plan)
  local item = self.work:item(state.key, plan.number, state.offset)
  if item.turns then return converse(self, state, item, plan) end
  return send(self, state, item, new_entry(self, state, { stage = plan.stage, due_ns = plan.due_ns, send_at_ns = plan.due_ns }))
end

-- ---- tasks that end together ---------------------------------------------------------------------------------------

local function guarded(state, fn, ...)
  local ok, err = xpcall(fn, function(raised) return type(raised) == "table" and raised or debug.traceback(tostring(raised), 2) end, ...)
  if not ok then state.failed = state.failed or err end
  state.running = state.running - 1
  if state.running == 0 and state.wake then state.wake() end
end

local function spawn(state, fn, ...)
  state.running = state.running + 1
  task.spawn(guarded, state, fn, ...)
end

local function wait_for_all(state)
  if state.running > 0 then task.park(function(wake) state.wake = wake end) end
  state.wake = nil
  if state.failed then error(state.failed, 0) end
end

-- ---- connections ----------------------------------------------------------------------------------------------------

-- So many requests for the server's health at once, each on a connection of its own, which is kept.
local function prewarm(self, client, count)
  local server, state = self.build.server, { running = 0 }
  local opened = 0
  for _ = 1, count do
    spawn(state, function()
      local reply = client:send { method = "GET", url = server.root_url .. (self.health or "/health"), unix_socket = server.unix_socket,
        headers = server.headers, fresh_connection = true, connect_ms = 10000, total_ms = 30000 }
      if not reply.error then opened = opened + 1 end
    end)
  end
  wait_for_all(state)
  return opened
end

local function open_client(self, window)
  local client, err = http.open(launch.transport(self.build.variant, window))
  if not client then error(err, 0) end
  self.clients[client] = true
  return client
end

-- Little's law with the warm-up's latency, and a third more; where there was none, the rate of a tenth of a second.
local function expected_in_flight(self, block)
  local seconds = block.span_ns / 1e9
  local rate = seconds > 0 and #block.offsets_ns / seconds or #block.offsets_ns
  if seconds == 0 then return #block.offsets_ns end
  return math.ceil(rate * (self.typical_s or 0.1) * 1.33) + 1
end

-- What the client counts from now on is the measurement's: connections stand by now.
local function count_from_here(state)
  state.before, state.starved, state.counted_ns = state.client:stats(), starvation.ns(), clock.now_ns()
end

-- ---- closed loop ------------------------------------------------------------------------------------------------------

local function is_over(self, state, block, next_number)
  return self.is_stopped() or state.failed or block.count and next_number >= block.count
    or state.until_ns and clock.now_ns() >= state.until_ns
end

local function run_closed(self, state, block, stages)
  local width = block.concurrency
  local opened = prewarm(self, state.client, self.prewarm or width)
  count_from_here(state)
  state.begin_ns = state.counted_ns
  state.until_ns = block.duration_ns and state.begin_ns + block.duration_ns
  local workers = self.work.spec.turns > 1 and width or 2 * width -- a session waits for itself: nothing can be ready ahead
  local number = 0
  for _ = 1, math.min(workers, block.count or workers) do
    spawn(state, function()
      while not is_over(self, state, block, number) do
        number = number + 1
        ask(self, state, { number = state.base + number - 1, stage = stages[block.stage].label })
      end
    end)
  end
  wait_for_all(state)
  state.base = state.base + number
  return { prewarmed = opened }
end

-- ---- open loop ----------------------------------------------------------------------------------------------------------

-- Waits until the i-th request may be handed over: not too early, not too many.
local function hold_back(self, state, block, i)
  local offsets = block.offsets_ns
  while not self.is_stopped() and not state.failed do
    local since_ns = clock.now_ns() - state.begin_ns
    while state.passed < i - 1 and offsets[state.passed + 1] <= since_ns do state.passed = state.passed + 1 end
    local early_ns = offsets[i] - since_ns - runner.HORIZON_NS
    if early_ns <= 0 and i - 1 - state.passed < runner.AHEAD then return end
    task.sleep(math.max(1, math.min(100, early_ns // 1000000)))
  end
end

-- Making a prompt and its JSON takes Lua longer than sending it, so it is done before the clock starts.
local function make_ready(self, state, block, stages)
  local ready, bytes = {}, 0
  for i = 1, #block.offsets_ns do
    if bytes > runner.READY_BYTES or self.is_stopped() then break end
    local item = self.work:item(state.key, state.base + i - 1, state.offset)
    if item.turns then break end -- a session makes its turns itself
    local entry = new_entry(self, state, { stage = stages[block.stage_of[i]].label })
    ready[i] = { entry = entry, request = self.build:request(item, entry) }
    bytes = bytes + #ready[i].request.body
    if i % 256 == 0 then task.sleep(0) end -- signals and the live view
  end
  return ready
end

local function send_ready(self, state, one, due_ns)
  one.entry.due_ns, one.request.start_at_ns = due_ns, due_ns
  if self.live then self.live:sent(due_ns) end
  return finish(self, state, one.entry, state.client:send(one.request))
end

local function run_open(self, state, block, stages)
  local ready = make_ready(self, state, block, stages) -- before connections stand: servers close idle ones
  local opened = prewarm(self, state.client, self.prewarm or math.min(runner.MOST_WARM, expected_in_flight(self, block)))
  local count, num_ready, late, worst_ns = #block.offsets_ns, #ready, 0, 0
  count_from_here(state)
  state.begin_ns = state.counted_ns + runner.LEAD_NS + math.min(count, 2000) * 100000 -- time to have the first ones ready
  state.passed = 0
  for i = 1, count do
    local due_ns = state.begin_ns + block.offsets_ns[i]
    hold_back(self, state, block, i)
    if self.is_stopped() or state.failed then break end
    if ready[i] then
      spawn(state, send_ready, self, state, ready[i], due_ns)
      ready[i] = nil
    else
      spawn(state, ask, self, state, { number = state.base + i - 1, stage = stages[block.stage_of[i]].label, due_ns = due_ns })
    end
    local lag_ns = clock.now_ns() - due_ns
    if lag_ns > 0 then late, worst_ns = late + 1, math.max(worst_ns, lag_ns) end
  end
  wait_for_all(state)
  state.base = state.base + count
  return { prewarmed = opened, made_ready = num_ready, handed_over_late = late, handed_over_late_max_ns = worst_ns }
end

-- ---- a point ------------------------------------------------------------------------------------------------------------

local function new_state(self, point, replicate, offset, fields)
  -- base: the number of a block's first item, so that no block of a point repeats what another has asked
  local state = { key = ("%s/%d"):format(point.label, replicate), replicate = replicate, offset = offset, sent = 0, running = 0, base = 0,
    keep_text = self.work.spec.turns > 1 }
  for name, value in pairs(fields or {}) do state[name] = value end
  return state
end

local function run_block(self, state, block, stages)
  state.client = open_client(self, block.kind == "closed" and block.concurrency or OPEN_WINDOW)
  local client = state.client
  local ok, about = xpcall(function()
    return (block.kind == "closed" and run_closed or run_open)(self, state, block, stages)
  end, function(raised) return type(raised) == "table" and raised or debug.traceback(tostring(raised), 2) end)
  local after, starved_ns = client:stats(), starvation.since(state.starved)
  self.clients[client] = nil
  client:close()
  if not ok then error(about, 0) end
  about.kind, about.begin_ns, about.end_ns, about.zero_ns = block.kind, state.counted_ns, clock.now_ns(), state.begin_ns
  about.before, about.after, about.starved_ns = state.before, after, starved_ns
  return about
end

--- Measure one point once.
-- @tparam table point of `qlua.load.plan`
-- @tparam table made its schedule (`qlua.load.schedule`)
-- @tparam integer replicate from 1
-- @tparam ?integer offset how many items of a set were used before
-- @treturn table `{ sent, blocks = { { kind, begin_ns, zero_ns, end_ns, prewarmed, before, after, starved_ns … } } }`: what the client
-- did; `before` and `after` are its counters at begin and end, `zero_ns` is when the schedule began
function runner:measure(point, made, replicate, offset)
  local state = new_state(self, point, replicate, offset)
  local blocks = {}
  for i, block in ipairs(made.blocks) do
    if self.is_stopped() then break end
    blocks[i] = run_block(self, state, block, point.stages)
  end
  return { sent = state.sent, blocks = blocks }
end

-- ---- warm-up ------------------------------------------------------------------------------------------------------------

local function median(values)
  table.sort(values)
  local n = #values
  return n > 0 and (values[(n + 1) // 2] + values[n // 2 + 1]) / 2 or nil
end

--- Two windows of requests differ by less than this share in their median latency: it has settled.
runner.SETTLED, runner.MOST_WINDOWS = 0.05, 10

-- One window of the warm-up; its median latency in seconds.
local function warm_window(self, count, width, before)
  -- Of a set its second half, of made-up prompts some of its own: what is measured next shall not have been asked already.
  local state = new_state(self, { label = "warm-up" }, 0, (self.work.size or 0) // 2, { warmup = true, base = before })
  local latencies, keep = {}, self.on_row
  self.on_row = function(one)
    local figures = metrics.of(one)
    if one.outcome == "ok" then latencies[#latencies + 1] = (figures.e2e or figures.total or 0) / 1e9 end
    self.warm_failure = self.warm_failure or one.error_text
    keep(one)
  end
  local block = { kind = "closed", stage = 1, concurrency = width, count = count }
  local ok, err = pcall(run_block, self, state, block, { { label = "warm-up" } })
  self.on_row = keep
  if not ok then error(err, 0) end
  return median(latencies)
end

--- Warm the server up. Its requests get rows that are marked, and no figure counts them.
-- @tparam integer count requests; 0: none unless `is_steady`
-- @tparam integer width in flight
-- @tparam boolean is_steady go on, window by window, until the median latency has settled
-- @treturn table `{ requests, windows, settled, median_s }`
function runner:warm_up(count, width, is_steady)
  local size = is_steady and math.max(count, 2 * width, 8) or count
  local requests, windows = 0, 0
  local last, settled
  if size == 0 then return { requests = 0, windows = 0 } end
  repeat
    local now = warm_window(self, size, math.min(width, size), requests)
    requests, windows = requests + size, windows + 1
    settled = last and now and math.abs(now - last) <= runner.SETTLED * last or false
    last = now or last
  until self.is_stopped() or not is_steady or settled or windows >= runner.MOST_WINDOWS
  self.typical_s = last
  if not last and not self.is_stopped() then
    error({ kind = "server", text = ("variant '%s': all %d requests of the warm-up failed: %s"):format(self.variant, requests,
      self.warm_failure or "?") }, 0)
  end
  local reached = nil
  if is_steady then reached = settled end
  return { requests = requests, windows = windows, settled = reached, median_s = last }
end

return runner
