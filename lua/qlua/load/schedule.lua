-- SPDX-License-Identifier: Apache-2.0
--- Schedule: what a load point asks for, laid out before anything is sent. Pure.
--
-- A point is a list of stages. Stages of an open loop (and a trace) that follow each other share one clock: the second begins when
-- the first one's time is up, whatever is still in flight. A closed loop has no arrivals to plan, only a number of workers; it
-- begins when everything before it has been answered. So a schedule is a list of blocks, each either `open` with a list of
-- due times, or `closed` with a window. The same seed and point give the same schedule on every machine and for every variant.

local arrivals = require "qlua.load.arrivals"
local hash = require "qlua.core.hash"

local schedule = {}

local function new_open_block() return { kind = "open", offsets_ns = {}, stage_of = {}, span_ns = 0 } end

local function add_open(block, stage, number, seed, key)
  local began = block.span_ns
  local offsets, seconds
  if stage.kind == "trace" then
    offsets = stage.offsets_ns
    seconds = (offsets[#offsets] or 0) / 1e9
  else
    offsets, seconds = arrivals.of(stage, seed, key), arrivals.seconds(stage) or 0
  end
  local count = #block.offsets_ns
  for i, offset in ipairs(offsets) do block.offsets_ns[count + i], block.stage_of[count + i] = began + offset, number end
  local last = offsets[#offsets] or 0
  -- A count is filled up even when chance makes it take longer than expected; a duration is kept.
  block.span_ns = began + math.max(math.floor(seconds * 1e9), stage.duration_s and 0 or last)
end

--- Lay out a point.
-- @tparam {table,...} stages each `{ kind = "closed", concurrency, count or duration_s }`, an open stage of `qlua.load.arrivals`, or
--   `{ kind = "trace", offsets_ns }`
-- @tparam integer seed
-- @tparam string key of point and replicate: each replicate has arrivals of its own
-- @treturn table `{ blocks = { { kind = "open", offsets_ns, stage_of, span_ns } | { kind = "closed", stage, concurrency, count,
--   duration_ns } … }, count = number of requests or nil when a duration decides }`
function schedule.make(stages, seed, key)
  local blocks, count, open = {}, 0, nil
  for number, stage in ipairs(stages) do
    if stage.kind == "closed" then
      open = nil
      blocks[#blocks + 1] = { kind = "closed", stage = number, concurrency = stage.concurrency, count = stage.count,
        duration_ns = stage.duration_s and math.floor(stage.duration_s * 1e9) or nil }
      count = count and stage.count and count + stage.count or nil
    else
      if not open then
        open = new_open_block()
        blocks[#blocks + 1] = open
      end
      local before = #open.offsets_ns
      add_open(open, stage, number, seed, ("%s/%d"):format(key, number))
      count = count and count + #open.offsets_ns - before
    end
  end
  return { blocks = blocks, count = count }
end

--- A short name of all due times, to compare two schedules by.
-- @treturn ?string the first 12 hex digits of the SHA-256 of the due times; nil for a closed loop
function schedule.digest(made)
  local parts = {}
  for _, block in ipairs(made.blocks) do
    for i, offset in ipairs(block.offsets_ns or {}) do parts[#parts + 1] = ("%d:%d"):format(block.stage_of[i], offset) end
  end
  return #parts > 0 and hash.sha256(table.concat(parts, "\n")):sub(1, 12) or nil
end

--- Largest distance between the distribution of a sample and a cumulative distribution function (Kolmogorov).
-- @tparam {number,...} values
-- @tparam function cdf
-- @treturn number 0..1; with n values of that distribution it exceeds 1.63/√n with probability 0.01
function schedule.kolmogorov(values, cdf)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local n, distance = #sorted, 0
  for i, value in ipairs(sorted) do
    local expected = cdf(value)
    distance = math.max(distance, i / n - expected, expected - (i - 1) / n)
  end
  return distance
end

--- Largest distance between the distributions of two samples (Kolmogorov and Smirnov).
function schedule.kolmogorov_two(left, right)
  local a, b = table.move(left, 1, #left, 1, {}), table.move(right, 1, #right, 1, {})
  table.sort(a)
  table.sort(b)
  local i, j, distance = 0, 0, 0
  while i < #a and j < #b do
    local value = math.min(a[i + 1], b[j + 1])
    while i < #a and a[i + 1] <= value do i = i + 1 end
    while j < #b and b[j + 1] <= value do j = j + 1 end
    distance = math.max(distance, math.abs(i / #a - j / #b))
  end
  return distance
end

-- ---- sweeps and searches ----------------------------------------------------------------------------------------

--- The values of a sweep.
-- @tparam {string,...} words each a number, or `FROM:TO:N` for N values in geometric order, both ends included
-- @tparam boolean is_whole the values are rounded to integers, doubles dropped
-- @treturn ?{number,...} or nil and what is wrong
function schedule.sweep(words, is_whole)
  local values = {}
  local function add(value)
    if is_whole then value = math.floor(value + 0.5) end
    if values[#values] ~= value then values[#values + 1] = value end
  end
  for _, word in ipairs(words) do
    local from, to, n = tostring(word):match "^([%d.]+):([%d.]+):(%d+)$"
    from, to, n = tonumber(from), tonumber(to), math.tointeger(tonumber(n))
    local single = tonumber(word)
    if from and to and n and from > 0 and to > 0 and n >= 2 then
      for i = 0, n - 1 do add(from * (to / from) ^ (i / (n - 1))) end
    elseif single and single > 0 and single < math.huge and not (is_whole and math.floor(single) ~= single) then
      add(single)
    else
      return nil, ("want %s above 0, or FROM:TO:N, got \"%s\""):format(is_whole and "integers" or "numbers", tostring(word))
    end
  end
  if #values == 0 then return nil, "want at least one value" end
  return values
end

local Search = {}
Search.__index = Search

--- A search for the largest value that still meets a goal: doubling until one fails (or halving until one holds), then
-- bisection. It assumes that a larger value is never easier to meet.
-- @tparam table options `from` first value; `least`, `most`; `is_whole`; `tolerance` (0.05): the answer is within this share of the
--   first value known to fail; `max_steps` (16)
-- @treturn table `next()` → the value to try or nil when done; `tell(is_met)` what came of it; `met`, `failed` the bracket
function schedule.search(options)
  return setmetatable({ from = options.from, least = options.least or options.from / 1024, most = options.most or math.huge,
    is_whole = options.is_whole, tolerance = options.tolerance or 0.05, left = options.max_steps or 16 }, Search)
end

local function rounded(self, value)
  value = math.max(self.least, math.min(self.most, value))
  return self.is_whole and math.floor(value + 0.5) or value
end

local function candidate(self)
  if not self.met and not self.failed then return rounded(self, self.from) end
  if not self.failed then return rounded(self, self.met * 2) end
  if not self.met then return rounded(self, self.failed / 2) end
  if self.failed / self.met <= 1 + self.tolerance or self.is_whole and self.failed - self.met <= 1 then return nil end
  return rounded(self, (self.met + self.failed) / 2)
end

function Search:next()
  if self.left <= 0 then return nil end
  local value = candidate(self)
  if value == self.met or value == self.failed then return nil end -- an end of the range, or nothing between
  self.value = value
  return value
end

function Search:tell(is_met)
  self.left = self.left - 1
  if is_met then self.met = self.value else self.failed = self.value end
end

return schedule
