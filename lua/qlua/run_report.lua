-- SPDX-License-Identifier: Apache-2.0
--- Run report: from a run's store to its results file, manifest and reports. Used at the end of a run and by `rescore`.

local control = require "qlua.control"
local file = require "qlua.core.file"
local health = require "qlua.health"
local load_store = require "qlua.load.store"
local outcomes = require "qlua.outcomes"
local page = require "qlua.page"
local permute = require "qlua.permute"
local registry = require "qlua.registry"
local results = require "qlua.results"
local samples = require "qlua.samples"
local summary = require "qlua.summary"

local run_report = {}

local function must(ok, err)
  if not ok then error(err, 0) end
  return ok
end

-- One row per turn; the question as it stands comes with its first turn.
local function turned_of(store)
  local result = {}
  for variant, datasets in pairs(store:turned()) do
    result[variant] = {}
    for dataset, rows in pairs(datasets) do
      local list, counts = {}, {}
      for _, row in ipairs(rows) do counts[row.sample] = math.max(counts[row.sample] or 0, row.turn + 1) end
      for _, row in ipairs(rows) do
        local function add(turn, outcome, value)
          list[#list + 1] = { sample = row.sample, turn = turn, value = value, is_answered = outcomes.is_answered(outcome),
            is_right = outcome == "correct", choices = counts[row.sample] }
        end
        if row.turn == 1 then add(0, row.first_outcome, row.first_value) end
        add(row.turn, row.outcome, row.value)
      end
      result[variant][dataset] = permute.summary(list)
    end
  end
  return result
end

--- The measurements under load as `qlua.summary.load` wants them, or nil where there are none.
function run_report.load_of(store)
  local phases = load_store.phases(store)
  if #phases == 0 then return nil end
  return { about = store:meta "load", found = store:meta "load_found", phases = phases,
    rows = function(phase) return load_store.rows(store, phase) end }
end

--- The run as `qlua.summary` wants it, out of the store alone.
function run_report.describe(dir, store)
  local config = store:meta "config"
  local variants = store:variants()
  for _, variant in ipairs(variants) do variant.identity = nil end
  local again = store:control()
  return {
    id = dir:match "([^/]+)/*$", simulated = store:meta "simulated", started_at = store:meta "started_at",
    finished_at = store:meta "finished_at", model = { base_name = config.model.base_name }, variants = variants,
    datasets = store:datasets(), config = config, manifest = store:meta "manifest",
    turned = turned_of(store), telemetry = store:telemetry(),
    instrument = store:meta "instrument", load = run_report.load_of(store),
    baseline = control.baseline_of(config), notices = store:meta "notices",
    control = again and { name = again.name, share = again.share, expected = again.expected },
  }
end

-- One hash for all prompts of a dataset, in order: equal digests mean equal questions, byte for byte.
local function add_prompt_digests(store, run)
  local hash = require "qlua.core.hash"
  for _, dataset in ipairs(run.datasets) do
    local list = {}
    for row in store.db:each("SELECT prompt_sha256 FROM sample WHERE dataset = ? ORDER BY position", dataset.name) do
      list[#list + 1] = row.prompt_sha256 or ""
    end
    dataset.prompt_digest = #list > 0 and hash.sha256(table.concat(list)) or nil
  end
end

--- What a layout may see besides the Summary: the single samples, where it asks for them and a store is at hand.
-- @tparam table report a loaded layout
-- @tparam ?table store an open `qlua.run_store`
-- @treturn table options for `page.set`
function run_report.sources(report, store)
  local wanted = false
  for _, want in ipairs(report.wants or {}) do wanted = wanted or want == "samples" end
  if not (wanted and store) then return {} end
  local config = store:meta "config" or {}
  return { samples = samples.open(store), budget_mb = (config.report or {}).html_budget_mb,
    baseline = control.baseline_of(config) }
end

--- Set one layout in one language.
-- @tparam string layout a layout's name or path
-- @tparam table doc the Summary
-- @tparam table options as for `page.new`, and `store`
-- @treturn string
-- @treturn table the layout
-- @treturn table files to be written beside it
function run_report.set(layout, doc, options)
  local report, err = registry.load("report", layout)
  if not report then error(err, 0) end
  local all = run_report.sources(report, options.store)
  for key, value in pairs(options) do
    if key ~= "store" then all[key] = value end
  end
  local text, files = page.set(report, doc, all)
  return text, report, files
end

--- The Summary of a run as its store has it now.
-- @treturn table summary
-- @treturn table the run that it was made from
function run_report.summarize(dir, store)
  local run = run_report.describe(dir, store)
  add_prompt_digests(store, run)
  run.health = health.count(store:texts())
  return summary.build(store:answers(run.baseline), run), run
end

--- Write everything that is made from the store.
-- @tparam string dir
-- @tparam table store
-- @tparam table options language, layouts
-- @treturn table summary, with `paths` of the reports as second value
function run_report.write(dir, store, options)
  local doc, run = run_report.summarize(dir, store)
  must(results.write(dir .. "/evaluation_results.json", doc))
  must(file.write(dir .. "/manifest.json", results.encode(run.manifest)))
  must(file.make_dir(dir .. "/reports"))
  local language = options.language or run.config.report.language
  local paths = {}
  for _, layout in ipairs(options.layouts or run.config.report.layouts) do
    local text, report, files = run_report.set(layout, doc,
      { language = language, width = 100, figures = true, store = store, run_name = run.id })
    local path = ("%s/reports/evaluation_report_%s.%s"):format(dir, language, report.extension or "md")
    must(file.write(path, text))
    for name, content in pairs(files) do must(file.write(("%s/reports/%s"):format(dir, name), content)) end
    paths[#paths + 1] = path
  end
  return doc, paths
end

return run_report
