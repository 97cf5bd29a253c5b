-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local registry = require "qlua.registry"

local dir = os.tmpname()
os.remove(dir)

local good = [[
local q = require "qlua"
return q.dataset {
  name = "good", summary = { en = "Good", zh = "好" }, source = { test = { file = "good.jsonl" } },
  modes = { "generate" }, scorers = { "number" },
  sample = function(row) return { input = row.q, target = row.a } end,
  prompt = function(sample) return { text = sample.input } end,
}
]]

local function write(name, source)
  assert(file.write(dir .. "/" .. name .. ".lua", source))
  return dir .. "/" .. name .. ".lua"
end

local function load(source, kind)
  registry.configure {}
  return registry.load(kind or "dataset", write("script", source))
end

describe("registry", function()
  setup(function() assert(file.make_dir(dir)) end)

  it("loads a script and says where it is from", function()
    local script = assert(load(good))
    assert.equal("good", script.name)
    assert.equal(64, #script.sha256)
    assert.same({ input = "1 + 1", target = "2" }, script.sample { q = "1 + 1", a = "2" })
  end)

  it("finds by name in --lua, and guesses what was meant", function()
    write("mine", (good:gsub('"good"', '"mine"')))
    registry.configure { lua_dir = dir }
    assert.equal("mine", registry.load("dataset", "mine").name)
    local _, err = registry.load("dataset", "mien")
    assert.equal("no dataset named 'mien'", err.text)
    assert.equal("did you mean 'mine'?", err.hint)
    registry.configure { lua_dir = false }
  end)

  for what, case in pairs {
    ["a syntax error"] = { "return q.dataset {", "script%.lua:1: .* near <eof>" },
    ["no value"] = { "local q = require 'qlua'", "returns nothing %(want q%.dataset{…}%)" },
    ["another kind"] = { good:gsub("q%.dataset", "q.scorer"), "returns q%.scorer{…} %(want q%.dataset{…}%)" },
    ["a missing field"] = { good:gsub("sample = .-\n", "\n"), "dataset 'good': field 'sample' is missing %(want a function%)" },
    ["a wrong type"] = { good:gsub('"Good"', "7"), "field 'summary' want { en = \"…\", zh = \"…\" }, got table" },
    ["a missing language"] = { good:gsub(', zh = "好"', ""), "field 'summary' want { en = \"…\", zh = \"…\" }" },
    ["an unknown field"] = { good:gsub("modes =", "mode ="), "dataset 'good': field 'modes' is missing" },
    ["a typo beside the right one"] = { good:gsub("modes =", "shotz = {}, modes ="), "field 'shotz' is not known" },
    ["an endless loop at load"] = { "while true do end", "script%.lua:1: instruction limit" },
    ["a memory bomb at load"] = { "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end", "memory limit" },
    ["os.execute"] = { "os.execute 'true'", "script%.lua:1: 'os' is not available" },
    ["io.open"] = { "local f = io.open('/etc/passwd')", "'io' is not available" },
    ["load"] = { "load('return 1')()", "'load' is not available" },
    ["the core"] = { "require 'qlua.core.file'", "a script may require \"qlua\" and files of its own folder" },
    ["a path out of its folder"] = { "require '../x'", "a script may require" },
    ["changing a library"] = { "string.format = nil", "string is read%-only" },
    ["changing strings through their metatable"] = { "getmetatable('').__index.x = 1", "attempt to index a boolean value" },
    ["a global"] = { "counter = 1", "assigning global 'counter' %(want a local%)" },
    ["an undefined name"] = { "local x = undefined_name", "global 'undefined_name' is not defined" },
    ["math.random"] = { "local x = math.random()", "use q%.random" },
    ["a test split that is missing"] = { good:gsub("test = {", "train = {"), "field 'source%.test' is missing" },
  } do
    it("refuses " .. what, function()
      local script, err = load(case[1])
      assert.is_nil(script)
      assert.matches(case[2], err.text)
      assert.is_truthy(err.kind == "script" or err.kind == "limit")
    end)
  end

  it("guards every call, names the file, and goes on after it", function()
    local script = assert(load((good:gsub("return { text = sample%.input }", "while sample.loop do end return { text = 'x' }"))))
    local ok, err = pcall(script.prompt, { loop = true })
    assert.is_false(ok)
    assert.equal("limit", err.kind)
    assert.matches("script%.lua:6: instruction limit", err.text)
    assert.same({ text = "x" }, script.prompt {})
  end)

  it("lets a script require files of its own folder, in the same sandbox", function()
    write("helper", "return { double = function(x) return 2 * x end }")
    local script = assert(load("local h = require 'helper'\n" .. good:gsub("row%.a", "h.double(row.a)")))
    assert.equal(8, script.sample({ q = "", a = 4 }).target)
    write("evil", "return os.execute")
    local _, err = load("local h = require 'evil'\n" .. good)
    assert.matches("evil%.lua:1: 'os' is not available", err.text)
  end)

  it("lists what it can find", function()
    local names = {}
    registry.configure { lua_dir = dir }
    for _, entry in ipairs(registry.list "dataset") do names[entry.name] = entry.origin end
    registry.configure { lua_dir = false }
    assert.equal("--lua", names.mine)
    assert.is_nil(names.helper) -- a file beside it that is no dataset
    assert.is_string(names.gsm8k)
  end)
end)
