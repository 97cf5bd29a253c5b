-- SPDX-License-Identifier: Apache-2.0
local prompts = require "qlua.prompts"
local shots = require "qlua.shots"

local function picker(plan, pool_size, is_same)
  return assert(shots.new(plan, pool_size, is_same or false, "dataset 'x': shots"))
end

describe("shots", function()
  it("first_n takes the first of the pool, for every sample", function()
    local first = picker({ n = 3 }, 5)
    assert.same({ 0, 1, 2 }, first:pick(0, 0))
    assert.same({ 0, 1, 2 }, first:pick(4, 4))
    assert.same({}, picker({ n = 0 }, 0):pick(0, 0))
  end)

  it("random draws one stream in the samples' order, whatever order they are asked in", function()
    local plan = { n = 5, sampler = "random", seed = 1234 }
    local forwards, backwards = picker(plan, 7473), picker(plan, 7473)
    local want = {}
    for i = 0, 20 do
      want[i] = forwards:pick(i)
    end
    assert.same({ 6374, 3610, 957, 61, 742 }, want[0])
    assert.same({ 3797, 1216, 747, 1499, 5844 }, want[5])
    for i = 20, 0, -1 do
      assert.same(want[i], backwards:pick(i))
    end
    assert.not_same(want[0], picker({ n = 5, sampler = "random", seed = 1 }, 7473):pick(0))
    assert.same(want[0], picker({ n = 5, sampler = "random" }, 7473):pick(0)) -- 1234 is the default
  end)

  it("leaves the sample itself out when the pool is the evaluated split", function()
    local first = picker({ n = 2 }, 5, true)
    assert.same({ 1, 2 }, first:pick(0, 0))
    assert.same({ 0, 2 }, first:pick(1, 1))
    assert.same({ 0, 1 }, first:pick(4, 4))
    local random = picker({ n = 3, sampler = "random", seed = 7 }, 4, true)
    for i = 0, 3 do
      local picked = random:pick(i, i)
      assert.equal(3, #picked) -- all others of a pool of four, in drawn order
      for _, index in ipairs(picked) do
        assert.not_equal(i, index)
      end
    end
  end)

  it("draws one more and drops the last where the harness does, though the pool is another split", function()
    local hellaswag = picker({ n = 10, sampler = "random", seed = 1234, exclude_self = true }, 39905)
    assert.same({ 28883, 7657, 490, 5940, 38156, 2288, 5500, 6450, 23241, 15519 }, hellaswag:pick(0, 0))
    assert.same({ 2019, 1038, 22681, 31735, 30379, 9735, 5982, 11999, 7498, 958 }, hellaswag:pick(1, 1))
    -- a place of the same number in another split is not the sample itself
    assert.equal(28883, hellaswag:pick(0, 28883)[1])
  end)

  it("says when the pool is too small or the sampler unknown", function()
    local _, err = shots.new({ n = 6 }, 5, false, "dataset 'x': shots")
    assert.equal("dataset 'x': shots.n: want at most 5, as there are 5 examples to choose from, got 6", err.text)
    _, err = shots.new({ n = 5 }, 5, true, "dataset 'x': shots")
    assert.equal("dataset 'x': shots.n: want at most 4, as there are 5 examples to choose from, got 5", err.text)
    _, err = shots.new({ n = 1, sampler = "last_n" }, 5, false, "dataset 'x': shots")
    assert.equal("script", err.kind)
    assert.equal("dataset 'x': shots.sampler: want \"first_n\" or \"random\", got \"last_n\"", err.text)
  end)
end)

describe("prompts", function()
  local parts = { description = "Answer.\n\n", question = "Q: c?\nA:",
    shots = { { question = "Q: a?\nA:", answer = "1" }, { question = "Q: b?\nA:", answer = "2" } } }

  it("join text as the harness does", function()
    assert.equal("Answer.\n\nQ: a?\nA: 1\n\nQ: b?\nA: 2\n\nQ: c?\nA:", prompts.as_text(parts))
    assert.equal("Q", prompts.as_text { question = "Q" })
  end)

  it("become turns with the description as the system's", function()
    assert.same({
      { role = "system", content = "Answer.\n\n" },
      { role = "user", content = "Q: a?\nA:" }, { role = "assistant", content = "1" },
      { role = "user", content = "Q: b?\nA:" }, { role = "assistant", content = "2" },
      { role = "user", content = "Q: c?\nA:" },
    }, prompts.as_messages(parts))
    assert.same({ { role = "user", content = "Q" } }, prompts.as_messages { question = "Q" })
  end)

  it("are named by the hash of their bytes", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", prompts.sha256 { text = "abc" })
    local messages = { { role = "user", content = "a" } }
    assert.equal(require "qlua.core.hash".sha256 '[{"content":"a","role":"user"}]', prompts.sha256 { messages = messages })
  end)

  it("list choices by letter", function()
    local sample = { choices = { "x", "y z", "w" } }
    assert.equal("A. x\nB. y z\nC. w", prompts.choices(sample))
    assert.same({ " A", " B", " C" }, prompts.letters(sample))
  end)
end)
