-- SPDX-License-Identifier: Apache-2.0
-- The command line as its users meet it: the binary itself, its output, its exit code.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local sys = require "qlua.core.sys"

local exe, root, folder = sys.exe(), sys.cwd(), nil

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- Run qlua in the test's folder; the language is English whatever the machine's locale.
local function qlua(argv, environment)
  local words = {}
  for i, word in ipairs(argv) do words[i] = quote(word) end
  local command = ("cd %s && env -u LC_ALL -u LC_MESSAGES -u QLUA_DEBUG -u QLUA_PATH LANG=C %s %s %s >out 2>err </dev/null"):format(
    quote(folder), environment or "", quote(exe), table.concat(words, " "))
  local _, _, code = os.execute(command)
  return { code = code, out = file.read(folder .. "/out"), err = file.read(folder .. "/err") }
end

local function write(name, text) assert(file.write(folder .. "/" .. name, text)) end

-- What it printed, and with which code it ended; a difference shows both.
local function expect(result, code, out, err)
  assert.same({ code = code, out = out or result.out, err = err or result.err }, result)
end

describe("qlua", function()
  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(file.make_dir(folder))
  end)
  after_each(function() os.execute("rm -r " .. quote(folder)) end)

  describe("help", function()
    it("lists the commands, in English or Chinese", function()
      local english = qlua { "help" }
      assert.equal(0, english.code)
      assert.is_truthy(english.out:find("usage: qlua COMMAND", 1, true))
      assert.is_truthy(english.out:find "\n  show +show a dataset's prompt")
      local chinese = qlua({ "help" }, "LANG=zh_CN.UTF-8")
      assert.is_truthy(chinese.out:find("用法：qlua COMMAND", 1, true))
      assert.is_truthy(chinese.out:find "\n  show +查看数据集的提示词")
      assert.equal(chinese.out, qlua { "help", "--language", "zh" }.out)
      assert.equal(english.out, qlua({ "help", "--language", "en" }, "LANG=zh_CN.UTF-8").out)
      assert.equal(english.out, qlua({ "help" }, "LC_ALL=C LANG=zh_CN.UTF-8").out)
      assert.equal(english.out, qlua { "--help" }.out)
    end)

    it("of a command is the same by every way of asking", function()
      local help = qlua { "help", "show" }
      assert.is_truthy(help.out:find("usage: qlua show DATASET", 1, true))
      assert.is_truthy(help.out:find "\n  %-%-sample N +which sample, from 0\n")
      assert.equal(help.out, qlua { "show", "--help" }.out)
      assert.equal(help.out, qlua { "show", "-h" }.out)
    end)

    it("without a command goes to stderr with exit code 2", function()
      local bare = qlua {}
      assert.equal(2, bare.code)
      assert.equal("", bare.out)
      assert.equal(qlua { "help" }.out, bare.err)
    end)
  end)

  describe("on a narrow terminal", function()
    local function columns_of(command)
      local pipe = assert(io.popen(("cd %s && script -qc %s /dev/null </dev/null"):format(quote(folder),
        quote("stty cols 40; " .. quote(exe) .. " " .. command))))
      local out = pipe:read "a"
      pipe:close()
      local widest = 0
      for line in out:gmatch "[^\r\n]+" do widest = math.max(widest, require("qlua.core.text").width(line)) end
      assert.is_true(#out > 500, out)
      return widest
    end

    it("breaks help where the terminal ends, in both languages", function()
      if not os.execute "command -v script >/dev/null" then return pending "no script(1) to make a terminal" end
      assert.is_true(columns_of "help" <= 40)
      assert.is_true(columns_of "help show --language zh" <= 40)
      assert.is_true(columns_of "show --help --language en" <= 40)
    end)

    it("breaks between words and between Chinese characters", function()
      local wrap = require("qlua.cli.say").wrap
      assert.same({ "one two", "three" }, wrap("one two three", 9))
      assert.same({ "提问方式", "generate", "或 letter" }, wrap("提问方式 generate 或 letter", 9))
      assert.same({ "查看提", "示词。" }, wrap("查看提示词。", 6))
      assert.same({ "查", "看，", "提示" }, wrap("查看，提示", 4))
      assert.same({ "" }, wrap("", 9))
    end)
  end)

  it("names unknown commands and options, and the nearest", function()
    expect(qlua { "shwo" }, 2, "", "qlua: unknown command 'shwo'\nhint: did you mean show?\n")
    expect(qlua { "show", "gsm8k", "--sampel", "1" }, 2, "", "qlua show: unknown option '--sampel'\nhint: did you mean --sample?\n")
    expect(qlua { "help", "verson" }, 2, "", "qlua help: unknown command 'verson'\nhint: did you mean version?\n")
    assert.equal(2, qlua({ "--frob" }).code)
  end)

  it("says when its output went nowhere, but not when its reader has left", function()
    write("s.sh", 'e=$1; "$e" version >/dev/full; echo $?; "$e" help | true; echo ${PIPESTATUS[0]}')
    local pipe = assert(io.popen(("cd %s && bash s.sh %s 2>&1"):format(quote(folder), quote(exe))))
    local out = pipe:read "a"
    pipe:close()
    assert.equal("standard output: No space left on device\n3\n0\n", out)
  end)

  it("version names the libraries", function()
    local versions = json.decode(qlua { "version", "--json" }.out)
    for name in pairs(sys.versions()) do assert.is_string(versions[name], name) end
    assert.equal("qlua " .. versions.qlua, qlua { "--version" }.out:match "^[^\n]+")
  end)

  describe("lua", function()
    it("gives a script its arguments and takes its integer as exit code", function()
      write("s.lua", "io.write(arg[0], ' ', arg[1], ' ', ...) return 7")
      expect(qlua { "lua", "s.lua", "--limit" }, 7, "s.lua --limit --limit", "")
      write("s.lua", "#!/usr/bin/env qlua\nreturn 'text'")
      expect(qlua { "lua", "s.lua" }, 0, "", "")
    end)

    it("reads standard input, and modules beside the script", function()
      write("m.lua", "return { x = 5 }")
      write("s.lua", "return require 'm'.x")
      expect(qlua { "lua", "s.lua" }, 5)
      expect(qlua { "lua", "-" }, 0)
    end)

    it("waits like any task", function()
      write("s.lua", "require('qlua.core.task').sleep(1) io.write 'awake'")
      expect(qlua { "lua", "s.lua" }, 0, "awake", "")
    end)

    it("says where a script is wrong", function()
      write("s.lua", "local x =\n")
      expect(qlua { "lua", "s.lua" }, 3, "", "s.lua:2: unexpected symbol near <eof>\n")
      write("s.lua", "\nerror 'no'")
      expect(qlua { "lua", "s.lua" }, 3, "", "s.lua:2: no\nhint: QLUA_DEBUG=1 shows the traceback\n")
      assert.is_truthy(qlua({ "lua", "s.lua" }, "QLUA_DEBUG=1").err:find("stack traceback", 1, true))
      local missing = qlua { "lua", "none.lua" }
      assert.equal(3, missing.code)
      assert.is_truthy(missing.err:find("none.lua: No such file", 1, true))
    end)
  end)

  describe("config", function()
    local TEXT = "model: { base_name: m, variants: [{ name: a }] }\n"

    it("prints every value with its origin", function()
      write("c.yaml", TEXT .. "server: { port: 8001 }\n")
      local out = qlua({ "config", "c.yaml", "--set", "server.host=::1" }).out
      assert.is_truthy(out:find "\n  port: 8001 +# c.yaml:2\n")
      assert.is_truthy(out:find '\n  host: "::1" +# %-%-set\n')
      assert.is_truthy(out:find "\n  max_tokens: 512 +# default\n")
      write("again.yaml", out)
      assert.equal(qlua({ "config", "c.yaml", "--set", "server.host=::1", "--json" }).out, qlua({ "config", "again.yaml", "--json" }).out)
    end)

    it("finds a file by name, and says where it looked", function()
      assert.is_truthy(qlua({ "config", "demo" }).out:find "\n  engine: sim +# ")
      local unknown = qlua { "config", "dmeo" }
      assert.equal(3, unknown.code)
      assert.is_truthy(unknown.err:find "\nhint: did you mean demo%?\n$")
    end)

    it("fails by kind: 3 for the file, 2 for the command line", function()
      write("c.yaml", TEXT .. "server: { prot: 1 }\n")
      expect(qlua { "config", "c.yaml" }, 3, "", "c.yaml:2:11: server: unknown key 'prot'\nhint: did you mean port?\n")
      write("c.yaml", TEXT)
      expect(qlua { "config", "c.yaml", "--set", "server.port=x" }, 2, "",
        '--set server.port: want an integer from 1 to 65535, got "x"\n')
    end)
  end)

  describe("new, check, test and show", function()
    it("start from a template that works", function()
      expect(qlua { "new", "dataset", "sums" }, 0, "wrote sums.lua\nwrote sums.jsonl\nnext: qlua test sums.lua\n", "")
      local _, lines = file.read(folder .. "/sums.lua"):gsub("\n", "")
      assert.is_true(lines <= 30, lines)
      expect(qlua { "check", "sums.lua" }, 0, "sums.lua: ok (dataset 'sums')\n", "")
      expect(qlua { "test", "sums.lua" }, 0, "dataset  sums: 3 of 3 examples hold\n1 scripts, 3 passed, 0 failed\n", "")
      local shown = json.decode(qlua({ "show", "sums.lua", "--sample", "1", "--json", "--reply", "10 元" }).out)
      assert.equal("Question: 一支铅笔 2 元，买 5 支要多少元？\nAnswer:", shown.prompt.text)
      assert.equal(require("qlua.core.hash").sha256(shown.prompt.text), shown.prompt_sha256)
      assert.equal("10", shown.target)
      assert.equal("correct", shown.scores.number.outcome)
      expect(qlua { "new", "dataset", "sums" }, 2, "", "sums.lua: is there already\nhint: choose another name, or another folder\n")
    end)

    it("do so for scorers, too", function()
      assert.equal(0, qlua({ "new", "scorer", "last_word" }).code)
      expect(qlua { "test", "last_word.lua" }, 0, "scorer   last_word: 3 of 3 examples hold\n1 scripts, 3 passed, 0 failed\n", "")
    end)

    it("do so for servers, too", function()
      assert.equal(0, qlua({ "new", "server", "mine" }).code)
      expect(qlua { "check", "mine.lua" }, 0, "mine.lua: ok (server 'mine')\n", "")
      assert.equal(2, qlua({ "new", "sever", "mine" }).code)
    end)

    it("write nothing when one of the files is there", function()
      write("sums.jsonl", "mine")
      assert.equal(2, qlua({ "new", "dataset", "sums" }).code)
      assert.is_nil(file.stat(folder .. "/sums.lua"))
      assert.equal("mine", file.read(folder .. "/sums.jsonl"))
    end)

    it("fail when an example does not hold", function()
      qlua { "new", "dataset", "sums" }
      local text = file.read(folder .. "/sums.lua"):gsub("score = 0", "score = 1"):gsub('outcome = "empty"', 'outcome = "refused"')
      write("sums.lua", text)
      local result = qlua { "test", "sums.lua" }
      assert.equal(1, result.code)
      assert.is_truthy(result.out:find("example 2: want score 1, got 0 (wrong)", 1, true))
      assert.is_truthy(result.out:find("example 3: want outcome refused, got empty", 1, true))
      assert.is_truthy(result.out:find("1 scripts, 1 passed, 2 failed", 1, true))
    end)

    it("find every fault of every file", function()
      write("syntax.lua", "return {")
      write("field.lua", 'local q = require "qlua"\nreturn q.dataset { name = "field" }')
      write("plain.lua", "return 1")
      write("bad.yaml", "model: { base_name: m, variants: [{ name: a, engine: vlm }] }\n")
      local result = qlua { "check", "syntax.lua", "field.lua", "plain.lua", "bad.yaml", "none.lua" }
      assert.equal(3, result.code)
      for _, text in ipairs { "syntax.lua:1: unexpected symbol", "field.lua: dataset 'field': field 'modes' is missing",
        "plain.lua: returns no script", "bad.yaml:1: engine: no server named 'vlm'", "none.lua" } do
        assert.is_truthy(result.err:find(text, 1, true), text .. "\nin\n" .. result.err)
      end
    end)

    it("digest all prompts", function()
      qlua { "new", "dataset", "sums" }
      local hash = require("qlua.core.hash").sha256
      local hashes = ""
      for i = 0, 2 do hashes = hashes .. json.decode(qlua({ "show", "sums.lua", "--sample", tostring(i), "--json" }).out).prompt_sha256 end
      expect(qlua { "show", "sums.lua", "--digest" }, 0, hash(hashes) .. "\n", "")
      expect(qlua { "show", "sums.lua", "--sample", "3" }, 2, "", "qlua show: --sample: want an integer from 0 to 2, got 3\n")
    end)
  end)

  it("show gives GSM8K the published hashes of its prompts", function()
    local data = root .. "/../shared/data"
    if not file.stat(data .. "/gsm8k/test.jsonl") then return pending("no " .. data) end
    local first = json.decode(qlua({ "show", "gsm8k", "--data", data, "--json" }).out)
    assert.equal("32680f263ba83280e98a8a24ceefed10a722a4cdcd9f4d78e93c45d43143ca66", first.prompt_sha256)
    expect(qlua { "show", "gsm8k", "--data", data, "--digest" }, 0,
      "e568d5f4432193c0a60b2d1f87472a2d09d967ee7379c98bc11dce8784a27c30\n", "")
  end)

  it("show falls back on the sample sets, and says so", function()
    local result = qlua { "show", "hellaswag", "--json" }
    assert.equal(0, result.code)
    assert.is_truthy(result.err:find("^note: hellaswag, split test: %d+ rows, upstream has 10042\n$"))
    assert.is_truthy(json.decode(result.out).place:find("data/sample/hellaswag/", 1, true))
    local refused = qlua { "show", "hellaswag", "--reply", "x" }
    assert.equal(2, refused.code)
    assert.is_truthy(refused.err:find("none of the scorers of 'hellaswag' (loglikelihood) judges text", 1, true))
  end)

  describe("list", function()
    it("shows scripts with tags and where they are from", function()
      local all = json.decode(qlua({ "list", "--json" }).out)
      for _, word in ipairs { "datasets", "scorers", "servers", "layouts", "suites" } do assert.is_table(all[word], word) end
      local names = {}
      for _, entry in ipairs(json.decode(qlua({ "list", "datasets", "--tag", "math", "--json" }).out).datasets) do
        names[entry.name] = true
        assert.is_nil(entry.error, entry.error)
      end
      assert.is_true(names.gsm8k)
      assert.is_nil(names.mmlu)
    end)

    it("lists what is in --lua and what does not load", function()
      qlua { "new", "dataset", "sums" }
      write("broken.lua", "local q = require 'qlua'\nreturn q.dataset { name = 'broken' }")
      local out = qlua({ "list", "datasets", "--lua", "." }).out
      assert.is_truthy(out:find "\n  sums +%(%-%-lua%) +What it asks, in English %[math%]\n")
      assert.is_truthy(out:find "\n  broken +%(%-%-lua%) +! ")
      expect(qlua { "list", "datsets" }, 2, "", "qlua list: unknown kind 'datsets'\nhint: did you mean datasets?\n")
    end)
  end)

  it("completes commands, options and names in bash", function()
    local function complete(line)
      local words = {}
      for word in (line .. " "):gmatch "(%S*) " do words[#words + 1] = quote(word) end
      local script = ("%s completion bash >c.bash; . ./c.bash; COMP_WORDS=(%s %s); COMP_CWORD=%d; _qlua; echo ${COMPREPLY[*]}"):format(
        quote(exe), quote(exe), table.concat(words, " "), #words)
      local pipe = assert(io.popen(("cd %s && bash -c %s"):format(quote(folder), quote(script))))
      local out = pipe:read "a"
      pipe:close()
      return (out:gsub("%s+$", ""))
    end
    assert.equal("version", complete "vers")
    assert.equal("--digest", complete "show gsm8k --dig")
    assert.equal("gsm8k", complete "show gsm")
    assert.equal("en zh both", complete "help --language ")
  end)

  it("is completed by the installed file", function()
    local script = ("PATH=%s:$PATH; . %s && declare -F _qlua && complete -p qlua"):format(exe:match "^(.*)/", root .. "/tools/qlua.bash")
    local pipe = assert(io.popen("bash -c " .. quote(script)))
    local out = pipe:read "a"
    pipe:close()
    assert.equal("_qlua\ncomplete -o filenames -F _qlua qlua\n", out)
  end)

  it("loads only the command that was asked for", function()
    write("s.lua", [[
      local main, before = require "qlua.main", {}
      for name in pairs(package.loaded) do before[name] = true end
      main { "version", "--json" }
      for name in pairs(package.loaded) do
        if not before[name] and not name:find "^qlua%.core%." then io.stderr:write(name, "\n") end
      end]])
    assert.equal("qlua.cli.version\n", qlua({ "lua", "s.lua" }).err)
  end)
end)
