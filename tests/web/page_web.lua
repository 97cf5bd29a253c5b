-- SPDX-License-Identifier: Apache-2.0
--- The HTML page in a real browser: what runs, what leaves, what clicks and keys do. `make web`.
-- Pictures of the page in both languages, both schemes and on a phone go to build/web.
package.path = package.path .. ";tests/web/?.lua"
local file = require "qlua.core.file"
local hostile_run = require "hostile_run"
local json = require "qlua.core.json"
local results = require "qlua.results"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"
local sim = require "qlua.core.sim"
local sys = require "qlua.core.sys"
local verdict_fixture = require "verdict_fixture"
local view = require "qlua.view"
local webdriver = require "webdriver"

local has_browser, why_not = webdriver.find()
local folder = ("%s/build/web"):format(sys.cwd())
local scratch = ("%s/run-%d"):format(folder, sys.pid())

local function remove(path)
  local info = file.stat(path)
  if info and info.kind == "dir" then
    for _, name in ipairs(file.list(path) or {}) do remove(path .. "/" .. name) end
  end
  file.remove(path)
end

if not has_browser then
  describe("the page in a browser", function()
    it("is not tested here", function() pending(why_not) end)
  end)
  return
end

local browser

local function complaints()
  local list = {}
  for _, entry in ipairs(browser:log()) do
    if entry.level == "SEVERE" or entry.level == "WARNING" then list[#list + 1] = entry.message end
  end
  return table.concat(list, "\n")
end

-- Every address that the browser asked for since last asked; `data:` is no request.
local function requests()
  local list = {}
  for _, entry in ipairs(browser:log "performance") do
    local message = json.decode(entry.message).message
    local url = message.method == "Network.requestWillBeSent" and message.params.request.url
    if url and not url:find("^data:") then list[#list + 1] = url end
  end
  return list
end

local function count() return browser:run "return document.querySelector('.counted').textContent" end
local function choose(name, value)
  browser:run("const s = document.getElementById('filter-' + arguments[0]); s.value = arguments[1]; "
    .. "s.dispatchEvent(new Event('change', { bubbles: true })); return s.value", name, value)
end

local function ready() browser:wait("document.querySelector('#explorer').dataset.ready", "a built explorer") end

local function wait_title(wanted)
  browser:wait(("(document.querySelector('.detail h3 a') || {}).textContent === %s"):format(json.encode(wanted)), wanted)
end

local function write_page(name, doc, options)
  local text = run_report.set("html", doc, options)
  assert(file.write(scratch .. "/" .. name, text))
  return "file://" .. scratch .. "/" .. name
end

describe("the page in a browser", function()
  local store, page_url
  setup(function()
    assert(file.make_dir(scratch))
    hostile_run.write(scratch)
    store = assert(run_store.open(scratch, { read_only = true }))
    local doc = assert(results.read(scratch .. "/evaluation_results.json"))
    page_url = write_page("page.html", doc, { language = "en", store = store, run_name = "hostile" })
    browser = webdriver.open(scratch)
  end)
  teardown(function()
    if browser then browser:close() end
    store:close()
    remove(scratch)
  end)

  local function open(url)
    browser:go "about:blank"
    browser:log "performance"
    browser:log()
    browser:go(url)
    ready()
  end

  it("runs nothing that a model wrote, whatever is opened", function()
    open(page_url)
    for i = 0, #hostile_run.replies do
      browser:run("document.querySelector('.list').focus()")
      browser:key "j"
      wait_title("hostile/test/" .. i)
      assert.equal("undefined", browser:run "return typeof window.pwned")
      assert.equal(0, browser:run("return document.querySelectorAll('#explorer script, #explorer img, #explorer iframe, "
        .. "#explorer base, #explorer link, #explorer style, .text a, .text svg').length"))
    end
    assert.equal("", complaints())
    assert.same({ page_url }, requests())
    assert.equal(0, browser:run "return performance.getEntriesByType('resource').filter((e) => !e.name.startsWith('data:')).length")
  end)

  it("shows a reply as it is, and marks that are not seen by their numbers", function()
    open(page_url .. "#hostile/test/1")
    wait_title "hostile/test/1"
    assert.equal(hostile_run.replies[1], browser:run "return document.querySelector('.reply .text').textContent")
    open(page_url .. "#hostile/test/4")
    wait_title "hostile/test/4"
    assert.equal("U+202Egnp.exeU+202C and U+2066isolatedU+2069U+200BU+FEFF",
      browser:run "return document.querySelector('.reply .text').textContent")
    assert.equal("isolate", browser:run "return getComputedStyle(document.querySelector('.reply .text')).unicodeBidi")
    open(page_url .. "#hostile/test/5")
    wait_title "hostile/test/5"
    assert.equal("nul U+0000 bell U+0007 escape U+001B[31m", browser:run "return document.querySelector('.reply .text').textContent")
  end)

  it("marks where the answer was found, and what is new against the baseline", function()
    open(page_url .. "#hostile/test/11")
    wait_title "hostile/test/11"
    assert.equal("18", browser:run "return document.querySelector('.reply .found').textContent")
    assert.equal("other: ", browser:run "return document.querySelectorAll('.reply')[1].querySelector('.new').textContent")
    assert.is_truthy(browser:run "return document.querySelector('.reply table').textContent":find("no answer found", 1, true))
  end)

  it("cuts a text of a megabyte, and says so", function()
    open(page_url .. "#hostile/test/8")
    wait_title "hostile/test/8"
    assert.equal(262144, browser:run "return document.querySelector('.reply .text').textContent.length")
    assert.is_truthy(browser:run "return document.querySelector('.reply').textContent":find("1048576 bytes in all", 1, true))
    assert.is_true(browser:run "return document.documentElement.scrollWidth <= innerWidth")
  end)

  it("filters by change, outcome, group and text", function()
    open(page_url)
    assert.equal("12 of 12 samples", count())
    choose("change", "to_wrong")
    assert.equal("4 of 12 samples", count())
    choose("change", "to_right")
    assert.equal("0 of 12 samples", count())
    choose("change", "")
    choose("variant", "1")
    choose("outcome", "wrong")
    assert.equal("4 of 12 samples", count())
    choose("outcome", "")
    choose("group", hostile_run.group)
    assert.equal("6 of 12 samples", count())
    browser:click ".filters button"
    assert.equal("12 of 12 samples", count())
    browser:type("#filter-search", "paragraph")
    browser:wait("document.querySelector('.counted').textContent === '1 of 12 samples'", "one found")
    assert.equal("hostile/test/7", browser:run "return document.querySelector('.row strong').textContent")
    assert.equal("", complaints())
  end)

  it("is worked by keys", function()
    open(page_url)
    browser:run "document.activeElement.blur()"
    browser:key "j"
    wait_title "hostile/test/0"
    browser:key "j"
    wait_title "hostile/test/1"
    browser:key "k"
    wait_title "hostile/test/0"
    browser:key "/"
    assert.equal("filter-search", browser:run "return document.activeElement.id")
    browser:key "j"
    assert.equal("j", browser:run "return document.activeElement.value")
    browser:key(webdriver.KEYS.escape)
    assert.equal("list", browser:run "return document.activeElement.className")
    browser:key "?"
    assert.is_true(browser:run "return document.querySelector('dialog').open")
    browser:key(webdriver.KEYS.escape)
    assert.is_false(browser:run "return document.querySelector('dialog').open")
    assert.equal("#hostile/test/0", browser:run "return location.hash")
  end)

  it("switches languages and colours", function()
    open(page_url)
    local function shown(lang)
      return browser:run("const part = document.querySelector('h1 span[lang=\"' + arguments[0] + '\"]');"
        .. "return getComputedStyle(part).display !== 'none'", lang)
    end
    assert.is_true(shown "en")
    assert.is_false(shown "zh-Hans")
    browser:click "#switch-language button:nth-child(2)"
    assert.is_false(shown "en")
    assert.is_true(shown "zh-Hans")
    assert.equal("zh-Hans", browser:run "return document.documentElement.lang")
    assert.equal("12 / 12 个样本", count())
    browser:click "#switch-language button:nth-child(3)"
    assert.is_true(shown "en" and shown "zh-Hans")
    local function paper() return browser:run "return getComputedStyle(document.body).backgroundColor" end
    browser:click "#switch-scheme button:nth-child(2)"
    local light = paper()
    browser:click "#switch-scheme button:nth-child(3)"
    assert.not_equal(light, paper())
    assert.equal("", complaints())
  end)

  it("fits a phone", function()
    browser:size(390, 844)
    open(page_url)
    assert.is_true(browser:run "return document.documentElement.scrollWidth <= innerWidth")
    browser:click ".row"
    wait_title "hostile/test/0"
    assert.equal("none", browser:run "return getComputedStyle(document.querySelector('.list')).display")
    browser:click ".back"
    assert.equal("block", browser:run "return getComputedStyle(document.querySelector('.list')).display")
    browser:size(1280, 900)
  end)

  it("is the same page when it is served", function()
    local run, port = assert(view.open(scratch, { language = "en" })), nil
    local server = assert(sim.serve({ host = "127.0.0.1", port = 0 }, function(request) return run:answer(request, port) end))
    port = server:port()
    local ok, err = pcall(function()
      open(("http://127.0.0.1:%d/#hostile/test/2"):format(port))
      wait_title "hostile/test/2"
      assert.equal(hostile_run.replies[2], browser:run "return document.querySelector('.reply .text').textContent")
      browser:type("#filter-search", "question 7")
      browser:wait("document.querySelector('.counted').textContent === '1 of 12 samples'", "one found")
      assert.equal("undefined", browser:run "return typeof window.pwned")
      assert.equal("", complaints())
      for _, url in ipairs(requests()) do assert.is_truthy(url:find(("http://127.0.0.1:%d/"):format(port), 1, true), url) end
    end)
    server:close()
    run:close()
    assert(ok, err)
  end)

  it("looks as the pictures in build/web show", function()
    local doc = verdict_fixture.summary()
    local url = write_page("verdict.html", doc, { language = "en", store = store, run_name = "hostile" })
    browser:go(url)
    ready()
    browser:run "document.querySelectorAll('.row')[11].click()"
    wait_title "hostile/test/11"
    for i, language in ipairs { "en", "zh", "both" } do
      browser:click(("#switch-language button:nth-child(%d)"):format(i))
      for j, scheme in ipairs { "auto", "light", "dark" } do
        if j > 1 then
          browser:click(("#switch-scheme button:nth-child(%d)"):format(j))
          for place, css in pairs { verdict = "body", drawings = "#figure-accuracy", flips = "#figure-flips", speed = "#figure-serving",
            samples = "#samples" } do
            browser:run("document.querySelector(arguments[0]).scrollIntoView()", css)
            assert(file.write(("%s/%s_%s_%s.png"):format(folder, place, language, scheme), browser:picture()))
          end
        end
      end
      browser:size(390, 844)
      browser:run "scrollTo(0, 0)"
      assert(file.write(("%s/phone_%s.png"):format(folder, language), browser:picture()))
      browser:size(1280, 1000)
    end
    assert.equal("", complaints())
  end)
end)
