-- SPDX-License-Identifier: Apache-2.0
--- Rows of a data set's files: JSON lines, CSV and TSV, plain or compressed, each row with its place.
--
-- Readers stream line by line and say `path:line: what` for the first row that is not what the format
-- promises. What was read is named by the sha256 of its bytes after decompression, so that a compressed copy
-- has the name of the plain file. CSV follows RFC 4180; as in Python's reader, a quote inside a cell that did
-- not begin with one is an ordinary character, and a line break inside a quoted cell is kept as it is.

local file = require "qlua.core.file"
local json = require "qlua.core.json"

local rows = {}

local BOM = "\xEF\xBB\xBF"
local PACKED_ENDINGS = { "", ".gz", ".zst" }

local function data_error(path, line, text, hint)
  return { kind = "data", text = line and ("%s:%d: %s"):format(path, line, text) or path .. ": " .. text, hint = hint }
end

local function without_cr(line)
  return line:byte(-1) == 13 and line:sub(1, -2) or line
end

-- Lines with their numbers, without byte-order mark and final "\r"; raw keeps the "\r" for quoted cells.
local function numbered(path, lines, raw)
  local number, failure = 0, nil
  local function next_line()
    local line, err = lines()
    if err then
      failure = err
    end
    if not line then
      return nil
    end
    number = number + 1
    if number == 1 and line:sub(1, 3) == BOM then
      line = line:sub(4)
    end
    return raw and line or without_cr(line), number
  end
  return next_line, function() return failure end, path
end

-- ---- JSON lines ----------------------------------------------------------------------------------------

local function kind_of_json(value)
  if value == json.null then
    return "null"
  end
  return type(value) == "table" and "an array" or "a " .. type(value)
end

local function is_object(value, line)
  return type(value) == "table" and value ~= json.null and line:find("^%s*{") ~= nil
end

local function read_jsonl(path, lines, put)
  local next_line, failure = numbered(path, lines)
  local blank_at
  for line, number in next_line do
    if not line:find("%S") then
      blank_at = blank_at or number
    else
      if blank_at then
        return nil, data_error(path, blank_at, "want a JSON object, got a blank line")
      end
      local value, err = json.decode(line)
      if err then
        return nil, data_error(path, number, "want a JSON object, got bad JSON: " .. err.text)
      end
      if not is_object(value, line) then
        return nil, data_error(path, number, "want a JSON object, got " .. kind_of_json(value))
      end
      put(value, number)
    end
  end
  return not failure(), failure()
end

-- ---- CSV and TSV ---------------------------------------------------------------------------------------

local function plain_cells(line, separator)
  local cells, from = {}, 1
  while true do
    local at = line:find(separator, from, true)
    cells[#cells + 1] = line:sub(from, (at or 0) - 1)
    if not at then
      return cells
    end
    from = at + 1
  end
end

-- The rest of a quoted cell that begins at `from` (after its quote). Takes more lines while it is open.
-- Returns the cell, the line it ended in and the position after the closing quote; nil at the file's end.
local function quoted_cell(line, from, next_line)
  local parts = {}
  while true do
    local at = line:find('"', from, true)
    if not at then
      local more = next_line()
      if not more then
        return nil
      end
      parts[#parts + 1] = line:sub(from) .. "\n"
      line, from = more, 1
    elseif line:byte(at + 1) == 34 then
      parts[#parts + 1] = line:sub(from, at)
      from = at + 2
    else
      parts[#parts + 1] = line:sub(from, at - 1)
      return table.concat(parts), line, at + 1
    end
  end
end

-- The cells of one record that begins with `line`, or nil and what is wrong with it.
local function quoted_cells(line, separator, next_line)
  local cells, from = {}, 1
  while true do
    local cell, after
    if line:byte(from) == 34 then
      cell, line, after = quoted_cell(line, from + 1, next_line)
      if not cell then
        return nil, "want a closing quote, got the end of the file"
      end
    else
      cell, after = "", from
    end
    local at = line:find(separator, after, true)
    local rest = line:sub(after, (at or 0) - 1)
    cells[#cells + 1] = cell .. (at and rest or without_cr(rest))
    if not at then
      return cells
    end
    from = at + 1
  end
end

local function named_cells(cells, columns)
  local row = {}
  for i, name in ipairs(columns) do
    row[name] = cells[i]
  end
  return row
end

local function read_table(path, lines, put, separator, columns)
  local next_line, failure = numbered(path, lines, true)
  for line, number in next_line do
    local cells, why
    local bare = without_cr(line)
    if separator == "," and line:find('"', 1, true) then
      cells, why = quoted_cells(line, separator, next_line)
    else
      cells = plain_cells(bare, separator)
    end
    if failure() then
      break
    elseif not cells then
      return nil, data_error(path, number, why)
    elseif not columns then
      columns = cells -- a file whose script names no columns names them itself, in its first line
    elseif bare ~= "" then
      if #cells ~= #columns then
        return nil, data_error(path, number,
          ("want %d cells (%s), got %d"):format(#columns, table.concat(columns, ", "), #cells))
      end
      put(named_cells(cells, columns), number)
    end
  end
  return not failure(), failure()
end

local readers = {
  jsonl = read_jsonl,
  csv = function(path, lines, put, columns) return read_table(path, lines, put, ",", columns) end,
  tsv = function(path, lines, put, columns) return read_table(path, lines, put, "\t", columns) end,
}

--- The format by a file's name, compressed or not.
-- @treturn ?string "jsonl", "csv" or "tsv"
function rows.format_of(name)
  local ending = name:gsub("%.gz$", ""):gsub("%.zst$", ""):match("%.(%w+)$")
  return readers[ending] and ending or nil
end

--- Read one file.
-- @tparam string path as shown in errors and opened
-- @tparam ?table options `format` (by the name's ending), `columns` (of csv and tsv; without them the first line)
-- @treturn[1] {table,...} rows, each an object `{ column = value }`
-- @treturn[1] table `{ path, sha256, bytes, rows, lines = {line number of each row} }`
-- @treturn[2] nil
-- @treturn[2] table err of kind `data` or `io`
function rows.read(path, options)
  options = options or {}
  local format = options.format or rows.format_of(path)
  local reader = readers[format]
  if not reader then
    return nil, data_error(path, nil, ("want format jsonl, csv or tsv, got %s"):format(tostring(format)))
  end
  local lines, err = file.lines(path)
  if not lines then
    return nil, err
  end
  local list, line_numbers, count = {}, {}, 0
  local is_read
  is_read, err = reader(path, lines, function(row, line)
    count = count + 1
    list[count], line_numbers[count] = row, line
  end, options.columns)
  lines:close()
  if not is_read then
    return nil, err
  end
  return list, { path = path, sha256 = lines:sha256(), bytes = lines:bytes(), rows = count, lines = line_numbers }
end

-- ---- finding files -------------------------------------------------------------------------------------

local function find_one(dirs, name)
  for _, dir in ipairs(dirs) do
    for _, ending in ipairs(PACKED_ENDINGS) do
      local path = dir .. "/" .. name .. ending
      local info = file.stat(path)
      if info and info.kind == "file" then
        return { { path = path, name = name } }
      end
    end
  end
end

-- Files of the first folder that has any: what `*` of the last part of the pattern matched is the group.
local function find_pattern(dirs, pattern)
  local folder, before, after = pattern:match("^(.-)([^/*]*)%*([^/*]*)$")
  if not folder then
    return nil
  end
  for _, dir in ipairs(dirs) do
    local found, seen = {}, {}
    for _, listed in ipairs(file.list(dir .. "/" .. folder) or {}) do
      local name = listed:gsub("%.gz$", ""):gsub("%.zst$", "")
      local is_long_enough = #name > #before + #after
      if is_long_enough and name:sub(1, #before) == before and name:sub(-#after - 1):sub(2) == after
        and not seen[name] then
        seen[name] = true
        found[#found + 1] = { path = dir .. "/" .. folder .. listed, name = folder .. name,
          group = name:sub(#before + 1, #name - #after) }
      end
    end
    if #found > 0 then
      table.sort(found, function(a, b) return a.name < b.name end)
      return found
    end
  end
end

--- Find the files of one split.
-- @tparam table source `{ file = … }` or `{ files = "folder/*_ending" }`, as in a data set script
-- @tparam {string,...} dirs data folders, the first that has the files wins
-- @tparam ?string dataset name, for the hint
-- @treturn[1] {table,...} list of `{ path, name, group }`, sorted by name
-- @treturn[2] nil
-- @treturn[2] table err of kind `data` with where it looked and how to get the file
function rows.find(source, dirs, dataset)
  local wanted = source.file or source.files
  local found = source.file and find_one(dirs, wanted) or source.files and find_pattern(dirs, wanted)
  if found then
    return found
  end
  local places = {}
  for i, dir in ipairs(dirs) do
    places[i] = dir .. "/" .. wanted
  end
  local text = ("%s: no such file (looked for %s)"):format(wanted, table.concat(places, ", "))
  local how = ("pass --data DIR, where DIR/%s is"):format(wanted)
  if source.url and dataset then
    how = ("run `qlua fetch %s`, or %s"):format(dataset, how)
  end
  return nil, { kind = "data", text = text, hint = how }
end

--- Read all rows of one split.
-- @tparam table source as for `find`, with `format`, `columns`, `rows` and `sha256`
-- @tparam {string,...} dirs
-- @tparam ?string dataset name, for the hint
-- @treturn[1] {table,...} list of `{ row, file, line, group }`: the row and where it came from
-- @treturn[1] {table,...} files, each `{ path, name, group, sha256, bytes, rows }`
-- @treturn[2] nil
-- @treturn[2] table err
function rows.load(source, dirs, dataset)
  local found, err = rows.find(source, dirs, dataset)
  if not found then
    return nil, err
  end
  local list, files = {}, {}
  for _, each in ipairs(found) do
    local options = { format = source.format or rows.format_of(each.name), columns = source.columns }
    local read, info = rows.read(each.path, options)
    if not read then
      return nil, info
    end
    for i, row in ipairs(read) do
      list[#list + 1] = { row = row, file = each.path, line = info.lines[i], group = each.group }
    end
    files[#files + 1] = { path = each.path, name = each.name, group = each.group,
      sha256 = info.sha256, bytes = info.bytes, rows = info.rows }
  end
  if #list == 0 then
    return nil, data_error(found[1].path, nil, "want at least one row, got none")
  end
  return list, files
end

return rows
