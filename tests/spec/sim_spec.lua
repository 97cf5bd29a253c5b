-- SPDX-License-Identifier: Apache-2.0
-- The simulated server's answers: what is planted, what the headline scorers make of it, vLLM's shapes, faults, and a
-- live server.

local ask = require "qlua.sim.ask"
local book = require "qlua.sim.book"
local chance = require "qlua.sim.chance"
local choices = require "qlua.choices"
local core = require "qlua.core.sim"
local evaluate = require "qlua.evaluate"
local file = require "qlua.core.file"
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local plans = require "qlua.sim.plan"
local registry = require "qlua.registry"
local service = require "qlua.sim.service"
local tasks = require "qlua.tasks"
local tokens = require "qlua.sim.tokens"
local truth = require "qlua.sim.truth"

-- A task as `qlua.tasks`.open gives it, from a table.
local function fake_task(mode, samples, make_prompt)
  return { name = "quiz", mode = mode, size = function() return #samples end,
    sample = function(_, i) return samples[i + 1] end,
    prompt = function(_, i) return make_prompt(samples[i + 1]), samples[i + 1] end }
end

local function sums(n)
  local samples = {}
  for i = 1, n do
    samples[i] = { id = "quiz/test/" .. i - 1, input = ("Bakers bring %d loaves and %d pies. How many things?"):format(i, 2 * i),
      target = tostring(3 * i) }
  end
  return fake_task("generate", samples, function(s) return { text = "Q: " .. s.input .. "\nA:", stop = { "Q:" } } end)
end

local ENDINGS = { "runs away.", "sits down on the old wooden bench and waits.", "eats.", "唱起歌来，大家都笑了。" }
local function endings(n, mode)
  local samples = {}
  for i = 1, n do samples[i] = { id = "quiz/test/" .. i - 1, input = "A cat number " .. i, target = (i * 7) % 4, choices = ENDINGS } end
  return fake_task(mode, samples, function(s)
    if mode == "letter" then return { text = s.input .. "\nAnswer:", continuations = { " A", " B", " C", " D" } } end
    local list = {}
    for k, text in ipairs(s.choices) do list[k] = " " .. text end
    return { text = s.input, continuations = list }
  end)
end

local function new_service(given, task)
  given.datasets = { { dataset = "quiz" } }
  local plan = assert(plans.check(given, "test"))
  local pages = assert(book.build(plan, function() return task end))
  local made = service.new(plan, pages)
  made.server = { stats = function()
    return { running = 3, waiting = 1, stopped = 5, cut = 2, cancelled = 0, late_p99_ns = 0, late_max_ns = 0 }
  end }
  return made, pages
end

local function post(made, path, body)
  return made:answer { method = "POST", path = path, headers = {}, body = type(body) == "string" and body or json.encode(body) }
end

local function answered(made, path, body)
  local plan = post(made, path, body)
  assert.equal(200, plan.status)
  return (json.decode(plan.body))
end

local MARKS = { start_ns = 0, last_byte_ns = 1 }

describe("sim chance and truth", function()
  it("draws the same numbers everywhere", function()
    assert.equal(chance.unit("a", 1), chance.unit("a", 1))
    assert.not_equal(chance.unit("a", 1), chance.unit("a", 2))
    assert.near(1.959963985, chance.normal_quantile(0.975), 1e-7)
    assert.near(-3.090232306, chance.normal_quantile(0.001), 1e-7)
  end)

  it("is right on its share, and two variants agree mostly", function()
    local plan = { seed = 7, variant = "a", invalid = truth.INVALID }
    local other = { seed = 7, variant = "b", invalid = truth.INVALID }
    local right, disagree, n = 0, 0, 4000
    for i = 1, n do
      local a = truth.outcome(plan, "d", "d/" .. i, 0.8, true) == "correct"
      local b = truth.outcome(other, "d", "d/" .. i, 0.8, true) == "correct"
      right = right + (a and 1 or 0)
      disagree = disagree + (a ~= b and 1 or 0)
    end
    assert.near(0.8, right / n, 0.03) -- 4.7 standard errors
    assert.is_true(disagree > 0.01 * n and disagree < 0.12 * n)
  end)

  it("takes what is invalid out of what is wrong", function()
    local plan = { seed = 7, variant = "a", invalid = { { name = "refused", share = 0.1 }, { name = "empty", share = 0.1 } } }
    local count = {}
    for i = 1, 4000 do
      local outcome = truth.outcome(plan, "d", "d/" .. i, 0.5, true)
      count[outcome] = (count[outcome] or 0) + 1
    end
    assert.near(400, count.refused, 100)
    assert.near(400, count.empty, 100)
    assert.near(2000, count.correct, 160)
  end)
end)

describe("sim tokens", function()
  local TEXTS = { "", "Hello world", "a  b\n\n\nc \n d", "答案是１８。", "international 12,345.67", "\tx\r\n", "\xff\xfe bad \xe4", (" "):rep(9) }

  it("loses no byte", function()
    for _, text in ipairs(TEXTS) do
      local pieces = tokens.pieces(text)
      assert.equal(text, table.concat(pieces))
      assert.equal(#pieces, tokens.count(text))
      local ids = {}
      for i, piece in ipairs(pieces) do
        assert.is_true(#piece >= 1 and #piece <= 8)
        ids[i] = tokens.id(piece)
      end
      assert.equal(text, tokens.text(ids))
    end
  end)

  it("has a boundary before each space", function()
    for _, context in ipairs { "Answer:", "He sat", "它是", "1 2", "end.\n", "x\n\n" } do
      local apart = tokens.count(context) + tokens.count(" A choice")
      assert.equal(apart, tokens.count(context .. " A choice"))
    end
  end)
end)

describe("sim scoring", function()
  -- Sums by the runner's own reader, so that offsets and counts are checked as well.
  local function sums_of(made, prompt, max_tokens)
    local scored = {}
    for i, continuation in ipairs(prompt.continuations) do
      local request = openai.request { mode = "loglikelihood", prompt = prompt, continuation = continuation, model = "qlua-sim" }
      request.body.max_tokens = max_tokens
      local plan = post(made, "/v1/completions", request.body)
      assert.equal(200, plan.status)
      local response = assert(openai.read({ body = plan.body, marks = MARKS }, request))
      scored[i] = assert(choices.sum(response, prompt.text, continuation))
    end
    return scored
  end

  local function winner(scored, length)
    local best
    for i, one in ipairs(scored) do
      local value = one.sum / length(i)
      if not best or value > best.value then best = { i = i, value = value } end
    end
    return best.i
  end

  it("lets the planned choice win by sum, characters, bytes and tokens", function()
    local made, pages = new_service({ accuracy = { default = 0.6 } }, endings(60, "loglikelihood"))
    local right = 0
    for _, question in ipairs(pages.questions) do
      local _, prompt = pages:choices(question)
      local scored = sums_of(made, prompt, 1)
      for _, length in ipairs { function() return 1 end, function(i) return utf8.len(ENDINGS[i]) end,
        function(i) return #ENDINGS[i] end, function(i) return scored[i].tokens end } do
        assert.equal(question.choice, winner(scored, length))
      end
      local target = (question.at + 1) * 7 % 4
      assert.equal(question.outcome == "correct", question.choice == target + 1)
      right = right + (question.outcome == "correct" and 1 or 0)
    end
    assert.is_true(right > 15 and right < 55)
  end)

  it("gives the same values for a letter as next token and by echo", function()
    local made, pages = new_service({ accuracy = { default = 0.6 } }, endings(20, "letter"))
    for _, question in ipairs(pages.questions) do
      local _, prompt = pages:choices(question)
      local scored = sums_of(made, prompt, 0)
      for _, endpoint in ipairs { "completions", "chat" } do
        local request = openai.request { mode = "letter", prompt = prompt, endpoint = endpoint, model = "qlua-sim" }
        local plan = post(made, "/v1" .. request.path, request.body)
        local response = assert(openai.read({ body = plan.body, marks = MARKS }, request))
        local labels = endpoint == "chat" and { "A", "B", "C", "D" } or prompt.continuations
        for i, label in ipairs(assert(choices.labels(response, labels))) do
          assert.is_false(label.bounded)
          assert.near(scored[i].sum, label.logprob, 1e-5)
        end
        assert.equal(labels[question.choice], response.text)
      end
    end
  end)

  it("scores unknown text the same at once and token by token", function()
    local made = new_service({}, sums(1))
    local text = "The capital of France is Paris"
    local whole = answered(made, "/v1/completions", { prompt = text, echo = true, max_tokens = 0, logprobs = 5 }).choices[1]
    assert.equal(json.null, whole.logprobs.token_logprobs[1])
    assert.equal(#tokens.pieces(text), #whole.logprobs.tokens)
    local context = "The capital of France is"
    local step = answered(made, "/v1/completions", { prompt = context, max_tokens = 1, logprobs = 20 }).choices[1]
    local echoed = answered(made, "/v1/completions", { prompt = context .. " A", echo = true, max_tokens = 0, logprobs = 0 })
    assert.near(echoed.choices[1].logprobs.token_logprobs[#tokens.pieces(context) + 1], step.logprobs.top_logprobs[1][" A"], 1e-6)
  end)

  it("echoes in vLLM's shape", function()
    local made = new_service({}, sums(1))
    local value = answered(made, "/v1/completions", { prompt = "Answer: é A", echo = true, max_tokens = 0, logprobs = 1,
      return_token_ids = true })
    local choice = value.choices[1]
    assert.same({ 0, 6, 7, 9 }, choice.logprobs.text_offset)
    assert.same({ "Answer", ":", " é", " A" }, choice.logprobs.tokens)
    assert.equal(json.null, choice.logprobs.top_logprobs[1])
    assert.equal(json.null, choice.prompt_logprobs[1])
    assert.same({ prompt_tokens = 4, completion_tokens = 1, total_tokens = 5, prompt_tokens_details = json.null }, value.usage)
    for i = 2, 4 do
      local entry = choice.prompt_logprobs[i][tostring(choice.prompt_token_ids[i])]
      assert.equal(choice.logprobs.tokens[i], entry.decoded_token)
      assert.equal(choice.logprobs.token_logprobs[i], entry.logprob)
    end
    local by_ids = answered(made, "/v1/completions", { prompt = choice.prompt_token_ids, echo = true, max_tokens = 0, logprobs = 1 })
    assert.same(choice.logprobs, by_ids.choices[1].logprobs)
  end)
end)

describe("sim questions that share prompts", function()
  it("have the outcome that the first one's answer makes of them", function()
    local samples = {}
    for i = 1, 40 do -- the same question in pairs, the second with another right answer; two endings are one text
      local texts = { "one way.", "another way.", i % 4 == 0 and "one way." or "a third way of doing it." }
      if i % 2 == 0 then texts[1 + i % 3] = "quite another way than any of the others, number " .. i end
      samples[i] = { id = "quiz/test/" .. i - 1, input = "Go " .. (i + 1) // 2, target = i % 3, choices = texts }
    end
    local task = fake_task("loglikelihood", samples, function(s)
      return { text = s.input, continuations = { " " .. s.choices[1], " " .. s.choices[2], " " .. s.choices[3] } }
    end)
    local made, pages = new_service({ accuracy = { default = 0.6 } }, task)
    for i, question in ipairs(pages.questions) do
      local best, best_sum
      for k, continuation in ipairs(task:prompt(i - 1).continuations) do
        local request = openai.request { mode = "loglikelihood", prompt = { text = samples[i].input },
          continuation = continuation, model = "qlua-sim" }
        local response = assert(openai.read({ body = post(made, "/v1/completions", request.body).body, marks = MARKS }, request))
        local sum = assert(choices.sum(response, samples[i].input, continuation)).sum
        local value = sum / (#continuation - 1)
        if not best or value > best.value then best = { k = k, value = value } end
        if not best_sum or sum > best_sum.value then best_sum = { k = k, value = sum } end
      end
      assert.same({ best.k, best_sum.k }, { question.choice, question.choice })
      assert.equal(best.k - 1 == samples[i].target and "correct" or "wrong", question.outcome)
    end
  end)

  it("are judged by the first one's text", function()
    local samples = {}
    for i = 1, 30 do samples[i] = { id = "quiz/test/" .. i - 1, input = "How many?", target = i == 2 and "2" or "1" } end
    local task = fake_task("generate", samples, function(s) return { text = s.input } end)
    local _, pages = new_service({ accuracy = { default = 1 } }, task)
    assert.equal("wrong", pages.questions[2].outcome)
    assert.equal("correct", pages.questions[3].outcome)
  end)
end)

describe("sim replies", function()
  local function outcomes_match(made, pages, scorers, endpoint, stream)
    for _, question in ipairs(pages.questions) do
      local prompt, sample = question.entry.task:prompt(question.at)
      if tostring(sample.target):find "/" then goto next_question end -- fractions are the scorer's own tests' matter
      local request = openai.request { mode = "generate", prompt = prompt, endpoint = endpoint, stream = stream, model = "qlua-sim",
        sampling = { temperature = 0, max_tokens = 256, stop = prompt.stop } }
      local plan = post(made, "/v1" .. request.path, request.body)
      local reply = { body = plan.body, marks = MARKS }
      if stream then
        reply.events = {}
        for i, data in ipairs(plan.events) do reply.events[i] = { data = data, at_ns = i } end
      end
      local response = assert(openai.read(reply, request))
      local judged = evaluate.response(scorers, response, sample)
      if judged.outcome ~= question.outcome then
        error(("%s: planned %s (%s, %s), got %s (%s):\n%s"):format(question.id, question.outcome, question.form and question.form.name,
          question.value, judged.outcome, judged.value, response.text))
      end
      ::next_question::
    end
  end

  local function scorer(name) return { assert(registry.load("scorer", name)) } end

  it("are scored as planned by the number scorer, in every form", function()
    local made, pages = new_service({ accuracy = { default = 0.5 }, invalid = 0.3 }, sums(400))
    outcomes_match(made, pages, scorer "number", "completions", false)
    outcomes_match(made, pages, scorer "number", "chat", true)
    local forms, outcomes = {}, {}
    for _, question in ipairs(pages.questions) do
      outcomes[question.outcome] = true
      if question.form then forms[question.form.name] = true end
    end
    for _, name in ipairs { "hash", "the_answer_is", "boxed", "bold", "note", "dollar", "chinese", "full_width" } do
      assert.is_true(forms[name], name)
    end
    for _, name in ipairs { "correct", "wrong", "no_answer", "refused", "truncated", "empty" } do
      assert.is_true(outcomes[name], name)
    end
  end)

  local function check_real(dataset, data_dir, scorer_name, limit)
    local plan = assert(plans.check({ accuracy = { default = 0.7 }, invalid = 0.2, datasets = { { dataset = dataset, data_dir = data_dir,
      mode = "generate", limit = limit } } }, "test"))
    local pages = assert(book.build(plan, tasks.open))
    local made = service.new(plan, pages)
    outcomes_match(made, pages, scorer(scorer_name), "completions", false)
  end

  it("are scored as planned on the sample set of gsm8k", function() check_real("gsm8k", "data/sample", "number") end)

  it("are scored as planned on all of gsm8k and cmath", function()
    if not file.stat "../shared/data/gsm8k/test.jsonl" then return pending "../shared/data is not there" end
    check_real("gsm8k", "../shared/data", "number")
    check_real("cmath", "../shared/data", "number")
  end)
end)

describe("sim protocol", function()
  local function error_of(path, body)
    local made = new_service({ max_model_len = 50 }, sums(1))
    local plan = post(made, path, body)
    local value = json.decode(plan.body)
    assert.equal(plan.status, value.error.code)
    return plan.status, value.error.type, value.error.message, value.error.param
  end

  it("says errors as vLLM does", function()
    local status, type, message = error_of("/v1/completions", { model = "other", prompt = "x" })
    assert.same({ 404, "NotFoundError", "The model `other` does not exist." }, { status, type, message })
    status, type, message = error_of("/v1/completions", { prompt = ("word "):rep(40), max_tokens = 20 })
    assert.equal(400, status)
    assert.equal("BadRequestError", type)
    assert.equal("You passed 41 input tokens and requested 20 output tokens. However, the model's context length is only 50 tokens, "
      .. "resulting in a maximum input length of 30 tokens. Please reduce the length of the input prompt.", message)
    assert.is_true(openai.is_too_long(message))
    status, type = error_of("/v1/completions", "{")
    assert.same({ 400, "Bad Request" }, { status, type })
    status, type, message = error_of("/v1/chat/completions", { model = "qlua-sim" })
    assert.same({ 400, "Bad Request" }, { status, type })
    assert.equal("[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}]", message)
    status, type, message = error_of("/v1/completions", { prompt = "x", logprobs = 21 })
    assert.same({ 400, "BadRequestError" }, { status, type })
    assert.equal("Requested sample logprobs of 21, which is greater than max allowed: 20", message)
    assert.equal(404, (error_of("/v1/nothing", {})))
    assert.equal(405, (error_of("/v1/models", {})))
  end)

  it("asks for its key where vLLM does, and says no in vLLM's own way", function()
    local made = new_service({}, sums(1))
    made.api_key = "secret"
    local function get(path, key)
      return made:answer { method = "GET", path = path, body = "", headers = { authorization = key and "Bearer " .. key } }
    end
    assert.equal(401, get("/v1/models").status)
    assert.equal('{"error":"Unauthorized"}', get("/v1/models", "wrong").body)
    assert.equal(200, get("/v1/models", "secret").status)
    assert.equal(200, get("/health").status)
  end)

  it("ignores what it does not know", function()
    local made = new_service({}, sums(1))
    assert.equal("text_completion", answered(made, "/v1/completions", { prompt = "x", guided_choice = { "a" }, frobnicate = 1 }).object)
  end)

  it("streams role, tokens, finish, usage and the end", function()
    local made = new_service({}, sums(1))
    local plan = post(made, "/v1/chat/completions", { messages = { { role = "user", content = "hi" } }, max_tokens = 3, stream = true,
      stream_options = { include_usage = true } })
    assert.equal("text/event-stream; charset=utf-8", plan.headers["Content-Type"])
    local events = {}
    for i, text in ipairs(plan.events) do events[i] = text == "[DONE]" and text or assert(json.decode(text)) end
    assert.equal(7, #events)
    assert.same({ role = "assistant", content = "" }, events[1].choices[1].delta)
    assert.equal("length", events[5].choices[1].finish_reason)
    assert.same({ completion_tokens = 3, prompt_tokens = 10 - 1, total_tokens = 12, prompt_tokens_details = json.null }, events[6].usage)
    assert.equal("[DONE]", events[7])
  end)

  it("stops where it is told", function()
    local made = new_service({}, sums(1))
    local choice = answered(made, "/v1/completions", { prompt = "tell me", max_tokens = 60, stop = { "i" } }).choices[1]
    assert.equal("stop", choice.finish_reason)
    assert.equal("i", choice.stop_reason)
    assert.is_nil(choice.text:find("i", 1, true))
  end)

  it("finds a question asked as text, as a message and in turns", function()
    local task = sums(3)
    local _, pages = new_service({}, task)
    local text = task:prompt(1).text
    assert.equal("quiz/test/1", pages:find(text).id)
    local wanted = ask.chat({ messages = { { role = "user", content = { { type = "text", text = text } } } } }, "qlua-sim")
    assert.equal("quiz/test/1", pages:find(wanted.prompt).id)
    assert.is_nil(pages:find(text .. " "))
  end)
end)

describe("sim plan and faults", function()
  it("says what is wrong with a plan", function()
    local function wrong(given)
      local _, err = plans.check(given, "p.json")
      assert.equal("config", err.kind)
      return err.text, err.hint
    end
    assert.equal("p.json: accuracy.gsm8k want a share from 0 to 1, got 2", (wrong { accuracy = { gsm8k = 2 } }))
    local text, hint = wrong { datasets = { { dataste = "gsm8k" } } }
    assert.equal("p.json: datasets[0].dataste is not known", text)
    assert.matches("dataset", hint)
    assert.matches('faults%[0%].kind want one of .*, got "rset"', (wrong { faults = { { kind = "rset" } } }))
  end)

  it("reads faults as people write them", function()
    assert.same({ kind = "http", status = 429, share = 0.02 }, plans.fault_of "429:0.02")
    assert.same({ kind = "stall", share = 0.5, stall_ms = 50, after_events = 3 }, plans.fault_of "stall:0.5:stall_ms=50,after_events=3")
    assert.same({ kind = "rst" }, plans.fault_of "rst")
  end)

  it("harms a prompt once, so that a retry succeeds", function()
    local made = new_service({ faults = { { kind = "http", status = 500, share = 0.9 } } }, sums(0))
    local first = 0
    for i = 1, 50 do
      if post(made, "/v1/completions", { prompt = "p" .. i }).status == 500 then
        first = first + 1
        assert.equal(200, post(made, "/v1/completions", { prompt = "p" .. i }).status)
      end
    end
    assert.near(45, first, 12)
  end)

  it("hits the share of attempts it was told, and notes each", function()
    local made, pages = new_service({ faults = { { kind = "http", status = 429, share = 0.2, retry_after = 1, again = true } } }, sums(0))
    local noted = 0
    pages.note = function() noted = noted + 1 end
    local hit = 0
    for i = 1, 1000 do
      local plan = post(made, "/v1/completions", { prompt = "p" .. i % 100 })
      if plan.status == 429 then
        hit = hit + 1
        assert.equal("1", plan.headers["Retry-After"])
      end
    end
    assert.near(200, hit, 60)
    assert.equal(hit, noted)
  end)

  it("lets what is no planned question through", function()
    local task = sums(2)
    local made = new_service({ faults = { { kind = "http", status = 503 } } }, task)
    assert.equal(200, post(made, "/v1/completions", { prompt = "1 + 1 =" }).status)
    assert.equal(503, post(made, "/v1/completions", { prompt = task:prompt(0).text }).status)
  end)

  it("has the first n fail and the rest not", function()
    local made = new_service({ faults = { { kind = "http", status = 503, first_n = 2 } } }, sums(0))
    local got = {}
    for i = 1, 4 do got[i] = post(made, "/v1/completions", { prompt = "x" }).status end
    assert.same({ 503, 503, 200, 200 }, got)
  end)
end)

describe("sim transport", function()
  local function with_server(given, fn)
    local made = new_service(given, sums(0))
    local server = assert(core.serve({ host = "127.0.0.1", port = 0 }, function(request) return made:answer(request) end))
    made.server = server
    local client = http.open { max_in_flight = 64 }
    local function send(path, body)
      return client:send { method = body and "POST" or "GET", url = ("http://127.0.0.1:%d%s"):format(server:port(), path),
        body = body and json.encode(body), headers = { ["content-type"] = "application/json" }, sse = body and body.stream,
        total_ms = 20000 }
    end
    local ok, err = pcall(fn, send, server)
    client:close()
    server:close()
    if not ok then error(err, 0) end
  end

  local CHAT = { messages = { { role = "user", content = "hello" } }, max_tokens = 8, stream = true }

  it("is read by the client in every harmless wire form", function()
    local plain
    for _, fault in ipairs { { kind = "comments" }, { kind = "split", bytes = 1 }, { kind = "wire_split", bytes = 3 },
      { kind = "coalesce" }, { kind = "crlf" } } do
      with_server({ faults = { fault } }, function(send)
        local reply = send("/v1/chat/completions", CHAT)
        assert.is_nil(reply.error)
        assert.equal("qlua-sim", reply.headers.server)
        local texts = {}
        for i, event in ipairs(reply.events) do
          texts[i] = event.data:gsub('"created":%d+', ""):gsub('"id":"[^"]*"', "")
        end
        assert.is_true(#texts > 8)
        plain = plain or texts
        assert.same(plain, texts)
      end)
    end
  end)

  it("breaks as asked, and goes on for others", function()
    for kind, want in pairs { rst = true, truncate = true, close = true, garbage = true } do
      with_server({ faults = { { kind = kind, first_n = 1 } } }, function(send)
        assert.equal(want, send("/v1/chat/completions", CHAT).error ~= nil, kind)
        assert.is_nil(send("/v1/chat/completions", CHAT).error)
        assert.equal(200, send("/health").status)
      end)
    end
  end)

  it("counts, and answers many at once", function()
    with_server({ latency = { ttft_ms = 5, itl_ms = 1, jitter = 0.5 }, max_running = 8 }, function(send, server)
      local concurrent = require "qlua.concurrent"
      local numbers = {}
      for i = 1, 100 do numbers[i] = i end
      local good = 0
      concurrent.map(numbers, function()
        if not send("/v1/chat/completions", CHAT).error then good = good + 1 end
      end)
      assert.equal(100, good)
      local stats = server:stats()
      assert.equal(100, stats.cut) -- max_tokens ends each
      assert.equal(0, stats.running)
      assert.matches('vllm:request_success_total{finished_reason="length",[^}]*} 100%.0', send("/metrics").body)
    end)
  end)

  it("stamps each event with the time of its send", function()
    with_server({ stamp = true }, function(send)
      local clock = require "qlua.core.clock"
      local before = clock.now_ns()
      local reply = send("/v1/chat/completions", CHAT)
      local after, last, count = clock.now_ns(), before, 0
      for ns, seq in reply.body:gmatch "@ns=(%d+);seq=(%d+)@" do
        assert.equal(count, math.tointeger(tonumber(seq)))
        assert.is_true(tonumber(ns) >= last and tonumber(ns) <= after)
        last, count = tonumber(ns), count + 1
      end
      assert.equal(8, count)
    end)
  end)
end)

describe("sim command", function()
  local proc = require "qlua.core.proc"
  local sys = require "qlua.core.sys"
  local task = require "qlua.core.task"

  -- Start `qlua sim` with the arguments and call fn with its process and its first address.
  local function with_process(argv, fn)
    local log = os.tmpname()
    local process = assert(proc.spawn { argv = { sys.exe(), "sim", table.unpack(argv) }, env = { SIM_SPEC_KEY = "s3cret" }, log = log,
      nonce = "sim-spec" })
    local url
    while process:alive() and not url do
      task.sleep(5)
      url = (file.read(log) or ""):match "listening on (http://%S+)"
    end
    local ok, err = pcall(fn, process, url, log)
    process:stop { grace_ms = 5000 }
    os.remove(log)
    if not ok then error(err, 0) end
  end

  it("prints its port, asks for its key and ends well", function()
    with_process({ "--port", "0", "--api-key-env", "SIM_SPEC_KEY", "--ready-after", "100000" }, function(process, url)
      local client = http.open { max_in_flight = 4 }
      assert.equal(503, client:send({ method = "GET", url = url .. "/health" }).status)
      assert.equal(401, client:send({ method = "GET", url = url .. "/v1/models" }).status)
      local reply = client:send { method = "GET", url = url .. "/v1/models", headers = { authorization = "Bearer s3cret" } }
      client:close()
      assert.equal("qlua-sim (simulated)", json.decode(reply.body).data[1].owned_by)
      local ended = process:stop { grace_ms = 20000 }
      assert.equal(0, (ended or process:wait(1000)).code)
    end)
  end)

  it("ends at once where the plan says so, with its last lines", function()
    local path = os.tmpname()
    assert(file.write(path, json.encode { exit_at_start = { code = 7, lines = { "ValueError: planned" } } }))
    with_process({ "--plan", path }, function(process, url, log)
      assert.is_nil(url)
      assert.equal(7, process:wait(1000).code)
      assert.matches("ValueError: planned", file.read(log))
    end)
    os.remove(path)
  end)

  it("says which field of a plan is wrong", function()
    local path = os.tmpname()
    assert(file.write(path, '{"latency":{"ttft":1}}'))
    with_process({ "--plan", path }, function(process, _, log)
      assert.equal(3, process:wait(1000).code)
      assert.matches("latency.ttft is not known", file.read(log), 1, true)
    end)
    os.remove(path)
  end)
end)
