-- SPDX-License-Identifier: Apache-2.0
local doc = require "qlua.config_doc"
local schema = require "qlua.config_schema"

describe("docs/configuration.md", function()
  it("has the schema's tables as they are now", function()
    local handle = assert(io.open "docs/configuration.md")
    local text = handle:read "a"
    handle:close()
    for _, section in ipairs { "variant", "dataset", "server", "generation", "benchmark", "report", "sim" } do
      assert.is_truthy(text:find(doc.table_of(schema[section]), 1, true), section .. ": run qlua lua tools/config_doc.lua")
    end
    assert.equal(text, doc.refresh(text))
  end)
end)
