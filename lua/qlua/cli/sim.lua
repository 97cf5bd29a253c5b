-- SPDX-License-Identifier: Apache-2.0
--- qlua sim: an OpenAI-compatible server without a model; its answers are planted. See docs/sim.md.

local book = require "qlua.sim.book"
local core = require "qlua.core.sim"
local hostile = require "qlua.sim.hostile"
local plans = require "qlua.sim.plan"
local service = require "qlua.sim.service"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local function usage(text, hint) return nil, { kind = "usage", text = "qlua sim: " .. text, hint = hint } end

-- ---- options over the plan file ---------------------------------------------------------------------------

local PLAIN = { host = "host", port = "port", unix_socket = "unix_socket", variant = "variant", served_model = "served_model",
  seed = "seed", ready_after = "ready_after_ms", max_model_len = "max_model_len", max_running = "max_running",
  api_key_env = "api_key_env", ledger = "ledger", send_log = "send_log", stamp = "stamp", tokens_per_event = "tokens_per_event" }
local LATENCY = { ttft_ms = "ttft_ms", itl_ms = "itl_ms", jitter = "jitter", per_running = "per_running" }

local function add_datasets(given, opts)
  if not opts.dataset then return end
  given.datasets = {}
  for i, name in ipairs(opts.dataset) do
    given.datasets[i] = { dataset = name, data_dir = opts.data, mode = opts.mode, shots = opts.shots, limit = opts.limit,
      form = opts.form }
  end
end

local function add_faults(given, opts)
  for _, text in ipairs(opts.fault or {}) do
    local fault, wrong = plans.fault_of(text)
    if not fault then return usage("--fault: " .. wrong) end
    given.faults = given.faults or {}
    table.insert(given.faults, fault)
  end
  return true
end

local function add_hostile(given, opts)
  for _, text in ipairs(opts.hostile or {}) do
    local name, value = text:match "^([%w_]+)=?(.*)$"
    if not name then return usage(('--hostile: want FIELD or FIELD=VALUE, got "%s"'):format(text)) end
    given.hostile = given.hostile or {}
    if value == "" or value == "true" then given.hostile[name] = true
    else given.hostile[name] = math.tointeger(tonumber(value)) or tonumber(value) or value end
  end
  return true
end

local function given_plan(opts)
  local given, err = {}
  if opts.plan then
    given, err = plans.read(opts.plan)
    if not given then return nil, err end
  end
  for option, field in pairs(PLAIN) do
    if opts[option] ~= nil then given[field] = opts[option] end
  end
  for option, field in pairs(LATENCY) do
    if opts[option] ~= nil then
      given.latency = given.latency or {}
      given.latency[field] = opts[option]
    end
  end
  if opts.accuracy then given.accuracy = { default = opts.accuracy } end
  if opts.invalid then given.invalid = opts.invalid end
  if opts.quirk then given.quirks = opts.quirk end
  add_datasets(given, opts)
  local is_right, wrong = add_faults(given, opts)
  if is_right then is_right, wrong = add_hostile(given, opts) end
  if not is_right then return nil, wrong end
  return plans.check(given, opts.plan or "qlua sim")
end

-- ---- serving ------------------------------------------------------------------------------------------------

local function open_task(entry)
  local tasks = require "qlua.tasks"
  return tasks.open { dataset = entry.dataset, data_dir = entry.data_dir, mode = entry.mode, shots = entry.shots,
    limit = entry.limit, args = entry.args, form = entry.form, split = entry.split }
end

local function api_key_of(plan)
  if not plan.api_key_env then return nil end
  local key = sys.env(plan.api_key_env)
  if not key or key == "" then return usage(("--api-key-env: environment variable %s is not set"):format(plan.api_key_env)) end
  return key
end

local function announce(plan, server, count)
  io.stdout:write(("qlua sim: variant '%s' as model '%s'; every answer is simulated (%d questions planned)\n"):format(
    plan.variant, plan.served_model, count))
  if plan.unix_socket then io.stdout:write("listening on unix:", plan.unix_socket, "\n") end
  if server:port() > 0 then
    io.stdout:write(("listening on http://%s:%d\n"):format(plan.host:find(":", 1, true) and "[" .. plan.host .. "]" or plan.host,
      server:port()))
  end
  io.stdout:flush()
end

-- A server that ends at once, with log lines as of one that has failed.
local function exit_at_start(plan)
  for _, line in ipairs(plan.exit_at_start.lines or { "RuntimeError: Engine core initialization failed. (simulated)" }) do
    io.stderr:write(line, "\n")
  end
  return plan.exit_at_start.code or 1
end

-- The answers of each seed, made when it is first asked for.
local function drawer(plan)
  if not next(plan.sampled_flip) then return nil end
  local books = {}
  return function(seed)
    books[seed] = books[seed] or assert(book.build(setmetatable({ is_rerun = true, rerun_flip = plan.sampled_flip,
      drawn = "\31" .. seed }, { __index = plan }), open_task))
    return books[seed]
  end
end

local function wait_for_signal(plan, server)
  task.park(function(wake)
    task.on_signal(task.SIGTERM, hostile.on_term(plan, server, wake))
    task.on_signal(task.SIGINT, wake)
  end)
end

local function run(opts)
  local plan, err = given_plan(opts)
  if not plan then return nil, err end
  hostile.fork(plan)
  if plan.exit_at_start then return exit_at_start(plan) end
  local api_key
  api_key, err = api_key_of(plan)
  if err then return nil, err end
  if not plan.host and not plan.unix_socket then plan.host = "127.0.0.1" end
  local pages
  pages, err = book.build(plan, open_task)
  if not pages then return nil, err end
  if plan.ledger then
    local is_written
    is_written, err = pages:write_ledger(plan.ledger)
    if not is_written then return nil, err end
  end
  local again
  if next(plan.rerun_flip) then
    again, err = book.build(setmetatable({ is_rerun = true }, { __index = plan }), open_task)
    if not again then return nil, err end
  end
  hostile.load(plan)
  plan.served_model = plan.hostile.identity or plan.served_model
  local answering = service.new(plan, pages, api_key, again, drawer(plan))
  local server
  server, err = core.serve({ host = plan.host, port = plan.port or 8000, unix_socket = plan.unix_socket,
    max_running = plan.max_running, send_log = plan.send_log, reuse_port = plan.hostile.reuse_port },
    function(request) return answering:answer(request) end)
  if not server then
    err.kind = "server"
    return nil, err
  end
  answering.server = server
  announce(plan, server, #pages.questions)
  wait_for_signal(plan, server)
  server:close()
  return 0
end

-- ---- the command ----------------------------------------------------------------------------------------------

local function option(long, arg, type, en, zh, more)
  local made = { long = long, arg = arg, type = type, summary = { en = en, zh = zh } }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

return {
  name = "sim",
  summary = { en = "an OpenAI-compatible server with simulated answers", zh = "OpenAI 兼容的模拟服务器，答案为预先设定" },
  usage = "qlua sim [--plan FILE] [options]",
  options = {
    option("plan", "FILE", nil, "a plan in JSON (docs/sim.md); the options below override it", "JSON 计划文件（docs/sim.md），下列选项优先于它"),
    option("host", "ADDRESS", nil, "numeric address to listen on (127.0.0.1)", "监听地址，须为数字形式（默认 127.0.0.1）"),
    option("port", "PORT", "integer", "port to listen on (8000); 0: any free one, which is printed",
      "监听端口（默认 8000）；0 表示任选空闲端口并打印", { min = 0, max = 65535 }),
    option("unix-socket", "PATH", nil, "listen on a UNIX socket", "监听 UNIX 套接字"),
    option("dataset", "NAME", nil, "plant the answers of a dataset (repeatable)", "预设某个数据集的答案（可重复）", { repeated = true }),
    option("data", "DIR", nil, "folder of the data", "数据目录"),
    option("mode", "MODE", nil, "how the dataset is asked", "数据集的提问方式",
      { allowed = { "generate", "loglikelihood", "letter" } }),
    option("shots", "N", "integer", "examples per prompt (the dataset's own number)", "提示词中的示例数（默认用数据集自己的）", { min = 0 }),
    option("limit", "N", "integer", "the first N questions only", "只取前 N 题", { min = 1 }),
    option("form", "FORM", nil, "text, or examples as turns of a chat", "提示词形式：text 或多轮对话 turns",
      { allowed = { "text", "turns" } }),
    option("accuracy", "SHARE", "number", "share of right answers", "正确率", { min = 0, max = 1 }),
    option("invalid", "SHARE", "number", "share of replies without a usable answer", "没有可用答案的回复所占比例", { min = 0, max = 1 }),
    option("variant", "NAME", nil, "name of the variant; other names err on other questions", "变体名；不同变体答错的题目不同"),
    option("served-model", "NAME", nil, "name of the model in requests and replies", "请求与回复中的模型名"),
    option("seed", "N", "integer", "seed of everything planted", "随机种子", { min = 0 }),
    option("ttft-ms", "MS", "number", "time to the first token", "首个词元的时延", { min = 0 }),
    option("itl-ms", "MS", "number", "time between tokens", "词元间的时延", { min = 0 }),
    option("jitter", "SHARE", "number", "times vary by up to this share", "时延抖动比例", { min = 0, max = 1 }),
    option("per-running", "SHARE", "number", "growth of the time between tokens per running request",
      "每个并行请求使词元间时延增长的比例", { min = 0 }),
    option("max-running", "N", "integer", "requests answered at once; others wait", "同时处理的请求数上限，其余排队", { min = 1 }),
    option("max-model-len", "N", "integer", "context length in tokens", "上下文长度（词元）", { min = 1 }),
    option("tokens-per-event", "N", "integer", "tokens in each event of a stream", "流式回复中每个事件的词元数", { min = 1 }),
    option("stamp", nil, nil, "each token's text is the time of its send", "每个词元的文本为其发送时刻"),
    option("send-log", "FILE", nil, "write when each request was received and each event sent, as JSON lines (when it ends)",
      "以 JSON 行记录收到每个请求和发送每个事件的时刻（结束时写出）"),
    option("ready-after", "MS", "number", "/health says 503 for so long", "此时长内 /health 返回 503", { min = 0 }),
    option("api-key-env", "NAME", nil, "environment variable with the key that /v1 asks for", "存放 /v1 所需密钥的环境变量名"),
    option("fault", "KIND[:SHARE]", nil, "inject a fault, e.g. 429:0.02, rst:0.01, stall:0.01:stall_ms=5000 (repeatable)",
      "注入故障，如 429:0.02、rst:0.01、stall:0.01:stall_ms=5000（可重复）", { repeated = true }),
    option("quirk", "NAME", nil, "hold for every request something that servers do wrong without a word (repeatable; docs/sim.md)",
      "对每个请求都表现出某种不声不响的错误行为（可重复；见 docs/sim.md）", { repeated = true }),
    option("hostile", "FIELD=VALUE", nil, "do as bad servers do, e.g. children=2, wedge_after=20 (docs/sim.md; repeatable)",
      "模拟有问题的服务，如 children=2、wedge_after=20（见 docs/sim.md，可重复）", { repeated = true }),
    option("ledger", "FILE", nil, "write what was planted, one JSON line per question", "写出预设内容，每题一行 JSON"),
  },
  details = {
    en = "Everything it answers is made up; /v1/models and system_fingerprint say so. It ends with status 0 on SIGTERM or SIGINT.",
    zh = "所有答案均为模拟，/v1/models 与 system_fingerprint 中会注明。收到 SIGTERM 或 SIGINT 后以状态 0 退出。",
  },
  run = run,
}
