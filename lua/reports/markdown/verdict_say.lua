-- SPDX-License-Identifier: Apache-2.0
--- The words of the Markdown report about the verdict and what it rests on, in both languages.

return {
  heading = { en = "Verdict", zh = "结论" },
  line = { en = "**{text}**", zh = "**{text}**" },
  item = { en = "{text}", zh = "{text}" },
  table_text = {
    en = "Difference: mean of the datasets' accuracy differences to {baseline}, in percentage points, with its {level} interval. Each "
      .. "dataset weighs the same. A variant passes when the interval lies above -{margin} pt, also after Holm's adjustment for several "
      .. "variants, and no dataset alone is beyond its own margin.",
    zh = "差值：各数据集与 {baseline} 的准确率之差（百分点）的平均，各数据集权重相同，方括号内为 {level} 置信区间。"
      .. "区间整体高于 -{margin}（经 Holm 法作多变体校正后亦然），且没有任何一个数据集单独超出其界值，方为合格。" },
  findings = { en = "Before the figures are used:", zh = "使用以下数字前请注意：" },
  gates = { en = "Gates of the configuration:", zh = "配置中的门限：" },
  differs = {
    heading = { en = "What differs between the variants", zh = "变体之间的差别" },
    only_meant = { en = "Only what is meant to differ does:", zh = "仅有预期之内的差别：" },
    other = { en = "**Besides what is meant to differ, these do too.** Each of them competes with quantization as an explanation.",
      zh = "**除预期之内的差别外，以下各项也不相同。** 每一项都可能是结果差异的原因，而不一定是量化。" },
    nothing = { en = "No difference in model, settings or command line was found.", zh = "模型、设置与命令行均未发现差别。" },
    meant = { en = "yes", zh = "是" }, unmeant = { en = "**no**", zh = "**否**" }, unmeant_cell = { en = "no", zh = "否" },
  },
  lost = {
    heading = { en = "Is accuracy lost?", zh = "准确率有没有损失？" },
    text = {
      en = "Each dataset on its own, question by question against {baseline}, with its margin as a guardrail. Intervals: Tango's score "
        .. "interval; where questions come in groups, standard errors clustered by group (t with G-1), with the design effect beside it. "
        .. "p tests whether the loss is smaller than the margin (a small p says it is); McNemar's mid-p whether there is any difference. "
        .. "A difference that is not significant is not evidence that nothing was lost: the lower limit says how much may have been.",
      zh = "各数据集与 {baseline} 逐题比较，并以各自的界值作为底线。区间采用 Tango 得分区间；题目分组的数据集按组聚类（t 分布，自由度 G-1），并列出设计效应。"
        .. "p 值检验损失是否小于界值（p 越小越能说明损失在界值内），McNemar mid-p 检验是否存在差异。"
        .. "差异不显著并不能证明没有损失：损失可能有多大，要看区间下限。" },
    needs = { en = "{variant} on {dataset} is inconclusive: about {questions} questions, or {repeats} repeats of these, would settle it.",
      zh = "{variant} 在 {dataset} 上证据不足：需约 {questions} 题，或将这些题目重复 {repeats} 轮，方可定论。" },
    never = { en = "{variant} on {dataset} is inconclusive, and the difference lies so close to the margin that more questions "
      .. "would not help.",
      zh = "{variant} 在 {dataset} 上证据不足；差值恰在界值附近，增加题量也无济于事。" },
    recovery = {
      en = "Recovery is the accuracy relative to the baseline's. It hides errors (95 → 94 is 98.9 % recovered and 20 % more "
        .. "mistakes), so "
        .. "the ratio of the error rates stands beside it.",
      zh = "恢复率为相对基线的准确率。它会掩盖错误的增加（95 → 94 的恢复率为 98.9 %，错误却多了 20 %），因此同时列出错误率之比。" },
  },
  behaviour = {
    heading = { en = "How many answers change?", zh = "有多少答案发生变化？" },
    text = {
      en = "A flip is a question that changes between right and wrong. The difference in accuracy is the net of the flips; the "
        .. "flips say how "
        .. "much the behaviour changes, and two variants of equal accuracy may answer quite differently.",
      zh = "同一题由对变错或由错变对称为翻转。准确率之差只是翻转相抵后的净值；翻转率才反映行为改变了多少，准确率相同的变体也可能答得很不一样。" },
    control = {
      en = "{baseline} was asked twice ({share} of the questions). Beyond rerun is what a variant flips on those same questions "
        .. "beyond what the rerun flips (bootstrap over questions, {rounds} rounds), so it need not follow from the flips of all "
        .. "questions; an interval that contains 0 is what two runs of one model show as well.",
      zh = "{baseline} 重跑了一遍（{share} 的题目）。“超出重跑”是仅就这些重跑过的题目，变体的翻转率减去基线自身的翻转率（按题目自助抽样 {rounds} 次），"
        .. "故与全部题目的翻转率不必吻合；若区间包含 0，则与同一模型两次运行之间的波动无异。" },
    no_control = {
      en = "{baseline} was asked once, so it is not known how much of this is rerun noise; `benchmark.control: true` asks it twice.",
      zh = "{baseline} 只运行了一遍，无从区分重跑本身的波动；设置 `benchmark.control: true` 可重跑基线作为对照。" },
    divergence = {
      en = "Divergence: how differently the next token is distributed at the very same prompt, where a letter was asked for. KL divergence "
        .. "from {baseline} in nats, over the likeliest tokens that both servers named, the rest in one bucket: a lower bound, and a weak "
        .. "one where more than 1 % of the baseline's probability is not covered. Same top: questions with the same likeliest token. What "
        .. "the baseline shows against itself is the floor.",
      zh = "分布差异：在以字母作答的题目上，于完全相同的提示词处比较下一个词元的概率分布。KL 散度以 {baseline} 为准，单位为 nat，按双方都给出的高概率词元计算，"
        .. "其余并为一项，因此只是下界；基线未覆盖的概率超过 1 % 时，这一下界偏松。首选一致率为概率最高的词元相同的题目所占比例。基线重跑一行即为本底波动。" },
    weak = { en = "{share} (lower bound, weak)", zh = "{share}（下界偏松）" },
    again = { en = "{baseline} again", zh = "{baseline} 重跑" },
    all = { en = "all", zh = "总计" },
  },
  serving = {
    heading = { en = "What does it cost to run?", zh = "运行代价如何？" },
    text = {
      en = "Ratios to {baseline}; dataset by dataset, joined by the geometric mean. They come from this one pass, at the run's "
        .. "concurrency, and "
        .. "so have no interval; ratios closer than {tie} are taken as a tie.",
      zh = "与 {baseline} 之比，逐数据集计算后取几何平均。数据来自本次运行的单次测量（按运行时的并发），因此没有区间；相差不超过 {tie} 视为相当。" },
    load = {
      en = "From the measurements under load, as ratios to {baseline}: {axes}. Geometric mean over the points, throughput of closed loops "
        .. "only (an open loop offers the same to all); in brackets the {level} interval from the replicates. Without brackets there was "
        .. "one replicate.",
      zh = "以下各项取自负载测量，均为与 {baseline} 之比：{axes}。对各测点取几何平均，吞吐仅取闭环测点（开环对各变体施加的负载相同）；方括号内为由各次重复得到的 {level} 区间，没有方括号表示只测了一次。" },
    others = {
      en = "{axes}: of the one pass over the questions, at its concurrency, dataset by dataset, joined by the geometric mean, without "
        .. "intervals; ratios closer than {tie} are taken as a tie.",
      zh = "{axes}：取自答题时的单次测量（按答题时的并发），逐数据集计算后取几何平均，没有区间；相差不超过 {tie} 视为相当。" },
    missing = { en = "Not measured: {axes}.", zh = "未测量：{axes}。" },
    pareto = { en = "Not beaten on all counts by another (among those that pass, and the baseline): {members}.",
      zh = "在合格变体与基线中，未被其他变体全面超过的有：{members}。" },
  },
  sensitivity = {
    heading = { en = "Does it hold under another reading?", zh = "换一种口径是否成立？" },
    text = {
      en = "The same answers, read otherwise; descriptive, no verdict follows from it. Leaving out unusable or cut-off answers "
        .. "conditions on "
        .. "what the variants did; the headline counts them as wrong. A scorer that moves the difference by more than the "
        .. "interval says that "
        .. "the format of the replies has changed. Length: thirds of the questions by characters. Intervals here are Tango's, not "
        .. "clustered.",
      zh = "同一批回复换口径计算，仅供描述，不作结论依据。剔除无效或被截断的回复等于以变体自身的表现为条件，故主结果仍将其计为错误。"
        .. "若换用评分器后差值的变化超出区间，说明回复格式发生了变化。长度：按题目字符数分为三段。此处区间均为 Tango 区间，未作聚类。" },
    kinds = { headline = { en = "headline", zh = "主评分器" }, scorer = { en = "scorer", zh = "评分器" },
      both_parsed = { en = "both gave a usable answer", zh = "双方均有有效答案" },
      without_truncated = { en = "neither was cut off", zh = "双方均未被截断" }, length = { en = "length", zh = "题目长度" },
      category = { en = "category", zh = "类别" } },
    named = { en = "{kind}: {name}", zh = "{kind}：{name}" },
  },
  funnel = {
    heading = { en = "{dataset}: does one group stand out?", zh = "{dataset}：有没有哪一组特别突出？" },
    text = {
      en = "The groups with the smallest p of {tests}. With so many groups one in twenty looks bad by chance; p is therefore "
        .. "adjusted (Holm), and "
        .. "only an adjusted p below 0.05 stands out. A single group is too small for a verdict.",
      zh = "在 {tests} 个组别比较中列出 p 值最小的几个。组数众多时，平均二十组就有一组纯属偶然地显得异常，因此 p 值经 Holm 法校正，校正后小于 0.05 才算突出。单个组别题量太少，不能据以下结论。" },
    none = { en = "No group stands out.", zh = "没有哪一组特别突出。" },
  },
  health = {
    heading = { en = "Do the replies look healthy?", zh = "回复是否正常？" },
    text = {
      en = "Signs of damage that accuracy may hide. Loops: replies that end in repetitions. Language: replies that leave the "
        .. "language of the "
        .. "prompt. Length: tokens per reply relative to the baseline's, geometric mean question by question. Letters: smallest "
        .. "adjusted p "
        .. "that some choice is taken more or less often than by the baseline.",
      zh = "准确率可能掩盖的异常迹象。循环：结尾不断重复的回复；语言：与提示词语言不一致的回复；长度：逐题与基线相比的词元数之比（几何平均）；"
        .. "选项：某一选项的选择频率与基线不同的最小校正 p 值。" },
    flags = { loops = { en = "loops", zh = "循环" }, language = { en = "language", zh = "语言" }, longer = { en = "longer", zh = "变长" },
      shorter = { en = "shorter", zh = "变短" }, letters = { en = "letters", zh = "选项" } },
    fine = { en = "nothing found", zh = "未见异常" },
  },
  rates = {
    heading = { en = "Do failures differ?", zh = "失败率是否不同？" },
    text = { en = "Errors, cut-off replies and unusable answers against the baseline's (McNemar's mid-p, Holm over all rows).",
      zh = "出错、被截断与无有效答案的比例，与基线比较（McNemar mid-p，对全部行作 Holm 校正）。" },
    kinds = { errors = { en = "errors", zh = "出错" }, truncated = { en = "cut off", zh = "被截断" },
      invalid = { en = "no usable answer", zh = "无有效答案" } },
  },
  power = {
    heading = { en = "What could this run have shown?", zh = "本次运行的题量能说明什么？" },
    text = {
      en = "For assumed shares of flips: half-width of the {level} interval, and in brackets the probability that a variant equal to the "
        .. "baseline is shown to be non-inferior.",
      zh = "按假设的翻转率列出：{level} 置信区间的半宽，括号内为与基线相同的变体被判为非劣的概率。" },
    suite = { en = "mean of all", zh = "总体均值" },
  },
  rule = {
    heading = { en = "The rule, fixed before the run", zh = "事先确定的判定规则" },
    text = { en = "Margins, error rate, objective and exclusions as they stood when the run began; SHA-256 {sha}.",
      zh = "运行开始时即已确定的界值、错误率、优化目标与排除项；SHA-256 {sha}。" },
    method = {
      en = "Validity first (same questions, prompts and prompt tokens, complete answers, error rates, a credible baseline, a "
        .. "control that agrees "
        .. "with itself); then the mean of the datasets' differences against its margin, each dataset against its own; then "
        .. "behaviour; then the "
        .. "choice by objective among those that pass, ties to fewer flips and less memory. docs/statistics.md has formulas, "
        .. "sources and error rates.",
      zh = "先查有效性（题目、提示词及其词元数一致，回复齐全，出错率不超限，基线可信，对照与自身相符）；再以各数据集差值的平均对照总界值，各数据集对照各自界值；"
        .. "然后看行为变化；最后在合格变体中按优化目标择优，相当时依次取翻转较少、显存较小者。公式、出处与错误率见 docs/statistics.md。" },
  },
  axes = {
    throughput = { en = "Throughput", zh = "吞吐" }, ttft_p50 = { en = "TTFT p50", zh = "TTFT p50" },
    ttft_p95 = { en = "TTFT p95", zh = "TTFT p95" }, tpot_p50 = { en = "TPOT p50", zh = "TPOT p50" },
    tpot_p95 = { en = "TPOT p95", zh = "TPOT p95" }, latency_p50 = { en = "Latency p50", zh = "总时延 p50" },
    latency_p95 = { en = "Latency p95", zh = "总时延 p95" }, tokens = { en = "Tokens per answer", zh = "每回复词元数" },
    memory = { en = "memory", zh = "显存" }, energy = { en = "energy per correct answer", zh = "每个正确答案的能耗" },
    cost = { en = "cost per correct answer", zh = "每个正确答案的成本" },
  },
  class = {
    better = { en = "better", zh = "更优" }, non_inferior = { en = "non-inferior", zh = "非劣" },
    lower_within_margin = { en = "lower, within margin", zh = "略低，界值内" }, inferior = { en = "inferior", zh = "劣于基线" },
    inconclusive = { en = "inconclusive", zh = "证据不足" }, refused = { en = "no verdict", zh = "不作结论" },
  },
  ok = { en = "passes", zh = "通过" }, failed = { en = "fails", zh = "未通过" }, baseline = { en = "baseline", zh = "基线" },
  yes = { en = "yes", zh = "是" }, no = { en = "no", zh = "否" },
  column = {
    variant = { en = "Variant", zh = "变体" }, dataset = { en = "Dataset", zh = "数据集" }, verdict = { en = "Verdict", zh = "结论" },
    difference = { en = "Difference (pt)", zh = "差值（百分点）" }, p = { en = "p (loss < margin)", zh = "p（损失 < 界值）" },
    flips = { en = "Flips", zh = "翻转率" }, excess = { en = "Beyond rerun (pt)", zh = "超出重跑（百分点）" },
    what = { en = "What", zh = "项目" }, meant = { en = "Meant", zh = "预期之内" }, margin = { en = "Margin", zh = "界值" },
    mid_p = { en = "McNemar p", zh = "McNemar p" }, recovery = { en = "Recovery", zh = "恢复率" },
    error_ratio = { en = "Error ratio", zh = "错误率之比" }, deff = { en = "Design effect", zh = "设计效应" },
    pairs = { en = "Pairs", zh = "配对数" }, to_wrong = { en = "Right→wrong", zh = "对→错" },
    to_right = { en = "Wrong→right", zh = "错→对" }, wrong_changed = { en = "Other wrong answer", zh = "错误答案改变" },
    kl = { en = "KL, mean (nats)", zh = "KL 散度均值 (nat)" }, kl_p95 = { en = "KL p95", zh = "KL p95" },
    kl_p99 = { en = "KL p99", zh = "KL p99" }, same_top = { en = "Same top", zh = "首选一致率" },
    uncovered = { en = "Not covered", zh = "未覆盖概率" },
    identical = { en = "Identical texts", zh = "文本一致" }, reading = { en = "Reading", zh = "口径" },
    group = { en = "Group", zh = "分组" }, adjusted = { en = "p, adjusted", zh = "校正 p" }, raw = { en = "p", zh = "p" },
    loops = { en = "Loops", zh = "循环" }, language = { en = "Language", zh = "语言" }, length = { en = "Length ratio", zh = "长度比" },
    letters = { en = "Letters p", zh = "选项 p" }, flags = { en = "Signs", zh = "异常" }, kind = { en = "Kind", zh = "类别" },
    rate = { en = "Rate", zh = "比例" }, of_baseline = { en = "Baseline's", zh = "基线" }, texts = { en = "Texts", zh = "文本数" },
    memory = { en = "Memory", zh = "显存" }, flip_count = { en = "Flips", zh = "翻转数" },
    questions = { en = "Questions", zh = "题数" }, gate = { en = "Gate", zh = "门限" }, result = { en = "Result", zh = "结果" },
  },
}
