-- SPDX-License-Identifier: Apache-2.0
--- Load: what the measurements under load come down to, point by point and variant by variant. Pure.
--
-- A point is measured several times (replicates). Requests of one replicate share batches and queues, so an interval from them
-- describes that replicate and no more; what is claimed of a variant, or of two, rests on the replicates (docs/statistics.md): means
-- by Student's t, ratios to the baseline as the exponential of the mean log ratio, replicate by replicate.
local aggregate = require "qlua.load.aggregate"
local json = require "qlua.core.json"
local metrics = require "qlua.load.metrics"
local selfcheck = require "qlua.load.selfcheck"
local slo = require "qlua.load.slo"
local stats = require "qlua.core.stats"

local load = {}

load.LEVEL = 0.95
--- When a server counts as behind its schedule: share of the requests of the second half that piled up, and how many at least.
load.BEHIND, load.LEAST_GROWN = 0.1, 5

local function of_distribution(field, statistic)
  return function(figures) return figures[field] and figures[field][statistic] end
end

local function plain(field) return function(figures) return figures[field] end end

--- The figures that are compared: name, how to get one of a replicate's figures, which way is better (absent: neither).
load.FIGURES = {
  { name = "requests_per_second", of = plain "requests_per_second", better = "higher" },
  { name = "output_tokens_per_second", of = plain "output_tokens_per_second", better = "higher" },
  { name = "total_tokens_per_second", of = plain "total_tokens_per_second", better = "higher" },
  { name = "steady_output_tokens_per_second", better = "higher",
    of = function(figures) return figures.steady and figures.steady.output_tokens_per_second end },
  { name = "concurrency", of = plain "concurrency" },
  { name = "goodput_per_second", of = function(figures) return figures.goodput and figures.goodput.per_second end, better = "higher" },
  { name = "goodput_share", of = function(figures) return figures.goodput and figures.goodput.share end, better = "higher" },
}
for _, name in ipairs { "ttft", "ttfa", "tpot", "itl", "e2e", "ttft_due", "e2e_due" } do
  for _, statistic in ipairs { "mean", "p50", "p95", "p99" } do
    load.FIGURES[#load.FIGURES + 1] = { name = name .. "_" .. statistic, of = of_distribution(name .. "_seconds", statistic),
      better = "lower" }
  end
end

-- ---- from rows to figures -------------------------------------------------------------------------------------------

-- A point's stages in the order of the plan; of one stage alone nothing needs to be told apart.
local function stage_labels(record)
  local labels = {}
  for i, stage in ipairs(record.stages or {}) do labels[i] = stage.label end
  return labels
end

-- What the client counted while a phase was measured.
local function counters_of(record)
  local list = {}
  for i, block in ipairs(record.client and record.client.blocks or {}) do
    if block.after then
      list[i] = selfcheck.between(block.before, block.after, (block.end_ns or 0) - (block.begin_ns or 0))
      list[i].starved_ns = block.starved_ns
    end
  end
  return #list > 0 and selfcheck.join(list) or nil
end

-- An open loop in whose second half at least a tenth of what was sent piled up: the server did not keep up.
local function is_behind(figures)
  local backlog = figures.backlog
  return backlog ~= nil and backlog.grown >= load.LEAST_GROWN and backlog.grown > load.BEHIND * backlog.sent
end

local function check_of(phases, pooled)
  local counters, seen = {}, { stamp_sources = pooled.stamp_sources, dispatch_lag_seconds = pooled.dispatch_lag_seconds,
    is_open = pooled.is_open }
  for _, phase in ipairs(phases) do
    counters[#counters + 1] = counters_of(phase.record)
    seen.is_saturated_server = seen.is_saturated_server or is_behind(phase.figures)
  end
  -- A failed request is read only to where it failed, so the counts need not agree where there are some.
  if #counters == #phases and pooled.num_ok == pooled.num_total then seen.events_in_replies = pooled.events end
  return selfcheck.judge(selfcheck.join(counters), seen)
end

local function measure(phase, rows, options, pools)
  local own = aggregate.new(options)
  for one in rows(phase) do
    local figures = metrics.of(one)
    own:add(one, figures)
    if pools.all then pools.all:add(one, figures) end
    local stage = pools.stages and pools.stages[one.stage]
    if stage then stage:add(one, figures) end
  end
  return own:finish()
end

-- Over several replicates there is no one stretch of time: what is per second is the replicates' own.
local TIMED = { "seconds", "requests_per_second", "output_tokens_per_second", "total_tokens_per_second", "offered_per_second",
  "sent_per_second",
  "peak_output_tokens_per_second", "concurrency", "peak_concurrency", "steady", "goodput", "backlog" }

local function pooled_of(pool, replicates)
  local figures = pool:finish()
  if replicates > 1 then
    for _, name in ipairs(TIMED) do figures[name] = nil end
  end
  return figures
end

local function means_of(replicates, level)
  local means = {}
  for _, figure in ipairs(load.FIGURES) do
    local values = {}
    for _, one in ipairs(replicates) do values[#values + 1] = figure.of(one) end
    if #values > 0 and #values == #replicates then
      local found = stats.t_test(values, level)
      -- No figure is below 0; from two replicates Student's interval often is.
      means[figure.name] = { n = #values, mean = found.mean, lo = found.lo and math.max(0, found.lo), hi = found.hi }
    end
  end
  return means
end

local function cell_of(phases, rows, options, labels)
  local pools = { all = #phases > 1 and aggregate.new(options) or nil } -- one replicate is its own pool
  if #labels > 1 then
    pools.stages = {}
    for _, label in ipairs(labels) do pools.stages[label] = aggregate.new(options) end
  end
  local replicates = json.array {}
  for i, phase in ipairs(phases) do
    phase.figures = measure(phase, rows, options, pools)
    phase.figures.replicate = phase.replicate
    replicates[i] = phase.figures
  end
  local cell = { num_replicates = #phases, replicates = replicates, pooled = pools.all and pooled_of(pools.all, #phases) or replicates[1],
    means = means_of(replicates, options.level) }
  if pools.stages then
    cell.stages = {}
    for label, pool in pairs(pools.stages) do cell.stages[label] = pooled_of(pool, #phases) end
  end
  cell.check = check_of(phases, cell.pooled)
  return cell
end

-- ---- against the baseline -------------------------------------------------------------------------------------------

-- Replicate by replicate where both have it: what the machine did at that time is in both.
local function paired(base, own, of)
  local by_number, a, b = {}, {}, {}
  for _, figures in ipairs(base.replicates) do by_number[figures.replicate] = of(figures) end
  for _, figures in ipairs(own.replicates) do
    local reference, value = by_number[figures.replicate], of(figures)
    if reference and value and reference > 0 and value > 0 then a[#a + 1], b[#b + 1] = reference, value end
  end
  return a, b
end

local function ratios_of(base, own, level)
  local ratios = {}
  for _, figure in ipairs(load.FIGURES) do
    local a, b = paired(base, own, figure.of)
    if figure.better and #a > 0 then
      local found = stats.log_ratio(a, b, level)
      ratios[figure.name] = { ratio = found.ratio, lo = found.lo, hi = found.hi, n = #a }
    end
  end
  return ratios
end

-- ---- the section ------------------------------------------------------------------------------------------------------

-- Points in the order of the plan, each with its phases by variant in the order of the replicates.
local function gather(input)
  local points, by_label = {}, {}
  for _, phase in ipairs(input.phases) do
    local point = by_label[phase.point]
    if not point then
      local record = phase.record or {}
      point = { label = phase.point, axis = record.axis, value = record.value, place = record.place or #points + 1,
        stages = stage_labels(record), phases = {}, planned = record.planned, digest = record.digest }
      by_label[phase.point], points[#points + 1] = point, point
    end
    point.phases[phase.variant] = point.phases[phase.variant] or {}
    table.insert(point.phases[phase.variant], phase)
  end
  for i, point in ipairs(points) do point.order = i end
  table.sort(points, function(a, b)
    if a.axis and a.axis == b.axis and a.value ~= b.value then return a.value < b.value end
    if a.place ~= b.place then return a.place < b.place end
    return a.order < b.order
  end)
  return points
end

local function note_errors(errors, variant, point, cell)
  local pooled = cell.pooled
  local asked = pooled.num_total - pooled.num_cancelled
  errors[#errors + 1] = { variant = variant, point = point.label, failed = pooled.num_failed, total = asked,
    rate = asked > 0 and pooled.num_failed / asked or 0 }
end

--- The section `load` of the Summary.
-- @tparam table input `{ about, found, phases, rows }`: `about` the plan as the run recorded it (with `slo` as text), `found` what a search
-- found by variant, `phases` a list of `{ variant, point, replicate, record }`, `rows(phase)` an iterator over its rows
-- (`qlua.load.row`)
-- @tparam {string,…} variant_order
-- @tparam ?string baseline
-- @treturn ?table docs/reports.md, "Measurements under load"; nil when nothing was measured
function load.build(input, variant_order, baseline)
  if not input or #input.phases == 0 then return nil end
  local about = input.about or {}
  local options = { level = load.LEVEL, slo = about.slo and assert(slo.parse(about.slo)) or nil }
  local section = { level = load.LEVEL, about = about, slo = about.slo, found = input.found, points = json.array {},
    errors = json.array {} }
  for i, point in ipairs(gather(input)) do
    local result = { label = point.label, axis = point.axis, value = point.value, stages = json.array(point.stages),
      planned = point.planned,
      digest = point.digest, variants = {} }
    for _, variant in ipairs(variant_order) do
      local phases = point.phases[variant]
      if phases then
        table.sort(phases, function(a, b) return a.replicate < b.replicate end)
        local cell = cell_of(phases, input.rows, options, point.stages)
        result.variants[variant] = cell
        result.is_open = result.is_open or cell.pooled.is_open
        note_errors(section.errors, variant, point, cell)
      end
    end
    local base = baseline and result.variants[baseline]
    for variant, cell in pairs(result.variants) do
      if base and variant ~= baseline then cell.ratios = ratios_of(base, cell, load.LEVEL) end
    end
    section.points[i] = result
  end
  return section
end

-- ---- for the serving axes of the verdict ---------------------------------------------------------------------------

--- A figure's ratio to the baseline over all points that have it: the geometric mean of the points' ratios in each replicate,
-- and from the replicates its interval. With one replicate there is none.
-- @tparam table section of `load.build`
-- @tparam string variant
-- @tparam string baseline
-- @tparam function of `figures` of a replicate → number
-- @tparam boolean only_closed leave out points with a schedule: what was offered is no property of the server
-- @tparam number level
-- @treturn ?table `{ ratio, interval?, value?, points, replicates }`; `value` the variant's own mean where there is one point
function load.ratio(section, variant, baseline, of, only_closed, level)
  local logs, points, values = {}, 0, {}
  for _, point in ipairs(section.points) do
    local base, own = point.variants[baseline], point.variants[variant]
    if base and own and not (only_closed and point.is_open) then
      local a, b = paired(base, own, of)
      if #a > 0 then
        points = points + 1
        for r = 1, #a do
          logs[r] = logs[r] or { sum = 0, n = 0 }
          logs[r].sum, logs[r].n = logs[r].sum + math.log(b[r] / a[r]), logs[r].n + 1
          values[#values + 1] = b[r]
        end
      end
    end
  end
  if points == 0 then return nil end
  local per_replicate = {}
  for _, one in ipairs(logs) do
    if one.n == points then per_replicate[#per_replicate + 1] = one.sum / one.n end -- whole replicates only
  end
  if #per_replicate == 0 then return nil end
  local found = stats.t_test(per_replicate, level)
  local result = { ratio = math.exp(found.mean), points = points, replicates = #per_replicate, source = "load" }
  if found.lo then result.interval = { math.exp(found.lo), math.exp(found.hi) } end
  if points == 1 then
    local sum = 0
    for _, value in ipairs(values) do sum = sum + value end
    result.value = sum / #values
  end
  return result
end

return load
