-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local hostile_run = require "hostile_run"
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local sim = require "qlua.core.sim"
local sys = require "qlua.core.sys"
local text = require "qlua.core.text"
local view = require "qlua.view"

local scratch = ("%s/qlua-view-%d"):format(sys.env "TMPDIR" or "/tmp", sys.pid())

describe("qlua view", function()
  local run, server, port, client
  setup(function()
    assert(file.make_dir(scratch))
    hostile_run.write(scratch)
    run = assert(view.open(scratch, { language = "zh" }))
    server = assert(sim.serve({ host = "127.0.0.1", port = 0 }, function(request) return run:answer(request, port) end))
    port = server:port()
    client = http.open { max_in_flight = 4 }
  end)
  teardown(function()
    client:close()
    server:close()
    run:close()
    for _, name in ipairs(file.list(scratch) or {}) do file.remove(scratch .. "/" .. name) end
    file.remove(scratch)
  end)

  local function get(path, headers, method)
    local reply = client:send { url = ("http://127.0.0.1:%d%s"):format(port, path), method = method or "GET", headers = headers,
      total_ms = 60000, max_body_bytes = 64 << 20 }
    assert(not reply.error, reply.error and reply.error.text)
    return reply
  end

  it("serves the page, which may talk to its own server and to nobody else", function()
    local reply = get "/"
    assert.equal(200, reply.status)
    assert.equal("text/html; charset=utf-8", reply.headers["content-type"])
    assert.is_truthy(reply.body:find("connect-src 'self'", 1, true))
    assert.is_truthy(reply.body:find('data-language="zh"', 1, true))
    assert.is_nil(reply.body:find('id="data-samples"', 1, true))
    assert.equal("nosniff", reply.headers["x-content-type-options"])
    assert.is_truthy(reply.headers["content-security-policy"]:find("frame-ancestors 'none'", 1, true))
  end)

  it("gives the rows, and one sample's texts", function()
    local rows = assert(json.decode(get("/api/rows").body))
    assert.equal(12, #rows.rows)
    local one = assert(json.decode(get("/api/sample?dataset=hostile&sample=hostile%2Ftest%2F6&repeat=0").body))
    assert.equal(text.repair(hostile_run.replies[6]), one.answers[1].text)
    assert.is_truthy(one.question:find("Question 6", 1, true))
    assert.is_truthy(one.head:find("Example", 1, true))
  end)

  it("searches questions and replies", function()
    local function found(wanted) return assert(json.decode(get("/api/search?text=" .. wanted).body)) end
    assert.same({ { "hostile/test/11", 0 } }, found "%E4%B8%AD%E6%96%87")
    assert.same({ { "hostile/test/7", 0 } }, found "question%207")
    assert.same({}, found "nowhere+to+be+found")
  end)

  it("refuses requests that name another host", function()
    for _, host in ipairs { "evil.example", "evil.example:" .. port, "127.0.0.1.evil.example:" .. port, "127.0.0.1:1", "" } do
      assert.equal(403, run:answer({ method = "GET", path = "/", headers = { host = host } }, port).status)
    end
    assert.equal(403, run:answer({ method = "GET", path = "/", headers = {} }, port).status)
    for _, host in ipairs { "127.0.0.1:" .. port, "localhost:" .. port, "LOCALHOST:" .. port, "[::1]:" .. port } do
      assert.equal(200, run:answer({ method = "GET", path = "/api/rows", headers = { host = host } }, port).status)
    end
  end)

  it("knows a few paths, none of which is a file's", function()
    for _, path in ipairs { "/../run.db", "/run.db", "/%2e%2e/run.db", "/api/../../etc/passwd", "/api/sample", "/api/search",
      "/api/sample?dataset=hostile&sample=../../x", "//etc/passwd" } do
      assert.equal(404, get(path).status, path)
    end
  end)

  it("only answers", function()
    for _, method in ipairs { "POST", "PUT", "DELETE" } do assert.equal(405, get("/", nil, method).status) end
  end)

  it("sees what a run that goes on has added", function()
    local store = assert(require("qlua.run_store").open(scratch))
    store:open_session("2026-11-23T10:20:00Z", {})
    store:put_sample("hostile", { id = "hostile/test/12", index = 12, target = "1", row_sha256 = "r12", input = "q" }, "p1")
    store:put_answer { variant = "original", dataset = "hostile", sample = "hostile/test/12", repeat_index = 0, identity = "x",
      outcome = "correct", score = 1, value = "1", scores = {}, text = "added later", text_sha256 = "t", tries = 1, turns = 1 }
    store:commit()
    store:close()
    assert.equal(13, #assert(json.decode(get("/api/rows").body)).rows)
    assert.equal("added later", assert(json.decode(get("/api/sample?dataset=hostile&sample=hostile/test/12").body)).answers[1].text)
  end)

  it("is a command that prints its address and ends when it is told to", function()
    local process = assert(proc.spawn { argv = { sys.exe(), "view", scratch }, log = scratch .. "/view.log" })
    local address
    for _ = 1, 1200 do
      for _, line in ipairs(process:tail(5)) do address = address or line:match "http://127%.0%.0%.1:%d+/" end
      if address or process:wait(25) then break end
    end
    local reply = address and client:send { url = address .. "api/rows", method = "GET", total_ms = 60000 }
    local ended = process:stop { grace_ms = 30000 }
    assert.is_string(address)
    assert.equal(200, reply.status)
    assert.equal(0, ended.code)
  end)

  it("says what is wrong with a folder that is no run", function()
    local none, err = view.open(scratch .. "/nothing")
    assert.is_nil(none)
    assert.is_truthy(err.text:find("nothing", 1, true))
  end)
end)
