-- SPDX-License-Identifier: Apache-2.0
local permute = require "qlua.permute"
local repeats = require "qlua.summary.repeats"

-- The share of all k-subsets of n replies, c of them right, that hold a right one.
local function by_counting(n, c, k)
  local hits, all = 0, 0
  for mask = 0, (1 << n) - 1 do
    local size, has_right = 0, false
    for i = 0, n - 1 do
      if mask & (1 << i) ~= 0 then size, has_right = size + 1, has_right or i < c end
    end
    if size == k then all, hits = all + 1, hits + (has_right and 1 or 0) end
  end
  return hits / all
end

describe("repeats: pass@k", function()
  it("is the share of all choices of k replies that hold a right one", function()
    for n = 1, 8 do
      for c = 0, n do
        for k = 1, n do assert.near(by_counting(n, c, k), repeats.pass_at(n, c, k), 1e-12) end
      end
    end
  end)

  it("does not overflow where binomials would", function()
    assert.near(1 - 0.5 ^ 1, repeats.pass_at(2000, 1000, 1), 1e-9)
    assert.is_true(repeats.pass_at(2000, 1, 1000) < 0.51)
  end)
end)

describe("repeats: maj@k", function()
  local function vote(...)
    local list = {}
    for i, value in ipairs { ... } do list[i] = { value = value ~= "-" and value or nil, is_right = value == "18" } end
    return repeats.majority(list)
  end

  it("takes the value with the most votes", function()
    assert.equal(1, vote("18", "17", "18"))
    assert.equal(0, vote("17", "18", "17"))
  end)

  it("gives an unusable reply no vote", function()
    assert.equal(1, vote("-", "-", "18"))
    assert.equal(0, vote("-", "-"))
  end)

  it("counts a tie as the right values' share of the tied ones, in any order", function()
    assert.equal(0.5, vote("18", "17"))
    assert.equal(0.5, vote("17", "18"))
    assert.near(1 / 3, vote("17", "18", "16"), 1e-12)
    assert.equal(0.5, vote("17", "18", "17", "18", "3"))
  end)
end)

describe("repeats of a cell", function()
  -- Two questions, three replies each: right, right, wrong; and wrong, an error, right.
  local known = { repeats = 3, questions = { q1 = 1, q2 = 2 },
    slots = { q1 = 1, ["q1\0" .. 1] = 2, ["q1\0" .. 2] = 3, q2 = 4, ["q2\0" .. 1] = 5, ["q2\0" .. 2] = 6 } }
  local one = { outcome = { "correct", "correct", "wrong", "wrong", "http_5xx", "correct" },
    value = { "18", "18", "7", "9", nil, "4" }, text = { "a", "a", "b", "c", nil, "d" } }

  it("leaves errors out, and a question where it has fewer than k replies", function()
    local found = repeats.of(one, known)
    assert.same({ 1, 2, 3 }, { found.at[1].k, found.at[2].k, found.at[3].k })
    assert.near((2 / 3 + 1 / 2) / 2, found.at[1].pass, 1e-12)
    assert.same({ 2, 1, 1 }, { found.at[1].questions, found.at[3].questions, found.at[3].pass })
    assert.equal(0.5, found.at[1].majority) -- the first replies: right, wrong
    assert.equal(0.75, found.at[2].majority) -- both "18"; "9" against "4"
    assert.same({ 0, 1 }, { found.same_text, found.mixed })
  end)

  it("has nothing to say of single replies", function()
    assert.is_nil(repeats.of(one, { repeats = 1, questions = {}, slots = {} }))
  end)
end)

describe("permute", function()
  local sample = { id = "m/test/3", choices = { "zero", "one", "two", "three" }, target = 2 }

  it("turns the choices and keeps the right one right", function()
    for r = 0, 3 do
      local turned = permute.turned(sample, r)
      assert.equal("two", turned.choices[turned.target + 1])
      assert.equal("m/test/3~" .. r, turned.id)
    end
    assert.same({ "one", "two", "three", "zero" }, permute.turned(sample, 1).choices)
    assert.same({ "zero", "one", "two", "three" }, sample.choices)
  end)

  it("finds the choice meant by an answer to a turned question", function()
    for r = 0, 3 do
      local turned = permute.turned(sample, r)
      for i, text in ipairs(turned.choices) do
        assert.equal(text, sample.choices[permute.original(string.char(64 + i), r, 4) + 1])
        assert.equal(text, sample.choices[permute.original(tostring(i - 1), r, 4) + 1])
      end
    end
    assert.is_nil(permute.original("E", 0, 4))
    assert.is_nil(permute.original("yes", 0, 4))
  end)

  it("tells one who answers by content from one who answers by place", function()
    local function rows(pick)
      local list = {}
      for r = 0, 3 do
        local turned = permute.turned(sample, r)
        local letter = pick(turned)
        list[#list + 1] = { sample = sample.id, turn = r, value = letter, is_answered = true, choices = 4,
          is_right = letter == string.char(65 + turned.target) }
      end
      return list
    end
    local by_content = permute.summary(rows(function(turned) return string.char(65 + turned.target) end))
    assert.same({ questions = 1, turns = 4, consistent = 1, accuracy = 1, accuracy_as_asked = 1, all_right = 1 }, by_content)
    local by_place = permute.summary(rows(function() return "C" end))
    assert.same({ questions = 1, turns = 4, consistent = 0, accuracy = 0.25, accuracy_as_asked = 1, all_right = 0 }, by_place)
  end)

  it("leaves out a question of which a turn has no answer", function()
    assert.is_nil(permute.summary { { sample = "a", turn = 0, value = "A", is_answered = true, choices = 2 },
      { sample = "a", turn = 1, is_answered = false, choices = 2 } })
  end)
end)
