-- SPDX-License-Identifier: Apache-2.0
--- A browser for tests: headless Chromium, driven through chromedriver's WebDriver protocol (W3C) with q.http.
-- Nothing here waits by the clock for something to happen: `wait` asks again and again until a script says true, and
-- gives up after long enough for any machine.
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local webdriver = {}
webdriver.__index = webdriver

local ELEMENT = "element-6066-11e4-a52e-4f735466cecf" -- the key under which the protocol puts an element

webdriver.KEYS = { enter = "\u{E007}", escape = "\u{E00C}", down = "\u{E015}" }

--- Where the browser is, or nil and what is missing.
function webdriver.find()
  for _, name in ipairs { "chromedriver", "chromium" } do
    if not sys.find_on_path(name) then return nil, name .. " is not installed (tools/setup --web)" end
  end
  return true
end

local function command(self, method, path, body)
  local reply = self.client:send { url = self.url .. path, method = method, total_ms = 120000, max_body_bytes = 256 << 20,
    headers = { ["content-type"] = "application/json" }, body = body and json.encode(body) or nil }
  if reply.error then return nil, reply.error.text end
  local value = (json.decode(reply.body) or {}).value
  if reply.status ~= 200 then return nil, type(value) == "table" and tostring(value.message) or "HTTP " .. reply.status end
  if value == nil or value == json.null then return true end -- done, and nothing to say
  return value
end

local function must(value, err)
  if value == nil then error(err, 3) end
  return value
end

-- Chromium's own requests (updates, metrics) are switched off: only the page's remain.
local function arguments(folder, options)
  return json.array { "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--user-data-dir=" .. folder, ("--window-size=%d,%d"):format(options.width or 1280, options.height or 900) }
end

--- Start a browser of its own.
-- @tparam string folder an empty folder for its profile
-- @tparam[opt] table options width, height
function webdriver.open(folder, options)
  local port = sys.free_port()
  local process = assert(proc.spawn { argv = { "chromedriver", "--port=" .. port }, log = folder .. "/chromedriver.log" })
  local self = setmetatable({ client = http.open { max_in_flight = 4 }, url = ("http://127.0.0.1:%d"):format(port), process = process },
    webdriver)
  local ready
  for _ = 1, 600 do
    ready = command(self, "GET", "/status")
    if ready then break end
    task.sleep(50)
  end
  if not ready then error("chromedriver does not answer", 2) end
  local session = must(command(self, "POST", "/session", { capabilities = { alwaysMatch = {
    ["goog:chromeOptions"] = { args = arguments(folder .. "/profile", options or {}) },
    ["goog:loggingPrefs"] = { browser = "ALL", performance = "ALL" } } } }))
  self.session = "/session/" .. session.sessionId
  return self
end

function webdriver:close()
  if self.session then command(self, "DELETE", self.session) end
  self.process:stop { grace_ms = 5000 }
  self.client:close()
end

function webdriver:go(url) return must(command(self, "POST", self.session .. "/url", { url = url })) end

--- Run JavaScript in the page; what it returns.
function webdriver:run(script, ...)
  return must(command(self, "POST", self.session .. "/execute/sync", { script = script, args = json.array { ... } }))
end

--- Ask until the expression is true.
function webdriver:wait(script, what)
  for _ = 1, 1200 do
    if self:run("return Boolean(" .. script .. ") ? 'yes' : 'no'") == "yes" then return end
    task.sleep(25)
  end
  error("the page never came to: " .. (what or script), 2)
end

local function element(self, css)
  local found = must(command(self, "POST", self.session .. "/element", { using = "css selector", value = css }))
  return self.session .. "/element/" .. found[ELEMENT]
end

function webdriver:click(css) return must(command(self, "POST", element(self, css) .. "/click", {})) end

--- Keys to an element, as typed.
function webdriver:type(css, keys) return must(command(self, "POST", element(self, css) .. "/value", { text = keys })) end

--- One key to whatever has the focus.
function webdriver:key(key)
  return must(command(self, "POST", self.session .. "/actions", { actions = json.array { { type = "key", id = "keyboard",
    actions = json.array { { type = "keyDown", value = key }, { type = "keyUp", value = key } } } } }))
end

function webdriver:size(width, height)
  -- Below some 500 points a window does not get; the device's size is set instead, as on a phone.
  return must(command(self, "POST", self.session .. "/goog/cdp/execute", { cmd = "Emulation.setDeviceMetricsOverride",
    params = { width = width, height = height, deviceScaleFactor = 1, mobile = width < 600 } }))
end

--- What the page's console and the browser complained of since last asked: `{ { level, message }, … }`.
function webdriver:log(kind)
  return must(command(self, "POST", self.session .. "/se/log", { type = kind or "browser" }))
end

local function from_base64(text)
  local places = {}
  for i, char in utf8.codes "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" do places[char] = i - 1 end
  local parts = {}
  for a, b, c, d in text:gmatch "(.)(.)(.)(.)" do
    local n = 0
    for _, char in ipairs { a, b, c, d } do n = n << 6 | (places[char:byte()] or 0) end
    parts[#parts + 1] = string.char(n >> 16 & 255, n >> 8 & 255, n & 255):sub(1,
      d ~= "=" and 3 or c ~= "=" and 2 or 1)
  end
  return table.concat(parts)
end

--- A picture of what is seen, as PNG.
function webdriver:picture() return from_base64(must(command(self, "GET", self.session .. "/screenshot"))) end

return webdriver
