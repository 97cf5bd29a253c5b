-- SPDX-License-Identifier: Apache-2.0
--- The report as one HTML file: the verdict first, then drawings, the sample explorer, and all tables.
--
-- It needs no network and no other file. The tables and methods are those of the Markdown layout, set by that layout
-- itself, so that the two reports cannot say different things. Styles, scripts and texts are in `html/`, drawings in
-- `drawings/`.
local explorer_words = require "html.explorer_words"
local figures = require "drawings.figures"
local load_parts = require "markdown.load"
local markdown = require "markdown"
local q = require "qlua"
local say = require "html.say"

local titles = figures.say

local STATUS_STYLE = { ship = "good", baseline = "warn", inconclusive = "none", none = "bad" }
local CLASS_STYLE = { better = "good", non_inferior = "good", lower_within_margin = "warn", inferior = "bad", inconclusive = "none",
  refused = "bad", baseline = "plain" }

local function right(title) return { title = title, align = "right" } end
local function left(title) return { title = title } end
local function cell_of(summary, variant, dataset) return summary.variants[variant].datasets[dataset] end

-- ---- the first screen ---------------------------------------------------------------------------------------------

local function head(page, summary)
  page:window_title("qlua · " .. (summary.run.id or "–"))
  page:block("header", { id = "top" }, function()
    page:heading(1, say.title, { id = summary.run.id or "–" })
    local has_answers = #summary.dataset_order > 0
    page:text(has_answers and say.facts or say.facts_load, { model = page:mono(summary.model or "–"), variants = #summary.variant_order,
      datasets = #summary.dataset_order, baseline = page:mono(summary.baseline or "–"), started = summary.run.started_at or "–" }, "facts")
    if summary.simulated then page:note(say.simulated, nil, "simulated") end
    for _, notice in ipairs(summary.notices or {}) do
      page:note(say.notice, { variant = notice.variant, text = { en = notice.en, zh = notice.zh } })
    end
    if page.is_live and not summary.run.finished_at then page:note(say.going_on) end
  end)
end

local function ratio(page, one)
  if not one or not one.ratio then return { badge = say.not_measured, class = "plain" } end
  local bounds = one.interval
  local text = page:decimal(one.ratio, 2) .. "×"
  return bounds and bounds[1] and bounds[2] and bounds[1] ~= bounds[2]
    and ("%s [%s, %s]"):format(text, page:decimal(bounds[1], 2), page:decimal(bounds[2], 2)) or text
end

-- What was measured on the axes of serving, for the card: those of the objective and of cost, measured or not.
local CARD_AXES = { { "throughput", "throughput" }, { "latency_p95", "latency" }, { "memory", "memory" }, { "energy", "energy" },
  { "cost", "cost" } }

local function class_of(summary, variant, judged)
  if variant == summary.baseline then return "baseline" end
  return judged and (judged.class or "refused") or nil
end

local function card_row(page, summary, variant)
  local verdict = summary.verdict
  local judged = (verdict.variants or {})[variant] or {}
  local class = class_of(summary, variant, verdict.variants and verdict.variants[variant])
  local suite, behaviour = judged.suite or {}, judged.behaviour or {}
  local row = { variant, class and { badge = say.verdict.class[class], class = CLASS_STYLE[class] } or nil,
    page:signed_interval(suite.difference_pt, suite.interval_pt, 2),
    page:percent(behaviour.flip_rate) }
  local serving = verdict.serving and verdict.serving.variants[variant] or {}
  for _, axis in ipairs(CARD_AXES) do row[#row + 1] = ratio(page, serving[axis[1]]) end
  return row
end

local function card_table(page, summary)
  local c = say.column
  local columns, rows = { left(c.variant), left(c.class), right(c.accuracy), right(c.flips) }, {}
  for _, axis in ipairs(CARD_AXES) do columns[#columns + 1] = right(c[axis[2]]) end
  for i, variant in ipairs(summary.variant_order) do rows[i] = card_row(page, summary, variant) end
  page:table { caption = say.card, columns = columns, rows = rows }
end

local function gates(page, verdict)
  if not verdict.gates or #verdict.gates == 0 then return end
  page:heading(3, say.verdict.gates)
  local rows = {}
  for i, gate in ipairs(verdict.gates) do
    rows[i] = { gate.text, { badge = gate.ok and say.verdict.gate_ok or say.verdict.gate_failed, class = gate.ok and "good" or "bad" } }
  end
  page:table { columns = { left(say.verdict.gate), left(say.column.class) }, rows = rows }
end

local function findings(page, verdict)
  local items = {}
  for _, finding in ipairs(verdict.findings or {}) do
    if finding.severity ~= "notes" then items[#items + 1] = { "{text}", { text = finding.text } } end
  end
  if #items == 0 then return end
  page:heading(3, say.verdict.findings)
  page:list(items)
end

local function judged_card(page, summary)
  local verdict = summary.verdict
  page:block("section", { id = "verdict", class = "card " .. (STATUS_STYLE[verdict.status] or "none") }, function()
    page:heading(2, say.verdict.status[verdict.status] or say.verdict.heading, { chosen = verdict.chosen or "–" })
    if verdict.headline then page:text("{text}", { text = verdict.headline }, "headline") end
    local sentences = {}
    for i, sentence in ipairs(verdict.sentences or {}) do sentences[i] = { "{text}", { text = sentence } } end
    page:list(sentences)
    card_table(page, summary)
    gates(page, verdict)
    findings(page, verdict)
    if verdict.plan_sha256 then page:text(say.verdict.plan, { digest = page:mono(page:digest(verdict.plan_sha256)) }, "small") end
  end)
end

-- Without a verdict: the bare measurements of every variant, and that they are no advice.
local function measured_card(page, summary)
  local c = say.column
  page:block("section", { id = "verdict", class = "card none" }, function()
    page:heading(2, say.verdict.heading)
    page:text(say.verdict.none, nil, "headline")
    local columns, rows = { left(c.variant) }, {}
    for _, dataset in ipairs(summary.dataset_order) do columns[#columns + 1] = right(dataset) end
    for i, variant in ipairs(summary.variant_order) do
      rows[i] = { variant }
      for j, dataset in ipairs(summary.dataset_order) do
        local cell = cell_of(summary, variant, dataset)
        rows[i][j + 1] = cell and page:interval(cell.accuracy, cell.accuracy_interval) or nil
      end
    end
    page:table { caption = titles.accuracy.heading, columns = columns, rows = rows }
  end)
end

-- Without questions: the measurements under load, and whether they can be trusted.
local function load_card(page, summary)
  local c, is_degraded = say.column, load_parts.is_degraded(summary)
  page:block("section", { id = "verdict", class = "card " .. (is_degraded and "warn" or "none") }, function()
    page:heading(2, say.load.heading)
    page:text(is_degraded and say.load.degraded or say.load.trusted, nil, "headline")
    local rows = {}
    for _, point in ipairs(summary.load.points) do
      for _, variant in ipairs(summary.variant_order) do
        local cell = point.variants[variant]
        if cell then
          local function mean(name) return (cell.means[name] or {}).mean end
          rows[#rows + 1] = { point.label, variant, page:rate(mean "requests_per_second"), page:rate(mean "output_tokens_per_second"),
            page:seconds(mean "ttft_p50"), page:seconds(mean "ttft_p95"), page:seconds(mean "tpot_p50"), page:seconds(mean "e2e_p95"),
            { badge = cell.check.verdict == "ok" and say.load.ok or say.load.limited,
              class = cell.check.verdict == "ok" and "good" or "warn" } }
        end
      end
    end
    page:table { caption = say.load.card, columns = { left(say.load.point), left(c.variant), right(say.load.requests),
      right(say.load.tokens),
      right "TTFT p50", right "TTFT p95", right "TPOT p50", right "E2E p95", left(say.load.check) }, rows = rows }
  end)
end

-- ---- the drawings -------------------------------------------------------------------------------------------------

local function load_drawings(page, summary)
  if not summary.load then return end
  page:heading(2, titles.load.heading)
  figures.load(page, summary)
end

local function drawings(page, summary)
  local compares = #summary.variant_order > 1
  page:heading(2, titles.accuracy.heading)
  figures.accuracy(page, summary)
  figures.differences(page, summary)
  if compares then
    page:heading(2, titles.flips.heading)
    figures.flips(page, summary)
  end
  page:heading(2, titles.speed.heading)
  figures.throughput(page, summary)
  figures.times(page, summary)
  figures.serving(page, summary)
  load_drawings(page, summary)
  page:heading(2, titles.hardware.heading)
  figures.hardware(page, summary)
  if compares then
    page:heading(2, titles.choice.heading)
    figures.choice(page, summary)
  end
  for _, dataset in ipairs(summary.dataset_order) do
    if figures.has_groups(summary, dataset) then
      page:heading(2, titles.groups.heading, { dataset = dataset })
      figures.groups(page, summary, dataset)
    end
  end
  page:heading(2, titles.outcomes.heading)
  figures.outcomes(page, summary)
  local timeline = page.samples and page.samples:timeline()
  if timeline and #timeline.phases > 0 then
    page:heading(2, titles.course.heading)
    figures.course(page, summary, timeline)
  end
end

local function explorer_part(page)
  page:block("section", { id = "samples" }, function()
    page:heading(2, say.explorer.heading)
    if page.samples then page:explorer() else page:note(say.explorer.absent) end
  end)
end

-- ---- tables and appendix ------------------------------------------------------------------------------------------

-- A page on which the Markdown layout writes: what stands before its first section is left out, its headings go one
-- level down, its drawings are here already.
local function lower(page)
  local has_begun = false
  local below = { figure = function() end }
  for _, name in ipairs { "text", "note", "list", "table", "code" } do
    below[name] = function(_, ...)
      if has_begun then page[name](page, ...) end
    end
  end
  function below.heading(_, level, ...)
    has_begun = has_begun or level > 1
    if level > 1 then page:heading(level + 1, ...) end
  end
  return setmetatable(below, { __index = page })
end

local function tables_part(page, summary)
  page:block("section", { id = "tables" }, function()
    page:heading(2, say.tables.heading)
    markdown.layout(lower(page), summary)
  end)
end

local function appendix(page, summary)
  page:block("section", { id = "appendix" }, function()
    page:heading(2, say.appendix.heading)
    for _, part in ipairs { "config", "manifest" } do
      if summary[part] then
        page:details(say.appendix[part], function() page:code(q.json.encode(summary[part], 2), "json") end)
      end
    end
  end)
end

return q.report {
  name = "html",
  summary = { en = "The report as one HTML page, with a sample explorer", zh = "单文件 HTML 报告，带样本浏览器" },
  format = "html",
  extension = "html",
  wants = { "samples" },
  say = { page = say, explorer = explorer_words, figures = figures.say },

  layout = function(page, summary)
    for _, name in ipairs { "drawings/colors", "drawings/plot", "html/page" } do page:style(page:asset(name .. ".css")) end
    for _, name in ipairs { "page", "diff", "explorer" } do page:script(page:asset("html/" .. name .. ".js")) end
    page:words(explorer_words)
    head(page, summary)
    local has_answers = #summary.dataset_order > 0
    if summary.verdict then
      judged_card(page, summary)
    elseif summary.load and not has_answers then
      load_card(page, summary)
    else
      measured_card(page, summary)
    end
    page:contents()
    if has_answers then
      drawings(page, summary)
      explorer_part(page)
    else
      load_drawings(page, summary)
    end
    tables_part(page, summary)
    appendix(page, summary)
    page:block("footer", nil, function() page:size(say.size, "small") end)
  end,
}
