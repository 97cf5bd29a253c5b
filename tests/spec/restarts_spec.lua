-- SPDX-License-Identifier: Apache-2.0
local restarts = require "qlua.supervisor.restarts"

describe("after a start that failed", function()
  local function what(fields, tries)
    local err = { kind = "server" }
    for key, value in pairs(fields) do err[key] = value end
    return restarts.after_start(err, tries or 1)
  end

  it("nothing helps against a wrong configuration", function()
    for _, failure in ipairs { "config", "flag", "model", "network" } do
      assert.equal("no", what { failure = failure, crashed = true })
    end
  end)

  it("memory is waited for, a port is changed, anything else is tried again", function()
    assert.equal("when_free", what { failure = "memory", crashed = true })
    assert.equal("port", what { failure = "port", crashed = true })
    assert.equal("port", what { foreign = true })
    assert.equal("again", what { crashed = true })
  end)

  it("once, and never after a time-out or at the user's wish", function()
    assert.equal("no", what({ crashed = true }, 2))
    assert.equal("no", what {})
    assert.equal("no", what { kind = "cancelled", crashed = true })
  end)
end)

describe("a server that died", function()
  local function question(sample, variant) return { variant = variant or "one", dataset = "d", sample = sample, repeat_index = 0 } end

  it("is started again so often, and no more", function()
    local account = restarts.new { max_restarts = 2, concurrency = 8 }
    assert.same({ true, true, false, false }, { account:take(), account:take(), account:take(), account:take() })
    assert.is_false(restarts.new({ max_restarts = 0, concurrency = 8 }):take())
  end)

  it("makes suspects of what was in flight, and quarantines what was at two crashes", function()
    local account = restarts.new { max_restarts = 2, concurrency = 8 }
    assert.same({}, account:crashed({ question "a", question "b" }, {}))
    assert.same({ a = true, b = true }, (account:suspects("one", "d")))
    assert.is_false(account:is_quarantined(question "a"))
    assert.same({ question "b" }, account:crashed({ question "b" }, {}))
    assert.is_true(account:is_quarantined(question "b"))
    assert.same({ a = true }, (account:suspects("one", "d")))
    assert.same({}, account:crashed({ question "b" }, {})) -- once is enough
  end)

  it("keeps variants, datasets and repeats apart", function()
    local account = restarts.new { max_restarts = 2, concurrency = 8 }
    account:crashed({ question "a" }, {})
    account:crashed({ question("a", "two") }, {})
    assert.is_false(account:is_quarantined(question "a"))
    assert.same({ 0, 1 }, { select(2, account:suspects("one", "e")), select(2, account:suspects("two", "d")) })
  end)

  it("gets fewer requests at once only when scoring prompts was too much for its memory", function()
    local account = restarts.new { max_restarts = 9, concurrency = 6 }
    account:crashed({}, { failure = "memory" }, "generate")
    account:crashed({}, {}, "loglikelihood")
    assert.equal(6, account.concurrency)
    for _, want in ipairs { 3, 1, 1 } do
      account:crashed({}, { failure = "memory" }, "loglikelihood")
      assert.equal(want, account.concurrency)
    end
  end)
end)
