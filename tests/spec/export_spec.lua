-- SPDX-License-Identifier: Apache-2.0
-- qlua export: a run of the demo in the forms of other tools, read back by readers that are not the writer; and
-- docs/exchange.md as its reader follows it.
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local lm_eval_rows = require "qlua.exchange.lm_eval_rows"
local python_json = require "qlua.python_json"
local rows = require "qlua.rows"
local schema = require "qlua.schema"
local store = require "qlua.core.store"
local sys = require "qlua.core.sys"
local tasks = require "qlua.tasks"

local exe, root = sys.exe(), sys.cwd()
local DATA = "../shared/data"
local folder, run_dir

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function qlua(argv)
  local words = {}
  for i, word in ipairs(argv) do words[i] = quote(word) end
  local command = ("cd %s && env -u LC_ALL -u LC_MESSAGES -u QLUA_DEBUG -u QLUA_PATH -u QLUA_DATA LANG=C %s %s >out 2>err </dev/null")
    :format(quote(folder), quote(exe), table.concat(words, " "))
  local _, _, code = os.execute(command)
  return { code = code, out = file.read(folder .. "/out"), err = file.read(folder .. "/err") }
end

local function export(argv)
  local result = qlua { "export", run_dir, table.unpack(argv) }
  assert.equal(0, result.code, result.err)
  return result
end

local function has_python() return os.execute "command -v python3 >/dev/null" end

local function peer(dir)
  local pipe = assert(io.popen(("python3 %s/tests/peers/lm_eval_read.py %s"):format(quote(root), quote(dir))))
  local report = json.decode(pipe:read "a")
  assert.is_true(pipe:close())
  return report
end

-- The one file of a folder whose name begins so.
local function named(dir, prefix)
  local found
  for _, name in ipairs(assert(file.list(dir))) do
    if name:sub(1, #prefix) == prefix and name:sub(#prefix + 1):find "^%d" then
      assert.is_nil(found, name)
      found = dir .. "/" .. name
    end
  end
  return assert(found, prefix)
end

local function json_lines(path)
  local list = {}
  for line in assert(file.lines(path)) do list[#list + 1] = assert(json.decode(line)) end
  return list
end

local function results_of(dir) return json.decode(file.read(named(dir, "results_"))) end

describe("python_json", function()
  it("writes as Python's json.dumps, keeping the order of keys", function()
    local text = [[ {"b":1,"a":[ ],"c":{},"t":"é\u00e9\/\u0001\"\\\n","f":[1.50,2.0,-3,1e-5],"n":null,"k":true}]]
    assert.equal([[{"b": 1, "a": [], "c": {}, "t": "éé/\u0001\"\\\n", "f": [1.5, 2.0, -3, 1e-05], "n": null, "k": true}]],
      python_json.rewrite(text))
    assert.equal('{\n  "b": [\n    1,\n    {\n      "x": ""\n    }\n  ]\n}', python_json.rewrite('{"b":[1,{"x":""}]}', 2))
    assert.equal('"\u{FFFD}"', python_json.string "\xff")
  end)
end)

describe("the hashes of lm-eval", function()
  it("are those published for GSM8K", function()
    if not file.stat(DATA .. "/gsm8k/test.jsonl") then return pending("no " .. DATA) end
    local task = assert(tasks.open { dataset = "gsm8k", data_dir = DATA })
    local prompt, sample = task:prompt(0)
    local _, text = lm_eval_rows.arguments(prompt, "generate", {})
    assert.equal("32680f263ba83280e98a8a24ceefed10a722a4cdcd9f4d78e93c45d43143ca66", hash.sha256(text))
    assert.equal("623a0fbdf774fcb55e485a3e6b012e6c3965616af5b8eb9b9aebd2f6712be2eb", hash.sha256(lm_eval_rows.target(task, sample)))
    local turns = assert(tasks.open { dataset = "gsm8k", data_dir = DATA, form = "turns" })
    local arguments, messages = lm_eval_rows.arguments(turns:prompt(0), "generate", {})
    assert.equal("186f661ab969ce14d829576c94407a0f0258694b14e04e152cb94bce7fa1e6b1", hash.sha256(messages))
    assert.equal(messages, json.decode(arguments).gen_args_0.arg_0[1])
  end)
end)

describe("the arguments of lm-eval", function()
  it("are the prompt and how it was asked; of a chat its messages", function()
    local prompt = { text = "1 + 1?", stop = { "\n" }, max_tokens = 8, continuations = { " A", " B" } }
    local arguments, text = lm_eval_rows.arguments(prompt, "generate", { temperature = 0, seed = 7, max_tokens = 512 })
    assert.equal("1 + 1?", text)
    assert.equal([[{"gen_args_0": {"arg_0": "1 + 1?", "arg_1": {"until": ["\n"], "do_sample": false, "temperature": 0.0, ]]
      .. [["max_gen_toks": 8, "seed": 7}}}]], arguments)
    arguments, text = lm_eval_rows.arguments(prompt, "letter", {}, true)
    assert.equal('[{"role": "user", "content": "1 + 1?"}]', text)
    assert.same({ { text }, " B" }, { json.decode(arguments).gen_args_1.arg_0, json.decode(arguments).gen_args_1.arg_1 })
  end)
end)

describe("qlua export", function()
  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(file.make_dir(folder))
    local run = qlua { "run", root .. "/suites/demo.lua", "--out", "results" }
    assert.equal(0, run.code, run.err)
    run_dir = folder .. "/results/" .. assert(file.list(folder .. "/results"))[1]
  end)
  teardown(function() os.execute("rm -r " .. quote(folder)) end)

  describe("as lm-eval", function()
    setup(function() export { "--format", "lm-eval", "--out", "lm" } end)

    it("writes a folder for each variant, also where all have one model", function()
      assert.same({ "simulated__awq", "simulated__fp8", "simulated__original" }, file.list(folder .. "/lm"))
      local results = results_of(folder .. "/lm/simulated__fp8")
      assert.equal("simulated:fp8", results.model_name)
      assert.equal("fp8", results.qlua.variant)
    end)

    it("is what an independent reader computes again", function()
      if not has_python() then return pending "no python3 for the peer" end
      for _, variant in ipairs { "original", "fp8", "awq" } do
        local report = peer(folder .. "/lm/simulated__" .. variant)
        local mmlu = 0
        for task, found in pairs(report) do
          assert.same({}, found.wrong, task)
          assert.equal(found.docs, found.effective)
          assert.equal(#found.filters * found.docs, found.rows)
          if task:find "^mmlu_" then mmlu = mmlu + found.docs end
        end
        assert.same({ "number", "strict-match", "flexible-extract" }, report.gsm8k.filters)
        assert.same({ 40, 40, 40, 120 }, { mmlu, report.gsm8k.docs, report.hellaswag.docs, report.gsm8k.rows })
        assert.same({ "none" }, report.hellaswag.filters)
      end
    end)

    it("has the figures of the run's own report", function()
      local own = json.decode(file.read(run_dir .. "/evaluation_results.json"))
      for _, variant in ipairs { "original", "fp8", "awq" } do
        local results = results_of(folder .. "/lm/simulated__" .. variant)
        local want = own.variants[variant].datasets
        assert.near(want.gsm8k.accuracy, results.results.gsm8k["score,number"], 1e-12)
        assert.near(want.hellaswag.accuracy, results.results.hellaswag["acc_norm,none"], 1e-12)
        assert.near(want.mmlu.accuracy, results.groups.mmlu["acc,none"], 1e-12)
        assert.equal(40, results.groups.mmlu.sample_len)
        for _, task in ipairs(results.group_subtasks.mmlu) do assert.is_table(results.results[task], task) end
      end
    end)

    it("has the keys its readers look up, and null for what is not known", function()
      local results = results_of(folder .. "/lm/simulated__original")
      for _, key in ipairs { "results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better",
        "n-samples", "config", "git_hash", "date", "pretty_env_info",
        "transformers_version", "lm_eval_version", "upper_git_hash", "tokenizer_pad_token",
        "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id", "max_length", "task_hashes", "model_source", "model_name",
        "model_name_sanitized", "system_instruction", "system_instruction_sha", "fewshot_as_multiturn", "chat_template",
        "chat_template_sha", "total_evaluation_time_seconds" } do
        assert.is_not_nil(results[key], key)
      end
      assert.equal(json.null, results.lm_eval_version)
      assert.is_nil(next(results.versions))
      assert.equal(5, results["n-shot"].gsm8k)
      assert.same({ original = 136, effective = 40 }, results["n-samples"].gsm8k)
      assert.same({ exact_match = true, score = true }, results.higher_is_better.gsm8k)
    end)

    it("gives log-probabilities as pairs of strings, one for each choice", function()
      local row = json_lines(named(folder .. "/lm/simulated__awq", "samples_hellaswag_"))[1]
      assert.equal(4, #row.resps)
      local best, best_sum
      for i, repeats in ipairs(row.resps) do
        local sum = tonumber(repeats[1][1])
        assert.is_true(sum < 0)
        assert.is_truthy(({ True = true, False = true, None = true })[repeats[1][2]])
        assert.same(repeats[1], row.filtered_resps[i])
        if not best or sum > best_sum then best, best_sum = i - 1, sum end
      end
      assert.equal(tonumber(row.target) == best and 1 or 0, row.acc)
      assert.equal(" ", row.arguments.gen_args_3.arg_1:sub(1, 1))
    end)

    it("is scored again by qlua score without one difference", function()
      for task, dataset in pairs { gsm8k = "gsm8k", hellaswag = "hellaswag", mmlu_astronomy = "mmlu" } do
        local path = named(folder .. "/lm/simulated__fp8", "samples_" .. task .. "_")
        local result = qlua { "score", dataset, path, "--data", root .. "/data/sample", "--json" }
        assert.equal(0, result.code, result.err)
        local scored = json.decode(result.out)
        assert.is_true(#scored.checks > 0)
        for _, check in ipairs(scored.checks) do
          assert.is_string(check.scorer, check.filter)
          assert.same({}, check.differences)
          assert.is_true(check.metrics_compared >= scored.replies)
        end
      end
    end)

    it("writes only what was asked for", function()
      export { "--format", "lm-eval", "--out", "some", "--variant", "fp8", "--dataset", "hellaswag" }
      assert.same({ "simulated__fp8" }, file.list(folder .. "/some"))
      assert.equal(2, #file.list(folder .. "/some/simulated__fp8"))
    end)

    it("leaves out what ended in an error, and says so", function()
      os.execute(("cp -r %s %s"):format(quote(run_dir), quote(folder .. "/broken")))
      local db = assert(store.open(folder .. "/broken/run.db", { schema = schema.sql, version = schema.version }))
      assert(db:put "UPDATE answer SET outcome = 'timeout', text = NULL WHERE variant = 'fp8' AND sample = 'gsm8k/test/3'")
      assert(db:commit())
      db:close()
      local result = qlua { "export", "broken", "--format", "lm-eval", "--out", "lm2", "--variant", "fp8", "--dataset", "gsm8k" }
      assert.equal("fp8: 1 questions ended in an error and have no row\n", result.err)
      assert.equal(39 * 3, #json_lines(named(folder .. "/lm2/simulated__fp8", "samples_gsm8k_")))
      assert.equal(39, results_of(folder .. "/lm2/simulated__fp8")["n-samples"].gsm8k.effective)
    end)

    it("refuses data that is not what was asked", function()
      os.execute(("mkdir -p %s/data && cp -r %s/data/sample/* %s/data"):format(quote(folder), quote(root), quote(folder)))
      local number = 0
      local text = file.read(folder .. "/data/gsm8k/test.jsonl"):gsub("[^\n]+", function(line)
        number = number + 1
        return number == 5 and line:gsub('("question": ?")', "%1Now ") or line
      end)
      assert(file.write(folder .. "/data/gsm8k/test.jsonl", text))
      local result = qlua { "export", run_dir, "--format", "lm-eval", "--out", "lm3", "--data", "data" }
      assert.equal(3, result.code)
      assert.is_truthy(result.err:find("gsm8k/test/4: the row at data/gsm8k/test.jsonl:5 is not the one that was asked", 1, true))
      assert.same({}, file.list(folder .. "/lm3/simulated__original"))
    end)
  end)

  describe("as a table", function()
    it("has every answer, once, the same in both forms", function()
      export { "--format", "csv", "--out", "a.csv" }
      local shown = export { "--format", "jsonl" }.out
      local db = assert(store.open(run_dir .. "/run.db", { schema = schema.sql, version = schema.version, read_only = true }))
      local count = db:rows("SELECT count(*) AS n FROM answer WHERE variant IN ('original', 'fp8', 'awq')")[1].n
      db:close()
      local cells = assert(rows.read(folder .. "/a.csv"))
      assert.equal(count, #cells)
      local at = 0
      for line in shown:gmatch "[^\n]+" do
        at = at + 1
        local record = json.decode(line)
        for name, value in pairs(cells[at]) do
          local want = record[name]
          if type(want) == "number" then -- times beyond 2^53 come out of JSON as floats
            assert.equal(want + 0.0, tonumber(value) + 0.0, name)
          else
            assert.equal(want or "", value, name)
          end
        end
        for name in pairs(record) do assert.is_string(cells[at][name], name) end
      end
      assert.equal(count, at)
    end)

    it("has the baseline's second pass when it is asked for", function()
      local db = assert(store.open(run_dir .. "/run.db", { schema = schema.sql, version = schema.version, read_only = true }))
      local known = db:rows("SELECT name FROM variant WHERE name NOT IN ('original', 'fp8', 'awq')")
      db:close()
      assert.equal(1, #known)
      local _, count = export({ "--format", "jsonl", "--variant", known[1].name }).out:gsub("\n", "")
      assert.equal(120, count)
    end)

    it("has columns for each scorer and metric", function()
      local shown = export({ "--format", "jsonl", "--variant", "awq" }).out
      local first = json.decode(shown:match "^[^\n]+")
      assert.equal("awq", first.variant)
      assert.equal(first.outcome, first["number.outcome"])
      assert.is_string(first["lm_eval.gsm8k_strict.outcome"])
      local ending = json.decode(shown:match '[^\n]*"dataset":"hellaswag"[^\n]*')
      assert.is_number(ending["loglikelihood.acc_norm"])
      assert.is_nil(ending["number.outcome"])
    end)
  end)

  it("says what is wrong with the command line", function()
    local cases = {
      { { run_dir }, 2, "qlua export: --format is missing (want lm-eval, csv, jsonl or vllm)\n" },
      { { run_dir, "--format", "lm-eval" }, 2, "qlua export: --format lm-eval wants a folder to write to: --out DIR\n" },
      { { run_dir, "--format", "csv", "--variant", "fp9" }, 2,
        'qlua export: --variant: want one of original, fp8, awq, original@control, got "fp9"\nhint: did you mean fp8?\n' },
      { { "nothing", "--format", "csv" }, 2, "qlua export: nothing: no run.db there\nhint: want the folder of a run\n" },
    }
    for _, case in ipairs(cases) do
      local result = qlua { "export", table.unpack(case[1]) }
      assert.same({ case[2], case[3] }, { result.code, result.err })
    end
  end)
end)

describe("docs/exchange.md", function()
  it("does what it says", function()
    local place = os.tmpname()
    os.remove(place)
    assert(file.make_dir(place))
    local count = 0
    for name, language, body in assert(file.read "docs/exchange.md"):gmatch "([^\n]*)\n```(%l+)\n(.-)\n```" do
      local path = name:match "^<!%-%- file: (%S+) %-%->$"
      if path then
        assert(file.write(place .. "/" .. path, body .. "\n"))
      elseif language == "sh" then
        count = count + 1
        local command = ("cd %s && PATH=%s:$PATH LANG=C.UTF-8 bash -e -c %s >out 2>&1 </dev/null"):format(quote(place),
          quote(exe:match "^(.*)/"), quote(body))
        assert.is_true(os.execute(command), body .. "\n" .. (file.read(place .. "/out") or ""))
      elseif language == "text" then -- what the block before it printed
        assert.equal(body .. "\n", file.read(place .. "/out"))
      end
    end
    assert.is_true(count >= 4)
    os.execute("rm -r " .. quote(place))
  end)
end)
