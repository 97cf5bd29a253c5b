-- SPDX-License-Identifier: Apache-2.0
--- Serving: what a variant costs to run, beside the baseline. Pure.
--
-- Ratios are taken dataset by dataset and joined by their geometric mean, so that a long dataset does not drown a short one.
-- What was not measured is absent and named; nothing is inferred from parameters or weights. One pass over the questions
-- has no replicates, so its ratios have no interval. Where the variants were measured under load, those figures are taken for
-- throughput and latencies, with the intervals that their replicates give (`qlua.summary.load`).
local load = require "qlua.summary.load"

local serving = {}

-- Which figure of a load measurement stands for an axis. Throughput only from closed loops: a schedule's rate is the client's choice.
local LOADED = { throughput = { "output_tokens_per_second", "requests_per_second", only_closed = true }, ttft_p50 = { "ttft_p50" },
  ttft_p95 = { "ttft_p95" }, tpot_p50 = { "tpot_p50" }, tpot_p95 = { "tpot_p95" }, latency_p50 = { "e2e_p50" },
    latency_p95 = { "e2e_p95" } }

--- In the order of a report. `of(cell, variant, context)` gives the figure of one dataset.
serving.AXES = {
  { name = "throughput", unit = "tokens/s", better = "higher", text_only = true, of = function(cell) return cell.tokens_per_second end },
  { name = "ttft_p50", unit = "s", better = "lower", of = function(cell) return cell.ttft_seconds and cell.ttft_seconds.p50 end },
  { name = "ttft_p95", unit = "s", better = "lower", of = function(cell) return cell.ttft_seconds and cell.ttft_seconds.p95 end },
  { name = "tpot_p50", unit = "s", better = "lower", of = function(cell) return cell.tpot_seconds and cell.tpot_seconds.p50 end },
  { name = "tpot_p95", unit = "s", better = "lower", of = function(cell) return cell.tpot_seconds and cell.tpot_seconds.p95 end },
  { name = "latency_p50", unit = "s", better = "lower",
    of = function(cell) return cell.latency_seconds and cell.latency_seconds.p50 end },
  { name = "latency_p95", unit = "s", better = "lower",
    of = function(cell) return cell.latency_seconds and cell.latency_seconds.p95 end },
  { name = "tokens", unit = "tokens", better = "lower", text_only = true,
    of = function(cell) return cell.completion_tokens and cell.completion_tokens.mean end },
  { name = "memory", unit = "bytes", better = "lower", whole = function(variant) return variant.memory and variant.memory.peak_bytes end },
  { name = "energy", unit = "J", better = "lower", of = function(cell) return cell.energy_per_correct_joules end },
  { name = "cost", unit = "price", better = "lower", whole = function(variant, price)
    local seconds, correct = 0, 0
    for _, cell in pairs(variant.datasets) do
      if not cell.window_seconds then return nil end
      seconds, correct = seconds + cell.window_seconds, correct + cell.num_correct
    end
    return price and correct > 0 and price * seconds / 3600 / correct or nil
  end },
}

-- Where no dataset has texts, questions per second are the throughput.
local function questions(cell) return cell.questions_per_second end

local function has_texts(doc)
  for _, name in ipairs(doc.dataset_order) do
    local one = doc.variants[doc.baseline].datasets[name]
    if one and one.tokens_per_second then return true end
  end
  return false
end

local function per_dataset(doc, variant, axis, of)
  local logs, count, parts, only = 0, 0, {}, nil
  for _, name in ipairs(doc.dataset_order) do
    local is_text = (doc.datasets[name].mode or "generate") == "generate"
    local own, base = doc.variants[variant].datasets[name], doc.variants[doc.baseline].datasets[name]
    local value, reference
    if own and base and (is_text or not axis.text_only) then value, reference = of(own), of(base) end
    if value and reference and value > 0 and reference > 0 then
      logs, count, only = logs + math.log(value / reference), count + 1, value
      parts[name] = { value = value, ratio = value / reference }
    end
  end
  if count == 0 then return nil end
  return { ratio = math.exp(logs / count), value = count == 1 and only or nil, datasets = parts }
end

local function whole(doc, variant, axis, prices)
  local function of(name) return axis.whole(doc.variants[name], prices[name] or prices.default) end
  local value, reference = of(variant), of(doc.baseline)
  if not value or not reference or reference <= 0 then return nil end
  return { value = value, ratio = value / reference }
end

local function figure_of(name)
  for _, figure in ipairs(load.FIGURES) do
    if figure.name == name then return figure.of end
  end
end

-- An axis by the load measurements: every variant has it, or it is not taken, since a figure from under load and one from the
-- pass over the questions must not be compared.
local function loaded(doc, axis, level)
  local choice = doc.load and LOADED[axis.name]
  for _, name in ipairs(choice or {}) do
    local figures, found = {}, 0
    for _, variant in ipairs(doc.variant_order) do
      figures[variant] = load.ratio(doc.load, variant, doc.baseline, figure_of(name), choice.only_closed, level)
      found = found + (figures[variant] and 1 or 0)
    end
    if found == #doc.variant_order and found > 0 then
      local own = figures[doc.baseline] -- against itself: exactly 1, which is no estimate
      own.interval = own.replicates > 1 and { 1, 1 } or nil
      return figures, name == "requests_per_second" and "requests/s" or axis.unit
    end
  end
end

--- All axes of all variants.
-- @tparam table doc the Summary so far
-- @tparam table prices by variant, or `default`
-- @tparam number level of the intervals
-- @treturn table `{ axes, variants }`; what comes from measurements under load has `source = "load"`
function serving.build(doc, prices, level)
  local result = { axes = {}, variants = {} }
  local by_questions = not has_texts(doc)
  for _, name in ipairs(doc.variant_order) do result.variants[name] = {} end
  for i, axis in ipairs(serving.AXES) do
    local of, unit = axis.of, axis.unit
    if axis.name == "throughput" and by_questions then
      of, unit = questions, "questions/s"
      axis = { name = axis.name, better = axis.better }
    end
    local is_measured = false
    local under_load, load_unit = loaded(doc, axis, level)
    for _, name in ipairs(doc.variant_order) do
      local figure
      if under_load then
        figure = under_load[name]
      elseif axis.whole then
        figure = whole(doc, name, axis, prices)
      else
        figure = per_dataset(doc, name, axis, of)
      end
      result.variants[name][axis.name] = figure
      is_measured = is_measured or figure ~= nil and name ~= doc.baseline
    end
    result.axes[i] = { name = axis.name, unit = under_load and load_unit or unit, better = axis.better, measured = is_measured,
      source = under_load and "load" or nil }
  end
  return result
end

return serving
