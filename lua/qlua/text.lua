-- SPDX-License-Identifier: Apache-2.0
--- q.text: what scripts do with strings, by Python's and Unicode's rules where those matter.
-- Takes any bytes: what is no UTF-8 counts as one character and is passed on.
local core = require "qlua.core.text"

local text = {}

--- Unicode white space as Python's str.strip() sees it, beside the ASCII 9-13 and 28-32.
local WIDE_SPACE = {}
for _, code in ipairs { 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000 } do
  WIDE_SPACE[utf8.char(code)] = true
end
for code = 0x2000, 0x200A do WIDE_SPACE[utf8.char(code)] = true end

local function is_ascii_space(byte)
  return byte and (byte >= 9 and byte <= 13 or byte >= 28 and byte <= 32)
end

--- The string without white space at both ends (Python's str.strip()).
-- @tparam string s
-- @treturn string
function text.trim(s)
  local from, to = 1, #s
  while from <= to do
    if is_ascii_space(s:byte(from)) then from = from + 1
    elseif WIDE_SPACE[s:sub(from, from + 1)] then from = from + 2
    elseif WIDE_SPACE[s:sub(from, from + 2)] then from = from + 3
    else break end
  end
  while to >= from do
    if is_ascii_space(s:byte(to)) then to = to - 1
    elseif WIDE_SPACE[s:sub(to - 1, to)] then to = to - 2
    elseif WIDE_SPACE[s:sub(to - 2, to)] then to = to - 3
    else break end
  end
  return s:sub(from, to)
end

--- fn of every element, joined.
-- @tparam table list
-- @tparam ?function fn what an element becomes; itself when nil
-- @tparam ?string separator "" when nil
-- @treturn string
function text.join(list, fn, separator)
  local parts = {}
  for index, value in ipairs(list) do
    local part = value
    if fn then part = fn(value, index) end
    parts[index] = tostring(part)
  end
  return table.concat(parts, separator or "")
end

--- Pieces between literal separators; "" has one piece, "".
-- @tparam string s
-- @tparam string separator not empty, taken literally
-- @treturn table
function text.split(s, separator)
  if separator == nil or separator == "" then error("split: want a separator, got none", 2) end
  local pieces, from = {}, 1
  while true do
    local at, stop = s:find(separator, from, true)
    if not at then break end
    pieces[#pieces + 1] = s:sub(from, at - 1)
    from = stop + 1
  end
  pieces[#pieces + 1] = s:sub(from)
  return pieces
end

--- Lines without their ends (LF or CRLF); a final line end opens no further line.
-- @tparam string s
-- @treturn table
function text.lines(s)
  local lines = {}
  for line, stop in s:gmatch "([^\n]*)(\n?)" do
    if line == "" and stop == "" then break end
    lines[#lines + 1] = (line:gsub("\r$", ""))
  end
  return lines
end

--- Does s begin with prefix?
function text.starts(s, prefix)
  return s:sub(1, #prefix) == prefix
end

-- Python's full mappings of single characters, beyond the simple one-to-one tables.
local TITLE_FULL = { ["ß"] = "Ss", ["ﬀ"] = "Ff", ["ﬁ"] = "Fi", ["ﬂ"] = "Fl", ["ﬃ"] = "Ffi", ["ﬄ"] = "Ffl",
                     ["ﬅ"] = "St", ["ﬆ"] = "St", ["ŉ"] = "ʼN" }

--- Python's str.capitalize(): the first character in title case, ALL the rest in lower case.
-- @tparam string s
-- @treturn string
function text.capitalize(s)
  local first = s:match "^[\194-\244][\128-\191]*" or s:sub(1, 1)
  local rest = core.lower((s:sub(#first + 1):gsub("İ", "i\u{307}")))
  if s:find("Σ", #first + 1, true) then -- a sigma that ends a word has its own lower-case form
    rest = (rest .. "\0"):gsub("([\128-\255%a])σ()", function(before, at)
      local is_final = not (rest .. "\0"):find("^[%a\195-\207]", at)
      return before .. (is_final and "ς" or "σ")
    end):sub(1, -2)
  end
  return (TITLE_FULL[first] or core.title_char(first)) .. rest
end

--- NFKC: compatibility forms (full-width letters and digits, ligatures) become the plain ones.
-- Bytes that are no UTF-8 become U+FFFD.
-- @tparam string s
-- @treturn string
function text.fold(s)
  if not s:find "[\128-\255]" then return s end
  local folded, err = core.fold(s)
  if not folded then error(err.text, 2) end
  return folded
end

--- Lower and upper case by Unicode's simple mapping.
text.lower = core.lower
text.upper = core.upper

--- Columns in a terminal: East Asian wide characters take two, combining marks none.
text.width = core.width

--- Number of code points (Python's len).
text.chars = core.chars

--- Bad bytes become U+FFFD.
text.repair = core.repair

--- true, or false and the byte offset (from 1) of the first byte that is no UTF-8.
text.valid = core.valid

local CHARACTER = "[\0-\127\192-\255][\128-\191]*"

--- Characters from..to (1-based, both included), as string.sub takes bytes. Python's s[from-1:to].
-- @tparam string s
-- @tparam int from may be negative: from the end
-- @tparam ?int to -1 when nil
-- @treturn string
function text.sub_chars(s, from, to)
  s = core.repair(s)
  to = to or -1
  if from < 0 or to < 0 then
    local count = core.chars(s)
    if from < 0 then from = math.max(1, count + from + 1) end
    if to < 0 then to = count + to + 1 end
  end
  from = math.max(1, from)
  if to < from then return "" end
  local first = utf8.offset(s, from)
  if not first then return "" end
  local past = utf8.offset(s, to - from + 2, first)
  return s:sub(first, past and past - 1 or -1)
end

--- At most `columns` terminal columns; what is cut ends in "…".
-- @tparam string s
-- @tparam int columns at least 1
-- @treturn string
function text.truncate(s, columns)
  if core.width(s) <= columns then return s end
  local kept, used = {}, 0
  for character in s:gmatch(CHARACTER) do
    local width = core.width(character)
    if used + width > columns - 1 then break end
    kept[#kept + 1], used = character, used + width
  end
  return table.concat(kept) .. "…"
end

return text
