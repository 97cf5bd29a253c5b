-- SPDX-License-Identifier: Apache-2.0
-- Boundaries on a small byte-pair tokenizer that has the tokens of Qwen2's vocabulary which the rules are about, with their ids.
local boundary = require "qlua.scoring.boundary"
local json = require "qlua.core.json"
local labels = require "qlua.scoring.labels"
local openai = require "qlua.openai"
local scoring = require "qlua.scoring"
local steps = require "qlua.scoring.steps"
local tokenizers = require "qlua.scoring.tokenizers"
local whole = require "qlua.scoring.whole"

-- Longest match first: enough for these texts, and merges ":" with "A" as byte pairs do.
local VOCABULARY = { Answer = 16141, [":"] = 25, [" A"] = 362, A = 32, [" B"] = 425, B = 33, [":A"] = 55648, [" "] = 220, ["("] = 7,
  ["(A"] = 4346, ["**"] = 334, [":\n"] = 510, ["\n"] = 198, ["1"] = 16, ["2"] = 17, [" cat"] = 8251, [" the"] = 279, Q = 48 }

local function ids_of(text)
  local ids, at = {}, 1
  while at <= #text do
    local id, length
    for n = math.min(8, #text - at + 1), 1, -1 do
      id, length = VOCABULARY[text:sub(at, at + n - 1)], n
      if id then break end
    end
    assert(id, "no token at: " .. text:sub(at))
    ids[#ids + 1], at = id, at + length
  end
  return ids
end

describe("scoring.boundary", function()
  local function split(context, ...)
    local bare, wholes = context, {}
    for i, continuation in ipairs { ... } do
      local moved
      bare, moved = boundary.moved(context, continuation)
      wholes[i] = ids_of(bare .. moved)
    end
    local start, moved_back = boundary.split(ids_of(bare), wholes)
    if not start then return nil, moved_back end
    local own = {}
    for i, ids in ipairs(wholes) do own[i] = table.move(ids, start + 1, #ids, 1, {}) end
    return own, moved_back
  end

  it("knows the tokens that the rules are about", function()
    assert.same({ 16141, 25, 362 }, ids_of "Answer: A")
    assert.same({ 16141, 55648 }, ids_of "Answer:A")
    assert.same({ 16141, 510, 32 }, ids_of "Answer:\nA")
    assert.same({ 220, 16, 17 }, ids_of " 12")
  end)

  it("splits where the context's tokens end", function()
    local own, moved_back = split("Answer:", " A", " B")
    assert.same({ { { 362 }, { 425 } }, 0 }, { own, moved_back })
    assert.same({ { 32 }, { 33 } }, (split("Answer:\n", "A", "B")) and (split("Q", "A", "B")))
  end)

  it("moves the context's trailing spaces to the choice: ' A' is 362, not a lone space and 32", function()
    local own, moved_back = split("Answer: ", "A", "B")
    assert.same({ { { 362 }, { 425 } }, 0 }, { own, moved_back })
    assert.same({ "Answer:", "\nA" }, { boundary.moved("Answer:\n", "A") })
    assert.same({ "  ", "A" }, { boundary.moved("  ", "A") })
  end)

  it("begins one token earlier where a token spans the boundary, for all choices of the question", function()
    local own, moved_back = split("Answer:", "A", "B")
    assert.same({ { { 55648 }, { 25, 33 } }, 1 }, { own, moved_back })
    own, moved_back = split("(", "A", "B")
    assert.is_nil(own) -- nothing before it
    assert.matches("no token of the context", moved_back.text)
  end)

  it("refuses tokens that are not those of the context at all", function()
    local start, err = boundary.split({ 1, 2, 3 }, { { 1, 9, 9, 9 } })
    assert.is_nil(start)
    assert.same({ "protocol" }, { err.kind })
    assert.matches("only 1 of 3 are shared", err.text)
    assert.matches("choice 1 has no token", select(2, boundary.split({ 1, 2 }, { { 1, 2 } })).text)
  end)

  it("takes as the end of a context its last lines, of some length", function()
    assert.equal("D. four legs\nAnswer:", boundary.tail "Which?\nA. one\nD. four legs\nAnswer:")
    assert.equal("no line ends here", boundary.tail "no line ends here")
    local long = ("x"):rep(300)
    assert.equal(long .. "\nQ:", boundary.tail(long .. "\nQ:"))
  end)
end)

describe("means of a variant", function()
  local dialect = { tokenize = "prompt", score = { loglikelihood = { "prompt_logprobs", "echo_text" },
    own = { mine = { read = function() end } } } }
  local function variant(scoring_section) return { server = { scoring = scoring_section } } end

  it("are the dialect's, or those of the configuration, or what the probe left", function()
    assert.same({ "prompt_logprobs", "echo_text" }, scoring.of(dialect).loglikelihood)
    assert.same({ "top_logprobs" }, scoring.of(dialect).letter)
    assert.same({ "echo_ids" }, scoring.of(dialect, variant { loglikelihood = "echo_ids" }).loglikelihood)
    local left = scoring.of(dialect, nil, { loglikelihood = { "echo_text" }, no_tokenizer = true })
    assert.same({ "echo_text" }, left.loglikelihood)
    assert.is_nil(left.tokenizer)
    assert.equal(tokenizers.prompt, scoring.of(dialect).tokenizer)
  end)

  it("must be known by their names", function()
    assert.is_nil(scoring.problem(scoring.of(dialect)))
    assert.is_nil(scoring.problem(scoring.of(dialect, variant { letter = "mine" })))
    assert.matches("scoring.letter: want one of .*top_logprobs, got 'topp'",
      scoring.problem(scoring.of(dialect, variant { letter = "topp" })))
    assert.matches("got 'bias'", scoring.problem(scoring.of(dialect, variant { letter = "bias" })))
    assert.matches("scoring.tokenizer: want one of content, input, prompt, got 'prompts'",
      scoring.problem(scoring.of(dialect, variant { tokenizer = "prompts" })))
  end)
end)

-- ---- replies, as servers write them -------------------------------------------------------------------------

local function response_of(value)
  return assert(openai.read_value { body = json.encode(value), marks = { start_ns = 0, last_byte_ns = 1 } })
end

local function read(means, value, ask)
  local response = response_of(value)
  return means.read(response.value, ask, response)
end

local function refused(pattern, result, err)
  assert.is_nil(result)
  assert.equal("protocol", err.kind)
  assert.matches(pattern, err.text)
end

describe("scoring by prompt_logprobs", function()
  local ask = { ids = { 16141, 25, 362 }, start = 2 }
  local function reply(list)
    return { choices = json.array { { text = "x", prompt_logprobs = json.array(list) } }, usage = { prompt_tokens = 3 } }
  end
  local two = { ["25"] = { logprob = -2.31, rank = 4, decoded_token = ":" }, ["374"] = { logprob = -1.02, rank = 1 } }

  it("takes each token's own entry, by its id", function()
    local result = read(whole.prompt_logprobs, reply { json.null, two, { ["362"] = { logprob = -0.84, rank = 1 } } }, ask)
    assert.same({ -0.84, 1, -2.31 }, { result.sum, result.tokens, result.values[2] })
    local chat = { choices = json.array { { message = { content = "x" } } }, prompt_logprobs = json.array { json.null, two,
      { ["362"] = { logprob = -0.5 } } } }
    assert.equal(-0.5, read(whole.prompt_logprobs, chat, ask).sum)
  end)

  it("asks with ids and without echo", function()
    local base = openai.request { mode = "loglikelihood", prompt = { text = "Answer:" }, continuation = " A", model = "m" }
    local body = whole.prompt_logprobs.request(ask, base).body
    assert.same({ { 16141, 25, 362 }, 0, 1 }, { body.prompt, body.prompt_logprobs, body.max_tokens })
    assert.same({}, { body.echo, body.logprobs })
  end)

  it("refuses another number of entries, another token, no list and no number", function()
    refused("2 entries for 3 tokens", read(whole.prompt_logprobs, reply { json.null, two }, ask))
    refused("lack its own id 362", read(whole.prompt_logprobs, reply { json.null, two, { ["363"] = { logprob = -1 } } }, ask))
    refused("no prompt_logprobs", read(whole.prompt_logprobs, { choices = json.array { { text = "x" } } }, ask))
    refused("token 3 has no log%-probability", read(whole.prompt_logprobs, reply { json.null, two,
      { ["362"] = { logprob = json.null } } }, ask))
    refused("token 3 has no log%-probability", read(whole.prompt_logprobs, reply { json.null, two,
      { ["362"] = { logprob = 0.5 } } }, ask))
  end)
end)

describe("scoring by echo of ids", function()
  local ask = { ids = { 16141, 25, 279, 8251, 362 }, start = 3 }
  local function reply(values, usage)
    return { choices = json.array { { text = "x", logprobs = { token_logprobs = json.array(values) } } },
      usage = usage or { prompt_tokens = 5, completion_tokens = 1 } }
  end

  it("adds up the last tokens sent, and not the generated one", function()
    local result = read(whole.echo_ids, reply { json.null, -1, -2, -0.5, -0.25, -9 }, ask)
    assert.same({ -0.75, 2 }, { result.sum, result.tokens })
    assert.equal(-0.75, read(whole.echo_ids, reply({ json.null, -1, -2, -0.5, -0.25 }), ask).sum)
  end)

  it("refuses a server that ignores echo, adds a token, or knows no numbers", function()
    refused("echo gave 1 entries for 5", read(whole.echo_ids, reply { -3 }, ask))
    refused("does the server support echo", read(whole.echo_ids, { choices = json.array { { text = "x" } } }, ask))
    refused("it adds tokens of its own", read(whole.echo_ids, reply({ json.null, -1, -2, -3, -4, -5 }, { prompt_tokens = 6 }), ask))
    refused("same log%-probability", read(whole.echo_ids, reply { json.null, 0, 0, 0, 0, 0 }, ask))
  end)
end)

describe("scoring by a native endpoint", function()
  local ask = { ids = { 16141, 25, 279, 362 }, start = 2 }
  local function reply(list) return { text = "x", meta_info = { prompt_tokens = 4, input_token_logprobs = json.array(list) } } end
  local function entry(value, id) return json.array { value, id, json.null } end

  it("asks from the last token of the context on, and reads what follows it", function()
    local request = whole.generate_logprob.request(ask)
    assert.same({ "/generate", true, 1 }, { request.path, request.is_root, request.body.logprob_start_len })
    local result = read(whole.generate_logprob, reply { entry(json.null, 25), entry(-1.5, 279), entry(-0.5, 362) }, ask)
    assert.same({ -2, 2 }, { result.sum, result.tokens })
    result = read(whole.generate_logprob, reply { entry(json.null, 16141), entry(-7, 25), entry(-1.5, 279), entry(-0.5, 362) }, ask)
    assert.equal(-2, result.sum)
  end)

  it("refuses entries about other tokens, and too few", function()
    refused("not about id 279", read(whole.generate_logprob, reply { entry(json.null, 25), entry(-1, 280), entry(-1, 362) }, ask))
    refused("1 entries for the last 3", read(whole.generate_logprob, reply { entry(-1, 362) }, ask))
    refused("no meta_info", read(whole.generate_logprob, { text = "x" }, ask))
  end)

  it("reads labels by their ids", function()
    local value = { meta_info = { output_token_ids_logprobs = json.array { json.array { entry(-3, 425), entry(-0.25, 362) } } } }
    assert.same({ -0.25, -3 }, read(labels.token_ids_logprob, value, { label_ids = { 362, 425 } }))
    refused("no log%-probability of token 9", read(labels.token_ids_logprob, value, { label_ids = { 362, 9 } }))
  end)
end)

describe("labels", function()
  local ask = { label_ids = { 362, 425 }, labels = { " A", " B" }, options = {}, endpoint = "completions" }

  it("by logprob_token_ids, in both shapes", function()
    local value = { choices = json.array { { text = "x", logprobs = { tokens = json.array { "token_id:1" },
      token_logprobs = json.array { -0.1 },
      top_logprobs = json.array { { ["token_id:1"] = -0.1, ["token_id:425"] = -9, ["token_id:362"] = -8 } } } } } }
    assert.same({ -8, -9 }, read(labels.logprob_token_ids, value, ask))
    value.choices[1].logprobs = { content = json.array { { token = "token_id:1", logprob = -0.1, top_logprobs = json.array {
      { token = "token_id:362", logprob = -8 }, { token = "token_id:425", logprob = -9 } } } } }
    assert.same({ -8, -9 }, read(labels.logprob_token_ids, value, ask))
    value.choices[1].logprobs.content[1].top_logprobs[2] = nil
    refused("no log%-probability of token 425", read(labels.logprob_token_ids, value, ask))
    refused("next token", read(labels.logprob_token_ids, { choices = json.array { { text = "x" } } }, ask))
  end)

  it("by logit_bias: what was forced must have come", function()
    local function forced(token, id)
      return { choices = json.array { { text = token, logprobs = { content = json.array { { id = id, token = token,
        logprob = -8.56, top_logprobs = json.array {} } } } } } }
    end
    local one = { label_id = 362, label_text = " A", options = {} }
    assert.equal(-8.56, read(labels.logit_bias, forced(" A", 362), one))
    assert.equal(-8.56, read(labels.logit_bias, forced " A", one))
    refused("token 362 was forced and token 220 came", read(labels.logit_bias, forced(" ", 220), one))
    refused("was forced and", read(labels.logit_bias, forced " B", one))
    -- a token that is part of a character has no log-probabilities
    refused("next token", read(labels.logit_bias, { choices = json.array { { text = "", logprobs = json.null } } }, one))
  end)

  it("writes a bias as the server wants it", function()
    assert.equal('[[362,100]]', json.encode(labels.bias(362, { bias_form = "pairs" })))
    assert.equal('{"362":50}', json.encode(labels.bias(362, { bias = 50 })))
  end)

  it("are decided where the best of those listed beats what was cut off", function()
    assert.is_true(scoring.is_decided { { logprob = -1, bounded = false }, { logprob = -3, bounded = true } })
    assert.is_false(scoring.is_decided { { logprob = -3, bounded = false }, { logprob = -3, bounded = true } })
    assert.is_false(scoring.is_decided { { logprob = -3, bounded = true } })
  end)
end)

describe("labels of several texts", function()
  it("are worth the sum of their texts, and at most that of those cut off too", function()
    local ln = math.log
    local list = scoring.combined({ { logprob = ln(0.2), bounded = false }, { logprob = ln(0.3), bounded = false },
      { logprob = ln(0.4), bounded = false }, { logprob = ln(0.01), bounded = true }, { logprob = ln(0.01), bounded = true },
      { logprob = ln(0.01), bounded = true } }, { 1, 1, 2, 2, 3, 3 })
    assert.near(ln(0.5), list[1].logprob, 1e-12)
    assert.near(ln(0.2), list[1].alone, 1e-12)
    assert.is_nil(list[1].ceiling)
    assert.near(ln(0.4), list[2].logprob, 1e-12)
    assert.near(ln(0.41), list[2].ceiling, 1e-12)
    assert.same({ true, true }, { list[3].bounded, list[3].alone == nil })
    assert.near(ln(0.02), list[3].logprob, 1e-12)
    assert.is_true(scoring.is_decided(list))
    list[2].ceiling = ln(0.6)
    assert.is_false(scoring.is_decided(list))
  end)

  it("are left as they are where none is declared", function()
    local given = { { logprob = -1, bounded = false } }
    assert.equal(given, scoring.combined(given, nil))
  end)
end)

describe("scoring step by step", function()
  local ask = { before = { 1, 2 }, before_text = "Answer:", id = 362, text = " A", options = {} }
  local function legacy(own, logprob, top)
    return { choices = json.array { { text = own, logprobs = { tokens = json.array { own }, token_logprobs = json.array { logprob },
      top_logprobs = json.array { top } } } }, usage = { prompt_tokens = 2 } }
  end

  it("reads a forced token as it was before the bias", function()
    assert.equal(-4, read(steps.forced.force, legacy(" A", -4, { [" A"] = -4 }), ask))
    refused("was forced and", read(steps.forced.force, legacy(" B", -4, { [" B"] = -4 }), ask))
  end)

  it("takes what is among the likeliest, else names the likeliest", function()
    assert.equal(-4, (read(steps.stepwise.look, legacy(" B", -0.1, { [" B"] = -0.1, [" A"] = -4 }), ask)))
    local value, likeliest = read(steps.stepwise.look, legacy(" B", -0.1, { [" B"] = -0.1 }), ask)
    assert.is_nil(value)
    assert.same({ " B", -0.1 }, { likeliest.token, likeliest.logprob })
  end)

  it("finds the value from the distance to another token, whichever way the bias is reported", function()
    local response = response_of(legacy(" A", -1e-5, { [" A"] = -1e-5, [" B"] = -96.10001 })) -- after: p(A)/p(B) grew by e^100
    local likeliest = { token = " B", logprob = -0.1 }
    assert.near(-4, steps.stepwise.force.read(response.value, ask, response, likeliest), 1e-4)
    response = response_of(legacy(" A", -4, { [" A"] = -4, [" B"] = -0.1 })) -- before
    assert.equal(-4, steps.stepwise.force.read(response.value, ask, response, likeliest))
    response = response_of(legacy(" A", -4, { [" A"] = -4, [" C"] = -0.1 }))
    refused("does not list", steps.stepwise.force.read(response.value, ask, response, likeliest))
  end)

  it("finds the value of a token where the text would end, by a bias that grows", function()
    local creeping = setmetatable({ options = { bias_reported = "after" } }, { __index = ask })
    local ended = { choices = json.array { { text = "", finish_reason = "stop", logprobs = { tokens = json.array {},
      token_logprobs = json.array {}, top_logprobs = json.array {} } } }, usage = { prompt_tokens = 2 } }
    local value, likeliest = read(steps.stepwise.look, ended, creeping)
    assert.same({ nil, false }, { value, likeliest })
    refused("no log%-probability", nil, select(3, read(steps.stepwise.look, ended, ask))) -- not known how a bias is reported
    local response = response_of(ended)
    assert.is_nil(steps.stepwise.creep.read(response.value, creeping, response, 4))
    local p, bias = 0.001, 8 -- the end has the rest
    local biased = p * math.exp(bias) / (1 - p + p * math.exp(bias))
    response = response_of(legacy(" A", math.log(biased), { [" A"] = math.log(biased) }))
    assert.near(math.log(p), steps.stepwise.creep.read(response.value, creeping, response, bias), 1e-9)
  end)

  it("refuses a prompt that the server cuts into another number of tokens", function()
    local value = legacy(" A", -4, { [" A"] = -4 })
    value.usage.prompt_tokens = 3
    refused("the server reads 3 tokens where 2", read(steps.forced.force, value, ask))
  end)
end)

describe("tokenizers", function()
  it("read each shape and say what they wanted", function()
    assert.same({ 1, 2 }, tokenizers.prompt.read({ count = 2, tokens = { 1, 2 } }).ids)
    local pieces = tokenizers.content.read { tokens = { { id = 1, piece = "A" }, { id = 2, piece = { 228 } } } }
    assert.same({ { 1, 2 }, { "A", "\xE4" } }, { pieces.ids, pieces.texts })
    assert.same({ 5 }, tokenizers.content.read({ tokens = { 5 } }).ids)
    assert.same({ 7 }, tokenizers.input.read({ tokens = { 7 } }).ids)
    assert.equal("x", tokenizers.input.detokenize.read { text = "x" })
    for _, name in ipairs(tokenizers.names) do
      local tokens, problem = tokenizers[name].read {}
      assert.is_nil(tokens)
      assert.matches("want a list of token ids", problem)
    end
    assert.is_nil(tokenizers.prompt.read { tokens = { "a" } })
  end)
end)
