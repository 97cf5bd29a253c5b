-- SPDX-License-Identifier: Apache-2.0
--- transformers serve with the small checkpoint as it is (BF16): the engine that its makers measured it with.
local expected = require "expected"
local json = require "qlua.core.json"
local real = require "real"
local support = require "support"

local LIMIT = 8

describe("transformers serve", function()
  local why, archive
  setup(function()
    local _
    for _, name in ipairs { "models/quiz-27m/model.safetensors", "models/quiz-27m/expected.tar.gz", "data/gsm8k/test.jsonl" } do
      if not why then _, why = real.shared(name) end
    end
    if not why then _, why = real.program "transformers" end
    archive = not why and real.shared "models/quiz-27m/expected.tar.gz"
  end)
  teardown(support.clean)

  local function asked(dataset, more)
    local folder = support.folder()
    local config = support.write(folder .. "/config.yaml", ([[
model: { base_name: quiz-27m, variants: [{ name: bf16, model: %s }] }
data: %s
datasets: [{ name: %s, limit: %d%s }]
%sgeneration: { max_tokens: 400, seed: 1 }
benchmark: { concurrency: 1, num_warmup_iterations: 0 }
report: { language: en, layouts: [] }
]]):format(real.shared "models/quiz-27m", real.shared "data", dataset, LIMIT, more or "",
      real.server("transformers", { env = '{ OMP_NUM_THREADS: "1" }' })))
    local run = support.run(folder, { dataset, "--config", config })
    assert.equal(0, run.code, run.all)
    return run
  end

  it("continues texts as its makers measured", function()
    if why then return pending(why) end
    local run = asked("gsm8k", ", shots: 0")
    local found = expected.compare(run.dir, "bf16", "gsm8k", archive)
    assert.equal(LIMIT, found.asked)
    io.stdout:write(("transformers gsm8k: %d of %d agree, %d texts the same\n"):format(found.agreed, found.asked, found.same_text))
    -- A solution that was planted does not hang on rounding; one that was not may.
    local items = expected.load(archive, "gsm8k")
    for _, one in ipairs(found.differing) do
      assert.equal(0, items[one.id].planted, one.id .. ": " .. json.encode(one.ours) .. ", not " .. json.encode(one.theirs))
    end
  end)

  it("answers over chat what was planted", function()
    if why then return pending(why) end
    local run = asked(support.root .. "/tests/real/gsm8k_chat.lua")
    local items, planted, right = expected.load(archive, "gsm8k"), 0, 0
    for _, row in ipairs(support.rows(run.dir, "SELECT sample, outcome FROM answer")) do
      if items["gsm8k/test/" .. row.sample:match "%d+$"].planted == 1 then
        planted, right = planted + 1, right + (row.outcome == "correct" and 1 or 0)
      end
    end
    io.stdout:write(("transformers gsm8k_chat: %d of %d planted answers\n"):format(right, planted))
    assert.is_true(planted >= 3)
    assert.is_true(right >= planted - 1) -- 99.4 % by the model's makers
  end)

  it("is refused what it has no log-probabilities for", function()
    if why then return pending(why) end
    local folder = support.folder()
    local config = support.write(folder .. "/config.yaml", ([[
model: { base_name: quiz-27m, variants: [{ name: bf16, model: %s }] }
data: %s
%s]]):format(real.shared "models/quiz-27m", support.sample_data, real.server "transformers"))
    local run = support.run(folder, { "mmlu", "--config", config, "--limit", "2" })
    assert.not_equal(0, run.code)
    assert.is_truthy(run.all:find("transformers serve gives no log-probabilities", 1, true), run.all)
  end)
end)
