-- SPDX-License-Identifier: Apache-2.0
--- Keys, and what becomes of them: read, sent, hidden.
local file = require "qlua.core.file"
local keys = require "qlua.keys"
local launch = require "qlua.launch"
local notices = require "qlua.notices"
local secrets = require "qlua.secrets"

local dir = os.tmpname()
os.remove(dir)

local function variant_with(server)
  server.env, server.headers, server.query = server.env or {}, server.headers or {}, server.query or {}
  return { name = "v", server = server }
end

describe("keys", function()
  setup(function() assert(file.make_dir(dir)) end)

  it("come from a file that holds nothing else", function()
    local path = dir .. "/key"
    assert(file.write(path, "  sk-file-0123456789\n"))
    assert.equal("sk-file-0123456789", (keys.of(variant_with { api_key_file = path })))
    assert.is_nil((keys.of(variant_with {})))
    for text, want in pairs { ["two words\n"] = "got several words", [" \n"] = "got an empty file" } do
      assert(file.write(path, text))
      local key, err = keys.of(variant_with { api_key_file = path })
      assert.is_nil(key)
      assert.is_truthy(err.text:find(want, 1, true), err.text)
      assert.is_nil(err.text:find("words", 1, true) and err.text:find("two", 1, true)) -- never what the file holds
    end
    assert.matches("api_key_file: /nowhere", select(2, keys.of(variant_with { api_key_file = "/nowhere" })).text)
    assert.matches("exclude each other", select(2, keys.of(variant_with { api_key_file = path, api_key_env = "HOME" })).text)
    assert.matches("QLUA_NO_SUCH is not set", select(2, keys.of(variant_with { api_key_env = "QLUA_NO_SUCH" })).text)
  end)

  it("are made at random, each another", function()
    local one, other = keys.random(), keys.random()
    assert.matches("^%x+$", one)
    assert.equal(48, #one)
    assert.are_not.equal(one, other)
    assert.is_nil(secrets.hide_known(one):find(one, 1, true))
  end)

  it("of an address are known from then on", function()
    keys.headers({}, variant_with { base_url = "https://user:url-password-5@far.example/v1" })
    assert.equal("(hidden)", secrets.hide_known "url-password-5")
  end)

  it("of a header are known from then on", function()
    keys.headers({}, variant_with { headers = { ["X-Api-Key"] = "header-secret-77", accept = "text/plain-old" } })
    assert.equal("(hidden) text/plain-old", secrets.hide_known "header-secret-77 text/plain-old")
  end)
end)

describe("a value that is known", function()
  local key = "pa55/word+with=odd&signs"
  setup(function() secrets.remember(key) end)

  it("is hidden as it is, in JSON, in a URL, and in base64 of anything around it", function()
    for _, written in ipairs { key, 'pa55\\/word+with=odd&signs', "pa55%2Fword%2Bwith%3Dodd%26signs",
      "pa55%2fword%2bwith%3dodd%26signs" } do
      assert.equal("<(hidden)>", secrets.hide_known("<" .. written .. ">"))
    end
    local function base64(text)
      local proc = require "qlua.core.proc"
      return (assert(proc.run { argv = { "base64", "-w0" }, stdin = text }).stdout:gsub("%s", ""))
    end
    for _, around in ipairs { { "", "" }, { "user:", "" }, { "u:", "" }, { "us:", "" }, { "", "x" }, { "us:", "xy" }, { "abcd:", "z" } } do
      local coded = base64(around[1] .. key .. around[2])
      local hidden = secrets.hide_known("Basic " .. coded)
      assert.is_truthy(hidden:find(secrets.HIDDEN, 1, true), coded)
      -- what is left of it: at most the two signs at either end that its neighbours decide as well
      assert.is_true(#hidden - #"Basic " - #secrets.HIDDEN <= #base64(around[1]) + #base64(around[2]) + 6, hidden)
    end
  end)

  it("is masked in its length, so that offsets stay", function()
    local text = "a " .. key .. " b"
    local masked = secrets.hide_known(text, true)
    assert.equal(#text, #masked)
    assert.equal("a " .. ("*"):rep(#key) .. " b", masked)
  end)

  it("is hidden in tables, not in their keys; what is short is left alone", function()
    assert.same({ a = { "x(hidden)" }, n = 3 }, secrets.hide_all { a = { "x" .. key }, n = 3 })
    secrets.remember "abc"
    assert.equal("abc", secrets.hide_known "abc")
  end)

  it("need not be known where it looks like a key", function()
    assert.equal("key sk-************ was refused", secrets.hide "key sk-abcdef012345 was refused")
    assert.equal("Bearer ******", secrets.hide "Bearer x1y2z3")
    assert.equal("hf_********", secrets.hide "hf_AbCdEfGh")
    assert.equal("ask-me risk-free hf_x", secrets.hide "ask-me risk-free hf_x")
  end)
end)

describe("what is started", function()
  it("is printed as a shell would take it, keys hidden", function()
    local words = launch.words({ "vllm", "serve", "it's", "--api-key", "abc", "--name=x y" },
      { VLLM_API_KEY = "k", VLLM_PORT = false, A = "1 2", HF_TOKEN = "t" })
    assert.equal("env -u VLLM_PORT 'A=1 2' 'HF_TOKEN=(hidden)' 'VLLM_API_KEY=(hidden)'"
      .. " vllm serve 'it'\\''s' --api-key '(hidden)' '--name=x y'", table.concat(words, " "))
    assert.same({ "x" }, launch.words({ "x" }, {}))
  end)

  it("keeps loopback off proxies, whatever is there", function()
    local function env_with(known, own)
      return launch.environment({}, variant_with { env = own }, { B = "2" }, nil, function(name) return known[name] end)
    end
    assert.equal(launch.NO_PROXY, env_with({}).NO_PROXY)
    assert.equal("corp.example," .. launch.NO_PROXY, env_with({ NO_PROXY = "corp.example" }).NO_PROXY)
    assert.equal("localhost,127.0.0.1", env_with({ no_proxy = "localhost,127.0.0.1" }).no_proxy)
    assert.equal("PCI_BUS_ID", env_with({}).CUDA_DEVICE_ORDER)
    assert.is_nil(env_with({ CUDA_DEVICE_ORDER = "FASTEST_FIRST" }).CUDA_DEVICE_ORDER)
    assert.same({ "3", "x" }, { env_with({}, { B = "3" }).B, env_with({}, { NO_PROXY = "x" }).NO_PROXY })
    assert.equal("secret", launch.environment({ key_env = "K" }, variant_with {}, {}, "secret").K)
  end)

  it("trusts a pinned key without an authority, and both where both are named", function()
    assert.is_true(launch.transport(variant_with { pin = "sha256//x", insecure = false }, 4).insecure)
    assert.is_false(launch.transport(variant_with { pin = "sha256//x", ca_file = "ca.pem", insecure = false }, 4).insecure)
    assert.is_false(launch.transport(variant_with { insecure = false }, 4).insecure)
    assert.equal("?a=1&api-version=2024-10-21", launch.query(variant_with { query = { ["api-version"] = "2024-10-21", a = "1" } }))
    assert.equal("", launch.query(variant_with {}))
  end)
end)

describe("notices", function()
  local function codes(server, dialect)
    local list = {}
    for i, notice in ipairs(notices.of { variant = variant_with(server), dialect = dialect or {} }) do
      assert.is_string(notice.en)
      assert.is_string(notice.zh)
      list[i] = notice.code
    end
    return list
  end

  it("name a certificate that nobody checked, and a key in the open", function()
    assert.same({ "insecure" }, codes { base_url = "https://far.example/v1", insecure = true, api_key_env = "K" })
    assert.same({ "key_in_the_open" }, codes { base_url = "http://far.example/v1", api_key_env = "K" })
    assert.same({ "key_in_the_open" }, codes { base_url = "http://far.example:8000/v1", headers = { authorization = "x" } })
    assert.same({}, codes { base_url = "http://far.example/v1" })
    assert.same({}, codes { base_url = "http://127.0.0.1:8000/v1", api_key_env = "K" })
    assert.same({}, codes { base_url = "https://far.example/v1", api_key_env = "K" })
  end)

  it("name a model that was not asked for", function()
    assert.is_nil(notices.of_response({}, "m", { model = "m" }))
    assert.is_nil(notices.of_response({}, "m", {}))
    assert.equal("other_model", notices.of_response({}, "m", { model = "n" }).code)
    assert.is_nil(notices.of_response({ echoes = function() return true end }, "m", { model = "n" }))
  end)
end)
