-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local kinds = require "qlua.kinds"
local tasks = require "qlua.tasks"

local folder = "build/tmp/tasks_spec"

local function put(name, text)
  local path = folder .. "/" .. name
  assert(file.make_dir(path:match "^(.*)/"))
  assert(file.write(path, text))
  return path
end

-- The data set of the design's first page, over three small files.
local function script(changes)
  local one = {
    name = "sums", summary = { en = "Sums", zh = "加法" }, modes = { "generate" }, scorers = { "number" },
    source = { test = { file = "sums/test.jsonl" }, train = { file = "sums/train.jsonl" } },
    shots = { split = "train", n = 2, sampler = "first_n" },
    sample = function(row) return { input = row.q, target = row.a, meta = { solution = row.a } } end,
    prompt = function(sample, shots)
      local text = ""
      for _, shot in ipairs(shots) do
        text = text .. "Question: " .. shot.input .. "\nAnswer: " .. shot.meta.solution .. "\n\n"
      end
      return { text = text .. "Question: " .. sample.input .. "\nAnswer:", stop = { "Question:" } }
    end,
  }
  for name, value in pairs(changes or {}) do
    one[name] = value or nil
  end
  return kinds.dataset(one)
end

local function open(changes, spec)
  spec = spec or {}
  spec.dataset, spec.data_dir = script(changes), spec.data_dir or folder
  return tasks.open(spec)
end

describe("tasks", function()
  before_each(function()
    put("sums/test.jsonl", '{"q":"1+1","a":"2"}\n{"q":"2+2","a":"4"}\n{"q":"3+3","a":"6"}\n')
    put("sums/train.jsonl", '{"q":"0+1","a":"1"}\n{"q":"0+2","a":"2"}\n{"q":"0+3","a":"3"}\n')
  end)

  it("give samples and prompts by number", function()
    local task = assert(open())
    assert.equal(3, task:size())
    assert.equal("generate", task.mode)
    local prompt, sample = task:prompt(1)
    assert.equal("Question: 0+1\nAnswer: 1\n\nQuestion: 0+2\nAnswer: 2\n\nQuestion: 2+2\nAnswer:", prompt.text)
    assert.same({ "Question:" }, prompt.stop)
    assert.same({ id = "sums/test/1", index = 1, split = "test", input = "2+2", target = "4", meta = { solution = "4" },
      row_sha256 = hash.sha256 '{"a":"4","q":"2+2"}' }, sample)
    assert.equal(folder .. "/sums/test.jsonl:2", task:place(1))
    assert.equal(prompt.text, task:prompt(1).text) -- the row is gone by now, the sample is kept
    assert.has_error(function() task:sample(3) end)
  end)

  it("record what was read", function()
    local task = assert(open())
    local text = file.read(folder .. "/sums/test.jsonl")
    assert.equal(2, #task.files)
    assert.same({ path = folder .. "/sums/test.jsonl", name = "sums/test.jsonl", split = "test", rows = 3, bytes = #text,
      sha256 = hash.sha256(text) }, task.files[1])
    assert.equal("train", task.files[2].split)
  end)

  it("take a limit as a prefix, and say when there are fewer", function()
    local whole, cut = assert(open()), assert(open(nil, { limit = 2 }))
    assert.equal(2, cut:size())
    assert.equal(whole:prompt(1).text, cut:prompt(1).text)
    assert.same({}, cut.notes)
    local all = assert(open(nil, { limit = 10 }))
    assert.equal(3, all:size())
    assert.equal("sums, split test: asked for 10 samples, there are 3: taking all", all.notes[1].en)
    assert.equal("sums，test 集：要求 10 个样本，实有 3 个，全部采用", all.notes[1].zh)
    local _, err = open(nil, { limit = 0 })
    assert.equal("limit: want an integer of at least 1, got 0", err.text)
  end)

  it("note a number of rows and a checksum that are not upstream's", function()
    local function notes_of(rows)
      local task = assert(open { source = { train = { file = "sums/train.jsonl" },
        test = { file = "sums/test.jsonl", rows = rows, sha256 = ("0"):rep(64) } } })
      return task.notes, task
    end
    local notes, task = notes_of(3)
    assert.equal(1, #notes)
    assert.equal("sha256", notes[1].kind)
    assert.truthy(notes[1].en:find("sums/test.jsonl: not the upstream file: want sha256 000", 1, true))
    notes = notes_of(1319)
    assert.equal(1, #notes)
    assert.equal("rows", notes[1].kind)
    assert.equal("sums, split test: 3 rows, upstream has 1319", notes[1].en)
    assert.equal(("0"):rep(64), task.files[1].want_sha256)
  end)

  it("take shots, mode, split and args from the caller", function()
    local task = assert(open({ args = { hint = "no", other = 1 },
      prompt = function(sample, shots, args) return { text = ("%d %s %s %d"):format(#shots, sample.input, args.hint, args.other) } end },
      { shots = 1, split = "train", args = { hint = "yes" } }))
    assert.equal("1 0+1 yes 1", task:prompt(0).text)
    assert.equal("train", task.split)
    local _, err = open(nil, { mode = "letter" })
    assert.equal("mode: want one of generate for dataset 'sums', got letter", err.text)
    _, err = open(nil, { shots = 4 })
    assert.equal("dataset 'sums': shots.n: want at most 3, as there are 3 examples to choose from, got 4", err.text)
    _, err = open({ shots = false }, { shots = 4 })
    assert.equal("shots: want 0, as dataset 'sums' has no field 'shots', got 4", err.text)
    _, err = open(nil, { split = "dev" })
    assert.equal("dataset 'sums': field 'source.dev' is missing (want a table with file or files)", err.text)
  end)

  it("leave the sample itself out of its examples when they come from its own split", function()
    local task = assert(open({ shots = { split = "test", n = 2, sampler = "first_n" } }))
    assert.equal("Question: 1+1\nAnswer: 2\n\nQuestion: 3+3\nAnswer: 6\n\nQuestion: 2+2\nAnswer:", task:prompt(1).text)
    assert.equal("sums/test/2", task:shots(1)[2].id)
    assert.equal("sums/test/2", task:sample(2).id)
    assert.equal(1, #task.files)
  end)

  it("make the prompt from question and answer, as text or as turns", function()
    local changes = { prompt = false, stop = { "\n" }, max_tokens = 7,
      description = function() return "Add.\n\n" end,
      question = function(sample) return sample.input .. " =" end, answer = function(sample) return sample.target end }
    local prompt = assert(open(changes, { shots = 1 })):prompt(0)
    assert.same({ text = "Add.\n\n0+1 = 1\n\n1+1 =", stop = { "\n" }, max_tokens = 7 }, prompt)
    prompt = assert(open(changes, { shots = 1, form = "turns" })):prompt(0)
    assert.is_nil(prompt.text)
    assert.same({ "system", "user", "assistant", "user" }, { prompt.messages[1].role, prompt.messages[2].role,
      prompt.messages[3].role, prompt.messages[4].role })
  end)

  it("say that a data set of several turns has no prompts of its own", function()
    local _, err = assert(open { prompt = false, converse = function() end }):prompt(0)
    assert.equal("usage", err.kind)
    assert.truthy(err.text:find("asks in several turns", 1, true))
  end)

  it("give continuations for the modes that score choices", function()
    local changes = { modes = { "loglikelihood", "letter" }, prompt = false, shots = false,
      sample = function(row) return { input = row.q, choices = { "one", "two" }, target = 1 } end,
      question = function(sample) return sample.input end, answer = function() return "" end }
    assert.same({ " one", " two" }, assert(open(changes)):prompt(0).continuations)
    assert.same({ " A", " B" }, assert(open(changes, { mode = "letter" })):prompt(0).continuations)
    changes.choices = "letters"
    assert.same({ " A", " B" }, assert(open(changes)):prompt(0).continuations)
  end)

  describe("name file, line and field of a bad row", function()
    local function error_of(sample, modes)
      local task = assert(open { sample = sample, modes = modes, shots = false })
      local value, err = task:sample(1)
      assert.is_nil(value)
      local _, prompt_err = task:prompt(1)
      assert.same(err, prompt_err)
      for i, _, each_err in task:each() do
        assert.equal(i, i)
        assert.truthy(each_err)
      end
      return err
    end
    local place = folder .. "/sums/test.jsonl:2: "

    for want, case in pairs {
      ["dataset 'sums': sample field 'input': want a string, got nothing"] = { function(row) return { target = row.a } end },
      ["dataset 'sums': sample field 'target': want a value, got nothing"] = { function(row) return { input = row.q } end },
      ["dataset 'sums': sample: want a table, got nothing"] = { function() end },
      ["dataset 'sums': sample: want a table, got \"x\""] = { function() return "x" end },
      ["field 'a': want a number, got 4"] = { function(row) return nil, "field 'a': want a number, got " .. row.a end },
      ["dataset 'sums': sample field 'choices': want a list of at least 2 strings, got nothing"] =
        { function(row) return { input = row.q, target = 0 } end, { "letter" } },
      ["dataset 'sums': sample field 'choices[2]': want a string, got 5"] =
        { function(row) return { input = row.q, target = 0, choices = { "a", 5 } } end, { "letter" } },
      ["dataset 'sums': sample field 'target': want an integer from 0 to 1, got 2"] =
        { function(row) return { input = row.q, target = 2, choices = { "a", "b" } } end, { "letter" } },
    } do
      it(want, function()
        local err = error_of(case[1], case[2])
        assert.equal(place .. want, err.text)
        assert.equal("data", err.kind)
      end)
    end

    it("also when the script raises, in sample and in prompt", function()
      local err = error_of(function(row) return row.nothing.there end)
      assert.equal("script", err.kind)
      assert.equal(place .. "dataset 'sums': ", err.text:sub(1, #place + 16))
      err = error_of(function() error({ kind = "limit", text = "mine.lua: too many instructions" }, 0) end)
      assert.same({ kind = "limit", text = place .. "dataset 'sums': mine.lua: too many instructions" }, err)
      local _, prompt_err = assert(open { prompt = function() return "x" end }):prompt(1)
      assert.equal(place .. "dataset 'sums': prompt: want a table with text or messages, got \"x\"", prompt_err.text)
    end)
  end)

  it("fail to open when a file is missing, broken or empty", function()
    local _, err = open(nil, { data_dir = "build/tmp/nowhere" })
    assert.equal("data", err.kind)
    assert.truthy(err.text:find("build/tmp/nowhere/sums/test.jsonl", 1, true))
    put("sums/test.jsonl", "")
    _, err = open()
    assert.equal(folder .. "/sums/test.jsonl: want at least one row, got none", err.text)
    put("sums/test.jsonl", '{"q":"1+1","a":"2"}\n{"q"')
    _, err = open()
    assert.truthy(err.text:find(folder .. "/sums/test.jsonl:2: want a JSON object, got bad JSON: ", 1, true))
  end)

  it("find data in several folders", function()
    assert.same({ "a" }, tasks.data_dirs "a")
    assert.same({ "a", "b" }, tasks.data_dirs "a:b")
    assert.same({ "x" }, tasks.data_dirs { "x" })
    assert.is_true(#tasks.data_dirs(nil) > 0)
    assert.equal(3, assert(open(nil, { data_dir = { "build/tmp/nowhere", folder } })):size())
  end)

  it("say which registry name is unknown", function()
    local task, err = tasks.open { dataset = "gsm9k", data_dir = folder }
    assert.is_nil(task)
    assert.truthy(err.text:find("gsm9k", 1, true))
  end)
end)
