-- SPDX-License-Identifier: Apache-2.0
--- llama-server, as users start it or out of a Python package: every log-probability that qlua comes to against the closed form
-- of a model whose answers were planted.
local bigram = require "bigram"
local real = require "real"
local support = require "support"

local EXACT = 1e-3 -- nats

describe("llama.cpp, planted answers", function()
  local program, why, folder, model
  setup(function()
    program, why = real.program "llama"
    if program and not real.shared "tools/tiny_gguf.py" then program, why = nil, "no ../shared/tools/tiny_gguf.py" end
    if not program then return end
    folder = support.folder()
    model = select(2, bigram.model(folder))
    bigram.dataset(folder)
  end)
  teardown(support.clean)

  local function asked(options)
    options.server = real.server("llama", options.keys)
    local run = bigram.run(folder, options)
    assert.equal(0, run.code, run.all)
    return run
  end

  local function accuracy(run)
    return support.results(run.dir).variants.planted.datasets.planted.accuracy
  end

  it("letters by the likeliest next tokens", function()
    if not program then return pending(why) end
    local run = asked { mode = "letter" }
    local worst, count = bigram.distance(model, run, {})
    assert.equal(32, count)
    assert.is_true(worst < EXACT, ("%g nats"):format(worst))
    assert.equal(bigram.accuracy, accuracy(run))
  end)

  it("letters over chat", function()
    if not program then return pending(why) end
    local run = asked { mode = "letter", endpoint = "chat" }
    local worst, count = bigram.distance(model, run, { bare = true })
    assert.equal(32, count)
    assert.is_true(worst < EXACT, ("%g nats"):format(worst))
  end)

  it("text, token by token as the closed form goes", function()
    if not program then return pending(why) end
    local run = asked { mode = "generate", scorers = { "letter" } }
    for _, row in ipairs(support.rows(run.dir, "SELECT sample, text, finish FROM answer ORDER BY sample")) do
      local place = bigram.rows[tonumber(row.sample:match "%d+$") + 1]
      local text, finish = bigram.greedy(model, place.last, 8)
      assert.equal(text, row.text, row.sample)
      assert.equal(finish, row.finish, row.sample)
    end
  end)

  for _, means in ipairs { "forced", "stepwise" } do
    for _, long in ipairs { false, true } do
      it(("choices of %s by %s"):format(long and "several tokens" or "one token", means), function()
        if not program then return pending(why) end
        local run = asked { mode = "loglikelihood", long = long, keys = { scoring = "{ loglikelihood: " .. means .. " }" } }
        local worst, count = bigram.distance(model, run, { long = long })
        assert.equal(32, count)
        assert.is_true(worst < EXACT, ("%g nats"):format(worst))
      end)
    end
  end

  for _, means in ipairs { "top_logprobs", "logit_bias" } do
    it("letters by " .. means .. " alone", function()
      if not program then return pending(why) end
      local run = asked { mode = "letter", keys = { scoring = "{ letter: " .. means .. " }" } }
      local worst, count = bigram.distance(model, run, {})
      assert.equal(32, count)
      assert.is_true(worst < EXACT, ("%g nats"):format(worst))
    end)
  end
end)
