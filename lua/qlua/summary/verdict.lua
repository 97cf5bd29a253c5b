-- SPDX-License-Identifier: Apache-2.0
--- Verdict: which variant may ship, or why nobody can say. Pure: the cells of a run in, one table out.
--
-- The order is that of docs/statistics.md, "The verdict": is the run valid; how much does the baseline change by itself; is
-- the mean of the datasets' differences within the margin (primary), and no dataset alone beyond its own (guardrail); how
-- much behaviour changes; what serving costs; the choice. docs/architecture.md, "The Summary", lists the fields.
local behaviour = require "qlua.summary.behaviour"
local choice = require "qlua.summary.choice"
local differences = require "qlua.summary.differences"
local gates = require "qlua.summary.gates"
local json = require "qlua.core.json"
local health = require "qlua.summary.health"
local paired = require "qlua.summary.pairs"
local power = require "qlua.summary.power"
local rule = require "qlua.summary.rule"
local sensitivity = require "qlua.summary.sensitivity"
local serving = require "qlua.summary.serving"
local speech = require "qlua.summary.speech"
local stats = require "qlua.core.stats"
local validity = require "qlua.summary.validity"

local verdict = {}

-- ---- what is lined up ------------------------------------------------------------------------------------------

-- The questions in the order of their names, so that no sum and no draw depends on the order in which answers came; and
-- which of them do not count.
local function prepare(state, plan)
  local out = {}
  for _, id in ipairs(plan.exclude) do out[id] = true end
  for _, known in pairs(state.datasets) do
    local keys = {}
    known.excluded, known.ordered = {}, {}
    for key, slot in pairs(known.slots) do
      keys[#keys + 1] = key
      if next(out) and out[key:match "^[^%z]*"] then known.excluded[slot] = true end
    end
    table.sort(keys)
    for i, key in ipairs(keys) do known.ordered[i] = known.slots[key] end
  end
end

local function line_up(doc, state, name, control_name)
  local ways, base_cells = {}, state.cells[doc.baseline]
  for _, dataset in ipairs(doc.dataset_order) do
    local base, other = base_cells[dataset], state.cells[name][dataset]
    if base and other then
      local known = state.datasets[dataset]
      ways[dataset] = { base = base, other = other, known = known, pairs = paired.of(base, other, known),
        control = control_name and state.cells[control_name][dataset] }
    end
  end
  return ways
end

-- ---- one dataset, and their mean -------------------------------------------------------------------------------

local function points(lo, hi) return { 100 * lo, 100 * hi } end

-- Recovery and its neighbour that hides nothing: 95 → 94 is "98.9 % recovered" and 20 % more mistakes.
local function add_ratios(entry, p, found)
  local right = (p.cells.both_right + p.cells.base_only) / p.n
  local own = (p.cells.both_right + p.cells.variant_only) / p.n
  if right > 0 then
    entry.recovery = own / right
    entry.recovery_interval = { 1 + found.lo / right, 1 + found.hi / right }
  end
  if right < 1 then entry.error_ratio = (1 - own) / (1 - right) end
end

local function dataset_entry(p, found, margin_pt)
  local entry = { class = paired.class(found.lo, found.hi, margin_pt / 100), margin_pt = margin_pt, pairs = p.n,
    difference_pt = 100 * found.difference, interval_pt = points(found.lo, found.hi), method = found.method, se_pt = 100 * found.se,
    p_noninferior = found.p_noninferior, clusters = found.clusters, design_effect = found.design_effect,
    unclustered_interval_pt = found.plain and points(found.plain[1], found.plain[2]) or nil }
  if p.known.repeats == 1 then entry.mcnemar_p = stats.mcnemar(p.cells.base_only, p.cells.variant_only).p_midp end
  if entry.class == "inconclusive" then entry.needs = paired.needs(found, margin_pt / 100) end
  add_ratios(entry, p, found)
  return entry
end

local function suite_entry(found, names, margin_pt)
  return { datasets = names, margin_pt = margin_pt, difference_pt = 100 * found.difference, interval_pt = points(found.lo, found.hi),
    se_pt = 100 * found.se, df = found.df and found.df < math.huge and found.df or nil, p_noninferior = found.p_noninferior,
    p_equivalent = found.p_equivalent }
end

-- Datasets and suite of a variant, or nothing where a dataset has no pair.
local function judge(doc, ways, plan, level)
  local entry, estimates, names = { datasets = {} }, {}, {}
  for _, dataset in ipairs(doc.dataset_order) do
    local way = ways[dataset]
    local margin_pt = rule.margin_pt(plan, dataset)
    local found = way and paired.estimate(way.pairs, level, margin_pt / 100)
    if found then
      entry.datasets[dataset] = dataset_entry(way.pairs, found, margin_pt)
      estimates[#estimates + 1], names[#names + 1] = found, dataset
    end
  end
  if #estimates == 0 then return entry end
  local whole = #estimates == 1 and paired.estimate(ways[names[1]].pairs, level, plan.margin_pt / 100)
    or paired.mean(estimates, level, plan.margin_pt / 100)
  if not whole then return entry end
  entry.suite = suite_entry(whole, names, plan.margin_pt)
  entry.class = paired.class(whole.lo, whole.hi, plan.margin_pt / 100)
  if entry.class == "inconclusive" then entry.suite.needs = paired.needs(whole, plan.margin_pt / 100) end
  entry.whole = whole
  return entry
end

-- ---- the control -----------------------------------------------------------------------------------------------

local function add_difference(entry, found)
  if not found then return end
  entry.difference_pt, entry.difference_interval_pt = 100 * found.difference, points(found.lo, found.hi)
end

local function control_gaps(doc, run, state)
  local gaps = {}
  for _, dataset in ipairs(doc.dataset_order) do
    local cell, expected = state.cells[run.control.name][dataset], run.control.expected and run.control.expected[dataset]
    local got = cell and cell.num_total - cell:class_count "error" or 0
    if expected and got < expected then gaps[#gaps + 1] = { dataset = dataset, got = got, expected = expected } end
  end
  return gaps
end

-- The baseline against itself. It counts as outside when it is off by more than half the margin and chance does not
-- explain that: a control of few questions is off by a lot as a matter of course, and says so itself.
local function judge_control(doc, state, run, plan, level)
  if not run.control or not next(state.cells[run.control.name] or {}) then return nil end
  local control = { name = run.control.name, of = doc.baseline, share = run.control.share, margin_pt = plan.margin_pt, datasets = {},
    gaps = control_gaps(doc, run, state) }
  local estimates, ways = {}, line_up(doc, state, run.control.name)
  for _, dataset in ipairs(doc.dataset_order) do
    local way = ways[dataset]
    local part = way and behaviour.of(way.pairs, way.base, way.other)
    if part then
      estimates[#estimates + 1] = paired.estimate(way.pairs, level, plan.margin_pt / 100)
      add_difference(part, estimates[#estimates])
      control.datasets[dataset] = part
    end
  end
  if #estimates == 0 then return nil end
  control.suite = behaviour.total(control.datasets)
  local found = paired.mean(estimates, level, plan.margin_pt / 100)
  add_difference(control.suite, found)
  control.within = not found or math.abs(found.difference) <= plan.margin_pt / 200 or (found.lo <= 0 and found.hi >= 0)
  return control
end

-- ---- passing ---------------------------------------------------------------------------------------------------

local PASSES = { better = true, non_inferior = true, lower_within_margin = true }

-- Several variants are several chances to be wrong: Holm over the primary p of those that are judged.
local function adjust(doc, entries, plan)
  local names, p = {}, {}
  for _, name in ipairs(doc.variant_order) do
    if entries[name] and entries[name].class then names[#names + 1], p[#p + 1] = name, entries[name].suite.p_noninferior end
  end
  local adjusted = #p > 0 and stats.holm(p) or {}
  local wider = #p > 1 and stats.normal_quantile(1 - plan.alpha / #p) / stats.normal_quantile(1 - plan.alpha) or 1
  for i, name in ipairs(names) do
    local entry = entries[name]
    entry.suite.p_holm = adjusted[i]
    if PASSES[entry.class] and adjusted[i] >= plan.alpha then
      local whole = entry.whole
      entry.class, entry.by_holm = "inconclusive", true
      entry.suite.needs = paired.needs({ n = whole.n, difference = whole.difference, hi = whole.hi,
        lo = whole.difference - wider * (whole.difference - whole.lo) }, plan.margin_pt / 100)
    end
  end
end

local function reasons_against(entry, plan)
  local failed = {}
  if not PASSES[entry.class] then failed[#failed + 1] = "class" end
  for _, one in pairs(entry.datasets) do
    if one.class == "inferior" and failed[#failed] ~= "guardrail" then failed[#failed + 1] = "guardrail" end
  end
  if plan.max_flips and (entry.behaviour.flip_rate or 0) > plan.max_flips then failed[#failed + 1] = "max_flips" end
  return failed
end

local function refuse(entries, findings)
  local whole_run = false
  for _, finding in ipairs(findings) do
    if finding.severity == "refuses" then
      local entry = entries[finding.variant or ""]
      if entry then entry.is_refused = true else whole_run = true end
    end
  end
  for _, entry in pairs(entries) do
    if whole_run or entry.is_refused or not entry.class then entry.class, entry.by_holm, entry.is_refused = nil, nil, true end
  end
end

local function conclude(doc, entries, findings, plan)
  refuse(entries, findings)
  adjust(doc, entries, plan)
  for _, entry in pairs(entries) do
    entry.failed = entry.is_refused and { "refused" } or reasons_against(entry, plan)
    entry.passes = #entry.failed == 0
    entry.whole, entry.is_refused = nil, nil
  end
end

-- ---- the whole -------------------------------------------------------------------------------------------------

local function readings(doc, ways, level)
  local rows, funnel, limits = {}, {}, {}
  for _, dataset in ipairs(doc.dataset_order) do
    local grouped, pairs_total, flips = {}, 0, 0
    for _, variant in ipairs(doc.variant_order) do
      local way = ways[variant] and ways[variant][dataset]
      for _, row in ipairs(way and sensitivity.rows(way, doc.datasets[dataset], level) or {}) do
        row.variant, row.dataset = variant, dataset
        rows[#rows + 1] = row
      end
      if way and way.known.has_groups then
        grouped[#grouped + 1] = { variant = variant, way = way }
        pairs_total, flips = pairs_total + way.pairs.n, flips + way.pairs.flips
      end
    end
    if #grouped > 0 and pairs_total > 0 then
      funnel[dataset] = sensitivity.funnel(grouped, level)
      limits[dataset] = sensitivity.limits(funnel[dataset], flips / pairs_total, level)
    end
  end
  return rows, funnel, limits
end

local function questions_of(doc)
  local list = {}
  for i, dataset in ipairs(doc.dataset_order) do list[i] = { name = dataset, questions = doc.datasets[dataset].num_questions } end
  return list
end

-- An empty list must not become an empty object in the file.
local function mark_lists(result)
  for _, key in ipairs { "differences", "rates", "findings", "sensitivity", "health", "gates", "sentences" } do
    json.array(result[key])
  end
  for _, entry in pairs(result.variants) do json.array(entry.failed) end
  for _, row in ipairs(result.health) do json.array(row.flags) end
  if result.control then json.array(result.control.gaps) end
  return result
end

--- Build the verdict.
-- @tparam table doc the Summary so far: variants, datasets, orders, baseline, config, manifest, max_error_rate, simulated
-- @tparam table state of `qlua.summary`: `cells[variant][dataset]`, `datasets[dataset]` (slots, groups, lengths)
-- @tparam table run `control` `{ name, share, expected }`?, `health` counts?
-- @treturn table
function verdict.build(doc, state, run)
  local plan, plan_sha256 = rule.of(doc.config)
  local level = 1 - 2 * plan.alpha
  prepare(state, plan)
  local result = { plan = plan, plan_sha256 = plan_sha256, level = level, differences = differences.list(doc), variants = {} }
  result.control = judge_control(doc, state, run, plan, level)
  local ways = {}
  for _, name in ipairs(doc.variant_order) do
    if name ~= doc.baseline then
      ways[name] = line_up(doc, state, name, result.control and result.control.name)
      local entry = judge(doc, ways[name], plan, level)
      entry.behaviour = behaviour.build(ways[name], doc.dataset_order, result.control, level)
      result.variants[name] = entry
    end
  end
  result.rates = validity.rates(doc, ways)
  result.findings = validity.findings(doc, ways, { plan = plan, control = result.control, rates = result.rates,
    differences = result.differences })
  conclude(doc, result.variants, result.findings, plan)
  result.sensitivity, result.funnel, result.funnel_limits = readings(doc, ways, level)
  result.health = health.rows(doc, ways, run.health or {}, level, state.cells)
  result.serving = serving.build(doc, plan.price_per_hour, level)
  result.pareto = choice.pareto(doc, result, plan.tie)
  result.power = power.build(questions_of(doc), plan)
  result.status, result.chosen, result.reason = choice.make(doc, result, plan)
  speech.add(doc, result)
  result.gates = gates.judge(doc, result, plan.gates)
  return mark_lists(result)
end

return verdict
