-- SPDX-License-Identifier: Apache-2.0
--- Measure: what a list of numbers, or of start and end stamps, comes down to. Pure.
local stats = require "qlua.core.stats"

local measure = {}

--- Fewer values than this have no 99th percentile worth printing.
measure.MIN_P99 = 100

function measure.sum(list)
  local total = 0
  for _, value in ipairs(list) do total = total + value end
  return total
end

--- Count, mean, extremes and percentiles (type 7, numpy's default) of a list.
-- @treturn table|nil nil for an empty list; no `p99` for fewer than `MIN_P99` values
function measure.distribution(list)
  local n = #list
  if n == 0 then return nil end
  local cut = stats.quantile(list, { 0, 0.5, 0.9, 0.95, 0.99, 1 })
  return {
    n = n, mean = measure.sum(list) / n, min = cut[1], p50 = cut[2], p90 = cut[3], p95 = cut[4],
    p99 = n >= measure.MIN_P99 and cut[5] or nil, max = cut[6],
  }
end

--- The time during which a dataset was being asked: first start to last end, summed over the run's sessions (a run
-- that was stopped and resumed has several; the time in between is nobody's). Never the sum of latencies, which
-- counts concurrent requests many times over.
-- @tparam {integer,…} starts_ns
-- @tparam {integer,…} ends_ns
-- @tparam {integer,…} sessions which session each belongs to
-- @treturn number|nil seconds
-- @treturn integer how many sessions
function measure.window(starts_ns, ends_ns, sessions)
  local from, to, order = {}, {}, {}
  for i, start_ns in ipairs(starts_ns) do
    local session = sessions[i]
    if not from[session] then
      order[#order + 1] = session
      from[session], to[session] = start_ns, ends_ns[i]
    end
    from[session], to[session] = math.min(from[session], start_ns), math.max(to[session], ends_ns[i])
  end
  local total = 0
  for _, session in ipairs(order) do total = total + (to[session] - from[session]) end
  return total > 0 and total / 1e9 or nil, #order
end

--- An accuracy with its 95 % Wilson interval (Wilson 1927, JASA 22:209-212).
-- With repeats the answers to one question are not independent, so the interval counts each question once,
-- as if the repeats had taught nothing: it is never too narrow.
-- @tparam integer num_correct
-- @tparam integer num_answered
-- @tparam[opt=1] integer repeats answers per question
-- @treturn number|nil share of correct answers
-- @treturn {number,number}|nil lower and upper limit
function measure.share(num_correct, num_answered, repeats)
  if num_answered == 0 then return nil, nil end
  local share = num_correct / num_answered
  local questions = math.max(1, num_answered // (repeats or 1))
  local lo, hi = stats.wilson(math.floor(share * questions + 0.5), questions, 0.95)
  return share, { lo, hi }
end

return measure
