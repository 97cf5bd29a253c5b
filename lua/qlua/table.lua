-- SPDX-License-Identifier: Apache-2.0
--- Table: columns of text set by display width, for Markdown sources and for terminals.
--
-- A Chinese character takes two columns of a terminal and of most editors' fonts, so padding counts
-- columns (`qlua.core.text.width`), never bytes or characters. Cells come in finished: escaped, in their
-- language, one line each. A column is `{ title, align = "left"/"right", flex = true/nil }`; a flex column
-- may be cut when a terminal is too narrow.
local text = require "qlua.core.text"

local tables = {}

local MIN_FLEX = 4 -- columns left of a cut cell: three of text and the mark

local function pad(cell, width, align)
  local space = (" "):rep(width - text.width(cell))
  return align == "right" and space .. cell or cell .. space
end

--- The display width each column needs.
function tables.widths(columns, rows)
  local widths = {}
  for i, column in ipairs(columns) do
    widths[i] = text.width(column.title)
    for _, row in ipairs(rows) do widths[i] = math.max(widths[i], text.width(row[i])) end
  end
  return widths
end

--- Cut a text to a display width, with a mark where something is missing.
function tables.cut(cell, width, mark)
  if text.width(cell) <= width then return cell end
  mark = mark or "…"
  local room, kept, used = width - text.width(mark), {}, 0
  if room < 0 then return mark:sub(1, width) end
  for _, code in utf8.codes(cell, true) do
    local char = utf8.char(code)
    local columns = text.width(char)
    if used + columns > room then break end
    kept[#kept + 1], used = char, used + columns
  end
  return table.concat(kept) .. mark
end

--- A table in GitHub-flavoured Markdown whose source also reads as a table.
-- @treturn string lines with a line feed after each
function tables.markdown(columns, rows)
  local widths, lines = tables.widths(columns, rows), {}
  for i in ipairs(columns) do widths[i] = math.max(widths[i], 3) end -- `---`, `--:`
  local function line(cells)
    local padded = {}
    for i, column in ipairs(columns) do padded[i] = pad(cells[i], widths[i], column.align) end
    lines[#lines + 1] = ("| %s |\n"):format(table.concat(padded, " | "))
  end
  local titles, rule = {}, {}
  for i, column in ipairs(columns) do
    titles[i] = column.title
    rule[i] = column.align == "right" and ("-"):rep(widths[i] - 1) .. ":" or ("-"):rep(widths[i])
  end
  line(titles)
  line(rule)
  for _, row in ipairs(rows) do line(row) end
  return table.concat(lines)
end

local function shrink(columns, widths, excess)
  for i, column in ipairs(columns) do
    if column.flex and excess > 0 then
      local least = math.min(widths[i], MIN_FLEX)
      local taken = math.min(excess, widths[i] - least)
      widths[i], excess = widths[i] - taken, excess - taken
    end
  end
  return excess
end

--- A table for a terminal.
-- @tparam {table,…} columns
-- @tparam {{string,…},…} rows a row `{ rule = true }` is a line across
-- @tparam table options `width` columns at hand, `ascii` true for a terminal that draws only ASCII, `uncut` true
-- to leave flex columns whole
-- @treturn string|nil lines, or nil when the table does not fit
function tables.terminal(columns, rows, options)
  local body = {}
  for _, row in ipairs(rows) do if not row.rule then body[#body + 1] = row end end
  local widths, total = tables.widths(columns, body), 2 * (#columns - 1)
  for _, width in ipairs(widths) do total = total + width end
  local excess = options.width and total - options.width or 0
  if excess > 0 and (options.uncut or shrink(columns, widths, excess) > 0) then return nil end
  local mark = options.ascii and "..." or "…"
  local lines, across = {}, 2 * (#columns - 1)
  for _, width in ipairs(widths) do across = across + width end
  local function line(cells)
    local padded = {}
    for i, column in ipairs(columns) do
      padded[i] = pad(tables.cut(cells[i], widths[i], mark), widths[i], column.align)
    end
    lines[#lines + 1] = table.concat(padded, "  "):gsub(" +$", "") .. "\n"
  end
  local rule = (options.ascii and "-" or "─"):rep(across) .. "\n"
  local titles = {}
  for i, column in ipairs(columns) do titles[i] = column.title end
  line(titles)
  lines[#lines + 1] = rule
  for _, row in ipairs(rows) do
    if row.rule then lines[#lines + 1] = rule else line(row) end
  end
  return table.concat(lines)
end

return tables
