-- SPDX-License-Identifier: Apache-2.0
--- The terminal writer of a page: fits its width, plain ASCII rules where the locale has no more.
--
-- Same interface as `qlua.page.markdown`. Text is wrapped by display columns: between words, and between
-- Chinese characters. Escape sequences are written only for `color`, and never come from data.
local clean = require "qlua.page.clean"
local locale = require "qlua.locale"
local tables = require "qlua.table"
local text = require "qlua.core.text"

local terminal = {}
terminal.__index = terminal

local BOLD, YELLOW, PLAIN = "\27[1m", "\27[33m", "\27[0m"

--- @tparam table options `width` (80), `ascii`, `color`
function terminal.new(options)
  return setmetatable({ width = options.width or 80, ascii = options.ascii, color = options.color }, terminal)
end

function terminal.escape(_, s) return clean.line(s) end
function terminal.mono(_, s) return clean.line(s) end
function terminal:missing(mark) return self.ascii and "-" or mark end

-- Pieces that may stand on a line of their own: words with the space after them, single wide characters.
local function pieces(s)
  local list, word = {}, ""
  for _, code in utf8.codes(s, true) do
    local char = utf8.char(code)
    if text.width(char) > 1 then
      if word ~= "" then list[#list + 1] = word end
      list[#list + 1], word = char, ""
    else
      word = word .. char
      if char == " " then list[#list + 1], word = word, "" end
    end
  end
  if word ~= "" then list[#list + 1] = word end
  return list
end

-- Punctuation that Chinese typesetting does not let begin a line.
local NO_START = { ["，"] = true, ["。"] = true, ["；"] = true, ["："] = true, ["、"] = true, ["）"] = true, ["！"] = true,
  ["？"] = true, ["”"] = true, ["》"] = true }

--- Wrap a text to a display width; continuation lines start with `indent`.
function terminal.wrap(s, width, indent)
  indent = indent or ""
  local lines, line, used = {}, "", 0
  local function flush()
    lines[#lines + 1] = line:gsub(" +$", "")
    line, used = indent, text.width(indent)
  end
  local list = pieces(s)
  for i, piece in ipairs(list) do
    local columns = text.width((piece:gsub(" $", "")))
    local tail, after = 0, i + 1 -- what must stay on the line with it
    while NO_START[list[after]] do tail, after = tail + text.width(list[after]), after + 1 end
    if used + columns + tail > width and used > text.width(indent) and not NO_START[piece] then flush() end
    while used + columns > width and columns > 1 do -- a word longer than the line is broken
      local room, head = width - used, {}
      for _, code in utf8.codes(piece, true) do
        local char = utf8.char(code)
        room = room - text.width(char)
        if room < 0 then break end
        head[#head + 1] = char
      end
      local taken = table.concat(head)
      if taken == "" then break end
      line, piece = line .. taken, piece:sub(#taken + 1)
      columns = text.width(piece)
      flush()
    end
    line, used = line .. piece, used + text.width(piece)
  end
  if line ~= indent or #lines == 0 then flush() end
  return lines
end

function terminal:wrapped(texts, first, indent, style)
  local lines = {}
  for _, s in ipairs(texts) do
    for _, line in ipairs(terminal.wrap(first .. s, self.width, indent)) do
      lines[#lines + 1] = (style and self.color and style .. line .. PLAIN or line) .. "\n"
    end
  end
  return table.concat(lines)
end

function terminal:heading(_, texts) return self:wrapped({ table.concat(texts, " / ") }, "", "", BOLD) end
function terminal:paragraph(texts) return self:wrapped(texts, "", "") end
function terminal:note(texts) return self:wrapped(texts, "! ", "  ", YELLOW) end

function terminal:list(items)
  local blocks = {}
  for _, texts in ipairs(items) do
    for i, s in ipairs(texts) do blocks[#blocks + 1] = self:wrapped({ s }, i == 1 and "- " or "  ", "  ") end
  end
  return table.concat(blocks)
end

function terminal.code(_, s) return clean.lines(s):gsub("[^\n]+", "  %0") .. "\n" end

--- @tparam {table,…} choices tables from wide to narrow; the first that fits uncut is taken, else the last, cut
function terminal:table(choices)
  local options = { width = self.width, ascii = self.ascii, uncut = true }
  for _, choice in ipairs(choices) do
    local lines = tables.terminal(choice.columns, choice.rows, options)
    if lines then return lines end
  end
  options.uncut = false
  local last = choices[#choices]
  return tables.terminal(last.columns, last.rows, options) or self:records(last)
end

-- The last resort for a terminal narrower than every table: a block of `title: cell` lines for each row.
function terminal:records(set)
  local lines = {}
  for _, row in ipairs(set.rows) do
    for i, column in ipairs(row.rule and {} or set.columns) do
      local label = column.title == "" and "" or column.title .. ": "
      if row[i] ~= "" then lines[#lines + 1] = self:wrapped({ label .. row[i] }, i == 1 and "" or "  ", "    ") end
    end
  end
  return table.concat(lines)
end

--- How a cell or a title shows two languages at once.
function terminal.both(_, value, language) return locale.join(value, language, " ") end

return terminal
