-- SPDX-License-Identifier: Apache-2.0
--- Bad input: what a user meets who gives the wrong file, key, script, folder or server. Each error names the place, what
-- was wanted and what came, ends with the right exit code, and leaves no server behind.
local file = require "qlua.core.file"
local support = require "support"

local folder

local function write(name, text) return support.write(folder .. "/" .. name, text) end

-- A run of the test's folder that must fail.
-- @tparam integer code
-- @tparam {string,...}|string texts what standard error must say, plainly
local function fails(code, texts, words, options)
  options = options or {}
  options.cwd = options.cwd or folder
  local run = support.run(folder, words, options)
  assert.equal(code, run.code, run.all)
  for _, text in ipairs(type(texts) == "table" and texts or { texts }) do
    assert.is_truthy(run.err:find(text, 1, true), ("want: %s\ngot: %s"):format(text, run.err))
  end
  assert.is_nil(run.err:find("traceback", 1, true))
  assert.is_nil(run.err:find("internal error", 1, true))
  assert.same({}, support.processes_with(folder .. "/results"), "a server was left behind")
  return run
end

local HEAD = "model:\n  base_name: x\n  variants:\n    - { name: fp8 }\n"

local function yaml(more) return write("config.yaml", HEAD .. (more or "server: { engine: sim, port: null }\n")) end

describe("bad input:", function()
  before_each(function() folder = support.folder() end)
  after_each(support.clean)

  describe("a configuration", function()
    it("that is not there", function()
      fails(3, "missing.yaml: no such file", { "gsm8k", "--config", "missing.yaml" })
    end)

    it("that is no YAML names line and column", function()
      write("bad.yaml", "model:\n  base_name: x\n  variants: [ {name: a}\nserver: 3\n")
      fails(3, "bad.yaml:4:1: ", { "gsm8k", "--config", "bad.yaml" })
    end)

    it("with an unknown key names the nearest", function()
      yaml "server: { engine: sim, prot: 8000 }\n"
      fails(3, { "config.yaml:5:24: server: unknown key 'prot'", "hint: did you mean port?" }, { "gsm8k", "--config", "config.yaml" })
    end)

    it("with a value of the wrong type", function()
      yaml 'server: { engine: sim, port: "abc" }\n'
      fails(3, 'config.yaml:5:30: server.port: want an integer from 1 to 65535, got "abc"', { "gsm8k", "--config", "config.yaml" })
      yaml "generation: [ 1 ]\n"
      fails(3, "config.yaml:5:13: generation: want", { "gsm8k", "--config", "config.yaml" })
    end)

    it("with two variants of one name", function()
      write("config.yaml", HEAD .. "    - { name: fp8 }\n")
      fails(3, "config.yaml:5:15: variants: two variants named 'fp8' (the first at line 4)", { "gsm8k", "--config", "config.yaml" })
    end)
  end)

  it("an unknown variant, dataset, option or engine: the nearest", function()
    yaml()
    fails(2, { "--variant fp9: no such variant", "hint: did you mean fp8?" }, { "gsm8k", "--config", "config.yaml", "--variant", "fp9" })
    fails(2, { "nothing to run is named 'gsm8'", "hint: did you mean gsm8k?" }, { "gsm8", "--config", "config.yaml" })
    fails(2, { "--dataset mmul: no such dataset", "hint: did you mean mmlu?" },
      { "gsm8k", "mmlu", "--config", "config.yaml", "--dataset", "mmul" })
    fails(2, { "--limt", "did you mean --limit?" }, { "gsm8k", "--config", "config.yaml", "--limt", "3" })
    fails(3, { "no server named 'vlm'", "did you mean 'vllm'?" }, { "gsm8k", "--config", "config.yaml", "--set", "server.engine=vlm" })
  end)

  describe("data", function()
    it("that is missing: how to fetch it", function()
      yaml()
      assert(file.make_dir(folder .. "/empty"))
      fails(3, { "gsm8k/test.jsonl: no such file", "hint: run `qlua fetch gsm8k`" },
        { "gsm8k", "--config", "config.yaml", "--data", "empty" })
      fails(3, "--data nowhere: no such folder", { "gsm8k", "--config", "config.yaml", "--data", "nowhere" })
    end)

    -- 600 rows of which one is not as it should be
    local function rows_with(bad)
      local rows = {}
      for i = 1, 600 do rows[i] = ('{"question":"What is %d + 1?","answer":"It is %d\\n#### %d"}'):format(i, i + 1, i + 1) end
      write("data/gsm8k/train.jsonl", table.concat(rows, "\n", 1, 20) .. "\n")
      rows[517] = bad
      write("data/gsm8k/test.jsonl", table.concat(rows, "\n") .. "\n")
    end

    it("whose row 517 is no JSON", function()
      yaml()
      assert(file.make_dir(folder .. "/data/gsm8k"))
      rows_with '{"question":"x", '
      fails(3, "data/gsm8k/test.jsonl:517: want a JSON object", { "gsm8k", "--config", "config.yaml", "--data", "data" })
    end)

    it("whose row 517 has a field of another kind costs that question, and is named", function()
      yaml()
      assert(file.make_dir(folder .. "/data/gsm8k"))
      rows_with '{"question":"x","answer":17}'
      local run = support.run(folder, { "gsm8k", "--config", folder .. "/config.yaml", "--data", folder .. "/data",
        "--concurrency", "64" })
      assert.equal(0, run.code, run.all) -- one in 600 is below the threshold
      assert.is_truthy(run.err:find("data/gsm8k/test.jsonl:517: ", 1, true), run.err)
      local errors = support.rows(run.dir, "SELECT sample, outcome, error_text FROM answer WHERE outcome NOT IN ('correct', 'wrong',"
        .. " 'no_answer', 'refused', 'truncated', 'empty')")
      assert.equal(1, #errors)
      assert.equal("gsm8k/test/516", errors[1].sample)
      assert.equal("script_error", errors[1].outcome)
      assert.is_truthy(errors[1].error_text:find("test.jsonl:517: ", 1, true), errors[1].error_text)
      assert.is_truthy(errors[1].error_text:find("answer", 1, true), errors[1].error_text)
    end)

    it("without rows", function()
      yaml()
      assert(file.make_dir(folder .. "/data/gsm8k"))
      write("data/gsm8k/train.jsonl", "")
      write("data/gsm8k/test.jsonl", "")
      fails(3, "want at least one row, got none", { "gsm8k", "--config", "config.yaml", "--data", "data" })
    end)

    it("with another checksum than upstream's: fetch keeps none of it, a run says so", function()
      local mirror = assert(require("qlua.core.sim").serve({ host = "127.0.0.1" }, function()
        return { status = 200, body = '{"question":"1 + 1?","answer":"#### 2"}\n', headers = {} }
      end))
      local fetched = support.qlua { "fetch", "gsm8k", "--data", folder .. "/data", "--from", "http://127.0.0.1:" .. mirror:port() }
      mirror:close()
      assert.equal(3, fetched.code, fetched.all)
      assert.is_truthy(fetched.err:find("sha256", 1, true), fetched.err)
      assert.is_nil(file.stat(folder .. "/data/gsm8k/test.jsonl"))
      local path = support.config(folder)
      local run = support.run(folder, { "gsm8k", "--config", path, "--limit", "2" })
      assert.equal(0, run.code, run.all)
      local report = support.read(run.dir .. "/reports/evaluation_report_en.md")
      assert.is_truthy(report:find("do not compare these figures with published ones", 1, true), "the report is silent about foreign data")
    end)
  end)

  describe("a script", function()
    -- A dataset script of the test's folder.
    local function script(prompt, before)
      yaml()
      write("rows.jsonl", '{"q":"1 + 1?","a":"2"}\n')
      write("mine.lua", ([[
local q = require "qlua"
%s
return q.dataset {
  name = "mine", summary = { en = "x", zh = "y" }, modes = { "generate" }, scorers = { "number" },
  source = { test = { file = "rows.jsonl" } },
  sample = function(row) return { input = row.q, target = row.a } end,
  prompt = function(sample)
    %s
  end,
}
]]):format(before or "", prompt))
    end
    local words = { "./mine.lua", "--config", "config.yaml", "--data", "." }

    it("with an error of syntax", function()
      script "return { text = "
      fails(3, "./mine.lua:9: unexpected symbol near 'end'", words)
    end)

    it("without a field", function()
      script "return { text = sample.input }"
      write("mine.lua", (support.read(folder .. "/mine.lua"):gsub("\n  sample = [^\n]*", "")))
      fails(3, "./mine.lua: dataset 'mine': field 'sample' is missing (want a function)", words)
    end)

    it("that loops for ever loses its sample, and is named", function()
      script "while true do end"
      fails(1, { "./mine.lua:8: instruction limit of", "1 of 1 questions ended in an error" }, words)
    end)

    it("that takes all memory loses its sample, and is named", function()
      script 'local s = "x" while true do s = s .. s end'
      fails(1, { "./mine.lua: memory limit of 256 MiB reached", "1 of 1 questions ended in an error" }, words)
    end)

    it("that loops or eats while it is loaded", function()
      script("return { text = sample.input }", "while true do end")
      fails(3, "./mine.lua:2: instruction limit of", words)
      script("return { text = sample.input }", 'local s = "x" while true do s = s .. s end')
      fails(3, "memory limit of 256 MiB reached", words)
    end)

    it("that reaches for the system gets nothing", function()
      script(('os.execute("touch %s/pwned") return { text = sample.input }'):format(folder))
      fails(1, "./mine.lua:8: 'os' is not available to dataset, scorer and layout scripts", words)
      script("return { text = sample.input }", ('os.execute("touch %s/pwned")'):format(folder))
      fails(3, "./mine.lua:2: 'os' is not available", words)
      for _, way in ipairs { 'io.open("rows.jsonl")', 'require "qlua.core.proc"', 'require("qlua").proc.run {}', "debug.getregistry()",
        'package.loadlib("x", "*")', 'load("os.exit()")()', 'string.dump(print)', "getmetatable('').__index.rep = nil", "_G.os.exit()" } do
        script("return { text = sample.input }", "local _ = " .. way)
        if way:find "=" then script("return { text = sample.input }", way) end
        local run = support.run(folder, words, { cwd = folder })
        assert.equal(3, run.code, way .. "\n" .. run.all)
        assert.is_truthy(run.err:find("./mine.lua:2: ", 1, true), way .. "\n" .. run.err)
      end
      assert.is_nil(file.stat(folder .. "/pwned"))
    end)
  end)

  describe("a layout", function()
    it("that does not exist is said before anything is asked", function()
      local path = support.config(folder)
      local run = fails(3, { "no report named 'markdwn'", "markdown" },
        { "gsm8k", "--config", path, "--limit", "2", "--layout", "markdwn" })
      assert.is_nil(run.dir)
      fails(3, "no report named 'markdwn'", { "gsm8k", "--config", path, "--limit", "2", "--set", "report.layouts=[markdwn]" })
    end)

    it("that fails costs its page, not the answers", function()
      write("broken.lua", [[
local q = require "qlua"
return q.report { name = "broken", summary = { en = "x", zh = "y" }, layout = function(page) page:heading(nil) end }
]])
      local run = fails(3, { "broken.lua:2: ", "the answers are kept: qlua report " },
        { "gsm8k", "--config", support.config(folder), "--limit", "2", "--layout", "./broken.lua" })
      local set = support.qlua { "report", run.dir }
      assert.equal(0, set.code, set.all)
    end)
  end)

  describe("a server", function()
    it("that exits at once: its last lines", function()
      local program = write("vllm", "#!/bin/sh\necho 'INFO loading weights'\necho 'ValueError: the weights are missing' >&2\nexit 1\n")
      support.command { "chmod", "+x", program }
      local words = { "gsm8k", "--config", support.config(folder), "--limit", "2", "--set", "server.engine=vllm",
        "--set", "server.executable=" .. program }
      local run = fails(4, { "its server exited with status 1 before it was ready", "INFO loading weights",
        "ValueError: the weights are missing", "/logs/one.log" }, words)
      assert.is_truthy(support.read(run.dir .. "/logs/one.log"):find("ValueError: the weights", 1, true))
    end)

    it("that exits for a known reason: the reason", function()
      local program = write("vllm", "#!/bin/sh\necho 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate'\nexit 0\n")
      support.command { "chmod", "+x", program }
      fails(4, { "exited with status 0 before it was ready", "out of GPU memory" }, { "gsm8k", "--config", support.config(folder),
        "--limit", "2", "--set", "server.engine=vllm", "--set", "server.executable=" .. program })
    end)

    it("that never becomes healthy", function()
      local path = support.config(folder, { server = "extra_args: [ --ready-after, '1000000000' ]" })
      fails(4, "its server was not healthy after 1 s", { "gsm8k", "--config", path, "--limit", "2", "--set", "server.startup_timeout_s=1" })
    end)

    it("whose port is in use", function()
      local other = support.sim { "--dataset", "gsm8k", "--data", support.sample_data, "--limit", "1" }
      local port = other.root:match ":(%d+)$"
      fails(4, { "variant 'one': ", "port " .. port, "another program listens there" },
        { "gsm8k", "--config", support.config(folder), "--limit", "2", "--set", "server.port=" .. port })
      other.stop()
    end)

    it("that dies while it is asked, and can be gone on with", function()
      local path = support.config(folder, { server = "max_restarts: 0", sim = "faults: { exit: { after_n: 5 } }" })
      local run = fails(4, { "its server exited with status 1 while it was asked", "RuntimeError: Engine core died. (simulated)",
        "go on with: qlua run --resume" }, { "gsm8k", "--config", path, "--limit", "12", "--concurrency", "1" })
      local function answered()
        return support.rows(run.dir, "SELECT count(*) AS n FROM answer WHERE outcome <> 'server_dead'")[1].n
      end
      assert.equal(5, answered())
      assert.equal(4, support.qlua({ "run", "--resume", run.dir }).code)
      assert.equal(10, answered())
      local last = support.qlua { "run", "--resume", run.dir }
      assert.equal(0, last.code, last.all)
      assert.equal(12, answered())
      assert.same({}, require("ledger").compare(run.dir).mismatches)
    end)

    local function ask(url, more)
      local words = { "gsm8k", "--url", url, "--model", "qlua-sim", "--data", support.sample_data, "--limit", "2" }
      return table.move(more or {}, 1, #(more or {}), #words + 1, words)
    end

    it("that is killed by somebody: its signal", function()
      local path = support.config(folder, { server = "max_restarts: 0", sim = "latency: { ttft_ms: 100 }" })
      local process = support.start({ "run", "gsm8k", "--config", path, "--limit", "130", "--out", folder .. "/results" })
      support.wait_until("it asks", function() return table.concat(process:tail(9), "\n"):find "one gsm8k: 130 questions" end)
      local server
      for _, found in ipairs(support.processes_with(folder .. "/results")) do
        if found:find(" sim --plan", 1, true) then server = found:match "^%d+" end
      end
      support.command { "kill", "-KILL", server }
      local status = process:wait(support.guard_ms)
      local said = table.concat(process:tail(30), "\n")
      process:close()
      assert.equal(4, status.code, said)
      assert.is_truthy(said:find("its server was killed by signal 9 while it was asked", 1, true), said)
      assert.is_truthy(said:find("go on with: qlua run --resume", 1, true), said)
    end)

    it("of somebody else that goes away: nobody is asked any more, and the rest later", function()
      local function sim(port)
        return support.sim { "--dataset", "gsm8k", "--data", support.sample_data, "--limit", "100", "--ttft-ms", "60", "--port", port }
      end
      local port = tostring(support.fixed_port())
      local other = sim(port)
      local process = support.start { "run", "gsm8k", "--url", other.url, "--model", "qlua-sim", "--data", support.sample_data, "--limit",
        "100", "--concurrency", "4", "--out", folder .. "/results" }
      support.wait_until("it asks", function() return table.concat(process:tail(9), "\n"):find "qlua%-sim gsm8k: 100 questions" end)
      local dir = support.run_dir(folder .. "/results")
      support.wait_until("some are answered", function()
        return support.rows(dir, "SELECT count(*) AS n FROM answer")[1].n > 0
      end)
      other.stop()
      local status = process:wait(support.guard_ms)
      local said = table.concat(process:tail(30), "\n")
      process:close()
      assert.equal(4, status.code, said)
      assert.is_truthy(said:find("go on with: qlua run --resume", 1, true), said)
      assert.is_true(support.results(dir).variants["qlua-sim"].datasets.gsm8k.incomplete)
      other = sim(port)
      local resumed = support.qlua { "run", "--resume", dir }
      other.stop()
      assert.equal(0, resumed.code, resumed.all)
      assert.same({ { n = 100 } }, support.rows(dir,
        "SELECT count(*) AS n FROM answer WHERE outcome IN ('correct', 'wrong', 'no_answer', 'refused', 'truncated', 'empty')"))
    end)

    it("that is not there", function()
      fails(4, "no server at http://127.0.0.1:9/v1", ask "http://127.0.0.1:9/v1")
    end)

    it("that answers garbage, an error for a 200, or serves another model", function()
      for fault, text in pairs { garbage = "a first completion failed: ", error_event = "EngineCore encountered an issue",
        bad_json = "a first completion makes no sense: the reply is not JSON", ["401"] = "HTTP 401" } do
        local sim = support.sim { "--fault", fault }
        fails(4, text, ask(sim.url))
        sim.stop()
      end
      local sim = support.sim { "--served-model", "another" }
      fails(4, { "does not serve 'qlua-sim' (it serves: another)" }, ask(sim.url))
      sim.stop()
    end)

    it("that refuses the key", function()
      local sim = support.sim({ "--api-key-env", "KEY" }, { env = { KEY = "secret" } })
      fails(4, { "the server refused the API key (HTTP 401)", "server.api_key_env" }, ask(sim.url))
      support.command { "rm", "-r", folder .. "/results" }
      local right = support.run(folder, ask(sim.url, { "--set", "server.api_key_env=MINE" }), { env = { MINE = "secret" } })
      assert.equal(0, right.code, right.all)
      sim.stop()
      for _, name in ipairs { "run.db", "manifest.json", "evaluation_results.json" } do
        local path = right.dir .. "/" .. name
        assert.is_nil(support.read(path):find("secret", 1, true), "the key is in " .. name)
      end
    end)
  end)

  describe("the results folder", function()
    it("below a file, or read-only", function()
      local path = support.config(folder)
      write("file", "")
      local run = support.qlua { "run", "gsm8k", "--config", path, "--limit", "2", "--out", folder .. "/file/results" }
      assert.equal(3, run.code, run.all)
      assert.is_truthy(run.err:find(folder .. "/file", 1, true), run.err)
      assert(file.make_dir(folder .. "/ro"))
      local mounted = { "unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none "$1" || exit 99; shift; exec "$@"', "sh",
        folder .. "/ro" }
      if support.command({ "unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none "$1"', "sh", folder .. "/ro" }).code ~= 0 then
        pending "no right to mount a read-only folder here"
        return
      end
      for _, word in ipairs { support.exe, "run", "gsm8k", "--config", path, "--limit", "2", "--out", folder .. "/ro" } do
        mounted[#mounted + 1] = word
      end
      run = support.command(mounted)
      assert.equal(3, run.code, run.all)
      assert.is_truthy(run.err:find("[Rr]ead%-only file system"), run.err)
      assert.same({}, support.processes_with(folder), "a server was left behind")
    end)

    it("on a full disk: says so, stops the servers, keeps what it had, and goes on when there is room", function()
      local path = support.config(folder)
      local words = { "gsm8k", "--config", path, "--limit", "100" }
      local run = fails(5, { "full", "go on with: qlua run --resume" }, words, { env = { QLUA_TEST_MAX_PAGES = "60" } })
      local resumed = support.qlua { "run", "--resume", run.dir }
      assert.equal(0, resumed.code, resumed.all)
      assert.same({}, require("ledger").compare(run.dir).mismatches)
      assert.equal(100, support.rows(run.dir, "SELECT count(*) AS n FROM answer")[1].n)
    end)
  end)

  it("a disk that is really full", function()
    local script = write("full.sh", [[
mount -t tmpfs -o size=300k none "$1/tiny" || exit 99
"$2" run gsm8k --config "$1/config.yaml" --limit 100 --out "$1/tiny/results" >"$1/first" 2>&1; echo "first $?"
mount -o remount,size=60m "$1/tiny"
"$2" run --resume "$1"/tiny/results/* >"$1/second" 2>&1; echo "second $?"
cp -r "$1"/tiny/results/* "$1/kept"
]])
    support.config(folder)
    assert(file.make_dir(folder .. "/tiny"))
    local run = support.command { "unshare", "-m", "sh", script, folder, support.exe }
    if run.code == 99 or run.err:find "unshare:" then
      pending "no right to mount a small file system here"
      return
    end
    assert.equal("first 5\nsecond 0\n", run.out, run.err)
    local said = support.read(folder .. "/first")
    assert.is_truthy(said:find("the disk is full", 1, true), said)
    assert.is_truthy(said:find("go on with: qlua run --resume", 1, true), said)
    assert.same({}, require("ledger").compare(folder .. "/kept").mismatches)
  end)

  describe("a resumed run", function()
    local function interrupted()
      local path = support.config(folder, { server = "max_restarts: 0", sim = "faults: { exit: { after_n: 3 } }" })
      write("rows.jsonl", '{"q":"1 + 1?","a":"2"}\n{"q":"1 + 2?","a":"3"}\n{"q":"1 + 3?","a":"4"}\n{"q":"1 + 4?","a":"5"}\n')
      write("mine.lua", [[
local q = require "qlua"
return q.dataset {
  name = "mine", summary = { en = "x", zh = "y" }, modes = { "generate" }, scorers = { "number" },
  source = { test = { file = "rows.jsonl" } },
  sample = function(row) return { input = row.q, target = row.a } end,
  prompt = function(sample) return { text = sample.input } end,
}
]])
      return fails(4, "go on with", { "./mine.lua", "--config", path, "--data", ".", "--concurrency", "1" }).dir
    end

    local function refuses(dir, what)
      local run = support.qlua({ "run", "--resume", dir }, { cwd = folder })
      assert.equal(3, run.code, run.all)
      assert.is_truthy(run.err:find("cannot be resumed, since answers of two different runs would be mixed", 1, true), run.err)
      assert.is_truthy(run.err:find(what, 1, true), run.err)
    end

    it("refuses another configuration, script or data", function()
      local dir = interrupted()
      local config, script, rows = support.read(folder .. "/config.yaml"), support.read(folder .. "/mine.lua"),
        support.read(folder .. "/rows.jsonl")
      local before = support.rows(dir, "SELECT * FROM answer ORDER BY sample")
      write("config.yaml", (config:gsub("max_tokens: 512", "max_tokens: 256")))
      refuses(dir, "sampling of variant one has changed")
      write("config.yaml", (config:gsub("default: 0.7", "default: 0.9")))
      refuses(dir, "variant one has changed")
      write("config.yaml", (config:gsub("name: one", "name: two")))
      refuses(dir, "variant one is gone")
      write("config.yaml", config)
      write("mine.lua", (script:gsub("text = sample.input", 'text = "Q: " .. sample.input')))
      refuses(dir, "dataset script mine has changed")
      write("mine.lua", script)
      write("rows.jsonl", (rows:gsub("1 %+ 4", "2 + 3")))
      refuses(dir, "rows.jsonl has changed")
      write("rows.jsonl", rows)
      assert.same(before, support.rows(dir, "SELECT * FROM answer ORDER BY sample"))
      local run = support.qlua({ "run", "--resume", dir }, { cwd = folder })
      assert.equal(0, run.code, run.all)
    end)

    it("wants the folder of a run", function()
      local run = support.qlua { "run", "--resume", folder }
      assert.equal(2, run.code)
      assert.is_truthy(run.err:find("no run.db there", 1, true), run.err)
    end)
  end)
end)
