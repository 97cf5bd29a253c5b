-- SPDX-License-Identifier: Apache-2.0
--- Event template: most events of a stream are the one before with another word in it. Pure.
--
-- Decoding an event makes a dozen tables and costs some 10 us; at 50,000 events a second that is more than half a processor, taken
-- from whatever else runs. So a stream remembers what stood before and after the text of an event that was decoded. An event with the
-- same bytes around a plain string (no escape, no quote, no control character) is that event with this text: what a JSON parser makes
-- of the rest depends on those bytes alone. That the string is the text, and nothing else, was tried out once with a word of our own.
-- Where usage stands on every event its counts move too: the digits behind their keys are then read as what they are, and tried out alike.
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

-- A finding with nothing in it but text and usage: it says no count of its own and no end, so that two of them differ in these alone.
local function is_plain(found, side)
  for key, value in pairs(found) do
    if key ~= side and key ~= "has_choices" and key ~= "role" and key ~= "usage" and value ~= nil then return false end
  end
  return found.has_choices and found[side] ~= nil
end

local COUNTS = { '"completion_tokens":', '"total_tokens":' }
local PROBE_COUNTS = { 7654321, 8765432 } -- no server has said so much by then

-- What is behind the text, in pieces between the digits of the counts: `{ pieces, keys }`; nil where they are not there once each.
local function cut_counts(behind)
  local found = {}
  for key, name in ipairs(COUNTS) do
    local _, stop = behind:find(name, 1, true)
    if stop and behind:find(name, stop, true) then return nil end
    local from, to = behind:find("^ ?%d+", (stop or #behind) + 1)
    if from then found[#found + 1] = { key = key, from = from, to = to } end
  end
  table.sort(found, function(a, b) return a.from < b.from end)
  local pieces, keys, at = {}, {}, 1
  for i, one in ipairs(found) do
    pieces[i], keys[i], at = behind:sub(at, one.from - 1), one.key, one.to + 1
  end
  pieces[#found + 1] = behind:sub(at)
  return { pieces = pieces, keys = keys }
end

local function with_probes(cuts)
  local parts = {}
  for i, piece in ipairs(cuts.pieces) do
    parts[#parts + 1] = piece
    if cuts.keys[i] then parts[#parts + 1] = tostring(PROBE_COUNTS[cuts.keys[i]]) end
  end
  return table.concat(parts)
end

-- Is the usage that was read the one of the event, with our number where the count was?
local function is_probed(usage, probed)
  if not usage or not probed then return usage == probed end
  if probed.completion_tokens ~= PROBE_COUNTS[1] then return false end
  for _, key in ipairs { "prompt_tokens", "cached_tokens", "reasoning_tokens" } do
    if usage[key] ~= probed[key] then return false end
  end
  return true
end

-- The count in what follows a text; nil where other bytes than the counts' digits differ.
local function count_in(one, data, at)
  local count
  for i, key in ipairs(one.keys) do
    local piece = one.pieces[i]
    if data:sub(at, at + #piece - 1) ~= piece then return nil end
    local digits, behind = data:match("^ ?(%d+)()", at + #piece)
    if not digits or #digits > 15 or digits:find "^0." then return nil end
    if key == 1 then count = math.tointeger(tonumber(digits)) end
    at = behind
  end
  return data:sub(at) == one.pieces[#one.pieces] and count or nil
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
      local cuts = found.usage and cut_counts(behind)
      local value = json.decode(before .. PROBE .. (cuts and with_probes(cuts) or behind))
      local probed = type(value) == "table" and read(value, {})
      if probed and is_plain(probed, side) and probed[side] == PROBE and is_probed(found.usage, probed.usage) then
        return { key = key, before = before, behind = behind, side = side, at = at, usage = found.usage,
          pieces = cuts and cuts.pieces, keys = cuts and cuts.keys }
      end
    end
  end
end

--- The text of an event that fits a template.
-- @treturn ?string nil when it does not, and has to be decoded
-- @treturn ?integer the completion tokens up to now, where the template has usage
function template.text(one, data)
  if data:sub(1, one.at) ~= one.before then return nil end
  local plain = data:match('^[^"\\%c]*', one.at + 1)
  if #plain == 0 then return nil end
  if one.usage then
    local count = count_in(one, data, one.at + 1 + #plain)
    return count and plain, count
  end
  if data:sub(one.at + 1 + #plain) ~= one.behind then return nil end
  return plain
end

return template
