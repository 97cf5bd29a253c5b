-- SPDX-License-Identifier: Apache-2.0
--- Loading: the load phase of a run on servers that are ready: which point is measured next, on which of them, and what is kept.
-- The order of replicates is the caller's (`qlua.run.variant` within a server's life, `qlua.run.side_by_side` across servers).

local aggregate = require "qlua.load.aggregate"
local asking = require "qlua.run.asking"
local builder = require "qlua.load.builder"
local clock = require "qlua.core.clock"
local json = require "qlua.core.json"
local load_plan = require "qlua.load.plan"
local load_store = require "qlua.load.store"
local runner = require "qlua.load.runner"
local schedule = require "qlua.load.schedule"
local task = require "qlua.core.task"

local loading = {}

-- ---- one server -----------------------------------------------------------------------------------------------------

-- The words of made-up prompts, by the tokenizer of the first server that is asked; all variants get the same prompts.
local function fit_words(self, build, client)
  if self.load_is_fitted then return end
  self.load_is_fitted = true
  local work = self.made.load.workload
  local why = work:fit(function(text) return build:count(client, text) end)
  if why then
    self.progress:message { en = ("lengths are in words or estimated, not in tokens: %s"):format(why.text),
      zh = ("长度按单词或估算，而非词元：%s"):format(why.text) }
  end
end

local function warm_up(self, one, run, width)
  local load = self.made.load
  local phase = load_store.open_phase(self.store, { variant = one.name, point = "warm-up", replicate = 0,
    start_ns = clock.now_ns() + self.wall_offset_ns })
  run.on_row = function(row) load_store.put(self.store, phase, row) end
  local about = run:warm_up(load.warmup, width, load.warmup_steady)
  load_store.close_phase(self.store, phase, { kind = "warmup", end_ns = clock.now_ns() + self.wall_offset_ns, record = about })
end

local function typical_width(load)
  local point = load.points[1] or { stages = { { concurrency = load.search.axis == "concurrency" and load.search.from or nil } } }
  return math.min(point.stages[1].concurrency or 8, math.max(1, load.warmup_steady and 64 or load.warmup))
end

--- Get a ready server under load: its runner, warmed up.
-- @tparam table self the run
-- @tparam table one of the plan's variants
-- @tparam table server
-- @tparam table client for questions beside the load
-- @treturn table runner
function loading.attach(self, one, server, client)
  local load = self.made.load
  local build = builder.new { dialect = one.dialect, variant = one.variant, server = server, spec = load.spec,
    timeouts = asking.timeouts_of(self.made.config.benchmark), hooks = load.hooks }
  fit_words(self, build, client)
  local run = runner.new { build = build, work = load.workload, spec = load.spec, seed = load.seed, variant = one.name,
    health = one.dialect.health, hooks = load.hooks, prewarm = load.prewarm, clients = self.clients,
    live = self.live,
    is_stopped = function() return self.stopped end }
  warm_up(self, one, run, typical_width(load))
  self.store:meta("load", loading.about(self))
  return run
end

-- ---- one measurement ----------------------------------------------------------------------------------------------------

-- How many items of a set the points before this one have used: no replicate meets the prompts of another while there are others.
local function items_before(load, point_number, point_count, replicate, count)
  local size = load.workload.size
  if not size or load.workload.times_ns then return 0 end
  return ((replicate - 1) * point_count + point_number - 1) * (count or math.max(1, size // (point_count * load.replicates)))
end

local function planned_stages(stages)
  local list = {}
  for i, stage in ipairs(stages) do
    list[i] = {}
    for key, value in pairs(stage) do
      if key ~= "offsets_ns" then list[i][key] = value end
    end
  end
  return json.array(list)
end

local function span_s(made)
  local total = 0
  for _, block in ipairs(made.blocks) do total = total + (block.span_ns or block.duration_ns or 0) end
  return total / 1e9
end

-- Does the work while the live view shows it; messages of the run go through that view as long.
local function shown(self, one, point, replicate, made, work)
  local live, progress = self.live, self.progress
  if not live then return work() end
  local first = #made.blocks == 1 and made.blocks[1] or {}
  live:phase(one.name, point.label, replicate, self.made.load.replicates, { count = made.count, seconds = span_s(made),
    window = first.concurrency })
  self.progress = live
  local is_going = true
  task.spawn(function()
    while is_going do
      live:tick()
      task.sleep(200)
    end
  end)
  local ok, about = pcall(work)
  is_going, self.progress = false, progress
  live:finish()
  if not ok then error(about, 0) end
  return about
end

-- Measures one point once and stores it; nothing when it was stopped.
local function measure(self, one, run, point, place, replicate)
  local load, offset_ns = self.made.load, self.wall_offset_ns
  local made = load_plan.schedule(load, point, replicate)
  local offset = items_before(load, place.number, place.count, replicate, made.count)
  local start_ns = clock.now_ns()
  local phase = load_store.open_phase(self.store, { variant = one.name, point = point.label, replicate = replicate,
    start_ns = start_ns + offset_ns })
  run.on_row = function(row) load_store.put(self.store, phase, row) end
  local from = self.telemetry:begin_phase()
  local about = shown(self, one, point, replicate, made, function() return run:measure(point, made, replicate, offset) end)
  local gpu = self.telemetry:figures(from)
  if self.stopped then return nil end
  local server = run.build.server
  if server.process and not server:is_alive() then error(server:explain_death(), 0) end -- what it did not answer is no measurement
  load_store.close_phase(self.store, phase, { kind = "measure", end_ns = clock.now_ns() + offset_ns, record = {
    axis = point.axis, value = point.value, stages = planned_stages(point.stages), digest = schedule.digest(made),
    planned = { count = made.count, seconds = span_s(made) }, place = place.number, client = about, gpu = gpu,
    goes_round = load.workload.size and offset + about.sent > load.workload.size or nil } })
  return true
end

--- Measure all points once, those of the plan in their order; what is stored already is left out.
-- @treturn boolean false when it was stopped
function loading.replicate(self, one, run, replicate)
  local points = self.made.load.points
  for number, point in ipairs(points) do
    if self.stopped then return false end
    if not load_store.has(self.store, one.name, point.label, replicate) then
      measure(self, one, run, point, { number = number, count = #points }, replicate)
    end
  end
  return not self.stopped
end

-- ---- looking for the most -----------------------------------------------------------------------------------------------

-- Shares of the requests within the limits, one per replicate; their median decides.
local function judged(self, one, point)
  local shares = {}
  for _, phase in ipairs(load_store.phases(self.store)) do
    if phase.variant == one.name and phase.point == point.label then
      local sum = aggregate.new { slo = self.made.load.slo }
      for row in load_store.rows(self.store, phase) do sum:add(row) end
      shares[#shares + 1] = sum:finish().goodput and sum.good / sum.num_total or 0
    end
  end
  table.sort(shares)
  return shares[(#shares + 1) // 2] or 0
end

local function note_step(self, one, point, share, is_met)
  self.progress:message {
    en = ("%s %s: %.1f %% within the limits: %s"):format(one.name, point.label, 100 * share, is_met and "met" or "not met"),
    zh = ("%s %s：%.1f %% 满足上限：%s"):format(one.name, point.label, 100 * share, is_met and "达标" or "未达标") }
end

--- Look for the largest value on the search's axis that meets the limits.
-- @treturn boolean false when it was stopped
function loading.search(self, one, run)
  local load = self.made.load
  local search, steps = schedule.search(load.search), {}
  local value = search:next()
  while value do
    local point = load_plan.point(load.resolved, load.spec, load.search.axis, value)
    for replicate = 1, load.replicates do
      if not load_store.has(self.store, one.name, point.label, replicate) then
        measure(self, one, run, point, { number = #steps + 1, count = 16 }, replicate)
      end
      if self.stopped then return false end
    end
    local share = judged(self, one, point)
    local is_met = share >= load.slo_share
    steps[#steps + 1] = { value = value, share = share, met = is_met, point = point.label }
    note_step(self, one, point, share, is_met)
    search:tell(is_met)
    value = search:next()
  end
  local found = self.store:meta "load_found" or {}
  found[one.name] = { axis = load.search.axis, met = search.met, failed = search.failed, share = load.slo_share, steps = json.array(steps) }
  self.store:meta("load_found", found)
  return true
end

-- ---- what is left, and what it was ------------------------------------------------------------------------------------------

--- Is every point of a variant measured?
function loading.is_complete(self, one)
  local load = self.made.load
  if not load then return true end
  if load.search then return ((self.store:meta "load_found") or {})[one.name] ~= nil end
  for replicate = 1, load.replicates do
    for _, point in ipairs(load.points) do
      if not load_store.has(self.store, one.name, point.label, replicate) then return false end
    end
  end
  return true
end

--- How replicates are ordered over the variants: `interleaved`, `lifetime` or `abba`.
function loading.order(made)
  local load = made.load
  if load.order ~= "auto" then return load.order end
  for _, one in ipairs(made.variants) do
    if one.dialect.start then return "lifetime" end
  end
  return #made.variants > 1 and "interleaved" or "lifetime"
end

--- The plan, for the run's records.
function loading.about(self)
  local load = self.made.load
  local labels = {}
  for i, point in ipairs(load.points) do labels[i] = point.label end
  local slo = load.slo and require("qlua.load.slo").text(load.slo)
  return { points = json.array(labels), search = load.search and load.search.axis, workload = load.workload:describe(), seed = load.seed,
    replicates = load.replicates, order = loading.order(self.made), slo = slo, slo_share = load.search and load.slo_share or nil,
    warmup = load.warmup, warmup_steady = load.warmup_steady or nil, ignore_eos = load.spec.ignore_eos or nil,
    output_tokens = load.spec.output_tokens }
end

--- All that is left of a variant's replicates, one after the other, on its running server.
-- @tparam table self the run
-- @tparam table one of the plan's variants
-- @tparam table server
-- @tparam table client
-- @tparam[opt] integer first replicate, 1
-- @tparam[opt] integer last replicate
function loading.all(self, one, server, client, first, last)
  local run = loading.attach(self, one, server, client)
  if self.made.load.search then return loading.search(self, one, run) end
  for replicate = first or 1, last or self.made.load.replicates do
    if not loading.replicate(self, one, run, replicate) then return end
  end
end

return loading
