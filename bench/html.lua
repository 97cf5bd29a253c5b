-- SPDX-License-Identifier: Apache-2.0
--- How large a run's HTML page is, and how fast a browser has it: `qlua lua bench/html.lua RUN`.
-- Headless Chromium, a local file; times are the page's own (`performance.now`) and depend on the machine. The explorer
-- is ready when its list is drawn and its filters answer.
package.path = package.path .. ";tests/web/?.lua"
package.searchers[#package.searchers + 1] = function(name)
  local path = package.searchpath(name, package.path)
  return path and assert(loadfile(path)), path
end
local clock = require "qlua.core.clock"
local file = require "qlua.core.file"
local results = require "qlua.results"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"
local sys = require "qlua.core.sys"
local webdriver = require "webdriver"

local FILTER = [[
  const select = document.getElementById("filter-change"), began = performance.now();
  select.value = "flipped";
  select.dispatchEvent(new Event("change", { bubbles: true }));
  return [performance.now() - began, document.querySelector(".counted").textContent];
]]
local OPEN = [[
  const began = performance.now();
  document.querySelector(".row").click();
  return new Promise((done) => {
    const look = () => document.querySelector(".reply") ? done(performance.now() - began) : setTimeout(look, 1);
    look();
  });
]]

local dir = arg[1] and arg[1]:gsub("/+$", "")
if not dir then
  io.stderr:write "bench/html.lua: want the folder of a run\n"
  return 2
end
local found, missing = webdriver.find()
if not found then
  io.stderr:write("bench/html.lua: ", missing, "\n")
  return 2
end

local folder = ("%s/build/web/bench-%d"):format(sys.cwd(), sys.pid())
assert(file.make_dir(folder))
local store = assert(run_store.open(dir, { read_only = true }))
local doc = assert(results.read(dir .. "/evaluation_results.json"))
local began = clock.now_ns()
local text = run_report.set("html", doc, { language = "en", store = store, run_name = doc.run.id })
print(("page written in  %.1f s"):format((clock.now_ns() - began) / 1e9))
print(("size             %.1f MB"):format(#text / 1e6))
assert(file.write(folder .. "/page.html", text))

local browser = webdriver.open(folder)
for turn = 1, 3 do
  browser:go("file://" .. folder .. "/page.html")
  browser:wait("document.querySelector('#explorer').dataset.ready", "a built explorer")
  local ready = browser:run "return document.querySelector('#explorer').dataset.ready"
  local paint = browser:run "return (performance.getEntriesByType('paint')[0] || { startTime: 0 }).startTime"
  local filter = browser:run(FILTER)
  print(("load %d           first paint %.0f ms, explorer ready %s ms, filter %.0f ms (%s), first sample %.0f ms"):format(turn, paint,
    ready, filter[1], filter[2], browser:run(OPEN)))
end
browser:close()
store:close()
print("folder           " .. folder .. " (remove it when it is no longer wanted)")
