-- SPDX-License-Identifier: Apache-2.0
--- Terminal: what a run prints when it is done: who scored what, how far from the baseline, and the verdict in a sentence.
--
-- Four shapes of the same table, from wide to narrow; the page takes the first that fits the terminal.
local q = require "qlua"

local say = {
  title = { en = "Results of {id}", zh = "运行 {id} 的结果" },
  simulated = { en = "All answers are simulated: they come from qlua sim, not from a model.",
    zh = "全部回复均为模拟，出自 qlua sim，并非真实模型。" },
  notice = { en = "{variant}: {text}", zh = "{variant}：{text}" },
  legend = { en = "Accuracy with its 95 % interval; diff: difference to {baseline} in percentage points.",
    zh = "准确率附 95 % 置信区间；差值：与 {baseline} 相差的百分点。" },
  verdict = { en = "{text}", zh = "{text}" },
  gate = { en = "Gate not met: {text}", zh = "门限未满足：{text}" },
  unusable = { en = "{variant} on {dataset}: not usable ({errors} errors; {got} of {expected} asked)",
    zh = "{variant} 在 {dataset} 上的结果不可用（出错 {errors}，已问 {got}/{expected}）" },
  absent = { en = "{variant} on {dataset}: no answers", zh = "{variant} 在 {dataset} 上没有回复" },
  dataset = { en = "Dataset", zh = "数据集" }, variant = { en = "Variant", zh = "变体" },
  accuracy = { en = "Accuracy", zh = "准确率" }, difference = { en = "Diff", zh = "差值" },
  flips = { en = "Flips", zh = "翻转" }, invalid = { en = "Invalid", zh = "无效" }, errors = { en = "Errors", zh = "出错" },
  p50 = { en = "p50", zh = "p50" }, rate = { en = "q/s", zh = "题/秒" },
}

say.load = {
  point = { en = "Point", zh = "测点" }, requests = { en = "req/s", zh = "请求/秒" }, tokens = { en = "tok/s", zh = "词元/秒" },
  failed = { en = "Failed", zh = "失败" }, flight = { en = "In flight", zh = "并发" }, goodput = { en = "Goodput/s", zh = "有效吞吐/秒" },
  ttft = { en = "TTFT p50", zh = "TTFT p50" }, ttft_p95 = { en = "TTFT p95", zh = "TTFT p95" }, tpot = { en = "TPOT p50", zh = "TPOT p50" },
  e2e = { en = "E2E p95", zh = "总时延 p95" },
  replicates = { en = "Under load: means of {n} replicates; intervals stand in the report.", zh = "负载测量：{n} 次重复的均值，区间见报告。" },
  one_replicate = { en = "Under load: one replicate.", zh = "负载测量：仅一次。" },
  degraded = { en = "Degraded, {where}: {text}.", zh = "测量受限，{where}：{text}。" },
  found = { en = "{variant}: the most within the limits is {axis} {met}.", zh = "{variant}：满足目标的最大值为 {axis} {met}。" },
  none_found = { en = "{variant}: not even {axis} {failed} was within the limits.", zh = "{variant}：{axis} {failed} 时仍未满足目标。" },
  instrument = { en = "Times of {variant} are degraded: {text}.", zh = "{variant} 的计时受限：{text}。" },
}

local function right(title) return { title = title, align = "right" } end
local function left(title) return { title = title, flex = true } end

local function headline(page, cell)
  if cell.headline_average == "macro" then return page:percent(cell.macro_average) end
  return page:interval(cell.accuracy, cell.accuracy_interval)
end

-- One row for each dataset and variant; `cells` says what it holds besides the names.
local function rows_of(summary, cells)
  local rows = {}
  for i, dataset in ipairs(summary.dataset_order) do
    if i > 1 then rows[#rows + 1] = { rule = true } end
    for j, variant in ipairs(summary.variant_order) do
      local cell = summary.variants[variant].datasets[dataset]
      local row = cell and cells(cell) or {}
      table.insert(row, 1, variant)
      table.insert(row, 1, j == 1 and dataset or "")
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function flips(page, cell)
  local d = cell.against_baseline
  return d and page:count(d.flips) or ""
end

local function difference(page, cell)
  local d = cell.against_baseline
  return d and page:signed(d.difference_pt) or ""
end

local function wide(page, summary)
  return {
    columns = { left(say.dataset), left(say.variant), right(say.accuracy), right(say.difference), right(say.flips),
      right(say.invalid), right(say.errors), right(say.p50), right(say.rate) },
    rows = rows_of(summary, function(cell)
      return { headline(page, cell), difference(page, cell), flips(page, cell), page:count(cell.num_invalid),
        page:count(cell.num_errors), page:seconds(cell.latency_seconds and cell.latency_seconds.p50),
        page:rate(cell.questions_per_second) }
    end),
  }
end

-- What fits 80 columns with names of usual length.
local function usual(page, summary)
  return {
    columns = { left(say.dataset), left(say.variant), right(say.accuracy), right(say.difference), right(say.flips),
      right(say.invalid), right(say.errors) },
    rows = rows_of(summary, function(cell)
      return { headline(page, cell), difference(page, cell), flips(page, cell), page:count(cell.num_invalid),
        page:count(cell.num_errors) }
    end),
  }
end

local function middle(page, summary)
  return {
    columns = { left(say.dataset), left(say.variant), right(say.accuracy), right(say.difference), right(say.errors) },
    rows = rows_of(summary, function(cell)
      return { headline(page, cell), difference(page, cell), page:count(cell.num_errors) }
    end),
  }
end

local function narrow(page, summary)
  return {
    columns = { left(say.dataset), left(say.variant), right(say.accuracy), right(say.difference) },
    rows = rows_of(summary, function(cell) return { page:percent(cell.accuracy), difference(page, cell) } end),
  }
end

-- Measurements under load, wider or narrower.
local function load_table(page, summary, names)
  local get = {
    requests = function(cell) return page:rate((cell.means.requests_per_second or {}).mean) end,
    tokens = function(cell) return page:rate((cell.means.output_tokens_per_second or {}).mean) end,
    flight = function(cell) return page:rate((cell.means.concurrency or {}).mean) end,
    goodput = function(cell) return page:rate((cell.means.goodput_per_second or {}).mean) end,
    ttft = function(cell) return page:seconds((cell.means.ttft_p50 or {}).mean) end,
    ttft_p95 = function(cell) return page:seconds((cell.means.ttft_p95 or {}).mean) end,
    tpot = function(cell) return page:seconds((cell.means.tpot_p50 or {}).mean) end,
    e2e = function(cell) return page:seconds((cell.means.e2e_p95 or {}).mean) end,
    failed = function(cell) return page:count(cell.pooled.num_failed) end,
  }
  local columns, rows = { left(say.load.point), left(say.variant) }, {}
  for i, name in ipairs(names) do columns[i + 2] = right(say.load[name]) end
  for _, point in ipairs(summary.load.points) do
    local is_first = true
    for _, variant in ipairs(summary.variant_order) do
      local cell = point.variants[variant]
      if cell then
        local row = { is_first and point.label or "", variant }
        for i, name in ipairs(names) do row[i + 2] = get[name](cell) end
        rows[#rows + 1], is_first = row, false
      end
    end
  end
  return { columns = columns, rows = rows }
end

-- All reasons of one check in one sentence.
local function reasons_of(check)
  local en, zh = {}, {}
  for i, reason in ipairs(check and check.reasons or {}) do en[i], zh[i] = reason.text.en, reason.text.zh end
  return #en > 0 and { en = table.concat(en, "; "), zh = table.concat(zh, "；") } or nil
end

local function degraded(page, summary)
  for _, point in ipairs(summary.load and summary.load.points or {}) do
    for _, variant in ipairs(summary.variant_order) do
      local cell = point.variants[variant]
      local reasons = cell and reasons_of(cell.check)
      if reasons then page:note(say.load.degraded, { where = ("%s %s"):format(point.label, variant), text = reasons }) end
    end
  end
  for _, variant in ipairs(summary.instrument and summary.variant_order or {}) do
    local reasons = reasons_of(summary.instrument.variants[variant])
    if reasons then page:text(say.load.instrument, { variant = variant, text = reasons }) end
  end
end

local function under_load(page, summary)
  local section = summary.load
  if not section then return end
  local rate = section.slo and "goodput" or "flight"
  page:table(load_table(page, summary, { "requests", "tokens", rate, "ttft", "ttft_p95", "tpot", "e2e", "failed" }),
    load_table(page, summary, { "requests", "tokens", "ttft", "ttft_p95", "tpot", "failed" }),
    load_table(page, summary, { "requests", "ttft", "tpot", "failed" }), load_table(page, summary, { "requests", "ttft" }))
  local n = section.about.replicates or 1
  page:text(n > 1 and say.load.replicates or say.load.one_replicate, { n = n })
  for _, variant in ipairs(section.found and summary.variant_order or {}) do
    local one = section.found[variant]
    if one then
      page:note(one.met and say.load.found or say.load.none_found, { variant = variant, axis = one.axis,
        met = one.met and ("%g"):format(one.met) or "–", failed = one.failed and ("%g"):format(one.failed) or "–" })
    end
  end
end

local function answers(page, summary)
  page:table(wide(page, summary), usual(page, summary), middle(page, summary), narrow(page, summary))
  for _, dataset in ipairs(summary.dataset_order) do
    for _, variant in ipairs(summary.variant_order) do
      local cell = summary.variants[variant].datasets[dataset]
      local values = { dataset = dataset, variant = variant }
      if not cell then
        page:note(say.absent, values)
      elseif not cell.usable then
        values.errors, values.got, values.expected =
          page:count(cell.num_errors), page:count(cell.num_total), page:count(cell.num_expected)
        page:note(say.unusable, values)
      end
    end
  end
  page:text(say.legend, { baseline = summary.baseline or "–" })
end

return q.report {
  name = "terminal",
  summary = { en = "The table at the end of a run", zh = "运行结束时的对照表" },
  format = "terminal",
  extension = "txt",
  say = say,

  layout = function(page, summary)
    page:heading(1, say.title, { id = summary.run.id or "–" })
    if summary.simulated then page:note(say.simulated) end
    for _, notice in ipairs(summary.notices or {}) do
      page:note(say.notice, { variant = notice.variant, text = { en = notice.en, zh = notice.zh } })
    end
    if #summary.dataset_order > 0 then answers(page, summary) end
    under_load(page, summary)
    degraded(page, summary)
    local verdict = summary.verdict
    if not verdict or #summary.variant_order < 2 then return end
    page:note(say.verdict, { text = verdict.headline })
    for _, gate in ipairs(verdict.gates) do
      if not gate.ok then page:text(say.gate, { text = gate.text }) end
    end
  end,
}
