-- SPDX-License-Identifier: Apache-2.0
--- q.text and q.regex: Python's rules where a benchmark depends on them, and any bytes taken.
local q = require "qlua"
local core = require "qlua.core.regex"

describe("text", function()
  it("trims as Python's strip does", function()
    assert.are.equal("a b", q.text.trim " \t\r\n\u{A0}\u{3000}a b\u{2003}\x1c\n")
    assert.are.equal("", q.text.trim " \u{3000} ")
    assert.are.equal("\u{200B}a", q.text.trim "\u{200B}a") -- a zero-width space is no white space
    assert.are.equal("\xFF", q.text.trim " \xFF ")
  end)

  it("capitalizes as Python does: all the rest in lower case", function()
    assert.are.equal("He sees bob's école", q.text.capitalize "HE sees Bob's ÉCOLE")
    assert.are.equal("Ssx", q.text.capitalize "ßX")
    assert.are.equal("Aας βσγ", q.text.capitalize "aΑΣ ΒΣΓ")
    assert.are.equal("Xi\u{307}", q.text.capitalize "xİ")
    assert.are.equal("", q.text.capitalize "")
    assert.are.equal("[step] he", q.text.capitalize "[step] He")
  end)

  it("splits, joins and breaks lines", function()
    assert.are.same({ "a", "", "b" }, q.text.split("a,,b", ","))
    assert.are.same({ "" }, q.text.split("", ","))
    assert.has_error(function() q.text.split("a", "") end)
    assert.are.same({ "a", "b", "", "c" }, q.text.lines "a\r\nb\n\nc\n")
    assert.are.same({}, q.text.lines "")
    assert.are.equal("1+4", q.text.join({ 1, 2 }, function(x) return x * x end, "+"))
    assert.is_true(q.text.starts("Question: x", "Question:"))
  end)

  it("counts and cuts by characters and columns", function()
    assert.are.equal(3, q.text.chars "中é\xFF")
    assert.are.equal(5, q.text.width "中e\u{301}ａ")
    assert.are.equal("文b", q.text.sub_chars("中文bc", 2, 3))
    assert.are.equal("bc", q.text.sub_chars("中文bc", -2))
    assert.are.equal("", q.text.sub_chars("中文", 3, 9))
    assert.are.equal("中…", q.text.truncate("中文字", 4))
    assert.are.equal("中文", q.text.truncate("中文", 4))
    assert.are.equal("…", q.text.truncate("中文", 1))
  end)

  it("folds to NFKC and repairs bad bytes", function()
    assert.are.equal("(A)18:", q.text.fold "（Ａ）１８：")
    assert.are.equal("a\u{FFFD}b", q.text.repair "a\xE4\xB8b")
    local is_valid, at = q.text.valid "ab\xFF"
    assert.is_false(is_valid)
    assert.are.equal(3, at)
  end)
end)

describe("regex", function()
  it("walks matches as re.findall does", function()
    local function spans(pattern, text)
      local list = {}
      for _, match in ipairs(q.regex.find_all(text, pattern)) do list[#list + 1] = match[1] .. "-" .. match[2] end
      return table.concat(list, " ")
    end
    assert.are.equal("1-0 2-1 3-3 4-3 5-4", spans("x*", "abxd"))
    assert.are.equal("1-1 2-2 3-2 4-3", spans("a|", "aab"))
    assert.are.same({ { 1, 1, "a", false }, { 2, 2, false, "b" } }, q.regex.find_all("ab", "(a)|(b)"))
  end)

  it("replaces literally, as re.sub with empty matches", function()
    assert.are.same({ "-a-b--d-", 5 }, { q.regex.replace("abxd", "x*", "-") })
    assert.are.equal("\\1$0%", (q.regex.replace("a", "a", "\\1$0%")))
    assert.are.equal("18", (q.regex.replace("so\n#### 18", "(?s).*#### ", "")))
  end)

  it("finds from a place and gives groups", function()
    assert.are.same({ 3, 4, "b", false }, { q.regex.find("ababx", "a(b)(c)?", "", 2) })
    assert.is_nil(q.regex.find("abc", "x"))
    assert.is_nil(q.regex.find("abc", "c", "", 99))
  end)

  it("says what is wrong with a pattern", function()
    local ok, message = pcall(q.regex.find, "a", "(")
    assert.is_false(ok)
    assert.is_truthy(message:find("missing closing parenthesis", 1, true))
    local compiled, err = core.compile("a", "q")
    assert.is_nil(compiled)
    assert.are.equal("script", err.kind)
  end)

  it("gives up on a pattern that would run for ever", function()
    local found, err = core.compile("(a+)+$"):find(("a"):rep(60) .. "b")
    assert.is_nil(found)
    assert.are.equal("limit", err.kind)
    assert.has_error(function() q.regex.find_all(("a"):rep(60) .. "b", "(a+)+$") end)
  end)

  it("takes bytes that are no UTF-8", function()
    assert.are.same({ { 1, 1 }, { 3, 3 } }, q.regex.find_all("a\xFFb", "\\w"))
  end)
end)
