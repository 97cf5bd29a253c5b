-- SPDX-License-Identifier: Apache-2.0
--- Compare: a variant against the baseline, question by question. Pure.
--
-- Only questions that both answered are compared (a pair); an error on either side takes the question out and
-- is counted. Flips after Dutta et al. 2024 (arXiv 2407.09141): a variant of equal accuracy that answers every
-- tenth question differently is not the same model. What the difference allows one to conclude is not decided here.
local measure = require "qlua.summary.measure"
local outcomes = require "qlua.outcomes"
local stats = require "qlua.core.stats"

local KIND = { -- baseline right?, variant right?
  [true] = { [true] = "both_correct", [false] = "correct_to_wrong" },
  [false] = { [true] = "wrong_to_correct", [false] = "both_wrong" },
}

local function tally(baseline, variant, num_slots)
  local t = { pairs = 0, excluded = 0, both_correct = 0, correct_to_wrong = 0, wrong_to_correct = 0, both_wrong = 0,
    wrong_changed = 0, texts_compared = 0, texts_identical = 0, prompts_compared = 0, prompts_differ = 0,
    prompt_tokens_compared = 0, prompt_tokens_differ = 0 }
  local function same(field, slot, compared, differing)
    local a, b = baseline[field][slot], variant[field][slot]
    if not a or not b then return end
    t[compared] = t[compared] + 1
    if a ~= b then t[differing] = t[differing] + 1 end
  end
  t.texts_differ = 0
  for slot = 1, num_slots do
    local a, b = baseline.outcome[slot], variant.outcome[slot]
    if a and b and outcomes.is_answered(a) and outcomes.is_answered(b) then
      t.pairs = t.pairs + 1
      -- Two locals, because Lua 5.4.4 compiles `upvalue[a == b]` to a wrong index.
      local baseline_right, variant_right = a == "correct", b == "correct"
      local kind = KIND[baseline_right][variant_right]
      t[kind] = t[kind] + 1
      if kind == "both_wrong" and baseline.value[slot] ~= variant.value[slot] then
        t.wrong_changed = t.wrong_changed + 1
      end
      same("text", slot, "texts_compared", "texts_differ")
      same("prompt_sha256", slot, "prompts_compared", "prompts_differ")
      same("prompt_tokens", slot, "prompt_tokens_compared", "prompt_tokens_differ")
    elseif a or b then
      t.excluded = t.excluded + 1
    end
  end
  t.texts_identical = t.texts_compared - t.texts_differ
  t.texts_differ = nil
  return t
end

-- 95 % limits of the paired difference: Tango's score interval (Stat Med 1998, 17:891), in percentage points. Only
-- where every question was asked once: answers to one question are not independent.
local function difference_interval(t)
  local paired = stats.paired({ both_right = t.both_correct, base_only = t.correct_to_wrong,
    variant_only = t.wrong_to_correct, both_wrong = t.both_wrong }, 0.95)
  return { 100 * paired.tango.lo, 100 * paired.tango.hi }
end

--- Compare two cells of one dataset.
-- @tparam table baseline, variant cells (`qlua.summary.cell`)
-- @tparam integer num_slots questions times repeats of the dataset
-- @tparam integer repeats answers per question
-- @treturn table counts of the paired table; `difference_pt` in percentage points with `difference_interval_pt` (absent with
-- repeats), `flip_rate` with its interval, `identical_share` of reply texts
return function(baseline, variant, num_slots, repeats)
  local t = tally(baseline, variant, num_slots)
  t.flips = t.correct_to_wrong + t.wrong_to_correct
  if t.pairs > 0 then
    t.difference_pt = 100 * (t.wrong_to_correct - t.correct_to_wrong) / t.pairs
    t.flip_rate, t.flip_rate_interval = measure.share(t.flips, t.pairs, repeats)
    t.difference_interval_pt = repeats == 1 and difference_interval(t) or nil
  end
  if t.texts_compared > 0 then t.identical_share = t.texts_identical / t.texts_compared end
  return t
end
