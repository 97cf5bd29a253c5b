-- SPDX-License-Identifier: Apache-2.0
--- The words of the Markdown report about what was measured, in both languages; those about the verdict stand in
-- `verdict_say.lua`. A page picks a side or sets both.

local say = {
  variants = { en = "Variants", zh = "参评变体" },
  title = { en = "Evaluation report {id}", zh = "评测报告 {id}" },
  simulated = {
    en = "**All answers in this report are simulated.** They come from `qlua sim`, not from a model; no figure "
      .. "here says anything about a real one.",
    zh = "**本报告中的回复全部由模拟产生**，出自 `qlua sim`，并非真实模型；文中数字不反映任何模型的表现。",
  },
  notice = { en = "**{variant}**: {text}", zh = "**{variant}**：{text}" },
  facts = {
    en = "Model {model} · baseline {baseline} · {variants} variants · {datasets} datasets · started {started}",
    zh = "模型 {model} · 基线 {baseline} · 变体 {variants} 个 · 数据集 {datasets} 个 · 开始于 {started}" },
  no_verdict = {
    en = "**No verdict is given.** The results file holds none: it was written by an older version.",
    zh = "**本报告不给出结论。** 结果文件由旧版本写出，其中没有结论。",
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
  prompts = {
    same_prompts = {
      en = "Prompts were byte-identical on all {compared} pairs compared.",
      zh = "已比对的 {compared} 对提示词逐字节相同。",
    },
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
    description = { en = "Description", zh = "说明" },
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

return say
