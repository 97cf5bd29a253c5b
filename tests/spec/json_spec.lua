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

  -- A raw tab in a string is beyond the fast reader, which then leaves the whole text to lua-cjson.
  local function by_the_general_decoder(text)
    local value, err = json.decode('["\t",' .. text .. "]")
    return value and value[2], err
  end

  local function shape(value)
    if type(value) ~= "table" then return math.type(value) or type(value) end
    local keys = {}
    for key, member in pairs(value) do keys[#keys + 1] = tostring(key) .. "=" .. shape(member) end
    table.sort(keys)
    return "{" .. table.concat(keys, ",") .. "}"
  end

  local function assert_same(text)
    local fast, general = json.decode(text), by_the_general_decoder(text)
    assert.is_not_nil(general, text)
    assert.equal(json.encode(general), json.encode(fast), text)
    assert.equal(shape(general), shape(fast), text)
  end

  it("reads by the fast way what the general decoder reads", function()
    for _, text in ipairs {
      "0", "-0", "-0.0", "7", "-7", "1.0", "1.5", "1e3", "1E-3", "-1.25e+2", "1e22", "1e23", "5e-324", "2.2250738585072014e-308",
      "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "18446744073709551616",
      "123456789012345678901234567890", "0.1", "0.30000000000000004", "-0.00000000000000000000000000012345678901234567",
      "179769313486231570000000000000000000000e270", "1.7976931348623157e308", "1e-400", "0e99999999999999999999", "0.1e-5",
      "true", "false", "null", [[""]], [["a"]], [["1234567"]], [["12345678"]], [["123456789"]], [["数学 é"]], '"\xFF\xC0"',
      [["\"\\\/\b\f\n\r\t"]], [["\u0041\u00e9\u6570\u0000x"]], [["\uD83D\uDE00\ud83d\ude00"]], [["12345678\n12345678\""]],
      "[]", "{}", "[[],{}]", " [ 1 , 2 ]\r\n\t", '{"":1}', '{"a":1,"b":2,"a":3}', '{"a":null,"b":[null]}',
      [=[{"\u0061\n":{"b":[1,[2,[3.5,"x"]]]}}]=] } do
      assert_same(text)
    end
    for _, count in ipairs { 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 1000 } do -- around the sizes in which tables are filled
      local items, members = {}, {}
      for i = 1, count do items[i], members[i] = tostring(i * 1.5), ('"k%d":%d'):format(i % 90, i) end
      assert_same("[" .. table.concat(items, ",") .. "]")
      assert_same("{" .. table.concat(members, ", ") .. "}")
      assert.equal(count, #json.decode("[" .. table.concat(items, ",") .. "]"))
    end
  end)

  it("reads numbers of any length as the general decoder does", function()
    math.randomseed(11)
    for _ = 1, 5000 do
      local digits = {}
      for i = 1, math.random(1, 25) do digits[i] = tostring(math.random(i == 1 and 1 or 0, 9)) end
      local text = table.concat(digits)
      local point = math.random(0, #text)
      if point > 0 and point < #text then text = text:sub(1, point) .. "." .. text:sub(point + 1) end
      if math.random(2) == 1 then text = text .. "e" .. math.random(-40, 40) end
      assert_same((math.random(2) == 1 and "-" or "") .. text)
    end
  end)

  it("takes no text by the fast way that the general decoder refuses", function()
    for _, text in ipairs { "", " ", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', '{a:1}',
      "{1:2}", '{"a" 1}', '"', '"a', [["\]], [["\x"]], [["\u12"]], [["\u12g4"]], [["\uD83D"]], [["\uD83Dx"]], [["\uD83D\u0041"]],
      [["\uDE00"]], "01", "-", "+1", ".", "1e", "1e+", "--1", "tru", "nul", "truee", "1 1", "[1]]", "{}x", "\0", "1\0", '"a\0', "[1\0]",
      "\239\187\191{}" } do
      local value, err = json.decode(text)
      assert.is_nil(value, text)
      assert.equal("protocol", err.kind)
      assert.matches("^not JSON: ", err.text)
    end
    local _, err = json.decode '{"a": tru}'
    assert.matches("character 7", err.text)
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
