-- SPDX-License-Identifier: Apache-2.0
--- The JSON that serving benchmarks exchange (`vllm bench serve --save-result`), plain and with a list per request
-- (`--save-detailed`), written from rows and read. Pure: tables in, tables out.
--
-- Every figure in it is by that tool's definitions (`qlua.load.compat`), since whoever reads such a file takes it for that. What the
-- format cannot say (replicates, intervals, the schedule, the self-check) stays in qlua's own results, which is why `qlua` is
-- added as one more key with where the file came from. Reading is the other way round: figures come back as they stand there, and from the
-- detailed form rows are made again, so that they can be looked at by any definition that its stamps carry.
local compat = require "qlua.load.compat"
local events = require "qlua.load.events"
local json = require "qlua.core.json"
local row = require "qlua.load.row"
local series = require "qlua.load.series"
local stats = require "qlua.core.stats"
local steady = require "qlua.load.steady"

local vllm_json = {}

local METRICS = { { "ttft", "ttft" }, { "tpot", "tpot" }, { "itl", "itl" }, { "e2el", "e2e" } }
vllm_json.PERCENTILES = { 50, 90, 95, 99 }
--- Lists of the detailed form, one entry per request.
vllm_json.LISTS = { "input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times", "queue_times", "generated_texts", "errors" }

-- ---- writing ------------------------------------------------------------------------------------------------------

-- The mean of an empty list is 0 there, and the keys are never absent.
local function add_metric(result, name, values)
  local n = values.n
  local packed = values:packed()
  result[("mean_%s_ms"):format(name)] = n > 0 and values.mean / 1e6 or 0
  result[("median_%s_ms"):format(name)] = n > 0 and stats.quantile(packed, 0.5) / 1e6 or 0
  result[("std_%s_ms"):format(name)] = n > 0 and math.sqrt(values.squares / n) / 1e6 or 0
  for _, p in ipairs(vllm_json.PERCENTILES) do
    result[("p%d_%s_ms"):format(p, name)] = n > 0 and stats.quantile(packed, p / 100) / 1e6 or 0
  end
end

-- One list entry per request, failed ones with zeros and their error, as that tool has them.
local function detail_of(one, figures, zero_ns)
  local ok = one.outcome == "ok"
  local gaps = json.array {}
  for i, gap in ipairs(ok and figures.gaps or {}) do gaps[i] = gap / 1e9 end
  return { input_lens = one.prompt_tokens or 0, output_lens = ok and figures.tokens or 0, ttfts = ok and (figures.ttft or 0) / 1e9 or 0,
    itls = gaps, latencies = ok and (figures.e2e or 0) / 1e9 or 0, start_times = (one.start_ns - zero_ns) / 1e9,
    queue_times = math.max(0, one.start_ns - (one.due_ns or one.queued_ns)) / 1e9, generated_texts = one.text or "",
    errors = ok and "" or ("%s: %s"):format(one.outcome, one.error_text or "") }
end

-- Events per second of the clock second, which that tool calls tokens.
local function count_seconds(buckets, one, figures, from_ns)
  if not figures.ttft then return end
  local at_ns = one.start_ns + figures.ttft
  local second = (at_ns - from_ns) // 1000000000
  buckets[second] = (buckets[second] or 0) + 1
  for _, gap in ipairs(figures.gaps) do
    at_ns = at_ns + gap
    second = (at_ns - from_ns) // 1000000000
    buckets[second] = (buckets[second] or 0) + 1
  end
end

local function is_good(limits, figures)
  for _, one in ipairs(limits) do
    local value = ({ ttft = figures.ttft or 0, tpot = figures.tpot or 0, e2el = figures.e2e or 0, e2e = figures.e2e or 0 })[one.name]
    if value and value > one.ms * 1e6 then return false end
  end
  return true
end

local function collect(list, limits)
  local sums = { completed = 0, failed = 0, input = 0, output = 0, good = 0, starts = {}, ends = {}, from = math.maxinteger,
    to = math.mininteger,
    ok_from = math.maxinteger, details = {}, kept = {} }
  for _, metric in ipairs(METRICS) do sums[metric[2]] = series.new() end
  for _, one in ipairs(list) do
    if not (one.warmup and one.warmup ~= 0) then
      local figures = one.outcome == "ok" and compat.of(compat.EXCHANGED, one) or nil
      sums.kept[#sums.kept + 1] = { one, figures }
      sums.from, sums.to = math.min(sums.from, one.start_ns), math.max(sums.to, row.end_ns(one))
      if figures then
        sums.completed, sums.input, sums.output =
          sums.completed + 1, sums.input + (one.prompt_tokens or 0), sums.output + (figures.tokens or 0)
        sums.ok_from = math.min(sums.ok_from, one.start_ns)
        sums.starts[sums.completed], sums.ends[sums.completed] = one.start_ns, one.start_ns + math.floor(figures.e2e or 0)
        for _, name in ipairs { "ttft", "tpot", "e2e" } do sums[name]:add(figures[name]) end
        for _, gap in ipairs(figures.gaps) do sums.itl:add(gap) end
        if limits and is_good(limits, figures) then sums.good = sums.good + 1 end
      else
        sums.failed = sums.failed + 1
      end
    end
  end
  return sums
end

local function peaks(sums)
  local buckets, most = {}, 0
  for _, pair in ipairs(sums.kept) do
    if pair[2] then count_seconds(buckets, pair[1], pair[2], sums.ok_from) end
  end
  for _, count in pairs(buckets) do most = math.max(most, count) end
  local peak = 0
  for _, step in ipairs(steady.steps(sums.starts, sums.ends)) do peak = math.max(peak, step.running) end
  return most, peak
end

local function add_lists(result, sums)
  for _, name in ipairs(vllm_json.LISTS) do result[name] = json.array {} end
  for i, pair in ipairs(sums.kept) do
    local detail = detail_of(pair[1], pair[2], sums.from)
    for _, name in ipairs(vllm_json.LISTS) do result[name][i] = detail[name] end
  end
end

--- Rows as a document.
-- @tparam table list rows of one stage of one variant and one replicate
-- @tparam table about `date` (`20261123-101500`), `endpoint_type`, `label`, `model_id`, `tokenizer_id`, `num_prompts`, `request_rate` (a
-- number; nil: as fast as can be, written "inf"), `burstiness`, `max_concurrency`, `slo` (of `qlua.load.slo`), `metadata` (further keys),
-- `origin` (a table for the key `qlua`)
-- @tparam[opt] boolean is_detailed with a list per request
-- @treturn table
function vllm_json.write(list, about, is_detailed)
  local sums = collect(list, about.slo)
  local seconds = sums.completed + sums.failed > 0 and (sums.to - sums.from) / 1e9 or 0
  local function per_second(count) return seconds > 0 and count / seconds or 0 end
  local result = {}
  for key, value in pairs(about.metadata or {}) do result[key] = value end
  for _, key in ipairs { "date", "endpoint_type", "model_id", "burstiness" } do result[key] = about[key] end
  result.backend, result.label = about.endpoint_type, about.label or json.null
  result.tokenizer_id = about.tokenizer_id or about.model_id
  result.num_prompts = about.num_prompts or #sums.kept
  result.request_rate, result.max_concurrency = about.request_rate or "inf", about.max_concurrency or json.null
  result.burstiness = about.burstiness or 1.0
  result.duration, result.completed, result.failed = seconds, sums.completed, sums.failed
  result.total_input_tokens, result.total_output_tokens = sums.input, sums.output
  result.request_throughput, result.output_throughput = per_second(sums.completed), per_second(sums.output)
  result.total_token_throughput = per_second(sums.input + sums.output)
  result.request_goodput = about.slo and per_second(sums.good) or json.null
  result.max_output_tokens_per_s, result.max_concurrent_requests = peaks(sums)
  for _, metric in ipairs(METRICS) do add_metric(result, metric[1], sums[metric[2]]) end
  if is_detailed then add_lists(result, sums) end
  result.qlua = about.origin
  return result
end

-- ---- reading ------------------------------------------------------------------------------------------------------

local function wrong(path, text)
  return nil, { kind = "data", text = ("%s: %s"):format(path, text), hint = "want a file of vllm bench serve --save-result" }
end

local NUMBERS = { "duration", "completed", "total_input_tokens", "request_throughput" }

local function check(path, doc)
  if type(doc) ~= "table" then return wrong(path, ("want an object, got a %s"):format(type(doc))) end
  for _, key in ipairs(NUMBERS) do
    if type(doc[key]) ~= "number" then
      return wrong(path, ("%s: want a number, got %s"):format(key, doc[key] == nil and "nothing" or json.encode(doc[key])))
    end
  end
  local length
  for _, key in ipairs { "ttfts", "itls", "output_lens", "input_lens", "start_times", "errors" } do
    local values = doc[key]
    if values ~= nil and type(values) ~= "table" then return wrong(path, ("%s: want a list, got a %s"):format(key, type(values))) end
    if values and length and #values ~= length then
      return wrong(path, ("%s: want %d entries as in the other lists, got %d"):format(key, length, #values))
    end
    length = length or values and #values
  end
  return true
end

local function lines_of(doc)
  local lines = {}
  for _, metric in ipairs(METRICS) do
    local name = metric[1]
    local mean = doc[("mean_%s_ms"):format(name)]
    if type(mean) == "number" then
      local line = { name = name, title = name:upper(), unit = "ms", mean = mean, median = doc[("median_%s_ms"):format(name)],
        std = doc[("std_%s_ms"):format(name)], percentiles = {} }
      for key, value in pairs(doc) do
        local p = type(value) == "number" and key:match("^p([%d.]+)_" .. name .. "_ms$")
        if p then line.percentiles[#line.percentiles + 1] = { name = "p" .. p, q = tonumber(p) / 100, value = value } end
      end
      table.sort(line.percentiles, function(a, b) return a.q < b.q end)
      lines[#lines + 1] = line
    end
  end
  return lines
end

local function ns(seconds) return math.floor(seconds * 1e9 + 0.5) end

-- What the lists say of one request, as a row. Its kinds of events are not known: each counts as content, which is what
-- that tool takes them for; the time after the last event is not known either.
local function row_of(doc, i, zero_ns)
  local start = zero_ns + ns((doc.start_times or {})[i] or 0)
  local failed = (doc.errors or {})[i]
  failed = type(failed) == "string" and #failed > 0 and failed or nil
  local tokens = (doc.output_lens or {})[i]
  local one = { index = i, variant = doc.label ~= json.null and doc.label or doc.model_id, stage = "1", replicate = 1, queued_ns = start,
    start_ns = start, reads = 0, streamed = true, outcome = failed and "protocol" or "ok", error_text = failed, events = "",
    prompt_tokens = (doc.input_lens or {})[i], completion_tokens = math.tointeger(tokens), count_source = tokens and "usage" or nil,
    text = (doc.generated_texts or {})[i] }
  local first = doc.ttfts[i]
  if first and first > 0 then
    local at = start + ns(first)
    local list, seconds = { { at_ns = at, kind = "content" } }, first
    for j, gap in ipairs((doc.itls or {})[i] or {}) do
      seconds = seconds + gap
      list[j + 1] = { at_ns = start + ns(seconds), kind = "content" }
    end
    one.events, one.first_byte_ns = events.pack(list, start), at
    one.last_byte_ns = list[#list].at_ns
    one.stream_end_ns = one.last_byte_ns
  end
  return one
end

local function zero_of(doc)
  local least = math.huge
  for _, at in ipairs(doc.start_times or {}) do least = math.min(least, at) end
  return least < math.huge and -ns(least) or 0
end

--- A document as figures.
-- @tparam string path for messages
-- @tparam string text
-- @treturn ?table `{ view, rows?, document }`: `view` as `compat.view` gives it, of what stands in the file; `rows` where it has a list per
-- request, times from the first start
function vllm_json.read(path, text)
  local doc, err = json.decode(text)
  if doc == nil then return wrong(path, err.text) end
  local ok
  ok, err = check(path, doc)
  if not ok then return nil, err end
  local view = { tool = compat.EXCHANGED, completed = doc.completed, failed = doc.failed, seconds = doc.duration,
    requests_per_second = doc.request_throughput, output_tokens = doc.total_output_tokens, output_tokens_per_second = doc.output_throughput,
    total_tokens_per_second = doc.total_token_throughput, lines = lines_of(doc), why = {
      en = "As it stands in the file, by the definitions of the tool that wrote it.", zh = "文件原值，按写出该文件的工具的定义。" } }
  local rows
  if doc.ttfts then
    rows = {}
    local zero = zero_of(doc)
    for i in ipairs(doc.ttfts) do rows[i] = row_of(doc, i, zero) end
  end
  return { view = view, rows = rows, document = doc }
end

return vllm_json
