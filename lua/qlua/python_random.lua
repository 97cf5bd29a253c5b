-- SPDX-License-Identifier: Apache-2.0
--- CPython's `random.Random(seed)`, bit for bit: what reference harnesses draw few-shot examples with.
--
-- MT19937 (Matsumoto and Nishimura 1998) seeded by init_by_array; `sample`, `shuffle` and `choices` follow
-- Lib/random.py. Equality is the point: prompts built here hash to the values others publish. For anything
-- of our own use `qlua.random`, which does not depend on the order of calls.

local python_random = {}

local Generator = {}
Generator.__index = Generator

local SIZE, SHIFT = 624, 397
local MASK = 0xffffffff

local function seed_by_number(state, number)
  state[0] = number & MASK
  for i = 1, SIZE - 1 do
    local last = state[i - 1]
    state[i] = (1812433253 * (last ~ (last >> 30)) + i) & MASK
  end
end

local function seed_by_words(state, words)
  seed_by_number(state, 19650218)
  local count = #words
  local i, j = 1, 0
  for _ = 1, math.max(SIZE, count) do
    local last = state[i - 1]
    state[i] = ((state[i] ~ ((last ~ (last >> 30)) * 1664525)) + words[j + 1] + j) & MASK
    i, j = i + 1, (j + 1) % count
    if i == SIZE then
      state[0], i = state[SIZE - 1], 1
    end
  end
  for _ = 1, SIZE - 1 do
    local last = state[i - 1]
    state[i] = ((state[i] ~ ((last ~ (last >> 30)) * 1566083941)) - i) & MASK
    i = i + 1
    if i == SIZE then
      state[0], i = state[SIZE - 1], 1
    end
  end
  state[0] = 0x80000000
end

--- A generator equal to `random.Random(seed)`.
-- @param seed integer; its sign is dropped, as CPython does
function python_random.new(seed)
  seed = math.tointeger(seed) or error("want an integer seed, got " .. tostring(seed), 2)
  if seed < 0 then
    seed = -seed
  end
  local words = { seed & MASK }
  if seed >> 32 ~= 0 then
    words[2] = seed >> 32
  end
  local state = {}
  seed_by_words(state, words)
  return setmetatable({ state = state, at = SIZE }, Generator)
end

local function turn(state)
  for i = 0, SIZE - 1 do
    local y = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff)
    local mixed = state[(i + SHIFT) % SIZE] ~ (y >> 1)
    if y & 1 == 1 then
      mixed = mixed ~ 0x9908b0df
    end
    state[i] = mixed
  end
end

-- The next 32 random bits (genrand_uint32).
local function next_word(self)
  if self.at == SIZE then
    turn(self.state)
    self.at = 0
  end
  local y = self.state[self.at]
  self.at = self.at + 1
  y = y ~ (y >> 11)
  y = y ~ ((y << 7) & 0x9d2c5680)
  y = y ~ ((y << 15) & 0xefc60000)
  return (y ~ (y >> 18)) & MASK
end

--- `getrandbits(bits)` for 1 to 32 bits.
function Generator:getrandbits(bits)
  assert(bits >= 1 and bits <= 32, "want 1 to 32 bits")
  return next_word(self) >> (32 - bits)
end

--- `random()`: a float in [0, 1) of 53 bits.
function Generator:random()
  local a, b = next_word(self) >> 5, next_word(self) >> 6
  return (a * 67108864.0 + b) / 9007199254740992.0
end

--- `randbelow(n)`: an integer from 0 to n - 1, n at most 2^32 - 1.
function Generator:randbelow(n)
  assert(n >= 1 and n <= MASK, "want n from 1 to 4294967295")
  local bits, rest = 0, n
  while rest > 0 do
    bits, rest = bits + 1, rest >> 1
  end
  local drawn
  repeat
    drawn = next_word(self) >> (32 - bits)
  until drawn < n
  return drawn
end

--- `sample(range(n), k)`: a list of k different integers from 0 to n - 1, in drawn order.
function Generator:sample(n, k)
  assert(k >= 0 and k <= n, "want a sample no larger than the population")
  local chosen = {}
  local set_size = 21 -- CPython picks the cheaper of two algorithms by memory; both must be here
  if k > 5 then
    set_size = set_size + 4 ^ math.ceil(math.log(k * 3, 4))
  end
  if n <= set_size then
    local pool = {}
    for i = 0, n - 1 do
      pool[i] = i
    end
    for i = 0, k - 1 do
      local j = self:randbelow(n - i)
      chosen[i + 1] = pool[j]
      pool[j] = pool[n - i - 1]
    end
    return chosen
  end
  local seen = {}
  for i = 1, k do
    local j
    repeat
      j = self:randbelow(n)
    until not seen[j]
    seen[j] = true
    chosen[i] = j
  end
  return chosen
end

--- `shuffle(list)` in place; returns the list.
function Generator:shuffle(list)
  for i = #list, 2, -1 do
    local j = self:randbelow(i) + 1
    list[i], list[j] = list[j], list[i]
  end
  return list
end

--- `choices(range(n), k=k)`: k integers from 0 to n - 1 with replacement.
function Generator:choices(n, k)
  local chosen = {}
  for i = 1, k do
    chosen[i] = math.floor(self:random() * n)
  end
  return chosen
end

return python_random
