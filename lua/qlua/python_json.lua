-- SPDX-License-Identifier: Apache-2.0
--- Python JSON: text as Python's `json.dumps(value, ensure_ascii=False)` writes it, because the reference harness hashes
-- such text. Lua tables have no order of keys, so a row's own text is rewritten token by token and never decoded
-- as a whole; what is made here gives its keys in order.

local json = require "qlua.core.json"
local utf = require "qlua.core.text"

local python_json = {}

local SHORT = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f" }

local function escaped(char) return SHORT[char] or ("\\u%04x"):format(char:byte()) end

--- A text as a JSON string; bytes that are no UTF-8 become U+FFFD, as a file of them could not be read again.
function python_json.string(text)
  if not utf.valid(text) then text = utf.repair(text) end
  return '"' .. text:gsub('[%z\1-\31"\\]', escaped) .. '"'
end

--- A number as Python prints it: a float always shows that it is one.
function python_json.number(value)
  local text = json.encode(value)
  if math.type(value) == "float" and not text:find "[.eEn]" then text = text .. ".0" end
  return text
end

--- An object with its keys in the order given.
-- @tparam {{string,string},...} pairs_in_order key, and its value as JSON already
function python_json.object(pairs_in_order)
  local parts = {}
  for i, pair in ipairs(pairs_in_order) do parts[i] = python_json.string(pair[1]) .. ": " .. pair[2] end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- An array of values that are JSON already.
function python_json.array(values) return "[" .. table.concat(values, ", ") .. "]" end

--- Any value; an object's keys are sorted, since a table has no order of its own.
function python_json.encode(value)
  if type(value) == "string" then return python_json.string(value) end
  if type(value) == "number" then return python_json.number(value) end
  if type(value) ~= "table" or value == json.null then return value == true and "true" or value == false and "false" or "null" end
  local parts = {}
  if json.encode(value):sub(1, 1) == "[" then
    for i, item in ipairs(value) do parts[i] = python_json.encode(item) end
    return python_json.array(parts)
  end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = { key, python_json.encode(value[key]) } end
  return python_json.object(parts)
end

local function string_end(text, from)
  local at = from + 1
  while true do
    at = text:find('["\\]', at)
    if not at then error("python_json: want a closing quote", 0) end
    if text:byte(at) == 34 then return at end
    at = at + 2
  end
end

-- One token that is no punctuation, as Python writes it again.
local function scalar(text, from)
  if text:byte(from) == 34 then
    local to = string_end(text, from)
    return python_json.string(json.decode("[" .. text:sub(from, to) .. "]")[1]), to + 1
  end
  local token = text:match("^[^%s,%]}]+", from)
  if token:find "^%-?%d" and token:find "[.eE]" then
    return python_json.number(tonumber(token) + 0.0), from + #token
  end
  return token, from + #token
end

--- JSON text written again as Python writes what it has read: keys keep their order.
-- @tparam string text well-formed JSON
-- @tparam ?integer indent as json.dumps' `indent`; none is one line
-- @treturn string
function python_json.rewrite(text, indent)
  local out, depth, at = {}, 0, 1
  local function break_line()
    if indent then out[#out + 1] = "\n" .. (" "):rep(indent * depth) end
  end
  while true do
    at = text:find("%S", at)
    if not at then return table.concat(out) end
    local char = text:sub(at, at)
    if char == "{" or char == "[" then
      local empty_end = text:match(char == "{" and "^{%s*}()" or "^%[%s*%]()", at)
      out[#out + 1] = empty_end and (char == "{" and "{}" or "[]") or char
      if not empty_end then
        depth = depth + 1
        break_line()
      end
      at = empty_end or at + 1
    elseif char == "}" or char == "]" then
      depth = depth - 1
      break_line()
      out[#out + 1], at = char, at + 1
    elseif char == "," then
      out[#out + 1], at = indent and "," or ", ", at + 1
      break_line()
    elseif char == ":" then
      out[#out + 1], at = ": ", at + 1
    else
      out[#out + 1], at = scalar(text, at)
    end
  end
end

return python_json
