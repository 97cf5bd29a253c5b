-- SPDX-License-Identifier: Apache-2.0
--- Servers that are not ours, as they are reached in earnest: TLS with a private authority, a pinned key, API keys, proxies, limits.
-- A gateway (tests/peers/gateway.py) stands before a simulated server; all of it is on loopback.
local file = require "qlua.core.file"
local outcomes = require "qlua.outcomes"
local pack = require "qlua.core.pack"
local proc = require "qlua.core.proc"
local secrets = require "qlua.secrets"
local support = require "support"
local task = require "qlua.core.task"

local KEY = "key/with+odd=signs-0123456789"

local has_peers = proc.run { argv = { "sh", "-c", "command -v python3 && command -v openssl" } }.code == 0

local folder, sim, running

local function sh(script)
  local result = support.command({ "sh", "-ec", script }, { cwd = folder })
  assert.equal(0, result.code, result.all)
  return result.out
end

-- An authority, and a certificate of it for the far host and for 127.0.0.1.
local function make_certificates()
  sh [[
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=private 2>&1
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout far.key -out far.csr -subj /CN=far.example.invalid 2>&1
    printf 'subjectAltName=DNS:far.example.invalid,IP:127.0.0.1' >far.ext
    openssl x509 -req -in far.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile far.ext -out far.pem 2>&1
  ]]
end

local function pin_of(certificate)
  return "sha256//" .. sh(("openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64")
    :format(certificate)):gsub("%s", "")
end

-- A gateway before the sim; `requests()` is what it was asked: { at_ms, role, target, status }.
local function gateway(words, key)
  local log = ("%s/gateway-%d.log"):format(folder, #running + 1)
  assert(file.write(log, ""))
  local argv = { "python3", support.root .. "/tests/peers/gateway.py", "--log", log, "--upstream", sim.root:match "//(.*)$" }
  table.move(words or {}, 1, #(words or {}), #argv + 1, argv)
  local process = assert(proc.spawn { argv = argv, env = { GATEWAY_KEY = key or false } })
  running[#running + 1] = process
  local port, tls_port = support.wait_until("the gateway listens", function()
    for _, line in ipairs(process:tail(5)) do
      local plain, tls = line:match "listening on (%d+) and with TLS on (%d+)"
      if plain then return plain .. " " .. tls end
    end
    if not process:alive() then error(table.concat(process:tail(20), "\n")) end
  end):match "(%d+) (%d+)"
  return { url = "http://127.0.0.1:" .. port, tls_url = "https://127.0.0.1:" .. tls_port, requests = function()
    local list = {}
    for at_ms, role, target, status in support.read(log):gmatch "(%d+) (%S+) (%S+) (%d+)\n" do
      list[#list + 1] = { at_ms = tonumber(at_ms), role = role, target = target, status = tonumber(status) }
    end
    return list
  end }
end

local function count_of(requests, role)
  local count = 0
  for _, request in ipairs(requests) do
    if request.role == role then count = count + 1 end
  end
  return count
end

-- A run of one variant at an address; `server` is YAML of its further fields.
local function run_at(url, server, options)
  options = options or {}
  local place = support.folder()
  local path = support.write(place .. "/config.yaml", ([[
model: { base_name: qlua-sim, variants: [ { name: far, base_url: %s/v1%s } ] }
data: %s
generation: { max_tokens: 512, seed: 1 }
benchmark: { concurrency: 4, num_warmup_iterations: 0, retries: 6, connect_timeout_s: 60 }
report: { language: both, layouts: [markdown, html] }
]]):format(url, server and ", " .. server or "", support.sample_data))
  return support.run(place, { "gsm8k", "--config", path, "--limit", tostring(options.limit or 4) }, { env = options.env })
end

local function assert_answered(run, count)
  assert.equal(0, run.code, run.all)
  local rows = support.rows(run.dir, "SELECT outcome, count(*) AS n FROM answer GROUP BY outcome ORDER BY 1")
  local answered = 0
  for _, row in ipairs(rows) do
    assert.are_not.equal("error", outcomes.class(row.outcome), row.outcome)
    answered = answered + row.n
  end
  assert.equal(count or 4, answered)
end

-- Every file below a folder, and what is compressed in its database.
local function texts_below(dir, found)
  found = found or {}
  for _, name in ipairs(assert(file.list(dir))) do
    local path = dir .. "/" .. name
    if file.stat(path).kind == "dir" then texts_below(path, found) else found[path] = support.read(path) end
  end
  if file.stat(dir .. "/run.db") then
    for i, row in ipairs(support.rows(dir, "SELECT body FROM request")) do
      found[("reply %d of %s"):format(i, dir)] = row.body and assert(pack.unpack(row.body)) or ""
    end
  end
  return found
end

local function places_of(key, texts)
  local places = {}
  for path, text in pairs(texts) do
    for _, form in ipairs(secrets.forms(key)) do
      if text:find(form, 1, true) then places[#places + 1] = path .. ": " .. form end
    end
  end
  return places
end

-- The arguments of every process of this machine while something runs.
local function arguments_while(is_running, visit)
  local most = 0
  while is_running() do
    local count = 0
    for _, pid in ipairs(assert(file.list "/proc")) do
      local handle = pid:find "^%d+$" and io.open(("/proc/%s/cmdline"):format(pid), "rb")
      if handle then
        local words = handle:read "a" or ""
        handle:close()
        if #words > 0 then
          count = count + 1
          visit(pid, words)
        end
      end
    end
    most = math.max(most, count)
    task.sleep(5)
  end
  return most
end

describe("a server that is not ours", function()
  if not has_peers then
    pending "skipped: it wants python3 and openssl"
    return
  end

  setup(function()
    folder, running = support.folder(), {}
    make_certificates()
    sim = support.sim { "--dataset", "gsm8k", "--data", support.sample_data, "--accuracy", "0.8" }
  end)
  teardown(function()
    for _, process in ipairs(running) do process:close() end
    if sim then sim.stop() end
    support.clean()
  end)

  local function tls_words() return { "--tls", folder .. "/far.pem", folder .. "/far.key" } end

  describe("behind TLS", function()
    local tls
    setup(function() tls = gateway(tls_words()) end)

    it("is refused while nobody vouches for it, and says what to do", function()
      local run = run_at(tls.tls_url)
      assert.equal(4, run.code, run.all)
      assert.matches("tls", run.err)
      assert.equal(0, #tls.requests())
    end)

    it("is trusted by its own authority", function()
      local run = run_at(tls.tls_url, "ca_file: " .. folder .. "/ca.pem")
      assert_answered(run)
      assert.is_nil(support.results(run.dir).notices)
    end)

    it("is trusted by its key alone, and by no other key", function()
      local run = run_at(tls.tls_url, "pin: '" .. pin_of "far.pem" .. "'")
      assert_answered(run)
      assert.is_nil(support.results(run.dir).notices)
      for _, more in ipairs { "", ", ca_file: " .. folder .. "/ca.pem" } do
        run = run_at(tls.tls_url, "pin: '" .. pin_of "ca.pem" .. "'" .. more)
        assert.equal(4, run.code, run.all)
        assert.matches("tls", run.err)
      end
    end)

    it("is asked unchecked only where that is said, and the report says so on top", function()
      local run = run_at(tls.tls_url, "insecure: true")
      assert_answered(run)
      assert.matches("NOT CHECKED", run.out)
      local notice = support.results(run.dir).notices[1]
      assert.same({ "far", "insecure" }, { notice.variant, notice.code })
      for _, name in ipairs { "md", "html" } do
        local page = support.read(("%s/reports/evaluation_report_both.%s"):format(run.dir, name))
        local said = assert(page:find("NOT CHECKED", 1, true), name)
        assert.is_truthy(page:find("未校验服务器证书", 1, true))
        local results = page:find("Accuracy", 1, true)
        assert.is_true(results == nil or said < results)
      end
      assert.matches("NOT CHECKED", support.qlua({ "report", run.dir, "--language", "en" }).out)
    end)
  end)

  describe("with an API key", function()
    local guarded, key_file
    setup(function()
      guarded = gateway({ "--limit", "2", "retry-after-ms", "100" }, KEY)
      key_file = support.write(folder .. "/key", KEY .. "\n")
    end)

    it("refuses a wrong one, and the error does not repeat it", function()
      local wrong = "wrong/key+0123456789"
      local run = run_at(guarded.url, "api_key_env: FAR_KEY", { env = { FAR_KEY = wrong } })
      assert.equal(4, run.code, run.all)
      assert.matches("refused the API key", run.err)
      assert.same({}, places_of(wrong, { output = run.all }))
      assert.same({}, places_of(wrong, texts_below(run.dir)))
    end)

    it("gets it from the environment or a file, and nothing of it is left anywhere", function()
      for _, case in ipairs { { "api_key_env: FAR_KEY", { FAR_KEY = KEY } }, { "api_key_file: " .. key_file } } do
        local run = run_at(guarded.url, case[1], { env = case[2] })
        assert_answered(run)
        local texts = texts_below(run.dir)
        local count = 0
        for _ in pairs(texts) do count = count + 1 end
        assert.is_true(count > 8, "too few files were looked through")
        texts.output = run.all
        assert.same({}, places_of(KEY, texts))
      end
      -- the refusals of the gateway repeated it: they are in the database, masked
      local run = run_at(gateway({ "--limit", "2", "retry-after-ms", "1" }, KEY).url, "api_key_file: " .. key_file)
      local events = support.rows(run.dir, "SELECT text FROM event WHERE kind = 'retry'")
      assert.is_true(#events >= 2)
      assert.matches("slow down, Bearer", events[1].text)
      assert.same({}, places_of(KEY, texts_below(run.dir)))
    end)

    it("says so where a header holds one", function()
      local run = run_at(guarded.url, "headers: { Authorization: 'Bearer " .. KEY .. "' }")
      assert_answered(run)
      assert.same({}, places_of(KEY, texts_below(run.dir)))
      local dry = support.qlua { "run", "gsm8k", "--config", run.dir .. "/../../config.yaml", "--dry-run" }
      assert.equal(0, dry.code, dry.all)
      assert.same({}, places_of(KEY, { output = dry.all }))
    end)

    it("is in no process's arguments while it runs", function()
      local place = support.folder()
      local path = support.write(place .. "/config.yaml", ([[
model: { base_name: qlua-sim, variants: [ { name: far, base_url: %s/v1, api_key_file: %s }, { name: own, engine: sim, port: null } ] }
data: %s
sim: { accuracy: { default: 0.7 }, latency: { ttft_ms: 20 } }
benchmark: { concurrency: 2, num_warmup_iterations: 0 }
]]):format(guarded.url, key_file, support.sample_data))
      local process = support.start { "run", "gsm8k", "--config", path, "--out", place .. "/results" }
      local seen, own_key = {}, nil
      local most = arguments_while(function() return process:alive() end, function(pid, words)
        if words:find(KEY, 1, true) then seen[#seen + 1] = words end
        if not own_key and words:find("%zsim%z") and words:find(place, 1, true) then
          local handle = io.open(("/proc/%s/environ"):format(pid), "rb")
          own_key = handle and handle:read("a"):match "QLUA_SIM_API_KEY=(%x+)"
          if handle then handle:close() end
        end
        if own_key and words:find(own_key, 1, true) then seen[#seen + 1] = words end
      end)
      assert.equal(0, process:wait(support.guard_ms).code, table.concat(process:tail(20), "\n"))
      process:close()
      assert.is_true(most > 1)
      assert.is_string(own_key, "the started server had no key of its own")
      assert.same({}, seen)
      assert.same({}, places_of(own_key, texts_below(place .. "/results")))
    end)
  end)

  describe("behind a proxy", function()
    local far = "http://far.example.invalid"

    for _, name in ipairs { "http_proxy", "HTTP_PROXY", "ALL_PROXY" } do
      it(("is asked through $%s"):format(name), function()
        local proxy = gateway()
        assert_answered(run_at(far, nil, { env = { [name] = proxy.url } }))
        local requests = proxy.requests()
        assert.is_true(#requests >= 4)
        assert.equal(#requests, count_of(requests, "proxy"))
        assert.matches("^http://far%.example%.invalid/v1/", requests[#requests].target)
      end)
    end

    it("is asked through a tunnel where there is TLS", function()
      local proxy = gateway(tls_words())
      assert_answered(run_at("https://far.example.invalid", "ca_file: " .. folder .. "/ca.pem", { env = { HTTPS_PROXY = proxy.url } }))
      local requests = proxy.requests()
      assert.is_true(count_of(requests, "tunnel") > 0)
      assert.equal(0, count_of(requests, "proxy"))
      assert.equal("far.example.invalid:443", requests[1].target)
    end)

    it("is not asked through it where $NO_PROXY names it", function()
      local proxy = gateway()
      local run = run_at(far, nil, { env = { http_proxy = proxy.url, NO_PROXY = "example.invalid" } })
      assert.equal(4, run.code, run.all)
      assert.equal(0, #proxy.requests())
    end)

    it("never sees what goes to this machine or over a UNIX socket", function()
      local proxy = gateway()
      local env = { http_proxy = proxy.url, HTTP_PROXY = proxy.url, https_proxy = proxy.url, ALL_PROXY = proxy.url }
      assert_answered(run_at(sim.root, nil, { env = env }))
      local place = support.folder()
      local path = support.config(place, { server = ("unix_socket: %s/s.sock"):format(place) })
      local run = support.run(place, { "gsm8k", "--config", path, "--limit", "4" }, { env = env })
      assert.equal(0, run.code, run.all)
      assert.equal(0, #proxy.requests())
    end)

    it("warns of a key that goes unencrypted", function()
      local proxy = gateway({}, KEY)
      local run = run_at(far, "api_key_env: FAR_KEY", { env = { http_proxy = proxy.url, FAR_KEY = KEY } })
      assert_answered(run)
      assert.equal("key_in_the_open", support.results(run.dir).notices[1].code)
      assert.matches("unencrypted", run.out)
    end)
  end)

  describe("with a limit", function()
    -- Two workers for each place in the window of 4, each of which may have had a reply in the batch that brought the refusal.
    local ON_THEIR_WAY, QUESTIONS = 16, 60

    for _, case in ipairs { { "Retry-After", "1", 1000 }, { "Retry-After", "date+3", 2000 }, { "retry-after-ms", "700", 700 } } do
      local header, value, least_ms = table.unpack(case)
      it(("holds all workers for what %s: %s says"):format(header, value), function()
        local limited = gateway { "--limit", "1", header, value }
        assert_answered(run_at(limited.url, nil, { limit = QUESTIONS }), QUESTIONS)
        local refused, early, later = nil, 0, 0
        for _, request in ipairs(limited.requests()) do
          if request.status == 429 then
            assert.is_nil(refused)
            refused = request.at_ms
          elseif refused and request.at_ms < refused + least_ms then
            early = early + 1
          elseif refused then
            later = later + 1
          end
        end
        assert.is_number(refused)
        assert.is_true(early <= ON_THEIR_WAY, early .. " requests came while all should wait")
        assert.is_true(later >= QUESTIONS - ON_THEIR_WAY)
      end)
    end
  end)

  it("is named where its replies are another model's", function()
    local rewriting = gateway { "--model", "somebody-else" }
    local run = run_at(rewriting.url)
    assert_answered(run)
    local notices = support.results(run.dir).notices
    assert.equal(1, #notices)
    assert.same({ "other_model", "far" }, { notices[1].code, notices[1].variant })
    assert.matches("asked for 'qlua%-sim', the replies say 'somebody%-else'", notices[1].en)
    assert.matches("somebody%-else", support.read(run.dir .. "/reports/evaluation_report_both.md"))
  end)
end)
