-- SPDX-License-Identifier: Apache-2.0
-- qlua score: replies that other tools saved. The reference harness's two filters come from a peer of their own,
-- tests/peers/lm_eval_filters.py, which uses Python's `re` and shares nothing with the scorers.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local saved_replies = require "qlua.exchange.saved_replies"
local sys = require "qlua.core.sys"

local exe, root = sys.exe(), sys.cwd()
local DATA = "../shared/data"
local folder

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function qlua(argv)
  local words = {}
  for i, word in ipairs(argv) do words[i] = quote(word) end
  local command = ("env -u LC_ALL -u LC_MESSAGES -u QLUA_DEBUG -u QLUA_PATH -u QLUA_DATA LANG=C %s %s >%s/out 2>%s/err </dev/null"):format(
    quote(exe), table.concat(words, " "), folder, folder)
  local _, _, code = os.execute(command)
  return { code = code, out = file.read(folder .. "/out"), err = file.read(folder .. "/err") }
end

local function write(name, text)
  assert(file.write(folder .. "/" .. name, text))
  return folder .. "/" .. name
end

local function score(argv)
  local result = qlua { "score", table.unpack(argv) }
  assert.equal(0, result.code, result.err)
  return json.decode(result.out)
end

local DATASET = [[
local q = require "qlua"
return q.dataset {
  name = "sums", summary = { en = "Sums", zh = "加法" }, source = { test = { file = "sums.jsonl" } }, modes = { "generate" },
  scorers = { "number", "lm_eval.gsm8k_strict", "lm_eval.gsm8k_flexible" },
  sample = function(row) return { input = row.question, target = row.answer } end,
  question = function(sample) return sample.input end, answer = function(sample) return sample.target end,
}]]

-- Three sums: 2, 4 and 6.
local function sums()
  local rows = {}
  for i = 1, 3 do rows[i] = json.encode { question = ("%d + %d?"):format(i, i), answer = tostring(2 * i) } end
  write("sums.jsonl", table.concat(rows, "\n") .. "\n")
  return write("sums.lua", DATASET)
end

local function lines(rows)
  local texts = {}
  for i, row in ipairs(rows) do texts[i] = json.encode(row) end
  return table.concat(texts, "\n") .. "\n"
end

local function correct_of(result)
  local list = {}
  for i, tally in ipairs(result.scorers) do list[i] = tally.correct end
  return list
end

describe("qlua score", function()
  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(file.make_dir(folder))
  end)
  after_each(function() os.execute("rm -r " .. quote(folder)) end)

  describe("matches rows to samples", function()
    it("by order where nothing numbers them, and says so", function()
      local path = write("r.jsonl", lines { { reply = "#### 2" }, { reply = "It is 5." }, { reply = "No idea" } })
      local result = score { sums(), path, "--json" }
      assert.equal("order", result.matched_by)
      assert.same({ 1, 1, 1 }, correct_of(result))
      assert.same({ no_answer = 1, correct = 1, wrong = 1 }, result.scorers[1].outcomes)
      local shown = qlua { "score", folder .. "/sums.lua", path }.out
      assert.is_truthy(shown:find("matched by  order: the n-th row is the n-th sample", 1, true))
      assert.is_truthy(shown:find "number +33%.33 %% +6%.15 %- 79%.23 +1/3 +1 +no_answer 1\n")
    end)

    it("by index, doc_id or the sample's own id, in any order of rows", function()
      for field, values in pairs { index = { 2, 0 }, doc_id = { "2", "0" }, id = { "sums/test/2", "sums/test/0" } } do
        local path = write("r.jsonl", lines { { [field] = values[1], reply = "6" }, { [field] = values[2], reply = "2" } })
        local result = score { sums(), path, "--json" }
        assert.equal(field, result.matched_by)
        assert.same({ 2, 3, 1 }, { result.replies, result.samples, result.missing })
        assert.equal(2, result.scorers[1].correct)
        assert.equal(1, result.scorers[1].accuracy) -- of the replies there are
      end
    end)

    it("and refuses a row of no sample, or of one that has its reply", function()
      local outside = qlua { "score", sums(), write("r.jsonl", lines { { index = 3, reply = "6" } }) }
      assert.equal(3, outside.code)
      assert.equal(folder .. "/r.jsonl:1: index: want a sample from 0 to 2, got 3\n"
        .. "hint: samples are numbered from 0; --match order takes the rows in turn\n", outside.err)
      local twice = qlua { "score", sums(), write("r.jsonl", lines { { index = 1, reply = "6" }, { index = 1, reply = "6" } }) }
      assert.equal(folder .. "/r.jsonl:2: sample 1 has its reply on line 1 already\n", twice.err)
      local mixed = qlua { "score", sums(), write("r.jsonl", lines { { index = 1, reply = "6" }, { reply = "6" } }) }
      assert.equal(folder .. "/r.jsonl:2: index: want what the rows before have, a sample's, got nothing\n", mixed.err)
      local more = qlua { "score", sums(), write("r.jsonl", ('{"reply":"1"}\n'):rep(4)) }
      assert.equal(3, more.code)
      assert.is_truthy(more.err:find("r.jsonl:4: order: want a sample from 0 to 2, got 3", 1, true))
    end)

    it("and notices questions that are others", function()
      local path = write("r.jsonl", lines { { question = "1 + 1?", reply = "2" }, { question = "9 + 9?", reply = "4" } })
      local result = qlua { "score", sums(), path }
      assert.equal("note: 1 rows have another question than the dataset, the first on line 2\n", result.err)
    end)
  end)

  describe("finds the reply", function()
    it("in the usual fields, or by a path", function()
      for _, name in ipairs(saved_replies.REPLY_FIELDS) do
        local result = score { sums(), write("r.jsonl", lines { { [name] = "#### 2" } }), "--json" }
        assert.same({ name, 1 }, { result.field, result.scorers[1].correct })
      end
      local path = write("r.jsonl", '{"a.b":"2"}\n{"a":{"b":"4"}}\n{"a":{"b":"6"}}\n')
      assert.equal(3, score({ sums(), path, "--field", "a.b", "--json" }).scorers[1].correct)
      path = write("r.jsonl", '{"choices":[{"message":{"content":"2"}},{"message":{"content":"9"}}]}\n')
      assert.equal(1, score({ sums(), path, "--field", "choices.0.message.content", "--json" }).scorers[1].correct)
    end)

    it("takes null for an empty one, and anything else that is no text for an error", function()
      local result = score { sums(), write("r.jsonl", '{"reply":null}\n'), "--json" }
      assert.same({ empty = 1 }, result.scorers[1].outcomes)
      local wrong = qlua { "score", sums(), write("r.jsonl", '{"reply":"2"}\n{"reply":["4"]}\n') }
      assert.equal(3, wrong.code)
      assert.equal(folder .. "/r.jsonl:2: field 'reply': want a text, got an array\n", wrong.err)
      local none = qlua { "score", sums(), write("r.jsonl", '{"answer":"2"}\n') }
      assert.is_truthy(none.err:find("r.jsonl:1: want a reply in one of the fields reply, response", 1, true))
      local bad = qlua { "score", sums(), write("r.jsonl", '{"reply":"2"}\n{"reply":\n') }
      assert.is_truthy(bad.err:find("r.jsonl:2: want a JSON object, got bad JSON", 1, true))
      assert.is_truthy(qlua({ "score", sums(), write("r.jsonl", "") }).err:find("want JSON lines, got an empty file", 1, true))
    end)

    it("knows a reply that was cut", function()
      local result = score { sums(), write("r.jsonl", '{"reply":"Let us see","finish_reason":"length"}\n'), "--json" }
      assert.same({ truncated = 1 }, result.scorers[1].outcomes)
    end)
  end)

  it("says where scorers disagree", function()
    local result = score { sums(), write("r.jsonl", lines { { reply = "#### 2" }, { reply = "4" }, { reply = "6, step 2" } }), "--json" }
    assert.same({ scorers = { "number", "lm_eval.gsm8k_strict" }, only_first = { 1, 2 }, only_second = {} }, result.disagreements[1])
  end)

  it("writes a row for each reply as CSV", function()
    local path = write("r.jsonl", lines { { index = 1, reply = "so 1,234" }, { index = 0, reply = "#### 2" } })
    local result = qlua { "score", sums(), path, "--csv", "--scorer", "lm_eval.gsm8k_flexible" }
    assert.equal("index,id,line,target,lm_eval.gsm8k_flexible.outcome,lm_eval.gsm8k_flexible.score,lm_eval.gsm8k_flexible.value,"
      .. "lm_eval.gsm8k_flexible.how\n0,sums/test/0,2,2,correct,1,2,flexible\n1,sums/test/1,1,4,wrong,0,\"1,234\",flexible\n", result.out)
    qlua { "score", sums(), path, "--csv", "--scorer", "lm_eval.gsm8k_flexible", "--out", folder .. "/o.csv" }
    assert.equal(result.out, file.read(folder .. "/o.csv"))
  end)

  describe("of lm-eval samples", function()
    local function row(doc_id, filter, text, filtered, is_right, target)
      return { doc_id = doc_id, doc = { question = ("%d + %d?"):format(doc_id + 1, doc_id + 1) },
        target = target or tostring(2 * doc_id + 2), resps = json.array { json.array { text } },
        filtered_resps = json.array { filtered }, filter = filter, metrics = json.array { "exact_match" }, exact_match = is_right }
    end

    it("compares with the file's own filters, row by row", function()
      local path = write("samples_sums_2026-01-01T00-00-00.0.jsonl", lines {
        row(0, "strict-match", "#### 2", "2", 1.0), row(1, "strict-match", "It is 4", "[invalid]", 0.0),
        row(2, "strict-match", "#### 7", "6", 1.0), -- says of itself what is not so
        row(0, "flexible-extract", "#### 2", "2", 1.0), row(1, "flexible-extract", "It is 4", "4", 1.0),
        row(2, "flexible-extract", "#### 7", "7", 0.0), row(0, "mine", "#### 2", "2", 1.0) })
      local result = score { sums(), path, "--json" }
      assert.equal("lm-eval", result.format)
      assert.equal(3, result.replies)
      local strict, flexible, mine = table.unpack(result.checks)
      assert.same({ "strict-match", "lm_eval.gsm8k_strict", 3, 3 },
        { strict.filter, strict.scorer, strict.values_compared, strict.metrics_compared })
      assert.same({ { index = 2, line = 3, what = "filtered_resps", file = "6", qlua = "7" },
        { index = 2, line = 3, what = "exact_match", file = 1, qlua = 0 } }, strict.differences)
      assert.same({}, flexible.differences)
      assert.same({ "mine" }, { mine.filter, mine.scorer })
      local shown = qlua({ "score", folder .. "/sums.lua", path }).out
      assert.is_truthy(shown:find("sample 2 (line 3) filtered_resps: the file 6, qlua 7", 1, true))
      assert.is_truthy(shown:find("filter mine: none of these scorers stands for it", 1, true))
    end)

    it("refuses a file about other targets", function()
      local path = write("s.jsonl", lines { row(0, "strict-match", "#### 2", "2", 1.0, "3") })
      local result = qlua { "score", sums(), path }
      assert.equal(3, result.code)
      assert.is_truthy(result.err:find('s.jsonl:1: target: want the dataset\'s "2", got "3" (1 rows differ)', 1, true))
    end)

    it("scores log-probabilities, written as strings or numbers", function()
      for _, pairs_of in ipairs { { { "-9.5", "False" }, { "-2.25", "True" }, { "-30", "False" }, { "-31", "False" } },
          { { -9.5, false }, { -2.25, true }, { -30, false }, { -31, false } } } do
        local resps = json.array {}
        for i, pair in ipairs(pairs_of) do resps[i] = json.array { json.array(pair) } end
        local rows = {}
        for doc_id = 0, 1 do
          rows[doc_id + 1] = { doc_id = doc_id, resps = resps, filtered_resps = json.array(pairs_of), filter = "none",
            metrics = json.array { "acc" }, acc = 0.0 }
        end
        local result = score { "hellaswag", write("s.jsonl", lines(rows)), "--data", root .. "/data/sample", "--json" }
        assert.equal("loglikelihood", result.scorers[1].scorer)
        local right = 0
        for _, item in ipairs(result.items) do
          assert.equal(item.target == 1 and 1 or 0, item.scores.loglikelihood.metrics.acc)
          right = right + item.scores.loglikelihood.metrics.acc
        end
        assert.equal(right, #result.checks[1].differences)
      end
    end)
  end)
end)

-- ---- the reference harness's filters on real replies ------------------------------------------------------------

local SOLUTIONS, TORA = DATA .. "/gsm8k/example_model_solutions.jsonl", DATA .. "/outputs/gsm8k_tora/"
local MODELS = {
  { SOLUTIONS, "6b_finetuning.solution" }, { SOLUTIONS, "6b_verification.solution" }, { SOLUTIONS, "175b_finetuning.solution" },
  { SOLUTIONS, "175b_verification.solution" },
  { TORA .. "tora-70b-v1.0.jsonl", "code.0" }, { TORA .. "tora-code-34b-v1.0.jsonl", "code.0" },
}

local function peer_rows(path, field)
  local pipe = assert(io.popen(("python3 tests/peers/lm_eval_filters.py %s %s %s"):format(quote(DATA .. "/gsm8k/test.jsonl"), quote(path),
    quote(field))))
  local rows = {}
  for line in pipe:lines() do rows[#rows + 1] = json.decode(line) end
  assert.is_true(pipe:close())
  return rows
end

-- The first items that differ, as texts; none must.
local function differences(items, rows)
  local list, hits = {}, { ["strict-match"] = 0, ["flexible-extract"] = 0 }
  for i, item in ipairs(items) do
    for filter, scorer in pairs { ["strict-match"] = "lm_eval.gsm8k_strict", ["flexible-extract"] = "lm_eval.gsm8k_flexible" } do
      local theirs, ours = rows[i][filter], item.scores[scorer]
      hits[filter] = hits[filter] + theirs.exact_match
      if theirs.filtered ~= (ours.value or "[invalid]") or theirs.exact_match ~= ours.score then
        list[#list + 1] = ("%s, %s: peer %s %d, qlua %s %s"):format(item.id, filter, theirs.filtered, theirs.exact_match,
          tostring(ours.value), tostring(ours.score))
      end
    end
  end
  return list, hits
end

describe("qlua score and the reference harness's filters", function()
  local function prepare()
    if not file.stat(SOLUTIONS) or not file.stat(DATA .. "/gsm8k/test.jsonl") then return "no " .. SOLUTIONS end
    if not os.execute "command -v python3 >/dev/null" then return "no python3 for the peer" end
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(file.make_dir(folder))
  end)
  after_each(function() os.execute("rm -r " .. quote(folder)) end)

  for _, model in ipairs(MODELS) do
    it(("agree on all 1,319 replies: %s %s"):format(model[1]:match "[^/]+$", model[2]), function()
      local why = prepare()
      if why then return pending(why) end
      local items = score({ "gsm8k", model[1], "--field", model[2], "--data", DATA, "--json" }).items
      local rows = peer_rows(model[1], model[2])
      assert.same({ 1319, 1319 }, { #items, #rows })
      assert.same({}, (differences(items, rows)))
    end)
  end

  -- None of those models writes ####: the strict filter is also asked about replies made to, rightly and wrongly.
  it("agree where replies do write ####", function()
    local why = prepare()
    if why then return pending(why) end
    local marks = { "\n#### ", "\n####", "\n#### $", "\n#### 1 then\n#### ", "\n#### -" }
    local rewritten, number = {}, 0
    for line in assert(file.lines(SOLUTIONS)) do
      number = number + 1
      local reply = json.decode(line)["175b_verification"].solution:gsub("\nA: ", marks[number % #marks + 1])
      rewritten[number] = json.encode { reply = reply .. (number % 3 == 0 and "." or number % 7 == 0 and ",00" or "") }
    end
    local path = write("rewritten.jsonl", table.concat(rewritten, "\n") .. "\n")
    local items = score({ "gsm8k", path, "--data", DATA, "--json" }).items
    local different, hits = differences(items, peer_rows(path, "reply"))
    assert.same({}, different)
    assert.is_true(hits["strict-match"] > 100 and hits["strict-match"] < 1219, tostring(hits["strict-match"]))
  end)
end)
