-- SPDX-License-Identifier: Apache-2.0
local format = require "qlua.page.format"
local locale = require "qlua.locale"
local page = require "qlua.page"
local text = require "qlua.core.text"

local function markdown(language, write)
  local sheet = page.new { language = language }
  write(sheet)
  return sheet:render()
end

describe("a page", function()
  local function write(sheet)
    sheet:heading(2, { en = "Accuracy", zh = "准确率" })
    sheet:text({ en = "Baseline: {name}.", zh = "基线：{name}。" }, { name = sheet:mono "fp8" })
    sheet:list { { en = "one", zh = "一" }, { { en = "{n} rows", zh = "{n} 行" }, { n = 2 } }, "plain" }
    sheet:table { columns = { { title = { en = "Name", zh = "名称" } } }, rows = { { { en = "yes", zh = "是" } }, { nil } } }
  end

  it("is set in English", function()
    assert.equal("## Accuracy\n\nBaseline: `fp8`.\n\n- one\n- 2 rows\n- plain\n\n"
      .. "| Name |\n| ---- |\n| yes  |\n| –    |\n", markdown("en", write))
  end)

  it("is set in Chinese", function()
    assert.equal("## 准确率\n\n基线：`fp8`。\n\n- 一\n- 2 行\n- plain\n\n"
      .. "| 名称 |\n| ---- |\n| 是   |\n| –    |\n", markdown("zh", write))
  end)

  it("is set in both, one beside the other", function()
    assert.equal("## Accuracy / 准确率\n\nBaseline: `fp8`.\n\n基线：`fp8`。\n\n- one\n\n  一\n- 2 rows\n\n  2 行\n- plain\n\n"
      .. "| Name 名称 |\n| --------- |\n| yes / 是  |\n| –         |\n", markdown("both", write))
  end)

  it("refuses a text with a side missing, and names the side", function()
    for _, language in ipairs { "en", "zh", "both" } do
      local ok, message = pcall(markdown, language, function(sheet) sheet:text { en = "only English" } end)
      assert.is_false(ok)
      assert.is_truthy(message:find("page_spec.lua:%d+: page: text: side 'zh' is missing"))
    end
  end)

  it("refuses a place without a value", function()
    local ok, message = pcall(markdown, "en", function(sheet) sheet:text({ en = "{a} {b}", zh = "{a}" }, { a = 1 }) end)
    assert.is_false(ok)
    assert.is_truthy(message:find("page_spec.lua:%d+: page: text '{a} {b}': no value for {b}"))
  end)

  it("refuses a table without columns, and what is no text", function()
    for _, wrong in ipairs {
      function(sheet) sheet:table { rows = {} } end,
      function(sheet) sheet:table { columns = { { title = "x" } }, rows = { { { en = "half" } } } } end,
      function(sheet) sheet:text(nil) end,
      function(sheet) sheet:heading(1, { en = 3, zh = "三" }) end,
    } do
      local ok, message = pcall(markdown, "zh", wrong)
      assert.is_false(ok)
      assert.is_truthy(message:find("page_spec.lua:%d+: page: "))
    end
  end)

  it("refuses an unknown language and format", function()
    assert.is_false(pcall(page.new, { language = "fr" }))
    assert.is_false(pcall(page.new, { format = "html9" }))
  end)
end)

describe("data on a Markdown page", function()
  local function cell(value)
    local set = markdown("en", function(sheet) sheet:table { columns = { { title = "x" } }, rows = { { value } } } end)
    return (set:match("\n| ([^\n]-) *|\n$"))
  end

  it("cannot end a cell, a line or the page", function()
    assert.equal("a\\|b", cell "a|b")
    assert.equal("a b c", cell "a\nb\r\nc")
    assert.equal("&lt;script&gt;alert(1)&lt;/script&gt;", cell "<script>alert(1)</script>")
    assert.equal("\\`\\`\\`", cell "```")
    assert.equal("\\[a\\](http://x)", cell "[a](http://x)")
    assert.equal("82.4 % [80.2, 84.4]", cell "82.4 % [80.2, 84.4]")
    assert.equal("\\[1\\](http://x)", cell "[1](http://x)")
    assert.equal("\\[1\\]: http://x", cell "[1]: http://x")
    assert.equal("\\*\\*bold\\*\\*", cell "**bold**")
  end)

  it("keeps names with underscores readable", function()
    assert.equal("kv_cache_dtype a_b_c", cell "kv_cache_dtype a_b_c")
    assert.equal("\\_\\_init\\_\\_", cell "__init__")
  end)

  it("shows control characters, direction marks and broken bytes as what they are", function()
    assert.equal("\u{FFFD}[31mred", (cell "\27[31mred":gsub("\\", "")))
    assert.equal("a\u{FFFD}b", cell "a\u{202E}b")
    assert.equal("a\u{FFFD}b", cell "a\u{9B}b")
    assert.equal("a\u{FFFD}b", cell "a\xFFb")
    assert.equal("a\u{FFFD}b", cell "a\0b")
    assert.equal("中文，“引号”", cell "中文，“引号”")
  end)

  it("stays inside its code span and its block", function()
    assert.equal("``a`b``", (cell { mono = "a`b" }:gsub(" ", "")))
    assert.equal("`a\\|b`", cell { mono = "a|b" })
    local block = markdown("en", function(sheet) sheet:code("x\n```\ny", "sh") end)
    assert.equal("````sh\nx\n```\ny\n````\n", block)
  end)

  it("does not begin a heading or a list", function()
    local function line(value)
      return markdown("en", function(sheet) sheet:text({ en = "{v}", zh = "{v}" }, { v = value }) end)
    end
    assert.equal("\\# title\n", line "# title")
    assert.equal("\\- item\n", line "- item")
    assert.equal("1\\. item\n", line "1. item")
    assert.equal("\\+ item\n", line "+ item")
  end)
end)

describe("a terminal page", function()
  local function set(options, write)
    options.format = "terminal"
    local sheet = page.new(options)
    write(sheet)
    return sheet:render()
  end
  local long = { en = ("seventeen wonderful words "):rep(9), zh = ("这是一段用来测试换行的中文文字，带有标点。"):rep(5) }

  it("keeps every line within its width", function()
    for _, width in ipairs { 20, 40, 79 } do
      for _, language in ipairs { "en", "zh", "both" } do
        local lines = set({ language = language, width = width }, function(sheet)
          sheet:heading(1, long)
          sheet:text(long)
          sheet:note(long)
          sheet:list { long, ("x"):rep(100) }
          sheet:table { columns = { { title = "name", flex = true }, { title = "value", align = "right" } },
            rows = { { ("n"):rep(90), "1" }, { ("名"):rep(45), "2" } } }
        end)
        for line in lines:gmatch("[^\n]+") do
          assert(text.width(line) <= width, ("%d columns: %s"):format(width, line))
        end
      end
    end
  end)

  it("loses no word when it wraps", function()
    local lines = set({ language = "en", width = 23 }, function(sheet) sheet:text(long) end)
    assert.equal((long.en:gsub("%s", "")), (lines:gsub("%s", "")))
  end)

  it("does not let Chinese punctuation begin a line", function()
    for width = 20, 40 do
      local lines = set({ language = "zh", width = width }, function(sheet) sheet:text(long) end)
      for line in lines:gmatch("[^\n]+") do
        assert(not line:find("^，") and not line:find("^。"), line)
      end
    end
  end)

  it("takes the first table that fits, and cuts only the last", function()
    local function write(sheet)
      sheet:table({ columns = { { title = ("w"):rep(30) } }, rows = {} },
        { columns = { { title = ("m"):rep(20), flex = true } }, rows = {} })
    end
    assert.is_truthy(set({ width = 30 }, write):find("^w+\n"))
    assert.is_truthy(set({ width = 20 }, write):find("^m+\n"))
    assert.is_truthy(set({ width = 10 }, write):find("^mmmmmmmmm…\n"))
    assert.is_truthy(set({ width = 10, ascii = true }, write):find("^mmmmmmm%.%.%.\n%-+\n$"))
  end)

  it("colours only when asked to, and never by data", function()
    local function write(sheet) sheet:heading(1, { en = "{v}", zh = "{v}" }, { v = "\27[31mred" }) end
    assert.is_nil(set({ width = 40 }, write):find("\27", 1, true))
    assert.equal("\27[1m\u{FFFD}[31mred\27[0m\n", set({ width = 40, color = true }, write))
  end)
end)

describe("format", function()
  it("writes numbers as people read them", function()
    assert.equal("14,042", format.count(14042))
    assert.equal("-1,234,567", format.count(-1234567))
    assert.equal("82.4 %", format.percent(0.8244))
    assert.equal("82.4 % [80.2, 84.4]", format.interval(0.8244, { 0.8022, 0.8441 }))
    assert.equal("+0.3", format.signed(0.3))
    assert.equal("0.0", format.signed(-0.04))
    assert.equal("-1.2", format.signed(-1.2))
    assert.equal("0.84 ms", format.seconds(0.00084))
    assert.equal("7.20 µs", format.seconds(0.0000072))
    assert.equal("0.00 ms", format.seconds(0))
    assert.equal("312 ms", format.seconds(0.3119))
    assert.equal("1.00 s", format.seconds(0.9996))
    assert.equal("85.0 s", format.seconds(85))
    assert.equal("42 s", format.span(42.4))
    assert.equal("1:00", format.span(59.6))
    assert.equal("1:02:03", format.span(3723))
    assert.equal("2 d 01:00", format.span(49 * 3600))
    assert.equal("1,204", format.rate(1204.2))
    assert.equal("10.0", format.rate(9.999))
  end)

  it("never shows what is not known as a zero", function()
    for _, name in ipairs { "count", "percent", "interval", "signed", "seconds", "span", "rate", "decimal", "digest" } do
      assert.equal("–", format[name](nil))
    end
    assert.equal("–", format.decimal(0 / 0))
    assert.equal("–", format.span(math.huge))
  end)
end)

describe("locale", function()
  local function env(values) return function(name) return values[name] end end

  it("takes the first variable that is set and not empty", function()
    assert.is_true(locale.is_utf8(env { LANG = "zh_CN.UTF-8" }))
    assert.is_true(locale.is_utf8(env { LC_ALL = "", LANG = "C.utf8" }))
    assert.is_false(locale.is_utf8(env { LC_ALL = "C", LANG = "zh_CN.UTF-8" }))
    assert.is_false(locale.is_utf8(env {}))
    assert.equal("zh", locale.language(env { LANG = "zh_CN.UTF-8" }))
    assert.equal("en", locale.language(env { LC_ALL = "C", LANG = "zh_CN.UTF-8" }))
  end)

  it("lets NO_COLOR, a dumb terminal and a pipe say no", function()
    assert.is_true(locale.has_color(env { TERM = "xterm" }, true))
    assert.is_true(locale.has_color(env { TERM = "xterm", NO_COLOR = "" }, true))
    assert.is_false(locale.has_color(env { TERM = "xterm", NO_COLOR = "1" }, true))
    assert.is_false(locale.has_color(env { TERM = "dumb" }, true))
    assert.is_false(locale.has_color(env { TERM = "xterm" }, false))
  end)

  it("finds the hole in a tree of texts", function()
    assert.is_true(locale.check({ a = { en = "x", zh = "y" }, b = { c = { en = "", zh = "" } } }, "say"))
    local ok, err = locale.check({ b = { c = { en = "x" } } }, "say")
    assert.is_nil(ok)
    assert.equal("say.b.c: side 'zh' is missing (want a text, as in { en = \"…\", zh = \"…\" })", err.text)
    ok, err = locale.check({ b = "text" }, "say")
    assert.is_nil(ok)
    assert.equal("say.b: want { en = …, zh = … }, got string", err.text)
  end)
end)
