-- SPDX-License-Identifier: Apache-2.0
--- Say: what commands print: plain text, tables, JSON, errors; and the language they print it in.
-- Results go to stdout, everything about the program itself to stderr, so that output can be piped.

local say = {}

local language

--- The language of messages: `--language`, else the locale, else English.
local function locale_language()
  for _, name in ipairs { "LC_ALL", "LC_MESSAGES", "LANG" } do
    local value = os.getenv(name)
    if value and value ~= "" then return value:sub(1, 2) == "zh" and "zh" or "en" end
  end
  return "en"
end

--- Set the language for the rest of this process; `both` and nil leave it to the locale.
-- @tparam ?string chosen en, zh or both
function say.set_language(chosen)
  language = (chosen == "en" or chosen == "zh") and chosen or locale_language()
end

--- @treturn string "en" or "zh"
function say.language()
  if not language then say.set_language() end
  return language
end

--- The side of a pair that fits the language.
-- @tparam table|string pair `{ en, zh }`; a string is returned as it is
-- @treturn string
function say.pick(pair)
  if type(pair) ~= "table" then return pair or "" end
  return pair[say.language()] or pair.en or ""
end

--- True under QLUA_DEBUG=1: errors then show tracebacks.
function say.is_debug() return os.getenv "QLUA_DEBUG" == "1" end

local output, descriptor = io.stdout, 1

--- Write a line to stdout.
function say.line(...) output:write(table.concat({ ... }), "\n") end

--- Call fn with everything said going to stderr.
function say.on_stderr(fn, ...)
  output, descriptor = io.stderr, 2
  fn(...)
  output, descriptor = io.stdout, 1
end

--- Write an error in the one grammar: its text, and a second line `hint: …`.
function say.error(text, hint)
  io.stderr:write(tostring(text), "\n")
  if hint and hint ~= "" then io.stderr:write("hint: ", hint, "\n") end
end

--- Write a value as one line of canonical JSON.
function say.json(value) say.line(require("qlua.core.json").encode(value)) end

-- Columns are as wide as a terminal shows them; without the binding (plain Lua) one code point is one column.
local function width(s)
  local is_there, text = pcall(require, "qlua.core.text")
  return is_there and text.width(s) or utf8.len(s) or #s
end

local CLOSING = "，。、；：！？）】》”’"
local FIRST_WIDE = 0x2E80 -- from here on a line may break before any character

-- Where a text may be broken: words with the space before them, and single wide characters; closing punctuation stays
-- with what it closes.
local function pieces_of(s)
  local pieces, is_open = {}, false
  for _, code in utf8.codes(s, true) do
    local char = utf8.char(code)
    local is_wide = code >= FIRST_WIDE
    if #pieces > 0 and (CLOSING:find(char, 1, true) or (is_open and not is_wide and char ~= " ")) then
      pieces[#pieces] = pieces[#pieces] .. char
    else
      pieces[#pieces + 1] = char
    end
    is_open = not is_wide
  end
  return pieces
end

--- Break a text into lines of at most so many columns; a word that is longer stands alone.
-- @tparam string s
-- @tparam integer columns
-- @treturn {string,...}
function say.wrap(s, columns)
  local lines, line = {}, ""
  for _, piece in ipairs(pieces_of(s)) do
    if line ~= "" and width(line .. piece) > columns then
      lines[#lines + 1] = line:gsub(" +$", "")
      line = ""
    end
    line = line == "" and piece:gsub("^ ", "") or line .. piece
  end
  lines[#lines + 1] = line
  return lines
end

-- Columns of the terminal that is written to; without end when it is none, as whoever reads a pipe wants whole lines.
local function terminal_columns()
  local is_there, term = pcall(require, "qlua.core.term")
  return is_there and term.is_tty(descriptor) and term.width(descriptor) or math.huge
end

--- Write a text, broken where the terminal ends.
-- @tparam string text
-- @tparam ?string before what stands left of its first line; the others are indented as deep
function say.paragraph(text, before)
  before = before or ""
  local lines = say.wrap(text, terminal_columns() - width(before))
  for i, line in ipairs(lines) do say.line(i == 1 and before or (" "):rep(width(before)), line) end
end

local LEAST = 24 -- with less room beside the other columns a table's texts go below them

--- Write rows as columns that line up; the last column is never padded, and is broken where the terminal ends.
-- @tparam {{string,...},...} rows
-- @tparam ?string indent
function say.columns(rows, indent)
  local widths = {}
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do widths[i] = math.max(widths[i] or 0, width(row[i])) end
  end
  local left, widest = width(indent or ""), 0
  for _, columns in ipairs(widths) do left = left + columns + 2 end
  for _, row in ipairs(rows) do widest = math.max(widest, width(row[#row])) end
  local room = terminal_columns() - left
  local is_narrow = room < LEAST and room < widest
  for _, row in ipairs(rows) do
    local before = indent or ""
    for i = 1, #row - 1 do before = before .. row[i] .. (" "):rep(widths[i] - width(row[i]) + 2) end
    local last = row[#row]
    if is_narrow or last == "" then
      say.line((before:gsub("%s+$", "")))
      before = "      "
    end
    if last ~= "" then say.paragraph(last, before) end
  end
end

return say
