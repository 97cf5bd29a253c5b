-- SPDX-License-Identifier: Apache-2.0
-- The simulated server's letters: how far the log-probabilities of one variant are from another's.

local book = require "qlua.sim.book"
local plans = require "qlua.sim.plan"
local stats = require "qlua.core.stats"

local COUNT = 200

local function letters()
  local function sample(_, i)
    return { id = "quiz/test/" .. i, input = "Question " .. i, target = i * 7 % 4, choices = { "w", "x", "y", "z" } }
  end
  return { name = "quiz", mode = "letter", size = function() return COUNT end, sample = sample,
    prompt = function(_, i) return { text = sample(_, i).input .. "\nAnswer:", continuations = { " A", " B", " C", " D" } } end }
end

local function pages_of(variant, accuracy, is_rerun)
  local given = { variant = variant, accuracy = { default = accuracy }, datasets = { { dataset = "quiz" } } }
  local plan = assert(plans.check(given, "test"))
  if is_rerun then plan = setmetatable({ is_rerun = true }, { __index = plan }) end
  return assert(book.build(plan, letters))
end

local function candidates(pages, question)
  local list = {}
  for _, choice in ipairs((pages:choices(question))) do list[choice.text] = choice.sum end
  return list
end

-- Over the questions of which both have the same letter planned: the planned flips are another matter.
local function mean_divergence(base, other)
  local sum, n = 0, 0
  for i, question in ipairs(other.questions) do
    if question.winner == base.questions[i].winner then
      sum, n = sum + stats.kl_known(candidates(base, base.questions[i]), candidates(other, question)).nats, n + 1
    end
  end
  assert(n > COUNT / 2)
  return sum / n
end

describe("letters of the simulated server", function()
  it("drift from another variant's the further the more the planted accuracies differ", function()
    local base = pages_of("original", 0.8)
    assert.equal(0, mean_divergence(base, pages_of("original", 0.8)))
    local rerun, twin = mean_divergence(base, pages_of("original", 0.8, true)), mean_divergence(base, pages_of("twin", 0.8))
    local near, far = mean_divergence(base, pages_of("fp8", 0.79)), mean_divergence(base, pages_of("awq", 0.7))
    assert(rerun > 0 and twin < 3 * rerun and near > 1.5 * rerun and far > 10 * near, ("%g %g %g %g"):format(rerun, twin, near, far))
  end)

  it("keep the planned one first and the mass of all", function()
    for _, accuracy in ipairs { 0.05, 0.75, 1 } do
      local pages = pages_of("v", accuracy)
      for _, question in ipairs(pages.questions) do
        local list, mass, planned = candidates(pages, question), 0, " " .. question.value
        for letter, value in pairs(list) do
          assert(letter == planned or value < list[planned] - 0.0199, question.id)
          mass = mass + math.exp(value)
        end
        assert(mass > 0.9 and mass < 1, mass)
      end
    end
  end)
end)
