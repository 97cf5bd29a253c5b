-- SPDX-License-Identifier: Apache-2.0
--- Power: what so many questions can show at all, before any of them is asked. Pure.
-- Answers of two variants differ on a share of the questions (flips), and that share is the noise: SE = √(flips / n). Normal
-- approximation, no clustering: a clustered interval is wider by the root of its design effect.
local stats = require "qlua.core.stats"

local power = {}

--- From "all but identical" to what 4-bit variants show.
power.FLIP_RATES = { 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.13 }
power.WANTED = 0.8

local function row_of(name, questions, margin_pt, variance_of, alpha)
  local row = { name = name, questions = questions, margin_pt = margin_pt, half_width_pt = {}, detectable_pt = {}, power = {} }
  for i, rate in ipairs(power.FLIP_RATES) do
    local variance = variance_of(rate) -- of one difference of `questions` of them
    row.half_width_pt[i] = 100 * stats.normal_quantile(1 - alpha) * math.sqrt(variance / questions)
    row.detectable_pt[i] = 100 * stats.detectable(questions, variance, alpha, power.WANTED)
    row.power[i] = stats.power(questions, margin_pt / 100, variance, alpha)
  end
  return row
end

--- For each dataset and for their mean (last, named `suite`): half-width of the interval, smallest loss that would be noticed
-- with 80 % probability, and the probability that an equal variant is shown to be non-inferior.
-- @tparam {table,…} datasets `{ name, questions }`
-- @tparam table plan alpha, margin_pt, margins_pt
-- @treturn table `{ flip_rates, datasets }`
function power.build(datasets, plan)
  local result, total, inverse = { flip_rates = { table.unpack(power.FLIP_RATES) }, datasets = {} }, 0, 0
  for _, dataset in ipairs(datasets) do
    if dataset.questions > 0 then
      local margin = plan.margins_pt[dataset.name] or plan.margins_pt.default or 1
      table.insert(result.datasets, row_of(dataset.name, dataset.questions, margin, function(rate) return rate end, plan.alpha))
      total, inverse = total + dataset.questions, inverse + 1 / dataset.questions
    end
  end
  local k = #result.datasets
  if k == 0 then return result end
  -- Var(D) = Σ(f/n)/K²; written as that of `total` questions
  local function of_mean(rate) return rate * inverse / k ^ 2 * total end
  table.insert(result.datasets, row_of("suite", total, plan.margin_pt, of_mean, plan.alpha))
  return result
end

return power
