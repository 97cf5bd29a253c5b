-- SPDX-License-Identifier: Apache-2.0
--- Retry: which failures are worth another try, and how long to wait before it. Pure.
-- Full jitter (a uniform draw up to the exponential bound) keeps a thousand clients from coming back at once.
-- 4xx other than 408, 409, 425 and 429 will be refused again; so will 501. A 500 is tried once more.

local clock = require "qlua.core.clock"

local retry = {}

retry.base_ms, retry.cap_ms = 250, 30000
--- A Retry-After longer than this is not obeyed in full: the run would seem to hang.
retry.max_server_wait_ms = 120000

local retried_status = { [408] = true, [409] = true, [425] = true, [429] = true, [502] = true, [503] = true, [504] = true }

--- What a failed try means.
-- @tparam table failure { kind="connect"|"timeout"|"protocol"|"http"|…, status=, text= }
-- @treturn string the outcome if it is final
-- @treturn integer how many more tries make sense: 0, 1, or math.huge (as many as are allowed)
function retry.judge(failure)
  local kind, status = failure.kind, failure.status
  if kind == "http" then
    if failure.too_long then return "too_long", 0 end
    local outcome = status >= 500 and "http_5xx" or "http_4xx"
    if retried_status[status] then return outcome, math.huge end
    return outcome, status == 500 and 1 or 0
  elseif kind == "connect" then
    return "connect", math.huge
  elseif kind == "timeout" then
    return "timeout", 1
  elseif kind == "limit" then
    return "protocol", 0
  elseif kind == "script" then
    return "script_error", 0
  end
  return "protocol", math.huge
end

--- The server's own wish, from a Retry-After header: seconds, or an HTTP date.
-- @tparam ?string value
-- @tparam integer now_s seconds since 1970
-- @treturn ?number ms; nil when there is none or it cannot be read
function retry.server_wait_ms(value, now_s)
  if not value then return nil end
  local seconds = value:match "^%s*(%d+%.?%d*)%s*$"
  if seconds then return math.min(tonumber(seconds) * 1000, retry.max_server_wait_ms) end
  local at = clock.http_date(value:match "^%s*(.-)%s*$")
  if not at then return nil end
  return math.min(math.max(at - now_s, 0) * 1000, retry.max_server_wait_ms)
end

-- "1s", "6m0s", "20ms": how OpenAI and Azure write a duration.
local function duration_ms(text)
  local total, rest = 0, text
  for number, unit in text:gmatch "(%d+%.?%d*)(%a+)" do
    local factor = ({ ms = 1, s = 1000, m = 60000, h = 3600000 })[unit]
    if not factor then return nil end
    total, rest = total + tonumber(number) * factor, rest:gsub("^%d+%.?%d*%a+", "")
  end
  return rest == "" and text ~= "" and total or nil
end

-- Of the limits that are used up, the one that is free again last.
local function reset_ms(headers)
  local longest
  for _, what in ipairs { "requests", "tokens" } do
    local left, reset = headers["x-ratelimit-remaining-" .. what], headers["x-ratelimit-reset-" .. what]
    local ms = left == "0" and reset and duration_ms(reset)
    if ms then longest = math.max(longest or 0, ms) end
  end
  return longest and math.min(longest, retry.max_server_wait_ms)
end

--- The server's wish in whatever header it stands: `retry-after-ms`, `retry-after`, `x-ratelimit-reset-*`.
-- @tparam table headers lower-case name → value
-- @tparam integer now_s seconds since 1970; the server's own `date` is preferred, as it is what its date is meant by
-- @treturn ?number ms
function retry.asked_wait_ms(headers, now_s)
  local exact = headers["retry-after-ms"] and headers["retry-after-ms"]:match "^%s*(%d+%.?%d*)%s*$"
  if exact then return math.min(tonumber(exact), retry.max_server_wait_ms) end
  local own_clock = headers.date and clock.http_date(headers.date)
  return retry.server_wait_ms(headers["retry-after"], own_clock or now_s) or reset_ms(headers)
end

--- How long to wait before try number `tries` + 1.
-- @tparam integer tries made so far
-- @tparam number uniform a draw from [0, 1)
-- @tparam ?number server_ms what the server asked for: waited in full, plus jitter
-- @treturn number ms
function retry.wait_ms(tries, uniform, server_ms)
  local bound = math.min(retry.cap_ms, retry.base_ms * 2 ^ (tries - 1))
  return (server_ms or 0) + uniform * bound
end

return retry
