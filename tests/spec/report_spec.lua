-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local fixture = require "report_fixture"
local json = require "qlua.core.json"
local page = require "qlua.page"
local registry = require "qlua.registry"
local results = require "qlua.results"
local summary = require "qlua.summary"
local sys = require "qlua.core.sys"
local term_text = require "qlua.core.text"

local scratch = ("%s/qlua-report-%d"):format(sys.env "TMPDIR" or "/tmp", sys.pid())

local function build(changes)
  local run = fixture.run()
  for key, value in pairs(changes or {}) do run[key] = value end
  return summary.build(fixture.each(fixture.list()), run)
end

local function layout(name)
  local report, err = registry.load("report", name)
  return assert(report, err and err.text)
end

local function at(name) return scratch .. "/" .. name end

setup(function() assert(file.make_dir(scratch)) end)
teardown(function()
  for _, name in ipairs(file.list(scratch) or {}) do file.remove(at(name)) end
  file.remove(scratch)
end)

describe("the Markdown report", function()
  for _, language in ipairs { "en", "zh", "both" } do
    it(("is, in %s, what it was"):format(language), function()
      local golden = ("tests/golden/report_%s.md"):format(language)
      local text = page.set(layout "markdown", build(), { language = language })
      if sys.env "QLUA_GOLDEN" == "write" then assert(file.write(golden, text)) end
      assert.equal(assert(file.read(golden)), text)
    end)
  end

  it("has memory, power and energy in figures where they were measured, and no word of them elsewhere", function()
    local doc = build()
    local first = doc.variant_order[1]
    assert.is_nil(page.set(layout "markdown", doc, { language = "en" }):find("Memory and energy", 1, true))
    doc.telemetry = { source = "nvml", devices = {
      { name = "Some GPU", driver = "580.1", memory_total_bytes = 96 << 30, power_limit_w = 700 } } }
    doc.variants[first].gpu = { devices = { { index = 0, name = "Some GPU", memory_baseline_bytes = 1 << 30, memory_loaded_bytes = 29 << 30,
      memory_peak_bytes = 31 << 30, power_w_mean = 125.74, power_w_max = 134.41, power_w_idle = 79.1, temperature_c_max = 39,
      sm_clock_mhz_mean = 1980.0, utilisation_mean = 0.044, throttle = { sw_power_cap = 0.25, gpu_idle = 0.5 } } } }
    local cell = doc.variants[first].datasets[doc.dataset_order[1]]
    cell.energy_joules, cell.energy_seconds, cell.energy_above_idle_joules, cell.energy_source = 1811.45, 14.22, 686.2, "counter"
    local text = page.set(layout "markdown", doc, { language = "both" })
    for _, row in ipairs { "Some GPU (driver 580.1, 96.0 GiB, limit 700 W)", "Some GPU（驱动 580.1，96.0 GiB，功率上限 700 W）" } do
      assert.is_truthy(text:find(row, 1, true), row)
    end
    local squeezed = text:gsub(" +", " ")
    local device = "| %s | 0 Some GPU | 28.0 | 30.0 | 125.7 | 134.4 | 79.1 | 39 | 1,980 | 4.4 %% | sw_power_cap 25.0 %% |"
    for _, row in ipairs { device:format(first),
      ("| %s | %s | 14.2 | 1,811 | 686 | – | `counter` |"):format(doc.dataset_order[1], first) } do
      assert.is_truthy(squeezed:find(row, 1, true), row)
    end
    assert.is_nil(text:find("gpu_idle", 1, true))
  end)

  it("is the same page from the file as from the run", function()
    assert(results.write(at "evaluation_results.json", build()))
    local again = assert(results.read(at "evaluation_results.json"))
    for _, name in ipairs { "markdown", "terminal" } do
      for _, language in ipairs { "en", "zh", "both" } do
        local options = { language = language, width = 80 }
        assert.equal(page.set(layout(name), build(), options), page.set(layout(name), again, options))
      end
    end
  end)

  it("says that answers are simulated when they are, and not otherwise", function()
    local function set(simulated) return page.set(layout "markdown", build { simulated = simulated }, { language = "both" }) end
    assert.is_truthy(set(true):find("All answers in this report are simulated", 1, true))
    assert.is_truthy(set(true):find("全部由模拟产生", 1, true))
    assert.is_nil(set(false):find("simulated", 1, true))
    assert.is_nil(set(false):find("模拟", 1, true))
  end)

  it("says so when a results file holds no verdict", function()
    local doc = build()
    doc.verdict = nil
    for _, words in ipairs { "No verdict is given", "本报告不给出结论" } do
      assert.is_truthy(page.set(layout "markdown", doc, { language = "both" }):find(words, 1, true))
    end
  end)

  it("is set of a run in which a variant never answered, and of an empty one", function()
    for _, rows in ipairs { {}, { { variant = "original", dataset = "gsm8k", sample = "1", outcome = "connect", tries = 5 } } } do
      local doc = summary.build(fixture.each(rows), fixture.run())
      for _, name in ipairs { "markdown", "terminal" } do
        local text = page.set(layout(name), doc, { language = "both", width = 40 })
        assert.is_truthy(text:find("fp8", 1, true))
        assert.is_nil(text:find("nan", 1, true))
      end
    end
  end)

  it("names places where prompts or token counts differ", function()
    local rows = fixture.list()
    for _, row in ipairs(rows) do
      if row.variant == "awq" and row.prompt_tokens then row.prompt_tokens = row.prompt_tokens + 1 end
      if row.variant == "fp8" and row.dataset == "mmlu" then row.prompt_sha256 = "other" end
    end
    local text = page.set(layout "markdown", summary.build(fixture.each(rows), fixture.run()), { language = "en" })
    assert.is_truthy(text:find("fp8 on mmlu: 120 of 120 prompts differ", 1, true))
    assert.is_truthy(text:find("awq on gsm8k: the server counted a different number of prompt tokens on 150 of 150", 1, true))
    assert.is_nil(text:find("Prompts were byte-identical", 1, true))
  end)

  it("is not broken by hostile names", function()
    local run = fixture.run()
    run.variants[1].description = { en = "<img src=x onerror=1>|\n# x", zh = "\27]0;标题\7" }
    run.model.base_name = "`rm -rf`|\u{202E}"
    local text = page.set(layout "markdown", summary.build(fixture.each(fixture.list()), run), { language = "both" })
    assert.is_nil(text:find("<img", 1, true))
    assert.is_nil(text:find("\n# x", 1, true))
    assert.is_nil(text:find("[\27\7]"))
    assert.is_nil(text:find("\u{202E}", 1, true))
  end)
end)

describe("the terminal report", function()
  it("fits 80 and 40 columns, in every language, with long names too", function()
    local run, rows = fixture.run(), fixture.list()
    local long = "a-variant-with-a-name-that-is-much-longer-than-it-should-be"
    run.variants[2].name = long
    for _, row in ipairs(rows) do
      if row.variant == "fp8" then row.variant = long end
    end
    local doc = summary.build(fixture.each(rows), run)
    for _, width in ipairs { 40, 80, 120 } do
      for _, language in ipairs { "en", "zh", "both" } do
        for _, one in ipairs { doc, build() } do
          local text = page.set(layout "terminal", one, { language = language, width = width })
          for line in text:gmatch("[^\n]+") do
            assert(term_text.width(line) <= width, ("%d columns: %s"):format(width, line))
          end
        end
      end
    end
  end)

  it("is pure ASCII in English where the locale is C", function()
    local text = page.set(layout "terminal", build(), { language = "en", width = 80, ascii = true })
    assert.is_nil(text:find("[\x80-\xFF]"))
  end)
end)

describe("results", function()
  it("keep the classic keys", function()
    local doc = json.decode(results.encode(build()))
    assert.equal("Example/Model-8B", doc.model)
    assert.equal(32, doc.config.benchmark.concurrency)
    local variant = doc.variants.fp8
    assert.equal("FP8 quantization / FP8 量化", variant.description)
    local cell = variant.datasets.gsm8k
    assert.equal(150, cell.num_total)
    assert.equal(118, cell.num_correct)
    assert(math.abs(cell.accuracy - 118 / 150) < 1e-15)
    for _, key in ipairs { "invalid_rate", "questions_per_second" } do assert.equal("number", type(cell[key])) end
    for _, key in ipairs { "mean", "p50", "p90", "p95", "p99" } do assert.equal("number", type(cell.latency_seconds[key])) end
    assert.equal("fp8", doc.summary.best.gsm8k.variants[1])
  end)

  it("differ between two runs of one seed only in what is volatile", function()
    local rows = fixture.list()
    for i, row in ipairs(rows) do
      row.latency_ns, row.ttft_ns = row.latency_ns and row.latency_ns + i * 1000, nil
      row.start_ns, row.end_ns = row.start_ns and row.start_ns * 2, row.end_ns and row.end_ns * 2
      row.tries = 3
    end
    local run = fixture.run()
    run.id, run.started_at, run.manifest.host.cpu = "20261124_000000", "2026-11-24T00:00:00Z", "another"
    local first, second = build(), summary.build(fixture.each(rows), run)
    assert.is_true(results.encode(first) ~= results.encode(second))
    local encoded = results.encode(results.strip_volatile(first))
    assert.equal(encoded, results.encode(results.strip_volatile(second)))
    assert.is_truthy(encoded:find('"num_correct"', 1, true))
    assert.is_not_nil(first.variants.fp8.datasets.gsm8k.latency_seconds) -- left as it was
    rows[1].outcome = rows[1].outcome == "correct" and "wrong" or "correct"
    assert.is_true(encoded ~= results.encode(results.strip_volatile(summary.build(fixture.each(rows), run))))
  end)

  it("are refused with file and reason when they are no results", function()
    local function refused(text)
      assert(file.write(at "bad.json", text))
      local doc, err = results.read(at "bad.json")
      assert.is_nil(doc)
      assert.is_truthy(err.text:find(at "bad.json", 1, true))
      return err.text:sub(#at "bad.json" + 3)
    end
    assert.is_truthy(refused("{"):find("not JSON", 1, true))
    assert.equal("want an object, got a number", refused("3"))
    assert.equal("format: want 1, got nothing", refused("{}"))
    assert.equal("format: want 1, got 2", refused('{"format":2}'))
    assert.equal("variant_order: want an array, got nothing", refused('{"format":1}'))
    local doc = build()
    doc.variants.fp8 = nil
    assert.equal("variants.fp8: want an object, got nil", refused(json.encode(doc)))
    local missing, err = results.read(at "none.json")
    assert.is_nil(missing)
    assert.is_truthy(err.text:find("none.json", 1, true))
  end)
end)

describe("qlua report", function()
  local command = require "qlua.cli.report"

  it("writes a page from a results file or a run's folder", function()
    assert(results.write(at "evaluation_results.json", build()))
    for _, source in ipairs { at "evaluation_results.json", scratch, scratch .. "/" } do
      assert.equal(0, command.run({ language = "zh", out = at "page.md" }, { source }))
      local text, files = page.set(layout "markdown", build(), { language = "zh", figures = true })
      assert.equal(text, assert(file.read(at "page.md")))
      for name, content in pairs(files) do assert.equal(content, assert(file.read(at(name)))) end
    end
  end)

  it("takes a layout of one's own", function()
    assert(file.write(at "mine.lua", [[
      local q = require "qlua"
      return q.report { name = "mine", summary = { en = "x", zh = "y" }, layout = function(page, summary)
        page:heading(1, { en = "Mine", zh = "自定" })
        page:text({ en = "{n} variants", zh = "{n} 个变体" }, { n = #summary.variant_order })
      end }]]))
    assert.equal(0, command.run({ language = "both", layout = at "mine.lua", out = at "page.md" }, { scratch }))
    assert.equal("# Mine / 自定\n\n3 variants\n\n3 个变体\n", assert(file.read(at "page.md")))
  end)

  it("takes the layout that docs/reports.md shows", function()
    local shown = assert(file.read "docs/reports.md"):match("```lua\n(.-)```")
    assert(file.write(at "shown.lua", shown))
    assert.equal(0, command.run({ language = "both", layout = at "shown.lua", out = at "page.md" }, { scratch }))
    local text = assert(file.read(at "page.md"))
    for _, line in ipairs { "# Nightly check: Example/Model-8B / 每日检查：Example/Model-8B", "> awq on hellaswag is not usable.",
      "| gsm8k          | fp8          |", "Difference (pt) 差值（百分点）" } do
      assert(text:find(line, 1, true), line)
    end
  end)

  it("refuses a layout with half a text: when it loads for `say`, else where it is used", function()
    assert(file.write(at "half.lua", [[
      local q = require "qlua"
      return q.report { name = "half", summary = { en = "x", zh = "y" }, say = { title = { zh = "题" } },
        layout = function() end }]]))
    local code, err = command.run({ layout = at "half.lua" }, { scratch })
    assert.is_nil(code)
    assert.equal("script", err.kind)
    assert.is_truthy(err.text:find("half.lua: report 'half': field 'say.title' side 'en' is missing", 1, true))
    assert(file.write(at "half.lua", [[
      local q = require "qlua"
      return q.report { name = "half", summary = { en = "x", zh = "y" },
        layout = function(page) page:text { zh = "题" } end }]]))
    registry.configure {} -- forget what was loaded
    code, err = command.run({ layout = at "half.lua", language = "zh" }, { scratch })
    assert.is_nil(code)
    assert.equal("script", err.kind)
    assert.is_truthy(err.text:find("side 'en' is missing", 1, true))
    assert.is_truthy(err.text:find("half.lua", 1, true))
  end)

  it("returns what is wrong with file and layout", function()
    local code, err = command.run({}, { at "nothing.json" })
    assert.is_nil(code)
    assert.is_truthy(err.text:find("nothing.json", 1, true))
    code, err = command.run({ layout = "markdwon" }, { scratch })
    assert.is_nil(code)
    assert.is_truthy(err.hint:find("markdown", 1, true))
  end)
end)
