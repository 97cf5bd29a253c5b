-- SPDX-License-Identifier: Apache-2.0
--- The shipped scorers: every row of the table of one reply and several extractors, their own examples, and the metrics
-- of log-likelihoods.
local examples = require "qlua.examples"
local file = require "qlua.core.file"
local q = require "qlua"
local sandbox = require "qlua.sandbox"

local rows = assert(loadfile "tests/cases/extract_e1.lua")()

local function scorer(name)
  local path = "lua/scorers/" .. name:gsub("%.", "/") .. ".lua"
  local script = assert(sandbox.load(assert(file.read(path)), path, "lua/scorers"))
  script.path = path
  return script
end

-- value or outcome, and right or not
local function judged(script, response, sample)
  local answer, reason = script.extract(response, sample)
  if not answer then return reason, false end
  local score = script.score(answer, sample)
  if type(score) == "table" then score = score.value end
  return answer.value, score == 1
end

local COT = [[The answer is (\-?[0-9\.\,]+).]]
local CLEANED = { ignore_case = true, regexes_to_ignore = { ",", "\\$", "(?s).*#### ", "\\.$" } }

-- What the reference harness compared, "[invalid]" where its pattern found nothing.
local function compared(answer, gold)
  if not answer then return "[invalid]", false end
  local is_right, value = q.extract.exact_match(answer.value, gold, CLEANED)
  return value, is_right
end

local function check_reference(name, column)
  local script = scorer(name)
  for _, row in ipairs(rows) do
    local answer = script.extract({ text = row.text }, {})
    local value, is_right = compared(answer, row.gold)
    assert.are.equal(row[column][1], value, row.text)
    assert.are.equal(row[column][2], is_right, row.text)
    local _, scored_right = judged(script, { text = row.text }, { target = row.gold })
    assert.are.equal(row[column][2], scored_right, row.text)
  end
end

describe("one reply, several extractors", function()
  it("has all 25 rows", function() assert.are.equal(25, #rows) end)

  it("lm_eval.gsm8k_strict gives what the reference's strict filter gives", function()
    check_reference("lm_eval.gsm8k_strict", "strict")
  end)

  it("lm_eval.gsm8k_flexible gives what the reference's flexible filter gives", function()
    check_reference("lm_eval.gsm8k_flexible", "flexible")
  end)

  it("q.extract.regex gives what the reference's cot filter gives", function()
    for _, row in ipairs(rows) do
      local value, is_right = compared(q.extract.regex(row.text, COT), row.gold)
      assert.are.equal(row.cot[1], value, row.text)
      assert.are.equal(row.cot[2], is_right, row.text)
    end
  end)

  it("number is right wherever a right answer exists", function()
    local script = scorer "number"
    for _, row in ipairs(rows) do
      local value, is_right = judged(script, { text = row.text }, { target = row.gold })
      if row.number == true then
        assert.is_true(is_right, ("%s: got %s"):format(row.text, value))
      else
        assert.are.equal(row.number, value, row.text)
      end
    end
  end)

  it("the comparison takes the whole worked solution as reference too", function()
    local is_right = q.extract.exact_match("18", "16 - 3 - 4 = <<16-3-4=9>>9\n#### 18", CLEANED)
    assert.is_true(is_right)
    assert.is_true((q.extract.exact_match("1000", "so\n#### 1,000", CLEANED)))
    assert.is_false((q.extract.exact_match("18", "so\n#### 180", CLEANED)))
  end)
end)

describe("the shipped scorers", function()
  for _, name in ipairs { "number", "letter", "loglikelihood", "exact", "regex", "lm_eval.gsm8k_strict",
                          "lm_eval.gsm8k_flexible" } do
    it("hold their examples: " .. name, function()
      local script = scorer(name)
      assert.are.equal(name, script.name)
      local passed, failures = examples.run(script, "scorer", function() return nil end)
      assert.are.same({}, failures)
      assert.are.equal(#script.examples, passed)
      assert.is_true(passed >= 3)
    end)
  end
end)

describe("loglikelihood", function()
  local script = scorer "loglikelihood"
  local sample = { choices = { "aaaaaaaaaa", "é", "bb" }, target = 1, meta = {} }
  local response = { choices = { { sum = -10.0 }, { sum = -1.5 }, { sum = -1.4 } } }

  it("counts code points for acc_norm and bytes for acc_bytes", function()
    local answer = assert(script.extract(response, sample))
    assert.are.same({ acc = 2, acc_norm = 2, acc_bytes = 2 }, answer.picks)
    -- per byte -1.0, -0.95, -1.0; per character -1.0, -1.9, -1.0
    local mixed = { choices = { { sum = -10.0 }, { sum = -1.9 }, { sum = -2.0 } } }
    assert.are.same({ acc = 1, acc_norm = 0, acc_bytes = 1 }, script.extract(mixed, sample).picks)
  end)

  it("takes the headline the dataset names and gives all three metrics", function()
    local mixed = { choices = { { sum = -10.0 }, { sum = -1.9 }, { sum = -2.0 } } }
    local named = { choices = sample.choices, target = 1, meta = { headline = "acc_norm" } }
    local answer = script.extract(mixed, named)
    assert.are.same({ value = 0, metrics = { acc = 1, acc_norm = 0, acc_bytes = 1 } }, script.score(answer, named))
  end)

  it("does not count the space before a continuation", function()
    local texts = { choices = { { sum = -2.0, text = " ab" }, { sum = -2.9, text = " abc" } } }
    assert.are.equal(1, script.extract(texts, { target = 1, meta = {} }).picks.acc_norm)
    local tie = { choices = { { sum = -2.0, text = " ab" }, { sum = -3.0, text = " abc" } } }
    assert.are.equal(0, script.extract(tie, { target = 1, meta = {} }).picks.acc_norm)
  end)

  it("gives no answer for a sum that is no number", function()
    local _, outcome = script.extract({ choices = { { sum = 0 / 0 }, { sum = -1 } } }, sample)
    assert.are.equal("no_answer", outcome)
  end)
end)

describe("letter by log-probabilities", function()
  local script = scorer "letter"
  local sample = { choices = { "w", "x", "y", "z" }, target = 1 }
  local function pick(labels) return (judged(script, { labels = labels }, sample)) end

  it("takes the likeliest, the first of equals", function()
    assert.are.equal("B", pick { { logprob = -3 }, { logprob = -1 }, { logprob = -1 }, { logprob = -9 } })
  end)

  it("does not decide when a label that was not listed may be likelier", function()
    assert.are.equal("B", pick { { logprob = -3 }, { logprob = -1 }, { logprob = -5, bounded = true },
      { bounded = true } })
    assert.are.equal("ambiguous", pick { { logprob = -3 }, { logprob = -1, bounded = true } })
    assert.are.equal("no_answer", pick { { logprob = -1, bounded = true }, { bounded = true } })
  end)
end)
