-- SPDX-License-Identifier: Apache-2.0
--- The words of the Markdown report about measurements under load and about the instrument, in both languages.

local say = {
  facts = { en = "Model {model} · baseline {baseline} · {variants} variants · measured under load, no questions asked · started {started}",
    zh = "模型 {model} · 基线 {baseline} · 变体 {variants} 个 · 仅负载测量，未评测题目 · 开始于 {started}" },
  heading = { en = "Measurements under load", zh = "负载测量" },
  text = {
    en = "Apart from the questions: requests sent only to be timed. A latency counts from the moment the request was handed to the "
      .. "kernel, connection and queue excluded; failed and cancelled requests are in no latency and no throughput. Formulas: "
      .. "`docs/metrics.md`.",
    zh = "与答题评测分开进行，请求只用于计时。时延自请求交给内核时起算，不含建立连接与客户端排队；失败和取消的请求不计入时延与吞吐。公式见 `docs/metrics.md`。" },
  degraded = {
    en = "**Degraded**: in some measurements the client itself was the limit. What is marked † must not be taken for the server's "
      .. "figures; why, stands below under *The instrument, under load*.",
    zh = "**测量受限**：部分测量中瓶颈在客户端自身，标有 † 的数字不能当作服务端的表现；原因见下文“测量仪器自检（负载测量）”。" },
  requests = { en = "Requests: {workload}.", zh = "请求：{workload}。" },
  replicates = { en = "Replicates: {n}, {order}.", zh = "重复测量 {n} 次，{order}。" },
  one_replicate = {
    en = "One replicate: intervals describe this one measurement; how much another would differ is not known.",
    zh = "仅测量一次：区间只描述这一次测量，再测一次会相差多少无从得知。" },
  warmup = { en = "Warm-up before every measured series: {n} requests, counted in no figure.", zh = "每组测量前预热 {n} 个请求，不计入任何数字。" },
  warmup_steady = {
    en = "Warm-up: windows of at least {n} requests until the median latency settled, counted in no figure.",
    zh = "预热：每窗至少 {n} 个请求，直到时延中位数稳定，不计入任何数字。" },
  seed = { en = "Schedules and prompts are drawn from seed {seed}, the same for every variant.",
    zh = "发送计划与提示词由种子 {seed} 生成，各变体相同。" },
  slo = { en = "Limits (SLO), in ms: {slo}.", zh = "服务目标（SLO，毫秒）：{slo}。" },
  orders = {
    interleaved = { en = "interleaved over the variants", zh = "在各变体间交替进行" },
    lifetime = { en = "one after the other within each server's life", zh = "在每个服务的生命周期内依次进行" },
    abba = { en = "in the order there and back (ABBA)", zh = "按往返顺序（ABBA）进行" },
  },
  workload = {
    kind = { en = "{kind}", zh = "{kind}" },
    kinds = {
      dataset = { en = "questions of a dataset", zh = "数据集题目" }, random = { en = "random text", zh = "随机文本" },
      sharegpt = { en = "conversations of a ShareGPT file", zh = "ShareGPT 文件中的对话" }, trace = { en = "a trace file", zh = "轨迹文件" },
      custom = { en = "a file of prompts", zh = "提示词文件" },
    },
    source = { en = "{source}", zh = "{source}" },
    input = { en = "input {input}, output {output}", zh = "输入 {input}，输出 {output}" },
    unit = { en = "lengths in {unit}", zh = "长度单位 {unit}" },
    fixed = { en = "output limit {output}", zh = "输出上限 {output}" },
    ignore_eos = { en = "generation goes on to the limit", zh = "生成至上限为止" },
    prefix = { en = "{groups} shared prefixes of {tokens} tokens", zh = "{groups} 组共享前缀，各 {tokens} 词元" },
    turns = { en = "sessions of {turns} turns", zh = "每个会话 {turns} 轮" },
  },
  axes = { rate = { en = "requests/s", zh = "请求/秒" }, concurrency = { en = "concurrency", zh = "并发数" } },
  found = { en = "The most that kept the limits {slo}, found by doubling and bisection:", zh = "满足 {slo} 的最大值，由倍增与二分查找得到：" },
  throughput = {
    en = "Throughput over the whole measurement, and of output tokens in the steady window. Token counts come from: {sources}.",
    zh = "整个测量期间的吞吐，以及稳定窗口内的输出词元吞吐。词元数来源：{sources}。" },
  latencies = {
    en = "Latencies. Percentiles are exact (type 7) and in brackets have their {level} interval from order statistics, which describes "
      .. "this measurement; a percentile, or an end of its interval, that so few requests do not carry is left out (–).",
    zh = "时延。分位数由原始数据精确计算（type 7），方括号内为由次序统计量得到的 {level} 区间，仅描述本次测量；请求太少、不足以支撑的分位数或区间端点不给出（–）。" },
  latencies_replicates = {
    en = "Latencies. Percentiles are the mean of the replicates' percentiles (type 7), in brackets its {level} interval from the "
      .. "replicates (Student's t, wide where there are two or three); n, mean and max are of all requests. What so few requests do not "
      .. "carry is left out (–).",
    zh = "时延。分位数为各次重复的分位数（type 7）的均值，方括号内为由各次重复得到的 {level} 区间（t 分布，只重复两三次时很宽）；请求数、均值与最大值取自全部请求。请求太少、不足以支撑的不给出（–）。" },
  itl_events = {
    en = "ITL here is the time between *events*, not tokens: the server does not say how many tokens an event brings.",
    zh = "此处 ITL 为*事件*间隔而非词元间隔：服务端未说明每个事件含多少词元。" },
  latency = {
    ttft = { en = "TTFT, to the first text: answer, reasoning or tool call.", zh = "TTFT：到首个文本（回答、思考或工具调用）。" },
    ttfa = { en = "To the first text of the answer, reasoning excluded.", zh = "到回答的首个文本（不含思考）。" },
    tpot = { en = "TPOT, time per output token after the first, one figure per request.", zh = "TPOT：首词元之后每个输出词元的耗时，每个请求一个数。" },
    itl = { en = "ITL, time between tokens, all requests together.", zh = "ITL：词元间隔，全部请求合并。" },
    e2e = { en = "To the last token.", zh = "到最后一个词元的总时延。" },
    ttft_due = { en = "TTFT from the schedule: what a user waits whose request came when it was planned.",
      zh = "自计划时刻起的 TTFT：按计划到达的用户实际等待的时间。" },
    e2e_due = { en = "To the last token, from the schedule.", zh = "自计划时刻到最后一个词元的时间。" },
  },
  ratios = {
    en = "Ratios to {baseline}, replicate by replicate, with their {level} interval; without one where there is only one replicate. An "
      .. "interval that contains 1 does not show a difference.",
    zh = "与 {baseline} 之比，逐次重复配对计算，附 {level} 区间；只有一次测量时没有区间。区间含 1 时不能说明有差别。" },
  stages = { en = "By stage, all replicates together:", zh = "按阶段（各次重复合并）：" },
  failures = { en = "Failed requests:", zh = "失败的请求：" },
  figures = {
    output_tokens_per_second = { en = "Output tokens/s", zh = "输出词元/秒" }, goodput_per_second = { en = "Goodput", zh = "有效吞吐" },
    ttft_p50 = { en = "TTFT p50", zh = "TTFT p50" }, ttft_p95 = { en = "TTFT p95", zh = "TTFT p95" },
    tpot_p50 = { en = "TPOT p50", zh = "TPOT p50" }, e2e_p50 = { en = "E2E p50", zh = "总时延 p50" },
    e2e_p95 = { en = "E2E p95", zh = "总时延 p95" },
  },
  check = {
    heading = { en = "The instrument", zh = "测量仪器自检" },
    heading_load = { en = "The instrument, under load", zh = "测量仪器自检（负载测量）" },
    text = {
      en = "What the client measured of itself. It is the limit, and the figures degraded, where requests left late, bytes waited for it, "
        .. "its loop was busy, or events were lost; the thresholds are in `docs/metrics.md`.",
      zh = "客户端对自身的测量。请求发出偏晚、数据等待处理、循环繁忙或事件丢失时，瓶颈在客户端，相应数字受限；阈值见 `docs/metrics.md`。" },
    degraded = { en = "**Degraded: the client was the limit.**", zh = "**测量受限：瓶颈在客户端。**" },
    reason = { en = "{where}: {text}.", zh = "{where}：{text}。" },
    not_known = { en = "Not known, and therefore not tested: {names}.", zh = "未知、因而未检验：{names}。" },
    verdicts = { ok = { en = "ok", zh = "正常" }, degraded = { en = "degraded", zh = "受限" } },
    limits = { client = { en = "client", zh = "客户端" }, server = { en = "server", zh = "服务端" }, neither = { en = "neither", zh = "均未饱和" } },
    sources = { kernel = { en = "kernel", zh = "内核" }, user = { en = "user space", zh = "用户态" }, mixed = { en = "mixed", zh = "混合" } },
    tests = {
      dispatch_lag_p99_ns = { en = "dispatch lag", zh = "发送延迟" }, handling_delay_p99_ns = { en = "delay between stamp and handling",
        zh = "处理延迟" },
      stamp_error_ns = { en = "error of the stamps", zh = "时间戳误差" }, busy_share = { en = "load of the I/O loop", zh = "I/O 循环负荷" },
      starved_share = { en = "waiting for a processor", zh = "等待处理器" }, lost_events = { en = "lost events", zh = "事件丢失" },
    },
  },
  column = {
    point = { en = "Point", zh = "测点" }, stage = { en = "Stage", zh = "阶段" }, variant = { en = "Variant", zh = "变体" },
    requests = { en = "Requests", zh = "请求数" }, requests_all = { en = "Of", zh = "总数" }, failed = { en = "Failed", zh = "失败" },
    offered = { en = "Offered/s", zh = "计划速率" }, request_rate = { en = "Requests/s", zh = "请求/秒" },
    token_rate = { en = "Output tokens/s", zh = "输出词元/秒" }, steady_rate = { en = "Steady tokens/s", zh = "稳定词元/秒" },
    concurrency = { en = "In flight", zh = "平均并发" }, goodput = { en = "Goodput/s", zh = "有效吞吐/秒" },
    n = { en = "n", zh = "n" }, mean = { en = "Mean", zh = "均值" }, max = { en = "Max", zh = "最大值" },
    kinds = { en = "Kinds", zh = "类型" }, axis = { en = "Axis", zh = "变量" }, met = { en = "Kept at", zh = "达标" },
    failed_at = { en = "Not kept at", zh = "未达标" }, steps = { en = "Steps", zh = "步数" },
    check = { en = "Check", zh = "自检" }, limit = { en = "Limit", zh = "瓶颈" }, stamps = { en = "Stamps", zh = "时间戳" },
    stamp_error = { en = "Stamp error", zh = "时间戳误差" }, lag_p50 = { en = "Sent late p50", zh = "发送延迟 p50" },
    lag_p99 = { en = "Sent late p99", zh = "发送延迟 p99" }, delay_p99 = { en = "Handled p99", zh = "处理延迟 p99" },
    events_per_read = { en = "Events/read", zh = "事件/读" }, reads_per_event = { en = "Reads/event", zh = "读/事件" },
    busy = { en = "Loop busy", zh = "循环负荷" }, lost = { en = "Lost", zh = "丢失" },
  },
}

return say
