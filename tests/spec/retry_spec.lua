-- SPDX-License-Identifier: Apache-2.0
local clock = require "qlua.core.clock"
local retry = require "qlua.retry"

local function http(status, fields)
  local failure = { kind = "http", status = status, text = "x" }
  for key, value in pairs(fields or {}) do failure[key] = value end
  return failure
end

describe("retry", function()
  it("knows for each status whether another try makes sense", function()
    local again = { [408] = true, [409] = true, [425] = true, [429] = true, [502] = true, [503] = true, [504] = true }
    for status = 300, 599 do
      local outcome, more = retry.judge(http(status))
      assert.equal(status >= 500 and "http_5xx" or "http_4xx", outcome, status)
      assert.equal(again[status] and math.huge or status == 500 and 1 or 0, more, status)
    end
  end)

  it("never retries what is too long, whatever the status", function()
    for _, status in ipairs { 400, 413, 429, 500 } do
      local outcome, more = retry.judge(http(status, { too_long = true }))
      assert.equal("too_long", outcome)
      assert.equal(0, more)
    end
  end)

  for kind, want in pairs { connect = { "connect", math.huge }, timeout = { "timeout", 1 }, protocol = { "protocol", math.huge },
    limit = { "protocol", 0 }, script = { "script_error", 0 } } do
    it("judges a failure of kind " .. kind, function() assert.same(want, { retry.judge { kind = kind, text = "x" } }) end)
  end

  it("reads Retry-After in seconds", function()
    assert.equal(0, retry.server_wait_ms("0", 0))
    assert.equal(7000, retry.server_wait_ms(" 7 ", 0))
    assert.equal(500, retry.server_wait_ms("0.5", 0))
    assert.equal(retry.max_server_wait_ms, retry.server_wait_ms("86400", 0))
    assert.equal(retry.max_server_wait_ms, retry.server_wait_ms(("9"):rep(400), 0))
  end)

  it("reads Retry-After as an HTTP date: future, past, far future", function()
    local date = "Sun, 06 Nov 1994 08:49:37 GMT"
    local at = clock.http_date(date)
    assert.equal(784111777, at)
    assert.equal(30000, retry.server_wait_ms(date, at - 30))
    assert.equal(0, retry.server_wait_ms(date, at + 30))
    assert.equal(retry.max_server_wait_ms, retry.server_wait_ms(date, 0))
  end)

  it("finds the server's wish in whatever header it stands", function()
    assert.equal(1234, retry.asked_wait_ms({ ["retry-after-ms"] = "1234", ["retry-after"] = "9" }, 0))
    assert.equal(9000, retry.asked_wait_ms({ ["retry-after-ms"] = "soon", ["retry-after"] = "9" }, 0))
    assert.equal(retry.max_server_wait_ms, retry.asked_wait_ms({ ["retry-after-ms"] = "99999999" }, 0))
    assert.equal(61500, retry.asked_wait_ms({ ["x-ratelimit-remaining-tokens"] = "0", ["x-ratelimit-reset-tokens"] = "1m1.5s" }, 0))
    assert.equal(retry.max_server_wait_ms,
      retry.asked_wait_ms({ ["x-ratelimit-remaining-tokens"] = "0", ["x-ratelimit-reset-tokens"] = "6m0s" }, 0))
    assert.equal(1020, retry.asked_wait_ms({ ["x-ratelimit-remaining-requests"] = "0", ["x-ratelimit-reset-requests"] = "1s20ms",
      ["x-ratelimit-remaining-tokens"] = "7", ["x-ratelimit-reset-tokens"] = "9s" }, 0))
    assert.is_nil(retry.asked_wait_ms({ ["x-ratelimit-remaining-tokens"] = "0", ["x-ratelimit-reset-tokens"] = "1 fortnight" }, 0))
    assert.is_nil(retry.asked_wait_ms({}, 0))
  end)

  it("reads a date by the server's own clock, where it says what time it has", function()
    local headers = { ["retry-after"] = "Sun, 06 Nov 1994 08:49:37 GMT", date = "Sun, 06 Nov 1994 08:49:30 GMT" }
    assert.equal(7000, retry.asked_wait_ms(headers, 784111777 - 3600))
    headers.date = nil
    assert.equal(3000, retry.asked_wait_ms(headers, 784111777 - 3))
  end)

  it("ignores a Retry-After that says nothing", function()
    for _, value in ipairs { "", " ", "soon", "-1", "1e3", "5 s", "Sun, 06 Nov 1994 08:49:37", "Sun, 99 Foo 1994 08:49:37 GMT" } do
      assert.is_nil(retry.server_wait_ms(value, 0), value)
    end
    assert.is_nil(retry.server_wait_ms(nil, 0))
  end)

  it("waits a uniform share of a bound that doubles up to the cap", function()
    for tries = 1, 64 do
      local bound = math.min(retry.cap_ms, retry.base_ms * 2.0 ^ (tries - 1))
      assert.equal(0, retry.wait_ms(tries, 0))
      assert.equal(bound / 2, retry.wait_ms(tries, 0.5))
      assert.is_true(retry.wait_ms(tries, 1 - 2 ^ -53) < bound)
    end
    assert.equal(retry.cap_ms, retry.wait_ms(5000, 1))
  end)

  it("waits all that the server asked for, and the jitter on top", function()
    assert.equal(7000, retry.wait_ms(1, 0, 7000))
    assert.equal(7000 + retry.base_ms / 2, retry.wait_ms(1, 0.5, 7000))
  end)
end)
