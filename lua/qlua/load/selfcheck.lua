-- SPDX-License-Identifier: Apache-2.0
--- Self-check: was the instrument the limit? From the client's counters and what the rows add up to. Pure.
--
-- Every report has this block: a latency can only be trusted as far as the client that measured it. A counter that a transport does
-- not keep is absent and its test is not made; it is said to be not known, and never taken for good. Thresholds are in
-- `selfcheck.LIMITS` and in docs/metrics.md.
local selfcheck = {}

--- Beyond these the measurement is marked `degraded`.
selfcheck.LIMITS = {
  dispatch_lag_p99_ns = 1000000,  -- 1 ms: sends that late change the load that was asked for
  handling_delay_p99_ns = 5000000, -- 5 ms from the kernel's stamp to our hand: the next request of a closed loop leaves as late
  user_delay_p99_ns = 1000000,    -- without kernel stamps the same delay is in every figure
  stamp_error_ns = 1000000,       -- 1 ms: the clocks' mapping is worse than what is to be told apart
  busy_share = 0.85,              -- of a loop's time: beyond it, queues form in the client
  starved_share = 0.05,           -- of the wall time in which threads were ready and had no processor
}

local COUNTED = { "reads", "events", "wakeups", "wakeup_events", "shared_reads", "io_cpu_ns", "io_idle_ns", "done", "failed", "connections",
  "received_bytes", "lost_events", "kernel_reads", "clock_steps", "starved_ns" }
local WORST = { "stamp_error_ns", "handling_delay_p50_ns", "handling_delay_p99_ns", "handling_delay_max_ns", "dispatch_lag_p50_ns",
  "dispatch_lag_p99_ns", "dispatch_lag_max_ns", "io_threads", "busy_share" }

local function add_spread(result, spread, name)
  for _, statistic in ipairs { "p50_ns", "p99_ns", "max_ns" } do result[("%s_%s"):format(name,
    statistic)] = spread and spread[statistic] end
end

-- The busiest of the I/O threads: a mean over them hides one that is the limit.
local function busiest(before, after, wall_ns)
  local most
  for i, thread in ipairs(after.threads or {}) do
    local earlier = (before.threads or {})[i] or { idle_ns = 0 }
    if wall_ns > 0 and thread.idle_ns then
      local share = math.max(0, math.min(1, 1 - (thread.idle_ns - earlier.idle_ns) / wall_ns))
      most = math.max(most or share, share)
    end
  end
  return most
end

--- What a client counted between two readings of its `stats()` (docs/architecture.md, bindings). Counts are subtracted; percentiles
-- and bounds are the later reading's, so they hold for all that the client did until then.
-- @tparam ?table before nil: from its beginning
-- @tparam table after
-- @tparam integer wall_ns time between them
-- @treturn table flat, as `join` and `judge` take it
function selfcheck.between(before, after, wall_ns)
  local result = { wall_ns = wall_ns, io_threads = after.io_threads }
  before = before or {}
  for _, name in ipairs(COUNTED) do
    if after[name] then result[name] = after[name] - (before[name] or 0) end
  end
  add_spread(result, after.stamp_delay, "handling_delay")
  add_spread(result, after.dispatch_lag, "dispatch_lag")
  if (result.kernel_reads or 0) > 0 then result.stamp_error_ns = after.clock_error_ns end
  result.busy_share = busiest(before, after, wall_ns)
  return result
end

--- Several measurements as one: counts add up, of percentiles and bounds the worst counts.
function selfcheck.join(list)
  local result = { wall_ns = 0 }
  for _, one in ipairs(list) do
    result.wall_ns = result.wall_ns + (one.wall_ns or 0)
    for _, name in ipairs(COUNTED) do
      if one[name] then result[name] = (result[name] or 0) + one[name] end
    end
    for _, name in ipairs(WORST) do
      if one[name] then result[name] = math.max(result[name] or one[name], one[name]) end
    end
    if one.is_saturated_server then result.is_saturated_server = true end
  end
  return result
end

local function ratio(a, b) return a and b and b > 0 and a / b or nil end

local function ms(value_ns) return ("%.3g"):format(value_ns / 1e6) end
local function percent(share) return ("%.3g"):format(share * 100) end

local REASONS = {
  dispatch_lag = { en = "requests left late: p99 {value} ms after their time (limit {limit} ms)",
    zh = "请求发出偏晚：p99 晚于计划 {value} ms（上限 {limit} ms）" },
  handling_delay = { en = "bytes waited for the client: p99 {value} ms (limit {limit} ms)",
    zh = "数据在客户端等待处理：p99 {value} ms（上限 {limit} ms）" },
  stamp_error = { en = "stamps may be off by {value} ms (limit {limit} ms)", zh = "时间戳误差可能达到 {value} ms（上限 {limit} ms）" },
  busy = { en = "the I/O loop was busy {value} % of the time (limit {limit} %)", zh = "I/O 循环 {value} % 的时间处于忙碌（上限 {limit} %）" },
  starved = { en = "the client's threads waited for a processor {value} % of the time (limit {limit} %)",
    zh = "客户端线程有 {value} % 的时间在等待处理器（上限 {limit} %）" },
  clock_step = { en = "the wall clock jumped {value} times while stamps were mapped from it",
    zh = "时间戳换算期间系统时钟跳变 {value} 次" },
  lost = { en = "{value} events were lost", zh = "丢失了 {value} 个事件" },
}

local function filled(say, values)
  local result = {}
  for side, text in pairs(say) do result[side] = text:gsub("{(%w+)}", values) end
  return result
end

local function new_judge(result)
  return function(code, value, limit, show)
    if not value or value <= limit then return end
    result.reasons[#result.reasons + 1] = { code = code, text = filled(REASONS[code], { value = show(value), limit = show(limit) }) }
  end
end

-- What shows that the client was too slow; the others say that a stamp or an event is wrong.
local IS_CLIENT = { dispatch_lag = true, handling_delay = true, busy = true, starved = true }

local function judge(result, seen)
  local limits, test = selfcheck.LIMITS, new_judge(result)
  test("dispatch_lag", result.dispatch_lag_p99_ns, limits.dispatch_lag_p99_ns, ms)
  test("handling_delay", result.handling_delay_p99_ns,
    result.stamp_source == "kernel" and limits.handling_delay_p99_ns or limits.user_delay_p99_ns, ms)
  test("stamp_error", result.stamp_error_ns, limits.stamp_error_ns, ms)
  test("busy", result.busy_share, limits.busy_share, percent)
  test("starved", result.starved_share, limits.starved_share, percent)
  local function whole(n) return ("%d"):format(n) end
  test("lost", result.lost_events, 0, whole)
  test("clock_step", result.stamp_source ~= "user" and result.clock_steps or nil, 0, whole)
  result.verdict = #result.reasons > 0 and "degraded" or "ok"
  -- Which tests were made at all: a verdict of few tests must not look like one of many.
  for _, name in ipairs { "dispatch_lag_p99_ns", "handling_delay_p99_ns", "stamp_error_ns", "busy_share", "starved_share",
    "lost_events" } do
    local is_meant = name ~= "dispatch_lag_p99_ns" or seen.is_open -- without a schedule nothing can leave late
    if result[name] == nil and is_meant then result.not_known[#result.not_known + 1] = name end
  end
  local is_client = false
  for _, reason in ipairs(result.reasons) do is_client = is_client or IS_CLIENT[reason.code] end
  result.limit = is_client and "client" or seen.is_saturated_server and "server" or "neither"
end

-- Reads carry kernel stamps or not; where only some do, the figures are no better than the others.
local function source_of(counters, seen)
  local sources = seen.stamp_sources or {}
  if sources.user then return sources.kernel and "mixed" or "user" end
  if sources.kernel then return "kernel" end
  if counters.kernel_reads and counters.reads and counters.reads > 0 then
    return counters.kernel_reads >= counters.reads and "kernel" or counters.kernel_reads > 0 and "mixed" or "user"
  end
end

--- The block.
-- @tparam table counters of `between` or `join`
-- @tparam[opt] table seen what the rows say (`qlua.load.aggregate`): `stamp_sources` counts by source, `dispatch_lag_seconds`
-- a distribution, `events_in_replies`, `is_open`, `is_saturated_server`
-- @treturn table `{ verdict = "ok"/"degraded", reasons = { { code, text }… }, limit = "client"/"server"/"neither", not_known = { name… },
-- wall_seconds, stamp_source, stamp_error_ns, handling_delay_{p50,p99,max}_ns, dispatch_lag_{p50,p99,max}_ns, reads, events, wakeups,
-- events_per_read, reads_per_event, shared_reads_share, ready_per_wakeup, busy_share (of the busiest loop), cpu_share,
-- starved_share, lost_events, clock_steps, connections, io_threads }`
function selfcheck.judge(counters, seen)
  seen = seen or {}
  local result = { reasons = {}, not_known = {}, reads = counters.reads, events = counters.events, wakeups = counters.wakeups,
    connections = counters.connections, lost_events = counters.lost_events, clock_steps = counters.clock_steps,
    shared_reads_share = ratio(counters.shared_reads, counters.reads), ready_per_wakeup = ratio(counters.wakeup_events, counters.wakeups) }
  for _, name in ipairs(WORST) do result[name] = counters[name] end
  local lag = seen.dispatch_lag_seconds
  if lag then -- of exactly the requests that are reported, which the client's own counter may mix with others
    result.dispatch_lag_p50_ns, result.dispatch_lag_max_ns = lag.p50 and lag.p50 * 1e9, lag.max * 1e9
    result.dispatch_lag_p99_ns = (lag.p99 or lag.max) * 1e9
  end
  if counters.events and seen.events_in_replies and not result.lost_events then
    result.lost_events = math.max(0, counters.events - seen.events_in_replies)
  end
  result.stamp_source = source_of(counters, seen)
  result.events_per_read, result.reads_per_event = ratio(counters.events, counters.reads), ratio(counters.reads, counters.events)
  if counters.events == 0 then result.events_per_read, result.reads_per_event = nil, nil end -- nothing streamed
  local wall = counters.wall_ns and counters.wall_ns > 0 and counters.wall_ns or nil
  result.wall_seconds = wall and wall / 1e9
  local loops = wall and wall * (counters.io_threads or 1)
  if not result.busy_share then
    local idle = ratio(counters.io_idle_ns, loops)
    result.busy_share = idle and math.max(0, math.min(1, 1 - idle))
  end
  result.cpu_share, result.starved_share = ratio(counters.io_cpu_ns, loops), ratio(counters.starved_ns, wall)
  judge(result, seen)
  return result
end

return selfcheck
