-- SPDX-License-Identifier: Apache-2.0
--- Questions asked several times, and questions whose choices are turned: what is asked, kept, counted and reported.
local json = require "qlua.core.json"
local support = require "support"

local function run(dataset, dataset_fields, options)
  local path = support.config(support.folder(), { sim = "sampled_flip: { default: 0.3 }" })
  local words = { dataset, "--config", path, "--limit", "16", "--set", "generation.temperature=0.7" }
  for _, word in ipairs(dataset_fields) do words[#words + 1] = word end
  return support.run(support.folder(), words, options)
end

describe("a question asked four times", function()
  it("is asked with four seeds, resumed without asking again, and counted as pass@k and maj@k", function()
    local result = run("gsm8k", { "--set", "benchmark.repeats=4" })
    assert.equal(0, result.code)
    local rows = support.rows(result.dir,
      "SELECT DISTINCT json_extract(params, '$.seed') AS seed FROM request WHERE sample <> '' ORDER BY 1")
    assert.same({ { seed = 1 }, { seed = 2 }, { seed = 3 }, { seed = 4 } }, rows)
    assert.equal(64, #support.rows(result.dir, "SELECT sample FROM answer"))

    local right, ever = {}, 0
    for _, row in ipairs(support.rows(result.dir, "SELECT sample, sum(outcome = 'correct') AS n FROM answer GROUP BY sample")) do
      right[#right + 1], ever = row.n, ever + (row.n > 0 and 1 or 0)
    end
    local found, total = support.results(result.dir).variants.one.datasets.gsm8k.repeated, 0
    for _, n in ipairs(right) do total = total + n end
    assert.same({ 1, 2, 4 }, { found.at[1].k, found.at[2].k, found.at[3].k })
    assert.near(total / 64, found.at[1].pass, 1e-12)
    assert.near(ever / 16, found.at[3].pass, 1e-12)
    assert.is_true(found.mixed > 0)
    assert.matches("pass@k", support.read(result.dir .. "/reports/evaluation_report_en.md"))

    local requests = #support.rows(result.dir, "SELECT id FROM request")
    assert.equal(0, support.qlua({ "run", "--resume", result.dir }).code)
    assert.equal(requests, #support.rows(result.dir, "SELECT id FROM request"))
    local again = support.qlua { "rescore", result.dir }
    assert.matches("64 answers, 0 changed", again.out)
    support.clean()
  end)
end)

describe("questions whose choices are turned", function()
  it("are asked in every turn, kept apart, and say how often the choice goes with its content", function()
    local result = run("mmlu", { "--set", "datasets.mmlu.permute=0.5" })
    assert.equal(0, result.code)
    assert.equal(16, #support.rows(result.dir, "SELECT sample FROM answer WHERE dataset = 'mmlu'"))
    assert.equal(24, #support.rows(result.dir, "SELECT sample FROM answer WHERE dataset = 'mmlu@turned'"))
    local doc = support.results(result.dir)
    assert.same({ "mmlu" }, doc.dataset_order)

    -- Each turned question's letter stands for another choice: back to the first order by hand.
    local picked = {}
    for _, row in ipairs(support.rows(result.dir, [[SELECT dataset, sample, value FROM answer WHERE dataset = 'mmlu@turned'
        OR sample IN (SELECT substr(sample, 1, instr(sample, '~') - 1) FROM answer WHERE dataset = 'mmlu@turned')]])) do
      local id, turn = row.sample:match "^(.*)~(%d)$"
      id, turn = id or row.sample, tonumber(turn or 0)
      picked[id] = picked[id] or {}
      picked[id][(row.value:byte() - 65 + turn) % 4] = true
    end
    local same, all = 0, 0
    for _, choices in pairs(picked) do
      local count = 0
      for _ in pairs(choices) do count = count + 1 end
      same, all = same + (count == 1 and 1 or 0), all + 1
    end
    local turned = doc.variants.one.datasets.mmlu.turned
    assert.same({ 8, 32 }, { turned.questions, turned.turns })
    assert.equal(all, 8)
    assert.near(same / 8, turned.consistent, 1e-12)
    assert.matches("Choices at other places", support.read(result.dir .. "/reports/evaluation_report_en.md"))
    assert.is_truthy(json.decode(support.read(result.dir .. "/evaluation_results.json")))
    support.clean()
  end)
end)
