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
    local verdict = summary.verdict
    if not verdict or #summary.variant_order < 2 then return end
    page:note(say.verdict, { text = verdict.headline })
    for _, gate in ipairs(verdict.gates) do
      if not gate.ok then page:text(say.gate, { text = gate.text }) end
    end
  end,
}
