-- SPDX-License-Identifier: Apache-2.0
--- Metrics of load measurements on rows whose figures were computed by hand.
local aggregate = require "qlua.load.aggregate"
local f = require "load_fixture"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local metrics = require "qlua.load.metrics"
local row = require "qlua.load.row"
local series = require "qlua.load.series"
local slo = require "qlua.load.slo"
local steady = require "qlua.load.steady"

local function ms(value) return value and value / 1e6 end
local function near(want, got) assert.near(want, got, 1e-9 * math.max(1, math.abs(want))) end

describe("the figures of a request", function()
  it("have four firsts, two ends and TPOT over n - 1", function()
    local one = metrics.of(f.telling())
    assert.same({ 40, 40, 100, 150, 190, 240, 22.5, 50, 3 }, { ms(one.ttfb), ms(one.ttfe), ms(one.ttft), ms(one.ttfa), ms(one.e2e),
      ms(one.total), ms(one.tpot), ms(one.stall), one.arrivals })
    assert.same({ 50e6, 40e6 }, one.gaps)
    assert.is_nil(one.weights)
  end)

  it("count from the send: neither the queue nor the connection is the server's", function()
    local one = metrics.of(f.telling({ due_ns = f.ns(-7) }, { queued_ns = -6, start_ns = -5, connect_ns = 3, sent_ns = 4 }))
    assert.same({ 96, 186, 236, 1, 8, 11, 107, 197 }, { ms(one.ttft), ms(one.e2e), ms(one.total), ms(one.queue), ms(one.connect),
      ms(one.dispatch_lag), ms(one.ttft_due), ms(one.e2e_due) })
    local connected = metrics.of(f.telling({}, { connect_ns = 3 }))
    assert.equal(97, ms(connected.ttft))
    assert.is_nil(connected.dispatch_lag)
  end)

  it("are missing, not 0, where there is nothing to measure", function()
    local single = metrics.of(f.row { { 10, f.content "a" }, { 12, f.finish() }, { 13, f.usage(1, 1) }, { 14, "[DONE]" } })
    assert.same({ 10, 10 }, { ms(single.ttft), ms(single.e2e) })
    assert.is_nil(single.tpot)
    assert.is_nil(single.stall)
    local silent = metrics.of(f.row { { 10, f.role() }, { 12, f.finish() }, { 14, "[DONE]" } })
    assert.same({ 10, 14 }, { ms(silent.ttfe), ms(silent.total) })
    for _, name in ipairs { "ttft", "ttfa", "tpot", "e2e" } do assert.is_nil(silent[name], name) end
    local whole = metrics.of(row.make({ index = 1 }, { status = 200, headers = {},
      body = json.encode { choices = json.array { { text = "a" } },
      usage = { completion_tokens = 3 } }, marks = { queued_ns = f.ns(0), start_ns = f.ns(0), first_byte_ns = f.ns(50),
        last_byte_ns = f.ns(60) } }))
    assert.same({ 50, 60, 60 }, { ms(whole.ttfb), ms(whole.e2e), ms(whole.total) })
    assert.is_nil(whole.ttft)
    assert.is_nil(whole.tpot)
  end)

  it("share a gap among the tokens that came with it", function()
    local function at(text, count) return f.content(text, { usage = { completion_tokens = count } }) end
    local one = metrics.of(f.row { { 5, f.delta({ role = "assistant" }, { usage = { completion_tokens = 0 } }) }, { 10, at("a", 2) },
      { 20, at("", 3) }, { 40, at("bcd", 5) }, { 46, at("e", 6) }, { 47, f.usage(1, 6) }, { 48, "[DONE]" } })
    assert.same({ { 30e6, 6e6 }, { 3, 1 }, 2 }, { one.gaps, one.weights, one.first_weight })
    local list = {}
    metrics.each_itl(one, function(value, times) list[#list + 1] = { ms(value), times } end)
    assert.same({ { 10, 3 }, { 6, 1 } }, list)
    near(36 / 5, ms(one.tpot))
  end)
end)

describe("a series", function()
  it("is described exactly, by what its size carries", function()
    local s = series.new()
    for i = 1, 300 do s:add(i) end
    s:add(nil)
    local d = s:describe { scale = 0.5, level = 0.95 }
    assert.same({ 300, 0.5, 150, 75.25 }, { d.n, d.min, d.max, d.mean })
    near(math.sqrt(300 * 301 / 12) * 0.5, d.std) -- sample variance of 1..n is n(n + 1)/12
    near((1 + 299 * 0.99) * 0.5, d.p99)
    assert.is_nil(d.p999)
    -- 0.99^300 = 0.049 > 0.025: no upper limit of p99; the lower is rank 293 (binomial, 300, 0.99)
    assert.is_nil(d.intervals.p99.hi)
    assert.equal(293 * 0.5, d.intervals.p99.lo)
    assert.is_not_nil(d.intervals.p95.hi)
    assert.is_nil(series.new():describe())
    local few = series.new()
    for i = 1, 9 do few:add(i) end
    assert.same({ nil, 5 }, { few:describe().p90, few:describe().p50 })
  end)

  it("has the intervals of the reference", function()
    local path = "../shared/reference/stats_vectors.json"
    local text = file.read(path)
    if not text then return pending(path .. " is not there") end
    local checked = 0
    for _, case in ipairs(json.decode(text).quantile_ci.cases) do
      local n, q, level, want = case["in"].n, case["in"].q, case["in"].conf, case.out
      local name = ({ [0.5] = "p50", [0.9] = "p90", [0.95] = "p95", [0.99] = "p99", [0.999] = "p999" })[q]
      if name and series.carries(n, q) then
        local s = series.new()
        for i = 1, n do s:add(i) end
        local got = (s:describe { level = level }.intervals or {})[name] or {}
        assert.equal(want.l >= 1 and want.l or nil, got.lo)
        assert.equal(want.u <= n and want.u or nil, got.hi)
        checked = checked + 1
      end
    end
    assert.is_true(checked > 5, ("only %d cases checked"):format(checked))
  end)
end)

describe("running requests", function()
  it("are counted over half-open intervals", function()
    local steps = steady.steps({ 0, 10, 10, 30 }, { 10, 20, 40, 40 })
    assert.same({ { at_ns = 0, running = 1 }, { at_ns = 10, running = 2 }, { at_ns = 20, running = 1 }, { at_ns = 30, running = 2 },
      { at_ns = 40, running = 0 } }, steps)
    local mean, peak = steady.concurrency(steps, 0, 40)
    assert.same({ (10 + 20 + 10 + 20) / 40, 2 }, { mean, peak })
    assert.equal(2, (steady.concurrency(steps, 12, 18)))
  end)

  it("are steady in a closed loop from the first to the last full moment", function()
    local starts, ends = {}, {}
    for i = 0, 3 do starts[i + 1], ends[i + 1] = i * 1e9 // 1 | 0, (20 - i) * 1e9 // 1 | 0 end
    local window = steady.window(steady.steps(starts, ends), starts, false)
    assert.same({ "concurrency", 3000000000, 17000000000, 14 }, { window.method, window.from_ns, window.to_ns, window.seconds })
    assert.equal("too_short", steady.window(steady.steps({ 0 }, { 900000000 }), { 0 }, false).reason)
  end)

  it("settle in an open loop, or do not", function()
    local starts, ends, growing = {}, {}, {}
    for i = 1, 2000 do
      local at = i * 10000000
      starts[i] = at
      ends[i] = at + 4000000000                   -- 400 running once the first 4 s are over
      growing[i] = at + i * 8000000 + 1000000     -- a backlog that never stops growing
    end
    local window = steady.window(steady.steps(starts, ends), starts, true)
    assert.equal("arrivals", window.method)
    assert.is_true(window.from_ns >= 3500000000 and window.from_ns <= 5000000000, tostring(window.from_ns))
    assert.equal(20000000000, window.to_ns)
    assert.equal("not_settled", steady.window(steady.steps(starts, growing), starts, true).reason)
    assert.equal("too_short", steady.window(steady.steps({ 0, 5 }, { 10, 20 }), { 0, 5 }, true).reason)
    -- of the 1,000 requests of the second half none piled up, or most
    assert.same({ sent = 1000, grown = 0 }, steady.backlog(steady.steps(starts, ends), starts, 4e9))
    local backlog = steady.backlog(steady.steps(starts, growing), starts, 4e9)
    assert.is_true(backlog.grown > 400, tostring(backlog.grown))
    assert.is_nil(steady.backlog(steady.steps(starts, growing), starts, 6e9)) -- latencies too long to tell
  end)

  it("are cut by MSER-5 at the end of the transient", function()
    local values = {}
    for i = 1, 100 do values[i] = i <= 20 and 100 - 4 * i or 20 + i % 2 end
    assert.equal(20, steady.mser5(values))
    assert.is_nil(steady.mser5 { 1, 2, 3 })
    for i = 1, 100 do values[i] = i end
    assert.is_nil(steady.mser5(values))
  end)
end)

describe("an SLO", function()
  it("is read, and refused where it says nothing", function()
    assert.same({ { name = "ttft", ms = 200 }, { name = "tpot", ms = 12.5 } }, slo.parse "ttft:200, tpot:12.5")
    for _, text in ipairs { "ttft:200,tpot:12.5", "e2e:12000000,ttft:100" } do assert.equal(text, slo.text(slo.parse(text))) end
    for text, want in pairs { [""] = 'want NAME:MS with a number above 0, got ""', ["ttft=3"] = 'got "ttft=3"', ["ttft:0"] = "above 0",
      ["speed:3"] = "want one of e2e, e2el, itl, stall, tpot, ttfa, ttfb, ttfe, ttft, got \"speed\"", ["ttft:1,ttft:2"] = "given twice" } do
      local list, err = slo.parse(text)
      assert.is_nil(list)
      assert.equal("usage", err.kind)
      assert.truthy(err.text:find(want, 1, true), err.text)
    end
  end)

  it("is kept by a single token's missing TPOT, not by a missing TTFT", function()
    local limits = slo.parse "ttft:200,tpot:50"
    local function met(one) return slo.is_met(limits, metrics.of(one)) end
    assert.is_true(met(f.telling()))
    assert.is_true(met(f.row { { 10, f.content "a" }, { 11, f.finish() }, { 12, f.usage(1, 1) } }))
    assert.is_false(met(f.row { { 10, f.role() }, { 12, f.finish() } }))
    assert.is_false(met(f.telling({ due_ns = f.ns(-101) }))) -- sent 101 ms late: 201 ms from the schedule
    assert.is_false(slo.is_met(slo.parse "tpot:22", metrics.of(f.telling())))
  end)
end)

describe("a stage", function()
  -- Two closed-loop workers, three requests of 5 tokens each, one failure and one cancelled.
  local function shifted(by, more)
    local marks = { queued_ns = by, start_ns = by }
    local list = {}
    for i, one in ipairs { { 100, f.content "a" }, { 200, f.content "b" }, { 500, f.content "c" }, { 500, f.finish() }, { 500, f.usage(7,
      5) },
      { 500, "[DONE]" } } do list[i] = { by + one[1], one[2] } end
    return f.row(list, more, marks)
  end
  local function rows()
    local broken = f.row({ { 300, f.content "a" } }, {}, { queued_ns = 0, start_ns = 0, last_byte_ns = 2000 })
    local cancelled = row.make({ index = 9, variant = "v" }, { status = 0, headers = {}, error = { kind = "cancelled", text = "c" },
      marks = { queued_ns = f.ns(1900), start_ns = f.ns(1900) } })
    return { shifted(0), shifted(500), shifted(1500), broken, cancelled, shifted(0, { warmup = true }) }
  end

  it("adds up, failures apart", function()
    local a = aggregate.rows(rows(), { slo = slo.parse "ttft:100" })
    assert.same({ 5, 3, 1, 1, { protocol = 1 } }, { a.num_total, a.num_ok, a.num_failed, a.num_cancelled, a.failures })
    assert.equal(2, a.seconds)
    assert.same({ 1.5, 7.5, 18, 15, 21 }, { a.requests_per_second, a.output_tokens_per_second, a.total_tokens_per_second,
      a.output_tokens_total, a.prompt_tokens_total })
    near((1.5 + 2) / 2, a.concurrency)
    assert.equal(2, a.peak_concurrency)
    assert.same({ slo = "ttft:100", met = 3, share = 0.6, per_second = 1.5, basis = "send" }, a.goodput)
    assert.same({ usage = 3 }, a.count_sources)
    assert.is_true(a.itl_is_events)
    near(0.1, a.ttft_seconds.mean)
    near(0.1, a.tpot_seconds.mean)
    assert.same({ 3, 6 }, { a.ttft_seconds.n, a.icl_seconds.n })
    near(0.2, a.icl_seconds.mean)
    assert.is_nil(a.icl_seconds.intervals)
    assert.is_nil(a.dispatch_lag_seconds)
    -- steady: full (2) from 0 to 2 s; too few requests for a rate, the tokens are all in it but those of the last moment
    assert.same({ "concurrency", 2, 3 - 1 }, { a.steady.method, a.steady.seconds, a.steady.num_completed })
    assert.is_nil(a.steady.requests_per_second)
  end)

  it("has no throughput of tokens when a count is missing", function()
    local list = rows()
    list[2].completion_tokens, list[2].count_source = nil, nil
    local a = aggregate.rows(list)
    assert.is_nil(a.output_tokens_per_second)
    assert.is_not_nil(a.requests_per_second)
  end)

  it("knows the load that was offered from the one that was sent", function()
    local list = {}
    for i = 1, 11 do list[i] = shifted((i - 1) * 110, { due_ns = f.ns((i - 1) * 100) }) end
    local a = aggregate.rows(list)
    near(10, a.offered_per_second)
    near(10 / 1.1, a.sent_per_second)
    near(0.05, a.dispatch_lag_seconds.p50)
    near(0.15, a.ttft_due_seconds.p50)
    near(0.1, a.ttft_seconds.p50)
  end)

  it("spreads tokens over the time in which they came", function()
    local a = aggregate.new()
    for i = 0, 99 do a:add(shifted(i * 500)) end
    local done = a:finish()
    assert.same({ "concurrency", 50 }, { done.steady.method, done.seconds })
    near(10, done.output_tokens_per_second)
    near(10, done.peak_output_tokens_per_second)
    assert.near(10, done.steady.output_tokens_per_second, 0.1)
    assert.near(2, done.steady.requests_per_second, 0.05)
  end)

  it("of no request is empty", function()
    assert.same({ 0, nil }, { aggregate.rows({}).num_total, aggregate.rows({}).seconds })
  end)
end)
