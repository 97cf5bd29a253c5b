-- SPDX-License-Identifier: Apache-2.0
--- Run report: from a run's store to its results file, manifest and reports. Used at the end of a run and by `rescore`.

local file = require "qlua.core.file"
local page = require "qlua.page"
local registry = require "qlua.registry"
local results = require "qlua.results"
local summary = require "qlua.summary"

local run_report = {}

local function must(ok, err)
  if not ok then error(err, 0) end
  return ok
end

--- The run as `qlua.summary` wants it, out of the store alone.
function run_report.describe(dir, store)
  local config = store:meta "config"
  local variants = store:variants()
  for _, variant in ipairs(variants) do variant.identity = nil end
  return {
    id = dir:match "([^/]+)/*$", simulated = store:meta "simulated", started_at = store:meta "started_at",
    finished_at = store:meta "finished_at", model = { base_name = config.model.base_name }, variants = variants,
    datasets = store:datasets(), config = config, manifest = store:meta "manifest", telemetry = store:telemetry(),
    baseline = config.report.baseline or variants[1].name,
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

--- Set one layout in one language.
-- @treturn string
function run_report.set(layout, doc, options)
  local report, err = registry.load("report", layout)
  if not report then error(err, 0) end
  return page.set(report, doc, options), report
end

--- Write everything that is made from the store.
-- @tparam string dir
-- @tparam table store
-- @tparam table options language, layouts
-- @treturn table summary, with `paths` of the reports as second value
function run_report.write(dir, store, options)
  local run = run_report.describe(dir, store)
  add_prompt_digests(store, run)
  local doc = summary.build(store:answers(), run)
  must(results.write(dir .. "/evaluation_results.json", doc))
  must(file.write(dir .. "/manifest.json", results.encode(run.manifest)))
  must(file.make_dir(dir .. "/reports"))
  local language = options.language or run.config.report.language
  local paths = {}
  for _, layout in ipairs(options.layouts or run.config.report.layouts) do
    local text, report = run_report.set(layout, doc, { language = language, width = 100 })
    local path = ("%s/reports/evaluation_report_%s.%s"):format(dir, language, report.extension or "md")
    must(file.write(path, text))
    paths[#paths + 1] = path
  end
  return doc, paths
end

return run_report
