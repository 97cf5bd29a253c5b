-- SPDX-License-Identifier: Apache-2.0
--- The demo's report in each language, byte for byte: `configs/demo.yaml` as tools/demo runs it. What depends on time or on
-- the machine is taken out of the run's store before the Summary is made, so that nothing is left of it in any
-- sentence. `QLUA_GOLDEN=write` (make golden) writes the files anew; then read them.

local file = require "qlua.core.file"
local page = require "qlua.page"
local registry = require "qlua.registry"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"
local support = require "support"
local sys = require "qlua.core.sys"

-- Without times there are no latencies, no throughput, and no sentence about them.
local function forget_times(store)
  store:put "UPDATE answer SET latency_ns = NULL, ttft_ns = NULL, start_ns = NULL, end_ns = NULL, tries = turns"
  store:put "DELETE FROM phase"
  store:put "DELETE FROM load_phase"
  store:put "DELETE FROM meta WHERE key = 'instrument'" -- what the client counted while it asked
  store:put "UPDATE request SET stamps = NULL"
  store:put "DELETE FROM meta WHERE key = 'instrument'"
end

describe("the demo's report", function()
  local doc

  setup(function()
    local folder = support.folder()
    local run = support.qlua({ "run", "suites/full.lua", "--config", "configs/demo.yaml", "--quiet", "--out", folder },
      { cwd = support.root })
    assert.equal(0, run.code, run.all)
    local dir = folder .. "/" .. assert(file.list(folder))[1]
    local store = assert(run_store.open(dir))
    forget_times(store)
    doc = run_report.summarize(dir, store)
    store:close()
    doc.run, doc.manifest = { id = "demo", started_at = "2026-01-01T00:00:00Z" }, nil
    for _, dataset in pairs(doc.datasets) do dataset.script_sha256 = nil end
  end)
  teardown(support.clean)

  for _, language in ipairs { "en", "zh", "both" } do
    it("is what it was, in " .. language, function()
      local text = page.set(assert(registry.load("report", "markdown")), doc, { language = language, width = 100 })
      local golden = ("%s/tests/golden/demo_%s.md"):format(support.root, language)
      if sys.env "QLUA_GOLDEN" == "write" then assert(file.write(golden, text)) end
      assert.is_nil(support.difference(assert(file.read(golden)), text))
    end)
  end
end)
