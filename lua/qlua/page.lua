-- SPDX-License-Identifier: Apache-2.0
--- Page: what a report's layout writes on, in one language or two, in one format or another.
--
-- A layout never asks for the language: it says `page:heading(2, { en = "Accuracy", zh = "准确率" })` and the page
-- picks a side or sets both (headings `English / 中文`, paragraphs one after the other, table titles
-- `English 中文`). Two kinds of text are kept apart: a layout's own words, which may hold markup, and data, which
-- never does. Data enters by table cells and by `{name}` places in a text:
--
--     page:text({ en = "Baseline: {name}.", zh = "基线：{name}。" }, { name = summary.baseline })
--
-- A value is a string or a number (data), a pair (data in both languages), or `page:mono(data)`.
local format = require "qlua.page.format"
local locale = require "qlua.locale"
local outcomes = require "qlua.outcomes"

local page = {}
page.__index = page

local writers = {
  markdown = require "qlua.page.markdown",
  terminal = require "qlua.page.terminal",
}

--- A new, empty page.
-- @tparam table options `language` (`en`, `zh`, `both`), `format` (`markdown` or `terminal`), and for a terminal
-- `width`, `ascii`, `color`
function page.new(options)
  local language = options.language or "en"
  if not locale.languages[language] then
    error(("page: language: want en, zh or both, got '%s'"):format(tostring(language)), 2)
  end
  local writer = writers[options.format or "markdown"]
  if not writer then error(("page: format: want markdown or terminal, got '%s'"):format(options.format), 2) end
  return setmetatable({ language = language, writer = writer.new(options), parts = {} }, page)
end

-- Raise at the place in the layout where a page was used wrongly, however deep in here it was noticed.
local function misuse(message, ...)
  local level = 2
  local frame = debug.getinfo(level, "Sl")
  while frame and (frame.what == "C" or frame.source:find("lua/qlua/page", 1, true)) do
    level = level + 1
    frame = debug.getinfo(level, "Sl")
  end
  local where = frame and ("%s:%d: "):format(frame.short_src, frame.currentline) or ""
  error(where .. message:format(...), 0)
end

local function side_of(value, language)
  local problem = locale.problem(value)
  if problem then misuse("page: %s", problem) end
  return locale.sides(value, language)[1]
end

local function add(self, part) self.parts[#self.parts + 1] = part end

local function datum(self, value, language)
  if type(value) == "table" and value.mono then return self.writer:mono(value.mono) end
  if type(value) == "number" then value = tostring(value) end
  if value == format.MISSING then return self.writer:missing(value) end
  return self.writer:escape(side_of(value, language))
end

local function fill(self, side, values, language)
  return (side:gsub("{([%a_][%w_]*)}", function(name)
    local value = values and values[name]
    if value == nil then misuse("page: text '%s': no value for {%s}", side, name) end
    return datum(self, value, language)
  end))
end

-- The finished texts of a say, one for each language the page shows.
local function texts(self, say, values)
  if type(say) == "string" then say = { en = say, zh = say } end
  local finished = {}
  for _, language in ipairs(locale.languages[self.language]) do
    local one = fill(self, side_of(say, language), values, language)
    if finished[#finished] ~= one then finished[#finished + 1] = one end
  end
  return finished
end

--- A heading; `level` 1 to 6.
function page:heading(level, say, values) add(self, self.writer:heading(level, texts(self, say, values))) end

--- A paragraph.
function page:text(say, values) add(self, self.writer:paragraph(texts(self, say, values))) end

--- A remark that must not be overlooked: a caveat, a banner.
function page:note(say, values) add(self, self.writer:note(texts(self, say, values))) end

--- A list; an item is a say, or `{ say, values }`.
function page:list(items)
  local finished = {}
  for i, item in ipairs(items) do
    if type(item) == "table" and item[1] then
      finished[i] = texts(self, item[1], item[2])
    else
      finished[i] = texts(self, item)
    end
  end
  if #finished > 0 then add(self, self.writer:list(finished)) end
end

--- A block of code or of a command, as it is.
-- @tparam string code data
-- @tparam[opt] string language for highlighting
function page:code(code, language) add(self, self.writer:code(code, language)) end

local function cell(self, value, is_title)
  if value == nil then value = format.MISSING end
  if type(value) == "number" then value = tostring(value) end
  if type(value) == "string" then
    return value == format.MISSING and self.writer:missing(value) or self.writer:escape(value)
  end
  if type(value) == "table" and value.mono then return self.writer:mono(value.mono, true) end
  side_of(value, "en")
  return self.writer:escape(self.writer:both(value, self.language, is_title))
end

local function finished_table(self, set)
  if type(set) ~= "table" or type(set.columns) ~= "table" or type(set.rows) ~= "table" then
    misuse "page: table: want { columns = { … }, rows = { … } }"
  end
  local columns, rows = {}, {}
  for i, column in ipairs(set.columns) do
    columns[i] = { title = cell(self, column.title, true), align = column.align, flex = column.flex }
  end
  for i, row in ipairs(set.rows) do
    rows[i] = { rule = row.rule }
    for j in ipairs(row.rule and {} or columns) do rows[i][j] = cell(self, row[j]) end
  end
  return { columns = columns, rows = rows }
end

--- A table `{ columns = { { title = say, align = "right", flex = true }, … }, rows = { { cell, … }, … } }`.
-- A cell is data, a pair, `page:mono(data)`, or nil for "not known"; a row `{ rule = true }` is a line across on a
-- terminal. Further tables are narrower ones to fall back on where the first does not fit.
function page:table(...)
  local choices = {}
  for i, set in ipairs { ... } do choices[i] = finished_table(self, set) end
  add(self, self.writer:table(choices))
end

--- A pair with its places filled, to be a value elsewhere.
-- @tparam table values strings, or pairs
function page.fill(_, say, values)
  local result = {}
  for _, side in ipairs(locale.order) do
    result[side] = side_of(say, side):gsub("{([%a_][%w_]*)}", function(name)
      return values[name] and side_of(values[name], side)
    end)
  end
  return result
end

--- Data to be set in a fixed-width font: names, checksums, commands.
function page.mono(_, data) return { mono = data } end

--- The page as text.
function page:render() return table.concat(self.parts, "\n") end

--- The closed list of outcomes, in order: `{ { name, class, title = say }, … }`.
function page.outcomes(_) return outcomes.list end

--- page:percent(share), page:interval(share, bounds), page:count(n), page:seconds(s), …: `qlua.page.format`
for name, fn in pairs(format) do
  if type(fn) == "function" then page[name] = function(_, ...) return fn(...) end end
end

--- Let a report's layout write a Summary onto a new page.
-- @tparam table report the script's table: `layout(page, summary)`, `format`
-- @tparam table summary what `qlua.summary` built
-- @tparam table options as for `page.new`
-- @treturn string the page
function page.set(report, summary, options)
  local fresh = {}
  for key, value in pairs(options) do fresh[key] = value end
  fresh.format = report.format or "markdown"
  local sheet = page.new(fresh)
  report.layout(sheet, summary)
  return sheet:render()
end

return page
