-- SPDX-License-Identifier: Apache-2.0
-- Golden values are those of CPython 3's random module, and of Lua's own xoshiro256**.
local python_random = require "qlua.python_random"
local random = require "qlua.random"

describe("python_random", function()
  it("gives CPython's bits for seed 1234", function()
    local generator, bits = python_random.new(1234), {}
    for i = 1, 5 do
      bits[i] = generator:getrandbits(32)
    end
    assert.same({ 4150886329, 3342196574, 1892932127, 501869158, 32175636 }, bits)
  end)

  it("draws GSM8K's examples: sample(range(7473), 5), 1319 times from one generator", function()
    local generator, stream = python_random.new(1234), {}
    for doc = 0, 1318 do
      stream[doc] = generator:sample(7473, 5)
    end
    assert.same({ 6374, 3610, 957, 61, 742 }, stream[0])
    assert.same({ 7462, 6610, 4769, 286, 5501 }, stream[1])
    assert.same({ 5677, 687, 806, 6279, 2905 }, stream[2])
    assert.same({ 1939, 142, 252, 6461, 129 }, stream[3])
    assert.same({ 2835, 5311, 5105, 3966, 5044 }, stream[4])
    assert.same({ 3797, 1216, 747, 1499, 5844 }, stream[5])
    assert.same({ 220, 4179, 6064, 5599, 5541 }, stream[1318])
  end)

  it("draws HellaSwag's, WinoGrande's and ARC's", function()
    local generator = python_random.new(1234)
    assert.same({ 28883, 7657, 490, 5940, 38156, 2288, 5500, 6450, 23241, 15519, 1142 }, generator:sample(39905, 11))
    local second = generator:sample(39905, 11)
    assert.same({ 2019, 1038, 22681, 31735, 30379, 9735, 5982, 11999, 7498, 958 }, table.move(second, 1, 10, 1, {}))
    assert.same({ 28883, 7657, 490, 5940, 38156, 2288 }, python_random.new(1234):sample(40398, 6))
    assert.same({ 902, 239, 15, 185, 71 }, table.move(python_random.new(1234):sample(1119, 25), 1, 5, 1, {}))
  end)

  it("takes the small-population way where CPython does", function()
    assert.same({ 28, 7, 0, 5, 2, 36, 6, 22 }, python_random.new(1234):sample(40, 8))
    assert.same({ 18, 54, 72, 7, 73, 4, 66, 14, 49, 23, 82, 60, 71, 39, 30, 45, 11, 46, 36, 24, 48 },
      (function()
        local generator = python_random.new(20261123456789)
        assert.same({ 0, 121, 7041, 2977064321 }, { generator:getrandbits(1), generator:getrandbits(7),
          generator:getrandbits(16), generator:getrandbits(32) })
        return generator:sample(85, 21)
      end)())
  end)

  it("gives the same floats, shuffles and choices, also for large and negative seeds", function()
    local generator = python_random.new(1234)
    assert.equal(0.9664535356921388, generator:random())
    assert.equal(0.4407325991753527, generator:random())
    assert.same({ 0, 11, 74, 4, 85, 88 }, generator:sample(101, 6))
    assert.same({ 83, 766, 236, 30 }, generator:choices(1000, 4))
    local list = {}
    for i = 1, 20 do
      list[i] = i
    end
    assert.same({ 13, 14, 7, 10, 18, 6, 11, 4, 8, 9, 20, 17, 19, 3, 2, 5, 15, 16, 12, 1 }, generator:shuffle(list))
    assert.equal(0.6928791514981987, python_random.new(1 << 53):random())
    assert.equal(2675342405, python_random.new(-5):getrandbits(32))
  end)

  it("refuses what CPython would not take", function()
    assert.has_error(function() python_random.new "x" end)
    assert.has_error(function() python_random.new(1):sample(3, 4) end)
    assert.has_error(function() python_random.new(1):randbelow(0) end)
  end)
end)

describe("q.random", function()
  it("depends on seed and key, and on nothing else", function()
    local first = random(42, "gsm8k/test/17")
    math.randomseed(1)
    local second = random(42, "gsm8k/test/17")
    for _ = 1, 50 do
      assert.equal(first:number(), second:number())
    end
    local seen = {}
    for _, pair in ipairs { { 1, "2" }, { "1", "2" }, { 12, "" }, { 1, "" }, { 1, "3" }, { 2, "2" }, { "", "12" } } do
      local bits = random(pair[1], pair[2]):bits()
      assert.is_nil(seen[bits])
      seen[bits] = true
    end
    assert.has_error(function() random(1.5, "x") end)
  end)

  it("is xoshiro256**, as Lua's own math.random is", function()
    -- math.randomseed(n) sets the state to n, 0xff, 0, 0 and drops 16 values.
    local ours = setmetatable({ 7, 0xff, 0, 0 }, getmetatable(random(1, "x")))
    for _ = 1, 16 do
      ours:bits()
    end
    math.randomseed(7)
    for _ = 1, 100 do
      assert.equal(math.random(0), ours:bits())
    end
  end)

  it("gives every integer its share", function()
    local generator, counts = random(3, "dice"), { 0, 0, 0, 0, 0, 0 }
    for _ = 1, 60000 do
      local n = generator:integer(6)
      counts[n] = counts[n] + 1
    end
    local chi_squared = 0
    for _, count in ipairs(counts) do
      chi_squared = chi_squared + (count - 10000) ^ 2 / 10000
    end
    assert.is_true(chi_squared < 20.5) -- 5 degrees of freedom, p = 0.001; the seed is fixed
    assert.equal(1, generator:integer(1))
    assert.has_error(function() generator:integer(0) end)
    assert.has_error(function() generator:integer(2.0) end)
  end)

  it("shuffles and samples without losing or doubling a member", function()
    local list = {}
    for i = 1, 100 do
      list[i] = i
    end
    local picked = random(1, "s"):sample(list, 30)
    assert.equal(30, #picked)
    local seen = {}
    for _, value in ipairs(picked) do
      assert.is_nil(seen[value])
      seen[value] = true
    end
    local shuffled = random(1, "s"):shuffle(table.move(list, 1, 100, 1, {}))
    assert.not_same(list, shuffled)
    table.sort(shuffled)
    assert.same(list, shuffled)
  end)
end)
