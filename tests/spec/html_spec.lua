-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local hostile_run = require "hostile_run"
local json = require "qlua.core.json"
local page = require "qlua.page"
local registry = require "qlua.registry"
local results = require "qlua.results"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"
local samples = require "qlua.samples"
local sys = require "qlua.core.sys"
local text = require "qlua.core.text"
local verdict_fixture = require "verdict_fixture"

local scratch = ("%s/qlua-html-%d"):format(sys.env "TMPDIR" or "/tmp", sys.pid())

local function set(doc, options)
  local report, err = registry.load("report", "html")
  assert(report, err and err.text)
  return page.set(report, doc, options)
end

local function block(html, id)
  local source = html:match('<script type="application/json" id="data%-' .. id:gsub("%-", "%%-") .. '">(.-)</script>')
  return source and assert(json.decode(source))
end

describe("the HTML report", function()
  it("has both languages, whichever it starts in", function()
    for _, language in ipairs { "en", "zh", "both" } do
      local html = set(verdict_fixture.summary(), { language = language })
      assert.is_truthy(html:find('data-language="' .. language .. '"', 1, true))
      assert.is_truthy(html:find("Ship fp8", 1, true))
      assert.is_truthy(html:find("建议部署 fp8", 1, true))
      assert.is_true(text.valid(html))
    end
  end)

  it("allows what it brought by hash, and nothing else", function()
    local html = set(verdict_fixture.summary(), { language = "en" })
    local policy = html:match 'http%-equiv="Content%-Security%-Policy" content="([^"]*)"'
    assert.is_truthy(policy:find("default-src 'none'", 1, true))
    assert.is_truthy(policy:find("connect-src 'none'", 1, true))
    assert.is_nil(policy:find("unsafe", 1, true))
    local allowed, brought = {}, 0
    for digest in policy:gmatch "'sha256%-([^']+)'" do allowed[digest] = true end
    for _, pattern in ipairs { "<style>(.-)</style>", "<script>(.-)</script>" } do
      for source in html:gmatch(pattern) do
        local digest = hash.sha256(source):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
        local encoded = require("qlua.page.html").base64(digest)
        assert.is_true(allowed[encoded], "a style or script is not allowed by the policy")
        brought = brought + 1
      end
    end
    assert.equal(6, brought)
  end)

  it("asks nothing of any network", function()
    local html = set(verdict_fixture.summary(), { language = "en" })
    assert.is_nil(html:find("%ssrc="))
    for address in html:gmatch "https?://[^%s\"'<]*" do assert.equal("http://www.w3.org/2000/svg", address) end
    assert.is_nil(html:find("@import", 1, true))
    assert.is_nil(html:find("url(", 1, true))
  end)

  it("shows what is absent from the Summary as not measured, or not at all", function()
    local doc = verdict_fixture.summary()
    doc.verdict = nil
    local html = set(doc, { language = "en" })
    assert.is_truthy(html:find("No verdict was made", 1, true))
    assert.is_nil(html:find("Ship", 1, true))
    for _, variant in pairs(doc.variants) do
      for _, cell in pairs(variant.datasets) do
        cell.latency_seconds, cell.ttft_seconds, cell.questions_per_second, cell.against_baseline = nil, nil, nil, nil
      end
    end
    assert.is_nil(set(doc, { language = "en" }):find('id="figure-latency"', 1, true))
  end)

  it("draws memory and energy where they were measured, and says where they were not", function()
    local doc = verdict_fixture.summary()
    local html = set(doc, { language = "en" })
    assert.is_truthy(html:find("Memory: not measured.", 1, true))
    assert.is_truthy(html:find("Energy: not measured.", 1, true))
    doc.telemetry = { reason = "no <GPU>" }
    assert.is_truthy(set(doc, { language = "en" }):find("Why: <code>no &lt;GPU&gt;</code>", 1, true))
    doc.variants.fp8.memory = { loaded_bytes = 8.4e9, peak_bytes = 9.7e9 }
    doc.variants.fp8.datasets.gsm8k.energy_joules, doc.variants.fp8.datasets.gsm8k.energy_per_correct_joules = 9000, 76.3
    doc.variants.awq.datasets.gsm8k.energy_joules = 55
    html = set(doc, { language = "en" })
    for _, shown in ipairs { "7.8 GiB loaded, 9.0 GiB at most", "76.3 J per correct answer", "55.0 J in all" } do
      assert.is_truthy(html:find(shown, 1, true), shown)
    end
    assert.is_nil(html:find("Memory: not measured.", 1, true))
  end)

  it("says that it has no samples when it was made from a file alone", function()
    local html = set(verdict_fixture.summary(), { language = "en" })
    assert.is_truthy(html:find("holds no single samples", 1, true))
    assert.is_nil(html:find('id="explorer"', 1, true))
  end)

  it("says that answers are simulated, on the first screen", function()
    local html = set(verdict_fixture.summary(), { language = "en" })
    assert.is_true(html:find("All answers in this report are simulated", 1, true) < html:find('id="verdict"', 1, true))
  end)

  it("has a title for every table, a text for every drawing, and no two elements of one name", function()
    local html, seen = set(verdict_fixture.summary(), { language = "en" }), {}
    for id in html:gmatch ' id="([^"]*)"' do
      assert.is_nil(seen[id], "twice: " .. id)
      seen[id] = true
    end
    for element in html:gmatch '<div class="table"(.-)</div>' do
      assert.is_truthy(element:find("<caption>", 1, true) or element:find('aria-labelledby="part-', 1, true))
    end
    for svg in html:gmatch "<svg.-</svg>" do assert.is_truthy(svg:find('role="img" aria%-label="[^"]+"')) end
  end)
end)

describe("drawings", function()
  local report = assert(registry.load("report", "markdown"))

  it("stand beside the Markdown report as files that need nothing else", function()
    local content, files = page.set(report, verdict_fixture.summary(), { language = "both", figures = true })
    local count = 0
    for name, svg in pairs(files) do
      count = count + 1
      assert.is_truthy(content:find("](" .. name .. ")", 1, true))
      assert.is_truthy(svg:find "^<svg xmlns=")
      assert.is_truthy(svg:find("prefers-color-scheme: dark", 1, true))
      local golden = "tests/golden/figure_" .. name
      if sys.env "QLUA_GOLDEN" == "write" then assert(file.write(golden, svg)) end
      assert.equal(assert(file.read(golden)), svg)
    end
    assert.equal(4, count)
  end)

  it("are left out of a page that has no files", function()
    local content, files = page.set(report, verdict_fixture.summary(), { language = "en" })
    assert.is_nil(next(files))
    assert.is_nil(content:find("![", 1, true))
  end)

  it("show names as text, whatever is in them", function()
    local doc = verdict_fixture.summary()
    doc.variant_order[2] = "<script>&\"'\u{202E}"
    doc.variants[doc.variant_order[2]] = doc.variants.fp8
    doc.verdict = nil
    local _, files = page.set(report, doc, { language = "en", figures = true })
    for _, svg in pairs(files) do
      assert.is_nil(svg:find("<script>", 1, true))
      assert.is_nil(svg:find("\u{202E}", 1, true))
    end
    assert.is_truthy(files["accuracy.svg"]:find("&lt;script&gt;&amp;", 1, true))
  end)
end)

describe("a page with hostile samples", function()
  local store, doc
  setup(function()
    assert(file.make_dir(scratch))
    hostile_run.write(scratch)
    store = assert(run_store.open(scratch, { read_only = true }))
    doc = assert(results.read(scratch .. "/evaluation_results.json"))
  end)
  teardown(function()
    store:close()
    for _, name in ipairs(file.list(scratch) or {}) do file.remove(scratch .. "/" .. name) end
    file.remove(scratch)
  end)

  local function with_samples(options)
    local all = { language = "en", store = store, run_name = "hostile" }
    for key, value in pairs(options or {}) do all[key] = value end
    return (run_report.set("html", doc, all))
  end

  it("has no element that a reply, a question or a name made", function()
    local html = with_samples()
    assert.is_true(text.valid(html))
    assert.is_nil(html:find("\0", 1, true))
    local scripts = 0
    for _ in html:gmatch "<[sS][cC][rR][iI][pP][tT]" do scripts = scripts + 1 end
    assert.equal(3 + 5, scripts) -- page, diff, explorer; words, samples, heads, texts-0, about
    for _, bad in ipairs { "<!--", "<img", "<base", "<svg onload" } do assert.is_nil(html:find(bad, 1, true), bad) end
    local shown = html:gsub('<script type="application/json".-</script>', ""):gsub("<script>.-</script>", "")
    for _, bad in ipairs { "onerror='", "\u{202E}", "\u{2028}", "\u{2029}" } do assert.is_nil(shown:find(bad, 1, true), bad) end
  end)

  it("keeps every text whole in its data", function()
    local texts = block(with_samples(), "texts-0")
    assert.equal(12, #texts)
    for i = 0, 11 do
      local reply = hostile_run.replies[i]
      local kept = texts[i + 1].answers[1].text
      assert.equal(text.repair(reply:sub(1, samples.MAX_TEXT)), kept)
      assert.equal(#reply > samples.MAX_TEXT and #reply or nil, texts[i + 1].answers[1].length)
    end
  end)

  it("takes in texts up to its budget, flips first, and says what it left out", function()
    local html = with_samples { budget_mb = 0.006 }
    local texts, about = block(html, "texts-0"), block(html, "about")
    assert.equal(6, about.left_out)
    assert.equal(12, about.total)
    for _, flip in ipairs { 2, 5, 8, 11 } do assert.is_table(texts[flip]) end -- right in the baseline, wrong in the other
    assert.equal(0, texts[12])
    assert.is_true(math.abs(about.bytes - #html) < 5000)
  end)

  it("counts places in a reply as a browser does", function()
    assert.same({ 0, 2 }, { samples.span("18", 1, 2) })
    assert.same({ 2, 4 }, { samples.span("中文18", 7, 8) })
    assert.same({ 3, 5 }, { samples.span("😀 18", 6, 7) })
    assert.same({ 2, 4 }, { samples.span("\xFF 18", 3, 4) })
    assert.is_nil(samples.span("18", 2, 5))
    assert.is_nil(samples.span(nil, 1, 1))
  end)

  it("draws times and the course of the run from the store", function()
    local html = with_samples()
    assert.is_truthy(html:find('id="figure-latency"', 1, true))
    assert.is_truthy(html:find('id="figure-course"', 1, true))
    assert.is_truthy(html:find('id="figure-between_tokens"', 1, true))
  end)

  it("takes the times between tokens from the events that have text", function()
    local source = samples.open(store)
    local gaps = source:gaps("original", "hostile")
    assert.same({ 2, 1, 1 }, { gaps.n, gaps.replies, gaps.of })
    assert.near(0.002, gaps.points[1].x, 1e-12)
    assert.near(0.003, gaps.points[#gaps.points].x, 1e-12)
    assert.is_nil(source:gaps("original", "nothing"))
    local latency = source:distribution("latency", "original", "hostile")
    assert.equal(12, latency.n)
    assert.near(0.001, latency.points[1].x, 1e-12)
    assert.near(0.012, latency.points[#latency.points].x, 1e-12)
    assert.has_error(function() source:distribution("anything", "original", "hostile") end)
  end)
end)
