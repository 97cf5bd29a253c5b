-- SPDX-License-Identifier: Apache-2.0
--- View: a run's HTML page and its samples, answered from the run's database as it stands.
--
-- The page is the one that `report.layouts: [html]` writes, with the same scripts; only its samples come by requests.
-- Nothing is ever written, no path of a request becomes a path of a file, and a request that does not name this
-- machine as its host is refused: a page elsewhere could otherwise read the run through a name that it points here.
local embed = require "qlua.page.embed"
local json = require "qlua.core.json"
local results = require "qlua.results"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"
local samples = require "qlua.samples"

local view = {}
view.__index = view

local SECURITY = {
  ["content-security-policy"] = "frame-ancestors 'none'", ["x-content-type-options"] = "nosniff",
  ["referrer-policy"] = "no-referrer", ["cross-origin-resource-policy"] = "same-origin", ["cache-control"] = "no-store",
}

--- Open a run for viewing.
-- @tparam string dir the run's folder
-- @tparam[opt] table options language, layout
-- @treturn table|nil or nil and err
function view.open(dir, options)
  local store, err = run_store.open(dir, { read_only = true })
  if not store then return nil, err end
  return setmetatable({ dir = dir, store = store, samples = samples.open(store), options = options or {} }, view)
end

function view:close() self.store:close() end

-- ---- what is asked for ------------------------------------------------------------------------------------------

local function decoded(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function parameters(query)
  local found = {}
  for name, value in (query or ""):gmatch "([^&=]+)=([^&]*)" do found[decoded(name)] = decoded(value) end
  return found
end

-- The finished run's file has all that is known; of a run that goes on, what is known so far is counted anew.
local function summary_of(self)
  if self.store:meta "finished_at" then
    local doc = results.read(self.dir .. "/evaluation_results.json")
    if doc then return doc end
  end
  return run_report.summarize(self.dir, self.store)
end

local function num_answers(self) return self.store:one("SELECT count(*) AS n FROM answer").n end

local function the_page(self)
  local n = num_answers(self)
  if self.page and self.page_answers == n then return self.page end
  local doc = summary_of(self)
  self.page = run_report.set(self.options.layout or "html", doc, { language = self.options.language or "en", store = self.store,
    live = true, run_name = doc.run.id })
  self.page_answers = n
  return self.page
end

local function baseline_of(self)
  return require("qlua.control").baseline_of(self.store:meta "config")
end

-- Questions and replies that hold a text: `[[sample, repeat], …]`. ASCII letters match in both cases.
local function search(self, wanted)
  local found, seen = {}, {}
  wanted = wanted:lower()
  local function add(sample, turn)
    local key = sample .. "\0" .. turn
    if seen[key] then return end
    seen[key] = true
    found[#found + 1] = json.array { sample, turn }
  end
  for row in self.store.db:each("SELECT sample, repeat_index FROM answer WHERE instr(lower(text), ?) > 0", wanted) do
    add(row.sample, row.repeat_index)
  end
  for row in self.store.db:each [[SELECT s.id AS sample, p.body FROM sample s JOIN prompt p ON p.sha256 = s.prompt_sha256]] do
    if embed.question(row.body):lower():find(wanted, 1, true) then add(row.sample, 0) end
  end
  return json.encode(json.array(found))
end

local routes = {
  ["/"] = function(self) return the_page(self), "text/html; charset=utf-8" end,
  ["/api/rows"] = function(self) return (embed.rows(self.samples, baseline_of(self))) end,
  ["/api/sample"] = function(self, given)
    if not (given.dataset and given.sample) then return nil end
    return embed.texts(self.samples, given.dataset, given.sample, math.tointeger(tonumber(given["repeat"] or 0)) or 0)
  end,
  ["/api/search"] = function(self, given) return given.text and given.text ~= "" and search(self, given.text) or nil end,
}

local function plan(status, content_type, body)
  local headers = { ["content-type"] = content_type }
  for name, value in pairs(SECURITY) do headers[name] = value end
  return { status = status, headers = headers, body = body }
end

local function is_own_host(host, port)
  local name, number = (host or ""):lower():match "^(.-):?(%d*)$"
  if host and host:find("^%[") then name, number = host:lower():match "^(%[[%x:]+%]):?(%d*)$" end
  local is_here = name == "127.0.0.1" or name == "localhost" or name == "[::1]"
  return is_here and tonumber(number ~= "" and number or 80) == port
end

--- Answer one request.
-- @tparam table request `{ method, path, query, headers }`
-- @tparam integer port the port that is served, to check the request's host by
-- @treturn table a plan for `qlua.core.sim`
function view:answer(request, port)
  if not is_own_host(request.headers.host, port) then return plan(403, "text/plain", "this server answers for this machine only\n") end
  if request.method ~= "GET" then return plan(405, "text/plain", "GET only\n") end
  local route = routes[request.path]
  if not route then return plan(404, "text/plain", "not found\n") end
  local body, content_type = route(self, parameters(request.query))
  if not body then return plan(404, "text/plain", "not found\n") end
  return plan(200, content_type or "application/json", body)
end

return view
