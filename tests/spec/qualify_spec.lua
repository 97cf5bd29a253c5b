-- SPDX-License-Identifier: Apache-2.0
-- The probe against the simulated server in this process: each step holds where nothing is wrong, and fails alone.
local book = require "qlua.sim.book"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local plans = require "qlua.sim.plan"
local qualify = require "qlua.qualify"
local service = require "qlua.sim.service"

local ALL = { loglikelihood = { "echo_text", "prompt_logprobs", "echo_ids" },
  letter = { "top_logprobs", "logprob_token_ids", "logit_bias" } }

-- What the probe finds; `bend(path, value, count)` may change a decoded reply or return another status.
local function probed(quirks, options)
  options = options or {}
  local plan = assert(plans.check({ served_model = "m", quirks = quirks, max_model_len = 400 }, "test"))
  local answering = service.new(plan, assert(book.build(plan, error)))
  answering.server = { stats = function() return { running = 0 } end }
  local count, paths = 0, {}
  local client = { send = function(_, request)
    count = count + 1
    local path = request.url:match "^http://h(/.*)$"
    paths[path] = (paths[path] or 0) + 1
    local made = answering:answer { method = request.method, path = path, headers = {}, body = request.body }
    local reply = { status = made.status, headers = {}, body = made.body, marks = { start_ns = 0, last_byte_ns = 1 } }
    if options.bend and reply.status == 200 then
      local value = json.decode(reply.body)
      reply.status = options.bend(path, value, count, json.decode(request.body)) or 200
      reply.body = reply.status == 200 and json.encode(value) or '{"error":"bent"}'
    end
    return reply
  end }
  local dialect = { name = "d", request = openai.request, read = openai.read, tokenize = not options.no_tokenizer and "prompt" or nil,
    score = options.score or ALL }
  local variant = { name = "v", identity = "i", generation = { seed = 1 }, server = { extra_body = options.extra_body } }
  local server = { base_url = "http://h/v1", root_url = "http://h", model = "m", facts = { model_entry = { max_model_len = 400 } } }
  local record, err = qualify.run(server, { name = "v", variant = variant, dialect = dialect }, { client = client, timeouts = {},
    is_stopped = function() return false end, endpoint = options.endpoint or "completions", nonce = "n", level = options.level or "needed",
    modes = options.modes or { loglikelihood = true, letter = true } })
  return record or err.record, err, paths, server
end

local function status_of(record, name)
  for _, step in ipairs(record.steps) do
    if step.step == name then return step.status, step.text end
  end
end

describe("the qualification probe", function()
  it("passes a server that does nothing wrong, and keeps its noise floor and its tokenizer's hash", function()
    local record, err = probed(nil, { level = "full" })
    assert.is_nil(err)
    for _, name in ipairs { "tokenizer", "choices", "labels", "constraint", "model", "too_long", "noise" } do
      assert.equal("passed", (status_of(record, name)))
    end
    assert.same({ ALL.loglikelihood, ALL.letter }, { record.means.loglikelihood, record.means.letter })
    assert.matches("^%x+$", record.tokenizer_sha256)
    assert.same({ 0, 16 }, { record.noise.max_delta_nats, record.noise.repeats })
  end)

  it("is made once for each incarnation of a server", function()
    local record, _, _, server = probed()
    assert.equal(record, server.qualification)
    assert.equal(record, qualify.run(server, { name = "v", variant = {}, dialect = {} }, { level = "needed" }))
    assert.same({ steps = {}, means = {}, level = "off" }, qualify.run({}, { variant = {} }, { level = "off" }))
  end)

  it("asks only what the plan needs", function()
    local record, err, paths = probed(nil, { modes = { generate = true } })
    assert.is_nil(err)
    assert.is_nil((status_of(record, "choices")))
    assert.is_nil((status_of(record, "labels")))
    assert.is_nil((status_of(record, "constraint")))
    assert.is_true(paths["/v1/completions"] < 25)
    assert.equal(1, record.noise.texts)
  end)

  it("1: goes on without a tokenizer that does not give the server's own tokens", function()
    local record, err = probed(nil, { bend = function(path, value)
      if path == "/tokenize" then table.insert(value.tokens, 1, 1) end
    end })
    assert.is_nil(err)
    local status, text = status_of(record, "tokenizer")
    assert.equal("failed", status)
    assert.matches("gives 11 tokens where a prompt of the same text has 10", text)
    assert.is_true(record.means.no_tokenizer)
    assert.same({ { "echo_text" }, { "top_logprobs" } }, { record.means.loglikelihood, record.means.letter })
  end)

  it("2: refuses an echo without its first null, and one that is too short", function()
    local function echoed(change)
      local function bend(path, value, _, body)
        if path == "/v1/completions" and body.echo then change(value.choices[1].logprobs) end
      end
      local _, err = probed(nil, { score = { loglikelihood = { "echo_text" }, letter = { "top_logprobs" } }, bend = bend })
      return err
    end
    assert.matches("the first token of the prompt has a log%-probability", echoed(function(lists) lists.token_logprobs[1] = -1.5 end).text)
    assert.matches("echo gave", echoed(function(lists)
      for _, list in pairs(lists) do
        while #list > 5 do list[#list] = nil end
      end
    end).text)
  end)

  it("3: refuses a sum that is not that of next-token scoring, names it, and what works instead", function()
    local _, err = probed({ "shift_echo" }, { score = { loglikelihood = { "echo_text" }, letter = { "top_logprobs" } } })
    assert.equal("server", err.kind)
    assert.matches("mode loglikelihood cannot be had from this server: echo_text: 3 generated tokens score", err.text)
    assert.matches("mode letter %(by top_logprobs%)", err.hint)
  end)

  it("3: takes the next means of the list where the first does not hold", function()
    local record, err = probed({ "shift_echo" })
    assert.is_nil(err)
    assert.same({ "prompt_logprobs" }, record.means.loglikelihood)
  end)

  it("4: strikes out labels that are worth something else than as choices", function()
    local record, err = probed(nil, { bend = function(path, value, _, body)
      if path == "/v1/completions" and body.logprob_token_ids then
        local top = value.choices[1].logprobs.top_logprobs[1]
        for id in pairs(top) do top[id] = top[id] - 0.5 * (tonumber(id:match "%d+") % 3) end
      end
    end })
    assert.is_nil(err)
    assert.same({ "top_logprobs", "logit_bias" }, record.means.letter)
    for _, step in ipairs(record.steps) do
      if step.means == "logprob_token_ids" then assert.matches("nat more or less than by echo_text", step.text) end
    end
  end)

  it("4: refuses constant candidates, with the mode that is left", function()
    local _, err = probed({ "constant_logprobs" }, { modes = { letter = true } })
    assert.matches("mode letter cannot be had", err.text)
    assert.matches("what works here: mode generate;", err.hint)
  end)

  it("5: refuses a constraint of the configuration that is ignored, and no other", function()
    local constraint = { structured_outputs = { choice = json.array { "A", "B" } } }
    local _, err = probed({ "ignore_choice" }, { extra_body = constraint, modes = { generate = true } })
    assert.matches("structured_outputs is ignored", err.text)
    assert.is_nil(select(2, probed(nil, { extra_body = constraint, modes = { generate = true } })))
    local record
    record, err = probed({ "ignore_choice" }, { level = "full" })
    assert.is_nil(err)
    assert.equal("failed", (status_of(record, "constraint")))
  end)

  it("6: refuses replies of another model, and keeps whether any name is taken", function()
    local _, err = probed({ "other_model" }, { modes = { generate = true } })
    assert.matches("'m' was asked for and 'somebody%-elses%-model' replied", err.text)
    assert.equal("accepted", probed({ "any_model" }, { modes = { generate = true } }).unknown_model)
    assert.equal("refused", probed(nil, { modes = { generate = true } }).unknown_model)
  end)

  it("7: refuses a server that cuts prompts off", function()
    local _, err = probed({ "truncate" }, { modes = { generate = true } })
    assert.matches("a prompt of at least 464 tokens was accepted and only 399 read", err.text)
  end)

  it("8: measures how much repeats of one prompt differ", function()
    local record, err = probed(nil, { bend = function(path, value, count, body)
      if path == "/v1/completions" and body.echo then
        local list = value.choices[1].logprobs.token_logprobs
        list[#list - 1] = list[#list - 1] - 0.01 * (count % 2)
      end
    end })
    assert.is_nil(err)
    assert.near(0.01, record.noise.max_delta_nats, 1e-6)
  end)

  it("says what differs between two probes of one variant", function()
    local record = probed()
    assert.is_nil(qualify.difference(record, record))
    local other = json.decode(json.encode(record))
    other.means.loglikelihood = { "echo_ids" }
    assert.matches("was scored by echo_text, and now echo_ids is left", qualify.difference(record, other))
    other = json.decode(json.encode(record))
    other.tokenizer_sha256 = "0"
    assert.matches("tokenizer is another", qualify.difference(record, other))
  end)
end)
