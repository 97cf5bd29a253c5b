-- SPDX-License-Identifier: Apache-2.0
--- Run: carries out a plan: variant by variant, dataset by dataset, then results and reports.
-- Owns the run's folder and its store while it works. Whatever ends it early (an error, Ctrl-C) leaves a folder that can be
-- resumed, no server behind, and says how to go on.

local clock = require "qlua.core.clock"
local control = require "qlua.control"
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local launch = require "qlua.launch"
local manifest = require "qlua.manifest"
local outcomes = require "qlua.outcomes"
local pipeline = require "qlua.pipeline"
local plan = require "qlua.plan"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"
local secrets = require "qlua.secrets"
local sender = require "qlua.sender"
local supervisor = require "qlua.supervisor"
local sys = require "qlua.core.sys"
local telemetry = require "qlua.telemetry"
local term = require "qlua.core.term"

local run = {}

local function fail(kind, text, hint) return nil, { kind = kind, text = text, hint = hint } end

-- ---- the run's folder -----------------------------------------------------------------------------------

local function new_folder(out)
  local base = ("%s/%s"):format(out, clock.stamp())
  local dir, suffix = base, 1
  while file.stat(dir) do
    suffix = suffix + 1
    dir = ("%s-%d"):format(base, suffix)
  end
  local ok, err = file.make_dir(dir .. "/logs")
  if not ok then return nil, err end
  return dir
end

local function refuse_mixing(dir, differences)
  return fail("config", ("%s: cannot be resumed, since answers of two different runs would be mixed: %s"):format(dir,
    table.concat(differences, "; ")), "start a new run, or restore what has changed")
end

local function open_store(made, options)
  local dir, err = options.resume
  if dir then
    dir = dir:gsub("/+$", "")
    if not file.stat(dir .. "/run.db") then
      return fail("usage", ("--resume %s: no run.db there"):format(dir), "want the folder of a run, e.g. results/20261123_101500")
    end
  else
    dir, err = new_folder(options.out or "results")
    if not dir then return nil, err end
  end
  local store
  store, err = run_store.open(dir, { max_pages = options.max_pages })
  if not store then return nil, err end
  local fingerprint = plan.fingerprint(made)
  local old = store:meta "fingerprint"
  if old then
    local differences = plan.differences(old, fingerprint)
    if #differences > 0 then
      store:close()
      return refuse_mixing(dir, differences)
    end
  end
  store:meta("fingerprint", fingerprint)
  return dir, store
end

-- ---- one state for the whole run ------------------------------------------------------------------------

local function variant_record(one)
  local variant = one.variant
  return { description = variant.description, model = variant.model, engine = variant.engine,
    quantization = variant.quantization, kv_cache_dtype = variant.kv_cache_dtype, generation = variant.generation,
    argv = one.launch and json.array(secrets.words(one.launch.argv)) or nil, simulated = one.dialect.simulated or nil }
end

-- Which category each group belongs to, as the samples' meta says it.
local function categories_of(task)
  local categories
  for _, sample in task:each() do
    local category = sample and sample.meta.category
    if category and sample.group then
      categories = categories or {}
      categories[sample.group] = category
    end
  end
  return categories
end

local function dataset_record(one)
  local names = {}
  for i, scorer in ipairs(one.scorers) do names[i] = scorer.name end
  return { summary = one.script.summary, mode = one.mode, shots = one.task.plan.n, split = one.task.split,
    headline_scorer = names[1], headline_metric = one.headline_metric, scorers = json.array(names), expected = one.task:size(),
    endpoint = one.endpoint or "completions", group_average = one.script.group_average,
    group_categories = categories_of(one.task), files = json.array(one.task.files),
    script_sha256 = one.script.sha256, tags = one.script.tags and json.array(one.script.tags) or nil }
end

local function open_session(self)
  local made, store, command = self.made, self.store, secrets.words(self.options.command)
  self.wall_offset_ns = clock.wall_ns() - clock.now_ns()
  local now = clock.iso()
  self.started_at = store:meta "started_at" or store:meta("started_at", now)
  local facts = manifest.make(made, { command = command, created_at = self.started_at })
  store:open_session(now, { wall_offset_ns = self.wall_offset_ns, command = command })
  self.wall_offsets = {}
  local earlier = store:meta "manifest"
  facts.servers = earlier and earlier.servers or facts.servers -- of variants that earlier sessions have finished
  self.manifest = facts
  store:meta("manifest", facts)
  store:meta("config", secrets.config(made.config))
  store:meta("simulated", made.simulated)
  if made.data_dir then store:meta("data_dir", made.data_dir) end
  if not store:meta "options" then store:meta("options", { command = json.array(command), folder = sys.cwd() }) end
  for position, one in ipairs(made.variants) do
    store:put_variant(one.name, position, one.variant.identity, variant_record(one))
  end
  if self.control then store:put_variant(self.control.name, 1000, self.control.one.variant.identity, self.control.record) end
  for position, one in ipairs(made.datasets) do store:put_dataset(one.name, position, dataset_record(one)) end
  store:commit()
end

-- CLOCK_MONOTONIC of a session as CLOCK_REALTIME: each session measured its own offset when it began.
local function wall_offset_of(self, session)
  if session == self.store.session then return self.wall_offset_ns end
  local known = self.wall_offsets[session]
  if not known then
    local row = self.store:one("SELECT record FROM session WHERE number = ?", session)
    known = row and json.decode(row.record).wall_offset_ns or self.wall_offset_ns
    self.wall_offsets[session] = known
  end
  return known
end

-- ---- asking ---------------------------------------------------------------------------------------------

local function timeouts_of(benchmark)
  return { connect_ms = benchmark.connect_timeout_s * 1000 // 1 | 0, first_byte_ms = benchmark.first_byte_timeout_s * 1000 // 1 | 0,
    idle_ms = benchmark.idle_timeout_s * 1000 // 1 | 0, total_ms = benchmark.total_timeout_s * 1000 // 1 | 0 }
end

local function endpoint_of(one, dataset)
  return dataset.endpoint or one.variant.server.endpoint or "completions"
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
    client = client, dialect = one.dialect, variant = one.variant, server = server, store = self.store,
    headers = headers_of(one, server), timeouts = timeouts_of(self.made.config.benchmark), retries = self.made.config.benchmark.retries,
    random = math.random, -- jitter only; no result depends on it
    is_stopped = function() return self.stopped end,
    split_events = http.split_events,
    log = function(text, where)
      self.store:put_event(clock.wall_ns(), "retry", text, { variant = one.name, dataset = where.dataset, sample = where.sample })
    end,
  }
end

local function new_job(self, one, dataset, server, client)
  local config = self.made.config
  return {
    task = dataset.task, script = dataset.script, dataset = dataset, variant = one.variant, mode = dataset.mode,
    endpoint = endpoint_of(one, dataset), model = server.model, args = dataset.args,
    sampling = one.variant.generation, stream = config.benchmark.collect_latency, scorers = dataset.scorers,
    sender = new_sender(self, one, server, client), store = self.store, repeat_index = 0,
    concurrency = config.benchmark.concurrency, extra_body = one.variant.server.extra_body,
    wall_offset_of = function(session) return wall_offset_of(self, session) end,
    is_stopped = function() return self.stopped end,
    on_progress = function(tally) self.progress:tick(tally) end,
  }
end

-- Requests of the run's own shape whose replies are thrown away: first requests pay for caches and compilation.
local function warm_up(self, one, server, client)
  local dataset = self.made.datasets[1]
  local count = self.made.config.benchmark.num_warmup_iterations
  if count == 0 or dataset.script.converse then return end
  local sampling = setmetatable({ max_tokens = 16 }, { __index = one.variant.generation })
  local transmitter = new_sender(self, one, server, client)
  for i = 1, count do
    local prompt = dataset.task:prompt((i - 1) % dataset.task:size())
    if prompt then
      local ask = { mode = "generate", prompt = prompt, endpoint = prompt.messages and "chat" or endpoint_of(one, dataset),
        model = server.model, sampling = sampling, extra_body = one.variant.server.extra_body, server = one.variant.server }
      local request = one.dialect.request(ask)
      transmitter:transmit(request, json.encode(request.body))
    end
  end
end

-- Answers that are there already; errors are none, they are asked again.
local function count_known(self, one, dataset)
  local row = self.store:one([[SELECT count(*) AS n FROM answer WHERE variant = ? AND dataset = ?
    AND outcome NOT IN (]] .. outcomes.sql_errors .. ")", one.name, dataset.name)
  return row.n
end

local function ask_dataset(self, one, dataset, server, client)
  local phase = self.store:open_phase(one.name, dataset.name, clock.now_ns() + self.wall_offset_ns)
  local job = new_job(self, one, dataset, server, client)
  self.progress:phase(one.name, dataset.name, dataset.task:size(), 0, count_known(self, one, dataset))
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
    if count_known(self, one, dataset) < dataset.task:size() then return false end
  end
  return true
end

-- The second pass belongs to the baseline: it runs on the same server.
local function control_of(self, one) return self.control and self.control.of == one.name and self.control or nil end

local function is_complete(self, one)
  local again = control_of(self, one)
  return has_all(self, one, self.made.datasets) and (not again or has_all(self, again.one, again.datasets))
end

local function record_server(self, one, server)
  self.manifest.servers[one.name] = { argv = server.argv and json.array(secrets.words(server.argv)),
    base_url = secrets.url(server.base_url), facts = server.facts, unix_socket = server.unix_socket }
  self.store:meta("manifest", self.manifest)
end

local function start_server(self, one, client)
  self.progress:message { en = ("%s: starting %s"):format(one.name, one.dialect.name),
    zh = ("%s：正在启动 %s"):format(one.name, one.dialect.name) }
  return supervisor.start(one.dialect, one.variant, {
    client = client, log_path = ("%s/logs/%s.log"):format(self.dir, one.name), nonce = self.nonce, plan = self.made.for_dialect,
    config = self.made.config, endpoint = endpoint_of(one, self.made.datasets[1]),
    write_file = function(name, text)
      local path = ("%s/logs/%s"):format(self.dir, name)
      local ok, err = file.write(path, text)
      if not ok then error(err, 0) end
      return path
    end,
    is_stopped = function() return self.stopped end,
  })
end

-- Asks everything of a running server; the first error that ends the variant, or nil.
local function ask_datasets(self, one, datasets, server, client)
  for _, dataset in ipairs(datasets) do
    if self.stopped then return nil end
    local tally = ask_dataset(self, one, dataset, server, client)
    if tally.stop then
      if server.process and not server:is_alive() then return server:explain_death() end
      tally.stop.text = ("variant '%s': %s"):format(one.name, tally.stop.text)
      return tally.stop
    end
  end
end

local function ask_all(self, one, server, client)
  warm_up(self, one, server, client)
  local err = ask_datasets(self, one, self.made.datasets, server, client)
  local again = control_of(self, one)
  if err or not again then return err end
  return ask_datasets(self, again.one, again.datasets, server, client)
end

local function run_variant(self, one)
  if is_complete(self, one) then
    self.progress:message { en = one.name .. ": all answers are there already", zh = one.name .. "：已全部作答" }
    return nil
  end
  local taken = self.telemetry:before_launch(one)
  if taken then
    if taken.kind ~= "cancelled" then self.store:put_event(clock.wall_ns(), "variant_failed", taken.text, { variant = one.name }) end
    return taken
  end
  local client = http.open(launch.transport(one.variant, self.made.config.benchmark.concurrency))
  self.client = client
  local server, err = start_server(self, one, client)
  if server then
    self.server = server
    record_server(self, one, server)
    self.telemetry:after_launch(one, server)
    local _
    _, err = xpcall(ask_all, function(raised)
      return type(raised) == "table" and raised or { kind = "internal", text = debug.traceback(tostring(raised), 2) }
    end, self, one, server, client)
  end
  client:close() -- before the server is told to stop: some wait for their clients
  self.client, self.server = nil, nil
  if server then server:stop() end
  if err and err.kind ~= "cancelled" then self.store:put_event(clock.wall_ns(), "variant_failed", err.text, { variant = one.name }) end
  return err
end

-- ---- Ctrl-C -----------------------------------------------------------------------------------------------

local function watch_signals(self)
  local task = require "qlua.core.task"
  local function on_signal()
    if self.stopped then sys.exit(130) end
    self.stopped = true
    self.progress:message { en = "stopping: answers are kept, servers are stopped (once more: at once)",
      zh = "正在停止：答案已保存，服务器正在关闭（再按一次立即退出）" }
    if self.client then self.client:cancel_all() end
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

--- Carry out a plan.
-- @tparam table made a plan
-- @tparam table options out, resume, progress, command (list of words), resume_command(dir), language, layouts, max_pages
-- @treturn ?table summary, and the run's folder; or nil and err
function run.execute(made, options)
  local dir, store = open_store(made, options)
  if not dir then return nil, store end
  local self = { made = made, options = options, dir = dir, store = store, progress = options.progress, stopped = false,
    nonce = ("%x%x"):format(sys.pid(), clock.wall_ns()), control = control.of(made) }
  open_session(self)
  watch_signals(self)
  open_telemetry(self)
  local errors = {}
  for _, one in ipairs(made.variants) do
    if self.stopped then break end
    local err = run_variant(self, one)
    if err and (err.kind == "store" or err.kind == "internal") then -- nothing more can be kept or trusted
      err.hint = (err.hint and err.hint .. "; " or "") .. "go on with: " .. options.resume_command(dir)
      error(err, 0)
    end
    if err and err.kind ~= "cancelled" then
      errors[#errors + 1] = err
      self.progress:message(err.text)
    end
  end
  return conclude(self, errors)
end

return run
