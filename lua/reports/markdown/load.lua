-- SPDX-License-Identifier: Apache-2.0
--- The parts of the Markdown report about measurements under load, and about the instrument itself.
local say = require "markdown.load_say"

local parts = {}

local c = say.column

local function right(title) return { title = title, align = "right" } end
local function left(title) return { title = title } end

-- ---- figures with their intervals ----------------------------------------------------------------------------------

-- An end that is open is said to be so: a percentile that no finite sample bounds must not look bounded.
local function bounded(page, text, bounds, format)
  if not bounds or not (bounds.lo or bounds.hi) then return text end
  return ("%s [%s, %s]"):format(text, format(page, bounds.lo), format(page, bounds.hi))
end

local function as_seconds(page, x) return page:seconds(x) end
local function as_rate(page, x) return page:rate(x) end
local function as_ratio(page, x) return page:decimal(x, 2) end

-- Over several replicates: their mean, by Student's t. Of one: the percentile with its order-statistic interval.
local function statistic(page, cell, name, p)
  if cell.num_replicates > 1 then
    local mean = cell.means[("%s_%s"):format(name, p)]
    return mean and bounded(page, page:seconds(mean.mean), mean, as_seconds) or nil
  end
  local d = cell.pooled[name .. "_seconds"]
  if not d or not d[p] then return nil end
  return bounded(page, page:seconds(d[p]), (d.intervals or {})[p], as_seconds)
end

local function rate(page, cell, name)
  local mean = cell.means[name]
  return mean and bounded(page, page:rate(mean.mean), mean, as_rate) or nil
end

local function each(section, summary, visit)
  for _, point in ipairs(section.points) do
    for _, variant in ipairs(summary.variant_order) do
      local cell = point.variants[variant]
      if cell then visit(point, variant, cell) end
    end
  end
end

local function any(section, summary, test)
  local found = false
  each(section, summary, function(point, _, cell) found = found or test(cell, point) end)
  return found
end

-- Where a row stands, marked where the client was the limit.
local function place(point, cell)
  return cell.check.verdict == "degraded" and point.label .. " †" or point.label
end

-- ---- what was done --------------------------------------------------------------------------------------------------

local function workload_text(page, about)
  local work = about.workload or {}
  local fields = { work.kind and page:fill(say.workload.kind, { kind = say.workload.kinds[work.kind] or tostring(work.kind) }) }
  local function add(text, values) fields[#fields + 1] = page:fill(text, values) end
  if work.source then add(say.workload.source, { source = tostring(work.source) }) end
  if work.input then add(say.workload.input, { input = tostring(work.input), output = tostring(work.output) }) end
  if work.unit and work.unit ~= "tokens" then add(say.workload.unit, { unit = tostring(work.unit) }) end
  if about.output_tokens then add(say.workload.fixed, { output = tostring(about.output_tokens) }) end
  if about.ignore_eos then add(say.workload.ignore_eos) end
  if work.prefix_groups then add(say.workload.prefix, { groups = tostring(work.prefix_groups), tokens = tostring(work.prefix_tokens) }) end
  if work.turns then add(say.workload.turns, { turns = tostring(work.turns) }) end
  local en, zh = {}, {}
  for i, field in ipairs(fields) do en[i], zh[i] = field.en, field.zh end
  return #fields > 0 and { en = table.concat(en, ", "), zh = table.concat(zh, "，") } or nil
end

local function described(page, section)
  local about = section.about
  page:text(say.text)
  local items = {}
  local work = workload_text(page, about)
  if work then items[#items + 1] = { say.requests, { workload = work } } end
  if about.replicates then
    items[#items + 1] = { about.replicates > 1 and say.replicates or say.one_replicate,
      { n = about.replicates, order = say.orders[about.order] or tostring(about.order or "–") } }
  end
  if about.warmup then items[#items + 1] = { about.warmup_steady and say.warmup_steady or say.warmup, { n = about.warmup } } end
  if about.seed then items[#items + 1] = { say.seed, { seed = about.seed } } end
  if section.slo then items[#items + 1] = { say.slo, { slo = page:mono(section.slo) } } end
  page:list(items)
end

-- The largest value that kept the limits, where one was looked for.
local function found(page, summary, section)
  if not section.found then return end
  local rows = {}
  for _, variant in ipairs(summary.variant_order) do
    local one = section.found[variant]
    if one then
      rows[#rows + 1] = { variant, say.axes[one.axis] or one.axis, one.met and ("%g"):format(one.met) or nil,
        one.failed and ("%g"):format(one.failed) or nil, page:count(#(one.steps or {})) }
    end
  end
  if #rows == 0 then return end
  page:text(say.found, { slo = page:mono(section.slo or "–") })
  page:table { columns = { left(c.variant), left(c.axis), right(c.met), right(c.failed_at), right(c.steps) }, rows = rows }
end

-- ---- tables -----------------------------------------------------------------------------------------------------------

local function throughput(page, summary, section)
  local has_goodput = section.slo ~= nil
  local has_offered = any(section, summary, function(_, point) return point.is_open end)
  local columns = { left(c.point), left(c.variant), right(c.requests), right(c.failed) }
  if has_offered then columns[#columns + 1] = right(c.offered) end
  for _, title in ipairs { c.request_rate, c.token_rate, c.steady_rate, c.concurrency } do columns[#columns + 1] = right(title) end
  if has_goodput then columns[#columns + 1] = right(c.goodput) end
  local rows, sources = {}, {}
  each(section, summary, function(point, variant, cell)
    local pooled = cell.pooled
    for name in pairs(pooled.count_sources or {}) do sources[name] = true end
    local row = { place(point, cell), variant, page:count(pooled.num_ok), page:count(pooled.num_failed) }
    if has_offered then row[#row + 1] = page:rate(cell.replicates[1].offered_per_second) end
    local base = #row
    row[base + 1], row[base + 2] = rate(page, cell, "requests_per_second") or "–", rate(page, cell, "output_tokens_per_second") or "–"
    row[base + 3] = rate(page, cell, "steady_output_tokens_per_second") or "–"
    row[base + 4] = rate(page, cell, "concurrency") or "–"
    if has_goodput then
      local share = cell.means.goodput_share
      row[base + 5] = share and ("%s (%s)"):format(rate(page, cell, "goodput_per_second") or "–", page:percent(share.mean)) or "–"
    end
    rows[#rows + 1] = row
  end)
  local names = page:keys(sources)
  page:text(say.throughput, { sources = page:mono(#names > 0 and table.concat(names, ", ") or "–") })
  page:table { columns = columns, rows = rows }
end

local LATENCIES = { "ttft", "ttfa", "tpot", "itl", "e2e", "ttft_due", "e2e_due" }

-- The first answer token is only worth a table where reasoning comes before it.
local function is_worth_it(section, summary, name)
  return any(section, summary, function(cell)
    local d = cell.pooled[name .. "_seconds"]
    if not d then return false end
    local first = cell.pooled.ttft_seconds
    return name ~= "ttfa" or not first or math.abs(d.mean - first.mean) > 0.01 * first.mean
  end)
end

local function latency(page, summary, section, name)
  if not is_worth_it(section, summary, name) then return end
  local rows = {}
  each(section, summary, function(point, variant, cell)
    local d = cell.pooled[name .. "_seconds"]
    if d then
      rows[#rows + 1] = { place(point, cell), variant, page:count(d.n), page:seconds(d.mean), statistic(page, cell, name, "p50") or "–",
        statistic(page, cell, name, "p95") or "–", statistic(page, cell, name, "p99") or "–", page:seconds(d.max) }
    end
  end)
  page:text(say.latency[name])
  page:table { columns = { left(c.point), left(c.variant), right(c.n), right(c.mean), right "p50", right "p95", right "p99", right(c.max) },
    rows = rows }
end

local RATIOS = { "output_tokens_per_second", "goodput_per_second", "ttft_p50", "ttft_p95", "tpot_p50", "e2e_p50", "e2e_p95" }

local function ratios(page, summary, section)
  local shown = {}
  for _, name in ipairs(RATIOS) do
    if any(section, summary, function(cell) return cell.ratios ~= nil and cell.ratios[name] ~= nil end) then shown[#shown + 1] = name end
  end
  if #shown == 0 then return end
  local columns, rows = { left(c.point), left(c.variant) }, {}
  for _, name in ipairs(shown) do columns[#columns + 1] = right(say.figures[name]) end
  each(section, summary, function(point, variant, cell)
    if not cell.ratios then return end
    local row = { place(point, cell), variant }
    for i, name in ipairs(shown) do
      local one = cell.ratios[name]
      row[i + 2] = one and bounded(page, page:decimal(one.ratio, 2) .. "x", one.lo and one or nil, as_ratio) or "–"
    end
    rows[#rows + 1] = row
  end)
  page:text(say.ratios, { baseline = page:mono(summary.baseline), level = page:percent(section.level, 0) })
  page:table { columns = columns, rows = rows }
end

local function stages(page, summary, section)
  local rows = {}
  each(section, summary, function(point, variant, cell)
    for _, label in ipairs(cell.stages and point.stages or {}) do
      local one = cell.stages[label]
      local function p(name, key) return page:seconds((one[name] or {})[key]) end
      rows[#rows + 1] = { label, variant, page:count(one.num_ok), page:count(one.num_failed), p("ttft_seconds", "p50"), p("ttft_seconds",
        "p95"),
        p("tpot_seconds", "p50"), p("e2e_seconds", "p50"), p("e2e_seconds", "p95") }
    end
  end)
  if #rows == 0 then return end
  page:text(say.stages)
  page:table { columns = { left(c.stage), left(c.variant), right(c.requests), right(c.failed), right(say.figures.ttft_p50),
    right(say.figures.ttft_p95), right(say.figures.tpot_p50), right(say.figures.e2e_p50), right(say.figures.e2e_p95) }, rows = rows }
end

local function failures(page, summary, section)
  local rows = {}
  each(section, summary, function(point, variant, cell)
    local counts, names = cell.pooled.failures or {}, {}
    for i, name in ipairs(page:keys(counts)) do names[i] = ("%s %s"):format(name, page:count(counts[name])) end
    if #names > 0 then
      rows[#rows + 1] = { point.label, variant, page:count(cell.pooled.num_failed), page:count(cell.pooled.num_total), table.concat(names,
        ", ") }
    end
  end)
  if #rows == 0 then return end
  page:text(say.failures)
  page:table { columns = { left(c.point), left(c.variant), right(c.failed), right(c.requests_all), left(c.kinds) }, rows = rows }
end

-- ---- the instrument -----------------------------------------------------------------------------------------------------

local function ns(page, value) return value and page:seconds(value / 1e9) or nil end

local function check_row(page, check)
  return say.check.verdicts[check.verdict], say.check.limits[check.limit], say.check.sources[check.stamp_source] or "–",
    ns(page, check.stamp_error_ns) or "–", ns(page, check.dispatch_lag_p50_ns) or "–", ns(page, check.dispatch_lag_p99_ns) or "–",
    ns(page, check.handling_delay_p99_ns) or "–", page:decimal(check.events_per_read, 2), page:decimal(check.reads_per_event, 2),
    page:percent(check.busy_share), page:count(check.lost_events)
end

local CHECK_COLUMNS = { right(c.stamp_error), right(c.lag_p50), right(c.lag_p99), right(c.delay_p99), right(c.events_per_read),
  right(c.reads_per_event), right(c.busy), right(c.lost) }

local function check_table(page, names, rows)
  local columns = {}
  for i, title in ipairs(names) do columns[i] = left(title) end
  for _, title in ipairs { c.check, c.limit, c.stamps } do columns[#columns + 1] = left(title) end
  for _, column in ipairs(CHECK_COLUMNS) do columns[#columns + 1] = column end
  page:table { columns = columns, rows = rows }
end

-- Reasons once each, however many measurements they are of.
local function reasons(page, checks)
  local items = {}
  for _, one in ipairs(checks) do
    for _, reason in ipairs(one.check.reasons) do
      items[#items + 1] = { say.check.reason, { where = one.where, text = reason.text } }
    end
  end
  if #items == 0 then return end
  page:note(say.check.degraded)
  page:list(items)
end

local function untested(page, checks)
  local names, seen = {}, {}
  for _, one in ipairs(checks) do
    for _, name in ipairs(one.check.not_known) do
      if not seen[name] then names[#names + 1], seen[name] = say.check.tests[name] or { en = name, zh = name }, true end
    end
  end
  if #names == 0 then return end
  local en, zh = {}, {}
  for i, name in ipairs(names) do en[i], zh[i] = name.en, name.zh end
  page:text(say.check.not_known, { names = { en = table.concat(en, ", "), zh = table.concat(zh, "、") } })
end

local function load_checks(page, summary, section)
  local rows, checks = {}, {}
  each(section, summary, function(point, variant, cell)
    rows[#rows + 1] = { point.label, variant, check_row(page, cell.check) }
    checks[#checks + 1] = { where = ("%s, %s"):format(point.label, variant), check = cell.check }
  end)
  page:heading(3, say.check.heading_load)
  page:text(say.check.text)
  reasons(page, checks)
  check_table(page, { c.point, c.variant }, rows)
  untested(page, checks)
end

--- Is there a measurement in which the client was the limit?
function parts.is_degraded(summary)
  return summary.load ~= nil and any(summary.load, summary, function(cell) return cell.check.verdict == "degraded" end)
end

--- Everything about measurements under load; nothing where there were none.
-- @tparam table page
-- @tparam table summary
-- @tparam[opt] function draw called between words and tables: for drawings
function parts.load(page, summary, draw)
  local section = summary.load
  if not section then return end
  page:heading(2, say.heading)
  if parts.is_degraded(summary) then page:note(say.degraded) end
  described(page, section)
  found(page, summary, section)
  throughput(page, summary, section)
  if draw then draw(page, summary) end
  page:text(section.about.replicates and section.about.replicates > 1 and say.latencies_replicates or say.latencies,
    { level = page:percent(section.level, 0) })
  if any(section, summary, function(cell) return cell.pooled.itl_is_events end) then page:text(say.itl_events) end
  for _, name in ipairs(LATENCIES) do latency(page, summary, section, name) end
  ratios(page, summary, section)
  stages(page, summary, section)
  failures(page, summary, section)
  load_checks(page, summary, section)
end

--- How good the instrument was while the questions were answered; nothing where no client was read.
function parts.instrument(page, summary)
  if not summary.instrument then return end
  local rows, checks = {}, {}
  for _, variant in ipairs(summary.variant_order) do
    local check = summary.instrument.variants[variant]
    if check then
      rows[#rows + 1] = { variant, check_row(page, check) }
      checks[#checks + 1] = { where = variant, check = check }
    end
  end
  if #rows == 0 then return end
  page:heading(2, say.check.heading)
  page:text(say.check.text)
  reasons(page, checks)
  check_table(page, { c.variant }, rows)
  untested(page, checks)
end

return parts
