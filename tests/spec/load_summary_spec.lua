-- SPDX-License-Identifier: Apache-2.0
--- Measurements under load in the Summary and on its pages.
local f = require "load_summary_fixture"
local json = require "qlua.core.json"
local load = require "qlua.summary.load"
local page = require "qlua.page"
local registry = require "qlua.registry"
local results = require "qlua.results"
local serving = require "qlua.summary.serving"
local stats = require "qlua.core.stats"
local summary = require "qlua.summary"

local ORDER = { "base", "fast" }

local function near(want, got) assert.near(want, got, 1e-9 * math.max(1, math.abs(want))) end

local function build(options) return load.build(f.input(options), ORDER, "base") end

local function point(section, label)
  for _, one in ipairs(section.points) do
    if one.label == label then return one end
  end
end

describe("the section load", function()
  it("has points in the order of their axis, with every variant", function()
    local section = build()
    assert.same({ "concurrency=1", "concurrency=4" }, { section.points[1].label, section.points[2].label })
    for _, one in ipairs(section.points) do
      for _, variant in ipairs(ORDER) do
        local cell = one.variants[variant]
        assert.same({ 3, 3, 120 }, { cell.num_replicates, #cell.replicates, cell.pooled.num_ok })
        assert.is_nil(cell.pooled.seconds) -- three stretches of time are not one
      end
    end
    assert.is_nil(load.build(nil, ORDER, "base"))
    assert.is_nil(load.build({ phases = {} }, ORDER, "base"))
  end)

  it("has means over replicates by Student's t", function()
    local cell = point(build(), "concurrency=1").variants.base
    -- ttft p50 of a replicate is 48 ms times its speed; t(2) at 95 % is 4.302653, sd 0.1, so the half width is 0.2484
    local mean = cell.means.ttft_p50
    near(0.048, mean.mean)
    assert.near(0.048 * 4.3026527 * 0.1 / math.sqrt(3), mean.hi - mean.mean, 1e-9)
    near(mean.mean - mean.lo, mean.hi - mean.mean)
    near(0.010, cell.means.tpot_p50.mean)
    assert.equal(3, mean.n)
    assert.is_nil(cell.means.ttft_p99) -- 40 requests do not carry it
    assert.is_not_nil(cell.pooled.ttft_seconds.p99) -- 120 do
  end)

  it("has ratios to the baseline replicate by replicate", function()
    local ratios = point(build(), "concurrency=4").variants.fast.ratios
    -- ratios 0.495, 0.5, 0.505: the machine's speed is in both and drops out
    local logs = stats.t_test({ math.log(0.495), math.log(0.5), math.log(0.505) }, 0.95)
    assert.near(math.exp(logs.mean), ratios.ttft_p50.ratio, 1e-6)
    assert.near(math.exp(logs.lo), ratios.ttft_p50.lo, 1e-6)
    assert.near(math.exp(logs.hi), ratios.ttft_p50.hi, 1e-6)
    assert.near(1 / math.exp(logs.mean), ratios.output_tokens_per_second.ratio, 1e-6)
    assert.is_nil(point(build(), "concurrency=4").variants.base.ratios)
    assert.is_nil(ratios.concurrency) -- neither way is better
    assert.is_nil(point(build { replicates = 1 }, "concurrency=1").variants.fast.ratios.ttft_p50.lo)
  end)

  it("has goodput under its limits", function()
    local cell = point(build { slo = "ttft:50,tpot:10" }, "concurrency=1").variants.base
    -- of 40, 44, 48, 52, 56 ms three are within 50, of nine tenths of them four; TPOT is 10, 11 and 9 ms
    near((24 / 40 + 0 + 32 / 40) / 3, cell.means.goodput_share.mean)
    assert.equal("send", cell.replicates[1].goodput.basis)
  end)

  it("has a self-check for every cell, from what the client counted", function()
    local check = point(build(), "concurrency=1").variants.base.check
    assert.same({ "ok", "kernel", 600, 840 }, { check.verdict, check.stamp_source, check.stamp_error_ns, check.events })
    near(7 / 6, check.events_per_read)
    assert.same({ 0, { "starved_share" } }, { check.lost_events, check.not_known })
    near(0.1, check.busy_share)
    local degraded = point(build { idle_ns = 5e8 }, "concurrency=1").variants.base.check
    assert.same({ "degraded", "client", "busy" }, { degraded.verdict, degraded.limit, degraded.reasons[1].code })
  end)

  it("lists how many requests failed", function()
    local errors = build().errors
    assert.same({ variant = "base", point = "concurrency=1", failed = 0, total = 120, rate = 0 }, errors[1])
    assert.equal(4, #errors)
  end)
end)

describe("the serving axes of the verdict", function()
  local function doc_of(options)
    return { baseline = "base", variant_order = ORDER, dataset_order = { "d" }, datasets = { d = { mode = "generate" } },
      variants = { base = { datasets = { d = { tokens_per_second = 10, ttft_seconds = { p50 = 1, p95 = 2 } } } },
        fast = { datasets = { d = { tokens_per_second = 11, ttft_seconds = { p50 = 1, p95 = 2 } } } } }, load = build(options) }
  end
  local function axis(result, name)
    for _, one in ipairs(result.axes) do
      if one.name == name then return one end
    end
  end

  it("take the load's figures, with intervals", function()
    local result = serving.build(doc_of(), {}, 0.95)
    local one = result.variants.fast.throughput
    assert.near(2, one.ratio, 1e-3)
    assert.same({ "load", 2, 3 }, { one.source, one.points, one.replicates })
    assert.is_true(one.interval[1] < 1.99 and one.interval[2] > 2.01)
    assert.same({ 1, 1 }, result.variants.base.throughput.interval)
    assert.equal("load", axis(result, "throughput").source)
    assert.near(0.5, result.variants.fast.latency_p95.ratio, 1e-3)
  end)

  it("have an interval that is the t interval of the mean log ratio", function()
    local input = f.input()
    local factors = { 0.5, 0.6, 0.4 } -- a replicate in which one variant alone was slower or faster
    local section = load.build(input, ORDER, "base")
    for _, one in ipairs(section.points) do
      for r, figures in ipairs(one.variants.fast.replicates) do
        figures.ttft_seconds.p50 = one.variants.base.replicates[r].ttft_seconds.p50 * factors[r]
      end
    end
    local logs = { math.log(0.5), math.log(0.6), math.log(0.4) }
    local want = stats.t_test(logs, 0.95)
    local got = load.ratio(section, "fast", "base", function(figures) return figures.ttft_seconds.p50 end, false, 0.95)
    near(math.exp(want.mean), got.ratio)
    near(math.exp(want.lo), got.interval[1])
    near(math.exp(want.hi), got.interval[2])
  end)

  it("have none from one replicate", function()
    local result = serving.build(doc_of { replicates = 1 }, {}, 0.95)
    assert.near(2, result.variants.fast.throughput.ratio, 0.03)
    assert.is_nil(result.variants.fast.throughput.interval)
    assert.is_nil(result.variants.base.throughput.interval)
  end)

  it("do not mix: without the load of one variant, none is taken from it", function()
    local doc = doc_of()
    for _, one in ipairs(doc.load.points) do one.variants.fast = nil end
    local result = serving.build(doc, {}, 0.95)
    near(1.1, result.variants.fast.throughput.ratio)
    assert.is_nil(axis(result, "throughput").source)
  end)

  it("do not take a schedule's rate for throughput", function()
    local doc = doc_of()
    for _, one in ipairs(doc.load.points) do one.is_open = true end
    local result = serving.build(doc, {}, 0.95)
    near(1.1, result.variants.fast.throughput.ratio)
    assert.near(0.5, result.variants.fast.ttft_p50.ratio, 1e-3)
  end)
end)

-- A run of load alone, as `qlua load` makes it.
local function run_of(options)
  return { id = "20261123_101500", simulated = true, started_at = "2026-11-23T10:15:00Z", model = { base_name = "m" }, baseline = "base",
    variants = { { name = "base", engine = "sim", model = "m" }, { name = "fast", engine = "sim", model = "m" } }, datasets = {},
      config = {},
    manifest = { command = { "--url", "http://127.0.0.1:8000/v1" } }, load = f.input(options) }
end

local function no_rows() return nil end

describe("the pages of a load without questions", function()
  local function set(layout, language, options, more)
    local doc = summary.build(no_rows, run_of(options))
    local values = { language = language, width = 100 }
    for key, value in pairs(more or {}) do values[key] = value end
    local report, err = registry.load("report", layout)
    return page.set(assert(report, err and err.text), doc, values), doc
  end

  it("hold the figures with their intervals, in both languages", function()
    local text = set("markdown", "both")
    for _, words in ipairs { "Measurements under load / 负载测量", "concurrency=1", "48.0 ms \\[36.1 ms, 59.9 ms\\]", "TTFT, to the first text",
      "首个文本", "0.50x", "The instrument, under load / 测量仪器自检（负载测量）", "kernel / 内核", "Replicates: 3, interleaved over the variants",
        "重复测量 3 次",
      "qlua load --url" } do
      local plain = words:gsub("\\", "")
      assert.is_truthy(text:find(plain, 1, true) or text:find(words, 1, true), plain .. "\n" .. text)
    end
    assert.is_nil(text:find("nan", 1, true))
    assert.is_nil(text:find("Accuracy", 1, true))
    assert.is_nil(text:find("Degraded", 1, true))
  end)

  it("say so where one replicate is all there is", function()
    local text = set("markdown", "en", { replicates = 1 })
    assert.is_truthy(text:find("One replicate: intervals describe this one measurement", 1, true))
    assert.is_truthy(text:find("order statistics", 1, true))
  end)

  it("say so where the client was the limit", function()
    for layout, words in pairs { markdown = "the I/O loop was busy 95 % of the time (limit 85 %)", html = "Degraded: in some measurements",
      terminal = "the I/O loop was busy 95 % of the time" } do
      local text = set(layout, "en", { idle_ns = 5e8 })
      assert.is_truthy(text:find(words, 1, true), layout .. "\n" .. text:sub(1, 3000))
    end
    assert.is_truthy(set("terminal", "zh", { idle_ns = 5e8 }):find("测量受限", 1, true))
    local _, marked = set("markdown", "en", { idle_ns = 5e8 }):gsub("| concurrency=%d+ † ", "")
    assert.is_true(marked >= 8, marked) -- in the tables of throughput, of each latency and of ratios
    assert.is_nil(set("markdown", "en"):find("†", 1, true))
  end)

  it("fit a terminal of any width", function()
    for _, width in ipairs { 40, 80, 120 } do
      local text = set("terminal", "en", nil, { width = width })
      assert.is_truthy(text:find("concurrency=4", 1, true))
      assert.is_truthy(text:find("means of 3 replicates", 1, true), text)
    end
  end)

  it("draw latency against throughput where there was a sweep", function()
    local report = assert(registry.load("report", "markdown"))
    local _, files = page.set(report, summary.build(no_rows, run_of()), { language = "both", figures = true })
    for _, name in ipairs { "load_curve.svg", "load_token_curve.svg", "load_first_token.svg" } do
      assert.is_truthy(files[name], name)
      assert.is_nil(files[name]:find("nan", 1, true))
    end
    local html = set("html", "en")
    assert.is_truthy(html:find("Latency against throughput", 1, true))
  end)

  it("are the same from the file as from the run", function()
    local _, doc = set("markdown", "en")
    local path = os.tmpname()
    assert(results.write(path, doc))
    local again = assert(results.read(path))
    os.remove(path)
    local report = assert(registry.load("report", "markdown"))
    assert.equal(page.set(report, doc, { language = "both" }), page.set(report, again, { language = "both" }))
    assert.equal(json.encode(doc.load), json.encode(again.load))
  end)
end)

describe("the instrument of a run with questions", function()
  local function set(counted, layout)
    local run = require("report_fixture").run()
    run.instrument = { original = { counted } }
    local fixture = require "report_fixture"
    local doc = summary.build(fixture.each(fixture.list()), run)
    return page.set(assert(registry.load("report", layout or "markdown")), doc, { language = "en", width = 100 }), doc
  end
  local counted = { wall_ns = 10e9, reads = 100, events = 120, kernel_reads = 100, busy_share = 0.2, handling_delay_p99_ns = 1e5,
    lost_events = 0,
    stamp_error_ns = 500 }

  it("stands at the end of the method, with what was not tested", function()
    local text = set(counted)
    local at, method = text:find("## The instrument", 1, true), text:find("## Methodology", 1, true)
    assert.is_true(at ~= nil and method ~= nil and method < at)
    assert.is_truthy(text:find("Not known, and therefore not tested: waiting for a processor.", 1, true), text:sub(at,
      at + 2000))
  end)

  it("is on the terminal only when it was the limit", function()
    assert.is_nil(set(counted, "terminal"):find("degraded", 1, true))
    local busy = { wall_ns = 10e9, reads = 100, events = 120, busy_share = 0.99 }
    assert.is_truthy(set(busy, "terminal"):find("Times of original are degraded: the I/O loop was busy 99 % of the time", 1, true))
  end)
end)
