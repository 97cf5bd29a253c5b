-- SPDX-License-Identifier: Apache-2.0
--- Steady: how many requests were running, and the part of a measurement in which that, or the arrivals, had settled. Pure.
local steady = {}

--- Running counts as full from this share of the maximum on.
steady.THRESHOLD = 0.95
--- A window shorter than this says nothing.
steady.LEAST_NS = 1000000000
local SLICES, BATCH = 200, 5

--- The running requests as a step function over half-open intervals [start, end): at equal stamps, ends come first.
-- @tparam {integer,…} starts
-- @tparam {integer,…} ends
-- @treturn table list of `{ at_ns, running }`: from at_ns on
function steady.steps(starts, ends)
  local from, to = table.move(starts, 1, #starts, 1, {}), table.move(ends, 1, #ends, 1, {})
  table.sort(from)
  table.sort(to)
  local steps, running, i, j = {}, 0, 1, 1
  while i <= #from or j <= #to do
    local at = math.min(from[i] or math.maxinteger, to[j] or math.maxinteger)
    while to[j] and to[j] <= at do running, j = running - 1, j + 1 end
    while from[i] and from[i] <= at do running, i = running + 1, i + 1 end
    steps[#steps + 1] = { at_ns = at, running = running }
  end
  return steps
end

--- Mean over time, and peak.
-- @treturn ?number mean, nil where no time passed
-- @treturn integer peak
function steady.concurrency(steps, from_ns, to_ns)
  local area, peak = 0, 0
  for i, step in ipairs(steps) do
    local next_ns = steps[i + 1] and steps[i + 1].at_ns or to_ns
    local from, to = math.max(step.at_ns, from_ns), math.min(next_ns, to_ns)
    if to > from then
      area, peak = area + step.running * (to - from), math.max(peak, step.running)
    end
  end
  return to_ns > from_ns and area / (to_ns - from_ns) or nil, peak
end

--- MSER-5: where the initial transient ends. The mean of batches of five values is taken; of all cuts d the one is chosen that
-- makes the squared standard error of what is left, sum((y - mean)^2) / (k - d)^2, smallest (White 1997, Simulation 69:323).
-- @tparam {number,…} values in the order of time
-- @treturn ?integer how many values to leave out at the beginning; nil when the best cut is beyond the middle, or there are fewer
-- than 10 batches: then nothing settled
function steady.mser5(values)
  local batches = {}
  for k = 1, #values // BATCH do
    local sum = 0
    for i = (k - 1) * BATCH + 1, k * BATCH do sum = sum + values[i] end
    batches[k] = sum / BATCH
  end
  if #batches < 10 then return nil end
  local best, cut, sum, squares = math.huge, nil, 0, 0
  local origin = batches[#batches] -- squares of differences lose no digits
  for i = #batches, 1, -1 do
    local value, left = batches[i] - origin, #batches - i + 1
    sum, squares = sum + value, squares + value * value
    local statistic = math.max(0, squares - sum * sum / left) / (left * left)
    if left >= 5 and statistic <= best then best, cut = statistic, i - 1 end
  end
  if cut > #batches // 2 then return nil end
  return cut * BATCH
end

-- Time-weighted running per slice of [from, to).
local function sliced(steps, from_ns, to_ns, slices)
  local width, values, at = (to_ns - from_ns) / slices, {}, 1
  for k = 1, slices do
    local lo, hi = from_ns + (k - 1) * width, from_ns + k * width
    while steps[at + 1] and steps[at + 1].at_ns <= lo do at = at + 1 end
    local area, i = 0, at
    while steps[i] and steps[i].at_ns < hi do
      local until_ns = steps[i + 1] and steps[i + 1].at_ns or hi
      area = area + steps[i].running * math.max(0, math.min(until_ns, hi) - math.max(steps[i].at_ns, lo))
      i = i + 1
    end
    values[k] = area / width
  end
  return values
end

local function of_closed(steps, threshold)
  local most = 0
  for _, step in ipairs(steps) do most = math.max(most, step.running) end
  local limit, from, to = threshold * most, nil, nil
  for i, step in ipairs(steps) do
    if step.running >= limit then
      from, to = from or step.at_ns, steps[i + 1] and steps[i + 1].at_ns or step.at_ns
    end
  end
  return from, to, most
end

local function of_open(steps, starts)
  local first, last = math.huge, -math.huge
  for _, start in ipairs(starts) do first, last = math.min(first, start), math.max(last, start) end
  if last - first < steady.LEAST_NS then return first, last end -- which is too short
  local cut = steady.mser5(sliced(steps, first, last, SLICES))
  if not cut then return nil end
  return math.floor(first + (last - first) * cut / SLICES), last
end

--- Was the server falling behind its schedule? By how much the running requests grew over the second half of the sends, against the
-- requests that were sent in it. A rate that rises makes them grow a little; one that is never answered in time makes them grow by
-- most of what is sent. Latencies that are long against that half say nothing yet.
-- @tparam table steps
-- @tparam {integer,…} starts
-- @tparam ?number typical_ns median latency
-- @treturn ?table `{ sent, grown }`; nil where it cannot be judged
function steady.backlog(steps, starts, typical_ns)
  local first, last = math.huge, -math.huge
  for _, start in ipairs(starts) do first, last = math.min(first, start), math.max(last, start) end
  local middle = first + (last - first) // 2
  if not typical_ns or last - middle < math.max(steady.LEAST_NS, 2 * typical_ns) then return nil end
  local at_middle, at_last, sent = 0, 0, 0
  for _, step in ipairs(steps) do
    if step.at_ns <= middle then at_middle = step.running end
    if step.at_ns <= last then at_last = step.running end
  end
  for _, start in ipairs(starts) do sent = sent + (start > middle and 1 or 0) end
  return { sent = sent, grown = at_last - at_middle }
end

--- The steady window.
-- Closed loop: from the first to the last moment at which running was at least `THRESHOLD` of its maximum. Open loop: from where
-- the running requests had settled (MSER-5 over 200 slices of time) to the last send; a backlog that keeps growing never settles.
-- @tparam table steps of `steady.steps`
-- @tparam {integer,…} starts when requests were sent
-- @tparam boolean is_open whether a schedule drove the sends
-- @treturn table `{ method = "concurrency"/"arrivals", from_ns, to_ns, seconds }`, or with `reason` (`too_short`, `not_settled`) instead
function steady.window(steps, starts, is_open)
  local result = { method = is_open and "arrivals" or "concurrency" }
  local from, to
  if is_open then from, to = of_open(steps, starts) else from, to = of_closed(steps, steady.THRESHOLD) end
  if not from then
    result.reason = "not_settled"
  elseif to - from < steady.LEAST_NS then
    result.reason = "too_short"
  else
    result.from_ns, result.to_ns, result.seconds = from, to, (to - from) / 1e9
  end
  return result
end

return steady
