-- SPDX-License-Identifier: Apache-2.0
local compare = require "qlua.summary.compare"
local fixture = require "report_fixture"
local measure = require "qlua.summary.measure"
local outcomes = require "qlua.outcomes"
local stats = require "qlua.core.stats"
local summary = require "qlua.summary"

local function near(want, got) assert(math.abs(want - got) < 1e-12, ("want %s, got %s"):format(want, got)) end

local function run(changes)
  local facts = { id = "r", baseline = "base", model = { base_name = "m" },
    variants = { { name = "base", description = { en = "B", zh = "基" } }, { name = "quant", description = { en = "Q", zh = "量" } } },
    datasets = { { name = "d", summary = { en = "D", zh = "数" }, headline_scorer = "s", scorers = { "s" } } } }
  for key, value in pairs(changes or {}) do facts.datasets[1][key] = value end
  return facts
end

-- "base 1 correct" → a row; options fill in the rest
local function row(variant, sample, outcome, options)
  local r = { variant = variant, dataset = "d", sample = tostring(sample), outcome = outcome, tries = 1 }
  for key, value in pairs(options or {}) do r[key] = value end
  return r
end

local function build(rows, changes) return summary.build(fixture.each(rows), run(changes)) end

describe("outcomes", function()
  it("are the closed list, in four classes", function()
    assert.equal(16, #outcomes.list)
    assert.equal("invalid", outcomes.class "truncated_reasoning")
    assert.equal("error", outcomes.class "too_long")
    assert.is_false(outcomes.is_answered "timeout")
    assert.is_true(outcomes.is_answered "empty")
    assert.is_false(pcall(outcomes.class, "infra"))
  end)
end)

describe("accuracy", function()
  it("counts invalid as wrong and errors as nothing", function()
    local rows = {}
    for i = 1, 6 do rows[i] = row("base", i, "correct") end
    rows[7], rows[8] = row("base", 7, "wrong"), row("base", 8, "no_answer")
    rows[9], rows[10] = row("base", 9, "timeout"), row("base", 10, "http_5xx")
    local cell = build(rows).variants.base.datasets.d
    assert.equal(10, cell.num_total)
    assert.equal(8, cell.num_answered)
    assert.equal(6, cell.num_correct)
    assert.equal(1, cell.num_wrong)
    assert.equal(1, cell.num_invalid)
    assert.equal(2, cell.num_errors)
    near(6 / 8, cell.accuracy)
    near(1 / 8, cell.invalid_rate)
    near(2 / 10, cell.error_rate)
    local lo, hi = stats.wilson(6, 8, 0.95)
    assert.same({ lo, hi }, cell.accuracy_interval)
    assert.equal(1, cell.outcomes.timeout)
    assert.equal(0, cell.outcomes.refused)
    assert.is_false(cell.usable)
  end)

  it("is absent, not zero, when nothing was answered", function()
    local cell = build({ row("base", 1, "connect") }).variants.base.datasets.d
    assert.is_nil(cell.accuracy)
    assert.is_nil(cell.accuracy_interval)
    assert.is_nil(cell.invalid_rate)
    assert.equal(1, cell.error_rate)
    assert.is_false(cell.usable)
    assert.is_nil(cell.latency_seconds)
  end)

  it("is usable up to the error rate of the config", function()
    local rows = {}
    for i = 1, 99 do rows[i] = row("base", i, "correct") end
    rows[100] = row("base", 100, "timeout")
    assert.is_true(build(rows).variants.base.datasets.d.usable)
    rows[101] = row("base", 101, "timeout")
    assert.is_false(build(rows).variants.base.datasets.d.usable)
    local facts = run()
    facts.config = { benchmark = { max_error_rate = 0.02 } }
    assert.is_true(summary.build(fixture.each(rows), facts).variants.base.datasets.d.usable)
  end)

  it("is not usable while answers are missing", function()
    local rows = { row("base", 1, "correct"), row("base", 2, "correct"), row("quant", 1, "correct") }
    local doc = build(rows)
    assert.is_false(doc.variants.base.datasets.d.incomplete)
    assert.is_true(doc.variants.quant.datasets.d.incomplete)
    assert.is_false(doc.variants.quant.datasets.d.usable)
    assert.is_false(doc.summary.all_complete)
    assert.is_true(build(rows, { expected = 3 }).variants.base.datasets.d.incomplete)
  end)

  it("counts a question once in its interval, however often it was asked", function()
    local rows = {}
    for i = 1, 20 do
      for turn = 0, 4 do rows[#rows + 1] = row("base", i, i <= 15 and "correct" or "wrong", { repeat_index = turn }) end
    end
    local doc = build(rows)
    local cell = doc.variants.base.datasets.d
    assert.equal(100, cell.num_total)
    assert.equal(20, doc.datasets.d.num_questions)
    assert.equal(5, doc.datasets.d.repeats)
    local lo, hi = stats.wilson(15, 20, 0.95)
    assert.same({ lo, hi }, cell.accuracy_interval)
    for i = #rows, 1, -1 do
      rows[#rows + 1] = row("quant", rows[i].sample, "correct", { repeat_index = rows[i].repeat_index })
    end
    local d = build(rows).variants.quant.datasets.d.against_baseline
    assert.equal(100, d.pairs)
    assert.is_nil(d.difference_interval_pt)
  end)
end)

describe("a summary", function()
  it("refuses rows it cannot place", function()
    assert.is_false(pcall(build, { row("other", 1, "correct") }))
    assert.is_false(pcall(build, { row("base", 1, "right") }))
    assert.is_false(pcall(build, { row("base", 1, "correct", { dataset = "e" }) }))
    local ok, message = pcall(build, { row("base", 1, "correct"), row("base", 1, "correct") })
    assert.is_false(ok)
    assert.is_truthy(message:find("question '1' comes twice", 1, true))
  end)

  it("does not depend on the order of rows", function()
    local rows = fixture.list()
    local forward = summary.build(fixture.each(rows), fixture.run())
    for i = 1, #rows // 2 do rows[i], rows[#rows + 1 - i] = rows[#rows + 1 - i], rows[i] end
    local backward = summary.build(fixture.each(rows), fixture.run())
    local strip, encode = require("qlua.results").strip_volatile, require("qlua.core.json").encode
    assert.equal(encode(strip(forward)), encode(strip(backward)))
  end)

  it("names the best without choosing between equals", function()
    local doc = build { row("base", 1, "correct"), row("quant", 1, "correct") }
    assert.same({ "base", "quant" }, { table.unpack(doc.summary.best.d.variants) })
    assert.equal(1, doc.summary.best.d.accuracy)
  end)

  it("tells cut replies from short ones, where replies are texts", function()
    local rows = { row("base", 1, "correct", { finish = "length" }), row("base", 2, "truncated", { finish = "length" }),
      row("base", 3, "wrong", { finish = "stop" }), row("base", 4, "correct", { finish = "stop" }) }
    local cut = build(rows).variants.base.datasets.d.truncated
    assert.equal(2, cut.count)
    near(0.5, cut.share)
    near(0.5, cut.accuracy_without)
    assert.is_nil(build(rows, { mode = "loglikelihood" }).variants.base.datasets.d.truncated)
  end)

  it("sets scorers side by side", function()
    local function two(a, b) return { scores = { s = { outcome = a }, t = { outcome = b } } } end
    local rows = { row("base", 1, "correct", two("correct", "correct")), row("base", 2, "correct", two("correct", "no_answer")),
      row("base", 3, "wrong", two("wrong", "correct")), row("base", 4, "wrong", two("wrong", "wrong")) }
    local scorers = build(rows).variants.base.datasets.d.scorers
    assert.equal(2, scorers.t.num_correct)
    assert.equal(1, scorers.t.num_invalid)
    assert.equal(1, scorers.t.only_right_here)
    assert.equal(1, scorers.t.only_right_in_headline)
    assert.equal(2, scorers.t.disagreements)
    assert.equal(0, scorers.s.disagreements)
    assert.is_nil(scorers.s.metrics)
  end)

  it("averages a scorer's further figures over what it judged", function()
    local function norm(outcome, value) return { scores = { s = { outcome = outcome, metrics = { acc_norm = value } } } } end
    local cell = build { row("base", 1, "correct", norm("correct", 1)), row("base", 2, "wrong", norm("wrong", 1)),
      row("base", 3, "wrong", norm("wrong", 0)), row("base", 4, "timeout") }.variants.base.datasets.d
    near(2 / 3, cell.scorers.s.metrics.acc_norm)
  end)

  it("averages groups both ways and names the headline", function()
    local rows = { row("base", 1, "correct", { group = "a" }), row("base", 2, "correct", { group = "a" }),
      row("base", 3, "correct", { group = "a" }), row("base", 4, "wrong", { group = "b" }) }
    local cell = build(rows, { group_average = "macro" }).variants.base.datasets.d
    near(3 / 4, cell.micro_average)
    near(1 / 2, cell.macro_average)
    assert.is_nil(cell.categories)
    local gathered = build(rows, { group_categories = { a = "x", b = "x" } }).variants.base.datasets.d.categories
    near(3 / 4, gathered.x.accuracy)
    assert.equal(2, gathered.x.num_groups)
    assert.equal("macro", cell.headline_average)
    assert.equal(3, cell.groups.a.num_correct)
  end)
end)

describe("speed", function()
  it("is questions over the wall clock, not over the sum of latencies", function()
    local rows = {}
    for i = 1, 10 do
      rows[i] = row("base", i, "correct", { start_ns = 0, end_ns = 2000000000, latency_ns = 2000000000, completion_tokens = 40,
        ttft_ns = 50000000 })
    end
    local cell = build(rows).variants.base.datasets.d
    near(5, cell.questions_per_second)
    near(200, cell.tokens_per_second)
    near(2, cell.latency_seconds.mean)
    near(1.95 / 39, cell.tpot_seconds.p50)
  end)

  it("leaves out the time in which the run was stopped", function()
    local second = 1000000000
    local starts, ends = { 3600 * second, 0, 1 * second }, { 3602 * second, 1 * second, 2 * second }
    local seconds, sessions = measure.window(starts, ends, { 2, 1, 1 })
    near(4, seconds)
    assert.equal(2, sessions)
    seconds, sessions = measure.window(starts, ends, { 1, 1, 1 })
    near(3602, seconds)
    assert.equal(1, sessions)
    assert.is_nil(measure.window({}, {}, {}))
  end)

  it("prints no p99 for fewer than a hundred answers, and no time per token for one token", function()
    local list = {}
    for i = 1, 99 do list[i] = i end
    assert.is_nil(measure.distribution(list).p99)
    assert.equal(50, measure.distribution(list).p50)
    list[100] = 100
    near(99.01, measure.distribution(list).p99)
    assert.is_nil(measure.distribution {})
    local rows = { row("base", 1, "correct", { latency_ns = 2, ttft_ns = 1, completion_tokens = 1 }) }
    assert.is_nil(build(rows).variants.base.datasets.d.tpot_seconds)
  end)

  it("keeps errors out of latency and retries in", function()
    local rows = { row("base", 1, "timeout", { latency_ns = 9000000000, tries = 5, start_ns = 0, end_ns = 1 }),
      row("base", 2, "correct", { latency_ns = 1000000000, tries = 2 }),
      row("base", 3, "correct", { tries = 4, turns = 4 }) }
    local cell = build(rows).variants.base.datasets.d
    assert.equal(1, cell.latency_seconds.n)
    assert.equal(5, cell.retries.count)
    assert.equal(2, cell.retries.answers)
  end)
end)

describe("the comparison with the baseline", function()
  local function pair(sample, a, b, more_a, more_b)
    return row("base", sample, a, more_a), row("quant", sample, b, more_b)
  end

  it("is made question by question", function()
    local rows = {}
    local function add(...)
      for _, r in ipairs { pair(...) } do rows[#rows + 1] = r end
    end
    add(1, "correct", "correct", { text_sha256 = "x" }, { text_sha256 = "x" })
    add(2, "correct", "wrong", { text_sha256 = "x" }, { text_sha256 = "y" })
    add(3, "correct", "no_answer")
    add(4, "wrong", "correct")
    add(5, "wrong", "wrong", { value = "1" }, { value = "2" })
    add(6, "wrong", "wrong", { value = "1" }, { value = "1" })
    add(7, "correct", "timeout")
    local d = build(rows).variants.quant.datasets.d.against_baseline
    assert.equal(6, d.pairs)
    assert.equal(1, d.excluded)
    assert.equal(2, d.correct_to_wrong)
    assert.equal(1, d.wrong_to_correct)
    assert.equal(3, d.flips)
    assert.equal(1, d.wrong_changed)
    near(-100 / 6, d.difference_pt)
    local tango = stats.paired({ both_right = 1, base_only = 2, variant_only = 1, both_wrong = 2 }, 0.95).tango
    assert.same({ 100 * tango.lo, 100 * tango.hi }, d.difference_interval_pt)
    near(0.5, d.flip_rate)
    near(0.5, d.identical_share)
  end)

  it("sees prompts and token counts that differ", function()
    local rows = { pair(1, "correct", "correct", { prompt_sha256 = "a", prompt_tokens = 10 },
      { prompt_sha256 = "b", prompt_tokens = 11 }) }
    local d = build(rows).variants.quant.datasets.d.against_baseline
    assert.equal(1, d.prompts_differ)
    assert.equal(1, d.prompt_tokens_differ)
  end)

  it("says nothing where nothing can be compared", function()
    local empty = { outcome = {}, text = {}, value = {}, prompt_sha256 = {}, prompt_tokens = {} }
    local d = compare(empty, empty, 5, 1)
    assert.equal(0, d.pairs)
    assert.is_nil(d.difference_pt)
    assert.is_nil(d.flip_rate)
    assert.is_nil(d.identical_share)
    assert.is_nil(build({ row("base", 1, "correct") }).variants.base.datasets.d.against_baseline)
  end)
end)
