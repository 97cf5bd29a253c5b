-- SPDX-License-Identifier: Apache-2.0
-- What a script may not do: reach the machine, change what others use, or keep the program busy.
local file = require "qlua.core.file"
local sandbox = require "qlua.sandbox"

local dir = os.tmpname()
os.remove(dir)

local function run(source) return sandbox.load(source, "s.lua", dir) end

local function refused(source, pattern)
  local value, err = run(source)
  assert.is_nil(value)
  assert.matches(pattern, err.text)
  return err
end

describe("sandbox", function()
  setup(function() assert(file.make_dir(dir)) end)

  for _, name in ipairs { "io", "os", "load", "loadstring", "loadfile", "dofile", "debug", "coroutine", "collectgarbage", "package",
    "rawget", "rawset", "print" } do
    it("has no " .. name, function()
      refused("return " .. name, "s%.lua:1: '" .. name .. "' is not available")
      refused("return _G." .. name, "'" .. name .. "' is not available")
      refused("return _ENV." .. name, "'" .. name .. "' is not available")
    end)
  end

  for what, case in pairs {
    ["assigning to a library"] = { "table.insert = 1", "table is read%-only" },
    ["the table that pairs walks over"] = { "local _, fields = pairs(table); fields.insert = 1", "table is read%-only" },
    ["the state that pairs walks with, of q"] = { "local q = require 'qlua'; local _, f = pairs(q.text); f.trim = 1",
      "q%.text is read%-only" },
    ["assigning to q"] = { "require 'qlua'.text = 1", "q is read%-only" },
    ["assigning to a part of q"] = { "require 'qlua'.text.trim = 1", "q%.text is read%-only" },
    ["inserting into a library"] = { "table.insert(string, 1)", "string is read%-only" },
    ["moving into a library"] = { "table.move({ 1 }, 1, 1, 1, math)", "math is read%-only" },
    ["a metatable on a library"] = { "setmetatable(string, {})", "not the script's own" },
    ["a metatable on its globals"] = { "setmetatable(_G, nil)", "not the script's own" },
    ["the metatable of strings"] = { "getmetatable('').__index = nil", "attempt to index a boolean" },
    ["the metatable of a generator"] = { "getmetatable(require 'qlua'.random(1, 'k')).__index = nil", "attempt to index a boolean" },
    ["the methods of a generator"] = { "require 'qlua'.random(1, 'k').__index.integer = nil", "attempt to index a nil" },
    ["the metatable of a JSON array"] = { "getmetatable(require 'qlua'.json.array {}).__gc = 1", "attempt to index a boolean" },
    ["the metatable of a pattern"] = { "getmetatable(require 'qlua'.regex.compile 'x').__gc = nil", "attempt to index a string" },
    ["string.dump"] = { "string.dump(function() end)", "string%.dump is not available" },
    ["math.randomseed"] = { "math.randomseed(1)", "use q%.random" },
    ["a finalizer"] = { "setmetatable({}, { __gc = function() while true do end end })", "__gc is not available" },
    ["q.file"] = { "require 'qlua'.file.read '/etc/passwd'", "attempt to index a nil value" },
    ["q.proc, q.http, q.hash"] = {
      "local q = require 'qlua'; if not (q.proc or q.http or q.hash or q.openai or q.all) then error 'none' end", "none" },
    ["require of the runtime"] = { "require 'qlua.core.file'", "a script may require" },
    ["require of an absolute path"] = { "require '/etc/passwd'", "a script may require" },
    ["require with dots"] = { "require '..x'", "a script may require" },
    ["require out of its folder"] = { "require 'a....b'", "a script may require" },
    ["require of a number"] = { "require(7)", "a script may require" },
    ["require of what is not there"] = { "require 'absent'", "no file .*absent%.lua" },
  } do
    it("refuses " .. what, function() refused(case[1], case[2]) end)
  end

  it("leaves the runtime's libraries as they were", function()
    run "local _, f = pairs(string); pcall(function() f.rep = nil end); string = nil; _G.math = nil"
    assert.equal("aa", ("a"):rep(2))
    assert.equal(3, run "return math.tointeger(3.0)")
  end)

  for what, source in pairs {
    ["an endless loop"] = "while true do end",
    ["one that hides in pcall"] = "while true do pcall(function() while true do end end) end",
    ["one in a handler of xpcall"] = "xpcall(error, function() while true do end end)",
    ["a close that loops"] = "local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
    ["endless recursion by tail calls"] = "local function f() return f() end f()",
    ["a comparator that loops"] = "table.sort({ 1, 2, 3 }, function() while true do end end)",
    ["a replacement that loops"] = "('x'):gsub('x', function() while true do end end)",
    ["an index that loops"] = "return setmetatable({}, { __index = function() while true do end end }).x",
    ["a concatenation that loops"] = "return 'a' .. setmetatable({}, { __concat = function() while true do end end })",
    ["a text of an error that loops"] = "error(setmetatable({}, { __tostring = function() while true do end end }))",
  } do
    it("stops " .. what, function()
      local value, err = run(source)
      assert.is_nil(value)
      assert.is_truthy(err.text:find "instruction limit" or err.text:find "an error that is no text")
    end)
  end

  for what, source in pairs {
    ["a long string"] = "return #('x'):rep(1 << 40)",
    ["strings that double"] = "local s = 'x' while true do s = s .. s end",
    ["a large table"] = "local t = {} for i = 1, 1 << 40 do t[i] = i end",
    ["a wide concat"] = "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1 << 20) end return #table.concat(t)",
    ["a format that grows"] = "local s = ('x'):rep(1 << 26) return #string.format('%s%s%s%s%s', s, s, s, s, s)",
  } do
    it("stops " .. what, function() assert.is_nil((run(source))) end)
  end

  for what, case in pairs {
    ["moves nothing for ever"] = { "table.move({}, 1, math.maxinteger - 1, 2)", "table%.move: want at most" },
    ["inserts before a made-up length"] = { "table.insert(setmetatable({}, { __len = function() return 1 << 50 end }), 1, 1)", "__len" },
    ["removes before a made-up length"] = { "table.remove(setmetatable({}, { __len = function() return 1 << 50 end }), 1)", "__len" },
    ["sorts a made-up length"] = { "table.sort(setmetatable({}, { __len = function() return 1 << 30 end }), rawequal)", "__len" },
  } do
    it("refuses a library call that " .. what, function() refused(case[1], case[2]) end)
  end

  it("survives comparators that make no sense", function()
    local count = run [[
      local list = {}
      for i = 1, 200 do list[i] = i * 7919 % 211 end
      pcall(table.sort, list, function() return true end)
      pcall(table.sort, list, function(a, b) return a <= b end)
      pcall(table.sort, list, function() error "no" end)
      return #list]]
    assert.equal(200, count)
  end)

  it("lets nothing out whose reading would run the script's code", function()
    for _, event in ipairs { "__index", "__len", "__pairs", "__tostring", "__eq", "__close" } do
      local source = ("return { meta = { setmetatable({}, { %s = function() end }) } }"):format(event)
      refused(source, "a table with the metamethod " .. event .. " cannot leave the script")
      local wrapped = sandbox.wrap(run(("return { f = function() return setmetatable({}, { %s = function() end }) end }"):format(event)).f,
        "s.lua")
      local ok, err = pcall(wrapped)
      assert.is_false(ok)
      assert.equal("script", err.kind)
    end
    refused("return setmetatable({}, { __index = setmetatable({}, { __index = function() end }) })", "cannot leave")
  end)

  it("lets out what is shared, nested, cyclic or inherits data", function()
    local value = run [[
      local base = { greeting = "hi" }
      local made = setmetatable({ list = { { base, base } } }, { __index = base })
      made.self = made
      return made]]
    assert.equal("hi", value.greeting)
    assert.equal(value, value.self)
  end)

  it("has classes of its own inside", function()
    assert.equal(7, run [[
      local Point = {}
      Point.__index = Point
      function Point:sum() return self.x + self.y end
      local p = setmetatable({ x = 3, y = 4 }, Point)
      assert(getmetatable(p) == Point)
      return p:sum()]])
  end)

  it("walks over libraries and inserts, sorts, unpacks as usual", function()
    assert.same({ 1, 2, 3 }, run "local t = { 3, 1 } table.insert(t, 2) table.sort(t) return t")
    assert.is_true(run "local n = 0 for k, v in pairs(require 'qlua'.text) do n = n + 1 end return n > 3")
    assert.equal("b", run "return (select(2, table.unpack { 'a', 'b' }))")
  end)

  it("calls the handler of xpcall after the error", function()
    assert.same({ false, "s.lua:1: no!" }, run "return { xpcall(function(x) error(x) end, function(m) return m .. '!' end, 'no') }")
    assert.same({ true, 1, 2 }, run "return { xpcall(function(...) return ... end, error, 1, 2) }")
  end)

  it("gives the text of an error, of an err, and of an object that knows its text", function()
    local function text_of(source) return (select(2, run(source))).text end
    assert.equal("s.lua:1: plain", text_of "error 'plain'")
    assert.equal("s.lua: from a table", text_of "error { text = 'from a table' }")
    assert.equal("s.lua: from tostring", text_of "error(setmetatable({}, { __tostring = function() return 'from tostring' end }))")
    assert.equal("s.lua: an error that is no text", text_of "error {}")
    assert.equal("s.lua: an error that is no text", text_of "error(setmetatable({}, { __tostring = function() error 'again' end }))")
    assert.equal("s.lua: an error that is no text", text_of "error(setmetatable({}, { __tostring = function() return {} end }))")
  end)

  it("requires files of its own folder once, and says so when they require each other", function()
    assert(file.write(dir .. "/counter.lua", "return { n = 0 }"))
    assert.equal(1, run "local c = require 'counter' c.n = c.n + 1 return require('counter').n")
    assert.equal(1, run "local c = require 'counter' c.n = c.n + 1 return c.n") -- another script has its own
    assert(file.write(dir .. "/a.lua", "return require 'b'"))
    assert(file.write(dir .. "/b.lua", "return require 'a'"))
    refused("require 'a'", "the files require each other")
  end)
end)
