-- SPDX-License-Identifier: Apache-2.0
--- Divergence: how far a variant's next token is distributed otherwise than the baseline's at the very same prompt. Pure.
--
-- In mode letter every reply holds the likeliest tokens of one place, and what comes before it is the question itself, so
-- all variants stand at the same place. A server tells the likeliest tokens only: the Kullback-Leibler divergence over
-- those known on both sides, the rest in one bucket, is a lower bound (docs/statistics.md). Only the baseline's
-- candidates are kept while the others stream past; rows that come before it wait.
local json = require "qlua.core.json"
local measure = require "qlua.summary.measure"
local stats = require "qlua.core.stats"

local divergence = {}
divergence.__index = divergence

--- With more of the baseline's probability than this outside what is compared, the lower bound is a weak one.
divergence.WEAK = 0.01

--- Start.
-- @tparam ?string baseline without one there is nothing to compare with
function divergence.new(baseline)
  return setmetatable({ baseline = baseline, datasets = {} }, divergence)
end

local function compare(one, slot, base, other)
  local found = stats.kl_known(json.decode(base), json.decode(other))
  local measured = one.divergence or { nats = {}, same = {}, uncovered = {} }
  one.divergence = measured
  measured.nats[slot], measured.same[slot], measured.uncovered[slot] = found.nats, found.same_top and 1 or 0, found.rest_base
end

--- Take one answer.
-- @tparam table row with `candidates`, JSON, or without
-- @tparam table one the cell it belongs to
-- @tparam integer slot the question's number
function divergence:add(row, one, slot)
  if not row.candidates or not self.baseline then return end
  local known = self.datasets[row.dataset]
  if not known then
    known = { base = {}, waiting = {} }
    self.datasets[row.dataset] = known
  end
  local base, waiting = known.base[slot], known.waiting[slot]
  if row.variant == self.baseline then
    known.base[slot], known.waiting[slot] = row.candidates, nil
    for _, other in ipairs(waiting or {}) do compare(other.cell, slot, row.candidates, other.candidates) end
  elseif base then
    compare(one, slot, base, row.candidates)
  else
    known.waiting[slot] = waiting or {}
    table.insert(known.waiting[slot], { cell = one, candidates = row.candidates })
  end
end

-- Mean of each question over its repeats: answers to one question are not independent.
local function by_question(p, base, other)
  local order, sums, measured = {}, {}, other.divergence
  for _, slot in ipairs(p.slots) do
    if measured.nats[slot] and base.prompt_sha256[slot] == other.prompt_sha256[slot] then
      local question = p.known.question[slot]
      local sum = sums[question]
      if not sum then
        sum = { n = 0, nats = 0, same = 0, uncovered = 0 }
        sums[question], order[#order + 1] = sum, sum
      end
      sum.n = sum.n + 1
      for name, list in pairs(measured) do sum[name] = sum[name] + list[slot] end
    end
  end
  return order
end

--- What the questions of a pair of cells come down to.
-- @tparam table p `qlua.summary.pairs`.of(base, other)
-- @tparam table base
-- @tparam table other
-- @treturn ?table `{ questions, mean_nats, p95_nats, p99_nats?, same_top, same_top_interval, uncovered, weak }`; nil where no
-- candidates were asked for
function divergence.of(p, base, other)
  if not other.divergence then return nil end
  local nats, same, uncovered = {}, 0, 0
  for i, sum in ipairs(by_question(p, base, other)) do
    nats[i] = sum.nats / sum.n
    same, uncovered = same + sum.same / sum.n, uncovered + sum.uncovered / sum.n
  end
  local spread, n = measure.distribution(nats), #nats
  if not spread then return nil end
  local result = { questions = n, mean_nats = spread.mean, p95_nats = spread.p95, p99_nats = spread.p99, uncovered = uncovered / n,
    weak = uncovered / n > divergence.WEAK }
  result.same_top, result.same_top_interval = measure.share(same, n)
  return result
end

return divergence
