-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local pipeline = require "qlua.pipeline"
local run_store = require "qlua.run_store"
local sandbox = require "qlua.sandbox"
local sender = require "qlua.sender"
local task = require "qlua.core.task"

local dir, store

local function text_reply(text, finish, usage)
  return { status = 200, headers = {}, body = json.encode { choices = json.array { { text = text, finish_reason = finish or "stop" } },
    usage = usage }, stamps = "", marks = { start_ns = 1000, last_byte_ns = 5000 } }
end

local function chat_reply(text)
  return { status = 200, headers = {}, body = json.encode { choices = json.array { { message = { content = text },
    finish_reason = "stop" } } },
    stamps = "", marks = { start_ns = 1000, last_byte_ns = 5000 } }
end

local function status(code) return { status = code, headers = {}, body = '{"error":"refused"}', marks = {} } end

-- Questions "0 + 1", "1 + 1", …; the right answer is one more than the index.
local function new_task(size, fields)
  local made = { split = "test" }
  function made.size() return size end
  function made.place(_, i) return "rows.jsonl:" .. i + 1 end
  function made.sample(_, i)
    return { id = "sums/test/" .. i, index = i, split = "test", input = i .. " + 1", target = tostring(i + 1), meta = {},
      row_sha256 = hash.sha256(tostring(i)) }
  end
  function made.prompt(self, i) return { text = i .. " + 1 =" }, self:sample(i) end
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

local number = { name = "number", extract = function(response) local n = response.text:match "%d+" return n,
  not n and "no_answer" or nil end,
  score = function(answer, sample) return answer.value == sample.target and 1 or 0 end }

-- A job whose server is `answer(body, request)` → Reply; counts what was sent.
local function new_job(answer, fields)
  local job = { task = new_task(6), script = { path = "sums.lua" }, dataset = { name = "sums" }, variant = { name = "v", identity = "i" },
    mode = "generate", endpoint = "completions", model = "m", sampling = { temperature = 0, seed = 7, max_tokens = 8 }, stream = false,
    scorers = { number }, store = store, repeat_index = 0, concurrency = 4, wall_offset_of = function() return 0 end,
    on_progress = function() end, is_stopped = function() return false end }
  for key, value in pairs(fields or {}) do job[key] = value end
  job.sent = {}
  job.sender = sender.new { dialect = { name = "d", request = openai.request, read = openai.read }, variant = job.variant,
    server = { base_url = "http://h/v1", process = {}, is_alive = job.is_alive }, store = store, timeouts = {}, retries = 1, headers = {},
    random = function() return 0 end, is_stopped = job.is_stopped, split_events = http.split_events, log = function() end,
    client = { send = function(_, request)
      local body = json.decode(request.body)
      job.sent[#job.sent + 1] = body
      return answer(body, request)
    end } }
  return job
end

local function right(body) return text_reply(" " .. body.prompt:match "%d+" + 1, "stop", { prompt_tokens = 4, completion_tokens = 2 }) end

local function answers()
  local list = {}
  for _, row in ipairs(store.db:rows "SELECT * FROM answer ORDER BY sample, repeat_index") do list[row.sample:match "%d+$" + 1] = row end
  return list
end

local function outcomes_of()
  local list = {}
  for i, row in ipairs(answers()) do list[i] = row.outcome end
  return list
end

describe("pipeline", function()
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(file.make_dir(dir))
    store = assert(run_store.open(dir))
    store:open_session("2026-11-23T10:00:00Z", {})
  end)
  after_each(function()
    store:close()
    for _, name in ipairs(file.list(dir)) do file.remove(dir .. "/" .. name) end
    file.remove(dir)
  end)

  it("asks every question once and counts", function()
    local job = new_job(function(body)
      task.sleep(1)
      return right(body)
    end)
    local tally = pipeline.ask(job)
    assert.same({ 6, 6, 6, 6, 0, 12 }, { tally.total, tally.done, tally.asked, tally.correct, tally.errors, tally.tokens })
    assert.equal(6, #job.sent)
    local row = answers()[3]
    assert.same({ "correct", "3", 4000, 4, 2, "usage", 1 },
      { row.outcome, row.value, row.latency_ns, row.prompt_tokens, row.completion_tokens, row.count_source, row.tries })
  end)

  it("asks nothing again that is answered", function()
    pipeline.ask(new_job(right))
    local job = new_job(right)
    local tally = pipeline.ask(job)
    assert.same({ 0, 6, 0, 6 }, { #job.sent, tally.done, tally.asked, tally.correct })
  end)

  it("asks again what ended in an error, and only that", function()
    pipeline.ask(new_job(function(body) return body.prompt:find "^3" and status(503) or right(body) end))
    assert.same({ "correct", "correct", "correct", "http_5xx", "correct", "correct" }, outcomes_of())
    local job = new_job(right)
    pipeline.ask(job)
    assert.equal(1, #job.sent)
    assert.equal("correct", answers()[4].outcome)
    assert.equal(6, #answers())
  end)

  it("judges a reply again that was stored before the run was killed, without sending", function()
    pipeline.ask(new_job(right))
    store:put "DELETE FROM answer WHERE sample = 'sums/test/2'"
    local job = new_job(right)
    local tally = pipeline.ask(job)
    assert.same({ 0, 0, "correct" }, { #job.sent, tally.asked, answers()[3].outcome })
  end)

  it("asks again when what makes an answer changes", function()
    pipeline.ask(new_job(right))
    local changes = { { variant = { name = "v", identity = "other" } }, { sampling = { temperature = 0, seed = 8, max_tokens = 8 } },
      { repeat_index = 1 }, { task = new_task(6, { prompt = function(self, i) return { text = i .. " + 1 ==" }, self:sample(i) end }) } }
    for i, fields in ipairs(changes) do
      local job = new_job(right, fields)
      pipeline.ask(job)
      assert.equal(6, #job.sent, i)
    end
  end)

  it("gives each repeat a seed of its own", function()
    local seeds = {}
    for repeat_index = 0, 2 do
      local job = new_job(right, { repeat_index = repeat_index, task = new_task(1) })
      pipeline.ask(job)
      seeds[#seeds + 1] = job.sent[1].seed
    end
    assert.same({ 7, 8, 9 }, seeds)
  end)

  it("applies stops here too, beyond the four that are sent", function()
    local job = new_job(function() return text_reply("1 END 2", "length") end, { task = new_task(1, { prompt = function(self, i)
      return { text = "x", stop = { "a", "b", "c", "d", " END" } }, self:sample(i) end }) })
    pipeline.ask(job)
    assert.equal(4, #job.sent[1].stop)
    local row = answers()[1]
    assert.same({ "1", "correct", "stop" }, { row.text, row.outcome, row.finish })
  end)

  -- A scorer that looks only at what is said, as the scorers that come with qlua do.
  local spoken = { name = "spoken", score = number.score, extract = function(response)
    local said, why = require("qlua.reply").visible(response)
    local found = said and said:match "%d+"
    return found, not found and (not said and why or "no_answer") or nil
  end }

  local function asked(text, finish, sampling)
    sampling.max_tokens, sampling.stop = 8, { "\n\n" }
    local job = new_job(function() return text_reply(text, finish) end, { sampling = sampling, task = new_task(1), scorers = { spoken } })
    pipeline.ask(job)
    local row = answers()[1]
    return row.outcome, row.text, job.sent[1].stop
  end

  it("ends nothing at a stop string that was only thought", function()
    local outcome, text, sent = asked("<think>7?\n\nno</think>1\n\n9", "stop", { reasoning = "tagged" })
    assert.same({ "correct", "<think>7?\n\nno</think>1" }, { outcome, text })
    assert.is_nil(sent)
  end)

  it("takes no answer out of thoughts that were cut off", function()
    assert.same({ "truncated_reasoning", "<think>1\n\nor 2" }, { asked("<think>1\n\nor 2", "length", { reasoning = "tagged" }) })
  end)

  it("takes no answer out of thoughts that the template had opened", function()
    assert.equal("truncated_reasoning", (asked("so 1 it is, but", "length", { reasoning = "opened" })))
  end)

  it("reads what comes behind thoughts that the template had opened", function()
    assert.same({ "correct", "<think>7\n\nno</think>1" }, { asked("7\n\nno</think>1", "stop", { reasoning = "opened" }) })
  end)

  it("cuts at the first stop in the text, whichever it is", function()
    pipeline.ask(new_job(function() return text_reply "1|2;3" end, { sampling = { stop = { ";", "|" }, max_tokens = 8 },
      task = new_task(1) }))
    assert.equal("1", answers()[1].text)
  end)

  for what, case in pairs {
    ["sample"] = { task = { sample = function(self, i)
      if i == 1 then return nil, { kind = "script", text = "rows.jsonl:2: broken row" } end
      return new_task(3).sample(self, i)
    end, prompt = function(self, i)
      local sample, err = self:sample(i)
      if not sample then return nil, err end
      return { text = sample.input }, sample
    end }, text = "broken row" },
    ["prompt"] = { task = { prompt = function(self, i)
      if i == 1 then return nil, { kind = "script", text = "sums.lua:9: bad prompt" } end
      return { text = i .. " + 1 =" }, self:sample(i)
    end }, text = "bad prompt" },
    ["a prompt with an empty stop"] = { task = { prompt = function(self, i)
      return { text = i .. " + 1 =", stop = i == 1 and { "" } or nil }, self:sample(i) end }, text = "rows.jsonl:2: .*stop: want a list" },
    ["a prompt with a stop that is no list"] = { task = { prompt = function(self, i)
      return { text = i .. " + 1 =", stop = i == 1 and "x" or nil }, self:sample(i) end }, text = "stop: want a list" },
    ["messages that are no JSON"] = { task = { prompt = function(self, i)
      if i == 1 then return { messages = { { role = "user", content = print } } }, self:sample(i) end
      return { text = i .. " + 1 =" }, self:sample(i) end }, text = "messages: .*no JSON form" },
    ["extract"] = { scorer = { extract = function(response, sample)
      if sample.index == 1 then error("extract failed", 0) end
      return number.extract(response)
    end }, text = "extract failed" },
    ["score"] = { scorer = { score = function(answer, sample)
      if sample.index == 1 then error("score failed", 0) end
      return number.score(answer, sample)
    end }, text = "score failed" },
  } do
    it("loses one sample to an error in " .. what .. ", and names it", function()
      local scorer = { name = "number", extract = number.extract, score = number.score }
      for key, value in pairs(case.scorer or {}) do scorer[key] = value end
      local tally = pipeline.ask(new_job(right, { task = new_task(3, case.task), scorers = { scorer } }))
      assert.same({ "correct", "script_error", "correct" }, outcomes_of())
      assert.matches(case.text, answers()[2].error_text)
      assert.same({ 3, 2, 1 }, { tally.done, tally.correct, tally.errors })
      assert.is_nil(tally.stop)
    end)
  end

  it("gives up after as many refusals as make a dataset hopeless", function()
    local job = new_job(function() return status(401) end, { task = new_task(500) })
    local tally = pipeline.ask(job)
    assert.equal("server", tally.stop.kind)
    assert.matches("first 20 questions of sums all failed: HTTP 401: refused", tally.stop.text)
    assert.is_true(#job.sent >= pipeline.hopeless_after and #job.sent < pipeline.hopeless_after + 2 * job.concurrency)
  end)

  it("does not give up once anything was answered", function()
    local job = new_job(function(body) return body.prompt:find "^0 " and right(body) or status(400) end,
      { task = new_task(60), concurrency = 1 })
    local tally = pipeline.ask(job)
    assert.is_nil(tally.stop)
    assert.same({ 60, 59 }, { #job.sent, tally.errors })
  end)

  it("stops when the server is dead", function()
    local job = new_job(function(body)
      if body.prompt:find "^2 " then return { headers = {}, body = "", error = { kind = "connect", text = "refused" }, marks = {} } end
      return right(body)
    end, { task = new_task(100), is_alive = function() return false end, concurrency = 1 })
    local tally = pipeline.ask(job)
    assert.same({ "server", "refused" }, { tally.stop.kind, tally.stop.text })
    assert.is_true(#job.sent < 10)
    assert.equal("server_dead", answers()[3].outcome)
  end)

  it("leaves no row of a question that was cancelled", function()
    local stopped = false
    local job = new_job(function(body)
      if #store.db:rows "SELECT 1 FROM answer" >= 2 then
        stopped = true
        return { headers = {}, body = "", error = { kind = "cancelled", text = "x" }, marks = {} }
      end
      return right(body)
    end, { is_stopped = function() return stopped end, concurrency = 1, task = new_task(50) })
    pipeline.ask(job)
    assert.same({ "correct", "correct" }, outcomes_of())
    assert.equal(2, #store.db:rows "SELECT * FROM request")
  end)

  it("raises what the store cannot keep", function()
    local job = new_job(right)
    store.put_answer = function() error({ kind = "store", text = "disk full" }, 0) end
    local ok, err = pcall(pipeline.ask, job)
    assert.is_false(ok)
    assert.equal("disk full", err.text)
  end)

  local function echo_reply(body, logprob_of)
    local context, choice = body.prompt:match "^(.-:)(.*)$"
    return { status = 200, headers = {}, stamps = "", marks = { start_ns = 1000, last_byte_ns = 2000 }, body = json.encode {
      choices = json.array { { text = body.prompt, logprobs = { tokens = json.array { context, choice, "!" }, text_offset = json.array {
        0, utf8.len(context), utf8.len(body.prompt) }, token_logprobs = json.array { json.null, logprob_of(choice), -9 } } } },
      usage = { prompt_tokens = 2, completion_tokens = 1 } } }
  end

  local likeliest = { name = "ll", extract = function(response)
    local best = 1
    for i, choice in ipairs(response.choices) do if choice.sum > response.choices[best].sum then best = i end end
    return best - 1
  end, score = function(answer, sample) return answer.value == sample.target and 1 or 0 end }

  local function multiple(fields)
    return new_task(1, fields or { prompt = function() return { text = "Q:", continuations = { " A", " B" } },
      { id = "sums/test/0", index = 0, target = 1, meta = {}, row_sha256 = "r" } end,
      sample = function() return { id = "sums/test/0", index = 0, target = 1, meta = {}, row_sha256 = "r" } end })
  end

  it("scores each choice by a request of its own and adds up what they took", function()
    local job = new_job(function(body) return echo_reply(body, function(choice) return choice == " B" and -0.5 or -2 end) end,
      { mode = "loglikelihood", task = multiple(), scorers = { likeliest } })
    pipeline.ask(job)
    assert.same({ "Q: A", "Q: B" }, { job.sent[1].prompt, job.sent[2].prompt })
    local row = answers()[1]
    assert.same({ "correct", 2, 2, 4 }, { row.outcome, row.turns, row.tries, row.prompt_tokens })
  end)

  it("does not count the pause between two sessions as latency", function()
    local job = new_job(function(body) return echo_reply(body, function() return -1 end) end,
      { mode = "loglikelihood", task = multiple(), scorers = { likeliest } })
    pipeline.ask(job)
    store:put "DELETE FROM answer"
    store:put "DELETE FROM request WHERE part = 2"
    store:open_session("2026-11-24T10:00:00Z", {})
    job = new_job(function(body)
      local reply = echo_reply(body, function() return -1 end)
      reply.marks = { start_ns = 50, last_byte_ns = 350 } -- the clock of another boot
      return reply
    end, { mode = "loglikelihood", task = multiple(), scorers = { likeliest } })
    pipeline.ask(job)
    assert.equal(1, #job.sent)
    assert.equal(1300, answers()[1].latency_ns)
  end)

  it("makes no number of a server that ignores echo", function()
    pipeline.ask(new_job(function() return text_reply "B" end, { mode = "loglikelihood", task = multiple(), scorers = { likeliest } }))
    local row = answers()[1]
    assert.same({ "protocol" }, { row.outcome })
    assert.is_nil(row.score)
    assert.is_nil(row.candidates)
    assert.matches("does the server support echo", row.error_text)
  end)

  it("wants text to score choices, and names the row", function()
    local task_of_messages = multiple { prompt = function(self) return { messages = { { role = "user", content = "Q" } },
      continuations = { " A" } }, self:sample(0) end }
    pipeline.ask(new_job(right, { mode = "loglikelihood", task = task_of_messages, scorers = { likeliest } }))
    assert.matches("want text in mode loglikelihood", answers()[1].error_text)
  end)

  it("asks a chat for letters without the space before them", function()
    local seen
    local scorer = { name = "letter", extract = function(response) seen = response.labels return "B" end, score = function() return 1 end }
    local reply = chat_reply "B"
    reply.body = json.encode { choices = json.array { { message = { content = "B" }, finish_reason = "length", logprobs = { content =
      json.array { { token = "B", logprob = -0.1, top_logprobs = json.array { { token = "B", logprob = -0.1 }, { token = "A",
        logprob = -3 } } } } } } } }
    pipeline.ask(new_job(function() return reply end, { mode = "letter", endpoint = "chat", task = multiple(), scorers = { scorer } }))
    assert.same({ { logprob = -3, bounded = false }, { logprob = -0.1, bounded = false } }, seen)
    assert.is_nil(answers()[1].finish)
    assert.equal('{"A":-3,"B":-0.1}', answers()[1].candidates)
    store:put "UPDATE answer SET candidates = NULL"
    local again = new_job(function() error "nothing is sent" end, { mode = "letter", endpoint = "chat", task = multiple(),
      scorers = { scorer }, force = true })
    pipeline.ask(again)
    assert.same({ 0, '{"A":-3,"B":-0.1}' }, { #again.sent, answers()[1].candidates }) -- judged again, from the stored reply
  end)

  local function conversation(source)
    local script = assert(sandbox.load("return { converse = " .. source .. " }", "talk.lua", dir))
    return { path = "talk.lua", converse = script.converse }
  end

  it("holds a conversation: each turn stored, and replayed when it is resumed", function()
    local script = conversation [[function(sample, ask)
      local first = ask("what is " .. sample.input .. "?")
      local second = ask { { role = "user", content = "is it " .. first .. "?" } }
      return first
    end]]
    local function answer(body)
      local text = body.messages[1].content
      return chat_reply(text:find "^what" and tostring(text:match "%d+" + 1) or "yes")
    end
    local job = new_job(answer, { script = script, task = new_task(2) })
    pipeline.ask(job)
    assert.same({ 4, "correct", 2 }, { #job.sent, answers()[1].outcome, answers()[1].turns })
    store:put "DELETE FROM answer"
    job = new_job(answer, { script = script, task = new_task(2) })
    local tally = pipeline.ask(job)
    assert.same({ 0, 0, 2 }, { #job.sent, tally.asked, tally.correct })
  end)

  for what, case in pairs {
    ["raises"] = { "function() error 'lost' end", "lost" },
    ["loops"] = { "function() while true do end end", "instruction limit" },
    ["asks nothing"] = { "function() return '1' end", "converse asked nothing" },
    ["asks a number"] = { "function(_, ask) ask(7) end", "ask wants messages or a text, got number" },
    ["asks an empty list"] = { "function(_, ask) ask {} end", "want a list of { role" },
    ["asks what is no JSON"] = { "function(_, ask) ask { { role = 'user', content = ask } } end", "no JSON form" },
    ["asks inside a sort"] = { "function(_, ask) table.sort({ 1, 2 }, function() ask 'x' end) end", "yield across a C%-call" },
  } do
    it("loses one sample to a converse that " .. what, function()
      pipeline.ask(new_job(function() return chat_reply "1" end, { script = conversation(case[1]), task = new_task(1) }))
      assert.equal("script_error", answers()[1].outcome)
      assert.matches(case[2], answers()[1].error_text)
    end)
  end
end)
