-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local lengths = require "qlua.load.lengths"
local random = require "qlua.random"
local words = require "qlua.load.words"
local workload = require "qlua.load.workload"

local dir

local function write(name, text)
  local path = dir .. "/" .. name
  assert(file.write(path, text))
  return path
end

local function spec(fields)
  local made = { turns = 1, think_ms = 0, prefix_tokens = 4, trace_speed = 1 }
  for key, value in pairs(fields) do made[key] = value end
  return made
end

local function open(fields, options)
  options = options or {}
  options.seed = options.seed or 1
  return workload.open(spec(fields), options)
end

local function count_words(text)
  local n = 0
  for _ in text:gmatch "%S+" do n = n + 1 end
  return n
end

local function first_words(text, n)
  local list = {}
  for word in text:gmatch "%S+" do
    if #list < n then list[#list + 1] = word end
  end
  return table.concat(list, " ")
end

-- A tokenizer that cuts the words it does not know, and puts a mark before every text.
local function tokenizer(cut, mark)
  return function(text)
    local n = mark and 1 or 0
    for word in text:gmatch "%S+" do n = n + (cut[word] and 2 or 1) end
    return n
  end
end

describe("a load's workload", function()
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(file.make_dir(dir))
  end)
  after_each(function()
    for _, name in ipairs(file.list(dir)) do file.remove(dir .. "/" .. name) end
    file.remove(dir)
  end)

  it("draws lengths", function()
    local generator = random(1, "lengths")
    assert.equal(7, lengths.draw(lengths.parse "7", generator))
    local lo, hi, sum = math.huge, 0, 0
    for _ = 1, 2000 do
      local n = lengths.draw(lengths.parse "10..20", generator)
      lo, hi, sum = math.min(lo, n), math.max(hi, n), sum + n
    end
    assert.same({ 10, 20 }, { lo, hi })
    assert.near(15, sum / 2000, 0.4)
    local total, squares = 0, 0
    for _ = 1, 4000 do
      local n = lengths.draw(lengths.parse "100~10", generator)
      total, squares = total + n, squares + n * n
    end
    assert.near(100, total / 4000, 1)
    assert.near(10, math.sqrt(squares / 4000 - (total / 4000) ^ 2), 0.6)
    for _, text in ipairs { "", "0", "5..2", "-1", "1.5", "a" } do assert.is_nil((lengths.parse(text))) end
  end)

  it("makes prompts of the length asked for, the same again, others for another replicate", function()
    local work = assert(open { random_input = "12", random_output = "5" })
    local item = work:item("rate=1/1", 3)
    assert.same({ 12, 12, 5 }, { count_words(item.text), item.input_tokens, item.output_tokens })
    assert.same(item, assert(open { random_input = "12", random_output = "5" }):item("rate=1/1", 3))
    assert.not_equal(item.text, work:item("rate=1/2", 3).text)
    assert.not_equal(item.text, work:item("rate=1/1", 4).text)
    assert.not_equal(item.text, assert(open({ random_input = "12" }, { seed = 2 })):item("rate=1/1", 3).text)
  end)

  it("uses only words that the server's tokenizer takes as one token", function()
    local cut = {}
    for i = 1, #words.ALL, 3 do cut[words.ALL[i]] = true end
    cut.the = nil
    local count = tokenizer(cut, true)
    local work = assert(open { random_input = "200" })
    assert.is_nil(work:fit(count))
    assert.equal("tokens", work:describe().unit)
    for i = 1, 5 do assert.equal(201, count(work:item("k", i).text)) end
    assert.is_true(#work.words > 300)
  end)

  it("says that lengths are in words where there is no tokenizer, or a useless one", function()
    local work = assert(open { random_input = "5" })
    assert.matches("no tokenizer", work:fit(nil).text, 1, true)
    assert.equal("words", work:describe().unit)
    work = assert(open { random_input = "5" })
    local all = {}
    for _, word in ipairs(words.ALL) do all[word] = word ~= "the" end
    assert.matches("only", work:fit(tokenizer(all)).text, 1, true)
    work = assert(open { random_input = "5" })
    assert.matches("gone", work:fit(function() return nil, { text = "gone" } end).text, 1, true)
  end)

  it("shares prefixes between groups", function()
    local work = assert(open { random_input = "3", prefix_groups = 2, prefix_tokens = 6 })
    local seen, groups = {}, 0
    for i = 1, 40 do
      local item = work:item("k", i)
      assert.same({ 9, 9 }, { count_words(item.text), item.input_tokens })
      local prefix = item.text:match(("%S+ "):rep(6))
      if not seen[prefix] then seen[prefix], groups = true, groups + 1 end
    end
    assert.equal(2, groups)
  end)

  it("makes sessions", function()
    local item = assert(open { random_input = "3", random_output = "2", turns = 3 }):item("k", 0)
    assert.equal(3, #item.turns)
    assert.not_equal(item.turns[1].text, item.turns[2].text)
    assert.equal(2, item.turns[3].output_tokens)
  end)

  it("reads a trace: times, lengths, and blocks that are shared", function()
    local path = write("t.jsonl", '{"timestamp": 1000, "input_length": 700, "output_length": 5, "hash_ids": [1, 2]}\n\n'
      .. '{"timestamp": 1500, "input_length": 600, "output_length": 6, "hash_ids": [1, 3]}\n'
      .. '{"timestamp": 1500.5, "input_length": 4, "output_length": 7}\n')
    local work = assert(open { trace = path, trace_speed = 2 })
    assert.same({ 0, 250000000, 250250000 }, work.times_ns)
    local one, two, three = work:item("k", 0), work:item("k", 1), work:item("k", 2)
    assert.same({ 700, 600, 4 }, { count_words(one.text), count_words(two.text), count_words(three.text) })
    assert.same({ 5, 6, 7 }, { one.output_tokens, two.output_tokens, three.output_tokens })
    assert.equal(first_words(one.text, 512), first_words(two.text, 512))
    assert.not_equal(one.text:sub(-60), two.text:sub(-60))
    assert.not_equal(first_words(one.text, 512), first_words(work:item("another replicate", 0).text, 512))
  end)

  it("reads prompts of one's own", function()
    local work = assert(open { custom = write("c.jsonl", '{"prompt": "a", "output_tokens": 3}\n'
      .. '{"messages": [{"role": "user", "content": "b"}], "output_len": 4}\n') })
    assert.same({ text = "a", output_tokens = 3 }, work:item("k", 0))
    assert.same({ messages = { { role = "user", content = "b" } }, output_tokens = 4 }, work:item("k", 1))
    assert.equal("a", work:item("k", 1, 1).text) -- an offset goes on through the set, and round
  end)

  it("reads ShareGPT, as a document or by lines, and its turns", function()
    local row = '{"conversations": [{"from": "human", "value": "q1"}, {"from": "gpt", "value": "12345678"}, '
      .. '{"from": "human", "value": "q2"}, {"from": "gpt", "value": "r2"}]}'
    local useless = '{"conversations": [{"from": "gpt", "value": "x"}, {"from": "human", "value": "y"}]}'
    for _, text in ipairs { "[" .. row .. "," .. useless .. "]", row .. "\n" .. useless .. "\n" } do
      local path = write("s.json", text)
      local work = assert(open { sharegpt = path })
      assert.equal(1, work.size)
      assert.same({ text = "q1", output_tokens = 2 }, work:item("k", 0))
      local turns = assert(open { sharegpt = path, turns = 5 }):item("k", 0).turns
      assert.same({ { text = "q1", output_tokens = 2 }, { text = "q2", output_tokens = 1 } }, turns)
    end
  end)

  it("names file, line and field of what is wrong", function()
    local good = '{"timestamp": 5, "input_length": 3, "output_length": 5}\n'
    for _, case in ipairs {
      { "trace", good .. "{\n", ":2: ", "" },
      { "trace", good .. "[]\n", ":2: ", "" },
      { "trace", good .. '{"timestamp": "x", "input_length": 3, "output_length": 5}',
        ":2: field 'timestamp': want milliseconds from 0, got \"x\"" },
      { "trace", good .. '{"timestamp": 1, "input_length": 3, "output_length": 5}',
        ":2: field 'timestamp': want an ascending order, got 1 after 5" },
      { "trace", '{"timestamp": 1, "input_length": 0, "output_length": 5}',
        ":1: field 'input_length': want an integer of at least 1, got 0" },
      { "trace", '{"timestamp": 1, "input_length": 2}', ":1: field 'output_length': want an integer of at least 1, got nothing" },
      { "trace", '{"timestamp": 1, "input_length": 2, "output_length": 5, "hash_ids": 7}', ":1: field 'hash_ids': want a list" },
      { "trace", "\n", ": holds no rows" },
      { "custom", '{"prompt": ""}', ":1: field 'prompt': want a text" },
      { "custom", '{"text": "a"}', ":1: want one of the fields 'prompt' and 'messages'" },
      { "custom", '{"prompt": "a", "output_tokens": -3}', ":1: field 'output_tokens': want an integer of at least 1, got -3" },
      { "custom", '{"messages": [{"role": "user"}]}', ":1: field 'messages[0]': want { role, content }" },
      { "sharegpt", '[{"conversations": 3}]', ": conversation 0: field 'conversations': want a list, got 3" },
      { "sharegpt", '[{"conversations": [}]', ": " },
      { "sharegpt", "[]", ": holds no conversation" },
    } do
      local path = write("bad", case[2])
      local work, err = open { [case[1]] = path }
      assert.is_nil(work, case[2])
      assert.equal("data", err.kind)
      assert.equal(path .. case[3], err.text:sub(1, #path + #case[3]))
    end
    local _, err = open { custom = dir .. "/nowhere" }
    assert.matches("nowhere", err.text, 1, true)
  end)

  it("asks the questions of a dataset as its script does", function()
    local work = assert(open({ dataset = "gsm8k" }, { data_dir = "data/sample", limit = 10 }))
    assert.equal(10, work.size)
    local first = work:item("k", 0)
    assert.matches("^Question: ", first.text)
    assert.same(first, work:item("other", 10))
    local missing, err = open({ dataset = "gsm9k" }, { data_dir = "data/sample" })
    assert.is_nil(missing)
    assert.matches("gsm9k", err.text, 1, true)
  end)
end)
