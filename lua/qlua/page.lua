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
local embed = require "qlua.page.embed"
local file = require "qlua.core.file"
local format = require "qlua.page.format"
local json = require "qlua.core.json"
local locale = require "qlua.locale"
local outcomes = require "qlua.outcomes"
local script = require "qlua.core.script"

local page = {}
page.__index = page

local writers = {
  html = require "qlua.page.html",
  markdown = require "qlua.page.markdown",
  terminal = require "qlua.page.terminal",
}

--- A new, empty page.
-- @tparam table options `language` (`en`, `zh`, `both`), `format` (`markdown`, `html` or `terminal`), for a terminal
-- `width`, `ascii`, `color`; `samples` (`qlua.samples`), `folder` (of the layout, for its assets), `figures` (true when
-- drawings can be written beside the page), `live` (true when a server answers for the samples)
function page.new(options)
  local language = options.language or "en"
  if not locale.languages[language] then
    error(("page: language: want en, zh or both, got '%s'"):format(tostring(language)), 2)
  end
  local writer = writers[options.format or "markdown"]
  if not writer then error(("page: format: want markdown, html or terminal, got '%s'"):format(options.format), 2) end
  local made = writer.new(options)
  return setmetatable({ language = language, shown = made.both_languages and "both" or language, writer = made, parts = {},
    files = {}, options = options, samples = options.samples, is_live = options.live or false }, page)
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
  local words = self.writer.words and self.writer:words(side) or side
  return (words:gsub("{([%a_][%w_]*)}", function(name)
    local value = values and values[name]
    if value == nil then misuse("page: text '%s': no value for {%s}", side, name) end
    return datum(self, value, language)
  end))
end

-- The finished texts of a say, one for each language the page shows.
local function texts(self, say, values)
  if type(say) == "string" then say = { en = say, zh = say } end
  local finished = {}
  for _, language in ipairs(locale.languages[self.shown]) do
    local one = fill(self, side_of(say, language), values, language)
    if finished[#finished] ~= one then finished[#finished + 1] = one end
  end
  return finished
end

--- A heading; `level` 1 to 6.
function page:heading(level, say, values) add(self, self.writer:heading(level, texts(self, say, values))) end

--- A paragraph; `class` names a style, where the format has styles.
function page:text(say, values, class) add(self, self.writer:paragraph(texts(self, say, values), class)) end

--- A remark that must not be overlooked: a caveat, a banner.
function page:note(say, values, class) add(self, self.writer:note(texts(self, say, values), class)) end

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

local cell
function cell(self, value, is_title)
  if value == nil then value = format.MISSING end
  if type(value) == "number" then value = tostring(value) end
  if type(value) == "string" then
    return value == format.MISSING and self.writer:missing(value) or self.writer:escape(value)
  end
  if type(value) == "table" and value.mono then return self.writer:mono(value.mono, true) end
  if type(value) == "table" and value.badge then
    local text = cell(self, value.badge)
    return self.writer.badge and self.writer:badge(text, value.class) or text
  end
  side_of(value, "en")
  if self.writer.pair then return self.writer:pair(value) end
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
  return { columns = columns, rows = rows, caption = set.caption and cell(self, set.caption) }
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

--- Data as it may stand in SVG or HTML: without markup, and without marks that hide or reorder.
function page.literal(_, data) return writers.html:escape(data) end

--- Data to be set in a fixed-width font: names, checksums, commands.
function page.mono(_, data) return { mono = data } end

--- Part of a page that belongs together: `page:block("section", { id =, class = }, function() … end)`. Where the format
-- has no such thing, what is in it is set as it is.
function page:block(tag, attributes, body)
  local has_blocks = self.writer.open ~= nil
  if has_blocks then add(self, self.writer:open(tag, attributes or {})) end
  body()
  if has_blocks then add(self, self.writer:close(tag)) end
end

--- Something that can be unfolded: `say` is what is seen of it.
function page:details(say, body)
  self:block("details", nil, function()
    if self.writer.summary then add(self, self.writer:summary(texts(self, say))) end
    body()
  end)
end

--- A drawing: in an HTML page itself, beside a Markdown page as a file `name.svg`, on a terminal nothing.
-- @tparam string name of letters, digits and `_`
-- @tparam table say its caption, which also stands for it where it cannot be seen
-- @tparam function draw `draw(languages, is_alone)` gives the SVG; `is_alone` asks for one with its own style
-- @tparam[opt] table values of places in the caption
function page:figure(name, say, draw, values)
  if not self.writer.figure or not (self.writer.both_languages or self.options.figures) then return end
  if not name:match "^[%w_]+$" then misuse("page: figure: want a name of letters, digits and '_', got '%s'", name) end
  local svg = draw(locale.languages[self.shown], not self.writer.both_languages)
  if not svg then return end
  if not self.writer.both_languages then self.files[name .. ".svg"] = svg end
  add(self, self.writer:figure(name, texts(self, say, values), svg))
end

--- The name of the window that shows an HTML page.
function page:window_title(data) self.title = data end

--- How large an HTML page is: a say with the place `{size}`.
function page:size(say, class)
  if not self.writer.document then return end
  add(self, function()
    local bytes = self.about and self.about.bytes or 0
    for _, part in ipairs(self.about and {} or self.parts) do bytes = bytes + (type(part) == "string" and #part or 0) end
    local size = bytes < 1e6 and ("%d kB"):format(bytes // 1000) or ("%.1f MB"):format(bytes / 1e6)
    return self.writer:paragraph(texts(self, say, { size = size }), class)
  end)
end

--- The links to the headings of an HTML page.
function page:contents()
  if self.writer.contents then add(self, function() return self.writer:contents() end) end
end

--- A file of the layout's folder: CSS, JavaScript or SVG, as text.
-- @tparam string name such as `html/page.css`
function page:asset(name)
  if not name:match "^[%w_/%-]+%.%l+$" or not (name:match "%.css$" or name:match "%.js$" or name:match "%.svg$") then
    misuse("page: asset: want the name of a .css, .js or .svg file, got '%s'", name)
  end
  local path = ("%s/%s"):format(self.options.folder or ".", name)
  return file.read(path) or script.embedded(path) or misuse("page: asset: no file %s", path)
end

--- Put a style sheet or a script on an HTML page; other formats have none.
function page:style(css) if self.writer.style then self.writer:style(css) end end
function page:script(js) if self.writer.script then self.writer:script(js) end end

--- Texts for the scripts of an HTML page: pairs by name, which they find as JSON under the id `data-words`.
function page:words(words) self.script_words = words end

--- The place of the sample explorer on an HTML page.
-- Its rows, and as many texts as the budget allows, are set when the page is finished.
function page:explorer()
  if not (self.writer.both_languages and self.samples) then return end
  self.has_explorer = true
  add(self, '<div id="explorer"></div>\n')
end

--- The page as text.
function page:render()
  if not self.writer.document then return table.concat(self.parts, "\n") end
  local data = {}
  if self.script_words then self.writer.add_data(data, "words", json.encode(self.script_words)) end
  if self.has_explorer then embed.add(self, data) end
  for i, part in ipairs(self.parts) do
    if type(part) == "function" then self.parts[i] = part() end
  end
  return self.writer:document(self.parts, data, self.writer:escape(self.title or "qlua"))
end

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
-- @treturn table files to be written beside it: name → text
function page.set(report, summary, options)
  local fresh = {}
  for key, value in pairs(options) do fresh[key] = value end
  fresh.format = report.format or "markdown"
  fresh.folder = report.path and report.path:match "^(.*)/[^/]*$" or "."
  local sheet = page.new(fresh)
  report.layout(sheet, summary)
  return sheet:render(), sheet.files
end

return page
