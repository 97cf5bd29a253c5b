-- SPDX-License-Identifier: Apache-2.0
--- Rescore: judges a run's stored replies again with the scripts as they are now. Nothing is sent: of the steps a sample
-- takes only *send* and *put* touch the world, and send is answered from the store.
-- Questions that ended in an error keep their row; a question whose prompt has changed has no stored reply and is an error.

local control = require "qlua.control"
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local pipeline = require "qlua.pipeline"
local plan = require "qlua.plan"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"
local scoring = require "qlua.scoring"
local sender = require "qlua.sender"

local rescore = {}

local function outcomes_before(store, variant, dataset)
  local before = {}
  for row in store.db:each("SELECT sample, repeat_index, outcome, score FROM answer WHERE variant = ? AND dataset = ?", variant, dataset) do
    before[row.sample .. "\0" .. row.repeat_index] = row
  end
  return before
end

local function count_changes(store, variant, dataset, before)
  local counts = { total = 0, changed = 0, to_correct = 0, from_correct = 0 }
  for row in store.db:each("SELECT sample, repeat_index, outcome FROM answer WHERE variant = ? AND dataset = ?", variant, dataset) do
    local old = before[row.sample .. "\0" .. row.repeat_index]
    counts.total = counts.total + 1
    if old and old.outcome ~= row.outcome then
      counts.changed = counts.changed + 1
      if row.outcome == "correct" then counts.to_correct = counts.to_correct + 1 end
      if old.outcome == "correct" then counts.from_correct = counts.from_correct + 1 end
    end
  end
  return counts
end

local function never() return false end
local function nothing() end

--- A job whose sender answers from the store and never sends.
-- @tparam table store
-- @tparam table one a variant of a plan
-- @tparam table dataset a dataset of it
-- @tparam table offsets of(session) → ns, stream
function rescore.job(store, one, dataset, offsets)
  local found = (store:meta "qualification" or {})[one.of or one.name]
  local endpoint = dataset.endpoint or one.variant.server.endpoint or "completions"
  return {
    task = dataset.task, script = dataset.script, dataset = dataset, variant = one.variant, mode = dataset.mode,
    endpoint = endpoint, model = one.variant.model, args = dataset.args, sampling = one.variant.generation, stream = offsets.stream,
    scorers = dataset.scorers, store = store, repeat_index = 0, repeats = dataset.repeats, concurrency = 1,
    extra_body = one.variant.server.extra_body,
    scoring = scoring.of(one.dialect, one.variant, found and found.means),
    sender = sender.new { dialect = one.dialect, variant = one.variant, store = store, replay_only = true,
      split_events = http.split_events, is_stopped = never, log = nothing },
    wall_offset_of = offsets.of, is_stopped = never, on_progress = nothing, force = true,
  }
end

local function session_offsets(store)
  local json, known = require "qlua.core.json", {}
  for _, row in ipairs(store.db:rows "SELECT number, record FROM session") do
    known[row.number] = json.decode(row.record).wall_offset_ns
  end
  return function(session) return known[session] or 0 end
end

--- The stored identities stand: how a variant was served then is a fact, whatever its dialect would do now.
function rescore.restore_identities(store, made)
  local identities = {}
  for _, variant in ipairs(store:variants()) do identities[variant.name] = variant.identity end
  for _, one in ipairs(made.variants) do one.variant.identity = identities[one.name] end
end

--- What a job must know of the sessions that asked.
function rescore.offsets(store, config)
  return { of = session_offsets(store), stream = config.benchmark.collect_latency }
end

local function judge_all(store, one, datasets, offsets, options)
  for _, dataset in ipairs(datasets) do
    local before = outcomes_before(store, one.name, dataset.name)
    local tally = pipeline.ask(rescore.job(store, one, dataset, offsets))
    local counts = count_changes(store, one.name, dataset.name, before)
    counts.without_reply = dataset.task:size() * dataset.repeats - tally.done
    options.on_dataset(one.name, dataset.name, counts)
  end
end

--- Judge again.
-- @tparam string dir the run's folder
-- @tparam table options data_dir, language, on_dataset(variant, dataset, counts)
-- @treturn ?table summary; or nil and err
function rescore.run(dir, options)
  if not file.stat(dir .. "/run.db") then
    return nil, { kind = "usage", text = ("rescore %s: no run.db there"):format(dir), hint = "want the folder of a run" }
  end
  local store, err = run_store.open(dir)
  if not store then return nil, err end
  local config = store:meta "config"
  local made
  made, err = plan.make(config, { data_dir = options.data_dir or store:meta "data_dir", is_offline = true })
  if not made then return nil, err end
  rescore.restore_identities(store, made)
  store.session = store:one("SELECT max(number) AS number FROM session").number
  local offsets = rescore.offsets(store, config)
  for _, one in ipairs(made.variants) do
    judge_all(store, one, made.datasets, offsets, options)
    judge_all(store, one, made.turned, offsets, options)
  end
  local again, stored = control.of(made), store:control()
  if again and stored then
    again.one.variant.identity = stored.identity
    judge_all(store, again.one, again.datasets, offsets, options)
  end
  store:meta("fingerprint", plan.fingerprint(made))
  store:commit()
  local summary = run_report.write(dir, store, options)
  store:close()
  return summary
end

return rescore
