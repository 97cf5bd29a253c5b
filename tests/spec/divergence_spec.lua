-- SPDX-License-Identifier: Apache-2.0
local fixture = require "report_fixture"
local json = require "qlua.core.json"
local page = require "qlua.page"
local registry = require "qlua.registry"
local summary = require "qlua.summary"

local function near(want, got) assert(math.abs(want - got) <= 1e-9, ("want %s, got %s"):format(want, got)) end

local function logs(probabilities)
  local list = {}
  for token, p in pairs(probabilities) do list[token] = math.log(p) end
  return json.encode(list)
end

local function row(variant, i, probabilities, more)
  local one = { variant = variant, dataset = "d", sample = ("d/%04d"):format(i), outcome = "correct", value = "A", tries = 1,
    prompt_sha256 = "p" .. i, candidates = probabilities and logs(probabilities) }
  for key, value in pairs(more or {}) do one[key] = value end
  return one
end

local function run(mode, control)
  local variants = {}
  for i, name in ipairs { "base", "v" } do variants[i] = { name = name, description = { en = name, zh = name } } end
  return { id = "r", baseline = "base", model = "m", variants = variants, control = control and { name = "base@control", share = 1 },
    config = { verdict = {}, benchmark = { max_error_rate = 0.01 } },
    datasets = { { name = "d", headline_scorer = "s", scorers = { "s" }, mode = mode or "letter" } } }
end

local function build(rows, mode, control) return summary.build(fixture.each(rows), run(mode, control)) end

local function divergence_of(doc) return doc.verdict.variants.v.behaviour.datasets.d.divergence end

local function reversed(rows)
  local out = {}
  for i = #rows, 1, -1 do out[#out + 1] = rows[i] end
  return out
end

-- Question 1: a variant that says the same. 2: KL({.8, .1, rest .1} ‖ {.6, .3, rest .1}), the same first. 3: {.6, .4} turned round.
local P, Q = { A = 0.8, B = 0.1 }, { A = 0.6, B = 0.3 }
local MOVED = 0.8 * math.log(0.8 / 0.6) + 0.1 * math.log(0.1 / 0.3)
local TURNED = 0.2 * math.log(0.6 / 0.4)

local function planted()
  return { row("base", 1, P), row("base", 2, P), row("base", 3, { A = 0.6, B = 0.4 }),
    row("v", 1, P), row("v", 2, Q), row("v", 3, { A = 0.4, B = 0.6 }) }
end

describe("divergence", function()
  it("is the planted one", function()
    local found = divergence_of(build(planted()))
    near((0 + MOVED + TURNED) / 3, found.mean_nats)
    near(2 / 3, found.same_top)
    near(0.2 / 3, found.uncovered)
    local sorted = { 0, MOVED, TURNED }
    table.sort(sorted)
    near(sorted[2] + 0.9 * (sorted[3] - sorted[2]), found.p95_nats)
    assert.same({ 3, true }, { found.questions, found.weak })
    assert.is_nil(found.p99_nats) -- of three questions there is none
    assert(found.same_top_interval[1] < 2 / 3 and 2 / 3 < found.same_top_interval[2])
  end)

  it("joins what only one side names with the rest, and is a lower bound then", function()
    local base, other = { A = 0.7, B = 0.2, C = 0.1 }, { A = 0.5, B = 0.3, D = 0.2 }
    local found = divergence_of(build { row("base", 1, base), row("v", 1, other) })
    local bound = 0.7 * math.log(0.7 / 0.5) + 0.2 * math.log(0.2 / 0.3) + 0.1 * math.log(0.1 / 0.2)
    near(bound, found.mean_nats)
    near(0.1, found.uncovered)
    local whole = 0.7 * math.log(0.7 / 0.5) + 0.2 * math.log(0.2 / 0.3) + 0.1 * math.log(0.1 / 0.05) -- C has a quarter of that rest
    assert(found.mean_nats < whole)
  end)

  it("does not depend on the order of the rows", function()
    local forward, backward = build(planted(), nil), build(reversed(planted()), nil)
    assert.same(divergence_of(forward), divergence_of(backward))
  end)

  it("has the baseline's second pass as its floor", function()
    local rows = planted()
    for i = 1, 3 do rows[#rows + 1] = row("base@control", i, i == 2 and Q or i == 1 and P or { A = 0.6, B = 0.4 }) end
    local floor = build(rows, nil, true).verdict.control.datasets.d.divergence
    near(MOVED / 3, floor.mean_nats)
    assert.same({ 3, 1 }, { floor.questions, floor.same_top })
  end)

  it("has a 99th percentile from a hundred questions on, and is not weak where all is covered", function()
    local rows = {}
    for i = 1, 100 do
      rows[#rows + 1] = row("base", i, { A = 0.5, B = 0.495 })
      rows[#rows + 1] = row("v", i, i <= 4 and { A = 0.495, B = 0.5 } or { A = 0.5, B = 0.495 })
    end
    local found = divergence_of(build(rows))
    near(0.005 * math.log(0.5 / 0.495), found.p99_nats)
    near(0, found.p95_nats)
    near(0.96, found.same_top)
    assert.is_false(found.weak)
  end)

  it("counts a question once however often it was asked", function()
    local rows = {}
    for turn = 0, 1 do
      for i = 1, 2 do
        rows[#rows + 1] = row("base", i, P, { repeat_index = turn })
        rows[#rows + 1] = row("v", i, i == 1 and turn == 1 and Q or P, { repeat_index = turn })
      end
    end
    local found = divergence_of(build(rows))
    near(MOVED / 4, found.mean_nats)
    assert.equal(2, found.questions)
  end)

  it("compares at the same prompt only, and what both answered", function()
    local rows = planted()
    rows[5].prompt_sha256, rows[6].outcome = "another", "timeout"
    assert.equal(1, divergence_of(build(rows)).questions)
  end)

  it("is absent where no candidates are known, and nothing is said of it", function()
    local rows = planted()
    for _, one in ipairs(rows) do one.candidates = nil end
    local doc = build(rows, "loglikelihood")
    assert.is_nil(divergence_of(doc))
    local text = page.set(assert(registry.load("report", "markdown")), doc, { language = "both" })
    assert.is_nil(text:find("Same top", 1, true))
    assert.is_truthy(page.set(assert(registry.load("report", "markdown")), build(planted()), { language = "both" }):find("首选一致率", 1, true))
  end)

  it("is absent where only the variant has candidates", function()
    local rows = planted()
    for i = 1, 3 do rows[i].candidates = nil end
    assert.is_nil(divergence_of(build(rows)))
  end)
end)
