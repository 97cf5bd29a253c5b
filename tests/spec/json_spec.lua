-- SPDX-License-Identifier: Apache-2.0
local json = require "qlua.core.json"

describe("json", function()
  it("restores integers that lua-cjson made floats", function()
    local value = json.decode '{"a":1,"b":[2,2.5,1e3,9007199254740993],"c":{"d":-7}}'
    assert.equal("integer", math.type(value.a))
    assert.equal("integer", math.type(value.b[1]))
    assert.equal("float", math.type(value.b[2]))
    assert.equal(1000, value.b[3])
    assert.equal(-7, value.c.d)
    assert.equal("integer", math.type((json.decode "5")))
  end)

  it("writes one canonical form", function()
    assert.equal('{"a":1,"b":[1,2.5,0.1],"é":"x"}', json.encode { ["é"] = "x", b = { 1, 2.5, 0.1 }, a = 1 })
    assert.equal("0.30000000000000004", json.encode(0.1 + 0.2))
    assert.equal("3", json.encode(3.0))
    assert.equal("-9223372036854775808", json.encode(math.mininteger))
    assert.equal('{}', json.encode {})
    assert.equal('[]', json.encode(json.array {}))
    assert.equal('[null,1]', json.encode { json.null, 1 })
  end)

  it("sorts keys bytewise, the shorter first", function()
    assert.equal('{"B":0,"a":0,"aa":0,"b":0}', json.encode { b = 0, a = 0, aa = 0, B = 0 })
  end)

  it("escapes what must be and nothing else, and mends invalid UTF-8", function()
    assert.equal([["\"\\\n\t\u0001/]] .. "\127" .. [["]], json.encode "\"\\\n\t\1/\127")
    assert.equal('"数学"', json.encode "数学")
    assert.equal('"a\u{FFFD}b\u{FFFD}"', json.encode "a\xFFb\xE6")
    assert.equal('"\u{FFFD}\u{FFFD}\u{FFFD}"', json.encode "\xED\xA0\x80") -- a surrogate
  end)

  it("pretty-prints the same content with an indent", function()
    assert.equal('{\n  "a": [\n    1\n  ],\n  "b": {}\n}', json.encode({ a = { 1 }, b = {} }, 2))
  end)

  it("refuses what has no JSON form", function()
    assert.error_matches(function() json.encode(0 / 0) end, "no JSON form")
    assert.error_matches(function() json.encode { [1] = 1, x = 2 } end, "key of type number")
    assert.error_matches(function() json.encode { f = print } end, "no JSON form")
    local cycle = {}
    cycle[1] = cycle
    assert.error_matches(function() json.encode(cycle) end, "a cycle")
  end)

  it("returns an error for text that is not JSON", function()
    local value, err = json.decode '{"a":'
    assert.is_nil(value)
    assert.equal("protocol", err.kind)
    assert.matches("^not JSON: ", err.text)
    assert.is_nil((json.decode ""))
    assert.is_nil((json.decode "NaN"))
    assert.is_nil((json.decode(("["):rep(5000))))
  end)

  it("takes the last of two equal keys, and no number that it could not write again", function()
    assert.equal(2, json.decode('{"a":1,"a":2}').a)
    for _, text in ipairs { "1e400", "-1e400", '{"a":[1,{"b":1e999}]}' } do
      local value, err = json.decode(text)
      assert.is_nil(value)
      assert.matches("beyond the range of a double", err.text)
    end
  end)

  it("stops at a depth that a stack can take", function()
    assert.is_truthy((json.decode(("["):rep(190) .. ("]"):rep(190))))
    assert.is_nil((json.decode(("["):rep(300) .. ("]"):rep(300))))
  end)

  it("reads back every float it writes", function()
    math.randomseed(7)
    for _ = 1, 2000 do
      local value = (math.random() - 0.5) * 10.0 ^ math.random(-30, 30)
      assert.equal(value, (json.decode(json.encode(value))))
    end
  end)
end)
