-- SPDX-License-Identifier: Apache-2.0
describe("docs/qlua.1", function()
  it("has the commands and options as they are now", function()
    local handle = assert(io.open "docs/qlua.1")
    local text = handle:read "a"
    handle:close()
    assert.is_true(text == assert(loadfile "tools/man.lua") "print", "docs/qlua.1 is old: run qlua lua tools/man.lua")
  end)
end)
