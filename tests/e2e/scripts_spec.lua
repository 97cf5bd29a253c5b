-- SPDX-License-Identifier: Apache-2.0
--- Scripts of a user's own, without a compiler: a dataset in a folder of theirs against a server that runs, one of several
-- turns, data in compressed files, and free scripts with all bindings.
local clock = require "qlua.core.clock"
local core = require "qlua.core.sim"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local ledger = require "ledger"
local proc = require "qlua.core.proc"
local support = require "support"

local MINE = [[
--- Sums: additions in Chinese; the answer is one integer.
local q = require "qlua"
local words = require "words"

return q.dataset {
  name    = "sums",
  summary = { en = "Additions", zh = "加法题" },
  tags    = { "math", "chinese" },
  source  = { test = { file = "sums.tsv", columns = { "question", "answer" } } },
  modes   = { "generate" },
  scorers = { "number" },

  sample = function(row)
    return { input = row.question, target = row.answer }
  end,

  prompt = function(sample)
    return { text = words.question .. sample.input .. "\n" .. words.answer, stop = { words.question } }
  end,

  examples = {
    { row = { question = "1 加 1 等于几？", answer = "2" }, reply = "1 + 1 = 2\n答案是：2", score = 1 },
    { row = { question = "1 加 1 等于几？", answer = "2" }, reply = "不会。", outcome = "no_answer" },
  },
}
]]

local function write_mine(folder)
  support.write(folder .. "/sums.lua", MINE)
  support.write(folder .. "/words.lua", 'return { question = "问题：", answer = "解答：" }\n')
  local rows = {}
  for i = 1, 40 do rows[i] = ("%d 加 %d 等于几？\t%d"):format(i, 3 * i, 4 * i) end
  support.write(folder .. "/sums.tsv", table.concat(rows, "\n") .. "\n")
end

describe("a dataset of a user's own folder", function()
  local folder
  setup(function()
    folder = support.folder()
    write_mine(folder)
  end)
  teardown(support.clean)

  it("is at most thirty lines, is checked, tested and shown", function()
    local _, lines = MINE:gsub("\n", "")
    assert.is_true(lines <= 30)
    for _, words in ipairs { { "check", "sums.lua" }, { "test", "sums.lua" }, { "show", "sums.lua", "--sample", "1" } } do
      local run = support.qlua(words, { cwd = folder })
      assert.equal(0, run.code, run.all)
    end
  end)

  it("runs against a server that runs already", function()
    local sim = support.sim({ "--dataset", "./sums.lua", "--data", ".", "--accuracy", "0.8", "--ledger", "planted.jsonl" },
      { cwd = folder })
    local run = support.qlua({ "run", "./sums.lua", "--data", ".", "--url", sim.url, "--model", "qlua-sim", "--out", "results" },
      { cwd = folder })
    sim.stop()
    assert.equal(0, run.code, run.all)
    local dir = support.run_dir(folder .. "/results")
    -- the ledger of a server that somebody else runs is not in the run's folder: put it there
    support.write(dir .. "/logs/qlua-sim.ledger.jsonl", support.read(folder .. "/planted.jsonl"))
    local compared = ledger.compare(dir)
    assert.same({}, compared.mismatches)
    assert.equal(40, compared.checked)
    local cell = support.results(dir).variants["qlua-sim"].datasets.sums
    assert.is_true(cell.num_correct > 0 and cell.num_correct < 40)
    assert.equal("加法题", support.results(dir).datasets.sums.summary.zh)
  end)

  it("is found by name with --lua", function()
    local place = support.folder()
    local run = support.qlua({ "run", "sums", "--lua", folder, "--data", folder, "--config", support.config(place), "--limit", "5",
      "--out", place .. "/results" }, { cwd = place })
    assert.equal(0, run.code, run.all)
    assert.same({}, ledger.compare(support.run_dir(place .. "/results")).mismatches)
  end)
end)

describe("compressed data", function()
  teardown(support.clean)

  it("gives the answers of plain data", function()
    local folder = support.folder()
    support.command { "cp", "-r", support.sample_data, folder .. "/data" }
    local function outcomes(data, out)
      local run = support.qlua { "run", "gsm8k", "hellaswag", "mmlu", "--config", support.config(folder, { data = data }),
        "--limit", "15", "--out", out }
      assert.equal(0, run.code, run.all)
      local dir = support.run_dir(out)
      assert.same({}, ledger.compare(dir).mismatches)
      return support.rows(dir, [[SELECT a.dataset, a.sample, a.outcome, a.value, a.prompt_sha256, s.row_sha256 FROM answer a
        JOIN sample s ON s.dataset = a.dataset AND s.id = a.sample ORDER BY 1, 2]]), support.results(dir)
    end
    local plain, plain_doc = outcomes(folder .. "/data", folder .. "/plain")
    for _, command in ipairs { "gzip -9 gsm8k/test.jsonl mmlu/test/*.csv",
      "zstd -q --rm gsm8k/train.jsonl hellaswag/*.jsonl mmlu/dev/*.csv" } do
      local done = support.command({ "sh", "-c", command }, { cwd = folder .. "/data" })
      assert.equal(0, done.code, done.all)
    end
    local packed, packed_doc = outcomes(folder .. "/data", folder .. "/packed")
    assert.equal(45, #plain)
    assert.same(plain, packed)
    for _, name in ipairs { "gsm8k", "hellaswag", "mmlu" } do
      local one, other = plain_doc.datasets[name], packed_doc.datasets[name]
      assert.equal(one.prompt_digest, other.prompt_digest)
      assert.equal(one.files[1].sha256, other.files[1].sha256) -- of what was decompressed
    end
  end)
end)

-- ---- several turns ------------------------------------------------------------------------------------------

local TURNS = [[
local q = require "qlua"
return q.dataset {
  name = "turns", summary = { en = "Three turns", zh = "三轮对话" }, modes = { "generate" }, scorers = { "number" },
  source = { test = { file = "rows.jsonl" } },
  sample = function(row) return { input = row.q, target = row.a } end,
  converse = function(sample, ask)
    local messages = { { role = "user", content = sample.input } }
    for turn = 1, 3 do
      messages[#messages + 1] = { role = "assistant", content = ask(messages) }
      messages[#messages + 1] = { role = "user", content = "turn " .. turn .. " again" }
    end
    return messages[2].content .. " | " .. messages[4].content .. " | " .. messages[6].content
  end,
}
]]

local QUESTIONS = 6

-- A server of the test's own: answers "turn N of QUESTION is 2 * number"; turns from `silent_from` on get no answer.
local function conversation_server()
  local self = { asked = {}, silent_from = math.huge }
  local function answer(request)
    if request.path ~= "/v1/chat/completions" and request.path ~= "/v1/completions" then return { status = 404, body = "{}" } end
    local body = assert(json.decode(request.body))
    local is_chat = body.messages ~= nil
    local text = "2"
    local plan = { status = 200 }
    if is_chat then
      local turn, question = (#body.messages + 1) // 2, body.messages[1].content
      local name = question .. " " .. turn
      self.asked[name] = (self.asked[name] or 0) + 1
      text = ("turn %d: %d"):format(turn, 2 * tonumber(question:match "%d+"))
      if turn >= self.silent_from then plan.first_ms = 1e8 end
    end
    local usage = { prompt_tokens = 5, completion_tokens = 3, total_tokens = 8 }
    local choice = { index = 0, finish_reason = "stop" }
    if body.stream then
      local first, last = { index = 0, delta = { role = "assistant", content = text } }, { index = 0, delta = {}, finish_reason = "stop" }
      local function chunk(one) return json.encode { id = "x", object = "chat.completion.chunk", model = "m", choices = { one } } end
      plan.events = { chunk(first), chunk(last), json.encode { id = "x", object = "chat.completion.chunk", model = "m",
        choices = json.array {}, usage = usage }, "[DONE]" }
      plan.headers = { ["Content-Type"] = "text/event-stream" }
      return plan
    end
    if is_chat then choice.message = { role = "assistant", content = text } else choice.text = text end
    plan.headers = { ["Content-Type"] = "application/json" }
    plan.body = json.encode { id = "x", object = is_chat and "chat.completion" or "text_completion", model = "m", choices = { choice },
      usage = usage }
    return plan
  end
  self.server = assert(core.serve({ host = "127.0.0.1" }, answer))
  self.url = ("http://127.0.0.1:%d/v1"):format(self.server:port())
  return self
end

describe("a dataset of several turns", function()
  local folder, server
  before_each(function()
    folder, server = support.folder(), conversation_server()
    support.write(folder .. "/turns.lua", TURNS)
    local rows = {}
    for i = 1, QUESTIONS do rows[i] = ('{"q":"double %d","a":"%d"}'):format(i, 2 * i) end
    support.write(folder .. "/rows.jsonl", table.concat(rows, "\n") .. "\n")
  end)
  after_each(function()
    server.server:close()
    support.clean()
  end)

  local function words() return { "run", "./turns.lua", "--data", ".", "--url", server.url, "--model", "m", "--out", "results" } end

  local function assert_complete(dir)
    local answers = support.rows(dir, "SELECT * FROM answer ORDER BY sample")
    assert.equal(QUESTIONS, #answers)
    for i, row in ipairs(answers) do
      assert.equal("correct", row.outcome)
      assert.equal(3, row.turns)
      assert.equal(("turn 1: %d | turn 2: %d | turn 3: %d"):format(2 * i, 2 * i, 2 * i), row.text)
      assert.equal(9, row.completion_tokens)
    end
    local requests = support.rows(dir, "SELECT * FROM request ORDER BY sample, turn")
    assert.equal(3 * QUESTIONS, #requests)
    for i, row in ipairs(requests) do
      assert.equal((i - 1) % 3, row.turn)
      assert.equal("/chat/completions", row.path)
      for _, mark in ipairs { "queued_ns", "start_ns", "first_byte_ns", "last_byte_ns" } do assert.is_number(row[mark], mark) end
      assert.is_true(row.start_ns <= row.first_byte_ns and row.first_byte_ns <= row.last_byte_ns)
      assert.is_string(row.prompt_sha256)
    end
    local prompts = support.rows(dir, "SELECT count(*) AS n FROM prompt")[1].n
    assert.equal(3 * QUESTIONS, prompts)
    return requests
  end

  it("has each turn asked once, stored and timed", function()
    local run = support.qlua(words(), { cwd = folder })
    assert.equal(0, run.code, run.all)
    local dir = support.run_dir(folder .. "/results")
    assert_complete(dir)
    for _, times in pairs(server.asked) do assert.equal(1, times) end
    assert.equal(1, support.results(dir).variants.m.datasets.turns.accuracy)
  end)

  it("goes on with the turn at which it was killed", function()
    server.silent_from = 2
    local process = support.start(words(), { cwd = folder })
    local dir
    support.wait_until("the first turns are in the database", function()
      assert.is_true(process:alive(), table.concat(process:tail(20), "\n"))
      local names = file.list(folder .. "/results")
      dir = names and names[1] and folder .. "/results/" .. names[1]
      local is_there, rows = pcall(support.rows, dir or "", "SELECT count(*) AS n FROM request WHERE turn = 0")
      return is_there and rows[1].n == QUESTIONS
    end)
    proc.run { argv = { "kill", "-KILL", tostring(process:pid()) } }
    process:wait()
    process:close()
    assert.same({}, support.rows(dir, "SELECT * FROM answer"))
    server.silent_from = math.huge
    local resumed = support.qlua({ "run", "--resume", dir }, { cwd = folder })
    assert.equal(0, resumed.code, resumed.all)
    for _, row in ipairs(assert_complete(dir)) do assert.equal(row.turn == 0 and 1 or 2, row.session) end
    for name, times in pairs(server.asked) do assert.equal(name:find " 2$" and 2 or 1, times, name) end
    assert.is_nil(resumed.err:find("retry", 1, true))
  end)
end)

-- ---- free scripts -------------------------------------------------------------------------------------------

describe("qlua lua", function()
  local folder
  before_each(function() folder = support.folder() end)
  after_each(support.clean)

  local function script(source, words, options)
    support.write(folder .. "/free.lua", source)
    return support.qlua(table.move(words or {}, 1, #(words or {}), 3, { "lua", folder .. "/free.lua" }), options)
  end

  it("asks a server fifty times at once by plain-looking calls", function()
    local sim = support.sim { "--ttft-ms", "300" }
    local began = clock.now_ns()
    local run = script([[
local q = require "qlua"
local url = arg[1]
local calls = {}
for i = 1, 50 do
  calls[i] = function()
    local reply = assert(q.http.post(url .. "/completions", { json = { model = "qlua-sim", prompt = "Say " .. i, max_tokens = 4 } }))
    assert(reply:is_ok(), reply.status)
    return reply:json().choices[1].text
  end
end
local began = q.clock.now_ns()
local texts = q.all(calls)
local took_ms = (q.clock.now_ns() - began) // 1000000
local metrics = assert(q.http.get((url:gsub("/v1$", "/metrics")))).body
print(q.json.encode { count = #texts, took_ms = took_ms, has_metrics = metrics:find "vllm:" ~= nil, first = texts[1] })
]], { sim.url })
    local all_ms = (clock.now_ns() - began) // 1000000
    sim.stop()
    assert.equal(0, run.code, run.all)
    local got = assert(json.decode(run.out))
    assert.equal(50, got.count)
    assert.is_true(got.has_metrics)
    assert.is_true(#got.first > 0)
    assert.is_true(got.took_ms >= 300 and got.took_ms <= all_ms) -- the wait is real, and the clock is the script's
    -- one after the other would be 15 s of waiting, however fast the machine; at once is less, however slow
    assert.is_true(got.took_ms < 50 * 300, got.took_ms)
  end)

  it("runs and supervises programs", function()
    local run = script [[
local q = require "qlua"
local result = assert(q.proc.run { argv = { "sh", "-c", "cat; exit 3" }, stdin = "through" })
print(result.code, result.stdout)
local process = assert(q.proc.spawn { argv = { "sh", "-c", "echo ready; sleep 1000" } })
while process:lines_seen() < 1 do q.sleep(5) end
print(process:tail(1)[1], process:alive())
local ended = process:stop { grace_ms = 100000 }
print(ended.signal, process:alive())
local order = {}
q.all { function() q.sleep(20) order[#order + 1] = "b" end, function() order[#order + 1] = "a" end }
print(table.concat(order))
return 7
]]
    assert.equal(7, run.code, run.all)
    assert.equal("3\tthrough\nready\ttrue\n15\tfalse\nab\n", run.out)
  end)

  it("may require from its own folder, and an error names its place", function()
    support.write(folder .. "/helper.lua", "return { double = function(n) return 2 * n end }\n")
    local run = script('print(require("helper").double(tonumber(...)))', { "21" })
    assert.equal(0, run.code, run.all)
    assert.equal("42\n", run.out)
    run = script "local x = nil\nprint(x.y)\n"
    assert.equal(3, run.code)
    assert.is_truthy(run.err:find("free.lua:2: ", 1, true), run.err)
    run = script 'local q = require "qlua"\nq.all { function() q.sleep(1) error "deep" end }\n'
    assert.equal(3, run.code)
    assert.is_truthy(run.err:find("free.lua:2: deep", 1, true), run.err)
  end)
end)
