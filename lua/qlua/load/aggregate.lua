-- SPDX-License-Identifier: Apache-2.0
--- Aggregate: what the requests of one stage of one variant come down to, for one replicate or over all. Pure.
--
-- Rows are added one at a time and none is held on to. Failed and cancelled requests are counted apart: they are in no latency and in
-- no throughput, but they were running, so they are in the concurrency.
local metrics = require "qlua.load.metrics"
local series = require "qlua.load.series"
local slo = require "qlua.load.slo"
local stats = require "qlua.core.stats"
local steady = require "qlua.load.steady"

local aggregate = {}
aggregate.__index = aggregate

-- Tokens are summed in bins of this width, so that the throughput of any window can be had without keeping every event.
local BIN_NS = 10000000
local SLICES = 20
local LEAST_COMPLETED = 20

-- Gaps of one stream depend on each other: their percentiles are described, but an interval would be a pretence.
local WITHOUT_INTERVAL = { itl = true, icl = true }

--- @tparam[opt] table options `level` of the intervals (0.95); `slo` a list of `qlua.load.slo`
function aggregate.new(options)
  options = options or {}
  local self = setmetatable({ level = options.level or 0.95, slo = options.slo, num_total = 0, num_ok = 0, num_cancelled = 0, good = 0,
    failures = {}, starts = {}, ends = {}, ok_ends = {}, bins = {}, output_tokens = 0, prompt_tokens = 0, output_known = 0,
    prompt_known = 0, count_sources = {}, weight_sources = {}, num_streamed = 0, events = 0, reads = 0, comments = 0,
    stamp_sources = {}, num_due = 0, series = {} }, aggregate)
  for _, name in ipairs(metrics.NAMES) do self.series[name] = series.new() end
  self.series.output_tokens, self.series.prompt_tokens = series.new(), series.new()
  return self
end

local function bump(counts, key) counts[key] = (counts[key] or 0) + 1 end

local function add_to_bin(self, at_ns, tokens)
  local bin = at_ns // BIN_NS
  self.bins[bin] = (self.bins[bin] or 0) + tokens
end

-- The tokens of a request over time: by their known weights, else spread evenly over its arrivals, else at its end.
local function bin_tokens(self, one, figures)
  local tokens = figures.tokens
  if not tokens or tokens == 0 then return end
  if figures.arrivals == 0 then
    if figures.last_ns or not one.streamed then add_to_bin(self, figures.last_ns or figures.end_ns, tokens) end
    return
  end
  local each = tokens / figures.arrivals
  add_to_bin(self, figures.first_ns, figures.first_weight or each)
  local at_ns = figures.first_ns
  for i, gap in ipairs(figures.gaps) do
    at_ns = at_ns + gap
    add_to_bin(self, at_ns, figures.weights and figures.weights[i] or each)
  end
end

local function add_gaps(self, figures)
  local sum, count = 0, 0
  for _, gap in ipairs(figures.gaps) do self.series.icl:add(gap) end
  metrics.each_itl(figures, function(ns, times)
    sum, count = sum + ns * times, count + times
    for _ = 1, times do self.series.itl:add(ns) end
  end)
  figures.mean_itl = count > 0 and sum / count or nil
end

local function add_ok(self, one, figures)
  self.num_ok = self.num_ok + 1
  self.ok_ends[self.num_ok] = figures.end_ns
  for _, name in ipairs(metrics.NAMES) do
    if name ~= "itl" and name ~= "icl" then self.series[name]:add(figures[name]) end
  end
  add_gaps(self, figures)
  if self.slo and slo.is_met(self.slo, figures) then self.good = self.good + 1 end
  if figures.tokens then
    self.output_tokens, self.output_known = self.output_tokens + figures.tokens, self.output_known + 1
    self.series.output_tokens:add(figures.tokens)
    bump(self.count_sources, figures.tokens_source or "unknown")
  end
  if figures.prompt_tokens then
    self.prompt_tokens, self.prompt_known = self.prompt_tokens + figures.prompt_tokens, self.prompt_known + 1
    self.series.prompt_tokens:add(figures.prompt_tokens)
  end
  if one.streamed then
    self.num_streamed = self.num_streamed + 1
    bump(self.weight_sources, one.weight_source or "events")
  end
  bin_tokens(self, one, figures)
end

--- Add a row. Warm-up requests are left out.
-- @tparam table one a row
-- @tparam[opt] table figures `metrics.of(one)`, where it has been computed already
function aggregate:add(one, figures)
  if one.warmup and one.warmup ~= 0 then return end
  figures = figures or metrics.of(one)
  self.num_total = self.num_total + 1
  self.starts[self.num_total], self.ends[self.num_total] = figures.send_ns, math.max(figures.end_ns, figures.send_ns)
  if one.due_ns then
    self.num_due = self.num_due + 1
    self.first_due, self.last_due = math.min(self.first_due or one.due_ns, one.due_ns), math.max(self.last_due or one.due_ns, one.due_ns)
  end
  self.events, self.reads = self.events + #(one.events or "") // 9, self.reads + (one.reads or 0)
  self.comments = self.comments + (one.comments or 0)
  if one.stamp_source then bump(self.stamp_sources, one.stamp_source) end
  if one.outcome == "ok" then
    add_ok(self, one, figures)
  elseif one.outcome == "cancelled" then
    self.num_cancelled = self.num_cancelled + 1
  else
    bump(self.failures, one.outcome)
  end
end

-- Tokens in whole bins within a window, and the window that those bins cover.
local function tokens_between(self, from_ns, to_ns)
  local from, to, total = -(-from_ns // BIN_NS), to_ns // BIN_NS - 1, 0
  for bin = from, to do total = total + (self.bins[bin] or 0) end
  return total, (to - from + 1) * BIN_NS / 1e9
end

local function completed_between(self, from_ns, to_ns)
  local count = 0
  for _, at in ipairs(self.ok_ends) do
    if at >= from_ns and at < to_ns then count = count + 1 end
  end
  return count
end

-- Tokens per second of equal slices: nearly independent, which requests are not (docs/statistics.md, batch means).
local function sliced_tokens(self, window)
  local slices, width = {}, (window.to_ns - window.from_ns) // SLICES
  if width < 5 * BIN_NS then return nil end
  for k = 1, SLICES do
    local tokens, seconds = tokens_between(self, window.from_ns + (k - 1) * width, window.from_ns + k * width)
    slices[k] = tokens / seconds
  end
  local found = stats.batch_means(slices, self.level)
  return found.lo and { lo = found.lo, hi = found.hi, correlated = found.correlated } or nil
end

local function steady_part(self, steps)
  local window = steady.window(steps, self.starts, self.num_due > 0)
  if window.reason then return window end
  local from, to = window.from_ns, window.to_ns
  local completed = completed_between(self, from, to)
  window.num_completed = completed
  if completed >= LEAST_COMPLETED then window.requests_per_second = completed / window.seconds end
  if self.output_known > 0 and self.output_known == self.num_ok then
    local tokens, seconds = tokens_between(self, from, to)
    window.output_tokens_per_second = tokens / seconds
    window.output_tokens_interval = sliced_tokens(self, window)
  end
  window.concurrency = steady.concurrency(steps, from, to)
  return window
end

-- The most tokens in any second, by a window that slides over the bins.
local function peak_tokens(self, from_ns, to_ns)
  local per_second, running, most = 1000000000 // BIN_NS, 0, 0
  for bin = from_ns // BIN_NS, to_ns // BIN_NS do
    running = running + (self.bins[bin] or 0) - (self.bins[bin - per_second] or 0)
    most = math.max(most, running)
  end
  return most
end

local function extremes(list)
  local lo, hi = math.huge, -math.huge
  for _, value in ipairs(list) do lo, hi = math.min(lo, value), math.max(hi, value) end
  return lo, hi
end

local function add_throughput(self, result, seconds, from_ns, to_ns)
  if seconds <= 0 then return end
  result.requests_per_second = self.num_ok / seconds
  if self.num_due > 1 and self.last_due > self.first_due then
    local first, last = extremes(self.starts)
    result.offered_per_second = (self.num_due - 1) * 1e9 / (self.last_due - self.first_due)
    result.sent_per_second = last > first and (self.num_total - 1) * 1e9 / (last - first) or nil
  end
  local is_known = self.num_ok > 0 and self.output_known == self.num_ok
  if is_known then
    result.output_tokens_per_second = self.output_tokens / seconds
    result.peak_output_tokens_per_second = seconds >= 1 and peak_tokens(self, from_ns, to_ns) or nil
    if self.prompt_known == self.num_ok then
      result.total_tokens_per_second = (self.output_tokens + self.prompt_tokens) / seconds
    end
  end
  if self.slo then
    result.goodput = { slo = slo.text(self.slo), met = self.good, share = self.num_total > 0 and self.good / self.num_total or nil,
      per_second = self.good / seconds, basis = self.num_due > 0 and "schedule" or "send" }
  end
end

--- The figures. Times in seconds, as everywhere in the Summary.
-- @treturn table docs/metrics.md, "The figures of a stage"
function aggregate:finish()
  local failed = self.num_total - self.num_ok - self.num_cancelled
  local result = {
    num_total = self.num_total, num_ok = self.num_ok, num_failed = failed, num_cancelled = self.num_cancelled,
    failures = next(self.failures) and self.failures or nil,
    count_sources = next(self.count_sources) and self.count_sources or nil,
    weight_sources = next(self.weight_sources) and self.weight_sources or nil,
    num_streamed = self.num_streamed, events = self.events, reads = self.reads, comments = self.comments,
    stamp_sources = next(self.stamp_sources) and self.stamp_sources or nil,
    output_tokens_total = self.output_known > 0 and self.output_tokens or nil,
    prompt_tokens_total = self.prompt_known > 0 and self.prompt_tokens or nil,
    is_open = self.num_due > 0 or nil,
  }
  for name, values in pairs(self.series) do
    local is_count = name == "output_tokens" or name == "prompt_tokens"
    result[is_count and name or name .. "_seconds"] = values:describe { scale = is_count and 1 or 1e-9,
      level = not WITHOUT_INTERVAL[name] and self.level or nil }
  end
  -- One source for all streams, or the series is a mixture and says so by its sources.
  result.itl_is_events = self.weight_sources.events ~= nil or nil
  if self.num_total == 0 then return result end
  local from_ns, to_ns = extremes(self.starts), select(2, extremes(self.ends))
  result.seconds = (to_ns - from_ns) / 1e9
  local steps = steady.steps(self.starts, self.ends)
  result.concurrency, result.peak_concurrency = steady.concurrency(steps, from_ns, to_ns)
  add_throughput(self, result, result.seconds, from_ns, to_ns)
  result.steady = steady_part(self, steps)
  if self.num_due > 0 then
    local typical = result.e2e_seconds and result.e2e_seconds.p50 or result.total_seconds and result.total_seconds.p50
    result.backlog = steady.backlog(steps, self.starts, typical and typical * 1e9)
  end
  return result
end

--- Aggregate a list of rows at once.
function aggregate.rows(list, options)
  local self = aggregate.new(options)
  for _, one in ipairs(list) do self:add(one) end
  return self:finish()
end

return aggregate
