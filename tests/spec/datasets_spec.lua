-- SPDX-License-Identifier: Apache-2.0
-- Prompts of the data sets that come with qlua, byte for byte: gsm8k against the hashes that the reference harness
-- publishes, the others against strings written by hand from its task definitions, and as a whole against digests
-- and the files of tests/cases/prompts, which a separate implementation of those definitions made.
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local prompts = require "qlua.prompts"
local tasks = require "qlua.tasks"

local REAL, SAMPLE = "../shared/data", "data/sample"

local function has(path)
  return file.stat(REAL .. "/" .. path) ~= nil
end

local function open(dataset, options)
  local spec = { dataset = dataset, data_dir = REAL }
  for name, value in pairs(options or {}) do
    spec[name] = value
  end
  return assert(tasks.open(spec))
end

-- A task over rows written here, in a folder of its own.
local function with_rows(dataset, files, options)
  local folder = "build/tmp/datasets_spec"
  for name, text in pairs(files) do
    assert(file.make_dir((folder .. "/" .. name):match "^(.*)/"))
    assert(file.write(folder .. "/" .. name, text))
  end
  local spec = { data_dir = folder }
  for name, value in pairs(options or {}) do
    spec[name] = value
  end
  return open(dataset, spec)
end

-- As Python's json.dumps(list, ensure_ascii=False) writes a list of messages.
local function python_json(messages)
  local parts = {}
  for i, message in ipairs(messages) do
    local content = message.content:gsub('[%c"\\]', { ["\n"] = "\\n", ['"'] = '\\"', ["\\"] = "\\\\", ["\t"] = "\\t" })
    parts[i] = ('{"role": "%s", "content": "%s"}'):format(message.role, content)
  end
  return "[" .. table.concat(parts, ", ") .. "]"
end

describe("gsm8k", function()
  it("has the reference harness's five-shot prompts, by hash", function()
    if not has "gsm8k/train.jsonl" then
      return pending "no ../shared/data/gsm8k here"
    end
    local task = open "gsm8k"
    assert.equal(1319, task:size())
    assert.same({}, task.notes)
    local first = assert(task:prompt(0))
    assert.equal(3189, #first.text)
    assert.equal("32680f263ba83280e98a8a24ceefed10a722a4cdcd9f4d78e93c45d43143ca66", prompts.sha256(first))
    assert.equal("c9c63955e0cf2185cb505fbc69b80561f7bad5c30a5daee94cc851b31107f4cb", prompts.sha256(task:prompt(1318)))
    assert.equal("97eb2662b11bbd7bd0423f898efde0e9a04d22028ed5fc1f80576965b0f570fa", prompts.sha256(task:prompt(2)))
    assert.equal("e6b9a0195411932e5323ed20ad05e965b08b979103bbb26594a5bdf123d27990", prompts.sha256(task:prompt(1)))
    assert.equal("e568d5f4432193c0a60b2d1f87472a2d09d967ee7379c98bc11dce8784a27c30", task:digest())
    assert.same({ "Question:", "</s>", "<|im_end|>" }, first.stop)
    assert.is_nil(first.continuations)
    local sample = task:sample(0)
    assert.equal("gsm8k/test/0", sample.id)
    assert.equal("18", sample.target)
    assert.equal("623a0fbdf774fcb55e485a3e6b012e6c3965616af5b8eb9b9aebd2f6712be2eb", hash.sha256(sample.meta.solution))
  end)

  it("has the same examples as turns of a chat", function()
    if not has "gsm8k/train.jsonl" then
      return pending "no ../shared/data/gsm8k here"
    end
    local prompt = open("gsm8k", { form = "turns", limit = 1 }):prompt(0)
    assert.is_nil(prompt.text)
    assert.equal(11, #prompt.messages)
    assert.equal("186f661ab969ce14d829576c94407a0f0258694b14e04e152cb94bce7fa1e6b1",
      hash.sha256(python_json(prompt.messages)))
  end)

  it("has 14 targets with thousands commas, 2 negative ones and no decimals", function()
    if not has "gsm8k/test.jsonl" then
      return pending "no ../shared/data/gsm8k here"
    end
    local commas, negatives = 0, {}
    for _, sample in open("gsm8k", { shots = 0 }):each() do
      commas = commas + (sample.target:find(",", 1, true) and 1 or 0)
      negatives[#negatives + 1] = sample.target:match "^%-.*"
      assert.truthy(sample.target:find "^%-?[%d,]+$")
    end
    assert.equal(14, commas)
    assert.same({ "-10", "-3" }, negatives)
  end)

  it("names file, line and field when an answer has no target", function()
    local task = with_rows("gsm8k", { ["gsm8k/test.jsonl"] = '{"question":"q","answer":"none"}\n' }, { shots = 0 })
    local sample, err = task:sample(0)
    assert.is_nil(sample)
    assert.equal("data", err.kind)
    assert.equal("build/tmp/datasets_spec/gsm8k/test.jsonl:1: field 'answer': "
      .. "want a solution that ends in '#### number', got none", err.text)
  end)
end)

describe("hellaswag", function()
  local row = '{"ind":1,"activity_label":"%s","ctx_a":"%s","ctx_b":"%s","label":%s,"endings":["%s","b","c","d"]}\n'

  local function prepared(activity, ctx_a, ctx_b, label, ending)
    local text = row:format(activity, ctx_a, ctx_b, label, ending)
    return with_rows("hellaswag", { ["hellaswag/hellaswag_val.jsonl"] = text })
  end

  it("prepares text in the reference's order", function()
    local task = prepared("Home", "[header] How to sit [title] Find  a chair. [step] A   [substeps] look", "HE sees Bob's ÉCOLE",
      '"2"', " [step] Sit  down.  [title] Rest [x] ")
    local sample = assert(task:sample(0))
    assert.equal("Home: How to sit. Find a chair. A  look He sees bob's école", sample.input)
    assert.same({ " Sit down. . Rest ", "b", "c", "d" }, sample.choices)
    assert.equal(2, sample.target)
    local prompt = task:prompt(0)
    assert.equal(sample.input, prompt.text)
    assert.same({ "  Sit down. . Rest ", " b", " c", " d" }, prompt.continuations)
  end)

  it("takes labels as integers and as text, and no others", function()
    assert.equal(3, prepared("A", "a", "b", "3", "e"):sample(0).target)
    assert.equal(3, prepared("A", "a", "b", '"3"', "e"):sample(0).target)
    local _, err = prepared("A", "a", "b", '""', "e"):sample(0)
    assert.truthy(err.text:find("hellaswag_val.jsonl:1: field 'label': want an integer from 0 to 3", 1, true))
    _, err = prepared("A", "a", "b", "4", "e"):sample(0)
    assert.truthy(err.text:find("sample field 'target': want an integer from 0 to 3, got 4", 1, true))
  end)

  it("has these bytes for real rows", function()
    if not has "hellaswag/hellaswag_val.jsonl" then
      return pending "no ../shared/data/hellaswag here"
    end
    local task = open "hellaswag"
    assert.equal(10042, task:size())
    local prompt, sample = task:prompt(0)
    assert.equal("Roof shingle removal: A man is sitting on a roof. He", prompt.text)
    assert.same({ " is using wrap to wrap a pair of skis.", " is ripping level tiles off.", " is holding a rubik's cube.",
      " starts pulling up roofing on a roof." }, prompt.continuations)
    assert.equal(3, sample.target)
    assert.equal("Clean and jerk: A lady walks to a barbell. She bends down and grabs the pole. The lady", task:prompt(1).text)
    assert.equal("0dff1bd4be095623086a629f40692348afa3fffcd56b648043f6419530f83fa4", task:digest())
    local continuations = {}
    for i in task:each() do
      continuations[i + 1] = hash.sha256(table.concat(task:prompt(i).continuations, "\n") .. "\n")
    end
    assert.equal("7cb6ccf536481e96a5b179baf75411a3a612504505c84751c427786390ef4ab7", hash.sha256(table.concat(continuations)))
  end)
end)

describe("mmlu", function()
  local dev = 'D1?,a,b,c,d,A\nD2?,a,b,c,d,B\n"D3\nover two",a,b,c,d,C\nD4?,a,b,c,d,D\nD5?,a,b,c,d,A\n'
  local files = { ["mmlu/test/high_school_x_test.csv"] = '" Which, then? ",one,"two, or so",three,four,B\r\n',
    ["mmlu/dev/high_school_x_dev.csv"] = dev, ["mmlu/test/other_test.csv"] = "Q,a,b,c,d,D\n",
    ["mmlu/dev/other_dev.csv"] = dev }

  it("puts the subject's dev rows before the question, in order", function()
    local task = with_rows("mmlu", files)
    local prompt, sample = task:prompt(0)
    assert.equal("The following are multiple choice questions (with answers) about high school x.\n\n"
      .. "D1?\nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\nD2?\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\n"
      .. "D3\nover two\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\nD4?\nA. a\nB. b\nC. c\nD. d\nAnswer: D\n\n"
      .. "D5?\nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\n"
      .. "Which, then?\nA. one\nB. two, or so\nC. three\nD. four\nAnswer:", prompt.text)
    assert.same({ " A", " B", " C", " D" }, prompt.continuations)
    assert.equal("letter", task.mode)
    assert.equal(1, sample.target)
    assert.equal("high_school_x", sample.group)
    assert.equal("mmlu/test/1", task:sample(1).id)
    assert.equal("other", task:sample(1).group)
    assert.truthy(task:prompt(1).text:find("about other.\n\nD1?", 1, true))
  end)

  it("asks for the letter alone in the other two modes", function()
    assert.same({ " A", " B", " C", " D" }, with_rows("mmlu", files, { mode = "loglikelihood" }):prompt(0).continuations)
    local prompt = with_rows("mmlu", files, { mode = "generate", shots = 1 }):prompt(0)
    assert.is_nil(prompt.continuations)
    assert.same({ "</s>", "\n" }, prompt.stop)
    assert.equal("The following are multiple choice questions (with answers) about high school x.\n\n"
      .. "D1?\nA. a\nB. b\nC. c\nD. d\nAnswer: A\n\nWhich, then?\nA. one\nB. two, or so\nC. three\nD. four\nAnswer:", prompt.text)
  end)

  it("says which cell is no letter", function()
    local task = with_rows("mmlu", { ["mmlu/test/other_test.csv"] = "Q,a,b,c,d,E\n" })
    local _, err = task:sample(1)
    assert.truthy(err.text:find("mmlu/test/other_test.csv:1: field 'answer': want A, B, C or D, got \"E\"", 1, true))
  end)

  it("has these bytes for real rows, and every subject in a category", function()
    if not has "mmlu/test/anatomy_test.csv" then
      return pending "no ../shared/data/mmlu here"
    end
    local task = open "mmlu"
    assert.equal(14042, task:size())
    assert.same({}, task.notes)
    local counts, subjects = {}, {}
    local first
    for i, sample in task:each() do
      if sample.group == "anatomy" then
        first = first or i
      end
      if not subjects[sample.group] then
        subjects[sample.group] = true
        counts[sample.meta.category] = (counts[sample.meta.category] or 0) + 1
      end
    end
    assert.same({ stem = 19, humanities = 13, social_sciences = 12, other = 13 }, counts)
    local text = task:prompt(first).text
    local head = "The following are multiple choice questions (with answers) about anatomy.\n\n"
      .. "What is the embryological origin of the hyoid bone?\nA. The first pharyngeal arch\n"
      .. "B. The first and second pharyngeal arches\nC. The second pharyngeal arch\n"
      .. "D. The second and third pharyngeal arches\nAnswer: D\n\n"
    local tail = "\n\nA lesion causing compression of the facial nerve at the stylomastoid foramen will cause ipsilateral\n"
      .. "A. paralysis of the facial muscles.\nB. paralysis of the facial muscles and loss of taste.\n"
      .. "C. paralysis of the facial muscles, loss of taste and lacrimation.\n"
      .. "D. paralysis of the facial muscles, loss of taste, lacrimation and decreased salivation.\nAnswer:"
    assert.equal(head, text:sub(1, #head))
    assert.equal(tail, text:sub(-#tail))
    assert.equal(6, select(2, text:gsub("\nAnswer:", "")))
    assert.equal("0140c99f0969c452faf7df5e40a60e9b6fdf0b03755a124364956e55efa59b06", task:digest())
  end)
end)

describe("cmath", function()
  it("asks in Chinese, for a number on the last line", function()
    local task = with_rows("cmath", { ["zh/cmath/cmath_dev.jsonl"] = '{"grade":1,"input":"三加五？","golden":"8"}\n' })
    local prompt, sample = task:prompt(0)
    assert.equal("请解答下面的小学数学题。先写出推理过程，最后另起一行，以“答案是：”开头给出最终的数值，不带单位。\n\n"
      .. "题目：三加五？\n解答：", prompt.text)
    assert.equal("8", sample.target)
    assert.equal(1, sample.meta.grade)
  end)

  it("reads the 600 real rows", function()
    if not has "zh/cmath/cmath_dev.jsonl" then
      return pending "no ../shared/data/zh/cmath here"
    end
    local task = open "cmath"
    assert.equal(600, task:size())
    assert.same({}, task.notes)
  end)
end)

describe("the sample sets", function()
  it("give the prompts of tests/cases/prompts", function()
    for name, case in pairs { gsm8k_0 = { "gsm8k", 0 }, mmlu_0 = { "mmlu", 0 }, mmlu_60 = { "mmlu", 60 },
      hellaswag_0 = { "hellaswag", 0 }, hellaswag_23 = { "hellaswag", 23 }, cmath_0 = { "cmath", 0 } } do
      local prompt = open(case[1], { data_dir = SAMPLE }):prompt(case[2])
      local text = prompt.text
      if case[1] == "hellaswag" then
        text = text .. "\n" .. table.concat(prompt.continuations, "\n")
      end
      assert.equal(assert(file.read("tests/cases/prompts/" .. name .. ".txt")), text, name)
    end
  end)

  it("of gsm8k reckon right: every <<a*b=c>> holds, and the last one is the target", function()
    local checked = 0
    for _, sample in open("gsm8k", { data_dir = SAMPLE }):each() do
      local last
      for expression, value in sample.meta.solution:gmatch "<<([^=]+)=([^>]+)>>" do
        assert.truthy(expression:find "^[%d%+%-%*/]+$")
        assert.equal(tonumber(value), assert(load("return " .. expression))(), expression)
        last, checked = value, checked + 1
      end
      local target = sample.target:gsub(",", "")
      -- The one kind of problem whose last step rounds up and is said in words.
      if not sample.input:find("How many buses", 1, true) then
        assert.equal(last, target)
      end
    end
    assert.is_true(checked > 250)
  end)

  it("come out of their generator byte for byte", function()
    local made = "build/tmp/made_sample"
    local pipe = io.popen(("'%s' lua tools/make_sample_data.lua %s 2>&1"):format(require("qlua.core.sys").exe(), made))
    local output = pipe:read "a"
    assert.is_true(pipe:close(), output)
    local compared = 0
    for name in output:gmatch(made:gsub("%p", "%%%0") .. "/(%S+)") do
      assert.equal(hash.sha256_file(SAMPLE .. "/" .. name), hash.sha256_file(made .. "/" .. name), name)
      compared = compared + 1
    end
    assert.equal(20, compared)
  end)

  for name, least in pairs { gsm8k = 120, hellaswag = 120, mmlu = 120, cmath = 100 } do
    it("hold enough well-formed rows of " .. name .. ", no question twice", function()
      local task = open(name, { data_dir = SAMPLE })
      assert.is_true(task:size() >= least)
      local seen = {}
      for i, sample, err in task:each() do
        assert.is_nil(err)
        assert.is_nil(seen[sample.input])
        seen[sample.input] = true
        assert(task:prompt(i))
      end
      for _, note in ipairs(task.notes) do
        assert.not_equal("limit", note.kind)
      end
    end)
  end
end)
