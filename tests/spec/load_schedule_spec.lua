-- SPDX-License-Identifier: Apache-2.0
local arrivals = require "qlua.load.arrivals"
local schedule = require "qlua.load.schedule"

-- With n values of the distribution this is exceeded with probability 0.001; seeds are fixed, so a failure is a change.
local function bound(n) return 1.95 / math.sqrt(n) end

local function open(fields)
  local stage = { kind = "open", arrival = "poisson", rate = 10, count = 2000, label = "x" }
  for key, value in pairs(fields or {}) do stage[key] = value end
  return stage
end

-- Intervals on the clock on which the process has unit rate: Λ(t) of each arrival less that of the one before.
local function unit_intervals(stage, offsets)
  local forward, list, before = arrivals.intensity(stage), {}, 0
  for i, offset in ipairs(offsets) do
    local now = forward(offset / 1e9)
    list[i], before = now - before, now
  end
  return list
end

local function exponential(x) return 1 - math.exp(-x) end

-- Gamma of shape 2 and mean 1.
local function erlang(x) return 1 - math.exp(-2 * x) * (1 + 2 * x) end

describe("arrivals", function()
  it("are Poisson: intervals exponential, the right rate, every seed another", function()
    local offsets = arrivals.of(open(), 1, "a")
    assert.equal(2000, #offsets)
    assert.is_true(schedule.kolmogorov(unit_intervals(open(), offsets), exponential) < bound(2000))
    assert.near(200, offsets[2000] / 1e9, 3 * 200 / math.sqrt(2000))
    assert.same(offsets, arrivals.of(open(), 1, "a"))
    assert.not_same(offsets, arrivals.of(open(), 2, "a"))
    assert.not_same(offsets, arrivals.of(open(), 1, "b"))
  end)

  it("are gamma with the shape asked for, below and above 1", function()
    local stage = open { arrival = "gamma", burstiness = 2 }
    local list = unit_intervals(stage, arrivals.of(stage, 3, "a"))
    assert.is_true(schedule.kolmogorov(list, erlang) < bound(#list))
    assert.is_true(schedule.kolmogorov(list, exponential) > bound(#list), "a test that cannot tell gamma from Poisson")
    for _, k in ipairs { 0.25, 4 } do
      local other = open { arrival = "gamma", burstiness = k, count = 20000 }
      local sum, squares = 0, 0
      for _, x in ipairs(unit_intervals(other, arrivals.of(other, 5, "a"))) do sum, squares = sum + x, squares + x * x end
      local mean = sum / 20000
      local variance = squares / 20000 - mean * mean
      assert.near(1, mean, 4 / math.sqrt(k * 20000))
      assert.near(1 / k, variance, 0.1 / k)
    end
  end)

  it("are constant, and all at once", function()
    assert.same({ 250000000, 500000000, 750000000 }, arrivals.of(open { arrival = "constant", rate = 4, count = 3 }, 1, "a"))
    assert.same({ 0, 0 }, arrivals.of(open { arrival = "burst", count = 2 }, 1, "a"))
  end)

  it("follow a ramp: on the ramp's own clock they are Poisson of unit rate", function()
    for _, shape in ipairs { "linear", "exponential" } do
      for _, extent in ipairs { { count = 3000 }, { duration_s = 60 } } do
        local stage = open { ramp = { shape = shape, from = 5, to = 100 }, count = extent.count, duration_s = extent.duration_s }
        if extent.duration_s then stage.count = nil end
        local offsets = arrivals.of(stage, 11, shape)
        local list = unit_intervals(stage, offsets)
        assert.is_true(schedule.kolmogorov(list, exponential) < bound(#list), shape)
        local seconds = arrivals.seconds(stage)
        local forward = arrivals.intensity(stage)
        local expected = shape == "linear" and 52.5 * seconds or 95 / math.log(20) * seconds
        assert.near(expected, forward(seconds), 1e-6 * expected)
        if extent.duration_s then
          assert.is_true(offsets[#offsets] <= 60e9)
          assert.near(expected, #offsets, 4 * math.sqrt(expected))
        end
      end
    end
  end)

  it("invert their intensity", function()
    for _, stage in ipairs { open(), open { ramp = { shape = "linear", from = 0, to = 10 } },
      open { ramp = { shape = "linear", from = 10, to = 1 } }, open { ramp = { shape = "exponential", from = 1, to = 64 } },
      open { ramp = { shape = "exponential", from = 8, to = 8 } } } do
      local forward, inverse = arrivals.intensity(stage)
      for _, t in ipairs { 0, 0.5, 3, 40, 5000 } do assert.near(t, inverse(forward(t)), 1e-9 * (1 + t)) end
    end
  end)

  it("keep a duration, and by wish the exact rate of a count", function()
    local offsets = arrivals.of(open { duration_s = 20, count = false }, 1, "a")
    assert.is_true(offsets[#offsets] <= 20e9)
    assert.near(200, #offsets, 4 * math.sqrt(200))
    local stretched = arrivals.of(open { normalize = true }, 1, "a")
    assert.equal(200000000000, stretched[2000])
  end)
end)

describe("a schedule", function()
  it("joins open stages on one clock and sets closed ones apart", function()
    local made = schedule.make({ open { arrival = "constant", rate = 10, duration_s = 1, count = false },
      open { arrival = "constant", rate = 2, duration_s = 1, count = false },
      { kind = "closed", concurrency = 3, count = 12 },
      { kind = "trace", offsets_ns = { 0, 5, 9 } } }, 1, "k")
    assert.equal(3, #made.blocks)
    assert.equal(10 + 2 + 12 + 3, made.count)
    assert.same({ 1000000000, 1500000000, 2000000000 }, table.move(made.blocks[1].offsets_ns, 10, 12, 1, {}))
    assert.same({ 1, 2, 2 }, table.move(made.blocks[1].stage_of, 10, 12, 1, {}))
    assert.equal(2000000000, made.blocks[1].span_ns)
    assert.same({ kind = "closed", stage = 3, concurrency = 3, count = 12 }, made.blocks[2])
    assert.same({ 0, 5, 9 }, made.blocks[3].offsets_ns)
  end)

  it("does not know how many a closed loop of a duration will send", function()
    assert.is_nil(schedule.make({ { kind = "closed", concurrency = 3, duration_s = 2 } }, 1, "k").count)
  end)

  it("is told from another by its digest", function()
    local one = schedule.digest(schedule.make({ open() }, 1, "k"))
    assert.equal(one, schedule.digest(schedule.make({ open() }, 1, "k")))
    assert.not_equal(one, schedule.digest(schedule.make({ open() }, 1, "other")))
    assert.is_nil(schedule.digest(schedule.make({ { kind = "closed", concurrency = 1, count = 1 } }, 1, "k")))
  end)
end)

describe("Kolmogorov's distance", function()
  it("is what it is for known samples", function()
    assert.near(0.25, schedule.kolmogorov({ 0.25, 0.5, 0.75, 1 }, function(x) return x end), 1e-12)
    assert.near(1, schedule.kolmogorov({ 5, 6 }, function() return 0 end), 1e-12)
    assert.near(0, schedule.kolmogorov_two({ 1, 2, 3 }, { 3, 2, 1 }), 1e-12)
    assert.near(1, schedule.kolmogorov_two({ 1, 2 }, { 3, 4 }), 1e-12)
    assert.near(0.5, schedule.kolmogorov_two({ 1, 2 }, { 2, 3 }), 1e-12)
  end)
end)

describe("a sweep", function()
  it("is a list, or geometric with both ends", function()
    assert.same({ 1, 2.5, 4 }, schedule.sweep({ "1", "2.5", "4" }, false))
    assert.same({ 1, 4, 16, 64 }, schedule.sweep({ "1:64:4" }, true))
    assert.same({ 1, 2, 3 }, schedule.sweep({ "1:3:9" }, true)) -- doubles are dropped
  end)

  it("says what it wants", function()
    for _, words in ipairs { { "x" }, { "0" }, { "1:0:3" }, { "1:2:1" }, { "inf" } } do
      local values, wrong = schedule.sweep(words, false)
      assert.is_nil(values)
      assert.matches("want numbers above 0, or FROM:TO:N, got", wrong, 1, true)
    end
    assert.matches("want integers", select(2, schedule.sweep({ "1.5" }, true)), 1, true)
  end)
end)

describe("a search", function()
  local function run(options, limit)
    local search, tried = schedule.search(options), {}
    local value = search:next()
    while value do
      tried[#tried + 1] = value
      search:tell(value <= limit)
      value = search:next()
    end
    return search, tried
  end

  it("doubles to a bracket and halves it", function()
    local search, tried = run({ from = 1, tolerance = 0.05 }, 13.3)
    assert.same({ 1, 2, 4, 8, 16, 12, 14, 13 }, table.move(tried, 1, 8, 1, {}))
    assert.is_true(search.met <= 13.3 and search.failed > 13.3 and search.failed / search.met <= 1.05)
  end)

  it("finds the very integer", function()
    for limit = 1, 40 do
      local search = run({ from = 4, least = 1, is_whole = true, tolerance = 0 }, limit)
      assert.equal(limit, search.met)
      assert.equal(limit + 1, search.failed)
    end
  end)

  it("goes down when the first value fails, stops at the ends and after its steps", function()
    local search, tried = run({ from = 8, least = 1, is_whole = true }, 0)
    assert.same({ 8, 4, 2, 1 }, tried)
    assert.is_nil(search.met)
    search = run({ from = 8, most = 20, is_whole = true }, 1000)
    assert.equal(20, search.met)
    assert.is_nil(search.failed)
    local _, few = run({ from = 1, max_steps = 3 }, 1000)
    assert.equal(3, #few)
  end)
end)
