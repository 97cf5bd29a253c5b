-- SPDX-License-Identifier: Apache-2.0
--- Markdown: the report of a run, in English, in Chinese or in both, from one source: verdict first, then one table for
-- each question that a reader asks, then methods and how to reproduce it.
--
-- To change it, copy this file and the folders `markdown` and `drawings` beside it into a folder of your own and pass `--layout
-- markdown.lua`. It never asks which language it is in: a text is a pair `{ en = …, zh = … }`, and the page picks or sets
-- both. `docs/reports.md` walks through an example and lists what `page` and `summary` offer.
local figures = require "drawings.figures"
local hardware = require "markdown.hardware"
local load = require "markdown.load"
local load_say = require "markdown.load_say"
local q = require "qlua"
local say = require "markdown.say"
local repeats = require "markdown.repeats"
local servers = require "markdown.servers"
local verdict = require "markdown.verdict"
local verdict_say = require "markdown.verdict_say"

local LEAST_P99 = 100
local MOST_FILES = 8

local function right(title) return { title = title, align = "right" } end
local function left(title) return { title = title } end

local function cell_of(summary, variant, dataset) return summary.variants[variant].datasets[dataset] end

-- Every (dataset, variant) with answers, in the order of the run.
local function each(summary, visit)
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local cell = cell_of(summary, variant, dataset)
      if cell then visit(dataset, variant, cell) end
    end
  end
end

local function head(page, summary)
  page:heading(1, say.title, { id = summary.run.id or "–" })
  if summary.simulated then page:note(say.simulated) end
  for _, notice in ipairs(summary.notices or {}) do
    page:note(say.notice, { variant = notice.variant, text = { en = notice.en, zh = notice.zh } })
  end
  local has_answers = #summary.dataset_order > 0
  page:text(has_answers and say.facts or load_say.facts, { model = page:mono(summary.model or "–"),
    baseline = page:mono(summary.baseline or "–"), variants = #summary.variant_order, datasets = #summary.dataset_order,
    started = summary.run.started_at or "–" })
end

local function variants(page, summary)
  local rows = {}
  for i, name in ipairs(summary.variant_order) do
    local variant = summary.variants[name]
    rows[i] = { name, variant.title or variant.description or "", variant.model, variant.engine, variant.quantization }
  end
  local c = say.column
  page:heading(2, say.variants)
  page:table { columns = { left(c.variant), left(c.description), left(c.model), left(c.engine), left(c.quantization) },
    rows = rows }
end

local function why_unusable(page, summary, cell)
  local reasons = {}
  if cell.num_answered == 0 then
    reasons[1] = say.why.nothing
  elseif cell.error_rate > summary.max_error_rate then
    reasons[1] = page:fill(say.why.errors, { rate = page:percent(cell.error_rate) })
  end
  if cell.incomplete then
    reasons[#reasons + 1] = page:fill(say.why.incomplete,
      { got = page:count(cell.num_total), expected = page:count(cell.num_expected) })
  end
  return #reasons == 2 and page:fill(say.why.two, { first = reasons[1], second = reasons[2] }) or reasons[1]
end

local function caveats(page, summary)
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local cell = cell_of(summary, variant, dataset)
      if not cell then
        page:note(say.absent, { variant = variant, dataset = dataset })
      elseif not cell.usable then
        page:note(say.unusable, { variant = variant, dataset = dataset, why = why_unusable(page, summary, cell) })
      end
    end
  end
end

-- Subsets and copies of a data set are fine; that they are none of the published ones has to be said.
local function data_notes(page, summary)
  local items = {}
  for i, note in ipairs(summary.manifest and summary.manifest.notes or {}) do
    items[i] = { say.data_note, { note = { en = note.en, zh = note.zh } } }
  end
  if #items == 0 then return end
  page:text(say.data_differs)
  page:list(items)
end

-- A figure that must not be used is marked where it stands, not only in the note below.
local function headline(page, cell)
  local figure = cell.headline_average == "macro" and page:percent(cell.macro_average)
    or page:interval(cell.accuracy, cell.accuracy_interval)
  return cell.usable and figure or "† " .. figure
end

local function accuracy(page, summary)
  page:heading(2, say.accuracy.heading)
  page:text(say.accuracy.text)
  local columns, rows = { left(say.column.variant) }, {}
  for _, dataset in ipairs(summary.dataset_order) do
    local n = page:count(summary.datasets[dataset].num_questions)
    columns[#columns + 1] = right(("%s (n = %s)"):format(dataset, n))
  end
  for i, variant in ipairs(summary.variant_order) do
    rows[i] = { variant }
    for j, dataset in ipairs(summary.dataset_order) do
      local cell = cell_of(summary, variant, dataset)
      rows[i][j + 1] = cell and headline(page, cell) or nil
    end
  end
  page:table { columns = columns, rows = rows }
  for _, dataset in ipairs(summary.dataset_order) do
    local facts = summary.datasets[dataset]
    if facts.group_average == "macro" then page:text(say.accuracy.macro, { dataset = dataset }) end
    if facts.repeats > 1 then page:text(say.accuracy.repeats, { dataset = dataset, repeats = facts.repeats }) end
  end
  caveats(page, summary)
  data_notes(page, summary)
end

-- Say once that prompts were equal; where they were not, the verdict's findings name it.
local function prompt_checks(page, summary)
  local compared, differ = 0, 0
  each(summary, function(_, _, cell)
    local d = cell.against_baseline
    if not d then return end
    compared, differ = compared + d.prompts_compared, differ + d.prompts_differ + d.prompt_tokens_differ
  end)
  if compared > 0 and differ == 0 then page:text(say.prompts.same_prompts, { compared = page:count(compared) }) end
end

local function outcomes(page, summary)
  local occurred, c = {}, say.column
  each(summary, function(_, _, cell)
    for name, n in pairs(cell.outcomes) do occurred[name] = occurred[name] or n > 0 end
  end)
  local columns, shown = { left(c.dataset), left(c.variant), right(c.asked) }, {}
  for _, outcome in ipairs(page:outcomes()) do
    if occurred[outcome.name] then
      shown[#shown + 1] = outcome.name
      columns[#columns + 1] = right(outcome.title)
    end
  end
  columns[#columns + 1], columns[#columns + 2] = right(c.invalid_rate), right(c.error_rate)
  local rows = {}
  each(summary, function(dataset, variant, cell)
    local row = { dataset, variant, page:count(cell.num_total) }
    for _, name in ipairs(shown) do row[#row + 1] = page:count(cell.outcomes[name]) end
    row[#columns - 1], row[#columns] = page:percent(cell.invalid_rate, 2), page:percent(cell.error_rate, 2)
    rows[#rows + 1] = row
  end)
  page:heading(2, say.outcomes.heading)
  page:text(say.outcomes.text, { limit = page:percent(summary.max_error_rate) })
  page:table { columns = columns, rows = rows }
end

local function lengths(page, summary)
  local rows, c = {}, say.column
  each(summary, function(dataset, variant, cell)
    local cut, tokens = cell.truncated, cell.completion_tokens
    if not cut then return end
    rows[#rows + 1] = { dataset, variant, page:count(cut.count), page:percent(cut.share, 2), page:percent(cell.accuracy),
      page:percent(cut.accuracy_without), page:decimal(tokens and tokens.mean), page:decimal(tokens and tokens.median, 0) }
  end)
  if #rows == 0 then return end
  page:text(say.outcomes.cut)
  page:table { columns = { left(c.dataset), left(c.variant), right(c.cut), right(c.cut_share), right(c.accuracy),
    right(c.without), right(c.tokens_mean), right(c.tokens_median) }, rows = rows }
end

local function distribution(page, summary, field, caption)
  local rows, c = {}, say.column
  each(summary, function(dataset, variant, cell)
    local d = cell[field]
    if not d then return end
    rows[#rows + 1] = { dataset, variant, page:count(d.n), page:seconds(d.mean), page:seconds(d.p50), page:seconds(d.p90),
      page:seconds(d.p95), page:seconds(d.p99), page:seconds(d.max) }
  end)
  if #rows == 0 then return end
  page:text(caption)
  page:table { columns = { left(c.dataset), left(c.variant), right(c.replies), right(c.mean), right "p50", right "p90",
    right "p95", right "p99", right(c.max) }, rows = rows }
end

local function speed(page, summary)
  page:heading(2, say.speed.heading)
  page:text(say.speed.text, { least = LEAST_P99 })
  distribution(page, summary, "latency_seconds", say.speed.total)
  distribution(page, summary, "ttft_seconds", say.speed.first)
  distribution(page, summary, "tpot_seconds", say.speed.per_token)
  local rows, sources, c = {}, {}, say.column
  each(summary, function(dataset, variant, cell)
    for name in pairs(cell.count_sources or {}) do sources[name] = true end
    rows[#rows + 1] = { dataset, variant, page:rate(cell.questions_per_second), page:rate(cell.tokens_per_second),
      page:duration(cell.window_seconds), page:count(cell.retries.count) }
  end)
  local names = page:keys(sources)
  page:text(say.speed.rates, { sources = page:mono(#names > 0 and table.concat(names, ", ") or "–") })
  page:table { columns = { left(c.dataset), left(c.variant), right(c.rate), right(c.token_rate), right(c.window),
    right(c.retries) }, rows = rows }
end

local function scorers(page, summary)
  local rows, several, c = {}, false, say.column
  each(summary, function(dataset, variant, cell)
    local facts = summary.datasets[dataset]
    local names = { facts.headline_scorer }
    for _, name in ipairs(facts.scorers or {}) do
      if name ~= facts.headline_scorer then names[#names + 1] = name end
    end
    local headline_scorer = cell.scorers[facts.headline_scorer]
    local has_more = #names > 1 or headline_scorer and headline_scorer.metrics
    several = several or has_more
    for _, name in ipairs(has_more and names or {}) do
      local one, is_headline = cell.scorers[name], name == facts.headline_scorer
      if one then
        rows[#rows + 1] = { dataset, variant, name, page:count(one.num_correct),
          page:interval(one.accuracy, one.accuracy_interval), page:count(one.num_invalid),
          not is_headline and page:count(one.only_right_here) or nil,
          not is_headline and page:count(one.only_right_in_headline) or nil }
        for _, metric in ipairs(page:keys(one.metrics)) do
          rows[#rows + 1] = { dataset, variant, ("%s: %s"):format(name, metric), nil, page:percent(one.metrics[metric]) }
        end
      end
    end
  end)
  if not several then return end
  page:heading(2, say.scorers.heading)
  page:text(say.scorers.text)
  page:table { columns = { left(c.dataset), left(c.variant), left(c.scorer), right(c.correct), right(c.accuracy),
    right(c.unusable), right(c.only_here), right(c.only_headline) }, rows = rows }
end

local function category_table(page, summary, dataset)
  local columns, rows, names = { left(say.column.category), right(say.column.questions) }, {}, {}
  for _, variant in ipairs(summary.variant_order) do
    local cell = cell_of(summary, variant, dataset)
    if cell and cell.categories then
      columns[#columns + 1] = right(variant)
      for name, sum in pairs(cell.categories) do
        names[name] = math.max(names[name] or 0, sum.num_total)
      end
    end
  end
  for i, name in ipairs(page:keys(names)) do
    rows[i] = { name, page:count(names[name]) }
    for _, variant in ipairs(summary.variant_order) do
      local cell = cell_of(summary, variant, dataset)
      if cell and cell.categories then
        local sum = cell.categories[name]
        table.insert(rows[i], sum and page:interval(sum.accuracy, sum.accuracy_interval) or "–")
      end
    end
  end
  if #rows > 0 then page:table { columns = columns, rows = rows } end
end

local function group_table(page, summary, dataset)
  local columns = { left(say.column.group), right(say.column.questions) }
  local counts, average, seen = {}, nil, {}
  local rows = { { say.groups.micro }, { say.groups.macro } }
  for _, variant in ipairs(summary.variant_order) do
    local cell = cell_of(summary, variant, dataset)
    if cell and cell.groups then
      seen[#seen + 1], average = cell, cell.headline_average
      columns[#columns + 1] = right(variant)
      for name, group in pairs(cell.groups) do counts[name] = math.max(counts[name] or 0, group.num_total) end
    end
  end
  if #seen == 0 then return end
  rows[1][2], rows[2][2] = page:count(seen[1].num_total), page:count(seen[1].num_total)
  for i, cell in ipairs(seen) do
    rows[1][i + 2], rows[2][i + 2] = page:percent(cell.micro_average), page:percent(cell.macro_average)
  end
  for _, name in ipairs(page:keys(counts)) do
    local row = { name, page:count(counts[name]) }
    for i, cell in ipairs(seen) do row[i + 2] = page:percent(cell.groups[name] and cell.groups[name].accuracy) end
    rows[#rows + 1] = row
  end
  page:heading(2, say.groups.heading, { dataset = dataset })
  page:text(say.groups.text, { headline = say.groups[average] })
  category_table(page, summary, dataset)
  page:table { columns = columns, rows = rows }
end

local function shots_text(shots)
  if type(shots) ~= "table" then return shots and tostring(shots) or "0" end
  local parts = { tostring(shots.n or 0) }
  if shots.sampler and (shots.n or 0) > 0 then parts[2] = shots.sampler end
  if shots.seed and shots.sampler == "random" then parts[3] = ("seed %s"):format(shots.seed) end
  return table.concat(parts, ", ")
end

-- One line for all variants that were sampled alike.
local function sampling(page, summary)
  local variants_of, order, items = {}, {}, {}
  for _, name in ipairs(summary.variant_order) do
    local parameters = page:assignments(summary.variants[name].generation)
    if parameters ~= "" and not variants_of[parameters] then
      order[#order + 1], variants_of[parameters] = parameters, {}
    end
    if parameters ~= "" then table.insert(variants_of[parameters], name) end
  end
  for i, parameters in ipairs(order) do
    items[i] = { say.method.sampling, { variants = table.concat(variants_of[parameters], ", "),
      parameters = page:mono(parameters) } }
  end
  return items
end

local function method(page, summary)
  page:heading(2, say.method.heading)
  local rows, items, c = {}, { say.method.digest }, say.column
  for i, name in ipairs(summary.dataset_order) do
    local facts = summary.datasets[name]
    rows[i] = { name, facts.mode or "generate", shots_text(facts.shots), facts.headline_scorer or "–",
      page:count(facts.num_questions), page:count(facts.repeats),
      facts.prompt_digest and page:mono(page:digest(facts.prompt_digest)) or "–" }
  end
  for _, item in ipairs(sampling(page, summary)) do items[#items + 1] = item end
  page:table { columns = { left(c.dataset), left(c.mode), left(c.shots), left(c.scorer), right(c.questions),
    right(c.repeats), left(c.digest) }, rows = rows }
  for _, item in ipairs { say.method.invalid, say.method.errors } do items[#items + 1] = item end
  page:list(items)
end

-- A folder of files (MMLU has 57 for each split) is one row; the manifest lists them.
local function many_files(page, dataset, files)
  local rows
  for _, file in ipairs(files) do rows = file.rows and (rows or 0) + file.rows or rows end
  return { page:fill(say.reproduce.many, { dataset = dataset, n = page:count(#files) }), page:count(rows) }
end

local function reproduce(page, summary)
  local manifest, rows = summary.manifest or {}, {}
  page:heading(2, say.reproduce.heading)
  if manifest.command then
    page:text(say.reproduce.command)
    local verb = #summary.dataset_order > 0 and "qlua run " or "qlua load "
    page:code(verb .. page:shell(manifest.command), "sh")
  end
  for _, dataset in ipairs(summary.dataset_order) do
    local files = summary.datasets[dataset].files or {}
    if #files > MOST_FILES then
      rows[#rows + 1] = many_files(page, dataset, files)
    else
      for _, file in ipairs(files) do
        rows[#rows + 1] = { page:mono(file.name), page:count(file.rows), page:mono(page:digest(file.sha256)) }
      end
    end
  end
  for _, name in ipairs(page:keys(manifest.scripts)) do
    rows[#rows + 1] = { page:mono(name), nil, page:mono(page:digest(manifest.scripts[name].sha256)) }
  end
  if #rows > 0 then
    page:text(say.reproduce.files)
    page:table { columns = { left(say.column.file), right(say.column.rows), left "SHA-256" }, rows = rows }
  end
  if next(manifest.qlua or {}) then
    page:text(say.reproduce.versions, { versions = page:mono(page:assignments(manifest.qlua)) })
  end
  if next(manifest.host or {}) then page:text(say.reproduce.host, { host = page:mono(page:assignments(manifest.host)) }) end
end

-- The verdict and what it rests on; a results file of an older version has none.
local function judged(page, summary)
  if not summary.verdict then return page:note(say.no_verdict) end
  verdict.first(page, summary)
end

-- One variant alone has nothing to differ from.
local function is_compared(summary) return summary.verdict ~= nil and #summary.variant_order > 1 end

local function grounds(page, summary)
  if not is_compared(summary) then return end
  verdict.accuracy(page, summary)
  figures.differences(page, summary)
  prompt_checks(page, summary)
  verdict.behaviour(page, summary)
  figures.flips(page, summary)
  verdict.serving(page, summary)
  figures.choice(page, summary)
  verdict.sensitivity(page, summary)
  verdict.funnel(page, summary)
  verdict.health(page, summary)
  verdict.rates(page, summary)
end

-- Nothing was asked for an answer: no accuracy, no verdict.
local function under_load_only(page, summary)
  variants(page, summary)
  load.load(page, summary, figures.load)
  reproduce(page, summary)
end

return q.report {
  name = "markdown",
  summary = { en = "The report as Markdown", zh = "Markdown 格式的报告" },
  format = "markdown",
  extension = "md",
  say = { report = say, verdict = verdict_say, load = load_say, servers = servers.say, repeats = repeats.say,
    hardware = hardware.say },

  layout = function(page, summary)
    head(page, summary)
    servers.warnings(page, summary)
    if #summary.dataset_order == 0 then return under_load_only(page, summary) end
    judged(page, summary)
    variants(page, summary)
    if is_compared(summary) then verdict.differences(page, summary) end
    accuracy(page, summary)
    figures.accuracy(page, summary)
    grounds(page, summary)
    outcomes(page, summary)
    lengths(page, summary)
    speed(page, summary)
    hardware.section(page, summary)
    load.load(page, summary, figures.load)
    scorers(page, summary)
    for _, dataset in ipairs(summary.dataset_order) do group_table(page, summary, dataset) end
    repeats.section(page, summary)
    repeats.turned(page, summary)
    servers.section(page, summary)
    method(page, summary)
    load.instrument(page, summary)
    if is_compared(summary) then
      verdict.power(page, summary)
      verdict.rule(page, summary)
    end
    reproduce(page, summary)
  end,
}
