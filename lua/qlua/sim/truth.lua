-- SPDX-License-Identifier: Apache-2.0
--- Truth: which question the simulated variant gets right, and how it fails on the others.
--
-- Each question has a difficulty that all variants of a seed share, and each variant a deviation of its own:
-- z = Φ⁻¹(u)·√ρ + Φ⁻¹(v)·√(1-ρ), right where z < Φ⁻¹(accuracy). z is standard normal whatever ρ is, so every variant
-- is right on its accuracy's share of questions, and with ρ near 1 two variants of equal accuracy disagree on few,
-- as a model and its quantized self do. Replies without a usable answer come out of the questions it gets wrong.

local chance = require "qlua.sim.chance"

local truth = {}

--- The share of a question's difficulty that variants have in common.
truth.SHARED = 0.95

--- The share of all questions that get no usable answer, by kind of failure, when a plan does not say.
truth.INVALID = {
  { name = "no_answer", share = 0.006 },
  { name = "refused", share = 0.002 },
  { name = "truncated", share = 0.003 },
  { name = "empty", share = 0.001 },
}

--- Where nothing is said about a variant's accuracy.
truth.ACCURACY = 0.75

local function difficulty(plan, dataset, id)
  local common = chance.normal_quantile(chance.unit(plan.seed, "difficulty", dataset, id))
  local own = chance.normal_quantile(chance.unit(plan.seed, "deviation", dataset, id, plan.variant))
  return common * math.sqrt(truth.SHARED) + own * math.sqrt(1 - truth.SHARED)
end

-- Asked again, some questions change between right and wrong, as many one way as the other: a rerun is no worse.
local function flips(plan, dataset, id, accuracy, is_right)
  local share = plan.rerun_flip and (plan.rerun_flip[dataset] or plan.rerun_flip.default) or 0
  if not plan.is_rerun or share == 0 then return false end
  local of = is_right and accuracy or 1 - accuracy
  return of > 0 and chance.unit(plan.seed, "rerun" .. (plan.drawn or ""), dataset, id, plan.variant) < share / 2 / of
end

--- What becomes of one question.
-- @tparam table plan `seed`, `variant`, `invalid` (list of `{name, share}`), `rerun_flip` and `is_rerun` for a second pass
-- @tparam string dataset
-- @tparam string id the sample's
-- @tparam number accuracy 0 to 1
-- @tparam boolean may_be_invalid false for the modes in which a server always gives a choice
-- @treturn string correct, wrong, no_answer, refused, truncated or empty
function truth.outcome(plan, dataset, id, accuracy, may_be_invalid)
  local is_right = accuracy >= 1 or accuracy > 0 and difficulty(plan, dataset, id) < chance.normal_quantile(accuracy)
  if flips(plan, dataset, id, accuracy, is_right) then return is_right and "wrong" or "correct" end
  if is_right then return "correct" end
  if not may_be_invalid then return "wrong" end
  local left = chance.unit(plan.seed, "failure", dataset, id, plan.variant) * (1 - accuracy)
  for _, entry in ipairs(plan.invalid) do
    left = left - entry.share
    if left < 0 then return entry.name end
  end
  return "wrong"
end

--- One of n wrong choices, the same for all variants of a seed: models err alike.
-- @tparam integer n how many choices
-- @tparam integer right the right one, from 1
-- @treturn integer from 1
function truth.wrong_choice(plan, dataset, id, n, right)
  local other = chance.integer(n - 1, plan.seed, "wrong choice", dataset, id)
  return other < right and other or other + 1
end

return truth
