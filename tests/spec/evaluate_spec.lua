-- SPDX-License-Identifier: Apache-2.0
local evaluate = require "qlua.evaluate"

local function scorer(fields)
  local made = { name = "s", path = "s.lua", extract = function(response) return { value = response.text, how = "text" } end,
    score = function(answer, sample) return answer.value == sample.target and 1 or 0 end }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

local function judge(fields, response, sample)
  return evaluate.response({ scorer(fields) }, response or { text = "4", finish = "stop" }, sample or { target = "4" })
end

local function extracting(...)
  local values = table.pack(...)
  return { extract = function() return table.unpack(values, 1, values.n) end }
end

local function scoring(value) return { score = function() return value end } end

describe("evaluate", function()
  it("tells correct from wrong", function()
    local judged = judge()
    assert.same({ "correct", 1, "4", "text" }, { judged.outcome, judged.score, judged.value, judged.how })
    assert.equal("wrong", judge({}, { text = "5" }).outcome)
    assert.equal("wrong", judge(scoring(0.5)).outcome)
    assert.equal(0.5, judge(scoring(0.5)).score)
  end)

  it("takes booleans, bare values and tables for scores and answers", function()
    assert.equal("correct", judge(scoring(true)).outcome)
    assert.equal("wrong", judge(scoring(false)).outcome)
    assert.same({ m = 1 }, judge(scoring { value = 1, metrics = { m = true, bad = 0 / 0, worse = {}, [1] = 1 } }).metrics)
    assert.equal("correct", judge(extracting "4").outcome)
    assert.equal("7", judge(extracting(7)).value)
  end)

  for reason in pairs { no_answer = 1, ambiguous = 1, empty = 1, refused = 1, truncated = 1, truncated_reasoning = 1 } do
    it("keeps the reason " .. reason, function() assert.equal(reason, judge(extracting(nil, reason)).outcome) end)
  end

  it("finds a better reason than no_answer", function()
    local nothing = extracting(nil, "no_answer")
    assert.equal("truncated", judge(nothing, { text = "so 4", finish = "length" }).outcome)
    assert.equal("truncated_reasoning", judge(nothing, { text = "", reasoning = "hm", finish = "length" }).outcome)
    assert.equal("empty", judge(nothing, { text = " \n", finish = "stop" }).outcome)
    assert.equal("no_answer", judge(nothing, { text = "well", finish = "stop" }).outcome)
    assert.equal("refused", judge(nothing, { text = "", finish = "content_filter" }).outcome)
    assert.equal("ambiguous", judge(extracting(nil, "ambiguous"), { text = "x", finish = "content_filter" }).outcome)
    assert.equal("no_answer", judge(nothing, { labels = { {} }, text = "" }).outcome)
    assert.equal("ambiguous", judge(extracting(nil, "ambiguous"), { text = "x", finish = "length" }).outcome)
  end)

  it("does not let a scorer invent a reason, nor call nothing correct", function()
    for _, reason in ipairs { "banana", "correct", "wrong", "http_5xx", 7, {} } do
      local judged = judge(extracting(nil, reason))
      assert.equal("script_error", judged.outcome)
      assert.matches("^s%.lua: scorer 's': extract: want a reason", judged.error_text)
    end
  end)

  for what, value in pairs { ["above 1"] = 2, ["below 0"] = -0.1, NaN = 0 / 0, ["a string"] = "1", ["a table"] = {} } do
    it("refuses a score that is " .. what, function()
      local judged = judge(scoring(value))
      assert.equal("script_error", judged.outcome)
      assert.matches("score: want a number from 0 to 1", judged.error_text)
      assert.is_nil(judged.score)
    end)
  end

  it("names what a scorer raises, as text or as an err", function()
    assert.matches("no text", judge { extract = function() error "no text" end }.error_text)
    local judged = judge { score = function() error({ kind = "limit", text = "s.lua: too long" }, 0) end }
    assert.same({ "script_error", "s.lua: too long" }, { judged.outcome, judged.error_text })
  end)

  it("keeps nothing the store cannot hold", function()
    local judged = judge(extracting { value = {}, how = print, span = "x" })
    assert.same({ "string", "string" }, { type(judged.value), type(judged.how) })
    assert.is_nil(judged.span)
    assert.same({ from = 1, to = 3 }, judge(extracting { value = "4", span = { 1, 3 } }).span)
    assert.is_nil(judge(extracting { value = "4", span = { 1.5, 3 } }).span)
  end)

  it("takes the first scorer for the headline and keeps what each says", function()
    local other = scorer { name = "t", score = function() error("broken", 0) end }
    local judged = evaluate.response({ scorer(), other }, { text = "4" }, { target = "4" })
    assert.equal("correct", judged.outcome)
    assert.equal("correct", judged.scores.s.outcome)
    assert.equal("script_error", judged.scores.t.outcome)
  end)

  it("chooses the scorers that fit a mode", function()
    local list = { scorer { name = "a" }, scorer { name = "b", modes = { "letter", "generate" } }, scorer { name = "c",
      modes = { "letter" } } }
    local names = {}
    for _, one in ipairs(evaluate.for_mode(list, "letter")) do names[#names + 1] = one.name end
    assert.same({ "b", "c" }, names)
    assert.equal(2, #evaluate.for_mode(list, "generate"))
    assert.same({}, evaluate.for_mode(list, "loglikelihood"))
  end)
end)
