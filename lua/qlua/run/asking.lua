-- SPDX-License-Identifier: Apache-2.0
--- Asking: everything a run asks of a variant whose server is ready: warm-up, each dataset, the baseline's second pass.

local clock = require "qlua.core.clock"
local control = require "qlua.control"
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local outcomes = require "qlua.outcomes"
local pipeline = require "qlua.pipeline"
local qualifying = require "qlua.run.qualifying"
local scoring = require "qlua.scoring"
local restarts = require "qlua.supervisor.restarts"
local selfcheck = require "qlua.load.selfcheck"
local sender = require "qlua.sender"
local session = require "qlua.run.session"
local starvation = require "qlua.load.starvation"

local asking = {}

--- The time limits of a request.
function asking.timeouts_of(benchmark)
  return { connect_ms = benchmark.connect_timeout_s * 1000 // 1 | 0, first_byte_ms = benchmark.first_byte_timeout_s * 1000 // 1 | 0,
    idle_ms = benchmark.idle_timeout_s * 1000 // 1 | 0, total_ms = benchmark.total_timeout_s * 1000 // 1 | 0 }
end

--- Which endpoint a dataset is asked through.
function asking.endpoint_of(one, dataset)
  return dataset and dataset.endpoint or one.variant.server.endpoint or "completions"
end

-- The second pass says so: a simulated server has to know, a real one does not look.
local function headers_of(one, server)
  if not one.pass then return server.headers end
  local headers = { [control.HEADER] = one.pass }
  for name, value in pairs(server.headers or {}) do headers[name] = value end
  return headers
end

local function new_sender(self, one, server, client)
  return sender.new {
    client = client, dialect = one.dialect, variant = one.variant, server = server, store = self.store, watch = server.watch,
    headers = headers_of(one, server), timeouts = asking.timeouts_of(self.made.config.benchmark),
    retries = self.made.config.benchmark.retries,
    random = math.random, -- jitter only; no result depends on it
    is_stopped = function() return self.stopped end,
    split_events = http.split_events, window = self.made.config.benchmark.concurrency,
    observe = function(response, ask) session.observe(self, one, ask.model, response) end,
    log = function(text, where)
      self.store:put_event(clock.wall_ns(), "retry", text, { variant = one.name, dataset = where.dataset, sample = where.sample })
    end,
  }
end

local function new_job(self, one, dataset, server, client)
  local config, account = self.made.config, server.account
  return {
    task = dataset.task, script = dataset.script, dataset = dataset, variant = one.variant, mode = dataset.mode,
    endpoint = asking.endpoint_of(one, dataset), model = server.model, args = dataset.args,
    sampling = one.variant.generation, stream = config.benchmark.collect_latency, scorers = dataset.scorers,
    sender = new_sender(self, one, server, client), store = self.store, repeat_index = 0, repeats = dataset.repeats,
    concurrency = account and account.concurrency or config.benchmark.concurrency, is_again = (server.life or 1) > 1,
    is_quarantined = account and function(sample)
      return account:is_quarantined { variant = one.name, dataset = dataset.name, sample = sample }
    end,
    extra_body = one.variant.server.extra_body,
    scoring = scoring.of(one.dialect, one.variant, server.qualification and server.qualification.means),
    wall_offset_of = function(number) return session.wall_offset_of(self, number) end,
    is_stopped = function() return self.stopped end,
    on_progress = function(tally) self.progress:tick(tally) end,
  }
end

-- Requests of the run's own shape whose replies are thrown away: first requests pay for caches and compilation.
local function warm_up(self, one, server, client)
  local dataset = self.made.datasets[1]
  local count = self.made.config.benchmark.num_warmup_iterations
  if not dataset or count == 0 or dataset.script.converse then return end
  local sampling = setmetatable({ max_tokens = 16 }, { __index = one.variant.generation })
  local transmitter = new_sender(self, one, server, client)
  for i = 1, count do
    local prompt = dataset.task:prompt((i - 1) % dataset.task:size())
    if prompt then
      local ask = { mode = "generate", prompt = prompt, endpoint = prompt.messages and "chat" or asking.endpoint_of(one, dataset),
        model = server.model, sampling = sampling, extra_body = one.variant.server.extra_body, server = one.variant.server }
      local request = one.dialect.request(ask)
      transmitter:transmit(request, json.encode(request.body))
    end
  end
end

-- Answers that are there already, and questions that will get none; other errors are asked again.
local function count_known(self, one, dataset)
  local row = self.store:one([[SELECT count(*) AS n FROM answer WHERE variant = ? AND dataset = ?
    AND (error_text = ? OR outcome NOT IN (]] .. outcomes.sql_errors .. "))", one.name, dataset.name, restarts.QUARANTINED)
  return row.n
end

-- What was in flight when the server died, one at a time: if it dies again, it is known by which question. The answers count as
-- any other; their times are those of a server with nothing else to do.
local function ask_suspects(self, one, dataset, server, client)
  local set, count = server.account:suspects(one.name, dataset.name)
  if count == 0 then return nil end
  local chosen = {}
  for i = 0, dataset.task:size() - 1 do
    local sample = dataset.task:sample(i)
    if sample and set[sample.id] then chosen[#chosen + 1] = i end
  end
  local job = new_job(self, one, dataset, server, client)
  job.task, job.workers, job.on_progress = control.part_of(dataset.task, chosen), 1, function() end
  self.progress:message { en = ("%s %s: asking the %d questions that were in flight when the server died, one at a time"):format(one.name,
    dataset.name, count), zh = ("%s %s：逐一提问崩溃时正在处理的 %d 题"):format(one.name, dataset.name, count) }
  return pipeline.ask(job).stop
end

local function ask_dataset(self, one, dataset, server, client)
  local phase = self.store:open_phase(one.name, dataset.name, clock.now_ns() + self.wall_offset_ns)
  local job = new_job(self, one, dataset, server, client)
  self.progress:phase(one.name, dataset.name, dataset.task:size() * dataset.repeats, 0, count_known(self, one, dataset))
  local measured_from = self.telemetry:begin_phase()
  local tally = pipeline.ask(job)
  self.telemetry:end_phase(measured_from, { phase = phase, variant = one.name, dataset = dataset.name })
  self.store:update_phase(phase, clock.now_ns() + self.wall_offset_ns, tally.asked)
  self.store:commit()
  self.progress:finish()
  if tally.first_error then
    self.progress:message(("%s %s: the first of %d errors: %s"):format(one.name, dataset.name, tally.errors, tally.first_error))
  end
  return tally
end

local function has_all(self, one, datasets)
  for _, dataset in ipairs(datasets) do
    if count_known(self, one, dataset) < dataset.task:size() * dataset.repeats then return false end
  end
  return true
end

-- The second pass belongs to the baseline: it runs on the same server.
local function control_of(self, one) return self.control and self.control.of == one.name and self.control or nil end

--- Is there nothing left to ask of a variant?
function asking.is_complete(self, one)
  local again = control_of(self, one)
  if not (has_all(self, one, self.made.datasets) and has_all(self, one, self.made.turned)) then return false end
  return (not again or has_all(self, again.one, again.datasets))
end

local function why_stopped(one, dataset, server, stop)
  if not server.process or server:is_alive() then
    stop.text = ("variant '%s': %s"):format(one.name, stop.text)
    return stop
  end
  local err = server:explain_death()
  err.mode = dataset.mode
  return err
end

-- Asks everything of a running server; the first error that ends the variant, or nil.
local function ask_datasets(self, one, datasets, server, client)
  for _, dataset in ipairs(datasets) do
    if self.stopped then return nil end
    local stop = server.account and ask_suspects(self, one, dataset, server, client)
      or ask_dataset(self, one, dataset, server, client).stop
    if stop then return why_stopped(one, dataset, server, stop) end
  end
end

local function ask_all(self, one, server, client)
  local err = ask_datasets(self, one, self.made.datasets, server, client)
    or ask_datasets(self, one, self.made.turned, server, client)
  local again = control_of(self, one)
  if err or not again then return err end
  return ask_datasets(self, again.one, again.datasets, server, client)
end

-- Where the labels of mode letter are asked for.
local function label_endpoint(self, one)
  for _, dataset in ipairs(self.made.datasets) do
    if dataset.mode == "letter" then return asking.endpoint_of(one, dataset) end
  end
end

--- Ask a running server all that is not answered yet. What the client counted meanwhile is kept for the report's self-check.
-- @treturn ?table err the first error that ends the variant
function asking.all(self, one, server, client)
  local refused = qualifying.run(self, one, server, client, { timeouts = asking.timeouts_of(self.made.config.benchmark),
    endpoint = asking.endpoint_of(one, self.made.datasets[1]), label_endpoint = label_endpoint(self, one) })
  if refused then return refused end
  warm_up(self, one, server, client)
  local before, starved, from_ns = client:stats(), starvation.ns(), clock.now_ns()
  local err = ask_all(self, one, server, client)
  local wall_ns = clock.now_ns() - from_ns
  local counted = selfcheck.between(before, client:stats(), wall_ns)
  counted.starved_ns = starvation.since(starved)
  if (counted.done or 0) > 0 then session.record_client(self, one, counted) end
  return err
end

return asking
