-- SPDX-License-Identifier: Apache-2.0
--- The configuration's schema: one table of descriptors that feeds parsing, validation, `qlua config` and the docs.
-- A descriptor is `{ key, type, … }`:
--
--   type      string integer number boolean share text list map dict any
--             (`text` is a bilingual description; `dict` has free keys; `any` is passed on as it is; `share` is a number
--             from 0 to 1, for which true and false stand as 1 and 0)
--   default   what holds when nobody says anything; absent means unset
--   keys      closed list of a dict's keys
--   null      true when YAML's null is a value, meaning "unset on purpose"
--   required  true when there is no sensible default
--   min max   inclusive range of a number; above: exclusive lower bound
--   allowed   closed list of strings;  pattern, wanted: Lua pattern and its name in words
--   of        descriptor of a list's or dict's elements;  fields: of a map
--   named     for a list of maps: the elements are known by their field `name`, which must be unique
--   bare_names  a string in such a list stands for a map with that name
--   partial   for a map: defaults are not filled in, as it only overrides another map
--   optional  for a map: it stays unset when nobody names it, where others get their defaults
--   summary   { en, zh }

local schema = {}

local NAME = "^[%w][%w._%-]*$"
local NAME_WANTED = "a name of letters, digits, '.', '_' and '-'"

--- How a server is started or reached. Which of these an engine uses is the dialect's business.
schema.server = {
  { key = "engine", type = "string", default = "vllm", pattern = NAME, wanted = NAME_WANTED,
    summary = { en = "which server dialect: a script of lua/servers", zh = "服务器方言，即 lua/servers 中的脚本名" } },
  { key = "base_url", type = "string", null = true,
    pattern = "^https?://[^%s/]+%S*$", wanted = "a URL such as http://host:8000/v1",
    summary = { en = "address of a server that is already running", zh = "已在运行的服务器地址" } },
  { key = "unix_socket", type = "string", null = true,
    summary = { en = "path of a UNIX socket to listen on or reach, in place of host and port",
      zh = "用于监听或连接的 UNIX 套接字路径，代替 host 和 port" } },
  { key = "host", type = "string", default = "127.0.0.1",
    summary = { en = "address to listen on", zh = "监听地址" } },
  { key = "port", type = "integer", default = 8000, min = 1, max = 65535, null = true,
    summary = { en = "port to listen on; null: any free one", zh = "监听端口；null 表示任选空闲端口" } },
  { key = "ca_file", type = "string", null = true,
    summary = { en = "PEM file of the authority that signed the server's certificate", zh = "签发服务器证书的 CA 的 PEM 文件" } },
  { key = "pin", type = "string", null = true,
    pattern = "^sha256//[%w+/]+=*$", wanted = "sha256// and the base64 of a public key's SHA-256",
    summary = { en = "the server's public key, whatever authority signed its certificate", zh = "服务器公钥指纹；匹配即信任，不论证书由谁签发" } },
  { key = "insecure", type = "boolean", default = false,
    summary = { en = "do not check the server's certificate; recorded in the report", zh = "不校验服务器证书；会记入报告" } },
  { key = "api_key_env", type = "string", null = true,
    pattern = "^[%a_][%w_]*$", wanted = "the name of an environment variable",
    summary = { en = "environment variable that holds the API key", zh = "存放 API 密钥的环境变量名" } },
  { key = "api_key_file", type = "string", null = true,
    summary = { en = "file that holds the API key and nothing else", zh = "仅存放 API 密钥的文件" } },
  { key = "headers", type = "dict", of = { type = "string" },
    summary = { en = "further HTTP headers of each request", zh = "每个请求附加的 HTTP 头" } },
  { key = "query", type = "dict", of = { type = "string" },
    summary = { en = "parameters behind each URL, such as api-version", zh = "附加在每个 URL 后的参数，例如 api-version" } },
  { key = "extra_body", type = "dict", of = { type = "any" },
    summary = { en = "further fields of each request's body; null takes one away", zh = "每个请求体附加的字段；null 表示去掉该字段" } },
  { key = "max_tokens_field", type = "string", allowed = { "max_tokens", "max_completion_tokens" }, null = true,
    summary = { en = "name of the token limit over chat; unset: the engine's", zh = "chat 接口中词元上限的字段名；不设则用引擎默认" } },
  { key = "endpoint", type = "string", allowed = { "completions", "chat" }, null = true,
    summary = { en = "how to ask; unset: as the dataset's prompt is made", zh = "请求接口；不设则由数据集的提示词形式决定" } },
  { key = "scoring", type = "dict", of = { type = "string" }, keys = { "loglikelihood", "letter", "tokenizer" },
    summary = { en = "by which means choices are scored (docs/servers.md); unset: the first of the dialect's that the probe accepts",
      zh = "以何种方式对选项打分（见 docs/servers.md）；不设则采用该方言中首个通过探测的方式" } },
  { key = "served_model_name", type = "string", null = true,
    summary = { en = "model name in requests, where it differs from the model", zh = "请求中使用的模型名（与模型路径不同时填写）" } },
  { key = "executable", type = "string", null = true,
    summary = { en = "program to start, where it is not the engine's usual one", zh = "要启动的程序（不用引擎默认程序时填写）" } },
  { key = "extra_args", type = "list", of = { type = "string" },
    summary = { en = "further arguments of the server's command line", zh = "服务器命令行的附加参数" } },
  { key = "env", type = "dict", of = { type = "string", null = true },
    summary = { en = "environment variables of the server's process; null removes one", zh = "服务器进程的环境变量；null 表示删除" } },
  { key = "startup_timeout_s", type = "number", default = 1800, above = 0,
    summary = { en = "longest wait for the server to become ready, in seconds", zh = "等待服务器就绪的最长时间（秒）" } },
  { key = "stop_grace_s", type = "number", min = 0, null = true,
    summary = { en = "time to stop by itself before it is killed, in seconds; unset: the engine's own, else 30",
      zh = "停止服务器时强制结束前的等待时间（秒）；不设则用引擎自身的值，否则为 30" } },
  { key = "startup_stall_s", type = "number", default = 300, above = 0,
    summary = { en = "longest time without progress in the log while the server starts, in seconds",
      zh = "启动期间日志无进展的最长时间（秒）" } },
  { key = "stall_timeout_s", type = "number", default = 120, min = 0,
    summary = { en = "time without any reply after which a test request is sent; when that is not answered in the same time either, "
        .. "the server counts as wedged and is started again; 0: never",
      zh = "请求无任何返回达此时长（秒）后发送一次测试请求；若同样时长内仍无返回，则视为卡死并重启服务；0 表示不检测" } },
  { key = "max_restarts", type = "integer", default = 2, min = 0, max = 100,
    summary = { en = "how often a server that died while it was asked is started again", zh = "服务在评测中崩溃后最多重启的次数" } },
  { key = "gpus", type = "list", of = { type = "integer", min = 0 }, null = true,
    summary = { en = "indexes of the GPUs that the server sees (as nvidia-smi shows them); unset: all; empty: none",
      zh = "服务可见的 GPU 序号（与 nvidia-smi 一致）；不设则全部可见，空列表则不用 GPU" } },
  { key = "quantization", type = "string", null = true,
    summary = { en = "online quantization; null for a checkpoint that is quantized already",
      zh = "在线量化方法；已量化的检查点应为 null" } },
  { key = "kv_cache_dtype", type = "string", default = "auto",
    summary = { en = "number format of the KV cache", zh = "KV 缓存的数据类型" } },
  { key = "dtype", type = "string", null = true,
    summary = { en = "number format of weights and activations", zh = "权重和激活的数据类型" } },
  { key = "revision", type = "string", null = true,
    summary = { en = "revision of the model", zh = "模型的版本号（revision）" } },
  { key = "tensor_parallel_size", type = "integer", default = 1, min = 1,
    summary = { en = "number of GPUs that share the model", zh = "张量并行的 GPU 数" } },
  { key = "max_model_len", type = "integer", default = 8192, min = 1, null = true,
    summary = { en = "longest context, in tokens", zh = "最大上下文长度（词元）" } },
  { key = "gpu_memory_utilization", type = "number", default = 0.9, above = 0, max = 1,
    summary = { en = "share of the GPU's memory that the server may take", zh = "服务器可占用的显存比例" } },
  { key = "trust_remote_code", type = "boolean", default = false,
    summary = { en = "run code that comes with the model", zh = "允许执行模型自带的代码" } },
  { key = "enable_prefix_caching", type = "boolean", null = true,
    summary = { en = "reuse the KV cache of common prefixes; unset: the server's default",
      zh = "复用公共前缀的 KV 缓存；不设则用服务器默认值" } },
  { key = "enforce_eager", type = "boolean", default = false,
    summary = { en = "no CUDA graphs: starts faster, runs slower", zh = "不使用 CUDA 图：启动更快，运行更慢" } },
  { key = "max_num_seqs", type = "integer", min = 1, null = true,
    summary = { en = "most sequences in one batch", zh = "单个批次的最大序列数" } },
  { key = "max_num_batched_tokens", type = "integer", min = 1, null = true,
    summary = { en = "most tokens in one batch", zh = "单个批次的最大词元数" } },
  { key = "max_logprobs", type = "integer", min = -1, null = true,
    summary = { en = "most log-probabilities per token that the server gives", zh = "服务器每个词元返回的对数概率数上限" } },
}

--- Sampling. Everything is sent explicitly, since servers' own defaults differ.
schema.generation = {
  { key = "temperature", type = "number", default = 0.0, min = 0, max = 2,
    summary = { en = "0 is greedy", zh = "采样温度，0 为贪心解码" } },
  { key = "max_tokens", type = "integer", default = 512, min = 1,
    summary = { en = "longest response, in tokens", zh = "回复的最大长度（词元）" } },
  { key = "top_p", type = "number", default = 1.0, above = 0, max = 1,
    summary = { en = "nucleus: share of the probability that is kept", zh = "核采样保留的概率质量" } },
  { key = "top_k", type = "integer", default = -1, min = -1,
    summary = { en = "most likely tokens that are kept; -1 or 0: all", zh = "保留概率最高的词元数；-1 或 0 表示全部" } },
  { key = "min_p", type = "number", default = 0.0, min = 0, max = 1,
    summary = { en = "least probability relative to the most likely token", zh = "相对最高概率的最低概率" } },
  { key = "repetition_penalty", type = "number", default = 1.0, above = 0,
    summary = { en = "1 is none", zh = "重复惩罚，1 为不惩罚" } },
  { key = "stop", type = "list", of = { type = "string", pattern = "^.", wanted = "a string that is not empty" },
    summary = { en = "texts that end a response, beside the dataset's own", zh = "结束回复的文本（在数据集自带的之外）" } },
  { key = "seed", type = "integer", default = 42, null = true,
    summary = { en = "seed of sampling, and of everything random in qlua", zh = "采样以及 qlua 中一切随机过程的种子" } },
  { key = "system_prompt", type = "string", null = true, pattern = "^.", wanted = "a string that is not empty",
    summary = { en = "system message of a chat, before the dataset's own", zh = "chat 的系统消息，置于数据集自带的之前" } },
  { key = "chat_template_kwargs", type = "dict", of = { type = "any" },
    summary = { en = "arguments of the model's chat template, e.g. enable_thinking", zh = "聊天模板的参数，例如 enable_thinking" } },
  { key = "reasoning", type = "string", allowed = { "tagged", "opened", "separate" }, null = true,
    summary = { en = "a reasoning model: its thoughts stand in <think>…</think>; the template has opened them already; or the server "
        .. "separates them. No stop strings are sent then",
      zh = "推理模型：思考内容在 <think>…</think> 中；模板已开启思考；或由服务器分离。此时不向服务器发送停止串" } },
}

--- The simulated server's knobs (docs/sim.md). Rates are shares of requests, times milliseconds.
schema.sim = {
  { key = "seed", type = "integer", default = 1, min = 0,
    summary = { en = "seed of the planted answers", zh = "预设答案的种子" } },
  { key = "accuracy", type = "dict", of = { type = "number", min = 0, max = 1 },
    summary = { en = "share of right answers, by dataset; `default` for the rest", zh = "各数据集的正确率；其余用 default" } },
  { key = "latency", type = "dict", of = { type = "number", min = 0 },
    keys = { "ttft_ms", "itl_ms", "prefill_ms_per_token", "per_running", "jitter" },
    summary = { en = "time to the first token, between tokens, per prompt token; slow-down per running request; "
        .. "jitter (share)",
      zh = "首词元时延、词元间隔、每个提示词词元的耗时；每个并发请求的减速；抖动（比例）" } },
  { key = "faults", type = "dict", of = { type = "any" },
    summary = { en = "by HTTP status or kind of fault: a share of requests, or `{ share, … }`",
      zh = "按 HTTP 状态码或故障类型：占请求的比例，或 { share, … }" } },
  { key = "sampled_flip", type = "dict", of = { type = "number", min = 0, max = 1 },
    summary = { en = "by dataset: share of questions that change between right and wrong with another seed, at a temperature above 0",
      zh = "各数据集中，温度大于 0 且种子不同时对错发生改变的题目比例" } },
  { key = "quirks", type = "list", of = { type = "string" },
    summary = { en = "what it does wrong without a word, by name (docs/sim.md)", zh = "不声不响的错误行为，按名称列出（见 docs/sim.md）" } },
  { key = "hostile", type = "dict", of = { type = "any" },
    keys = { "children", "forget", "ignore_term", "hold_term", "load", "load_ms", "identity", "wedge_after", "reuse_port" },
    summary = { en = "what bad servers do to those who supervise them (docs/sim.md)", zh = "模拟有问题的服务进程（见 docs/sim.md）" } },
  { key = "rerun_flip", type = "dict", of = { type = "number", min = 0, max = 1 },
    summary = { en = "by dataset: share of questions that change between right and wrong when asked again",
      zh = "各数据集中，重跑时对错发生改变的题目比例" } },
}

--- The load phase of a run.
schema.load = require "qlua.config_load"

schema.benchmark = {
  { key = "concurrency", type = "integer", default = 32, min = 1, max = 65536,
    summary = { en = "most requests in flight", zh = "最大并发请求数" } },
  { key = "io_threads", type = "integer", default = 1, min = 1, max = 64,
    summary = { en = "threads that send and receive; more than one for many thousand events per second",
      zh = "收发数据的线程数；每秒上万个事件时才需要多个" } },
  { key = "num_warmup_iterations", type = "integer", default = 3, min = 0,
    summary = { en = "requests sent before anything is measured", zh = "正式测量前的预热请求数" } },
  { key = "num_runs", type = "integer", default = 5, min = 1,
    summary = { en = "repeats of each measurement of `load`", zh = "load 各项测量的重复次数" } },
  { key = "repeats", type = "integer", default = 1, min = 1, max = 1000,
    summary = { en = "how often each question is asked in mode generate, each time with a seed of its own: pass@k, maj@k "
        .. "(wants a temperature above 0)",
      zh = "generate 模式下每题询问的次数，每次使用不同种子，用于 pass@k 与 maj@k（温度须大于 0）" } },
  { key = "qualify", type = "string", default = "needed", allowed = { "full", "needed", "off" },
    summary = { en = "probe each server before it is asked: all eight steps, those that the plan needs, or none (recorded)",
      zh = "提问前对每个服务器进行资格探测：全部八步、仅计划所需，或不探测（会记入报告）" } },
  { key = "max_error_rate", type = "number", default = 0.01, min = 0, max = 1,
    summary = { en = "share of errors above which the run fails", zh = "错误比例超过此值则运行判为失败" } },
  { key = "retries", type = "integer", default = 4, min = 0, max = 100,
    summary = { en = "retries of a request where retrying makes sense", zh = "可重试请求的最大重试次数" } },
  { key = "connect_timeout_s", type = "number", default = 10, above = 0,
    summary = { en = "longest wait for a connection, in seconds", zh = "建立连接的最长时间（秒）" } },
  { key = "first_byte_timeout_s", type = "number", default = 300, above = 0,
    summary = { en = "longest wait for the first byte, in seconds", zh = "等待首字节的最长时间（秒）" } },
  { key = "idle_timeout_s", type = "number", default = 120, above = 0,
    summary = { en = "longest silence between two events, in seconds", zh = "两个事件之间的最长静默时间（秒）" } },
  { key = "total_timeout_s", type = "number", default = 1800, above = 0,
    summary = { en = "longest duration of a request, in seconds", zh = "单个请求的最长总时间（秒）" } },
  { key = "collect_latency", type = "boolean", default = true,
    summary = { en = "stream responses and measure latency", zh = "流式接收回复并测量时延" } },
  { key = "collect_throughput", type = "boolean", default = true,
    summary = { en = "measure throughput", zh = "测量吞吐量" } },
  { key = "collect_memory", type = "boolean", default = true,
    summary = { en = "sample the GPU's memory", zh = "采样显存占用" } },
  { key = "parallel_variants", type = "boolean", default = false,
    summary = { en = "work on variants at once where their GPUs are disjoint (server.gpus), or their addresses differ; they share this "
        .. "machine's processors then",
      zh = "GPU 不重叠（server.gpus）或地址不同的变体同时评测；此时它们共用本机处理器" } },
  { key = "control", type = "share", default = 0,
    summary = { en = "ask the baseline a second time: how much answers change by themselves; a share asks that part of the questions",
      zh = "基线重跑一遍作对照，以了解答案自身的波动；填比例则只重跑这一部分题目" } },
}

table.insert(schema.benchmark, { key = "load", type = "map", optional = true, fields = schema.load,
  summary = { en = "a phase of its own that puts each variant under load; unset: none", zh = "独立的负载测量阶段；不设则不进行" } })

--- What decides between variants. Fixed before the run, and hashed into the report.
schema.verdict = {
  { key = "alpha", type = "number", default = 0.025, above = 0, max = 0.25,
    summary = { en = "one-sided error of a false \"non-inferior\"; intervals are at 1 - 2 alpha",
      zh = "误判“非劣”的单侧错误率；区间水平为 1 - 2 alpha" } },
  { key = "margin_pt", type = "number", default = 1.0, above = 0, max = 100,
    summary = { en = "largest loss that is acceptable for the mean over the datasets, in percentage points",
      zh = "各数据集平均准确率可接受的最大损失（百分点）" } },
  { key = "margins_pt", type = "dict", of = { type = "number", above = 0, max = 100 },
    summary = { en = "the same for a single dataset; `default` for the rest (1.0)", zh = "单个数据集的界值；其余用 default（1.0）" } },
  { key = "objective", type = "string", default = "throughput", allowed = { "throughput", "latency", "memory", "energy", "cost" },
    summary = { en = "what the best of the acceptable variants is best at", zh = "在合格变体中按什么择优" } },
  { key = "tie", type = "number", default = 0.05, min = 0, max = 1,
    summary = { en = "ratios closer than this are a tie where a figure has no interval", zh = "指标没有区间时，比值相差不超过此值视为相当" } },
  { key = "max_flips", type = "number", min = 0, max = 1, null = true,
    summary = { en = "largest share of flips that is acceptable", zh = "可接受的最大翻转率" } },
  { key = "min_baseline", type = "dict", of = { type = "number", min = 0, max = 1 },
    summary = { en = "by dataset: accuracy below which the baseline itself is not credible, and no verdict is given",
      zh = "各数据集上基线准确率的下限；低于此值说明评测本身有问题，不给出结论" } },
  { key = "price_per_hour", type = "dict", of = { type = "number", min = 0 },
    summary = { en = "by variant, or `default`: what an hour of its server costs", zh = "各变体服务器每小时的价格；其余用 default" } },
  { key = "exclude", type = "list", of = { type = "string" },
    summary = { en = "ids of samples that do not count in any comparison", zh = "不计入比较的样本 ID" } },
  { key = "gates", type = "list", of = { type = "map", partial = true, fields = {
      { key = "gate", type = "string", required = true,
        allowed = { "verdict", "non_inferior", "accuracy", "error_rate", "invalid_rate", "truncated_rate", "flips" },
        summary = { en = "what is judged", zh = "判定内容" } },
      { key = "variant", type = "string", summary = { en = "of this variant; unset: of all", zh = "针对该变体；不设则针对全部变体" } },
      { key = "dataset", type = "string", summary = { en = "on this dataset; unset: on each", zh = "针对该数据集；不设则逐一判定" } },
      { key = "at_least", type = "number", min = 0, max = 1, summary = { en = "lowest share that passes", zh = "不得低于的比例" } },
      { key = "at_most", type = "number", min = 0, max = 1, summary = { en = "highest share that passes", zh = "不得高于的比例" } },
    } },
    summary = { en = "what must hold, or the run ends with exit code 1", zh = "必须满足的条件，否则以退出码 1 结束" } },
}

schema.report = {
  { key = "language", type = "string", default = "both", allowed = { "en", "zh", "both" },
    summary = { en = "language of the report", zh = "报告语言" } },
  { key = "layouts", type = "list", of = { type = "string" }, default = { "markdown" },
    summary = { en = "layouts to write: scripts of lua/reports, or paths", zh = "要生成的版式：lua/reports 中的脚本名或路径" } },
  { key = "html_budget_mb", type = "number", default = 32, above = 0,
    summary = { en = "size up to which an HTML page takes in the texts of samples, in MB; flips and failures come first",
      zh = "HTML 页面收录样本文本的大小上限（MB），优先收录翻转与失败的样本" } },
  { key = "baseline", type = "string", null = true,
    summary = { en = "variant that others are compared with; unset: the first", zh = "作为比较基线的变体；不设则为第一个" } },
}

schema.dataset = {
  { key = "name", type = "string", required = true,
    summary = { en = "dataset script, by name or path", zh = "数据集脚本的名称或路径" } },
  { key = "description", type = "text", summary = { en = "description for the report", zh = "报告中的说明" } },
  { key = "type", type = "string", summary = { en = "kind of task, kept for the record", zh = "任务类型，仅作记录" } },
  { key = "num_samples", type = "integer", min = 1, null = true,
    summary = { en = "first so many samples; more than there are means all", zh = "取前若干个样本；超过总数则取全部" } },
  { key = "limit", type = "integer", min = 1, null = true,
    summary = { en = "the same as num_samples, and stronger", zh = "与 num_samples 相同，且优先" } },
  { key = "mode", type = "string", allowed = { "generate", "loglikelihood", "letter" }, null = true,
    summary = { en = "how to ask; unset: the dataset's first mode", zh = "提问方式；不设则用数据集的第一种" } },
  { key = "repeats", type = "integer", min = 1, null = true,
    summary = { en = "how often each question is asked in mode generate, each time with a seed of its own; stronger than benchmark.repeats",
      zh = "generate 模式下每题询问的次数，每次使用不同种子；优先于 benchmark.repeats" } },
  { key = "permute", type = "share", default = 0,
    summary = { en = "modes letter and loglikelihood: share of questions that are asked with their choices at each place in turn",
      zh = "letter 与 loglikelihood 模式：将这一比例题目的选项轮换到各个位置重复询问" } },
  { key = "shots", type = "integer", min = 0, null = true,
    summary = { en = "number of worked examples in the prompt", zh = "提示词中的示例数" } },
  { key = "scorers", type = "list", of = { type = "string" }, null = true,
    summary = { en = "scorers to use; the first is the headline", zh = "使用的评分器；第一个为主指标" } },
  { key = "args", type = "dict", of = { type = "any" },
    summary = { en = "arguments for the dataset script", zh = "传给数据集脚本的参数" } },
  { key = "endpoint", type = "string", allowed = { "completions", "chat" }, null = true,
    summary = { en = "how to ask this dataset; stronger than server.endpoint", zh = "本数据集的请求接口，优先于 server.endpoint" } },
  { key = "form", type = "string", allowed = { "text", "turns" }, null = true,
    summary = { en = "examples as one text, or as turns of the chat; unset: turns where the dataset's endpoint is chat",
      zh = "示例拼为一段文本，或作为多轮对话；不设则在本数据集 endpoint 为 chat 时用多轮" } },
}

-- A variant's own fields, then everything of `server` and `generation` once more, without defaults: either
-- written directly (quantization: fp8) or in a block of its own (server: { port: 8001 }).
local function variant_fields()
  local fields = {
    { key = "name", type = "string", required = true, pattern = NAME, wanted = NAME_WANTED,
      summary = { en = "name of the variant", zh = "变体名称" } },
    { key = "description", type = "text", summary = { en = "description for the report", zh = "报告中的说明" } },
    { key = "model", type = "string", null = true,
      summary = { en = "model id or path; unset: base_name", zh = "模型 ID 或路径；不设则为 base_name" } },
    { key = "server", type = "map", partial = true, fields = schema.server,
      summary = { en = "overrides of `server`", zh = "对 server 的覆盖" } },
    { key = "generation", type = "map", partial = true, fields = schema.generation,
      summary = { en = "overrides of `generation`", zh = "对 generation 的覆盖" } },
    { key = "sim", type = "map", partial = true, fields = schema.sim,
      summary = { en = "overrides of `sim`", zh = "对 sim 的覆盖" } },
  }
  for _, section in ipairs { "server", "generation" } do
    for _, field in ipairs(schema[section]) do
      local copy = {}
      for k, v in pairs(field) do copy[k] = v end
      copy.default, copy.of_section = nil, section
      fields[#fields + 1] = copy
    end
  end
  return fields
end
schema.variant = variant_fields()

--- The whole file.
schema.root = { key = "", type = "map", fields = {
  { key = "model", type = "map", required = true,
    summary = { en = "the model and its variants", zh = "模型及其变体" }, fields = {
      { key = "base_name", type = "string", required = true,
        summary = { en = "model id or path", zh = "模型 ID 或路径" } },
      { key = "variants", type = "list", required = true, named = "variant", min_items = 1,
        of = { type = "map", partial = true, fields = schema.variant },
        summary = { en = "what is compared", zh = "参与比较的变体" } },
    } },
  { key = "datasets", type = "list", named = "dataset", bare_names = true,
    of = { type = "map", partial = true, fields = schema.dataset },
    summary = { en = "what is asked", zh = "要评测的数据集" } },
  { key = "data", type = "string", null = true,
    summary = { en = "folder of the datasets' files, relative to this file; --data replaces it; "
        .. "unset: $QLUA_DATA, or data",
      zh = "数据集文件所在目录，相对于本文件；可用 --data 替换；不设则为 $QLUA_DATA 或 data" } },
  { key = "server", type = "map", fields = schema.server,
    summary = { en = "how the variants are served", zh = "变体的服务方式" } },
  { key = "generation", type = "map", fields = schema.generation,
    summary = { en = "sampling", zh = "采样参数" } },
  { key = "benchmark", type = "map", fields = schema.benchmark,
    summary = { en = "how the run is conducted", zh = "运行方式" } },
  { key = "report", type = "map", fields = schema.report,
    summary = { en = "what is written at the end", zh = "报告输出" } },
  { key = "verdict", type = "map", fields = schema.verdict,
    summary = { en = "what decides between the variants", zh = "变体取舍的判定规则" } },
  { key = "sim", type = "map", fields = schema.sim,
    summary = { en = "the simulated server; used by the engine `sim` only", zh = "模拟服务器；仅用于 sim 引擎" } },
} }

return schema
