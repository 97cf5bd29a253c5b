-- SPDX-License-Identifier: Apache-2.0
--- The parts of the Markdown report that set the verdict: what stands first, and what it rests on. One table per
-- question that a reader asks. A finished `text` of the Summary is data and is set as such.
local say = require "markdown.verdict_say"
local servers = require "markdown.servers"

local parts = {}

local ROUNDS = 10000
local MOST_GROUPS = 10

local function right(title) return { title = title, align = "right" } end
local function left(title) return { title = title } end

local c = say.column

local function p_value(page, p)
  if not p then return nil end
  if p < 0.001 then return "< 0.001" end
  return page:decimal(p, p < 0.095 and 3 or 2)
end

local function level_of(page, verdict) return page:percent(1 - 2 * verdict.plan.alpha, 0) end

local function class_of(entry)
  if not entry then return say.baseline end
  return say.class[entry.class or "refused"]
end

local function pt_interval(page, share, bounds)
  if not share then return nil end
  return page:signed_interval(100 * share, bounds and { 100 * bounds[1], 100 * bounds[2] }, 2)
end

local function ratio(page, figure)
  if not figure then return nil end
  local text = page:decimal(figure.ratio, 2) .. "x"
  local bounds = figure.interval
  if not bounds or bounds[1] == bounds[2] then return text end -- the baseline against itself is no estimate
  return ("%s [%s, %s]"):format(text, page:decimal(bounds[1], 2), page:decimal(bounds[2], 2))
end

-- ---- first -----------------------------------------------------------------------------------------------------

local function overview(page, summary, verdict)
  local rows, has_control = {}, verdict.control ~= nil
  for i, name in ipairs(summary.variant_order) do
    local entry = verdict.variants[name]
    local suite, behaviour = entry and entry.suite, entry and entry.behaviour
    local figures = verdict.serving.variants[name] or {}
    local row = { name, class_of(entry), suite and page:signed_interval(suite.difference_pt, suite.interval_pt, 2) or "–",
      suite and p_value(page, suite.p_holm or suite.p_noninferior) or "–", behaviour and page:percent(behaviour.flip_rate) or "–" }
    if has_control then row[6] = behaviour and pt_interval(page, behaviour.excess, behaviour.excess_interval) or "–" end
    for _, axis in ipairs { "throughput", "latency_p95", "memory" } do row[#row + 1] = ratio(page, figures[axis]) or "–" end
    rows[i] = row
  end
  local columns = { left(c.variant), left(c.verdict), right(c.difference), right(c.p), right(c.flips), right(c.excess),
    right(say.axes.throughput), right(say.axes.latency_p95), right(c.memory) }
  if not has_control then table.remove(columns, 6) end
  page:table { columns = columns, rows = rows }
  page:text(say.table_text, { baseline = page:mono(summary.baseline), level = level_of(page, verdict),
    margin = ("%g"):format(verdict.plan.margin_pt) })
end

local function as_items(list)
  local items = {}
  for i, one in ipairs(list) do items[i] = { say.item, { text = one.text or one } } end
  return items
end

local function gates(page, verdict)
  if #verdict.gates == 0 then return end
  local rows = {}
  for i, gate in ipairs(verdict.gates) do rows[i] = { page:mono(gate.gate), gate.ok and say.ok or say.failed, gate.text } end
  page:text(say.gates)
  page:table { columns = { left(c.gate), left(c.result), left(c.what) }, rows = rows }
end

--- The verdict in words, the variants side by side, what to mind, the gates.
function parts.first(page, summary)
  local verdict = summary.verdict
  page:heading(2, say.heading)
  page:note(say.line, { text = verdict.headline })
  page:list(as_items(verdict.sentences))
  overview(page, summary, verdict)
  local findings = {}
  for _, finding in ipairs(verdict.findings) do
    if finding.severity ~= "notes" then findings[#findings + 1] = finding end
  end
  if #findings > 0 then
    page:text(say.findings)
    page:list(as_items(findings))
  end
  gates(page, verdict)
end

--- What the variants do not share.
function parts.differences(page, summary)
  local verdict, rows, others = summary.verdict, {}, 0
  local columns = { left(c.what), left(c.meant) }
  for _, name in ipairs(summary.variant_order) do columns[#columns + 1] = left(name) end
  for i, difference in ipairs(verdict.differences) do
    rows[i] = { page:mono(difference.path), difference.expected and say.differs.meant or say.differs.unmeant_cell }
    if not difference.expected then others = others + 1 end
    for _, name in ipairs(summary.variant_order) do
      local value = difference.values[name]
      table.insert(rows[i], value and page:mono(value) or "–")
    end
  end
  page:heading(2, say.differs.heading)
  page:text(#rows == 0 and say.differs.nothing or others == 0 and say.differs.only_meant or say.differs.other)
  if #rows > 0 then page:table { columns = columns, rows = rows } end
end

-- ---- accuracy and behaviour ------------------------------------------------------------------------------------

local function each(summary, visit)
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local entry = summary.verdict.variants[variant]
      if entry then visit(dataset, variant, entry) end
    end
  end
end

--- Each dataset against its margin.
function parts.accuracy(page, summary)
  local rows, needs = {}, {}
  each(summary, function(dataset, variant, entry)
    local one = entry.datasets[dataset]
    if not one then return end
    rows[#rows + 1] = { dataset, variant, say.class[one.class], page:signed_interval(one.difference_pt, one.interval_pt, 2),
      ("%g"):format(one.margin_pt), p_value(page, one.p_noninferior), p_value(page, one.mcnemar_p), page:decimal(one.design_effect, 2),
      page:interval(one.recovery, one.recovery_interval), page:decimal(one.error_ratio, 2), page:count(one.pairs) }
    local values = { variant = variant, dataset = dataset }
    if one.needs and one.needs.never then needs[#needs + 1] = { say.lost.never, values } end
    if one.needs and not one.needs.never then
      values.questions, values.repeats = page:count(one.needs.questions), page:count(one.needs.repeats)
      needs[#needs + 1] = { say.lost.needs, values }
    end
  end)
  if #rows == 0 then return end
  page:heading(2, say.lost.heading)
  page:text(say.lost.text, { baseline = page:mono(summary.baseline) })
  page:table { columns = { left(c.dataset), left(c.variant), left(c.verdict), right(c.difference), right(c.margin), right(c.p),
    right(c.mid_p), right(c.deff), right(c.recovery), right(c.error_ratio), right(c.pairs) }, rows = rows }
  page:list(needs)
  page:text(say.lost.recovery)
end

local function flips_row(page, dataset, variant, one, has_control)
  local row = { dataset, variant, page:interval(one.flip_rate, one.flip_rate_interval), page:count(one.correct_to_wrong),
    page:count(one.wrong_to_correct), page:count(one.wrong_changed), page:percent(one.identical_share) }
  if has_control then row[#row + 1] = pt_interval(page, one.excess, one.excess_interval) or "–" end
  row[#row + 1] = page:count(one.pairs)
  return row
end

local function add_totals(rows, page, summary, control)
  for _, variant in ipairs(summary.variant_order) do
    local entry = summary.verdict.variants[variant]
    if entry and entry.behaviour.pairs > 0 then
      rows[#rows + 1] = flips_row(page, say.behaviour.all, variant, entry.behaviour, control)
    end
  end
end

-- Near the floor there is more to say than 0.0000.
local function nats(page, value)
  if value and value > 0 and value < 0.00005 then return "< 0.0001" end
  return page:decimal(value, 4)
end

local function divergence_row(page, dataset, variant, one)
  local uncovered = page:percent(one.uncovered, 2)
  if one.weak then uncovered = page:fill(say.behaviour.weak, { share = uncovered }) end
  return { dataset, variant, nats(page, one.mean_nats), nats(page, one.p95_nats), nats(page, one.p99_nats),
    page:interval(one.same_top, one.same_top_interval), uncovered, page:count(one.questions) }
end

-- How the next token's candidates differ; nothing where none were asked for.
local function divergences(page, summary)
  local control, rows = summary.verdict.control, {}
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local entry = summary.verdict.variants[variant]
      local one = entry and entry.behaviour.datasets[dataset]
      if one and one.divergence then rows[#rows + 1] = divergence_row(page, dataset, variant, one.divergence) end
    end
    local again = control and control.datasets[dataset]
    if again and again.divergence then
      rows[#rows + 1] = divergence_row(page, dataset, page:fill(say.behaviour.again, { baseline = summary.baseline }), again.divergence)
    end
  end
  if #rows == 0 then return end
  page:text(say.behaviour.divergence, { baseline = page:mono(summary.baseline) })
  page:table { columns = { left(c.dataset), left(c.variant), right(c.kl), right(c.kl_p95), right(c.kl_p99), right(c.same_top),
    right(c.uncovered), right(c.questions) }, rows = rows }
  servers.noise(page, summary)
end

--- Flips, and how many of them two runs of the baseline show as well; divergence.
function parts.behaviour(page, summary)
  local control, rows = summary.verdict.control, {}
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local entry = summary.verdict.variants[variant]
      local one = entry and entry.behaviour.datasets[dataset]
      if one then rows[#rows + 1] = flips_row(page, dataset, variant, one, control) end
    end
    if control and control.datasets[dataset] then
      local again = page:fill(say.behaviour.again, { baseline = summary.baseline })
      rows[#rows + 1] = flips_row(page, dataset, again, control.datasets[dataset], control)
    end
  end
  if #rows == 0 then return end
  if #summary.dataset_order > 1 then add_totals(rows, page, summary, control) end
  page:heading(2, say.behaviour.heading)
  page:text(say.behaviour.text)
  page:text(control and say.behaviour.control or say.behaviour.no_control, { baseline = page:mono(summary.baseline),
    share = control and page:percent(control.share, 0), rounds = page:count(ROUNDS) })
  local columns = { left(c.dataset), left(c.variant), right(c.flips), right(c.to_wrong), right(c.to_right), right(c.wrong_changed),
    right(c.identical) }
  if control then columns[#columns + 1] = right(c.excess) end
  columns[#columns + 1] = right(c.pairs)
  page:table { columns = columns, rows = rows }
  divergences(page, summary)
end

-- ---- serving ---------------------------------------------------------------------------------------------------

-- Where the ratios come from, which decides what may be said of them.
local function serving_text(page, summary)
  local names, others = { en = {}, zh = {} }, { en = {}, zh = {} }
  for _, axis in ipairs(summary.verdict.serving.axes) do
    local into = axis.source == "load" and names or others
    for side, list in pairs(axis.measured and into or {}) do list[#list + 1] = say.axes[axis.name][side] end
  end
  if #names.en > 0 then
    page:text(say.serving.load, { baseline = page:mono(summary.baseline), level = level_of(page, summary.verdict),
      axes = { en = table.concat(names.en, ", "), zh = table.concat(names.zh, "、") } })
  end
  local values = { baseline = page:mono(summary.baseline), tie = page:percent(summary.verdict.plan.tie, 0),
    axes = { en = table.concat(others.en, ", "), zh = table.concat(others.zh, "、") } }
  if #names.en == 0 then page:text(say.serving.text, values) elseif #others.en > 0 then page:text(say.serving.others, values) end
end

--- Ratios to the baseline.
function parts.serving(page, summary)
  local serving, columns, names, missing = summary.verdict.serving, { left(c.variant) }, {}, { en = {}, zh = {} }
  for _, axis in ipairs(serving.axes) do
    if axis.measured then
      names[#names + 1], columns[#columns + 1] = axis.name, right(say.axes[axis.name])
    else
      for side, list in pairs(missing) do list[#list + 1] = say.axes[axis.name][side] end
    end
  end
  page:heading(2, say.serving.heading)
  if #names > 0 then
    local rows = {}
    for i, variant in ipairs(summary.variant_order) do
      rows[i] = { variant }
      for j, name in ipairs(names) do rows[i][j + 1] = ratio(page, serving.variants[variant][name]) or "–" end
    end
    serving_text(page, summary)
    page:table { columns = columns, rows = rows }
  end
  if #missing.en > 0 then
    page:text(say.serving.missing, { axes = { en = table.concat(missing.en, ", "), zh = table.concat(missing.zh, "、") } })
  end
  if #summary.verdict.pareto.members > 1 then
    page:text(say.serving.pareto, { members = table.concat(summary.verdict.pareto.members, ", ") })
  end
end

-- ---- what stands behind it ---------------------------------------------------------------------------------------

--- Other readings of the same answers.
function parts.sensitivity(page, summary)
  local rows, counts = {}, {}
  local function place(row) return row.variant .. "\0" .. row.dataset end
  for _, row in ipairs(summary.verdict.sensitivity) do counts[place(row)] = (counts[place(row)] or 0) + 1 end
  for _, row in ipairs(summary.verdict.sensitivity) do
    local kind = say.sensitivity.kinds[row.kind]
    local reading = row.name == row.kind and kind or page:fill(say.sensitivity.named, { kind = kind, name = row.name })
    if counts[place(row)] > 1 then
      rows[#rows + 1] = { row.dataset, row.variant, reading, page:signed_interval(row.difference_pt, row.interval_pt, 2),
        page:count(row.flips), page:count(row.pairs) }
    end
  end
  if #rows == 0 then return end
  page:heading(2, say.sensitivity.heading)
  page:text(say.sensitivity.text)
  page:table { columns = { left(c.dataset), left(c.variant), left(c.reading), right(c.difference), right(c.flip_count), right(c.pairs) },
    rows = rows }
end

--- Groups that stand out, or the nearest to it.
function parts.funnel(page, summary)
  for _, dataset in ipairs(summary.dataset_order) do
    local all, rows, any = summary.verdict.funnel[dataset], {}, false
    local sorted = { table.unpack(all or {}) }
    table.sort(sorted, function(a, b)
      if a.p ~= b.p then return a.p < b.p end
      return a.variant .. a.group < b.variant .. b.group
    end)
    for i = 1, math.min(MOST_GROUPS, #sorted) do
      local row = sorted[i]
      any = any or row.stands_out
      rows[i] = { row.variant, row.group, page:signed_interval(row.difference_pt, row.interval_pt, 1), page:count(row.flips),
        page:count(row.pairs), p_value(page, row.p), p_value(page, row.p_holm) }
    end
    if #rows > 0 then
      page:heading(2, say.funnel.heading, { dataset = dataset })
      page:text(say.funnel.text, { tests = page:count(#all) })
      if not any then page:text(say.funnel.none) end
      page:table { columns = { left(c.variant), left(c.group), right(c.difference), right(c.flip_count), right(c.pairs), right(c.raw),
        right(c.adjusted) }, rows = rows }
    end
  end
end

local function flags_text(flags)
  if #flags == 0 then return say.health.fine end
  local sides = { en = {}, zh = {} }
  for i, flag in ipairs(flags) do
    for side, list in pairs(sides) do list[i] = say.health.flags[flag][side] end
  end
  return { en = table.concat(sides.en, ", "), zh = table.concat(sides.zh, "、") }
end

--- Loops, language, length, letters.
function parts.health(page, summary)
  local rows = {}
  for i, row in ipairs(summary.verdict.health) do
    local bounds, length = row.length_ratio_interval, nil
    if row.length_ratio then
      length = ("%s [%s, %s]"):format(page:decimal(row.length_ratio, 2), page:decimal(bounds[1], 2), page:decimal(bounds[2], 2))
    end
    rows[i] = { row.dataset, row.variant, flags_text(row.flags), page:count(row.texts), page:count(row.loops), page:count(row.switched),
      length, p_value(page, row.letters_p_holm) }
  end
  if #rows == 0 then return end
  page:heading(2, say.health.heading)
  page:text(say.health.text)
  page:table { columns = { left(c.dataset), left(c.variant), left(c.flags), right(c.texts), right(c.loops), right(c.language),
    right(c.length), right(c.letters) }, rows = rows }
end

--- Errors, truncation and unusable answers against the baseline's.
function parts.rates(page, summary)
  local rows = {}
  for i, row in ipairs(summary.verdict.rates) do
    rows[i] = { row.dataset, row.variant, say.rates.kinds[row.kind], page:percent(row.rate, 2), page:percent(row.baseline_rate, 2),
      p_value(page, row.p), p_value(page, row.p_holm) }
  end
  if #rows == 0 then return end
  page:heading(2, say.rates.heading)
  page:text(say.rates.text)
  page:table { columns = { left(c.dataset), left(c.variant), left(c.kind), right(c.rate), right(c.of_baseline), right(c.raw),
    right(c.adjusted) }, rows = rows }
end

--- What so many questions can show.
function parts.power(page, summary)
  local power = summary.verdict.power
  local columns, rows = { left(c.dataset), right(c.questions), right(c.margin) }, {}
  for _, rate in ipairs(power.flip_rates) do columns[#columns + 1] = right(page:percent(rate)) end
  for i, one in ipairs(power.datasets) do
    rows[i] = { one.name == "suite" and say.power.suite or one.name, page:count(one.questions), ("%g"):format(one.margin_pt) }
    for j, half in ipairs(one.half_width_pt) do
      rows[i][j + 3] = ("%s (%s)"):format(page:decimal(half, 2), page:percent(one.power[j], 0))
    end
  end
  if #rows == 0 then return end
  page:heading(2, say.power.heading)
  page:text(say.power.text, { level = level_of(page, summary.verdict) })
  page:table { columns = columns, rows = rows }
end

--- The rule that was fixed before the run.
function parts.rule(page, summary)
  local verdict = summary.verdict
  page:heading(2, say.rule.heading)
  page:text(say.rule.method)
  page:text(say.rule.text, { sha = page:mono(verdict.plan_sha256) })
  page:code(page:assignments(verdict.plan):gsub(", ([%a_]+)=", "\n%1="), "text")
end

return parts
