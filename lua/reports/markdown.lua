-- SPDX-License-Identifier: Apache-2.0
--- Markdown: the report of a run, in English, in Chinese or in both, from this one file.
--
-- Copy this file into a folder of your own, change it, and pass `--layout mine.lua`. It never asks which
-- language it is in: a text is a pair `{ en = …, zh = … }`, and the page picks or sets both. `docs/reports.md`
-- walks through an example and lists what `page` and `summary` offer.
local q = require "qlua"

local say = {
  title = { en = "Evaluation report {id}", zh = "评测报告 {id}" },
  simulated = {
    en = "**All answers in this report are simulated.** They come from `qlua sim`, not from a model; no figure "
      .. "here says anything about a real one.",
    zh = "**本报告中的回复全部由模拟产生**，出自 `qlua sim`，并非真实模型；文中数字不反映任何模型的表现。",
  },
  facts = {
    en = "Model {model} · baseline {baseline} · {variants} variants · {datasets} datasets · started {started}",
    zh = "模型 {model} · 基线 {baseline} · 变体 {variants} 个 · 数据集 {datasets} 个 · 开始于 {started}" },
  no_verdict = {
    en = "**No verdict is given.** The figures of this report describe one run. Whether a variant may ship "
      .. "needs a test of the paired difference against a margin fixed beforehand, and a rerun of the baseline "
      .. "as a control; neither is part of this report yet.",
    zh = "**本报告不给出结论。** 文中数字只描述这一次运行。某个变体能否上线，须将配对差异与事先确定的界值作检验，并以基线重跑作对照；这两项目前尚未包含在报告中。",
  },
  unusable = {
    en = "† The result of {variant} on {dataset} is not usable: {why}.",
    zh = "† {variant} 在 {dataset} 上的结果不可用：{why}。",
  },
  data_differs = {
    en = "The data are not the complete upstream sets; do not compare these figures with published ones.",
    zh = "所用数据并非完整的上游数据集，请勿与已发表的数字比较。",
  },
  data_note = { en = "{note}", zh = "{note}" },
  absent = { en = "{variant} has no answers on {dataset}.", zh = "{variant} 在 {dataset} 上没有任何回复。" },

  accuracy = {
    heading = { en = "Accuracy", zh = "准确率" },
    text = {
      en = "Correct answers with the 95 % interval of each figure on its own (Wilson). Unusable answers count "
        .. "as wrong, errors are left out. Two intervals that overlap do not show that two variants are equal.",
      zh = "正确回答所占比例，方括号内为各自的 95 % 置信区间（Wilson）。无效答案按错误计，出错的请求不计入。两个区间重叠，并不说明两个变体相同。" },
    macro = {
      en = "The headline of {dataset} is the mean over its groups (macro average); it is shown without an "
        .. "interval.",
      zh = "{dataset} 以各组准确率的均值（宏平均）为准，不附区间。" },
    repeats = { en = "{dataset} was asked {repeats} times; the interval counts each question once.",
      zh = "{dataset} 每题询问 {repeats} 次；计算区间时每题只计一次。" },
  },
  difference = {
    heading = { en = "Difference to the baseline", zh = "与基线的差异" },
    text = {
      en = "Question by question against {baseline}, on the questions both answered. A flip is a question that "
        .. "changes between right and wrong: the difference is the net of the flips, the flips are how much the "
        .. "behaviour changes. In brackets the 95 % interval of the paired difference (Tango's score interval; none "
        .. "where questions were asked several times). An interval that contains 0 does not show that nothing was "
        .. "lost: its lower end says how much may have been.",
      zh = "与 {baseline} 逐题比较，仅计双方均已作答的题目。"
        .. "同一题由对变错或由错变对称为翻转：差值是翻转相抵后的净结果，翻转率则反映行为改变了多少。"
        .. "方括号内为配对差值的 95 % 置信区间（Tango 得分区间；每题询问多次时不给出）。区间包含 0 并不说明没有损失：下限表明损失可能有多大。" },
    same_prompts = {
      en = "Prompts were byte-identical on all {compared} pairs compared.",
      zh = "已比对的 {compared} 对提示词逐字节相同。",
    },
    other_prompts = {
      en = "{variant} on {dataset}: {differ} of {compared} prompts differ from the baseline's. The comparison "
        .. "is not like with like.",
      zh = "{variant} 在 {dataset} 上：{compared} 个提示词中有 {differ} 个与基线不同，比较条件不一致。" },
    other_tokens = {
      en = "{variant} on {dataset}: the server counted a different number of prompt tokens on {differ} of "
        .. "{compared} questions. Check chat template and tokenizer.",
      zh = "{variant} 在 {dataset} 上：{compared} 题中有 {differ} 题的提示词词元数与基线不同，请检查对话模板与分词器。" },
  },
  outcomes = {
    heading = { en = "Outcomes", zh = "结果分类" },
    text = {
      en = "What became of every question. Only kinds that occurred are listed. Errors are not the model's "
        .. "fault and are never counted as wrong; above {limit} of errors a result is not usable.",
      zh = "每道题的去向，只列出实际出现的类别。出错不归咎于模型，也不按错误计分；出错率超过 {limit} 的结果不可用。" },
    cut = {
      en = "Replies cut off by the token limit, and the accuracy of the others. A variant that talks longer "
        .. "loses more of them, so compare the shares first.",
      zh = "因达到词元上限而被截断的回复，以及其余回复的准确率。回复偏长的变体截断也更多，应先比较截断比例。" },
  },
  speed = {
    heading = { en = "Latency and throughput", zh = "时延与吞吐" },
    text = {
      en = "Measured while answering for accuracy, at this run's concurrency: use it to compare variants of "
        .. "this run, not as a load test. Percentiles are exact (linear interpolation, type 7); p99 needs {least} answers.",
      zh = "在本次运行的并发下随准确率评测一并测得，可用于比较本次运行中的各变体，不能代替压力测试。分位数由原始数据精确计算（线性插值，type 7）；少于 {least} 个回复时不给出 p99。" },
    total = {
      en = "Total time per question, from sending the request to the last byte.",
      zh = "每题总耗时，自发出请求至收到最后一个字节。",
    },
    first = { en = "Time to the first token (TTFT).", zh = "首词元时延（TTFT）。" },
    per_token = { en = "Time per output token after the first (TPOT).", zh = "首词元之后每个输出词元的耗时（TPOT）。" },
    rates = { en = "Throughput over the wall-clock window of each dataset. Token counts come from: {sources}.",
      zh = "按各数据集的实际时间窗口计算的吞吐。词元数来源：{sources}。" },
  },
  scorers = {
    heading = { en = "Scorers side by side", zh = "评分器对照" },
    text = {
      en = "The same replies judged by every scorer; the first of each dataset is the headline. A gap between "
        .. "scorers is a property of the format of the replies, and can be larger than the effect of "
        .. "quantization.",
      zh = "同一批回复由各评分器分别评判，每个数据集排在首位者为主评分器。评分器之间的差距源于回复的格式，有时比量化的影响还大。" },
  },
  groups = {
    heading = { en = "{dataset} by group", zh = "{dataset} 分组结果" },
    text = {
      en = "Micro average: every question weighs the same. Macro average: every group weighs the same. The "
        .. "headline is the {headline}. Single groups are too small to compare variants by; they are shown as a "
        .. "description.",
      zh = "微平均：每题权重相同；宏平均：每组权重相同。本报告以{headline}为准。单个分组题量太少，不足以比较变体，仅供参考。" },
    micro = { en = "micro average", zh = "微平均" },
    macro = { en = "macro average", zh = "宏平均" },
  },
  method = {
    heading = { en = "Methodology", zh = "方法说明" },
    digest = {
      en = "The prompt digest is a SHA-256 over all prompts of a dataset, in order: equal digests mean equal "
        .. "prompts, byte for byte.",
      zh = "提示词摘要是数据集全部提示词按顺序计算的 SHA-256：摘要相同即提示词逐字节相同。" },
    sampling = { en = "Sampling where text is generated ({variants}): {parameters}.",
      zh = "生成文本时的采样参数（{variants}）：{parameters}。" },
    invalid = {
      en = "An answer that cannot be extracted counts as wrong and makes the invalid rate; it is not guessed.",
      zh = "无法提取的答案按错误计，并计入无效率，不作猜测。" },
    errors = {
      en = "Failed requests are retried where that makes sense; what fails for good is reported as an error.",
      zh = "请求失败时酌情重试；最终仍失败的作为出错单独报告。" },
    unmeasured = {
      en = "Not measured in this report: GPU memory, energy, cost, the noise between two runs of the baseline, "
        .. "and the measuring program's own timing error.",
      zh = "本报告未测量：显存、能耗、成本、基线两次运行之间的波动，以及测量程序自身的计时误差。" },
  },
  reproduce = {
    heading = { en = "How to reproduce", zh = "如何复现" },
    command = { en = "Command:", zh = "命令：" },
    files = { en = "Data files and scripts by checksum (first 12 digits; in full in `manifest.json`):",
      zh = "数据文件与脚本的校验值（前 12 位；完整值见 `manifest.json`）：" },
    many = { en = "{dataset}: {n} files", zh = "{dataset}：{n} 个文件" },
    versions = { en = "Versions: {versions}.", zh = "版本：{versions}。" },
    host = { en = "Machine: {host}.", zh = "机器：{host}。" },
  },
  why = {
    two = { en = "{first}, {second}", zh = "{first}，{second}" },
    incomplete = { en = "{got} of {expected} answers are there", zh = "应有 {expected} 个回复，实有 {got} 个" },
    errors = { en = "{rate} of the requests failed", zh = "{rate} 的请求出错" },
    nothing = { en = "every request failed", zh = "全部请求出错" },
  },
  column = {
    variant = { en = "Variant", zh = "变体" }, dataset = { en = "Dataset", zh = "数据集" },
    model = { en = "Model", zh = "模型" }, engine = { en = "Engine", zh = "引擎" },
    quantization = { en = "Quantization", zh = "量化" },
    description = { en = "Description", zh = "说明" }, difference = { en = "Difference (pt)", zh = "差值（百分点）" },
    to_wrong = { en = "Right→wrong", zh = "对→错" }, to_right = { en = "Wrong→right", zh = "错→对" },
    flips = { en = "Flips", zh = "翻转率" }, wrong_changed = { en = "Other wrong answer", zh = "错误答案改变" },
    identical = { en = "Identical texts", zh = "文本一致" }, pairs = { en = "Pairs", zh = "配对数" },
    questions = { en = "Questions", zh = "题数" }, asked = { en = "Asked", zh = "提问数" },
    replies = { en = "Replies", zh = "回复数" },
    invalid_rate = { en = "Invalid rate", zh = "无效率" }, error_rate = { en = "Error rate", zh = "出错率" },
    cut = { en = "Cut off", zh = "截断数" }, cut_share = { en = "Share", zh = "占比" },
    accuracy = { en = "Accuracy", zh = "准确率" }, without = { en = "Without cut-off", zh = "剔除截断后" },
    tokens_mean = { en = "Tokens, mean", zh = "平均词元数" }, tokens_median = { en = "Median", zh = "中位数" },
    mean = { en = "Mean", zh = "均值" }, max = { en = "Max", zh = "最大值" }, rate = { en = "Questions/s", zh = "题/秒" },
    token_rate = { en = "Tokens/s", zh = "词元/秒" }, window = { en = "Window", zh = "时长" },
    retries = { en = "Retries", zh = "重试" }, scorer = { en = "Scorer", zh = "评分器" },
    correct = { en = "Correct", zh = "正确" }, unusable = { en = "Unusable", zh = "无效" },
    only_here = { en = "Right only here", zh = "仅此判对" },
    only_headline = { en = "Right only in headline", zh = "仅主评分器判对" },
    group = { en = "Group", zh = "分组" }, category = { en = "Category", zh = "类别" },
    mode = { en = "Mode", zh = "方式" }, shots = { en = "Shots", zh = "示例数" },
    digest = { en = "Prompt digest", zh = "提示词摘要" }, repeats = { en = "Repeats", zh = "重复" },
    file = { en = "File", zh = "文件" }, rows = { en = "Rows", zh = "行数" },
  },
}

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
  page:text(say.facts, { model = page:mono(summary.model or "–"), baseline = page:mono(summary.baseline or "–"),
    variants = #summary.variant_order, datasets = #summary.dataset_order, started = summary.run.started_at or "–" })
  local rows = {}
  for i, name in ipairs(summary.variant_order) do
    local variant = summary.variants[name]
    rows[i] = { name, variant.title or variant.description or "", variant.model, variant.engine, variant.quantization }
  end
  local c = say.column
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
  if not summary.verdict then page:note(say.no_verdict) end
  caveats(page, summary)
  data_notes(page, summary)
end

-- Say once that prompts were equal; name every place where they, or their token counts, were not.
local function prompt_checks(page, summary)
  local compared, notes = 0, {}
  each(summary, function(dataset, variant, cell)
    local d = cell.against_baseline
    if not d then return end
    local values = { dataset = dataset, variant = variant }
    if d.prompts_differ > 0 then
      values.differ, values.compared = page:count(d.prompts_differ), page:count(d.prompts_compared)
      notes[#notes + 1] = { say.difference.other_prompts, values }
    elseif d.prompt_tokens_differ > 0 then
      values.differ, values.compared = page:count(d.prompt_tokens_differ), page:count(d.prompt_tokens_compared)
      notes[#notes + 1] = { say.difference.other_tokens, values }
    end
    compared = compared + d.prompts_compared - d.prompts_differ
  end)
  for _, note in ipairs(notes) do page:note(note[1], note[2]) end
  if #notes == 0 and compared > 0 then page:text(say.difference.same_prompts, { compared = page:count(compared) }) end
end

local function difference(page, summary)
  local rows, c = {}, say.column
  each(summary, function(dataset, variant, cell)
    local d = cell.against_baseline
    if not d then return end
    rows[#rows + 1] = { dataset, variant, page:signed_interval(d.difference_pt, d.difference_interval_pt, 2),
      page:count(d.correct_to_wrong), page:count(d.wrong_to_correct),
      page:interval(d.flip_rate, d.flip_rate_interval), page:count(d.wrong_changed),
      page:percent(d.identical_share), page:count(d.pairs) }
  end)
  if #rows == 0 then return end
  page:heading(2, say.difference.heading)
  page:text(say.difference.text, { baseline = page:mono(summary.baseline) })
  page:table { columns = { left(c.dataset), left(c.variant), right(c.difference), right(c.to_wrong), right(c.to_right),
    right(c.flips), right(c.wrong_changed), right(c.identical), right(c.pairs) }, rows = rows }
  prompt_checks(page, summary)
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
  for _, item in ipairs { say.method.invalid, say.method.errors, say.method.unmeasured } do items[#items + 1] = item end
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
    page:code("qlua run " .. page:shell(manifest.command), "sh")
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

return q.report {
  name = "markdown",
  summary = { en = "The report as Markdown", zh = "Markdown 格式的报告" },
  format = "markdown",
  extension = "md",
  say = say,

  layout = function(page, summary)
    head(page, summary)
    accuracy(page, summary)
    difference(page, summary)
    outcomes(page, summary)
    lengths(page, summary)
    speed(page, summary)
    scorers(page, summary)
    for _, dataset in ipairs(summary.dataset_order) do group_table(page, summary, dataset) end
    method(page, summary)
    reproduce(page, summary)
  end,
}
