-- SPDX-License-Identifier: Apache-2.0
--- The self-check block: what makes a measurement degraded, and that what is not known is said to be so.
local selfcheck = require "qlua.load.selfcheck"

local GOOD = { wall_ns = 10e9, reads = 100, events = 150, wakeups = 50, io_cpu_ns = 1e9, io_idle_ns = 8.5e9, connections = 4,
  stamp_error_ns = 4000, handling_delay_p50_ns = 9000, handling_delay_p99_ns = 30000, handling_delay_max_ns = 90000,
  dispatch_lag_p50_ns = 20000, dispatch_lag_p99_ns = 90000, dispatch_lag_max_ns = 200000, kernel_reads = 100, lost_events = 0,
    starved_ns = 1e7 }

local function with(changes)
  local copy = {}
  for key, value in pairs(GOOD) do copy[key] = value end
  for key, value in pairs(changes) do copy[key] = value end
  return copy
end

local function codes(block)
  local list = {}
  for i, reason in ipairs(block.reasons) do list[i] = reason.code end
  return list
end

describe("the self-check", function()
  it("is ok when every test was made and kept", function()
    local block = selfcheck.judge(GOOD)
    assert.same({ "ok", "neither", "kernel", {}, {} }, { block.verdict, block.limit, block.stamp_source, block.reasons, block.not_known })
    assert.same({ 1.5, 100 / 150, 10 }, { block.events_per_read, block.reads_per_event, block.wall_seconds })
    assert.near(0.15, block.busy_share, 1e-12)
    assert.near(0.1, block.cpu_share, 1e-12)
    assert.near(0.001, block.starved_share, 1e-12)
  end)

  it("is degraded by each limit on its own, and says which and by how much", function()
    for code, changes in pairs {
      dispatch_lag = { dispatch_lag_p99_ns = 1000001 }, handling_delay = { handling_delay_p99_ns = 5000001 },
      stamp_error = { stamp_error_ns = 2000000 }, busy = { io_idle_ns = 1.4e9 }, starved = { starved_ns = 6e8 },
        lost = { lost_events = 1 }, clock_step = { clock_steps = 2 },
    } do
      local block = selfcheck.judge(with(changes))
      assert.same({ code }, codes(block))
      assert.equal("degraded", block.verdict)
      assert.equal((code == "lost" or code == "stamp_error" or code == "clock_step") and "neither" or "client", block.limit)
    end
    local reason = selfcheck.judge(with { dispatch_lag_p99_ns = 12500000 }).reasons[1].text
    assert.same({ en = "requests left late: p99 12.5 ms after their time (limit 1 ms)", zh = "请求发出偏晚：p99 晚于计划 12.5 ms（上限 1 ms）" }, reason)
    assert.truthy(selfcheck.judge(with { io_idle_ns = 1e9 }).reasons[1].text.en:find("90 % of the time (limit 85 %)", 1, true))
  end)

  it("holds a client without kernel stamps to the stricter delay", function()
    local late = { handling_delay_p99_ns = 2000000 }
    assert.equal("ok", selfcheck.judge(with(late)).verdict)
    local block = selfcheck.judge(with(late), { stamp_sources = { user = 3 } })
    assert.same({ "user", "degraded" }, { block.stamp_source, block.verdict })
    assert.equal("mixed", selfcheck.judge(GOOD, { stamp_sources = { user = 1, kernel = 9 } }).stamp_source)
  end)

  it("takes what is not known for not known", function()
    local block = selfcheck.judge { wall_ns = 1e9, reads = 5, events = 0, io_idle_ns = 9e8, io_cpu_ns = 1e7 }
    assert.same({ "handling_delay_p99_ns", "stamp_error_ns", "starved_share", "lost_events" }, block.not_known)
    assert.equal("ok", block.verdict)
    assert.is_nil(block.stamp_source)
    assert.is_nil(block.events_per_read)
    assert.same({ 5, 6 }, { #selfcheck.judge({}).not_known, #selfcheck.judge({}, { is_open = true }).not_known })
  end)

  it("believes the rows before the client's counter", function()
    local block = selfcheck.judge(GOOD, { dispatch_lag_seconds = { n = 9, p50 = 1e-5, max = 0.004 } })
    assert.same({ "dispatch_lag" }, codes(block))
    assert.near(4e6, block.dispatch_lag_p99_ns, 1e-3) -- too few for a p99: the largest
    local counters = with {}
    counters.lost_events = nil
    assert.equal(3, selfcheck.judge(counters, { events_in_replies = 147 }).lost_events)
  end)

  it("names the server where it was the limit", function()
    assert.equal("server", selfcheck.judge(GOOD, { is_saturated_server = true }).limit)
    assert.equal("client", selfcheck.judge(with { io_idle_ns = 0 }, { is_saturated_server = true }).limit)
  end)

  -- As `client:stats()` gives it: spreads, and one entry per thread.
  local function reading(changes)
    local stats = { reads = 100, events = 150, kernel_reads = 100, io_threads = 2, clock_error_ns = 900, io_idle_ns = 1.7e10,
      stamp_delay = { count = 9, p50_ns = 1, p99_ns = 2, max_ns = 3 }, dispatch_lag = { count = 0 },
      threads = { { idle_ns = 9e9 }, { idle_ns = 8e9 } } }
    for key, value in pairs(changes or {}) do stats[key] = value end
    return stats
  end

  it("subtracts counts between two readings and joins measurements by the worst", function()
    local after = reading { reads = 300, events = 450, kernel_reads = 300, stamp_delay = { count = 20, p50_ns = 4, p99_ns = 44,
      max_ns = 99 },
      threads = { { idle_ns = 13.9e9 }, { idle_ns = 9e9 } } }
    local part = selfcheck.between(reading(), after, 5e9)
    assert.same({ 200, 300, 44, 5e9, 900 }, { part.reads, part.events, part.handling_delay_p99_ns, part.wall_ns, part.stamp_error_ns })
    assert.near(0.8, part.busy_share, 1e-12) -- of the second thread, which slept 1 s of 5
    assert.is_nil(part.dispatch_lag_p99_ns)
    local both = selfcheck.join { part, selfcheck.between(nil, reading(), 10e9) }
    assert.same({ 300, 450, 44, 15e9 }, { both.reads, both.events, both.handling_delay_p99_ns, both.wall_ns })
    assert.near(0.8, both.busy_share, 1e-12)
    assert.is_nil(selfcheck.between(nil, { reads = 1 }, 1).events)
  end)

  it("knows no error of stamps that the kernel did not make", function()
    local block = selfcheck.judge(selfcheck.between(nil, reading { kernel_reads = 0 }, 10e9))
    assert.equal("user", block.stamp_source)
    assert.is_nil(block.stamp_error_ns)
  end)

  it("takes the counters of a real client", function()
    local client = require "qlua.core.http".open {}
    local block = selfcheck.judge(selfcheck.between(nil, client:stats(), 1e9))
    client:close()
    assert.equal("number", type(block.busy_share))
    assert.equal(0, block.events)
    assert.is_nil(block.stamp_source)
  end)
end)
