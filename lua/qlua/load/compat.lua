-- SPDX-License-Identifier: Apache-2.0
--- Compat: the same rows by other load clients' definitions, so that two tools' figures for one server can be held side by side and
-- the difference be named. Pure. What each tool does was read in its source; docs/metrics.md has the table and its limits.
--
-- All of them count from before the connection is made, none from the schedule; all leave failed requests out. What differs is
-- which event is the first, which the last, what a gap is, whether TPOT includes the first token, how tokens are counted, and how
-- percentiles are taken. Keys here are names of peers, not of servers.
local row = require "qlua.load.row"
local series = require "qlua.load.series"
local stats = require "qlua.core.stats"

local compat = {}

--- The tools, in the order in which they are offered; their names, not those of servers.
compat.ORDER = { "vllm", "sglang", "guidellm", "aiperf", "evalscope" }
--- The one whose file format is exchanged (`qlua.load.vllm_json`).
compat.EXCHANGED = compat.ORDER[1]

-- ---- one request ------------------------------------------------------------------------------------------------

local WITH_CHOICES = { role = true, empty = true, reasoning = true, content = true, tool = true, finish = true }
local WITH_TEXT = { reasoning = true, content = true, tool = true }
local TEXT_BUT_TOOLS = { reasoning = true, content = true }

-- First and last event of the kinds, the gaps between them, how many, and the last event of any kind but [DONE].
local function walk(one, kinds)
  local found = { gaps = {}, count = 0 }
  for at_ns, kind in row.each_event(one) do
    if kind ~= "done" then found.last_event_ns = at_ns end
    if kinds[kind] then
      if found.last_ns then found.gaps[#found.gaps + 1] = at_ns - found.last_ns end
      found.first_ns, found.last_ns, found.count = found.first_ns or at_ns, at_ns, found.count + 1
    end
  end
  return found
end

local function from_usage(one) return one.count_source == "usage" and one.completion_tokens or nil end

-- (latency - TTFT) / (n - 1), none for n <= 1.
local function without_first(figures)
  local n = figures.tokens
  if not n or n <= 1 or not figures.e2e or not figures.ttft then return nil end
  return (figures.e2e - figures.ttft) / (n - 1)
end

local function basics(one, found, end_ns)
  local function since(at_ns) return at_ns and at_ns - one.start_ns or nil end
  if not one.streamed then end_ns = one.last_byte_ns end
  return { ttft = since(found.first_ns), e2e = since(end_ns), gaps = found.gaps, end_ns = end_ns }
end

local function of_vllm(one)
  local found = walk(one, WITH_CHOICES)
  local figures = basics(one, found, found.last_ns)
  figures.tokens = from_usage(one) or 1 -- without a tokenizer
  figures.tpot = without_first(figures)
  return figures
end

local function of_sglang(one)
  local found = walk(one, TEXT_BUT_TOOLS)
  local figures = basics(one, found, found.last_event_ns)
  figures.tokens = from_usage(one) or one.requested_tokens or one.max_tokens
  figures.tpot = without_first(figures)
  return figures
end

local function of_guidellm(one)
  local found = walk(one, WITH_TEXT)
  local figures = basics(one, found, one.stream_end_ns)
  figures.tokens = from_usage(one) or found.count > 0 and found.count or nil
  local n = figures.tokens
  figures.gaps = n and n > 1 and found.count > 1 and { (found.last_ns - found.first_ns) / (n - 1) } or {}
  figures.tpot = n and n > 0 and found.last_ns and (found.last_ns - one.start_ns) / n or nil
  return figures
end

local function of_aiperf(one)
  local found = walk(one, WITH_TEXT)
  local figures = basics(one, found, found.last_ns)
  figures.tokens, figures.icl = from_usage(one), found.gaps
  local per_token = without_first(figures)
  figures.gaps, figures.tpot = { per_token }, nil
  return figures
end

local function of_evalscope(one)
  local found = walk(one, WITH_CHOICES)
  local figures = basics(one, found, found.last_event_ns)
  figures.tokens = from_usage(one)
  figures.tpot = without_first(figures)
  return figures
end

-- ---- percentiles --------------------------------------------------------------------------------------------------

local function sorted(values)
  local list = {}
  local packed = values:packed()
  for at = 1, #packed, 8 do list[#list + 1] = string.unpack("d", packed, at) end
  table.sort(list)
  return list
end

local function linear(values, q) return stats.quantile(values:packed(), q) end

-- The smallest value at which the cumulated share reaches q.
local function step(values, q)
  local list = sorted(values)
  return list[math.max(1, math.ceil(q * #list - 1e-9))]
end

-- The value at the whole part of n q, counted from 0.
local function truncated(values, q)
  local list = sorted(values)
  return list[math.min(#list, math.floor(#list * q + 1e-9) + 1)]
end

local function two_decimals(x) return x and math.floor(x * 100 + 0.5) / 100 end

local TOOLS = {
  vllm = {
    of = of_vllm, percentile = linear, percentiles = { 0.99 }, ddof = 0,
    why = { en = "The first event counts as the first token even when it only names a role; ITL is the gap between events, not tokens; "
      .. "usage and [DONE] are not waited for.",
      zh = "首个事件即使只含角色也算作首词元；ITL 为事件间隔而非词元间隔；不等待 usage 与 [DONE]。" },
  },
  sglang = {
    of = of_sglang, percentile = linear, percentiles = { 0.9, 0.95, 0.99 }, ddof = 0,
    why = { en = "The first non-empty text counts, tool calls do not; the end is the last event before [DONE], so waiting for usage is "
      .. "part of the latency and of TPOT; without usage the requested length is taken for the number of tokens.",
      zh = "以首个非空文本为首词元，工具调用不计；终点为 [DONE] 之前的最后一个事件，等待 usage 的时间计入时延与 TPOT；没有 usage 时以请求长度充当词元数。" },
  },
  guidellm = {
    of = of_guidellm, percentile = step, percentiles = { 0.5, 0.9, 0.95, 0.99, 0.999 }, ddof = 0,
    why = { en = "TPOT is the time to the last token over all tokens, the first included; ITL is one mean per request; the end is that of "
      .. "the stream; percentiles do not interpolate.",
      zh = "TPOT 为到最后一个词元的时间除以全部词元数（含首词元）；ITL 为每个请求一个均值；终点为流结束；分位数不插值。" },
  },
  aiperf = {
    of = of_aiperf, percentile = linear, percentiles = { 0.5, 0.9, 0.95, 0.99 }, ddof = 1,
    why = { en = "ITL is one number per request, (latency - TTFT) / (n - 1), what others call TPOT; gaps between events are ICL. Its "
      .. "tokens are counted by a tokenizer of its own; here usage stands for it.",
      zh = "ITL 为每个请求一个数，即 (时延 - TTFT) / (n - 1)，其他工具称之为 TPOT；事件间隔称为 ICL。该工具用自己的分词器计数，此处以 usage 代替。" },
  },
  evalscope = {
    of = of_evalscope, percentile = truncated, percentiles = { 0.5, 0.9, 0.95, 0.99 }, rounds = true,
    why = { en = "The first event with choices counts even when it only names a role; the end is the last event before [DONE], usage "
      .. "included; percentiles are single values at the index int(n p), rounded to two decimals.",
      zh = "首个含 choices 的事件即使只含角色也算；终点为 [DONE] 之前的最后一个事件（含 usage）；分位数取排序后下标为 int(n·p) 的单个值，保留两位小数。" },
  },
}

-- ---- all requests -------------------------------------------------------------------------------------------------

-- What a tool prints, under its own names. `unit` says what two decimals are of: ms, but seconds for evalscope's latency.
local LINES = {
  vllm = { { "ttft", "TTFT" }, { "tpot", "TPOT" }, { "itl", "ITL" }, { "e2e", "E2EL" } },
  sglang = { { "ttft", "TTFT" }, { "tpot", "TPOT" }, { "itl", "ITL" }, { "e2e", "E2E" } },
  guidellm = { { "ttft", "TTFT" }, { "tpot", "TPOT" }, { "itl", "ITL" }, { "e2e", "Request latency" } },
  aiperf = { { "ttft", "TTFT" }, { "itl", "ITL" }, { "icl", "ICL" }, { "e2e", "Request latency" } },
  evalscope = { { "ttft", "TTFT" }, { "tpot", "TPOT" }, { "itl", "ITL" }, { "e2e", "Latency", "s" } },
}

local UNIT_NS = { ms = 1e6, s = 1e9 }

local function described(tool, values, name, title, unit)
  unit = unit or "ms"
  if values.n == 0 then return { name = name, title = title, unit = unit, n = 0 } end
  local scale = 1 / UNIT_NS[unit]
  local round = tool.rounds and two_decimals or function(x) return x end
  local line = { name = name, title = title, unit = unit, n = values.n, mean = round(values.mean * scale),
    median = round(tool.percentile(values, 0.5) * scale), percentiles = {} }
  if tool.ddof and values.n > tool.ddof then line.std = math.sqrt(values.squares / (values.n - tool.ddof)) * scale end
  for i, q in ipairs(tool.percentiles) do
    line.percentiles[i] = { q = q, name = ("p%g"):format(q * 100), value = round(tool.percentile(values, q) * scale) }
  end
  return line
end

local function add_all(list, sums, tool)
  for _, one in ipairs(list) do
    if not (one.warmup and one.warmup ~= 0) then
      sums.from = math.min(sums.from, one.start_ns)
      sums.to = math.max(sums.to, row.end_ns(one))
      if one.outcome == "ok" then
        local figures = tool.of(one)
        sums.completed, sums.output = sums.completed + 1, sums.output + (figures.tokens or 0)
        sums.uncounted = sums.uncounted + (figures.tokens and 0 or 1)
        sums.input = sums.input + (one.prompt_tokens or 0)
        sums.ok_from, sums.ok_to = math.min(sums.ok_from, one.start_ns), math.max(sums.ok_to, figures.end_ns or one.start_ns)
        for _, name in ipairs { "ttft", "tpot", "e2e" } do sums[name]:add(figures[name]) end
        for _, gap in ipairs(figures.gaps) do sums.itl:add(gap) end
        for _, gap in ipairs(figures.icl or {}) do sums.icl:add(gap) end
      else
        sums.failed = sums.failed + 1
      end
    end
  end
end

--- Rows by a tool's definitions.
-- @tparam string name of `compat.ORDER`
-- @tparam table list rows of one stage of one variant and one replicate
-- @treturn ?table `{ tool, why = { en, zh }, completed, failed, seconds, requests_per_second, output_tokens,
-- output_tokens_per_second, total_tokens_per_second, uncounted, lines = { { name, title, unit, n, mean, median, std,
-- percentiles = { { q, name, value }… } }… } }`, or nil and err; `uncounted` requests have no number of tokens by this tool's rule
function compat.view(name, list)
  local tool = TOOLS[name]
  if not tool then
    return nil, { kind = "usage", text = ("--compat: want one of %s, got \"%s\""):format(table.concat(compat.ORDER, ", "), tostring(name)) }
  end
  local sums = { completed = 0, failed = 0, output = 0, input = 0, uncounted = 0, from = math.huge, to = -math.huge, ok_from = math.huge,
    ok_to = -math.huge }
  for _, key in ipairs { "ttft", "tpot", "itl", "icl", "e2e" } do sums[key] = series.new() end
  add_all(list, sums, tool)
  local from, to = sums.from, sums.to
  if name == "aiperf" then from, to = sums.ok_from, sums.ok_to end
  local seconds = sums.completed > 0 and (to - from) / 1e9 or nil
  local view = { tool = name, why = tool.why, completed = sums.completed, failed = sums.failed, seconds = seconds,
    output_tokens = sums.output, uncounted = sums.uncounted > 0 and sums.uncounted or nil, lines = {} }
  if seconds and seconds > 0 then
    view.requests_per_second = sums.completed / seconds
    view.output_tokens_per_second = sums.output / seconds
    view.total_tokens_per_second = (sums.output + sums.input) / seconds
  end
  for i, line in ipairs(LINES[name]) do view.lines[i] = described(tool, sums[line[1]], line[1], line[2], line[3]) end
  return view
end

--- One request by a tool's definitions: `ttft tpot e2e gaps icl tokens`, ns.
function compat.of(name, one) return TOOLS[name].of(one) end

return compat
