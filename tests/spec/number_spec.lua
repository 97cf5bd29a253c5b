-- SPDX-License-Identifier: Apache-2.0
--- q.number: what is read as a number, and exact comparison.
local q = require "qlua"

describe("number.parse", function()
  local cases = {
    { "70,000", "70000" }, { "$18.00", "18" }, { "-5", "-5" }, { "−5", "-5" }, { "60%", "60" }, { "1/2", "0.5" },
    { "4/6", "2/3" }, { "9/14", "9/14" }, { "5/6", "5/6" }, { "7/15", "7/15" }, { "3/8", "0.375" }, { "7/40",
      "0.175" }, { "1.5e3", "1500" }, { "05", "5" }, { "-$5", "-5" }, { "$-5", "-5" }, { "3 1/2", "3.5" },
      { ".5", "0.5" },
    { "18.", "18" }, { "-0", "0" }, { "0.000", "0" }, { "1,234,567.80", "1234567.8" }, { "12,34,567", "1234567" },
    { "1.234,56", "1234.56" }, { "1.234.567", "1234567" }, { "18,00 €", "18" }, { "€18,5", "18.5" }, { " 18 ", "18" },
    { "123456789012345678901234567890", "123456789012345678901234567890" },
    { "0.1234567890123456789012345678901", "0.1234567890123456789012345678901" },
    { "18,00" }, { "1000,000" }, { "0,500" }, { "1.2.3" }, { ".." }, { "abc" }, { "" }, { "18 eggs" }, { "1/0" },
      { "1/2/2020" },
    { "1e999" }, { ("9"):rep(500) }, { "\xFF" },
  }
  for _, case in ipairs(cases) do
    it(("reads %s"):format(case[1]:sub(1, 40)), function() assert.are.equal(case[2], q.number.parse(case[1])) end)
  end
end)

describe("number.equal", function()
  it("agrees with integer arithmetic on all small fractions", function()
    for n = 0, 30 do
      for d = 1, 30 do
        local a = n .. "/" .. d
        assert.is_true(q.number.equal(a, (3 * n) .. "/" .. (3 * d)), a)
        assert.is_false(q.number.equal(a, (n + 1) .. "/" .. d), a)
        for _, other in ipairs { { 1, 2 }, { 5, 6 }, { 9, 14 }, { 7, 20 } } do
          local is_same = n * other[2] == d * other[1]
          assert.are.equal(is_same, q.number.equal(a, other[1] .. "/" .. other[2]), a)
        end
      end
    end
  end)

  it("compares values, not spellings", function()
    assert.is_true(q.number.equal("18.00", "18"))
    assert.is_true(q.number.equal("70,000", 70000))
    assert.is_true(q.number.equal("05", "5"))
    assert.is_true(q.number.equal("1/2", "0.50"))
    assert.is_true(q.number.equal("2/6", "1/3"))
    assert.is_true(q.number.equal("1e3", "1,000"))
    assert.is_true(q.number.equal("100000000000000000000000/200000000000000000000000", "0.5"))
  end)

  it("knows no tolerance", function()
    assert.is_false(q.number.equal("1/3", "0.3333333333333333"))
    assert.is_false(q.number.equal("0.1", "0.10000000000000001"))
    assert.is_false(q.number.equal("9007199254740993", "9007199254740992"))
    assert.is_false(q.number.equal("5", "-5"))
    assert.is_false(q.number.equal("0.18", "18%"))
  end)

  it("is false for what is no number", function()
    assert.is_false(q.number.equal("abc", "abc"))
    assert.is_false(q.number.equal("18,00", "18"))
  end)
end)
