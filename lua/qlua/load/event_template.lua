-- SPDX-License-Identifier: Apache-2.0
--- Event template: most events of a stream are the one before with another word in it. Pure.
--
-- Decoding an event makes a dozen tables and costs some 10 us; at 50,000 events a second that is more than half a processor, taken
-- from whatever else runs. So a stream remembers what stood before and after the text of an event that was decoded. An event with the
-- same bytes around a plain string (no escape, no quote, no control character) is that event with this text: what a JSON parser makes
-- of the rest depends on those bytes alone. That the string is the text, and nothing else, was tried out once with a word of our own.
local json = require "qlua.core.json"

local template = {}

local KEYS = { '"content":"', '"content": "', '"text":"', '"text": "', '"reasoning_content":"', '"reasoning_content": "', '"reasoning":"',
  '"reasoning": "' }
local PROBE = "probe of a template"

-- Where the string that follows a key begins and ends, and the string.
local function cut(data, key)
  local _, at = data:find(key, 1, true)
  if not at then return nil end
  local plain = data:match('^[^"\\%c]*', at + 1)
  local after = at + 1 + #plain
  if #plain == 0 or data:byte(after) ~= 34 then return nil end
  return at, after, plain
end

-- A finding with nothing in it but text: it says no count, no end, no usage, so that two of them differ in their text alone.
local function is_plain(found, side)
  for key, value in pairs(found) do
    if key ~= side and key ~= "has_choices" and key ~= "role" and value ~= nil then return false end
  end
  return found.has_choices and found[side] ~= nil
end

--- Learn from an event that was decoded.
-- @tparam string data
-- @tparam table found what `shapes.read` found in it
-- @tparam function read `shapes.read`
-- @treturn ?table a template, or nil where the event holds more than its text
function template.learn(data, found, read)
  local side = found.text and "text" or "reasoning"
  if not is_plain(found, side) then return nil end
  for _, key in ipairs(KEYS) do
    local at, after, plain = cut(data, key)
    if at and plain == found[side] then
      local before, behind = data:sub(1, at), data:sub(after)
      local value = json.decode(before .. PROBE .. behind)
      local probed = type(value) == "table" and read(value, {})
      if probed and is_plain(probed, side) and probed[side] == PROBE then
        return { key = key, before = before, behind = behind, side = side, at = at }
      end
    end
  end
end

--- The text of an event that fits a template.
-- @treturn ?string nil when it does not, and has to be decoded
function template.text(one, data)
  if data:sub(1, one.at) ~= one.before then return nil end
  local plain = data:match('^[^"\\%c]*', one.at + 1)
  if #plain == 0 or data:sub(one.at + 1 + #plain) ~= one.behind then return nil end
  return plain
end

return template
