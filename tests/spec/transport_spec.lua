-- SPDX-License-Identifier: Apache-2.0
--- What a script sees of the transports: which it was, whose clock, waiting starts, counters, and the end of a program.
local clock = require "qlua.core.clock"
local core = require "qlua.core.http"
local core_file = require "qlua.core.file"
local http = require "qlua.http"
local proc = require "qlua.core.proc"
local sim = require "qlua.core.sim"
local sys = require "qlua.core.sys"

local server, url, seen

setup(function()
  server = assert(sim.serve({ host = "127.0.0.1" }, function(request)
    seen = request
    return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = '{"ok":true}' }
  end))
  url = ("http://127.0.0.1:%d/"):format(server:port())
end)
teardown(function() server:close() end)

describe("the transports", function()
  it("are chosen by what a request needs, or by name", function()
    local client = assert(http.client())
    assert.is_number(assert(client:get(url)).marks.sent_ns)
    assert.is_number(assert(client:get(url, { transport = "plain" })).marks.sent_ns)
    assert.is_nil(assert(client:get(url, { transport = "curl" })).marks.sent_ns)
    assert.is_nil(assert(client:get(url, { max_redirects = 3 })).marks.sent_ns)
    assert.has_error(function() client:get(url, { transport = "pigeon" }) end)
    local reply, err = client:get(url, { transport = "plain", max_redirects = 3 })
    assert.is_nil(reply)
    assert.matches("the plain transport cannot carry max_redirects", err.text)
    client:close()
  end)

  it("say whose clock they read", function()
    local reply = assert(http.get(url, { transport = "curl" }))
    assert.equal("user", reply.stamp_source)
    local source = assert(http.get(url, { transport = "plain" })).stamp_source
    assert.is_true(source == "kernel" or source == "user")
  end)

  it("send a client's defaults, and a request's own headers in their place", function()
    local client = assert(core.open { url = url, headers = { ["X-One"] = "1", ["X-List"] = { "a", "b" } } })
    collectgarbage()
    collectgarbage()
    assert.equal(200, client:send({}).status)
    assert.equal("1", seen.headers["x-one"])
    assert.equal(200, client:send({ headers = { ["X-Two"] = "2" } }).status)
    assert.equal("2", seen.headers["x-two"])
    assert.is_nil(seen.headers["x-one"])
    assert.equal(200, client:send({}).status)
    assert.equal("1", seen.headers["x-one"])
    client:close()
  end)

  it("start a request at its moment and count how late that was", function()
    local client = assert(http.client { max_in_flight = 1 })
    local due_ns = clock.now_ns() + 20000000
    local marks = assert(client:get(url, { start_at_ns = due_ns })).marks
    assert.equal(due_ns, marks.due_ns)
    assert.is_true(marks.queued_ns < due_ns and marks.start_ns >= due_ns)
    assert.is_nil(assert(client:get(url)).marks.due_ns)
    local stats = client:stats()
    assert.equal(1, stats.dispatch_lag.count)
    assert.equal(marks.start_ns - due_ns, stats.dispatch_lag.max_ns)
    assert.is_true(stats.dispatch_lag.p50_ns <= stats.dispatch_lag.max_ns)
    assert.equal(2, stats.done)
    assert.equal(stats.io_threads, #stats.threads)
    assert.is_true(stats.wakeups > 0 and stats.threads[1].wakeups > 0)
    client:close()
  end)

  it("name the threads for profilers", function()
    local client, names = assert(http.client()), {}
    assert.equal(200, assert(client:get(url)).status)
    for _, id in ipairs(assert(core_file.list "/proc/self/task")) do
      local comm = io.open("/proc/self/task/" .. id .. "/comm")
      if comm then -- else it has ended since
        names[comm:read "l" or ""] = true
        comm:close()
      end
    end
    assert.is_true(names["qlua-io-0"])
    client:close()
  end)

  it("have as many threads as were asked for before the first client, and end with the program", function()
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write(([[
      local http = require "qlua.http"
      http.set_io_threads(3)
      local client = assert(http.client())
      assert(client:get(%q).status == 200)
      assert(client:stats().io_threads == 3 and #client:stats().threads == 3)
      assert(not pcall(http.set_io_threads, 2))
      print "done" -- the client stays open
    ]]):format(url))
    file:close()
    local result = assert(proc.run { argv = { sys.exe(), "lua", script } })
    os.remove(script)
    assert.equal("done\n", result.stdout)
    assert.equal(0, result.code)
    assert.has_error(function() core.set_io_threads(0) end)
    assert.has_error(function() core.set_io_threads(65) end)
  end)
end)
