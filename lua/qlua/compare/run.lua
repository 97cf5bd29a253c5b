-- SPDX-License-Identifier: Apache-2.0
--- A run's folder as a source of a comparison: its variants, its questions by hash, its answers.
-- See `qlua.compare` for what a source is.

local json = require "qlua.core.json"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"

local run = {}

-- Which questions a dataset had, each by the hashes of its row and of its prompt.
local function questions_of(store, dataset)
  local questions, count = {}, 0
  for row in store.db:each("SELECT id, row_sha256, prompt_sha256 FROM sample WHERE dataset = ?", dataset) do
    questions[row.id], count = { row = row.row_sha256, prompt = row.prompt_sha256 }, count + 1
  end
  return questions, count
end

local function scorers_of(facts, manifest)
  local list = {}
  for _, name in ipairs(facts.scorers or {}) do
    local script = manifest and manifest.scripts and manifest.scripts["scorer." .. name]
    list[name] = script and script.sha256 or "?"
  end
  return list
end

--- Open a run's folder.
-- @tparam string path
-- @treturn ?table source; or nil and err
function run.open(path)
  local dir = path:gsub("/+$", "")
  local store, err = run_store.open(dir, { read_only = true })
  if not store then return nil, err end
  local facts = run_report.describe(dir, store)
  local source = { kind = "run", path = path, label = facts.id, facts = facts, simulated = facts.simulated, config = facts.config,
    variants = facts.variants, baseline = facts.baseline, datasets = {}, order = {}, control = facts.control,
    started_at = facts.started_at, model = facts.model.base_name, manifest = facts.manifest }
  for i, dataset in ipairs(facts.datasets) do
    source.order[i] = dataset.name
    local questions, count = questions_of(store, dataset.name)
    source.datasets[dataset.name] = { record = dataset, questions = questions, count = count,
      scorers = scorers_of(dataset, facts.manifest), asked = { mode = dataset.mode, shots = dataset.shots, split = dataset.split,
        endpoint = dataset.endpoint } }
  end
  source.sampling = {}
  for _, variant in ipairs(facts.variants) do source.sampling[variant.name] = json.encode(variant.generation or {}) end
  source.rows = function() return store:answers(facts.baseline) end
  source.close = function() store:close() end
  return source
end

return run
