-- SPDX-License-Identifier: Apache-2.0
--- Starting a server, with what may go wrong on the way: which failures are tried again, and who is taken for ready.
local config = require "qlua.config"
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local openai = require "qlua.openai"
local plan = require "qlua.plan"
local proc = require "qlua.core.proc"
local registry = require "qlua.registry"
local socket = require "qlua.core.socket"
local supervisor = require "qlua.supervisor"
local sys = require "qlua.core.sys"

local dir = os.tmpname()
os.remove(dir)

local starts = 0

local function options_of(client, said, fields)
  local options = { client = client, log_path = dir .. "/server.log", config = {}, plan = {}, is_stopped = function() return false end,
    next_nonce = function()
      starts = starts + 1
      return ("bring%x-%d"):format(sys.pid(), starts)
    end,
    on_retry = function(err, what) said[#said + 1] = { what = what, text = err.text } end,
    wait_until_free = function()
      said.waited = (said.waited or 0) + 1
      return true
    end,
    write_file = function(name, text)
      assert(file.write(dir .. "/" .. name, text))
      return dir .. "/" .. name
    end }
  for key, value in pairs(fields or {}) do options[key] = value end
  return options
end

local function variant_of(server)
  local made = { host = "127.0.0.1", startup_timeout_s = 20, stop_grace_s = 5 }
  for key, value in pairs(server or {}) do made[key] = value end
  return { name = "one", model = "m", server = made, generation = {} }
end

local failures = {
  { pattern = "out of memory", kind = "memory", say = { en = "out of GPU memory", zh = "显存不足" } },
  { pattern = "unrecognized", kind = "flag", say = { en = "an unknown option", zh = "未知参数" } },
  { pattern = "in use", kind = "port", say = { en = "the port is in use", zh = "端口被占用" } },
}

local function shell(script, fields)
  local made = { name = "fake", request = openai.request, read = openai.read, failures = failures,
    start = function() return { argv = { "sh", "-c", script }, env = {} } end }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

local function with_client(fn)
  local client = http.open { max_in_flight = 4 }
  local ok, err = pcall(fn, client)
  client:close()
  if not ok then error(err, 0) end
end

local function failed(dialect, server, fields)
  local said, err = {}, nil
  with_client(function(client)
    local started
    started, err = supervisor.bring_up(dialect, variant_of(server), options_of(client, said, fields))
    assert.is_nil(started)
  end)
  return err, said
end

local function sim(client, changes)
  local path = dir .. "/sim.yaml"
  assert(file.write(path, "model: { base_name: simulated, variants: [ { name: one } ] }\n"
    .. "datasets: [ { name: gsm8k, num_samples: 3 } ]\nserver: { engine: sim, port: null, stop_grace_s: 5 }\n"))
  local made = assert(plan.make(assert(config.load(path, { set = {} })), { data_dir = "data/sample" }))
  local dialect = setmetatable(changes or {}, { __index = made.variants[1].dialect })
  return dialect, made.variants[1].variant, options_of(client, {}, { plan = made.for_dialect })
end

describe("a start that fails", function()
  setup(function()
    assert(file.make_dir(dir))
    registry.configure {}
  end)

  it("is tried once more, and counted", function()
    local err, said = failed(shell "echo 'something broke'; exit 1")
    assert.same({ "again" }, { said[1].what, said[2] and said[2].what })
    assert.matches("exited with status 1 before it was ready; its last lines:.*%(tried 2 times%)$", err.text)
    assert.equal(1, said.waited)
  end)

  it("is not tried again when the configuration is to blame", function()
    local err, said = failed(shell "echo 'vllm: error: unrecognized arguments: --x'; exit 2")
    assert.same({}, said)
    assert.equal("variant 'one': its server exited with status 2 before it was ready: an unknown option "
      .. "(vllm: error: unrecognized arguments: --x)", err.text)
  end)

  it("waits for the memory, and does not start when it stays taken", function()
    local busy = { kind = "server", text = "not free" }
    local err, said = failed(shell "echo 'CUDA out of memory'; exit 1", nil, { wait_until_free = function() return nil, busy end })
    assert.same({ "when_free", busy }, { said[1].what, err })
  end)

  it("takes the first reason of the log, not the last", function()
    local err = failed(shell "echo 'unrecognized arguments: --x'; i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; done; exit 1")
    assert.matches("an unknown option", err.text)
  end)

  it("succeeds the second time at another port", function()
    with_client(function(client)
      local ports, said = {}, {}
      local dialect, variant, options = sim(client)
      local real = dialect.start
      dialect.start = function(one, context)
        ports[#ports + 1] = context.port
        if #ports == 1 then return { argv = { "sh", "-c", "echo 'bind: address in use'; exit 1" }, env = {} } end
        return real(one, context)
      end
      dialect.failures = failures
      options.on_retry = function(_, what) said[#said + 1] = what end
      local server = assert(supervisor.bring_up(dialect, variant, options))
      assert.same({ "port" }, said)
      assert.is_true(ports[1] ~= ports[2])
      server:stop()
    end)
  end)

  it("is not tried again when time was up", function()
    local err, said = failed(shell "echo loading; sleep 1000", { startup_stall_s = 0.3, stop_grace_s = 0 })
    assert.same({}, said)
    assert.matches("made no progress for 0%.3 s", err.text)
  end)
end)

describe("a death while it is asked", function()
  it("is not explained by what the log said before it was ready", function()
    with_client(function(client)
      local dialect, variant, options = sim(client)
      local real = dialect.start
      dialect.failures = failures
      dialect.start = function(one, context)
        local made = real(one, context)
        return { argv = { "sh", "-c", "echo 'warning: one port is in use'; exec \"$@\"", "sh", table.unpack(made.argv) }, env = made.env }
      end
      local server = assert(supervisor.bring_up(dialect, variant, options))
      proc.kill(server.process:pid(), proc.stat(server.process:pid()).start)
      server.process:wait()
      assert.matches("was killed by signal 9 while it was asked", server:explain_death().text)
      assert.is_nil(server:explain_death().failure)
      server:stop()
    end)
  end)
end)

describe("a UNIX socket", function()
  it("that was left is taken away, another file is not", function()
    with_client(function(client)
      local dialect, variant, options = sim(client)
      variant.server.unix_socket = dir .. "/engine.sock"
      local left = assert(proc.run { argv = { "python3", "-c", "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
        variant.server.unix_socket } })
      if left.code == 0 then assert.is_truthy(file.stat(variant.server.unix_socket)) end
      local server = assert(supervisor.bring_up(dialect, variant, options))
      assert.equal("ours", server.facts.socket)
      server:stop()
      assert.is_nil((file.stat(variant.server.unix_socket)))
      assert(file.write(variant.server.unix_socket, "mine"))
      local started, err = supervisor.bring_up(dialect, variant, options)
      assert.is_nil(started)
      assert.matches("server.unix_socket: .*want a socket or nothing", err.text)
      assert.equal("mine", file.read(variant.server.unix_socket))
      file.remove(variant.server.unix_socket)
    end)
  end)
end)

describe("who is ready", function()
  it("listens with a socket of its own, and has a name that no other start has", function()
    with_client(function(client)
      local names = {}
      for i = 1, 2 do
        local dialect, variant, options = sim(client)
        local server = assert(supervisor.bring_up(dialect, variant, options))
        assert.equal("ours", server.facts.socket)
        assert.matches("^simulated#bring%x+%-%d+$", server.model)
        names[i] = server.model
        server:stop()
      end
      assert.is_true(names[1] ~= names[2])
    end)
  end)

  it("is not another server that answers at its address", function()
    with_client(function(client)
      local held = assert(socket.hold("127.0.0.1", 0))
      local port = held:port()
      held:close()
      local other = assert(proc.spawn { argv = { sys.exe(), "sim", "--port", tostring(port), "--served-model", "m" } })
      while #other:tail(5) < 2 do other:wait(20) end
      -- it says nothing and listens nowhere, and the other one is healthy
      local dialect = shell("sleep 1000", { health = "/health" })
      local variant = variant_of { stop_grace_s = 0 }
      local said = {}
      local options = options_of(client, said)
      local made = setmetatable({ start = function(_, context)
        context.port = port
        return { argv = { "sleep", "1000" }, env = {} }
      end }, { __index = dialect })
      options.on_spawn = function(server) -- as if the kernel had given the same port to both
        server.port, server.root_url = port, ("http://127.0.0.1:%d"):format(port)
        server.base_url = server.root_url .. "/v1"
      end
      local started, err = supervisor.bring_up(made, variant, options)
      other:close()
      assert.is_nil(started)
      assert.matches(("what answers on port %d is not the server that was started, but another one"):format(port), err.text)
      assert.equal("port", said[1].what)
    end)
  end)

  it("has no nonce in what makes an answer's identity", function()
    local dialect, variant, options = sim(nil)
    options.nonce = "x"
    local launch = supervisor.plan(dialect, variant, options)
    assert.is_nil(table.concat(launch.argv, " "):find("#", 1, true))
    assert.same(launch.argv, supervisor.plan(dialect, variant, options_of(nil, {}, { plan = options.plan })).argv)
  end)
end)
