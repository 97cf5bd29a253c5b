-- SPDX-License-Identifier: Apache-2.0
local compare = require "qlua.compare"
local control = require "qlua.control"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local run_store = require "qlua.run_store"
local sys = require "qlua.core.sys"
local truth = require "qlua.sim.truth"

local scratch = ("%s/qlua-compare-%d"):format(sys.env "TMPDIR" or "/tmp", sys.pid())

setup(function() assert(file.make_dir(scratch)) end)
teardown(function() proc.run { argv = { "rm", "-rf", scratch } } end)

-- ---- runs --------------------------------------------------------------------------------------------------------

local QUESTIONS = 200

-- A finished run's folder with one dataset `d`; `right(variant, i)` says who is right where.
local function write_run(name, variants, options)
  options = options or {}
  local dir = scratch .. "/" .. name
  assert(file.make_dir(dir))
  local store = assert(run_store.open(dir))
  store:open_session("2026-11-23T10:00:00Z", {})
  local config = { model = { base_name = "m", variants = {} }, report = {}, verdict = {}, benchmark = {}, generation = {} }
  for i, variant in ipairs(variants) do
    config.model.variants[i] = { name = variant, server = {} }
    store:put_variant(variant, i, "identity", { description = { en = variant, zh = variant },
      generation = options.generation or { seed = 1 } })
  end
  store:put_dataset("d", 1, { mode = "generate", shots = options.shots or 0, split = "test", headline_scorer = "s", scorers = { "s" } })
  local scripts = { ["scorer.s"] = { sha256 = options.scorer or "abc" } }
  for key, value in pairs { manifest = { scripts = scripts, servers = {} }, config = config, simulated = false, started_at = "x" } do
    store:meta(key, value)
  end
  for i = 1, options.questions or QUESTIONS do
    local prompt = (options.prompt or "p") .. i
    store:put_sample("d", { id = "d/" .. i, index = i, input = "q", row_sha256 = "r" .. i }, prompt)
    for _, variant in ipairs(variants) do
      local right = options.right(variant, i)
      store:put_answer { variant = variant, dataset = "d", sample = "d/" .. i, repeat_index = 0, identity = "i", prompt_sha256 = prompt,
        outcome = right and "correct" or "wrong", score = right and 1 or 0, value = right and "1" or "0", text = "text " .. i,
        text_sha256 = "t" .. i, tries = 1, scores = { s = { outcome = right and "correct" or "wrong", score = right and 1 or 0 } } }
    end
  end
  store:commit()
  store:close()
  return dir
end

-- base is right on nine of ten; loss takes further ones away from a variant
local function right_with(losses)
  return function(variant, i) return i % 10 ~= 0 and i > (losses[variant] or 0) end
end

describe("qlua compare", function()
  local a, b

  setup(function()
    a = write_run("monday", { "base", "fp8" }, { right = right_with {} })
    b = write_run("tuesday", { "base", "awq" }, { right = right_with { awq = 40 } })
  end)

  it("puts runs of different days beside each other", function()
    local doc = assert(compare.build({ a, b }, {}))
    assert.same({ "base", "fp8", "tuesday:base", "awq" }, { table.unpack(doc.variant_order) })
    assert.equal("base", doc.baseline)
    assert.equal(200, doc.variants.awq.datasets.d.against_baseline.pairs)
    assert.equal(36, doc.variants.awq.datasets.d.against_baseline.correct_to_wrong)
    assert.equal(0, doc.variants["tuesday:base"].datasets.d.against_baseline.flips)
    assert.equal("inferior", doc.verdict.variants.awq.class)
    assert.equal("monday + tuesday", doc.run.id)
    assert.equal(2, #doc.compared)
  end)

  it("takes another baseline and another margin", function()
    local doc = assert(compare.build({ a, b }, { baseline = "awq", margin_pt = 3 }))
    assert.equal("better", doc.verdict.variants.fp8.class)
    assert.equal(3, doc.verdict.plan.margin_pt)
    local none, err = compare.build({ a, b }, { baseline = "bf16" })
    assert.is_nil(none)
    assert.equal("usage", err.kind)
    assert.is_truthy(err.hint:find("awq", 1, true))
  end)

  it("is a page, a results file and an exit code", function()
    local command = require "qlua.cli.compare"
    local out, results = scratch .. "/page.md", scratch .. "/results.json"
    assert.equal(0, command.run({ language = "both", out = out, results = results }, { a, b }))
    assert.is_truthy(assert(file.read(out)):find("monday + tuesday", 1, true))
    assert.equal("base", assert(json.decode(assert(file.read(results)))).baseline)
  end)

  local function refused(options, want)
    options.right = right_with {}
    local other = write_run("other " .. want:gsub("%W", "_"), { "base" }, options)
    local doc, err = compare.build({ a, other }, {})
    assert.is_nil(doc)
    assert.equal("data", err.kind)
    local all = { err.text }
    for _, more in ipairs(err.others) do all[#all + 1] = more.text end
    assert.is_truthy(table.concat(all, "\n"):find(want, 1, true), table.concat(all, "\n"))
    return all
  end

  it("refuses what is not comparable, item by item", function()
    refused({ questions = 150 }, "different questions: 50 only in the one, 0 only in the other (200 and 150 in all)")
    refused({ prompt = "other" }, "200 of 200 prompts differ")
    refused({ shots = 5 }, "shots differs: 0, 5")
    refused({ generation = { seed = 2 } }, "sampling of 'base' differs")
    refused({ scorer = "def" }, "scorer 's' has changed between the two")
    assert.equal(3, #refused({ questions = 199, shots = 1, scorer = "x" }, "different questions"))
  end)

  it("refuses what is neither a run nor samples", function()
    local doc, err = compare.build({ a, scratch }, {})
    assert.is_nil(doc)
    assert.equal("usage", err.kind)
    doc, err = compare.build({ a, scratch .. "/nothing" }, {})
    assert.is_nil(doc)
    assert.is_truthy(err.text:find("no such file", 1, true))
  end)
end)

-- ---- samples of lm-eval ------------------------------------------------------------------------------------------

local function sample_row(doc_id, filter, score, more)
  local row = { doc_id = doc_id, doc = { question = ("q"):rep(doc_id + 1) }, target = "1", resps = { { "text " .. doc_id } },
    filtered_resps = { score == 1 and "1" or "[invalid]" }, filter = filter, metrics = { "exact_match" }, exact_match = score,
    arguments = { gen_args_0 = { arg_0 = "prompt", arg_1 = { ["until"] = { "Q" }, max_gen_toks = 256 } } },
    doc_hash = "d" .. doc_id, prompt_hash = "p" .. doc_id, target_hash = "t" .. doc_id }
  for key, value in pairs(more or {}) do row[key] = value end
  return json.encode(row)
end

local function write_samples(model, rows, task)
  local dir = scratch .. "/" .. model
  assert(file.make_dir(dir))
  local path = ("%s/samples_%s_2026-11-23T10-00-00.000000.jsonl"):format(dir, task or "gsm8k")
  assert(file.write(path, table.concat(rows, "\n") .. "\n"))
  return dir, path
end

describe("qlua compare with exported samples", function()
  local function both_filters(wrong)
    local rows = {}
    for _, filter in ipairs { "strict-match", "flexible-extract" } do
      for i = 0, 99 do rows[#rows + 1] = sample_row(i, filter, wrong(i, filter) and 0 or 1) end
    end
    return rows
  end

  it("reads every filter as a scorer, and one answer per document", function()
    local bf16 = write_samples("bf16", both_filters(function(i) return i < 10 end))
    local _, awq = write_samples("awq", both_filters(function(i, filter) return i < (filter == "strict-match" and 20 or 12) end))
    local doc = assert(compare.build({ bf16, awq }, {}))
    assert.same({ "bf16", "awq" }, { table.unpack(doc.variant_order) })
    local cell = doc.variants.awq.datasets.gsm8k
    assert.equal(100, cell.num_total)
    assert.equal(80, cell.num_correct)
    assert.equal(20, cell.outcomes.no_answer)
    assert.equal(88, cell.scorers["exact_match,flexible-extract"].num_correct)
    assert.equal(1, cell.against_baseline.identical_share)
    assert.equal("inferior", doc.verdict.variants.awq.class)
    local by_name = {}
    for _, reading in ipairs(doc.verdict.sensitivity) do by_name[reading.name] = reading.difference_pt end
    assert(math.abs(by_name["exact_match,flexible-extract"] + 2) < 1e-9)
  end)

  it("gathers the subjects of one benchmark, and prefers acc_norm", function()
    local function rows(subject, wrong)
      local list = {}
      for i = 0, 9 do
        list[i + 1] = sample_row(i, "none", nil, { doc = { question = "?", subject = subject }, metrics = { "acc", "acc_norm" }, acc = 1,
          acc_norm = i < wrong and 0 or 1, resps = { { { "-1.0", "False" } } }, filtered_resps = { { "-1.0", "False" } },
          doc_hash = subject .. i, prompt_hash = subject .. i })
      end
      return list
    end
    local dir = write_samples("base", rows("anatomy", 1), "mmlu_anatomy")
    write_samples("base", rows("world_religions", 2), "mmlu_world_religions")
    local other = write_samples("quant", rows("anatomy", 3), "mmlu_anatomy")
    write_samples("quant", rows("world_religions", 2), "mmlu_world_religions")
    local doc = assert(compare.build({ dir, other }, {}))
    assert.same({ "mmlu" }, { table.unpack(doc.dataset_order) })
    assert.equal(17, doc.variants.base.datasets.mmlu.num_correct)
    assert.equal(7, doc.variants.quant.datasets.mmlu.groups.anatomy.num_correct)
    assert.equal("loglikelihood", doc.datasets.mmlu.mode)
  end)

  it("refuses other documents, other prompts and other sampling", function()
    local base = write_samples("m1", both_filters(function() return false end))
    local rows = {}
    for i = 0, 98 do
      rows[#rows + 1] = sample_row(i, "strict-match", 1, { prompt_hash = "x" .. i,
        arguments = { gen_args_0 = { arg_0 = "prompt", arg_1 = { max_gen_toks = 512 } } } })
    end
    local other = write_samples("m2", rows)
    local doc, err = compare.build({ base, other }, {})
    assert.is_nil(doc)
    local all = err.text .. "\n" .. err.others[1].text .. "\n" .. err.others[2].text
    for _, want in ipairs { "1 only in the one", "99 of 100 prompts differ", "sampling differs" } do
      assert.is_truthy(all:find(want, 1, true), all)
    end
  end)

  it("names file and line of what is no sample", function()
    local dir, path = write_samples("broken", { sample_row(0, "strict-match", 1), "{}" })
    local doc, err = compare.build({ dir, dir }, {})
    assert.is_nil(doc)
    assert.equal("data", err.kind)
    assert.equal(path .. ":2: no doc_id: not a file of samples", err.text)
  end)
end)

-- ---- the control ---------------------------------------------------------------------------------------------------

describe("the control", function()
  local function made(share, size)
    return { config = { benchmark = { control = share }, report = {}, generation = { seed = 42 },
        model = { variants = { { name = "base" } } } },
      variants = { { name = "base", variant = { name = "base", identity = "x", model = "m" } } },
      datasets = { { name = "d", task = { name = "d", size = function() return size end, sample = function(_, i) return i end,
        prompt = function(_, i) return i end } } } }
  end

  it("is off unless asked for", function() assert.is_nil(control.of(made(0, 10))) end)

  it("asks all questions, or a share that anyone can draw again", function()
    assert.equal(10, control.of(made(1, 10)).datasets[1].task:size())
    local one, two = control.of(made(0.25, 100)), control.of(made(0.25, 100))
    local task, before = one.datasets[1].task, -1
    assert.equal(25, task:size())
    assert.equal("d", task.name)
    for i = 0, 24 do
      assert.equal(task:sample(i), two.datasets[1].task:prompt(i))
      assert(task:sample(i) > before)
      before = task:sample(i)
    end
    assert(before > 25)
    assert.same({ d = 25 }, one.record.expected)
  end)

  it("has an identity of its own, and is otherwise the baseline", function()
    local one = control.of(made(1, 10)).one
    assert.equal("base@control", one.variant.name)
    assert(one.variant.identity ~= "x")
    assert.equal("m", one.variant.model)
    assert.equal("control", one.pass)
  end)
end)

describe("a simulated rerun", function()
  it("changes the share that was planted, as many one way as the other", function()
    local plan = { seed = 3, variant = "base", invalid = {}, rerun_flip = { d = 0.1 } }
    local again = setmetatable({ is_rerun = true }, { __index = plan })
    local lost, won, same = 0, 0, 0
    for i = 1, 4000 do
      local first, second = truth.outcome(plan, "d", "d/" .. i, 0.8, true), truth.outcome(again, "d", "d/" .. i, 0.8, true)
      if first == second then same = same + 1 elseif first == "correct" then lost = lost + 1 else won = won + 1 end
      assert.equal(second, truth.outcome(again, "d", "d/" .. i, 0.8, true))
      assert.equal(first, truth.outcome(again, "other", "d/" .. i, 0.8, true) and first)
    end
    for _, flips in ipairs { lost, won } do assert(math.abs(flips - 200) < 4 * math.sqrt(200), flips) end
    assert.equal(4000, lost + won + same)
  end)
end)
