-- SPDX-License-Identifier: Apache-2.0
local tables = require "qlua.table"

local function column(title, align, flex) return { title = title, align = align, flex = flex } end

describe("a Markdown table", function()
  it("lines up by display width, numbers to the right", function()
    local columns = { column("名称"), column("n", "right") }
    assert.equal(table.concat({
      "| 名称  |      n |\n",
      "| ----- | -----: |\n",
      "| 变体  |      7 |\n",
      "| plain | 14,042 |\n",
    }), tables.markdown(columns, { { "变体", "7" }, { "plain", "14,042" } }))
  end)

  it("keeps a rule that is a rule where titles are short", function()
    assert.equal("| a   |   b |\n| --- | --: |\n", tables.markdown({ column("a"), column("b", "right") }, {}))
  end)
end)

describe("a terminal table", function()
  local columns = { column("variant", "left", true), column("准确率", "right") }
  local rows = { { "original", "82.4 %" }, { rule = true }, { "变体", "7.0 %" } }

  it("has rules as wide as itself", function()
    assert.equal(table.concat({
      "variant   准确率\n",
      "────────────────\n",
      "original  82.4 %\n",
      "────────────────\n",
      "变体       7.0 %\n",
    }), tables.terminal(columns, rows, { width = 80 }))
  end)

  it("draws with ASCII alone where the locale has no more", function()
    local lines = tables.terminal(columns, rows, { width = 12, ascii = true })
    assert.equal(table.concat({
      "v...  准确率\n",
      "------------\n",
      "o...  82.4 %\n",
      "------------\n",
      "变体   7.0 %\n",
    }), lines)
  end)

  it("says when it does not fit", function()
    assert.is_nil(tables.terminal(columns, rows, { width = 11 }))
    assert.is_nil(tables.terminal(columns, rows, { width = 15, uncut = true }))
    assert.is_not_nil(tables.terminal(columns, rows, { width = 16, uncut = true }))
  end)

  it("never splits a wide character", function()
    assert.equal("变…", tables.cut("变体名称", 4, "…"))
    assert.equal("变体…", tables.cut("变体名称", 5, "…"))
    assert.equal("变体名称", tables.cut("变体名称", 8, "…"))
    assert.equal("..", tables.cut("variant", 2, "..."))
  end)
end)
