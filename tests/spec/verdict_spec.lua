-- SPDX-License-Identifier: Apache-2.0
local fixture = require "report_fixture"
local health = require "qlua.health"
local paired = require "qlua.summary.pairs"
local power = require "qlua.summary.power"
local rule = require "qlua.summary.rule"
local stats = require "qlua.core.stats"
local summary = require "qlua.summary"
local verdict_fixture = require "verdict_fixture"

local function near(want, got, tolerance) assert(math.abs(want - got) <= (tolerance or 1e-9), ("want %s, got %s"):format(want, got)) end

-- ---- made-up runs ----------------------------------------------------------------------------------------------

-- Cells as a list of "base right?, variant right?" in a fixed order.
local function outcomes_of(cells)
  local list = {}
  local function add(n, base, other) for _ = 1, n do list[#list + 1] = { base, other } end end
  add(cells[1], true, true)
  add(cells[2], true, false)
  add(cells[3], false, true)
  add(cells[4], false, false)
  return list
end

local function row(variant, dataset, i, right, more)
  local r = { variant = variant, dataset = dataset, sample = ("%s/%05d"):format(dataset, i), outcome = right and "correct" or "wrong",
    value = right and "right" or "x", tries = 1, prompt_tokens = 10, completion_tokens = 20, prompt_sha256 = "p" .. i,
    latency_ns = 1e8, ttft_ns = 1e7, start_ns = i * 1000, end_ns = i * 1000 + 100000000, text_sha256 = variant .. i }
  for key, value in pairs(more or {}) do r[key] = value end
  return r
end

-- `variants`: name → dataset → cells against the baseline's; all of a dataset must agree on who of the baseline is right.
local function make(variants, options)
  options = options or {}
  local rows, names, datasets, seen = {}, { "base" }, {}, {}
  for name in pairs(variants) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    for dataset, cells in pairs(variants[name] or {}) do
      for i, pair in ipairs(outcomes_of(cells)) do
        local more = options.more and options.more(name, dataset, i)
        rows[#rows + 1] = row(name, dataset, i, pair[2], more)
        if not seen[dataset] then rows[#rows + 1] = row("base", dataset, i, pair[1], options.more and options.more("base", dataset, i)) end
      end
      seen[dataset] = true
    end
  end
  for dataset in pairs(seen) do
    datasets[#datasets + 1] = { name = dataset, headline_scorer = "s", scorers = { "s" }, mode = "generate" }
  end
  table.sort(datasets, function(a, b) return a.name < b.name end)
  local run = { id = "r", baseline = "base", model = "m", variants = {}, datasets = datasets, control = options.control,
    config = { verdict = options.verdict or {}, benchmark = { max_error_rate = 0.01 } } }
  table.sort(names, function(a, b) return a == "base" and b ~= "base" or a ~= "base" and b ~= "base" and a < b end)
  for i, name in ipairs(names) do run.variants[i] = { name = name, description = { en = name, zh = name } } end
  for _, extra in ipairs(options.rows or {}) do rows[#rows + 1] = extra end
  if options.change then options.change(rows, run) end
  return rows, run
end

local function judge(variants, options)
  local rows, run = make(variants, options)
  local doc = summary.build(fixture.each(rows), run)
  return doc.verdict, doc
end

local function finding(verdict, code)
  for _, one in ipairs(verdict.findings) do
    if one.code == code then return one end
  end
end

-- Of equal accuracy and few flips: non-inferior with room to spare.
local EQUAL = { 900, 5, 5, 90 }

-- ---- the reference's examples ----------------------------------------------------------------------------------

describe("the worked examples", function()
  it("come out as printed: GSM8K at 1 and at 2 points", function()
    local cells = { d = { 1160, 24, 20, 115 } }
    local verdict = judge({ v = cells })
    local suite, one = verdict.variants.v.suite, verdict.variants.v.datasets.d
    assert.equal("-0.30 [-1.34 +0.71]", ("%+.2f [%+.2f %+.2f]"):format(suite.difference_pt, suite.interval_pt[1], suite.interval_pt[2]))
    assert.equal("0.55", ("%.2f"):format(one.mcnemar_p))
    assert.equal("0.089", ("%.3f"):format(suite.p_noninferior))
    assert.equal("inconclusive", verdict.variants.v.class)
    assert.equal("inconclusive", verdict.status)
    verdict = judge({ v = cells }, { verdict = { margin_pt = 2, margins_pt = { d = 2 } } })
    assert.equal("non_inferior", verdict.variants.v.class)
    assert.equal("0.0012", ("%.4f"):format(verdict.variants.v.suite.p_noninferior))
    assert.equal("ship", verdict.status)
  end)

  -- The upper limit is -0.0752: statistics.md cuts it off to -0.07, rounding gives -0.08.
  it("come out as printed: MMLU", function()
    local known = { repeats = 1 }
    local p = { n = 14042, known = known, cells = { both_right = 10980, base_only = 362, variant_only = 301, both_wrong = 2399 } }
    local found = paired.estimate(p, 0.95, 0.01)
    assert.equal("-0.43 [-0.80 -0.0752]", ("%+.2f [%+.2f %+.4f]"):format(100 * found.difference, 100 * found.lo, 100 * found.hi))
    assert.equal("0.0011", ("%.4f"):format(found.p_noninferior))
    assert.equal("lower_within_margin", paired.class(found.lo, found.hi, 0.01))
  end)

  -- Two runs of one server, 91 against 86 discordant answers of 1,319: the printed 0.76 is the exact test.
  it("agree with a published A/A pair", function()
    local test = stats.mcnemar(91, 86)
    assert.equal("0.76", ("%.2f"):format(test.p_exact))
    local verdict = judge({ v = { d = { 1001, 91, 86, 141 } } })
    assert.equal("inconclusive", verdict.variants.v.class)
    assert.equal("13.4", ("%.1f"):format(100 * verdict.variants.v.behaviour.flip_rate))
  end)

  it("give the table of what so many questions can show", function()
    local found = power.build({ { name = "d", questions = 1319 } }, (rule.of {}))
    local row_ = found.datasets[1]
    local text = {}
    for i in ipairs(found.flip_rates) do text[i] = ("%.2f/%.0f"):format(row_.half_width_pt[i], 100 * row_.power[i]) end
    assert.equal("0.38/100 0.54/95 0.76/73 0.93/55 1.21/37 1.53/25 1.95/17", table.concat(text, " "))
    assert.equal("1.72", ("%.2f"):format(row_.detectable_pt[5]))
  end)
end)

describe("planted truths", function()
  -- bench/coverage.lua has the long version; here 400 pairs at the margin, where 2.5 % may be falsely called non-inferior.
  it("at the margin: falsely non-inferior within binomial error of alpha", function()
    math.randomseed(5)
    local false_ones, n, pairs_of, margin, flips = 0, 1319, 400, 0.01, 0.04
    for _ = 1, pairs_of do
      local b, c = 0, 0
      for _ = 1, n do
        local u = math.random()
        if u < (flips + margin) / 2 then b = b + 1 elseif u < flips then c = c + 1 end
      end
      local p = { n = n, known = { repeats = 1 }, cells = { both_right = 1000 - b, base_only = b, variant_only = c, both_wrong = 319 - c } }
      local found = paired.estimate(p, 0.95, margin)
      if found.lo > -margin then false_ones = false_ones + 1 end
      assert.equal(found.lo > -margin, found.p_noninferior < 0.025)
    end
    local limit = 400 * 0.025 + 3 * math.sqrt(400 * 0.025 * 0.975)
    assert(false_ones > 0 and false_ones <= limit, false_ones .. " of 400")
  end)

  it("no difference: control and verdict agree", function()
    local again = {}
    for i, pair in ipairs(outcomes_of(EQUAL)) do
      local flipped = i < 500 and i % 100 == 7 or i > 905 and i % 10 == 0 and i <= 950 -- five each way
      again[i] = row("base@control", "d", i, pair[1] ~= flipped)
    end
    local verdict = judge({ v = { d = EQUAL } }, { rows = again, control = { name = "base@control", share = 1, expected = { d = 1000 } } })
    assert.is_true(verdict.control.within)
    assert.equal(0.01, verdict.control.suite.flip_rate)
    assert.equal("within_rerun_noise", verdict.variants.v.behaviour.label)
    near(0, verdict.variants.v.behaviour.excess)
    assert.equal("ship", verdict.status)
    assert.equal("v", verdict.chosen)
  end)
end)

-- ---- one rule at a time ----------------------------------------------------------------------------------------

describe("the classes", function()
  it("are five", function()
    assert.equal("better", paired.class(0.001, 0.02, 0.01))
    assert.equal("non_inferior", paired.class(-0.009, 0, 0.01))
    assert.equal("lower_within_margin", paired.class(-0.009, -0.001, 0.01))
    assert.equal("inferior", paired.class(-0.05, -0.011, 0.01))
    assert.equal("inconclusive", paired.class(-0.01, 0.5, 0.01))
    assert.equal("inconclusive", paired.class(-0.02, -0.005, 0.01))
  end)

  it("never come from an interval of no width", function()
    local verdict = judge({ v = { a = { 50, 0, 0, 10 }, b = { 40, 0, 0, 20 } } })
    local suite = verdict.variants.v.suite
    assert(suite.interval_pt[1] < -1 and suite.interval_pt[2] > 1)
    assert.equal("inconclusive", verdict.variants.v.class)
  end)

  it("say what would settle an inconclusive one", function()
    local found = { n = 1000, difference = 0.002, lo = -0.022, hi = 0.026 }
    assert.same({ questions = 4000, repeats = 4 }, paired.needs(found, 0.01))
    assert.same({ never = true }, paired.needs({ n = 1000, difference = -0.01, lo = -0.03, hi = 0.01 }, 0.01))
  end)

  it("are by groups where there are groups, and not by a handful of them", function()
    local function groups(n)
      local options = { more = function(_, _, i) return { group = "g" .. i % n } end }
      return judge({ v = { d = { 800, 30, 20, 150 } } }, options).variants.v.datasets.d
    end
    local many, few = groups(20), groups(4)
    assert.equal("clustered", many.method)
    assert.equal(20, many.clusters)
    assert.is_not_nil(many.unclustered_interval_pt)
    assert.equal("tango", few.method)
  end)
end)

describe("a variant", function()
  local LOSS = { 880, 60, 10, 50 } -- -5 points

  it("passes only when no dataset alone is inferior", function()
    local verdict = judge({ v = { a = EQUAL, b = LOSS } }, { verdict = { margin_pt = 5 } })
    local entry = verdict.variants.v
    assert.equal("lower_within_margin", entry.class)
    assert.same({ "guardrail" }, { table.unpack(entry.failed) })
    assert.is_false(entry.passes)
    assert.equal("baseline", verdict.status)
    assert.equal("none_passes", verdict.reason)
  end)

  it("passes only within max_flips", function()
    assert.is_true(judge({ v = { d = EQUAL } }, { verdict = { max_flips = 0.02 } }).variants.v.passes)
    assert.same({ "max_flips" }, { table.unpack(judge({ v = { d = EQUAL } }, { verdict = { max_flips = 0.009 } }).variants.v.failed) })
  end)

  it("has several variants' chances allowed for (Holm)", function()
    local near_margin, RULE = { 893, 14, 13, 80 }, { verdict = { margin_pt = 1.2, margins_pt = { d = 5 } } } -- p just below alpha
    local alone = judge({ v = { d = near_margin } }, RULE)
    assert(alone.variants.v.suite.p_noninferior < 0.025, alone.variants.v.suite.p_noninferior)
    assert.is_true(alone.variants.v.passes)
    local both = judge({ v = { d = near_margin }, w = { d = near_margin } }, RULE)
    assert(both.variants.v.suite.p_holm > 0.025)
    assert.equal("inconclusive", both.variants.v.class)
    assert.is_true(both.variants.v.by_holm)
    assert.equal("inconclusive", both.status)
    assert.is_truthy(both.headline.en:find("once several variants are allowed for", 1, true))
  end)

  it("is compared without what the rule excludes", function()
    local verdict = judge({ v = { d = EQUAL } }, { verdict = { exclude = { "d/00001", "d/00904" } } })
    assert.equal(998, verdict.variants.v.datasets.d.pairs)
    assert.equal(9, verdict.variants.v.behaviour.flips)
  end)
end)

describe("the choice", function()
  local function faster(factors, more)
    return function(name)
      return { end_ns = math.floor(1e9 / factors[name]), start_ns = 0, latency_ns = math.floor(1e9 / factors[name]), ttft_ns = 1e6,
        text_sha256 = more }
    end
  end

  it("takes the best at the objective", function()
    local verdict = judge({ v = { d = EQUAL }, w = { d = EQUAL } }, { more = faster { base = 1, v = 1.2, w = 1.6 } })
    assert.equal("ship", verdict.status)
    assert.equal("w", verdict.chosen)
    assert.equal("objective", verdict.reason)
    near(1.6, verdict.serving.variants.w.throughput.ratio, 1e-6)
    assert.same({ "w" }, verdict.pareto.members)
    assert.is_truthy(verdict.headline.en:find("Ship w: ", 1, true))
    assert.is_truthy(verdict.headline.zh:find("建议部署 w：", 1, true))
  end)

  it("breaks a tie by fewer flips", function()
    local verdict = judge({ v = { d = { 897, 8, 8, 87 } }, w = { d = EQUAL } }, { more = faster { base = 1, v = 1.62, w = 1.6 } })
    assert.equal("w", verdict.chosen)
    assert.equal("tie_flips", verdict.reason)
  end)

  it("keeps the baseline where that is better", function()
    local verdict = judge({ v = { d = EQUAL } }, { more = faster { base = 1, v = 0.25 } })
    assert.equal("baseline", verdict.status)
    assert.equal("base", verdict.chosen)
    assert.equal("baseline_better", verdict.reason)
  end)

  it("says what was not measured", function()
    local verdict = judge({ v = { d = EQUAL }, w = { d = { 902, 3, 3, 92 } } }, { verdict = { objective = "energy" } })
    assert.equal("not_measured", verdict.reason)
    assert.is_nil(verdict.serving.variants.v.memory)
    local said = {}
    for i, sentence in ipairs(verdict.sentences) do said[i] = sentence.en end
    assert.is_truthy(table.concat(said, "\n"):find("Not measured: memory, energy per correct answer, cost", 1, true))
  end)

  it("counts the cost of a correct answer where a price is given", function()
    local verdict = judge({ v = { d = EQUAL } }, { verdict = { price_per_hour = { base = 3.6, v = 1.8 }, objective = "cost" } })
    near(0.5, verdict.serving.variants.v.cost.ratio, 1e-9)
    assert.is_truthy(verdict.headline.en:find("50 % less cost per correct answer", 1, true))
  end)
end)

-- ---- validity --------------------------------------------------------------------------------------------------

describe("no verdict is given", function()
  local function refused(code, options, variants)
    local verdict = judge(variants or { v = { d = EQUAL } }, options)
    local one = finding(verdict, code)
    assert(one, "no finding " .. code)
    assert.equal("refuses", one.severity)
    assert.equal("none", verdict.status)
    assert.is_nil(verdict.chosen)
    assert.is_nil(verdict.variants.v and verdict.variants.v.class)
    assert.is_truthy(verdict.headline.en:find("^No verdict: "))
    assert.is_truthy(verdict.headline.zh:find "^不给出结论：")
    return one
  end
  local function changed(of, field, value, only)
    return { change = function(rows)
      for _, r in ipairs(rows) do
        if r.variant == of and (not only or r.sample == only) then r[field] = value end
      end
    end }
  end

  it("where prompts differ", function() refused("prompts_differ", changed("v", "prompt_sha256", "other", "d/00003")) end)
  it("where the tokenizer counted differently", function()
    refused("prompt_tokens_differ", changed("v", "prompt_tokens", 11, "d/00003"))
  end)
  it("where too many requests failed", function()
    refused("error_rate", { change = function(rows)
      for i, r in ipairs(rows) do
        if r.variant == "v" and i % 50 == 1 then r.outcome = "timeout" end
      end
    end })
  end)
  it("where answers are missing", function()
    local one = refused("incomplete", { change = function(rows, run)
      run.datasets[1].expected = 1000
      for i = #rows, 1, -1 do
        if rows[i].variant == "v" and rows[i].sample > "d/00990" then table.remove(rows, i) end
      end
    end })
    assert.equal("v on d: 990 of 1,000 answers are there", one.text.en)
  end)
  it("where another question was asked", function() refused("questions_differ", changed("v", "sample", "d/x", "d/00003")) end)
  it("where a dataset was not asked at all", function()
    refused("no_answers", { change = function(rows)
      for i = #rows, 1, -1 do
        if rows[i].variant == "v" and rows[i].dataset == "e" then table.remove(rows, i) end
      end
    end }, { v = { d = EQUAL, e = EQUAL } })
  end)
  it("where the baseline itself is not credible", function() refused("baseline_low", { verdict = { min_baseline = { d = 0.95 } } }) end)
  it("where there is one variant only", function() refused("single_variant", { change = function(rows, run)
    run.variants[2] = nil
    for i = #rows, 1, -1 do
      if rows[i].variant == "v" then table.remove(rows, i) end
    end
  end }) end)
  it("where the control is not the baseline", function()
    local again = {}
    for i, pair in ipairs(outcomes_of(EQUAL)) do again[i] = row("base@control", "d", i, pair[1] and i % 20 ~= 0) end
    local one = refused("control_outside", { rows = again, control = { name = "base@control", share = 1, expected = { d = 1000 } } })
    assert.is_nil(one.variant)
  end)

  it("to one variant, while another one gets it", function()
    local verdict = judge({ v = { d = EQUAL }, w = { d = EQUAL } }, changed("v", "prompt_sha256", "other"))
    assert.is_nil(verdict.variants.v.class)
    assert.same({ "refused" }, { table.unpack(verdict.variants.v.failed) })
    assert.equal("ship", verdict.status)
    assert.equal("w", verdict.chosen)
  end)
end)

describe("a warning stays beside the verdict", function()
  it("where a rate differs", function()
    local verdict = judge({ v = { d = EQUAL } }, { change = function(rows)
      for _, r in ipairs(rows) do
        if r.variant == "v" and r.outcome == "wrong" then r.outcome = "no_answer" end
      end
    end })
    assert.equal("warns", finding(verdict, "invalid_differs").severity)
    assert.equal("ship", verdict.status)
    assert.is_true(verdict.rates[1].differs)
  end)

  it("where replies are cut off", function()
    local verdict = judge({ v = { d = EQUAL } }, { change = function(rows)
      for i, r in ipairs(rows) do r.finish = i % 90 == 0 and "length" or "stop" end
    end })
    assert.is_not_nil(finding(verdict, "truncated_high"))
  end)

  it("where the GPU stood idle while it was asked", function()
    local function with(utilisation)
      return judge({ v = { d = EQUAL } }, { change = function(_, run)
        run.telemetry = { facts = { source = "nvml", devices = {} }, phases = {}, rows = {
          { moment = "loaded", variant = "v", device = "A", record = { index = 0, used = true } },
          { moment = "phase", variant = "v", device = "A", phase = 1, record = { seconds = 20, utilisation_mean = utilisation } } } }
      end })
    end
    local found = finding(with(0.044), "device_idle")
    assert.equal("warns", found.severity)
    assert.equal("v", found.variant)
    assert.is_truthy(found.text.en:find("had work for 4.4 % of the time", 1, true), found.text.en)
    assert.is_nil(finding(with(0.5), "device_idle"))
  end)

  it("where the variants differ in more than they should", function()
    local verdict = judge({ v = { d = EQUAL } }, { change = function(_, run)
      run.variants[1].argv = { "serve", "model-a", "--port", "1", "--max-num-seqs", "256" }
      run.variants[2].argv = { "serve", "model-b", "--port", "2", "--max-num-seqs=64", "--enforce-eager" }
      run.variants[2].generation = { temperature = 0.7 }
    end })
    local paths = {}
    for _, one in ipairs(verdict.differences) do paths[#paths + 1] = one.path .. (one.expected and "" or "!") end
    assert.equal("argv.--enforce-eager! argv.--max-num-seqs! generation.temperature! argv.2", table.concat(paths, " "))
    assert.is_truthy(finding(verdict, "unexpected_differences").text.en:find("generation.temperature", 1, true))
  end)
end)

-- ---- gates, readings, health ---------------------------------------------------------------------------------

describe("gates", function()
  local function gates(list, variants, options)
    options = options or {}
    options.verdict = { gates = list }
    local verdict, doc = judge(variants or { v = { d = EQUAL } }, options)
    local result = {}
    for i, gate in ipairs(verdict.gates) do result[i] = gate.ok end
    return result, verdict.gates, doc
  end

  it("hold or fail", function()
    assert.same({ true }, (gates { { gate = "non_inferior", variant = "v" } }))
    assert.same({ true, true }, (gates { { gate = "accuracy", dataset = "d", at_least = 0.9 } }))
    assert.same({ false }, (gates { { gate = "accuracy", variant = "v", at_least = 0.99 } }))
    assert.same({ true }, (gates { { gate = "flips", at_most = 0.01 } }))
    assert.same({ false }, (gates { { gate = "flips", at_most = 0.009 } }))
    assert.same({ true }, (gates { { gate = "error_rate", variant = "v", at_most = 0 } }))
    assert.same({ true }, (gates { { gate = "verdict" } }))
    assert.same({ false }, (gates({ { gate = "non_inferior" } }, { v = { d = { 800, 100, 0, 100 } } })))
  end)

  it("that cannot be judged have failed", function()
    local result, list = gates { { gate = "accuracy", variant = "fp9", at_least = 0.1 }, { gate = "flips" } }
    assert.same({ false, false }, result)
    assert.is_truthy(list[1].text.en:find("nothing to judge", 1, true))
    assert.is_truthy(list[2].text.en:find("at_least or at_most", 1, true))
  end)

  it("end the run with an error that names them", function()
    local _, _, doc = gates { { gate = "accuracy", variant = "v", dataset = "d", at_least = 0.99 } }
    local code, err = require("qlua.gates").check(doc, 0)
    assert.is_nil(code)
    assert.equal("gate", err.kind)
    assert.is_truthy(err.text:find("gate accuracy:", 1, true))
    assert.equal(0, require("qlua.gates").check({ verdict = { gates = {} } }, 0))
  end)
end)

describe("other readings", function()
  it("hold scorers, usable pairs, whole pairs and thirds by length", function()
    local verdict = judge({ v = { d = EQUAL } }, { change = function(rows, run)
      run.datasets[1].scorers = { "s", "strict" }
      for i, r in ipairs(rows) do
        local number = tonumber(r.sample:match "%d+$")
        local is_lost = r.variant == "v" and number <= 30
        r.scores = { s = { outcome = r.outcome }, strict = { outcome = is_lost and "no_answer" or r.outcome } }
        r.input_chars = number
        r.finish = i % 100 == 0 and "length" or "stop"
      end
    end })
    local by_name = {}
    for _, reading in ipairs(verdict.sensitivity) do by_name[reading.name] = reading end
    near(0, by_name.s.difference_pt)
    near(-3, by_name.strict.difference_pt)
    assert(by_name.without_truncated.pairs < 1000)
    assert.equal(333, by_name["1..333"].pairs)
    assert.equal(334, by_name["667..1000"].pairs)
  end)

  it("show groups as a funnel, of which few stand out", function()
    local verdict = judge({ v = { d = { 800, 40, 10, 150 } } }, { more = function(_, _, i)
      return { group = i > 800 and i <= 830 and "bad" or "g" .. i % 20 }
    end })
    local out = {}
    for _, group in ipairs(verdict.funnel.d) do
      if group.stands_out then out[#out + 1] = group.group end
    end
    assert.same({ "bad" }, out)
    assert(verdict.funnel_limits.d[1].hi_pt > verdict.funnel_limits.d[#verdict.funnel_limits.d].hi_pt)
  end)
end)

describe("health", function()
  it("knows a loop from a list", function()
    assert.is_true(health.is_loop("So the answer is " .. ("I think so. "):rep(20)))
    assert.is_true(health.is_loop(("0"):rep(300)))
    assert.is_false(health.is_loop "Step 1: 2 + 2 = 4\nStep 2: 4 + 4 = 8\nStep 3: 8 + 8 = 16\nStep 4: 16 + 16 = 32\n#### 32")
    assert.is_false(health.is_loop(""))
    assert.is_false(health.is_loop "ha ha ha ha ha ha")
  end)

  it("knows a change of language from a name or a formula", function()
    assert.is_true(health.is_switched("How many eggs?", "首先，我们计算鸡蛋的数量。"))
    assert.is_false(health.is_switched("How many eggs?", "The brand 鸡蛋 sells 12."))
    assert.is_true(health.is_switched("一共有多少个鸡蛋？请逐步推理。", "First we count all of the eggs that are left over for sale."))
    assert.is_false(health.is_switched("一共有多少个鸡蛋？", "x = 12"))
  end)

  it("counts by variant and dataset, and flags what chance does not explain", function()
    local counts = health.count(fixture.each { { variant = "v", dataset = "d", text = ("no "):rep(100), prompt = "?" },
      { variant = "v", dataset = "d", text = "12", prompt = "?" } })
    assert.same({ texts = 2, loops = 1, switched = 0 }, counts.v.d)
    local verdict = judge({ v = { d = EQUAL } }, { change = function(rows, run)
      run.health = { base = { d = { texts = 1000, loops = 1, switched = 0 } }, v = { d = { texts = 1000, loops = 30, switched = 2 } } }
      for _, r in ipairs(rows) do
        if r.variant == "v" then r.completion_tokens = 30 end
      end
    end })
    assert.same({ "loops", "longer" }, { table.unpack(verdict.health[2].flags) })
    near(1.5, verdict.health[2].length_ratio)
  end)

  it("sees letters that a variant takes too often", function()
    local verdict = judge({ v = { d = EQUAL } }, { change = function(rows, run)
      run.datasets[1].mode = "letter"
      for _, r in ipairs(rows) do
        local number = tonumber(r.sample:match "%d+$")
        r.value = ("ABCD"):sub(number % 4 + 1, number % 4 + 1)
        if r.variant == "v" and number % 16 == 0 then r.value = "B" end
      end
    end })
    assert.same({ "letters" }, { table.unpack(verdict.health[2].flags) })
    assert(verdict.health[2].letters.B > verdict.health[2].letters_baseline.B)
  end)
end)

-- ---- the contract with layouts -----------------------------------------------------------------------------------

describe("the fixture for layouts", function()
  -- Names of fields; keys of maps by variant, dataset, axis, letter or setting are data.
  local FREE = { variants = true, datasets = true, values = true, letters = true, letters_baseline = true, funnel = true,
    funnel_limits = true, plan = true, dominated = true, serving = true }

  local function collect(value, name, names)
    if type(value) ~= "table" then return names end
    for key, item in pairs(value) do
      if type(key) == "string" and not FREE[name] then names[key] = true end
      collect(item, type(key) == "string" and not FREE[name] and key or FREE[name] and "" or name, names)
    end
    return names
  end

  it("has no field that the real verdict does not have", function()
    local real = {}
    collect(summary.build(fixture.each(fixture.list()), fixture.run()).verdict, "verdict", real)
    collect(judge({ v = { d = EQUAL } }, { more = function(_, _, i) return { group = "g" .. i % 20 } end }), "verdict", real)
    for name in pairs { chosen = 1, reason = 1, interval = 1, limit = 1, value = 1 } do real[name] = true end
    for name in pairs(collect(verdict_fixture.verdict(), "verdict", {})) do
      assert(real[name], "the verdict has no field " .. name)
    end
  end)

  it("is set by every layout", function()
    local page, registry = require "qlua.page", require "qlua.registry"
    for _, name in ipairs { "markdown", "terminal" } do
      local text = page.set(assert(registry.load("report", name)), verdict_fixture.summary(), { language = "both", width = 100 })
      assert.is_truthy(text:find("Ship fp8", 1, true))
      assert.is_truthy(text:find("建议部署 fp8", 1, true))
    end
  end)
end)
