-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local retry = require "qlua.retry"
local run_store = require "qlua.run_store"
local sender = require "qlua.sender"
local task = require "qlua.core.task"

local dir, store
local answered = '{"choices":[{"text":" 4","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}'

local function marks() return { queued_ns = 900, start_ns = 1000, first_byte_ns = 2000, last_byte_ns = 5000, reads = 1 } end

local function reply(status, body, headers)
  return { status = status, headers = headers or {}, body = body or answered, stamps = "", marks = marks() }
end

local function failed(kind, text) return { status = nil, headers = {}, body = "", error = { kind = kind, text = text or kind },
  marks = {} } end

-- A sender whose client answers with the given replies in order, the last again and again; `fields` replaces parts.
local function new(replies, fields)
  local client = { sent = {} }
  function client:send(request)
    self.sent[#self.sent + 1] = request
    local given = replies[math.min(#self.sent, #replies)]
    if type(given) == "function" then given = given(request) end
    return given
  end
  local logged = {}
  local parts = { client = client, dialect = { name = "d", request = openai.request, read = openai.read },
    variant = { name = "v", identity = "identity" }, server = { base_url = "http://h/v1" }, store = store, timeouts = {}, retries = 4,
    headers = { authorization = "Bearer secret-key-1234" }, random = function() return 0 end, is_stopped = function() return false end,
    split_events = http.split_events, log = function(text) logged[#logged + 1] = text end }
  for key, value in pairs(fields or {}) do parts[key] = value end
  return sender.new(parts), client, logged
end

local function ask(fields)
  local made = { dataset = "d", sample = "d/test/0", repeat_index = 0, turn = 0, part = 0, mode = "generate", endpoint = "completions",
    prompt = { text = "2 + 2 =" }, prompt_sha256 = "p", model = "m", sampling = { temperature = 0, seed = 1, max_tokens = 8 } }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

local function count() return store:one("SELECT count(*) AS n FROM request").n end

describe("sender", function()
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(file.make_dir(dir))
    store = assert(run_store.open(dir))
    store:open_session("2026-11-23T10:00:00Z", {})
  end)
  after_each(function()
    store:close()
    for _, name in ipairs(file.list(dir)) do file.remove(dir .. "/" .. name) end
    file.remove(dir)
  end)

  it("asks once and keeps what was sent and what came", function()
    local one, client = new { reply(200) }
    local response = assert(one:ask(ask()))
    assert.equal(" 4", response.text)
    assert.same({ 1, 1 }, { #client.sent, response.sent.tries })
    assert.equal("http://h/v1/completions", client.sent[1].url)
    local row = store:one "SELECT * FROM request"
    assert.same({ "v", "d", "d/test/0", 200, 1, 1000, 5000 },
      { row.variant, row.dataset, row.sample, row.status, row.tries, row.start_ns, row.last_byte_ns })
    assert.is_nil(json.decode(row.params).prompt)
  end)

  it("replays what is stored and sends nothing", function()
    assert(new { reply(200) }:ask(ask()))
    local one, client = new { reply(500) }
    local response = assert(one:ask(ask()))
    assert.same({ " 4", true, 1 }, { response.text, response.sent.replayed, response.sent.tries })
    assert.same({ 0, 1 }, { #client.sent, count() })
  end)

  it("replays a stream with its stamps", function()
    local body = 'data: {"choices":[{"text":"4","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    local first = (body:find("\n\n", 1, true))
    local streamed = reply(200, body)
    streamed.stamps = string.pack("<I4I8I4I8", first - 1, 2500, #body - 2, 4000)
    streamed.events = http.split_events(body, streamed.stamps)
    local one = new { streamed }
    local fresh = assert(one:ask(ask { stream = true }))
    local again = assert(new({})  :ask(ask { stream = true }))
    assert.equal(1500, fresh.timing.ttft_ns)
    assert.same(fresh.timing, again.timing)
    assert.equal("4", again.text)
  end)

  it("takes another question, prompt, sampling, repeat, turn, part or identity for another request", function()
    assert(new { reply(200) }:ask(ask()))
    local others = { { sample = "d/test/1" }, { dataset = "e" }, { prompt = { text = "2 + 3 =" } }, { repeat_index = 1 }, { turn = 1 },
      { part = 1 }, { sampling = { temperature = 0, seed = 2, max_tokens = 8 } }, { sampling = { temperature = 0, seed = 1,
        max_tokens = 9 } },
      { endpoint = "chat" }, { extra_body = { min_p = 0.1 } } }
    for _, fields in ipairs(others) do
      local one, client = new { reply(200, fields.endpoint and '{"choices":[{"message":{"content":"4"}}]}' or answered) }
      assert(one:ask(ask(fields)))
      assert.equal(1, #client.sent, json.encode(fields))
    end
    local one, client = new({ reply(200) }, { variant = { name = "v", identity = "another" } })
    assert(one:ask(ask()))
    assert.equal(1, #client.sent)
  end)

  it("takes another address, name served and nonce for the same request", function()
    assert(new { reply(200) }:ask(ask()))
    local one, client = new({ reply(500) }, { server = { base_url = "http://other:9/v1", unix_socket = "/x" }, headers = {} })
    assert(one:ask(ask { model = "served-otherwise" }))
    assert.equal(0, #client.sent)
  end)

  for status, sends in pairs { [400] = 1, [401] = 1, [403] = 1, [404] = 1, [422] = 1, [501] = 1, [500] = 2, [408] = 5, [409] = 5, [425] = 5,
    [429] = 5, [502] = 5, [503] = 5, [504] = 5 } do
    it(("sends %d times at HTTP %d"):format(sends, status), function()
      local one, client = new({ reply(status, '{"error":"no"}') }, { random = function() return 0.001 end })
      local response, err = one:ask(ask())
      assert.is_nil(response)
      assert.equal(sends, #client.sent)
      assert.same({ status >= 500 and "http_5xx" or "http_4xx", sends }, { err.outcome, err.tries })
      assert.equal(("HTTP %d: no"):format(status), err.text)
    end)
  end

  it("tries a 500 once more also after other failures", function()
    local one, client = new { reply(429, ""), reply(429, ""), reply(500, ""), reply(200) }
    assert(one:ask(ask()))
    assert.equal(4, #client.sent)
    one, client = new { reply(500, ""), reply(429, ""), reply(500, ""), reply(200) }
    assert.equal("http_5xx", select(2, one:ask(ask { sample = "d/test/1" })).outcome)
    assert.equal(3, #client.sent)
  end)

  it("tries a timeout once more and a broken reply as often as allowed", function()
    local one, client = new { failed "timeout" }
    assert.equal("timeout", select(2, one:ask(ask())).outcome)
    assert.equal(2, #client.sent)
    one, client = new { reply(200, "garbage") }
    assert.equal("protocol", select(2, one:ask(ask())).outcome)
    assert.equal(5, #client.sent)
  end)

  it("does not retry at all with retries = 0", function()
    local one, client = new({ reply(503) }, { retries = 0 })
    assert.is_nil((one:ask(ask())))
    assert.equal(1, #client.sent)
  end)

  -- Sleeps take no time, and the clock goes on by as much. → what fn returned, and the sleeps
  local function without_waiting(fn)
    local clock = require "qlua.core.clock"
    local waited, now_ns, sleep, clock_now = {}, clock.now_ns(), task.sleep, clock.now_ns
    task.sleep = function(ms)
      waited[#waited + 1] = ms
      now_ns = now_ns + math.ceil(ms * 1e6)
    end
    clock.now_ns = function() return now_ns end
    local ok, value = pcall(fn)
    task.sleep, clock.now_ns = sleep, clock_now
    assert(ok, value)
    return value, waited
  end

  it("waits as the server wishes, then with jitter", function()
    local one = new({ reply(429, "", { ["retry-after"] = "3" }), reply(429, "", { ["retry-after"] = "nonsense" }), reply(200) },
      { random = function() return 0.5 end })
    local response, waited = without_waiting(function() return one:ask(ask()) end)
    local spread = require("qlua.backoff").spread_ms / 2
    assert.same({ 3000 + retry.base_ms / 2 + spread, retry.base_ms + spread }, waited)
    assert.equal(3, response.sent.tries)
  end)

  it("holds every worker of the server back when one was told to wait, and no other server's", function()
    local server, other = { base_url = "http://h/v1" }, { base_url = "http://o/v1" }
    local refused = new({ reply(429, "", { ["retry-after-ms"] = "1500" }) }, { server = server, retries = 0 })
    local worker, elsewhere = new({ reply(200) }, { server = server }), new({ reply(200) }, { server = other })
    local _, waited = without_waiting(function()
      assert.is_nil((refused:ask(ask { sample = "d/test/1" })))
      refused.retries = 1
      assert.is_nil((refused:ask(ask { sample = "d/test/2" })))
      assert(elsewhere:ask(ask { sample = "d/test/3" }))
      assert(worker:ask(ask { sample = "d/test/4" }))
    end)
    -- the refused one's next question, its second try, and the worker that comes after it
    assert.same({ 1500, 1500, 1500 }, waited)
  end)

  it("lets no more in than the window is wide once a server has refused some", function()
    local concurrent = require "qlua.concurrent"
    local gate = require("qlua.backoff").new(2, function() return 0 end)
    local inside, most = 0, 0
    local function visit()
      assert.is_true(gate:enter(function() return false end))
      inside = inside + 1
      most = math.max(most, inside)
      task.sleep(1)
      inside = inside - 1
      gate:leave()
    end
    local function visit_all()
      most = 0
      local workers = {}
      for i = 1, 7 do workers[i] = concurrent.spawn(visit) end
      for _, worker in ipairs(workers) do worker.join() end
      return most
    end
    assert.equal(7, visit_all())
    gate:hold(1)
    assert.equal(2, visit_all())
    assert.same({ 0, 0 }, { gate.inside, #gate.waiting })
  end)

  it("ends the wait of all workers when the run is stopped", function()
    local concurrent = require "qlua.concurrent"
    local gate, is_stopped = require("qlua.backoff").new(1, function() return 0 end), false
    gate:hold(0)
    assert.is_true(gate:enter(function() return false end))
    local results, workers = {}, {}
    for i = 1, 3 do workers[i] = concurrent.spawn(function() results[i] = gate:enter(function() return is_stopped end) end) end
    task.sleep(1)
    is_stopped = true
    gate:leave()
    for _, worker in ipairs(workers) do worker.join() end
    assert.same({ false, false, false }, results)
  end)

  it("keeps a key that the server repeats out of what is stored and said", function()
    local secrets = require "qlua.secrets"
    secrets.remember "k-repeated-by-server/1"
    local text = '{"error":{"message":"bad key k-repeated-by-server/1 (k-repeated-by-server%2F1)","code":403}}'
    local one = new { reply(403, text, { ["x-echo"] = "k-repeated-by-server/1" }) }
    local _, err = one:ask(ask())
    assert.is_nil(err.text:find("repeated", 1, true))
    local row = store:one "SELECT * FROM request"
    local body = require("qlua.core.pack").unpack(row.body)
    assert.is_nil((body .. row.headers .. row.error_text):find("repeated", 1, true))
    assert.equal(#text, #body)
    assert.is_truthy(body:find("bad key", 1, true))
  end)

  it("tells who answered, also of a stored reply", function()
    local seen = {}
    local body = '{"model":"other","choices":[{"text":" 4","finish_reason":"stop"}]}'
    local observe = function(response, asked) seen[#seen + 1] = response.model .. " for " .. asked.model end
    assert(new({ reply(200, body) }, { observe = observe }):ask(ask()))
    assert(new({ reply(500) }, { observe = observe }):ask(ask()))
    assert.same({ "other for m", "other for m" }, seen)
  end)

  it("names a prompt that is too long, in 400, 413 and inside 200", function()
    local text = '{"error":{"message":"This model\'s maximum context length is 10 tokens","code":400}}'
    for i, given in ipairs { reply(400, text), reply(413, text), reply(200, text) } do
      local one, client = new { given }
      assert.equal("too_long", select(2, one:ask(ask { sample = "d/test/" .. i })).outcome)
      assert.equal(1, #client.sent)
    end
  end)

  it("never takes an error inside a 200 for an answer", function()
    local one = new { reply(200, '{"error":{"message":"engine died","code":500}}') }
    local response, err = one:ask(ask())
    assert.is_nil(response)
    assert.same({ "http_5xx", "the server says: engine died" }, { err.outcome, err.text })
    assert.equal(1, #store.db:rows "SELECT * FROM request WHERE error_kind = 'http'")
  end)

  it("asks again what ended in an error, and keeps one row", function()
    assert.is_nil((new({ reply(404, "{}") }):ask(ask())))
    local one, client = new { reply(200) }
    assert(one:ask(ask()))
    assert.same({ 1, 1 }, { #client.sent, count() })
  end)

  it("asks the supervisor when nobody answers", function()
    local asked = 0
    local server = { base_url = "http://h/v1", process = {}, is_alive = function() asked = asked + 1 return asked < 2 end }
    local one, client = new({ failed "connect" }, { server = server })
    local _, err = one:ask(ask())
    assert.equal("server_dead", err.outcome)
    assert.same({ 2, 2 }, { #client.sent, asked })
    one, client = new({ failed "connect" }, { server = { base_url = "http://h/v1", is_alive = function() return true end } })
    assert.equal("connect", select(2, one:ask(ask { sample = "d/test/1" })).outcome)
    assert.equal(5, #client.sent)
  end)

  it("gives a server that is not ours all its tries before it asks", function()
    local asked = 0
    local server = { base_url = "http://h/v1", is_alive = function() asked = asked + 1 return false end }
    local one, client = new({ failed "connect" }, { server = server })
    assert.equal("server_dead", select(2, one:ask(ask())).outcome)
    assert.same({ 5, 1 }, { #client.sent, asked })
  end)

  it("leaves no row of what was cancelled, before and during the wait", function()
    local one = new { failed "cancelled" }
    assert.equal("cancelled", select(2, one:ask(ask())).kind)
    local stopped = false
    one = new({ function() stopped = true return reply(503) end }, { is_stopped = function() return stopped end })
    assert.equal("cancelled", select(2, one:ask(ask())).kind)
    assert.equal(0, count())
  end)

  it("keeps an answer that came while the run was stopped", function()
    local one = new({ reply(200) }, { is_stopped = function() return true end })
    assert(one:ask(ask()))
    assert.equal(1, count())
  end)

  it("says whose fault it is when a dialect's read raises", function()
    local one, client = new({ reply(200) }, { dialect = { name = "bad", request = openai.request, read = function() error "oh" end } })
    local _, err = one:ask(ask())
    assert.equal("script_error", err.outcome)
    assert.matches("^bad: read: .*oh", err.text)
    assert.equal(1, #client.sent)
  end)

  it("keeps no key in the store", function()
    assert(new { reply(200) }:ask(ask()))
    assert.is_nil((new({ reply(401, '{"error":"Unauthorized"}') }):ask(ask { sample = "d/test/1" })))
    store:commit()
    for _, name in ipairs(file.list(dir)) do
      assert.is_nil((file.read(dir .. "/" .. name) or ""):find("secret-key-1234", 1, true), name)
    end
  end)
end)
