-- SPDX-License-Identifier: Apache-2.0
--- Series: many numbers kept exactly in eight bytes each, and what they come down to. Pure.
--
-- The gaps between the events of 100,000 streams are some ten million numbers: a Lua table of them would be 160 MB and
-- grow by doubling. Mean and variance run along (Welford 1962, Technometrics 4:419), percentiles are taken from all values.
local stats = require "qlua.core.stats"

local series = {}
series.__index = series

local CHUNK = 128

--- Percentiles that are looked at, by name; p999 is the 99.9th.
series.PERCENTILES = { { "p50", 0.5 }, { "p90", 0.9 }, { "p95", 0.95 }, { "p99", 0.99 }, { "p999", 0.999 } }

function series.new() return setmetatable({ n = 0, mean = 0, squares = 0, min = nil, max = nil, sum = 0, chunks = {}, open = {} },
  series) end

local function close_chunk(self)
  self.chunks[#self.chunks + 1] = string.pack(("d"):rep(#self.open), table.unpack(self.open))
  self.open = {}
end

--- Add a number; nil is left out.
function series:add(value)
  if value == nil then return end
  self.n, self.sum = self.n + 1, self.sum + value
  local step = value - self.mean
  self.mean = self.mean + step / self.n
  self.squares = self.squares + step * (value - self.mean)
  self.min, self.max = math.min(self.min or value, value), math.max(self.max or value, value)
  self.open[#self.open + 1] = value
  if #self.open == CHUNK then close_chunk(self) end
end

--- All values as one string of native doubles, as `qlua.core.stats` takes them, in the order they came.
function series:packed()
  if #self.open > 0 then close_chunk(self) end
  local whole = table.concat(self.chunks)
  self.chunks = { whole }
  return whole
end

--- Does a sample of this size carry that percentile? There must be at least one value beyond it on either side: 2 values
-- for p50, 10 for p90, 20 for p95, 100 for p99, 1,000 for p99.9.
function series.carries(n, q) return n * math.min(q, 1 - q) >= 1 - 1e-9 end

local function interval(packed, q, level)
  local found = stats.quantile_interval(packed, q, level)
  local lo, hi = found.lo, found.hi
  if lo == -math.huge then lo = nil end
  if hi == math.huge then hi = nil end
  return (lo or hi) and { lo = lo, hi = hi } or nil
end

--- Count, mean, sample standard deviation, extremes, and the type-7 percentiles that `n` carries.
-- @tparam[opt] table options `scale` multiplies everything (1e-9: ns to s); `level` asks for intervals of the percentiles from
-- order statistics (docs/statistics.md), as `intervals.p99 = { lo, hi }`, an open end absent
-- @treturn ?table nil when there is nothing
function series:describe(options)
  if self.n == 0 then return nil end
  local scale, level = options and options.scale or 1, options and options.level
  local result = { n = self.n, mean = self.mean * scale, min = self.min * scale, max = self.max * scale,
    std = self.n > 1 and math.sqrt(self.squares / (self.n - 1)) * scale or nil }
  local packed, shares, names = self:packed(), {}, {}
  for _, entry in ipairs(series.PERCENTILES) do
    if series.carries(self.n, entry[2]) then names[#names + 1], shares[#shares + 1] = entry[1], entry[2] end
  end
  if #shares == 0 then return result end
  for i, value in ipairs(stats.quantile(packed, shares)) do
    result[names[i]] = value * scale
    local bounds = level and interval(packed, shares[i], level)
    if bounds then
      result.intervals = result.intervals or {}
      result.intervals[names[i]] = { lo = bounds.lo and bounds.lo * scale, hi = bounds.hi and bounds.hi * scale }
    end
  end
  return result
end

return series
