-- SPDX-License-Identifier: Apache-2.0
local json = require "qlua.core.json"
local secrets = require "qlua.secrets"

describe("secrets", function()
  it("knows names that promise a secret, and leaves others alone", function()
    for _, name in ipairs { "Authorization", "x-api-key", "API_KEY", "HF_TOKEN", "OPENAI_KEY", "db-password", "Set-Cookie",
      "aws_secret_id" } do
      assert.is_true(secrets.is_name(name), name)
    end
    for _, name in ipairs { "max_tokens", "token_ms", "tokenizer", "keyboard", "server.api_key_env", "CUDA_VISIBLE_DEVICES", "port" } do
      assert.is_false(secrets.is_name(name), name)
    end
  end)

  it("hides the values of headers and environment, at any depth, in a copy", function()
    local config = { server = { headers = { Authorization = "Bearer s3cret", accept = "x" }, env = { HF_TOKEN = "s3cret", A = "1" },
      base_url = "https://me:s3cret@host/v1", extra_args = json.array { "--api-key", "s3cret", "--port", "1" }, api_key_env = "MY_KEY" } }
    config.model = { variants = json.array { { server = config.server } } }
    local written = secrets.config(config)
    assert.is_nil(json.encode(written):find("s3cret", 1, true))
    assert.same({ Authorization = "(hidden)", accept = "x" }, written.server.headers)
    assert.same({ HF_TOKEN = "(hidden)", A = "1" }, written.server.env)
    assert.equal("https://host/v1", written.server.base_url)
    assert.equal("MY_KEY", written.server.api_key_env) -- a name, not a key
    assert.equal('["--api-key","(hidden)","--port","1"]', json.encode(written.server.extra_args))
    assert.equal("s3cret", config.server.env.HF_TOKEN)
  end)

  for given, want in pairs {
    ["--set server.headers.authorization=s3cret"] = "--set server.headers.authorization=(hidden)",
    ["--set=server.env.HF_TOKEN=s3cret"] = "--set=server.env.HF_TOKEN=(hidden)",
    ["--api-key=s3cret x"] = "--api-key=(hidden) x",
    ["--api-key s3cret x"] = "--api-key (hidden) x",
    ["--hf-token s3cret"] = "--hf-token (hidden)",
    ["--url http://me:s3cret@h/v1"] = "--url http://h/v1",
    ["--url=http://me:s3cret@h/v1"] = "--url=http://h/v1",
    ["gsm8k --limit 5 --set generation.max_tokens=9"] = "gsm8k --limit 5 --set generation.max_tokens=9",
    ["--trust-key --port 1"] = "--trust-key --port 1",
    ["--url http://h/a@b"] = "--url http://h/a@b",
  } do
    it("writes " .. given .. " down", function()
      local words = {}
      for word in given:gmatch "%S+" do words[#words + 1] = word end
      local written = secrets.words(words)
      assert.equal(want, table.concat(written, " "))
      assert.equal(want:find("(hidden)", 1, true) ~= nil, secrets.is_hidden_in(written))
    end)
  end
end)
