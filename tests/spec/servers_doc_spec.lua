-- SPDX-License-Identifier: Apache-2.0
--- docs/servers.md: its table is what the dialects say was tested, and its examples are configurations.
local config = require "qlua.config"
local file = require "qlua.core.file"
local registry = require "qlua.registry"

local text = assert(file.read "docs/servers.md")

describe("docs/servers.md", function()
  setup(function() registry.configure {} end)

  it("has a section for every dialect that can be asked, and a row for everything that was tested", function()
    local checked = 0
    for _, entry in ipairs(registry.list "server") do
      local dialect = assert(registry.load("server", entry.name))
      if not dialect.simulated then assert.is_truthy(text:find("\n## " .. entry.name .. "\n", 1, true), entry.name) end
      for _, test in ipairs(dialect.tested or {}) do
        local row = ("| `%s` | %s | %s | %s |"):format(entry.name, test.version, test.mode, test.seen)
        assert.is_truthy(text:find(row, 1, true), "missing: " .. row)
        checked = checked + 1
      end
    end
    assert.is_true(checked >= 7)
  end)

  it("has examples that load", function()
    local path = os.tmpname() .. ".yaml"
    local checked = 0
    for section, yaml in text:gmatch "\n## ([%w_]+)\n\n```yaml\n(.-)```" do
      assert(file.write(path, yaml))
      local resolved, err = config.load(path, {})
      assert.is_truthy(resolved, section .. ": " .. (err and err.text or ""))
      local dialect = assert(registry.load("server", section))
      for _, variant in ipairs(resolved.model.variants) do
        assert.equal(section, variant.engine)
        if variant.server.base_url then -- others want their models and programs on this machine
          local ok, why = dialect.check(variant, { find_on_path = function() return nil end, config = resolved })
          assert.is_true(ok, section .. ": " .. (why and why.text or ""))
        end
      end
      checked = checked + 1
    end
    file.remove(path)
    assert.equal(8, checked)
  end)
end)
