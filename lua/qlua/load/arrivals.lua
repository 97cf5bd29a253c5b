-- SPDX-License-Identifier: Apache-2.0
--- Arrivals: when the requests of one open-loop stage are due. Pure: a stage and a seed in, offsets out.
--
-- All shapes are one construction. A renewal process of unit rate is drawn first: its intervals have mean 1 and are
-- exponential (`poisson`), gamma with shape k and scale 1/k (`gamma`; k is vLLM's --burstiness, 1 is Poisson), or all 1
-- (`constant`). Its times are then carried through the inverse of the stage's cumulative intensity Λ(t), the integral of the
-- rate (Çinlar 1975, Introduction to Stochastic Processes, 4.7): for a constant rate that divides by it, for a ramp it packs the
-- arrivals as the rate grows. So a schedule is known before the first request leaves, and nothing that happens during the run,
-- neither a slow server nor a slow client, can move an arrival: that is what keeps coordinated omission out.

local random = require "qlua.random"

local arrivals = {}

-- ---- intervals of unit mean ---------------------------------------------------------------------------------------

local function exponential(generator) return -math.log(1 - generator:number()) end

-- Box and Muller (1958), one of the pair.
local function normal(generator)
  return math.sqrt(-2 * math.log(1 - generator:number())) * math.cos(2 * math.pi * generator:number())
end

-- Marsaglia and Tsang (2000), ACM TOMS 26(3): gamma of shape k >= 1 and scale 1; below 1 by their boost.
local function gamma(generator, k)
  if k < 1 then return gamma(generator, k + 1) * (1 - generator:number()) ^ (1 / k) end
  local d = k - 1 / 3
  local c = 1 / math.sqrt(9 * d)
  while true do
    local x = normal(generator)
    local v = (1 + c * x) ^ 3
    if v > 0 and math.log(1 - generator:number()) < 0.5 * x * x + d - d * v + d * math.log(v) then return d * v end
  end
end

local intervals = {
  poisson = function() return exponential end,
  gamma = function(stage)
    local k = stage.burstiness
    return function(generator) return gamma(generator, k) / k end
  end,
  constant = function() return function() return 1 end end,
  burst = function() return function() return 0 end end,
}

--- Names of the arrival processes, sorted. `burst`: everything at once.
arrivals.NAMES = { "burst", "constant", "gamma", "poisson" }

-- ---- the rate over time -------------------------------------------------------------------------------------------

-- How long a ramp takes to bring `count` requests.
local function ramp_seconds(ramp, count)
  if ramp.shape == "linear" or ramp.from == ramp.to then return 2 * count / (ramp.from + ramp.to) end
  return count * math.log(ramp.to / ramp.from) / (ramp.to - ramp.from)
end

--- Seconds that a stage is meant to last; nil for a burst and for a closed loop that counts.
function arrivals.seconds(stage)
  if stage.duration_s then return stage.duration_s end
  if not stage.count or stage.kind ~= "open" or stage.arrival == "burst" then return nil end
  if stage.ramp then return ramp_seconds(stage.ramp, stage.count) end
  return stage.count / stage.rate
end

-- Λ(t) = ∫ rate and its inverse. After a ramp's end the last rate goes on, so that a count can be filled up.
local function linear(ramp, seconds)
  local slope = (ramp.to - ramp.from) / seconds
  return function(t) return ramp.from * t + slope * t * t / 2 end,
    function(g) return g == 0 and 0 or 2 * g / (ramp.from + math.sqrt(ramp.from ^ 2 + 2 * slope * g)) end
end

local function geometric(ramp, seconds)
  local k = math.log(ramp.to / ramp.from) / seconds
  return function(t) return ramp.from * (math.exp(k * t) - 1) / k end,
    function(g) return math.log(1 + k * g / ramp.from) / k end
end

--- The cumulative intensity of an open-loop stage and its inverse.
-- @tparam table stage `rate`, or `ramp = { shape = "linear" | "exponential", from, to }`; `count` or `duration_s`
-- @treturn function Λ: seconds → expected number of arrivals by then
-- @treturn function its inverse
function arrivals.intensity(stage)
  local ramp = stage.ramp
  if not ramp then
    return function(t) return stage.rate * t end, function(g) return g / stage.rate end
  end
  local seconds = arrivals.seconds(stage)
  local is_linear = ramp.shape == "linear" or ramp.from == ramp.to
  local forward, inverse = (is_linear and linear or geometric)(ramp, seconds)
  local whole = forward(seconds)
  return function(t) return t <= seconds and forward(t) or whole + (t - seconds) * ramp.to end,
    function(g) return g <= whole and inverse(g) or seconds + (g - whole) / ramp.to end
end

-- ---- arrivals -----------------------------------------------------------------------------------------------------

-- Times of the unit process until there are enough.
local function unit_times(stage, generator, last)
  local interval, times, at = intervals[stage.arrival](stage), {}, 0
  local count = stage.count or math.huge
  while #times < count do
    at = at + interval(generator)
    if at > last then break end
    times[#times + 1] = at
  end
  return times
end

--- When the requests of a stage are due.
-- With `normalize` and a count the unit process is stretched so that its last arrival is exactly at its expected time, as vLLM
-- does: the rate of the schedule is then the one asked for, at the price that it is no longer quite a Poisson process. Without,
-- the schedule's own rate differs from the one asked for by chance, about 1/√count.
-- @tparam table stage `{ kind = "open", arrival, rate or ramp, burstiness, count or duration_s, normalize }`
-- @tparam integer seed
-- @tparam string key what else the draw depends on
-- @treturn {integer,...} nanoseconds from the stage's start, ascending
function arrivals.of(stage, seed, key)
  local offsets = {}
  if stage.arrival == "burst" then
    for i = 1, stage.count do offsets[i] = 0 end
    return offsets
  end
  local forward, inverse = arrivals.intensity(stage)
  local times = unit_times(stage, random(seed, "arrivals/" .. key), stage.duration_s and forward(stage.duration_s) or math.huge)
  local stretch = stage.normalize and stage.count and #times > 0 and stage.count / times[#times] or 1
  for i, at in ipairs(times) do offsets[i] = math.floor(inverse(at * stretch) * 1e9 + 0.5) end
  return offsets
end

return arrivals
