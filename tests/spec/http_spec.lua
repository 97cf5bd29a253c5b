-- SPDX-License-Identifier: Apache-2.0
--- The HTTP binding against servers that openssl plays: plain replies, TLS with an authority of its own.
local clock = require "qlua.core.clock"
local core = require "qlua.core.http"
local http = require "qlua.http"
local task = require "qlua.core.task"

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  return pipe:close(), text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- A folder with an authority, a key, a certificate for 127.0.0.1 and files to serve; nil without openssl.
local function make_folder()
  local folder = os.tmpname()
  os.remove(folder)
  local script = ([[
    set -e; command -v openssl; mkdir -m 700 %q; cd %q
    req="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    $req -x509 -keyout ca.key -out ca.pem -subj /CN=test-authority
    $req -x509 -keyout other.key -out other.pem -subj /CN=other
    $req -keyout server.key -out server.csr -subj /CN=server
    printf 'subjectAltName=IP:127.0.0.1\n' > names
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
    openssl x509 -in server.pem -pubkey -noout | openssl pkey -pubin -outform der > key.der
    openssl dgst -sha256 -binary key.der | openssl base64 > pin
  ]]):format(folder, folder)
  local is_done, text = run("sh -c '" .. script:gsub("'", [['\'']]) .. "'")
  if not is_done then return nil, text end
  write(folder .. "/data.json", '{"a":[1,2],"text":"数学"}')
  write(folder .. "/events", 'HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n'
    .. 'data: {"n":1}\n\n: ping\n\nevent: x\ndata: a\ndata: b\n\ndata: [DONE]\n\ndata: cut')
  write(folder .. "/busy", 'HTTP/1.0 429 Too Many Requests\r\nRetry-After: 3\r\nX-A: 1\r\nX-a: 2\r\n\r\n'
    .. '{"error":"busy"}')
  return folder
end

-- `openssl s_server -HTTP` sends files that hold whole replies, `-WWW` plain files. Port 0 is the kernel's choice.
local function serve(folder, mode)
  local script = ("cd %q; exec openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key %s "
    .. ">log.%s 2>&1 </dev/null"):format(folder, mode, mode)
  local _, text = run("sh -c '" .. script .. " & echo $!'")
  local pid = assert(text:match "%d+", text)
  for _ = 1, 1000 do
    local file = io.open(folder .. "/log." .. mode)
    local port = file and file:read("a"):match "ACCEPT 127%.0%.0%.1:(%d+)"
    if file then file:close() end
    if port then return "https://127.0.0.1:" .. port, pid end
    task.sleep(10)
  end
  error("openssl s_server did not start")
end

describe("http", function()
  local folder, files, replies, pids, why

  setup(function()
    folder, why = make_folder()
    if not folder then return end
    pids = {}
    files, pids[1] = serve(folder, "-WWW")
    replies, pids[2] = serve(folder, "-HTTP")
  end)

  teardown(function()
    for _, pid in ipairs(pids or {}) do os.execute("kill " .. pid) end
    if folder then os.execute(("rm -rf %q"):format(folder)) end
  end)

  local function with_openssl(name, body)
    it(name, function()
      if not folder then
        pending("needs the openssl command: " .. tostring(why))
        return
      end
      body()
    end)
  end

  local function trusted(options)
    options = options or {}
    options.ca_file = folder .. "/ca.pem"
    options.total_ms = 30000 -- a test that hangs says nothing
    return options
  end

  with_openssl("asks over TLS and decodes the reply", function()
    local reply = assert(http.get(files .. "/data.json", trusted()))
    assert.equal(200, reply.status)
    assert.is_true(reply:is_ok())
    assert.same({ a = { 1, 2 }, text = "数学" }, reply:json())
    assert.is_nil(reply.events)
    local marks = reply.marks
    assert.is_true(marks.queued_ns <= marks.start_ns and marks.start_ns < marks.connect_ns)
    assert.is_true(marks.connect_ns <= marks.first_byte_ns and marks.first_byte_ns <= marks.last_byte_ns)
    assert.is_true(marks.last_byte_ns <= clock.now_ns())
  end)

  with_openssl("refuses a certificate that nobody it trusts has signed", function()
    for _, options in ipairs { {}, { ca_file = folder .. "/other.pem" } } do
      local reply, err = http.get(files .. "/data.json", options)
      assert.is_nil(reply)
      assert.equal("connect", err.kind)
      assert.matches("no tls connection: .*certificate", err.text)
      assert.matches("ca_file", err.hint)
    end
    assert.equal(200, assert(http.get(files .. "/data.json", { insecure = true })).status)
  end)

  with_openssl("says which file of authorities is missing", function()
    local _, err = http.get(files .. "/data.json", { ca_file = folder .. "/none.pem" })
    assert.equal("connect", err.kind)
    assert.matches("none.pem", err.text)
  end)

  with_openssl("checks a pinned key", function()
    local file = assert(io.open(folder .. "/pin"))
    local pin = file:read "l"
    file:close()
    assert(http.get(files .. "/data.json", trusted { pin = "sha256//" .. pin }))
    local _, err = http.get(files .. "/data.json", trusted { pin = "sha256//" .. ("A"):rep(43) .. "=" })
    assert.equal("connect", err.kind)
  end)

  with_openssl("gives a status, not an error, for a refusal", function()
    local reply = assert(http.get(replies .. "/busy", trusted()))
    assert.equal(429, reply.status)
    assert.is_false(reply:is_ok())
    assert.equal("3", reply:header "Retry-After")
    assert.equal("1, 2", reply.headers["x-a"])
    assert.same({ error = "busy" }, reply:json())
  end)

  with_openssl("splits an event stream, and splits what was stored the same way", function()
    local client <close> = assert(core.open { max_in_flight = 2, ca_file = folder .. "/ca.pem", sse = true })
    local reply = client:send { url = replies .. "/events" }
    assert.is_nil(reply.error)
    local events = reply.events
    assert.equal(4, #events)
    assert.equal('{"n":1}', events[1].data)
    assert.equal("a\nb", events[2].data)
    assert.equal("x", events[2].name)
    assert.is_true(events[3].done)
    assert.is_true(events[4].incomplete)
    assert.is_nil(events[3].incomplete)
    assert.equal(1, reply.comments)
    assert.equal(#reply.body, events[1].bytes + events[2].bytes + events[3].bytes + events[4].bytes)
    assert.equal(4 * 12, #reply.stamps)
    local end_offset, at_ns = ("<I4I8"):unpack(reply.stamps)
    assert.equal('{"n":1}', reply.body:sub(end_offset - 6, end_offset))
    assert.equal(events[1].at_ns, at_ns)
    assert.same(events, core.split_events(reply.body, reply.stamps))
    assert.same({}, core.split_events(reply.body, ""))
  end)

  with_openssl("waits for many at once", function()
    local got = 0
    task.park(function(wake)
      for _ = 1, 20 do
        task.spawn(function()
          local reply = http.get(files .. "/data.json", trusted())
          got = got + (reply and reply.status == 200 and 1 or 0)
          if got == 20 then wake() end
        end)
      end
    end)
    assert.equal(20, got)
  end)

  with_openssl("opens connections beforehand, and says how many stand", function()
    local client = assert(http.client(trusted { max_in_flight = 3 }))
    assert.equal(3, client:prewarm({ url = files .. "/data.json" }, 3))
    assert.equal(3, client:stats().connections)
    assert.equal(0, client:prewarm({ url = "http://127.0.0.1:1/" }, 2))
    client:close()
  end)

  with_openssl("writes a body to a file", function()
    local path = folder .. "/copy.json"
    local reply = assert(http.get(files .. "/data.json", trusted { sink_path = path }))
    assert.equal("", reply.body)
    local file = assert(io.open(path, "rb"))
    assert.equal('{"a":[1,2],"text":"数学"}', file:read "a")
    file:close()
    assert.equal(reply.sink_bytes, 27)
  end)

  it("returns nil and what happened when nobody is there", function()
    local reply, err, partial = http.get("http://127.0.0.1:1/v1/models")
    assert.is_nil(reply)
    assert.equal("connect", err.kind)
    assert.equal("http://127.0.0.1:1/v1/models: no connection: connection refused", err.text)
    assert.equal(err, partial.error)
    assert.equal("", partial.body)
  end)

  it("always gives the core's caller a reply", function()
    local client <close> = assert(core.open())
    for url, kind in pairs { ["http://127.0.0.1:1/"] = "connect", ["no url"] = "usage", ["ftp://x/"] = "usage" } do
      local reply = client:send { url = url }
      assert.equal(kind, reply.error.kind)
      assert.equal("", reply.body)
      assert.same({}, reply.headers)
      assert.is_nil(reply.status)
    end
    assert.equal("usage", client:send({}).error.kind)
    assert.equal(1, client:stats().done)
  end)

  it("raises for misuse, at the caller", function()
    assert.error_matches(function() http.get("http://x/", { foo = 1 }) end, "unknown field 'foo'")
    assert.error_matches(function() http.get("http://x/", { total_ms = -1 }) end, "'total_ms': want a whole number")
    assert.error_matches(function() http.get("http://x/", { total_ms = "soon" }) end, "'total_ms': want a whole number")
    assert.error_matches(function() http.get("http://x/", { headers = { a = "b\r\nc: d" } }) end, "want one line")
    assert.error_matches(function() http.get("http://x/", { headers = "a: b" }) end, "table")
    assert.error_matches(function() http.get("http://x/", { json = 1, body = "1" }) end, "exclude each other")
    assert.error_matches(function() http.get {} end, "'url': want a string, got table")
    assert.error_matches(function() core.open { max_in_flight = 0 } end, "want a number from 1")
    assert.error_matches(function() core.open { colour = 1 } end, "unknown field 'colour'")
    local client = assert(core.open {})
    client:close()
    client:close()
    assert.error_matches(function() client:send { url = "http://x/" } end, "closed")
  end)

  -- This server reads a POST and never answers it.
  with_openssl("cancels what is on its way and what waits behind it", function()
    local client <close> = assert(core.open { max_in_flight = 1, ca_file = folder .. "/ca.pem" })
    local answers = {}
    task.park(function(wake)
      for i = 1, 2 do
        task.spawn(function()
          answers[i] = client:send { url = replies .. "/busy", body = "{}" }
          if answers[1] and answers[2] then wake() end
        end)
      end
      task.spawn(function()
        while client:stats().in_flight < 1 do task.sleep(1) end
        assert(client:stats().queued == 1)
        client:cancel_all()
      end)
    end)
    assert.equal("cancelled", answers[1].error.kind)
    assert.equal("cancelled", answers[2].error.kind)
    assert.equal(0, client:stats().in_flight)
  end)

  with_openssl("gives up when the first byte does not come", function()
    local reply, err = http.post(replies .. "/busy", trusted { json = { q = 1 }, first_byte_ms = 50 })
    assert.is_nil(reply)
    assert.equal("timeout", err.kind)
    assert.matches("no first byte within 50 ms", err.text)
  end)

  it("knows the hosts that need no proxy", function()
    assert.is_true(core.is_loopback "127.0.0.1")
    assert.is_true(core.is_loopback "localhost")
    assert.is_false(core.is_loopback "example.com")
  end)

  it("makes query strings", function()
    assert.equal("a=x%20y&b=1&b=%E4%B8%AD", http.query { b = { 1, "中" }, a = "x y" })
    assert.equal("", http.query {})
  end)
end)
