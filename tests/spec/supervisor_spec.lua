-- SPDX-License-Identifier: Apache-2.0
local config = require "qlua.config"
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local plan = require "qlua.plan"
local registry = require "qlua.registry"
local supervisor = require "qlua.supervisor"
local sys = require "qlua.core.sys"
local task = require "qlua.core.task"

local dir = os.tmpname()
os.remove(dir)

local function variant_of(server)
  local made = { host = "127.0.0.1", startup_timeout_s = 20, stop_grace_s = 5 }
  for key, value in pairs(server or {}) do made[key] = value end
  return { name = "one", model = "m", server = made, generation = {} }
end

local logs = 0

local function options_of(client, fields)
  logs = logs + 1
  local options = { client = client, log_path = ("%s/%d.log"):format(dir, logs), nonce = ("spec%x%d"):format(sys.pid(), logs), config = {},
    plan = {}, is_stopped = function() return false end, write_file = function(name, text)
      local path = dir .. "/" .. name
      assert(file.write(path, text))
      return path
    end }
  for key, value in pairs(fields or {}) do options[key] = value end
  return options
end

local function dialect_of(argv, fields)
  local made = { name = "fake", request = openai.request, read = openai.read, start = function() return { argv = argv, env = {} } end }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

local function shell(script, fields) return dialect_of({ "sh", "-c", script }, fields) end

local function with_client(fn)
  local client = http.open { max_in_flight = 4 }
  local ok, err = pcall(fn, client)
  client:close()
  if not ok then error(err, 0) end
end

local function failed_start(dialect, server, fields)
  local err
  with_client(function(client)
    local started
    started, err = supervisor.start(dialect, variant_of(server), options_of(client, fields))
    assert.is_nil(started)
  end)
  return err
end

-- The simulated server as a run would start it.
local function sim_of(sets)
  local path = dir .. "/sim.yaml"
  assert(file.write(path, "model: { base_name: simulated, variants: [ { name: one } ] }\n"
    .. "datasets: [ { name: gsm8k, num_samples: 3 } ]\nserver: { engine: sim, port: null, stop_grace_s: 5 }\n"))
  local made = assert(plan.make(assert(config.load(path, { set = sets or {} })), { data_dir = "data/sample" }))
  return made.variants[1].dialect, made.variants[1].variant, made.for_dialect
end

local function processes_with(nonce)
  local count = 0
  for _, pid in ipairs(file.list "/proc") do
    local handle = pid:match "^%d+$" and io.open("/proc/" .. pid .. "/environ", "rb")
    if handle then
      if (handle:read "a" or ""):find(nonce, 1, true) then count = count + 1 end
      handle:close()
    end
  end
  return count
end

describe("supervisor, a server of its own", function()
  setup(function()
    assert(file.make_dir(dir))
    registry.configure {}
  end)

  it("starts it, knows it, and leaves nothing of it", function()
    with_client(function(client)
      local dialect, variant, questions = sim_of()
      local options = options_of(client, { plan = questions })
      local server = assert(supervisor.start(dialect, variant, options))
      assert.equal("simulated#" .. options.nonce, server.facts.model_entry.id)
      assert.is_true(server.facts.startup_seconds > 0)
      assert.is_true(server:is_alive())
      assert.equal(1, processes_with(options.nonce))
      client:close()
      server:stop()
      server:stop() -- once more does nothing
      assert.equal(0, processes_with(options.nonce))
    end)
  end)

  it("says what a server that exits at once said last", function()
    local err = failed_start(shell "echo first; echo 'cannot load the model' >&2; exit 3")
    assert.equal("server", err.kind)
    assert.matches("variant 'one': its server exited with status 3 before it was ready; its last lines:", err.text)
    assert.matches("cannot load the model", err.text)
    assert.matches("the whole log is .*%.log", err.hint)
  end)

  it("says so also when the status is 0, and when a signal ended it", function()
    assert.matches("exited with status 0 before it was ready", failed_start(shell "exit 0").text)
    assert.matches("was killed by signal 9 before it was ready", failed_start(shell "kill -9 $$").text)
  end)

  it("explains a line that the dialect knows", function()
    local err = failed_start(shell("echo 'RuntimeError: CUDA out of memory. Tried'; exit 1", { failures = {
      { pattern = "CUDA out of memory", say = { en = "out of GPU memory", zh = "显存不足" } } } }))
    assert.equal("variant 'one': its server exited with status 1 before it was ready: out of GPU memory "
      .. "(RuntimeError: CUDA out of memory. Tried)", err.text)
  end)

  it("gives up on one that is never healthy, and ends it", function()
    local options = { nonce = "specnever" .. sys.pid() }
    local err = failed_start(shell "echo loading; sleep 1000 & sleep 1000", { startup_timeout_s = 0.3, stop_grace_s = 0.2 }, options)
    assert.matches("its server was not healthy after 0%.3 s; its last lines:\n    loading", err.text)
    assert.equal(0, processes_with(options.nonce))
  end)

  it("names a program that is not there", function()
    assert.matches("variant 'one': .*no%-such%-program", failed_start(dialect_of { "no-such-program" }).text)
  end)

  it("stops starting when the run is stopped", function()
    local polls, nonce = 0, "specstop" .. sys.pid()
    local err = failed_start(shell "sleep 1000", { stop_grace_s = 0.2 }, { nonce = nonce, is_stopped = function()
      polls = polls + 1
      return polls > 2
    end })
    assert.equal("cancelled", err.kind)
    assert.equal(0, processes_with(nonce))
  end)

  it("says that the port is taken before anything is started", function()
    with_client(function(client)
      local dialect, variant, questions = sim_of()
      local first = assert(supervisor.start(dialect, variant, options_of(client, { plan = questions })))
      local port = math.tointeger(tonumber(first.root_url:match "%d+$"))
      local started, err = supervisor.start(shell "exit 9", variant_of { port = port }, options_of(client))
      assert.is_nil(started)
      assert.matches(("variant 'one': port %d on 127.0.0.1: .*in use"):format(port), err.text)
      assert.matches("server%.port", err.hint)
      first:stop()
    end)
  end)

  it("refuses a server that serves another model", function()
    with_client(function(client)
      local dialect, variant, questions = sim_of()
      local other = setmetatable({ start = function(one, context)
        context.served_name = "someone-else"
        return dialect.start(one, context)
      end }, { __index = dialect })
      local options = options_of(client, { plan = questions })
      local started, err = supervisor.start(other, variant, options)
      assert.is_nil(started)
      assert.matches("does not serve .simulated#spec%x+. %(it serves: someone%-else%)", err.text)
      assert.equal(0, processes_with(options.nonce))
    end)
  end)

  it("says how a server died while it was asked", function()
    with_client(function(client)
      local dialect, variant, questions = sim_of()
      local server = assert(supervisor.start(dialect, variant, options_of(client, { plan = questions })))
      os.execute("kill -9 " .. server.process:pid())
      for _ = 1, 200 do
        if not server:is_alive() then break end
        task.sleep(10)
      end
      assert.is_false(server:is_alive())
      assert.matches("variant 'one': its server was killed by signal 9 while it was asked", server:explain_death().text)
      server:stop()
    end)
  end)

  it("keeps the words for a plan free of what differs between two starts", function()
    local dialect, variant, questions = sim_of()
    local launch = supervisor.plan(dialect, variant, { plan = questions })
    assert.equal("qlua", launch.argv[1])
    assert.same({ "--port", "PORT" }, { launch.argv[#launch.argv - 1], launch.argv[#launch.argv] })
    assert.matches("^one%.plan%.json:%x+$", launch.argv[4])
    assert.is_nil(supervisor.plan(dialect_of({}, { start = false }), variant, {}))
  end)
end)

describe("supervisor, a server of somebody else", function()
  local function reply(status, body) return { status = status, headers = {},
    body = type(body) == "table" and json.encode(body) or body or "",
    marks = { start_ns = 1, last_byte_ns = 2 } } end

  local good = { models = reply(200, '{"data":[{"id":"m"}]}'),
    completion = reply(200, '{"choices":[{"text":"2","finish_reason":"length"}],"system_fingerprint":"fp"}') }

  local function start(given, server)
    local urls = {}
    local client = { send = function(_, request)
      urls[#urls + 1] = request.url
      return request.url:find "/models$" and (given.models or good.models) or request.url:find "/version$" and (given.version or reply(404))
        or given.completion or good.completion
    end }
    local made = variant_of(server or { base_url = "http://h:1/v1" })
    local started, err = supervisor.start(dialect_of(nil, { start = false }), made, options_of(client, { endpoint = given.endpoint }))
    return started, err, urls
  end

  it("takes it as it is, and asks all its addresses below one", function()
    local server, _, urls = start({ version = reply(200, '{"version":"0.9"}') }, { base_url = "http://h:1/v1//" })
    assert.same({ "http://h:1/v1/models", "http://h:1/version", "http://h:1/v1/completions" }, urls)
    assert.same({ "0.9", "fp", "m" }, { server.facts.version, server.facts.fingerprint, server.facts.model_entry.id })
    assert.is_nil(server.process)
    server:stop()
  end)

  it("asks first as the run will ask", function()
    local _, err, urls = start { endpoint = "chat", completion = reply(200, '{"choices":[{"message":{"content":"2"}}]}') }
    assert.is_nil(err)
    assert.equal("http://h:1/v1/chat/completions", urls[3])
  end)

  it("takes a server without a list of models at its word", function()
    for _, models in ipairs { reply(404), reply(200, "garbage"), reply(200, "{}"), reply(200, '{"data":[]}'), reply(200,
      '{"data":[1,null,"x",{}]}') } do
      assert.is_truthy((start { models = models }))
    end
  end)

  for what, case in pairs {
    ["nobody there"] = { { models = { error = { kind = "connect", text = "refused" }, marks = {} } },
      "no server at http://h:1/v1: refused" },
    ["a key that is refused"] = { { models = reply(401) }, "refused the API key %(HTTP 401%)" },
    ["another model"] = { { models = reply(200, '{"data":[{"id":"x"},{"id":"y"}]}') }, "does not serve 'm' %(it serves: x, y%)" },
    ["a completion that is refused"] = { { completion = reply(404, '{"error":"Not Found"}') },
      "HTTP 404 from http://h:1/v1/completions: Not Found" },
    ["a completion that fails"] = { { completion = { error = { kind = "timeout", text = "too slow" }, marks = {} } },
      "first completion failed: too slow" },
    ["a completion that is no JSON"] = { { completion = reply(200, "<html>") }, "makes no sense: the reply is not JSON" },
    ["an error inside a 200"] = { { completion = reply(200, '{"error":{"message":"broken"}}') },
      "makes no sense: the server says: broken" },
  } do
    it("says so: " .. what, function()
      local server, err = start(case[1])
      assert.is_nil(server)
      assert.equal("server", err.kind)
      assert.matches(case[2], err.text)
    end)
  end

  it("names an environment variable that should hold the key and does not", function()
    local server, err, urls = start({}, { base_url = "http://h:1/v1", api_key_env = "QLUA_SPEC_NO_SUCH_KEY" })
    assert.is_nil(server)
    assert.equal("variant 'one': server.api_key_env: environment variable QLUA_SPEC_NO_SUCH_KEY is not set", err.text)
    assert.same({}, urls)
  end)

  it("lives as long as it answers", function()
    local server = start {}
    assert.is_true(server:is_alive())
    server.client = { send = function() return { error = { kind = "connect", text = "refused" } } end }
    assert.is_false(server:is_alive())
    assert.equal("variant 'one': no server at http://h:1/v1 any more", server:explain_death().text)
  end)
end)
