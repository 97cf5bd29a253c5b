-- SPDX-License-Identifier: Apache-2.0
--- Randomness that depends on what is asked and never on when: `q.random(seed, key)`.
--
-- xoshiro256** (Blackman and Vigna 2018), its 256 bits of state taken from the sha256 of seed and key. Two
-- runs, two machines and two orders of the same samples therefore draw the same values. Not for secrets.

local hash = require "qlua.core.hash"

local Generator = {}
local generator_meta = { __index = Generator } -- apart, so that no script reaches the methods through a generator

local function rotate(x, bits)
  return (x << bits) | (x >> (64 - bits))
end

-- The next 64 random bits, as an integer of either sign.
local function next_bits(self)
  local s0, s1, s2, s3 = self[1], self[2], self[3], self[4]
  local bits = rotate(s1 * 5, 7) * 9
  local t = s1 << 17
  s2, s3 = s2 ~ s0, s3 ~ s1
  self[2], self[1] = s1 ~ s2, s0 ~ s3
  self[3], self[4] = s2 ~ t, rotate(s3, 45)
  return bits
end

-- The module is this function, so that the sandbox can hand it out as it is: `q.random(seed, key)`.
--- A generator of its own for one seed and one key.
-- @param seed integer or string, the run's seed
-- @param key string, e.g. a sample's id
local function new(seed, key)
  if math.type(seed) == "float" then
    seed = math.tointeger(seed) or error("want an integer or string seed, got " .. seed, 2)
  end
  local kind = math.type(seed) and "i" or "s"
  -- The kind and the length keep (1, "2") and ("1", "2") and (12, "") apart.
  local name = string.format("%s%d:%s%s", kind, #tostring(seed), tostring(seed), tostring(key or ""))
  local a, b, c, d = string.unpack("<i8i8i8i8", hash.sha256_raw(name))
  return setmetatable({ a, b, c, d }, generator_meta)
end

--- The next 64 bits as an integer (of either sign).
function Generator:bits()
  return next_bits(self)
end

--- A float in [0, 1) of 53 bits.
function Generator:number()
  return (next_bits(self) >> 11) * 0x1p-53
end

--- An integer from 1 to n, each equally likely.
function Generator:integer(n)
  assert(math.type(n) == "integer" and n >= 1, "want an integer of at least 1")
  local mask = n - 1
  for shift = 0, 5 do
    mask = mask | (mask >> (1 << shift))
  end
  local drawn
  repeat
    drawn = next_bits(self) & mask
  until drawn < n
  return drawn + 1
end

--- Shuffles the list in place and returns it.
function Generator:shuffle(list)
  for i = #list, 2, -1 do
    local j = self:integer(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

--- k different members of the list, as a new list in drawn order.
function Generator:sample(list, k)
  assert(k >= 0 and k <= #list, "want a sample no larger than the list")
  local pool = table.move(list, 1, #list, 1, {})
  for i = 1, k do
    local j = i - 1 + self:integer(#pool - i + 1)
    pool[i], pool[j] = pool[j], pool[i]
  end
  return table.move(pool, 1, k, 1, {})
end

return new
