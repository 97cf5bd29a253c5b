-- SPDX-License-Identifier: Apache-2.0
--- Chance: numbers that look random and depend on nothing but their key.
-- Every draw is a hash of what it is for, never the next number of a generator, so that neither the order of the
-- requests nor their concurrency changes an answer, and two variants can share one draw on purpose.

local hash = require "qlua.core.hash"

local chance = {}

--- A number strictly between 0 and 1.
-- @param ... what it is for: strings and integers
-- @treturn number 52 bits of the SHA-256 of the parts, in the middle of their step
function chance.unit(...)
  local raw = hash.sha256_raw(table.concat({ ... }, "\31"))
  return ((string.unpack("<I8", raw) >> 12) + 0.5) * 2.0 ^ -52
end

--- An integer from 1 to n.
function chance.integer(n, ...)
  return 1 + math.floor(chance.unit(...) * n)
end

--- The name that a draw falls on.
-- @tparam {{name=string,share=number},...} shares in a fixed order; shares need not add up to 1
-- @tparam number u from 0 to 1
-- @treturn string
function chance.pick(shares, u)
  local total = 0
  for _, entry in ipairs(shares) do total = total + entry.share end
  local left = u * total
  for _, entry in ipairs(shares) do
    left = left - entry.share
    if left < 0 then return entry.name end
  end
  return shares[#shares].name
end

local function rational(x, over, under)
  local top, bottom = 0, 0
  for _, c in ipairs(over) do top = top * x + c end
  for _, c in ipairs(under) do bottom = bottom * x + c end
  return top / bottom
end

-- Coefficients of P. J. Acklam's approximation; relative error below 1.2e-9.
local MIDDLE = {
  { -3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02, 1.383577518672690e+02,
    -3.066479806614716e+01, 2.506628277459239e+00 },
  { -5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01,
    -1.328068155288572e+01, 1 },
}
local TAIL = {
  { -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00, -2.549732539343734e+00,
    4.374664141464968e+00, 2.938163982698783e+00 },
  { 7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00, 1 },
}

--- The normal distribution's quantile.
-- @tparam number p strictly between 0 and 1
-- @treturn number
function chance.normal_quantile(p)
  if p < 0.02425 then return rational(math.sqrt(-2 * math.log(p)), TAIL[1], TAIL[2]) end
  if p > 0.97575 then return -rational(math.sqrt(-2 * math.log(1 - p)), TAIL[1], TAIL[2]) end
  local q = p - 0.5
  return q * rational(q * q, MIDDLE[1], MIDDLE[2])
end

return chance
