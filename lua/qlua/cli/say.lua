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

--- Write lines to stdout.
function say.line(...) io.stdout:write(table.concat({ ... }), "\n") end

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

--- Write rows as columns that line up; the last column is never padded.
-- @tparam {{string,...},...} rows
-- @tparam ?string indent
function say.columns(rows, indent)
  local widths = {}
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do widths[i] = math.max(widths[i] or 0, width(row[i])) end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = i < #row and cell .. (" "):rep(widths[i] - width(cell)) or cell
    end
    say.line(indent or "", (table.concat(cells, "  "):gsub("%s+$", "")))
  end
end

return say
