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
  notice = { en = "{variant}: {text}", zh = "{variant}：{text}" },
  going_on = {
    en = "This run goes on: the figures are of the answers so far, and no ground for a decision. Reload to see more.",
    zh = "运行尚未结束：以下数字仅反映目前已有的回复，不能作为决策依据。刷新页面可查看最新结果。" },
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
  facts_load = { en = "{model} · {variants} variants · measured under load · baseline {baseline} · {started}",
    zh = "{model} · {variants} 个变体 · 负载测量 · 基线 {baseline} · {started}" },
  load = {
    heading = { en = "Result", zh = "结果" },
    card = { en = "Means over the replicates; all figures with their intervals stand below.", zh = "各次重复的均值；带区间的完整数字见下文。" },
    trusted = { en = "Measured under load; the client was not the limit.", zh = "以下为负载测量结果，瓶颈不在客户端。" },
    degraded = { en = "Degraded: in some measurements the client itself was the limit.", zh = "测量受限：部分测量中瓶颈在客户端自身。" },
    point = { en = "Point", zh = "测点" }, requests = { en = "Requests/s", zh = "请求/秒" },
    tokens = { en = "Output tokens/s", zh = "输出词元/秒" }, check = { en = "Self-check", zh = "自检" },
    ok = { en = "ok", zh = "正常" }, limited = { en = "degraded", zh = "受限" },
  },
  not_measured = { en = "not measured", zh = "未测量" },
  card = { en = "Every variant at a glance; ratios are to the baseline.", zh = "各变体一览，倍数均相对于基线。" },
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
