-- SPDX-License-Identifier: Apache-2.0
local args = require "qlua.cli.args"
local commands = require "qlua.cli.commands"
local nearest = require "qlua.nearest"

local command = {
  name = "ask", summary = { en = "ask", zh = "问" }, usage = "qlua ask WHAT [MORE...]",
  positional = { { name = "WHAT", required = true }, { name = "MORE", repeated = true } },
  options = {
    { long = "limit", arg = "N", type = "integer", min = 1, max = 10 },
    { long = "rate", arg = "R", type = "number", min = 0 },
    { long = "set", arg = "K=V", repeated = true },
    { long = "dry-run" },
    { long = "mode", short = "m", arg = "MODE", allowed = { "generate", "letter" } },
  },
}

local function fails(argv, of)
  local opts, err = args.parse(of or command, argv)
  assert.is_nil(opts)
  assert.equal("usage", err.kind)
  return err.text, err.hint
end

describe("args", function()
  it("reads options before, between and after positionals", function()
    local opts, given = args.parse(command, { "--limit", "3", "gsm8k", "--dry-run", "--set=a=b=c", "more", "--set", "d=e" })
    assert.same({ limit = 3, dry_run = true, set = { "a=b=c", "d=e" } }, opts)
    assert.same({ "gsm8k", "more" }, given)
    assert.equal("integer", math.type(opts.limit))
  end)

  it("stops at --, keeps a lone dash and negative values", function()
    local opts, given = args.parse(command, { "-", "--rate", "0.5", "--", "--limit" })
    assert.equal(0.5, opts.rate)
    assert.same({ "-", "--limit" }, given)
  end)

  it("takes short options", function()
    local opts = args.parse(command, { "x", "-m", "letter", "-h" })
    assert.equal("letter", opts.mode)
    assert.is_true(opts.help)
  end)

  it("says what a number must be", function()
    assert.equal('qlua ask: --limit: want an integer from 1 to 10, got "abc"', fails { "x", "--limit", "abc" })
    assert.equal('qlua ask: --limit: want an integer from 1 to 10, got "0"', fails { "x", "--limit=0" })
    assert.equal('qlua ask: --limit: want an integer from 1 to 10, got "1.5"', fails { "x", "--limit", "1.5" })
    assert.equal('qlua ask: --rate: want a number of at least 0, got "-1"', fails { "x", "--rate", "-1" })
    assert.equal('qlua ask: --rate: want a number of at least 0, got "nan"', fails { "x", "--rate", "nan" })
  end)

  it("names the nearest word", function()
    local text, hint = fails { "x", "--limt", "3" }
    assert.equal("qlua ask: unknown option '--limt'", text)
    assert.equal("did you mean --limit?", hint)
    text, hint = fails { "x", "--mode", "leter" }
    assert.equal('qlua ask: --mode: want one of generate, letter, got "leter"', text)
    assert.equal("did you mean letter?", hint)
  end)

  it("wants values where they belong, and none elsewhere", function()
    assert.equal("qlua ask: --limit wants a value (N)", fails { "x", "--limit" })
    assert.equal("qlua ask: --dry-run takes no value", fails { "x", "--dry-run=yes" })
  end)

  it("counts positionals", function()
    local text, hint = fails {}
    assert.equal("qlua ask: WHAT is missing", text)
    assert.equal("usage: qlua ask WHAT [MORE...]", hint)
    local single = { name = "one", usage = "qlua one [X]", positional = { { name = "X" } } }
    assert.equal("qlua one: unexpected argument 'b'", fails({ "a", "b" }, single))
  end)

  it("does not ask for positionals when help is wanted", function()
    local opts = args.parse(command, { "--help" })
    assert.is_true(opts.help)
  end)

  it("leaves everything from a rest positional on alone", function()
    local free = { name = "lua", usage = "", positional = { { name = "FILE", required = true }, { name = "ARGS", rest = true } } }
    local opts, given = args.parse(free, { "f.lua", "--limit", "3", "--", "-x" })
    assert.same({}, opts)
    assert.same({ "f.lua", "--limit", "3", "--", "-x" }, given)
  end)
end)

describe("nearest", function()
  it("counts insertions, deletions, replacements and swaps of neighbours", function()
    assert.equal(0, nearest.distance("", ""))
    assert.equal(3, nearest.distance("", "abc"))
    assert.equal(1, nearest.distance("prot", "port"))
    assert.equal(3, nearest.distance("kitten", "sitting"))
    assert.equal(1, nearest.distance("ab", "ba"))
  end)

  it("keeps silent when nothing is near", function()
    assert.is_nil(nearest.find("zebra", { "port", "host" }))
    assert.is_nil(nearest.find("x", {}))
  end)

  it("prefers the nearer, then the alphabet, and takes prefixes", function()
    assert.equal("mmlu", nearest.find("mlmu", { "gsm8k", "mmlu" }))
    assert.equal("aab", nearest.find("aax", { "aac", "aab" }))
    assert.equal("num_warmup_iterations", nearest.find("num_warm", { "num_runs", "num_warmup_iterations" }))
    assert.equal("max_tokens", nearest.find("Max-Tokens", { "max_tokens" }))
  end)
end)

describe("commands", function()
  it("have both languages, a usage line, and described options", function()
    local count = 0
    for _, name in ipairs(commands.names()) do
      local one, err = commands.load(name)
      assert.is_nil(err)
      if one then
        count = count + 1
        assert.equal(name, one.name)
        assert.is_function(one.run, name)
        assert.is_truthy(one.usage:find("^qlua " .. name), name)
        for _, described in ipairs { { one }, args.options_of(one), one.positional or {} } do
          for _, thing in ipairs(described) do
            local label = name .. " " .. (thing.long or thing.name)
            assert.is_string(thing.summary.en, label)
            assert.is_string(thing.summary.zh, label)
          end
        end
      end
    end
    assert.is_true(count >= 10)
  end)
end)
