-- SPDX-License-Identifier: Apache-2.0
--- Session: what one qlua process writes down about a run before it asks anything, and what it knows of earlier ones.

local clock = require "qlua.core.clock"
local json = require "qlua.core.json"
local manifest = require "qlua.manifest"
local notices = require "qlua.notices"
local secrets = require "qlua.secrets"
local sys = require "qlua.core.sys"

local session = {}

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
    headline_scorer = names[1], headline_metric = one.headline_metric, scorers = json.array(names),
    expected = one.task:size() * one.repeats,
    endpoint = one.endpoint or "completions", group_average = one.script.group_average,
    group_categories = categories_of(one.task), files = json.array(one.task.files),
    script_sha256 = one.script.sha256, tags = one.script.tags and json.array(one.script.tags) or nil }
end

--- Something that a reader of the numbers must know about a variant; the same thing is noted once.
-- @tparam table self the run
-- @tparam string variant name
-- @tparam table notice `{ code, en, zh }`
function session.note(self, variant, notice)
  for _, known in ipairs(self.notices) do
    if known.variant == variant and known.code == notice.code and known.en == notice.en then return end
  end
  self.notices[#self.notices + 1] = { variant = variant, code = notice.code, en = notice.en, zh = notice.zh }
  self.store:meta("notices", json.array(self.notices))
end

local function note_all(self)
  self.notices = self.store:meta "notices" or {}
  for _, one in ipairs(self.made.variants) do
    for _, notice in ipairs(notices.of(one)) do session.note(self, one.name, notice) end
  end
end

-- Who answered, where replies say so: more than one provider are more than one server, perhaps with other weights.
local function note_provider(self, name, provider)
  local record = self.manifest.servers[name]
  if not record then return end
  record.providers = record.providers or json.array {}
  for _, known in ipairs(record.providers) do
    if known == provider then return end
  end
  table.insert(record.providers, provider)
  self.store:meta("manifest", self.manifest)
  if #record.providers == 2 then session.note(self, name, notices.several_providers) end
end

--- What a reply says about who gave it.
-- @tparam table self the run
-- @tparam table one of the plan's variants
-- @tparam string asked the model that was asked for
-- @tparam table response
function session.observe(self, one, asked, response)
  local notice = notices.of_response(one.dialect, asked, response)
  if notice then session.note(self, one.name, notice) end
  if response.provider then note_provider(self, one.name, response.provider) end
end

--- Write down the session, the variants and the datasets.
-- @tparam table self the run: made, options, store, control; gets wall_offset_ns, wall_offsets, started_at, manifest
function session.open(self)
  local made, store, command = self.made, self.store, secrets.words(self.options.command)
  self.wall_offset_ns = clock.wall_ns() - clock.now_ns()
  local now = clock.iso()
  self.started_at = store:meta "started_at" or store:meta("started_at", now)
  local facts = manifest.make(made, { command = command, created_at = self.started_at })
  store:open_session(now, { wall_offset_ns = self.wall_offset_ns, command = command })
  self.wall_offsets = {}
  local earlier = store:meta "manifest"
  facts.servers = earlier and earlier.servers or facts.servers -- of variants that earlier sessions have finished
  facts.qualification = earlier and earlier.qualification
  self.manifest = facts
  store:meta("manifest", facts)
  store:meta("config", secrets.config(made.config))
  store:meta("simulated", made.simulated or store:meta "simulated" or false)
  if made.data_dir then store:meta("data_dir", made.data_dir) end
  if not store:meta "options" then store:meta("options", { command = json.array(command), folder = sys.cwd() }) end
  for position, one in ipairs(made.variants) do
    store:put_variant(one.name, position, one.variant.identity, variant_record(one))
  end
  note_all(self)
  if self.control then store:put_variant(self.control.name, 1000, self.control.one.variant.identity, self.control.record) end
  for position, one in ipairs(made.datasets) do store:put_dataset(one.name, position, dataset_record(one)) end
  for position, one in ipairs(made.turned) do
    store:put_dataset(one.name, 1000 + position, { turned_of = one.turned_of, share = one.share, expected = one.task:size() })
  end
  store:commit()
end

--- CLOCK_MONOTONIC of a session as CLOCK_REALTIME: each session measured its own offset when it began.
function session.wall_offset_of(self, number)
  if number == self.store.session then return self.wall_offset_ns end
  local known = self.wall_offsets[number]
  if not known then
    local row = self.store:one("SELECT record FROM session WHERE number = ?", number)
    known = row and json.decode(row.record).wall_offset_ns or self.wall_offset_ns
    self.wall_offsets[number] = known
  end
  return known
end

--- What is known of a variant's running server.
function session.record_server(self, one, server)
  local earlier = self.manifest.servers[one.name]
  self.manifest.servers[one.name] = { argv = server.argv and json.array(secrets.words(server.argv)),
    providers = earlier and earlier.providers, base_url = secrets.url(server.base_url), facts = server.facts,
    unix_socket = server.unix_socket }
  local entry = server.facts.model_entry
  if entry and entry.simulated == true then -- not of our starting, but it says so itself
    self.manifest.simulated = true
    self.store:meta("simulated", true)
  end
  self.store:meta("manifest", self.manifest)
end

--- What the client of a variant counted while this session asked it.
-- @tparam table counted of `qlua.load.selfcheck.between`
function session.record_client(self, one, counted)
  local instrument = self.store:meta "instrument" or {}
  instrument[one.name] = instrument[one.name] or json.array {}
  table.insert(instrument[one.name], counted)
  self.store:meta("instrument", instrument)
end

return session
