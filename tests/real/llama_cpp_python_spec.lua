-- SPDX-License-Identifier: Apache-2.0
--- llama-cpp-python's server: every log-probability that qlua comes to against the closed form of a model whose answers were
-- planted, and that what it gets wrong is not believed.
local bigram = require "bigram"
local real = require "real"
local support = require "support"

local EXACT = 1e-3 -- nats

describe("llama-cpp-python, planted answers", function()
  local program, why, folder, model
  setup(function()
    program, why = real.program "llama_python"
    if program and not real.shared "tools/tiny_gguf.py" then program, why = nil, "no ../shared/tools/tiny_gguf.py" end
    if not program then return end
    folder = support.folder()
    model = select(2, bigram.model(folder))
    bigram.dataset(folder)
  end)
  teardown(support.clean)

  local function asked(options)
    options.server = real.server("llama_python", options.keys)
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

  it("text, token by token as the closed form goes, several streams at once", function()
    if not program then return pending(why) end
    local run = asked { mode = "generate", scorers = { "letter" } }
    for _, row in ipairs(support.rows(run.dir, "SELECT sample, text, finish FROM answer ORDER BY sample")) do
      local place = bigram.rows[tonumber(row.sample:match "%d+$") + 1]
      local text, finish = bigram.greedy(model, place.last, 8)
      assert.equal(text, row.text, row.sample)
      assert.equal(finish, row.finish, row.sample)
    end
  end)

  it("an environment that would move it elsewhere or make it another is not passed on", function()
    if not program then return pending(why) end
    local place = support.folder()
    local config = support.write(place .. "/config.yaml", ([[
model: { base_name: tiny, variants: [{ name: planted, model: %s/planted.gguf }] }
data: %s
datasets: [{ name: %s/planted.lua, mode: letter, scorers: [letter] }]
%sgeneration: { max_tokens: 8, seed: 1 }
benchmark: { concurrency: 1, num_warmup_iterations: 0 }
report: { language: en, layouts: [] }
]]):format(folder, folder, folder, real.server "llama_python"))
    local run = support.run(place, { folder .. "/planted.lua", "--config", config }, { env = { HOST = "0.0.0.0", PORT = "1", CACHE = "true",
      CHAT_FORMAT = "llama-2", CONFIG_FILE = "/nowhere" } })
    assert.equal(0, run.code, run.all)
    assert.equal(bigram.accuracy, accuracy(run))
  end)

  it("a file that is no model is explained", function()
    if not program then return pending(why) end
    local place = support.folder()
    support.write(place .. "/broken.gguf", "not a model")
    local config = support.write(place .. "/config.yaml", ([[
model: { base_name: tiny, variants: [{ name: broken, model: %s/broken.gguf }] }
data: %s
%s]]):format(place, support.sample_data, real.server "llama_python"))
    local run = support.run(place, { "mmlu", "--config", config, "--limit", "1" })
    assert.not_equal(0, run.code)
    assert.is_truthy(run.all:find("the model file", 1, true), run.all)
  end)

  for _, means in ipairs { "forced" } do
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

  -- Without a begin-of-text token its echo gives each token the probability of the place behind it: plausible numbers, all wrong.
  it("the probe finds that echo is one place late, and the right means is taken", function()
    if not program then return pending(why) end
    local run = asked { mode = "loglikelihood", long = true }
    local worst = bigram.distance(model, run, { long = true })
    assert.is_true(worst < EXACT, ("%g nats"):format(worst))
    local found = support.rows(run.dir, "SELECT value FROM meta WHERE key = 'qualification'")[1].value
    local means = require("qlua.core.json").decode(found).planted.means
    assert.same({ "forced" }, means.loglikelihood, found)
  end)
end)
