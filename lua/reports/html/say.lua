-- SPDX-License-Identifier: Apache-2.0
--- Texts of the HTML report. The tables further down in it are those of the Markdown report, with that one's texts.
return {
  title = { en = "Evaluation {id}", zh = "评测报告 {id}" },
  window = { en = "qlua: evaluation {id}", zh = "qlua：评测报告 {id}" },
  facts = { en = "{model} · {variants} variants · {datasets} datasets · baseline {baseline} · {started}",
    zh = "{model} · {variants} 个变体 · {datasets} 个数据集 · 基线 {baseline} · {started}" },
  simulated = {
    en = "All answers in this report are simulated. It shows what the tool does and says nothing about any model.",
    zh = "本报告中的回复全部由模拟产生，仅用于展示工具的功能，不代表任何模型的真实表现。" },
  verdict = {
    heading = { en = "Verdict", zh = "结论" },
    none = { en = "No verdict was made for this run. Below is what was measured.", zh = "本次运行未给出结论，以下为实测结果。" },
    status = {
      ship = { en = "Ship {chosen}", zh = "建议部署 {chosen}" },
      baseline = { en = "Keep {chosen}", zh = "建议保留 {chosen}" },
      inconclusive = { en = "Not shown either way", zh = "证据不足" },
      none = { en = "No verdict", zh = "无法给出结论" },
    },
    class = {
      better = { en = "better", zh = "优于基线" }, non_inferior = { en = "non-inferior", zh = "非劣" },
      lower_within_margin = { en = "lower, within margin", zh = "略低，在界值内" },
      inferior = { en = "inferior", zh = "劣于基线" }, inconclusive = { en = "inconclusive", zh = "证据不足" },
      refused = { en = "refused", zh = "不予判定" }, baseline = { en = "baseline", zh = "基线" },
    },
    highest = { en = "highest measured on {datasets}", zh = "在 {datasets} 上测得最高" },
    gate = { en = "Condition", zh = "条件" },
    gates = { en = "Gates", zh = "门槛" },
    gate_ok = { en = "passed", zh = "通过" }, gate_failed = { en = "failed", zh = "未通过" },
    findings = { en = "Before relying on this", zh = "采信之前须知" },
    plan = { en = "Margins and objective were fixed before the run; their SHA-256 begins {digest}.",
      zh = "界值与目标在运行前即已确定，其 SHA-256 开头为 {digest}。" },
    unmeasured = { en = "Not measured: {axes}.", zh = "未测量：{axes}。" },
  },
  column = {
    variant = { en = "Variant", zh = "变体" }, class = { en = "Verdict", zh = "结论" },
    accuracy = { en = "Accuracy, difference (pt)", zh = "准确率差（百分点）" }, flips = { en = "Answers flipped", zh = "翻转率" },
    throughput = { en = "Throughput", zh = "吞吐量" }, latency = { en = "Reply, p95", zh = "总时延 p95" },
    memory = { en = "Memory", zh = "显存" }, energy = { en = "Energy per correct answer", zh = "每个正确答案能耗" },
    cost = { en = "Cost per correct answer", zh = "每个正确答案成本" },
  },
  not_measured = { en = "not measured", zh = "未测量" },
  card = { en = "Every variant at a glance; ratios are to the baseline.", zh = "各变体一览，倍数均相对于基线。" },
  accuracy = {
    heading = { en = "Accuracy", zh = "准确率" },
    caption = {
      en = "Share of right answers with its 95 % interval. The dashed line is the baseline; the shaded strip beside it is the margin "
        .. "within which a loss is accepted. † marks a result that must not be used.",
      zh = "正确率及其 95 % 置信区间。虚线为基线，其旁阴影为可接受的损失范围（非劣界值）。† 表示该结果不可用。" },
    caption_plain = {
      en = "Share of right answers with its 95 % interval. The dashed line is the baseline. † marks a result that must not be used.",
      zh = "正确率及其 95 % 置信区间，虚线为基线。† 表示该结果不可用。" },
    forest = {
      en = "The same questions, answered by a variant and by the baseline: the difference, with its interval. An interval that stays "
        .. "right of the red line has lost less than the margin; one that crosses it has not been shown to.",
      zh = "变体与基线回答同一批题目的差值及区间。区间完全位于红线右侧，表明损失小于界值；与红线相交，则尚不能证明。" },
    forest_plain = { en = "The same questions, answered by a variant and by the baseline: the difference, with its 95 % interval.",
      zh = "变体与基线回答同一批题目的差值及其 95 % 置信区间。" },
  },
  flips = {
    heading = { en = "Answers that changed", zh = "答案的变化" },
    caption = {
      en = "Red: the baseline was right and the variant is wrong. Green: the other way round. Equal accuracy with many of both is not "
        .. "the same model. The explorer below lists every one of them.",
      zh = "红色：基线正确而变体错误；绿色：基线错误而变体正确。准确率相同但两者都多，并不是同一个模型。下方的样本浏览器可逐题查看。" },
  },
  speed = {
    heading = { en = "Speed", zh = "速度" },
    latency = { en = "Time of the whole reply: the share of replies that were done by then (logarithmic).",
      zh = "总时延：截至该时刻已完成的回复比例（对数坐标）。" },
    ttft = { en = "Time to the first token.", zh = "首词元时延。" },
    gaps = {
      en = "Time between two events with text, from the arrival stamps of up to {n} replies for each curve. Events that arrive in one "
        .. "read have almost no time between them; less than 10 µs is drawn as 10 µs.",
      zh = "两个文本事件之间的间隔，每条曲线取自最多 {n} 个回复的到达时间戳。同一次读取到达的事件几乎没有间隔；不足 10 µs 的按 10 µs 绘制。" },
    spread = { en = "Time of the whole reply: the dot is p50, the bar p95, the line ends at p99.",
      zh = "总时延：圆点为 p50，竖线为 p95，横线止于 p99。" },
    throughput = { en = "Questions per second of wall-clock time, with all requests in flight at once as configured.",
      zh = "按实际用时计算的每秒题数（并发数见配置）。" },
    serving = { en = "Every serving figure as a ratio to the baseline. The arrow at the right points to the better side.",
      zh = "各项服务指标与基线之比，右侧箭头指向更优的一侧。" },
    memory = { en = "Memory and energy: not measured.", zh = "显存与能耗：未测量。" },
  },
  choice = {
    heading = { en = "What accuracy costs", zh = "准确率与代价" },
    caption = {
      en = "Up is more accurate, right is faster. A hollow dot is a variant that another one beats in everything; what lies in the "
        .. "shaded area has lost more than the margin.",
      zh = "越靠上越准确，越靠右越快。空心圆点表示在各方面都不及另一变体；落入阴影区表示损失超过界值。" },
    caption_plain = { en = "Up is more accurate, right is faster, both against the baseline.", zh = "越靠上越准确，越靠右越快，均与基线相比。" },
  },
  groups = {
    heading = { en = "{dataset} by group", zh = "{dataset} 分组结果" },
    caption = {
      en = "Every group of {dataset}: its difference from the baseline against its number of questions. Small groups stray far by "
        .. "chance alone; the dashed lines show how far. Named are those that stand out even so.",
      zh = "{dataset} 的各个分组：与基线的差值及其题量。题量少的分组仅因偶然就会偏离很多，虚线表示这种偏离的范围；超出者才标出名称。" },
    caption_plain = {
      en = "Every group of {dataset}: its difference from the baseline against its number of questions. Small groups stray far by "
        .. "chance alone.",
      zh = "{dataset} 的各个分组：与基线的差值及其题量。题量少的分组仅因偶然就会偏离很多。" },
  },
  outcomes = {
    heading = { en = "Outcomes", zh = "结果分类" },
    caption = { en = "What became of every question. Errors are failed requests: they are not counted as wrong.",
      zh = "每道题的最终结果。“出错”指请求失败，不计为答错。" },
  },
  course = {
    heading = { en = "Course of the run", zh = "运行过程" },
    caption = { en = "Which variant was asked which dataset, and when. Red marks are requests that had to be sent again.",
      zh = "各变体在何时回答哪个数据集。红色标记为需要重发的请求。" },
  },
  explorer = {
    heading = { en = "Samples", zh = "样本浏览器" },
    absent = {
      en = "This page was made from a results file alone and holds no single samples. Make it from the run's folder "
        .. "(`qlua report RUN --layout html`), or look at the run itself with `qlua view RUN`.",
      zh = "本页仅由结果文件生成，不含单个样本。请由运行目录生成（`qlua report RUN --layout html`），或用 `qlua view RUN` 直接查看。" },
    script = { en = "The explorer needs JavaScript.", zh = "样本浏览器需要启用 JavaScript。" },
  },
  tables = {
    heading = { en = "All figures, methods and how to reproduce", zh = "全部数据、方法与复现" },
  },
  appendix = {
    heading = { en = "Appendix: configuration and manifest", zh = "附录：配置与清单" },
    config = { en = "Configuration, as resolved", zh = "生效的配置" },
    manifest = { en = "Manifest", zh = "清单" },
  },
  size = { en = "This page is one file of {size} and asks nothing of any network.", zh = "本页为单个文件，大小 {size}，不访问任何网络。" },
}
