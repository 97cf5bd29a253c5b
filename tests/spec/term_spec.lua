-- SPDX-License-Identifier: Apache-2.0
local term = require "qlua.core.term"

describe("term", function()
  it("raises for what is no file descriptor", function()
    for _, fd in ipairs { -1, 1 << 40, 1.5, "x" } do
      for _, name in ipairs { "is_tty", "width", "write" } do assert.is_false(pcall(term[name], fd, "")) end
    end
  end)

  it("returns an error for a descriptor that is not open", function()
    assert.is_false(term.is_tty(1000000))
    assert.is_nil(term.width(1000000))
    local ok, err = term.write(1000000, "x")
    assert.is_nil(ok)
    assert.equal("io", err.kind)
    assert.is_truthy(err.text:find("file descriptor 1000000", 1, true))
  end)
end)
