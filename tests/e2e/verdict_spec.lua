-- SPDX-License-Identifier: Apache-2.0
--- The verdict from the command line: a run with a control and gates, its resumption, and two runs compared.
local support = require "support"

local DEMO = support.root .. "/configs/demo.yaml"

local function run(folder, words, limit)
  local argv = { "hellaswag", "mmlu", "--config", DEMO, "--limit", limit or "60", "--data", support.sample_data }
  return support.run(folder, table.move(words, 1, #words, #argv + 1, argv))
end

describe("qlua run with a control", function()
  local done, doc

  setup(function()
    done = run(support.folder(), { "--set", "benchmark.control=0.5", "--set", "sim.rerun_flip.default=0.2", "--variant", "original",
      "--variant", "awq", "--set", "verdict.gates=[{gate: error_rate, at_most: 0}, {gate: accuracy, variant: awq, at_least: 0.999}]" })
    doc = support.results(done.dir)
  end)
  teardown(support.clean)

  it("asks the baseline half of the questions again, and shows no variant of that name", function()
    assert.same({ { n = 60 } }, support.rows(done.dir, "SELECT count(*) AS n FROM answer WHERE variant = 'original@control'"))
    assert.same({ "original", "awq" }, { table.unpack(doc.variant_order) })
    local control = doc.verdict.control
    assert.equal(60, control.suite.pairs)
    assert(control.suite.flips > 0)
    assert.equal(control.suite.flip_rate, doc.verdict.variants.awq.behaviour.control_flip_rate)
  end)

  it("has the divergence where letters were asked for, with the rerun as its floor, and again after a rescore", function()
    local found = doc.verdict.variants.awq.behaviour.datasets.mmlu.divergence
    local floor = doc.verdict.control.datasets.mmlu.divergence
    assert.same({ 60, 30 }, { found.questions, floor.questions })
    assert(found.mean_nats > 0 and floor.mean_nats > 0 and found.same_top <= 1)
    assert.is_nil(doc.verdict.variants.awq.behaviour.datasets.hellaswag.divergence)
    local report = support.read(done.dir .. "/reports/evaluation_report_both.md")
    assert.is_truthy(report:find("首选一致率", 1, true))
    local before = support.rows(done.dir, "SELECT candidates FROM answer ORDER BY variant, dataset, sample")
    local rescored = support.qlua { "rescore", done.dir, "--data", support.sample_data }
    assert.same(before, support.rows(done.dir, "SELECT candidates FROM answer ORDER BY variant, dataset, sample"), rescored.all)
    assert.same(found, support.results(done.dir).verdict.variants.awq.behaviour.datasets.mmlu.divergence)
  end)

  it("ends with status 1 and names the gate that failed, with all results written", function()
    assert.equal(1, done.code, done.all)
    assert.is_truthy(done.err:find("gate accuracy:", 1, true), done.err)
    assert.is_nil(done.err:find("gate error_rate:", 1, true))
    assert.equal(64, #doc.verdict.plan_sha256)
    assert.is_truthy(support.read(done.dir .. "/reports/evaluation_report_both.md"):find("## Verdict / 结论", 1, true))
  end)

  it("is resumed with the rule it was started with, and under no other", function()
    local again = support.qlua { "run", "--resume", done.dir, "--quiet" }
    assert.equal(1, again.code, again.all)
    local other = support.qlua { "run", "hellaswag", "mmlu", "--config", DEMO, "--limit", "60", "--data", support.sample_data,
      "--variant", "original", "--variant", "awq", "--set", "verdict.margin_pt=5", "--resume", done.dir }
    assert.equal(3, other.code, other.all)
    assert.is_truthy(other.err:find("verdict rule has changed", 1, true), other.err)
  end)

  it("is compared with a run of another day, whose questions must be the same", function()
    local second = run(support.folder(), { "--variant", "fp8" })
    local compared = support.qlua { "compare", done.dir, second.dir, "--language", "en" }
    assert.equal(1, compared.code, compared.all) -- the first run's gates hold here too
    assert.is_truthy(compared.out:find("| fp8 ", 1, true))
    assert.is_truthy(compared.out:find("`original` was asked twice (50 % of the questions)", 1, true))
    local short = run(support.folder(), { "--variant", "fp8" }, "30")
    local refused = support.qlua { "compare", done.dir, short.dir }
    assert.equal(3, refused.code, refused.all)
    assert.is_truthy(refused.err:find("different questions: 30 only in the one", 1, true), refused.err)
  end)
end)
