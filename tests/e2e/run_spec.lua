-- SPDX-License-Identifier: Apache-2.0
--- Runs from the command line to the report: the suite, single datasets of a running server, a server that is started,
-- resuming, dry run, report, two runs with one seed.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local ledger = require "ledger"
local support = require "support"

local DEMO = support.root .. "/configs/demo.yaml"
local folder

local function suite_run(out, more)
  local words = { "run", "suites/full.lua", "--config", DEMO, "--limit", "12", "--out", out }
  return support.qlua(table.move(more or {}, 1, #(more or {}), #words + 1, words))
end

-- A page on standard output has no drawings beside it, and so does not name any.
local function without_drawings(text) return (text:gsub("\n!%[[^\n]*%.svg%)\n", "")) end

describe("qlua run of a suite", function()
  local runs, dirs

  setup(function()
    folder = support.folder()
    runs = support.at_once {
      function() return suite_run(folder .. "/one", { "--language", "both" }) end,
      function() return suite_run(folder .. "/two", { "--language", "both", "--concurrency", "3" }) end,
    }
    dirs = { support.run_dir(folder .. "/one"), support.run_dir(folder .. "/two") }
  end)
  teardown(support.clean)

  it("asks every variant everything and says what it did", function()
    local run = runs[1]
    assert.equal(0, run.code, run.all)
    for _, name in ipairs { "original", "fp8", "awq", "gsm8k", "hellaswag", "mmlu" } do
      assert.is_truthy(run.out:find(name, 1, true), name)
    end
    assert.is_truthy(run.out:find(dirs[1] .. "/evaluation_results.json", 1, true))
    assert.is_truthy(run.out:find(dirs[1] .. "/reports/evaluation_report_both.md", 1, true))
    local compared = ledger.compare(dirs[1])
    assert.same({}, compared.mismatches)
    assert.equal(3 * 3 * 12, compared.checked)
  end)

  it("says everywhere that the answers are simulated", function()
    assert.is_truthy(runs[1].out:find("simulated", 1, true))
    assert.is_true(support.results(dirs[1]).simulated)
    assert.is_true(json.decode(support.read(dirs[1] .. "/manifest.json")).simulated)
    local report = support.read(dirs[1] .. "/reports/evaluation_report_both.md")
    assert.is_truthy(report:find("imulated", 1, true))
    assert.is_truthy(report:find("模拟", 1, true))
  end)

  it("leaves the run's folder as documented", function()
    for _, name in ipairs { "run.db", "evaluation_results.json", "manifest.json", "logs/original.log", "logs/fp8.log", "logs/awq.log",
      "reports/evaluation_report_both.md" } do
      assert.is_truthy(file.stat(dirs[1] .. "/" .. name), name)
    end
    for _, name in ipairs(assert(file.list(dirs[1]))) do assert.is_nil(name:find "tmp", name) end
    assert.same({}, support.processes_with(folder))
  end)

  it("keeps the classic keys", function()
    local doc = support.results(dirs[1])
    assert.is_string(doc.model)
    assert.is_table(doc.config)
    for _, variant in ipairs { "original", "fp8", "awq" } do
      assert.is_string(doc.variants[variant].description)
      for _, dataset in ipairs { "gsm8k", "hellaswag", "mmlu" } do
        local cell = doc.variants[variant].datasets[dataset]
        for _, key in ipairs { "accuracy", "invalid_rate", "num_correct", "num_total", "questions_per_second" } do
          assert.is_number(cell[key], key)
        end
        for _, key in ipairs { "mean", "p50", "p90", "p95", "p99" } do
          if cell.latency_seconds[key] == nil and key == "p99" then -- 12 questions say nothing about the 99th
            assert.is_true(cell.num_total < 100)
          else
            assert.is_number(cell.latency_seconds[key], key)
          end
        end
      end
    end
  end)

  it("is the same twice but for times and host, whatever the concurrency", function()
    assert.equal(0, runs[2].code, runs[2].all)
    local one, two = support.lasting(dirs[1]), support.lasting(dirs[2])
    one = one:gsub('"concurrency": 64', '"concurrency": N')
    two = two:gsub('"concurrency": 3', '"concurrency": N')
    assert.is_nil(support.difference(one, two))
    assert.is_true(#one > 10000) -- what is stripped is not everything
  end)

  it("is another with another seed", function()
    local other = support.folder()
    local run = support.qlua { "run", "suites/full.lua", "--config", DEMO, "--limit", "12", "--out", other, "--variant", "original",
      "--set", "sim.seed=43", "--dataset", "gsm8k" }
    assert.equal(0, run.code, run.all)
    local function outcomes(dir)
      return support.rows(dir, "SELECT sample, text_sha256 FROM answer WHERE variant = 'original' AND dataset = 'gsm8k' ORDER BY 1")
    end
    assert.are_not.same(outcomes(dirs[1]), outcomes(support.run_dir(other)))
  end)

  describe("and its report", function()
    it("is set again from the results alone, in each language", function()
      local alone = support.write(folder .. "/evaluation_results.json", support.read(dirs[1] .. "/evaluation_results.json"))
      local written = without_drawings(support.read(dirs[1] .. "/reports/evaluation_report_both.md"))
      for _, place in ipairs { alone, dirs[1] } do
        local set = support.qlua { "report", place, "--language", "both" }
        assert.equal(0, set.code, set.all)
        assert.is_nil(support.difference(written, without_drawings(set.out)))
      end
      local english, chinese = support.qlua { "report", alone, "--language", "en" }, support.qlua { "report", alone, "--language", "zh" }
      assert.equal(0, english.code + chinese.code)
      assert.is_nil(english.out:gsub("[^\n]*原精度[^\n]*", ""):find "准确率")
      assert.is_truthy(chinese.out:find "准确率")
      local kept = support.qlua { "report", alone, "--language", "zh", "--out", folder .. "/zh.md" }
      assert.equal(0, kept.code, kept.all)
      assert.equal(chinese.out, without_drawings(support.read(folder .. "/zh.md")))
    end)

    it("takes a layout of one's own folder", function()
      local layout = support.write(folder .. "/mine.lua", (support.read(support.root .. "/lua/reports/markdown.lua")
        :gsub('name%s*=%s*"markdown"', 'name = "mine"', 1)))
      for _, parts in ipairs { "markdown", "drawings" } do
        assert(file.make_dir(folder .. "/" .. parts))
        for _, part in ipairs(assert(file.list(("%s/lua/reports/%s"):format(support.root, parts)))) do
          support.write(("%s/%s/%s"):format(folder, parts, part), support.read(("%s/lua/reports/%s/%s"):format(support.root, parts, part)))
        end
      end
      local set = support.qlua { "report", dirs[1], "--language", "both", "--layout", layout }
      assert.equal(0, set.code, set.all)
      assert.is_nil(support.difference(without_drawings(support.read(dirs[1] .. "/reports/evaluation_report_both.md")),
        without_drawings(set.out)))
    end)

    it("of what is no result says so", function()
      local text = support.write(folder .. "/other.json", '{"format":1}')
      local set = support.qlua { "report", text }
      assert.equal(3, set.code)
      assert.is_truthy(set.err:find("other.json: ", 1, true), set.err)
      set = support.qlua { "report", folder .. "/nowhere.json" }
      assert.equal(3, set.code)
      assert.is_truthy(set.err:find("nowhere.json", 1, true), set.err)
    end)
  end)

  it("that is complete is resumed without asking anything", function()
    local before = support.lasting(dirs[2])
    local answers = support.rows(dirs[2], "SELECT * FROM answer ORDER BY variant, dataset, sample")
    local again = support.qlua { "run", "--resume", dirs[2] }
    assert.equal(0, again.code, again.all)
    assert.is_truthy(again.err:find("original: all answers are there already", 1, true), again.err)
    assert.is_nil(again.err:find("starting", 1, true))
    assert.same(answers, support.rows(dirs[2], "SELECT * FROM answer ORDER BY variant, dataset, sample"))
    assert.is_nil(support.difference(before, support.lasting(dirs[2])))
  end)

  it("that is resumed takes further options, and refuses those that would mix answers", function()
    local out = support.folder()
    local path = support.config(out, { server = "max_restarts: 0", sim = "faults: { exit: { after_n: 3 } }" })
    local first = support.run(out, { "gsm8k", "--config", path, "--limit", "9", "--concurrency", "1" })
    assert.equal(4, first.code, first.all)
    local other = support.qlua { "run", "--resume", first.dir, "--limit", "20" }
    assert.equal(3, other.code, other.all)
    assert.is_truthy(other.err:find("size of dataset gsm8k has changed", 1, true), other.err)
    other = support.qlua { "run", "--resume", first.dir, "--set", "generation.max_tokens=9" }
    assert.equal(3, other.code, other.all)
    local goes_on = support.qlua { "run", "--resume", first.dir, "--set", "benchmark.retries=7", "--language", "zh", "--quiet" }
    assert.equal(4, goes_on.code, goes_on.all) -- dies once more after three
    local last = support.qlua { "run", "--resume", first.dir, "--set", "benchmark.retries=7", "--language", "zh", "--quiet" }
    assert.equal(0, last.code, last.all)
    assert.is_truthy(last.out:find("准确率", 1, true))
    assert.equal(7, support.results(first.dir).config.benchmark.retries)
    assert.same({}, ledger.compare(first.dir).mismatches)
  end)

  it("is resumed by its folder from anywhere; a name that is relative is explained", function()
    local out, elsewhere = support.folder(), support.folder()
    support.config(out, { server = "max_restarts: 0", sim = "faults: { exit: { after_n: 3 } }" })
    local first = support.qlua({ "run", "gsm8k", "--config", "config.yaml", "--limit", "6", "--concurrency", "1" }, { cwd = out })
    assert.equal(4, first.code, first.all)
    assert.is_truthy(first.err:find("go on with: qlua run --resume results/", 1, true), first.err)
    local dir = support.run_dir(out .. "/results")
    local lost = support.qlua({ "run", "--resume", dir }, { cwd = elsewhere })
    assert.equal(3, lost.code, lost.all)
    assert.is_truthy(lost.err:find("the run was started in " .. out .. ": ", 1, true), lost.err)
    local found = support.qlua({ "run", "--resume", dir, "--config", out .. "/config.yaml", "gsm8k", "--limit", "6", "--concurrency",
      "1" }, { cwd = elsewhere })
    assert.equal(0, found.code, found.all)
    assert.same({}, ledger.compare(dir).mismatches)
  end)

  it("that ended with errors asks those questions again", function()
    local out = support.folder()
    local sim = support.sim { "--dataset", "gsm8k", "--data", support.sample_data, "--limit", "30", "--fault", "400:0.3" }
    local first = support.run(out, { "gsm8k", "--url", sim.url, "--model", "qlua-sim", "--data", support.sample_data, "--limit", "30" })
    assert.equal(1, first.code, first.all)
    local failed = support.rows(first.dir, "SELECT sample FROM answer WHERE outcome = 'http_4xx'")
    local answered = support.rows(first.dir, "SELECT * FROM answer WHERE outcome <> 'http_4xx' ORDER BY sample")
    assert.is_true(#failed > 0 and #answered > 0)
    local again = support.qlua { "run", "--resume", first.dir }
    sim.stop()
    assert.equal(0, again.code, again.all) -- the sim harms a question once
    assert.equal(0, support.results(first.dir).summary.num_errors)
    assert.same(answered, support.rows(first.dir, "SELECT * FROM answer WHERE session = 1 ORDER BY sample"))
    assert.equal(#failed, support.rows(first.dir, "SELECT count(*) AS n FROM answer WHERE session = 2")[1].n)
  end)

  it("that still goes on is not resumed by a second one", function()
    local out = support.folder()
    local process = support.start { "run", "gsm8k", "--config", support.config(out, { sim = "latency: { ttft_ms: 200 }" }), "--limit",
      "130", "--out", out .. "/results" }
    support.wait_until("it asks", function() return table.concat(process:tail(9), "\n"):find "one gsm8k: 130 questions" end)
    local second = support.qlua { "run", "--resume", support.run_dir(out .. "/results") }
    assert.is_true(process:alive())
    assert.equal(5, second.code, second.all)
    assert.is_truthy(second.err:find("another qlua (pid " .. process:pid() .. ") is writing it", 1, true), second.err)
    assert.equal(130, process:stop({ grace_ms = support.guard_ms }).code)
    process:close()
  end)

  it("takes --variant, --dataset, --limit and --set", function()
    local run = suite_run(folder .. "/part", { "--variant", "original", "--dataset", "mmlu", "--limit", "7", "--set", "sim.accuracy.mmlu=1",
      "--language", "zh" })
    assert.equal(0, run.code, run.all)
    local doc = support.results(support.run_dir(folder .. "/part"))
    assert.same({ "original" }, { table.unpack(doc.variant_order) })
    assert.same({ "mmlu" }, { table.unpack(doc.dataset_order) })
    assert.equal(7, doc.variants.original.datasets.mmlu.num_total)
    assert.equal(1, doc.variants.original.datasets.mmlu.accuracy)
    assert.is_truthy(run.out:find("准确率", 1, true))
    assert.is_truthy(file.stat(support.run_dir(folder .. "/part") .. "/reports/evaluation_report_zh.md"))
  end)
end)

describe("the configuration of the design", function()
  teardown(support.clean)

  it("runs unchanged but for the engine", function()
    local out = support.folder()
    local run = support.qlua { "run", "suites/full.lua", "--config", "tests/cases/design.yaml", "--set", "server.engine=sim", "--set",
      "server.port=" .. support.fixed_port(), "--data", "data/sample", "--limit", "6", "--out", out }
    assert.equal(0, run.code, run.all)
    local dir = support.run_dir(out)
    local compared = ledger.compare(dir)
    assert.same({}, compared.mismatches)
    assert.equal(3 * 3 * 6, compared.checked)
    assert.equal("原精度 (FP16/BF16)", support.results(dir).variants.original.title.zh)
    assert.equal("fp8", support.results(dir).variants.fp8.quantization)
  end)

  it("is the YAML of the design, to the letter", function()
    local path = support.root .. "/../shared/design.md"
    local design = file.read(path) or file.read(support.root .. "/../../shared/design.md")
    if not design then
      pending "the design page is not here"
      return
    end
    assert.equal(design:match("## 5%. Configuration.-```yaml\n(.-)```"), (support.read "tests/cases/design.yaml":gsub("^#[^\n]*\n", "")))
  end)
end)

describe("qlua run without vLLM", function()
  teardown(support.clean)

  it("names both alternatives and leaves nothing", function()
    local out = support.folder()
    local run = support.qlua({ "run", "suites/full.lua", "--config", "configs/model_config.yaml", "--out", out .. "/results" },
      { env = { PATH = "/usr/bin:/bin" } })
    assert.equal(4, run.code, run.all)
    assert.is_truthy(run.err:find("vLLM is not installed: no executable 'vllm' on PATH", 1, true), run.err)
    assert.is_truthy(run.err:find("(--url)", 1, true), run.err)
    assert.is_truthy(run.err:find("--set server.engine=sim", 1, true), run.err)
    assert.is_nil(file.stat(out .. "/results"))
    assert.is_nil(run.err:find("note:", 1, true)) -- said before any data is read
  end)
end)

describe("qlua run with a vLLM of its own", function()
  teardown(support.clean)

  it("starts it with the words of the configuration, asks it and stops it", function()
    local place = support.folder()
    local program = support.write(place .. "/vllm", ([[
#!/bin/sh
echo "argv: $*"
shift 2
while [ $# -gt 0 ]; do
  case $1 in
    --port) port=$2; shift ;;
    --served-model-name) name=$2; shift ;;
  esac
  shift
done
exec %s sim --port "$port" --served-model "$name" --dataset gsm8k --data %s --limit 5 --accuracy 1
]]):format(support.exe, support.sample_data))
    support.command { "chmod", "+x", program }
    local run = support.run(place, { "gsm8k", "--config", "configs/model_config.yaml", "--data", support.sample_data, "--limit", "5",
      "--variant", "fp8", "--set", "server.executable=" .. program, "--set", "server.port=" .. support.fixed_port() })
    assert.equal(0, run.code, run.all)
    local doc = support.results(run.dir)
    assert.is_true(doc.simulated) -- whatever started it: what answers says so
    assert.equal(1, doc.variants.fp8.datasets.gsm8k.accuracy)
    local said = support.read(run.dir .. "/logs/fp8.log"):match "argv: ([^\n]*)"
    assert.is_truthy(said:find("^serve Qwen/Qwen3%-30B%-A3B%-Instruct%-2507 "), said)
    for _, words in ipairs { "--quantization fp8", "--kv-cache-dtype fp8", "--max-model-len 8192", "--gpu-memory-utilization 0.9",
      "--trust-remote-code", "--generation-config vllm", "--seed 42" } do
      assert.is_truthy(said:find(words, 1, true), words .. " in " .. said)
    end
    assert.same({}, support.processes_with(place .. "/"))
  end)
end)

describe("qlua run --url", function()
  local place, sim

  setup(function()
    place = support.folder()
    sim = support.sim { "--dataset", "gsm8k", "--data", support.sample_data, "--limit", "30", "--accuracy", "0.8",
      "--ledger", place .. "/planted.jsonl", "--served-model", "org/Some-Model" }
  end)
  teardown(function()
    sim.stop()
    support.clean()
  end)

  it("asks one dataset of a running server, without any configuration", function()
    local run = support.run(place, { "gsm8k", "--url", sim.url, "--model", "org/Some-Model", "--limit", "30", "--data",
      support.sample_data })
    assert.equal(0, run.code, run.all)
    assert.is_true(sim.process:alive())
    local doc = support.results(run.dir)
    local cell = doc.variants["Some-Model"].datasets.gsm8k
    assert.equal(30, cell.num_total)
    local planted = ledger.read(place .. "/planted.jsonl")
    local correct = 0
    for _, question in pairs(planted.questions.gsm8k) do
      if question.outcome == "correct" then correct = correct + 1 end
    end
    assert.equal(correct, cell.num_correct)
    assert.is_true(doc.simulated) -- nobody but the server itself could say so
    assert.equal(0, support.qlua({ "run", "--resume", run.dir }).code) -- nothing is left to ask, and it is not forgotten
    assert.is_true(support.results(run.dir).simulated)
  end)

  it("needs the model's name", function()
    local run = support.qlua { "run", "gsm8k", "--url", sim.url }
    assert.equal(2, run.code)
    assert.is_truthy(run.err:find("--url wants --model NAME as well", 1, true), run.err)
  end)

  it("is resumed with the words it was started with", function()
    local run = support.run_dir(place .. "/results")
    local again = support.qlua { "run", "--resume", run }
    assert.equal(0, again.code, again.all)
    assert.is_truthy(again.err:find("Some-Model: all answers are there already", 1, true), again.err)
  end)
end)

describe("qlua run by another way of asking", function()
  local folder_of_ways
  before_each(function() folder_of_ways = support.folder() end)
  after_each(support.clean)

  local function asks(options, more)
    local words = { "gsm8k", "hellaswag", "mmlu", "--config", support.config(folder_of_ways, options), "--limit", "8" }
    local run = support.run(folder_of_ways, table.move(more or {}, 1, #(more or {}), #words + 1, words))
    assert.equal(0, run.code, run.all)
    local compared = ledger.compare(run.dir)
    assert.same({}, compared.mismatches)
    assert.equal(24, compared.checked)
    return run.dir
  end

  it("chat", function()
    local dir = asks({ server = "endpoint: chat" })
    assert.same({ { path = "/chat/completions" } },
      support.rows(dir, "SELECT DISTINCT path FROM request WHERE dataset <> 'hellaswag'"))
  end)

  it("without streams", function()
    local dir = asks({ benchmark = "collect_latency: false" })
    assert.same({ { n = 0 } }, support.rows(dir, "SELECT count(*) AS n FROM answer WHERE ttft_ns IS NOT NULL"))
  end)

  it("over a UNIX socket", function()
    local path = folder_of_ways .. "/socket"
    asks({ server = "unix_socket: " .. path })
    assert.is_nil(file.stat(path))
  end)

  it("without examples, and by other scorers", function()
    local dir = asks({}, { "--set", "datasets.gsm8k.shots=0", "--set", "datasets.mmlu.shots=2" })
    assert.equal(0, support.results(dir).datasets.gsm8k.shots)
    assert.equal(2, support.results(dir).datasets.mmlu.shots)
  end)
end)

describe("qlua run --dry-run", function()
  teardown(support.clean)

  it("prints what would be done, starts nothing and writes nothing", function()
    local place = support.folder()
    local run = support.qlua({ "run", "full", "--config", DEMO, "--dry-run", "--limit", "10", "--out", place .. "/results" },
      { cwd = place })
    assert.equal(0, run.code, run.all)
    for _, text in ipairs { "original", "fp8", "awq", "gsm8k: 10 questions, mode generate, 5-shot",
      "hellaswag: 10 questions, mode loglikelihood",
      "mmlu: 10 questions", "qlua sim --plan", "temperature=0", "in all: 240 requests", "original@control", "SIMULATED" } do
      assert.is_truthy(run.out:find(text, 1, true), text .. "\n" .. run.out)
    end
    assert.same({}, assert(file.list(place)))
  end)
end)
