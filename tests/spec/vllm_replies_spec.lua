-- SPDX-License-Identifier: Apache-2.0
-- What a real vLLM 0.25.1 answered (tests/cases/vllm_0_25_1), read by the dialect and by everything that reads its replies.
local builder = require "qlua.load.builder"
local choices = require "qlua.choices"
local events = require "qlua.load.events"
local failure = require "qlua.supervisor.failure"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local labels = require "qlua.scoring.labels"
local openai = require "qlua.openai"
local registry = require "qlua.registry"
local retry = require "qlua.retry"
local scoring = require "qlua.scoring"
local tokenizers = require "qlua.scoring.tokenizers"
local whole = require "qlua.scoring.whole"

local CASES = "tests/cases/vllm_0_25_1/"
local CONTEXT = "The capital of France is"
local IDS = { 307, 3732, 282, 7538, 309, 350 } -- and " A"
local cases, vllm

local function value_of(name) return assert(json.decode(cases[name].body)) end

local function reply_of(name)
  local one = cases[name]
  local reply = { status = one.status, headers = {}, body = one.body,
    marks = { queued_ns = 0, start_ns = 0, first_byte_ns = 1, last_byte_ns = 9 } }
  if one.request and one.request.stream then
    reply.events = {}
    for data in one.body:gmatch "data: ([^\n]*)\n\n" do
      reply.events[#reply.events + 1] = { at_ns = #reply.events + 1, data = data, done = data == "[DONE]" or nil }
    end
  end
  return reply
end

local function response_of(name)
  local response = assert(vllm.read(reply_of(name), { sse = cases[name].request.stream }))
  response.value = not cases[name].request.stream and value_of(name) or nil
  return response
end

-- As `qlua.sender` judges what is not 200.
local function judged(name)
  local message, code = openai.error_of(value_of(name))
  return retry.judge { kind = "http", status = cases[name].status, code = code, text = message,
    too_long = openai.is_too_long(message) }
end

describe("replies of vLLM 0.25.1", function()
  setup(function()
    cases = assert(json.decode(assert(file.read(CASES .. "replies.json"))))
    registry.configure {}
    vllm = assert(registry.load("server", "vllm"))
  end)

  it("are read as completions and conversations", function()
    local one = response_of "stops6"
    assert.same({ " called\n\nA", "length", 5, 4, "quiz", "vllm-0.25.1-2a622f0c" },
      { one.text, one.finish, one.usage.prompt_tokens, one.usage.completion_tokens, one.model, one.fingerprint })
    local chat = response_of "max_completion"
    assert.same({ "Din", "length", 2 }, { chat.text, chat.finish, chat.usage.completion_tokens })
    assert.equal("xqz7", response_of "choice".text) -- structured_outputs.choice holds
  end)

  it("are read as tokens", function()
    assert.same(IDS, tokenizers.prompt.read(value_of "tokenize").ids)
  end)

  it("score a choice the same by prompt_logprobs, by echoed ids and by echoed text", function()
    local ask = { ids = IDS, start = 5, context = CONTEXT, continuation = " A", options = {} }
    local by_id = assert(whole.prompt_logprobs.read(value_of "prompt_lp_ids", ask, response_of "prompt_lp_ids"))
    assert.same({ -7.234671592712402, 1, json.null }, { by_id.sum, by_id.tokens, by_id.values[1] })
    assert.equal(-19.978822708129883, by_id.values[2])
    local echoed = response_of "echo_ids"
    assert.equal(by_id.sum, assert(whole.echo_ids.read(echoed.value, ask, echoed)).sum)
    assert.equal(by_id.sum, assert(choices.sum(echoed, CONTEXT, " A", true)).sum)
    local other = setmetatable({ ids = { 307, 3732, 282, 7538, 309, 351 } }, { __index = ask })
    local none, err = whole.prompt_logprobs.read(value_of "prompt_lp_ids", other, echoed)
    assert.is_nil(none)
    assert.matches("lack its own id 351", err.text)
  end)

  it("are scored with nothing generated: echo and max_tokens 0", function()
    local one = response_of "echo_lp0_max0"
    assert.equal(CONTEXT, one.text)
    local sum = assert(choices.sum(one, "The capital of France", " is", true))
    assert.same({ -3.2251968383789062, 1 }, { sum.sum, sum.tokens })
  end)

  it("give labels among the candidates of a conversation, and bound those that are cut off", function()
    local given = labels.top_logprobs.read(nil, { labels = { "A", "B", "C", "D" } }, response_of "chat_top")
    local values = {}
    for i, label in ipairs(given) do values[i] = not label.bounded and label.logprob end
    assert.same({ -1.7999262809753418, -2.549926280975342, -4.674926280975342, -0.2999263107776642 }, values)
    for _, label in ipairs(assert(labels.top_logprobs.read(nil, { labels = { "A", "D" } }, response_of "top20"))) do
      assert.same({ true, -5.234671592712402 }, { label.bounded, label.logprob })
    end
  end)

  it("ignore logprob_token_ids without a word, which is seen", function()
    for name, ids in pairs { logprob_token_ids_lp1 = { 32, 33, 34, 35 }, chat_lti = { 32, 33 } } do
      assert.is_truthy(cases[name].request.logprob_token_ids)
      local values, err = labels.logprob_token_ids.read(value_of(name), { label_ids = ids })
      assert.is_nil(values)
      assert.matches("no log%-probability of token 32", err.text)
    end
  end)

  it("report a forced label as it was before the bias", function()
    local ask = { label_id = 32, label_text = "A" }
    assert.equal(-13.172171592712402, (labels.logit_bias.read(value_of "logit_bias", ask)))
    local none, err = labels.logit_bias.read(value_of "logit_bias", { label_id = 33, label_text = "B" })
    assert.is_nil(none)
    assert.matches('"B" was forced and "A" came', err.text)
  end)

  -- What the probe leaves of the dialect's means. The reply to the bias for D is that of `allowed_token_ids`, which forces it too.
  it("escalate labels cut off from the candidates to forcing each of them", function()
    local left = {}
    for _, name in ipairs(vllm.score.letter) do
      if name ~= "logprob_token_ids" then left[#left + 1] = name end
    end
    local job, sent = { model = "quiz", sender = { dialect = vllm } }, {}
    job.scoring = scoring.of(vllm, nil, { letter = left, loglikelihood = {} })
    function job.sender.ask(_, ask)
      local request = ask.request or vllm.request(ask)
      local body, name = request.body, "top20"
      if ask.mode == "tokenize" then
        local ids, label = { 307, 3732, 282, 7538, 309 }, body.prompt:match "is([AD])$"
        ids[6] = label and ({ A = 32, D = 35 })[label]
        return { value = { tokens = ids }, sent = { tries = 1 } }
      end
      if body.logit_bias then name = body.logit_bias["32"] and "logit_bias" or body.logit_bias["35"] and "allowed" end
      sent[#sent + 1] = name
      local response = response_of(name)
      response.sent = { tries = 1 }
      return response
    end
    local function new_ask(fields)
      local ask = { mode = "letter", prompt = { text = CONTEXT }, model = "quiz", sampling = {}, endpoint = "completions" }
      for key, value in pairs(fields) do ask[key] = value end
      return ask
    end
    local responses, given, facts = scoring.labels(job, { text = CONTEXT }, { "A", "D" }, "completions", new_ask)
    assert.is_truthy(responses, given and given.text)
    assert.same({ "top20", "logit_bias", "allowed" }, sent)
    assert.same({ { logprob = -13.172171592712402, bounded = false }, { logprob = -10.273734092712402, bounded = false } }, given)
    assert.same({ "logit_bias", true, true }, { facts.means, facts.was_cut, facts.is_escalated })
  end)

  it("are refusals that are known for what they are", function()
    assert.equal("too_long", (judged "too_long"))
    assert.equal("too_long", (judged "too_long_ids"))
    for _, name in ipairs { "unknown_model", "top21", "choice_misspelt", "n2_greedy" } do
      assert.same({ "http_4xx", 0 }, { judged(name) }, name)
    end
  end)

  it("need a guard where a server ignores what it is asked: the older guided_choice", function()
    assert.same({ 200, " called\n\nA. 10" }, { cases.guided_choice_old.status, response_of "guided_choice_old".text })
  end)
end)

describe("streams of vLLM 0.25.1", function()
  local function tokens(read)
    local list = {}
    for i, event in ipairs(read.list) do list[i] = ("%s:%s"):format(event.kind, event.tokens or "-") end
    return table.concat(list, " ")
  end

  it("are weighed by continuous usage", function()
    local read = events.read(reply_of "stream_chat_cont")
    assert.equal("role:0 content:1 content:1 content:1 content:1 usage:- done:-", tokens(read))
    assert.same({ "usage", "usage", 4, "Dinity of", "length" },
      { read.weight_source, read.count_source, read.completion_tokens, read.text, read.finish })
    assert.equal(16, read.usage.prompt_tokens)
    assert.same(events.read(reply_of "stream_chat_cont", { decode_all = true }), read)
  end)

  it("are weighed by token ids", function()
    local read = events.read(reply_of "stream_ids")
    assert.equal("role:- content:1 content:1 content:1 content:1 done:-", tokens(read))
    assert.same({ "token_ids", "token_ids", 4 }, { read.weight_source, read.count_source, read.completion_tokens })
  end)

  it("say nothing of an event's tokens where neither was asked for", function()
    local read = events.read(reply_of "stream_c")
    assert.is_nil(read.weight_source)
    assert.same({ 4, "usage", " called\n\nA" }, { read.completion_tokens, read.count_source, read.text })
  end)

  it("are read alike by the dialect", function()
    for _, name in ipairs { "stream_chat_cont", "stream_ids", "stream_c" } do
      local one = response_of(name)
      assert.equal(events.read(reply_of(name)).text, one.text)
      assert.same({ "length", 4 }, { one.finish, one.usage.completion_tokens })
    end
  end)
end)

describe("a load's requests", function()
  local function body_of(name, extra)
    local dialect = assert(registry.load("server", name))
    local build = builder.new { dialect = dialect, spec = {}, timeouts = {},
      server = { model = "m", base_url = "http://h/v1", headers = {} },
      variant = { generation = { max_tokens = 4 }, server = { extra_body = extra } } }
    return json.decode(build:request({ text = "x" }, {}).body)
  end

  it("ask for usage on every event where the server is known to understand that", function()
    for _, name in ipairs { "vllm", "sglang" } do
      assert.same({ include_usage = true, continuous_usage_stats = true }, body_of(name).stream_options)
    end
    assert.same({ include_usage = true }, body_of "external".stream_options)
  end)

  it("leave to the configuration what it says itself", function()
    local given = { include_usage = true, continuous_usage_stats = false }
    assert.same(given, body_of("vllm", { stream_options = given }).stream_options)
    local plain = { include_usage = true }
    assert.is_true(body_of("vllm", { stream_options = plain }).stream_options.continuous_usage_stats)
    assert.is_nil(plain.continuous_usage_stats) -- the configuration's own table stays as it is
    assert.is_nil(body_of("vllm", { stream_options = json.null }).stream_options)
  end)
end)

describe("logs of vLLM 0.25.1", function()
  it("show progress from the first import to the end", function()
    local last, longest, seen = nil, 0, {}
    for line in assert(file.read(CASES .. "start.log")):gmatch "[^\n]+" do
      local h, m, s = line:match " INFO %d+%-%d+ (%d+):(%d+):(%d+) "
      local at = h and tonumber(h) * 3600 + tonumber(m) * 60 + tonumber(s)
      for _, pattern in ipairs(vllm.progress) do
        if line:find(pattern, 1, true) then
          seen[pattern] = true
          if at and last then longest = math.max(longest, at - last) end
          last = at or last
        end
      end
    end
    for _, pattern in ipairs { "Resolved architecture", "Initializing a V1 LLM engine", "Loading model from scratch",
      "Loading weights took", "Model loading took", "torch.compile", "Available KV cache memory", "Capturing CUDA graph",
      "Graph capturing finished", "init engine", "Starting vLLM server", "Application startup complete" } do
      assert.is_true(seen[pattern], pattern)
    end
    assert.is_true(longest > 0 and longest <= 30, longest) -- the second process's imports take 22 s without a word
  end)

  it("explain why a start failed", function()
    for name, want in pairs { unknown_flag = "flag", wrong_quantization = "config", context_too_long = "config" } do
      local known, line = failure.find { dialect = vllm, log_path = CASES .. name .. ".log" }
      assert.is_truthy(known, name)
      assert.equal(want, known.kind, name)
      assert.is_truthy(line:find(known.pattern, 1, true))
    end
    assert.is_nil((failure.find { dialect = vllm, log_path = CASES .. "start.log" })) -- a good start explains no failure
  end)
end)
