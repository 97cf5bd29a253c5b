-- SPDX-License-Identifier: Apache-2.0
--- The YAML binding: what the node tables look like, and what an error says.
local yaml = require "qlua.core.yaml"

local function entry(map, key)
  for _, item in ipairs(map.entries) do
    if item.key == key then return item end
  end
end

describe("yaml", function()
  it("makes nodes with marks", function()
    local root = assert(yaml.parse("server:\n  port: 8000\n  hosts: [a, ~]\n", "x.yaml"))
    assert.same({
      kind = "map", line = 1, column = 1,
      entries = {
        { key = "server", key_line = 1, key_column = 1, node = {
          kind = "map", line = 2, column = 3,
          entries = {
            { key = "port", key_line = 2, key_column = 3, node = {
              kind = "scalar", line = 2, column = 9, type = "integer", text = "8000", value = 8000 } },
            { key = "hosts", key_line = 3, key_column = 3, node = {
              kind = "list", line = 3, column = 10,
              items = {
                { kind = "scalar", line = 3, column = 11, type = "string", text = "a", value = "a" },
                { kind = "scalar", line = 3, column = 14, type = "null", text = "~" },
              } } },
          } } },
      },
    }, root)
  end)

  it("resolves scalars to Lua values of their type", function()
    local root = assert(yaml.parse("[0x10, 1.0, .inf, true, no, '1', 1e2]", "x.yaml"))
    local values, types = {}, {}
    for i, item in ipairs(root.items) do values[i], types[i] = item.value, item.type end
    assert.same({ 16, 1.0, math.huge, true, "no", "1", 100.0 }, values)
    assert.same({ "integer", "float", "float", "boolean", "string", "string", "float" }, types)
    assert.equal("integer", math.type(values[1]))
    assert.equal("float", math.type(values[2]))
  end)

  it("writes aliases out and merges", function()
    local root = assert(yaml.parse("base: &b { x: 1 }\nmore: { <<: *b, y: 2 }\nsame: *b\n", "x.yaml"))
    assert.equal(1, entry(entry(root, "more").node, "x").node.value)
    assert.same(entry(root, "base").node, entry(root, "same").node)
  end)

  it("says where a mistake is", function()
    local root, err = yaml.parse("a: 1\na: 2\n", "configs/x.yaml")
    assert.is_nil(root)
    assert.equal("config", err.kind)
    assert.equal("configs/x.yaml:2:1: key 'a' is given twice (first on line 1, column 1)", err.text)
    root, err = yaml.parse("a:\n\tb: 1\n", "configs/x.yaml")
    assert.is_nil(root)
    assert.truthy(err.text:find("^configs/x%.yaml:2:%d+: "))
    assert.equal("indent with spaces: YAML takes no tabs", err.hint)
  end)

  it("raises on misuse", function()
    assert.has_error(function() yaml.parse() end)
    assert.has_error(function() yaml.parse("a: 1") end)
  end)
end)
