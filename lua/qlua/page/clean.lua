-- SPDX-License-Identifier: Apache-2.0
--- Clean: text from outside made harmless for a line of a page or a terminal.
--
-- Names and descriptions come from configs, model cards and servers. Control characters could move a
-- terminal's cursor or recolour it; direction marks could make a figure read as another one. Both become
-- U+FFFD, visibly; line breaks and tabs become spaces; bytes that are no UTF-8 become U+FFFD too.
local text = require "qlua.core.text"

local REPLACEMENT = "\u{FFFD}"

-- C1 controls (a one-byte CSI among them), bidirectional marks and isolates, line separators, BOM
local HIDDEN = {
  { 0x80, 0x9F }, { 0x200E, 0x200F }, { 0x2028, 0x202E }, { 0x2066, 0x2069 }, { 0xFEFF, 0xFEFF },
}

local function is_hidden(code)
  for _, range in ipairs(HIDDEN) do
    if code >= range[1] and code <= range[2] then return true end
  end
  return false
end

local clean = {}

local function without_hidden(s)
  if not s:find("[\xC2\xE2\xEF]") then return s end -- the lead bytes of everything in HIDDEN
  return (s:gsub("[\xC2\xE2\xEF][\x80-\xBF]+", function(char)
    return is_hidden(utf8.codepoint(char)) and REPLACEMENT or nil
  end))
end

--- One line of harmless text.
function clean.line(s)
  s = text.repair(s):gsub("\r?\n", " "):gsub("\t", " "):gsub("[%z\1-\31\127]", REPLACEMENT)
  return without_hidden(s)
end

--- Lines of harmless text, for blocks of code and messages; the last line feed is dropped.
function clean.lines(s)
  s = text.repair(s):gsub("\r\n", "\n"):gsub("\t", "  "):gsub("[%z\1-\9\11-\31\127]", REPLACEMENT):gsub("\n+$", "")
  return without_hidden(s)
end

return clean
