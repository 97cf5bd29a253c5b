-- SPDX-License-Identifier: Apache-2.0
--- The Markdown writer of a page: GitHub-flavoured, and readable as plain text in a terminal.
--
-- A writer knows one output format and nothing of languages or summaries: `qlua.page` hands it finished
-- texts, one for each language shown. Data (`escape`, `mono`) is made literal; a layout's own words are not
-- touched, so that a layout may use **bold** or a link.
local clean = require "qlua.page.clean"
local locale = require "qlua.locale"
local tables = require "qlua.table"

local markdown = {}
markdown.__index = markdown

function markdown.new() return setmetatable({}, markdown) end

--- Data as literal text: no markup, no HTML, one line.
function markdown.escape(_, s)
  s = clean.line(s):gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"):gsub("[\\`*%[%]|~]", "\\%0")
  -- An underscore inside a word (`kv_cache`) is literal already; escaping it would only spoil the source.
  s = s:gsub("%f[_]_+%f[^_]", function(run) return (run:gsub("_", "\\_")) end)
  s = s:gsub("(%w)\\_(%w)", "%1_%2"):gsub("(%w)\\_(%w)", "%1_%2")
  -- Brackets around figures cannot become a link while no parenthesis or colon follows.
  return (s:gsub("\\(%[[%d., +-]+)\\(%])%f[%z%s]", "%1%2"))
end

--- Data as a code span. In a table a bar has to be escaped even there.
function markdown.mono(_, s, in_table)
  s = clean.line(s)
  if s == "" then return "" end
  local longest = 0
  for run in s:gmatch("`+") do longest = math.max(longest, #run) end
  local fence = ("`"):rep(longest + 1)
  if longest > 0 or s:find("^ ") then s = " " .. s .. " " end
  if in_table then s = s:gsub("|", "\\|") end
  return fence .. s .. fence
end

--- The text of a value that is not known.
function markdown.missing(_, mark) return mark end

-- A value at the start of a line must not become a heading, a quotation or a list.
local function block_safe(line)
  line = line:gsub("^([#>+=-])", "\\%1"):gsub("^(%d+)([.)])", "%1\\%2")
  return line
end

function markdown.heading(_, level, texts)
  return ("%s %s\n"):format(("#"):rep(level), table.concat(texts, " / "))
end

function markdown.paragraph(_, texts)
  local blocks = {}
  for i, line in ipairs(texts) do blocks[i] = block_safe(line) .. "\n" end
  return table.concat(blocks, "\n")
end

function markdown.note(_, texts)
  local blocks = {}
  for i, line in ipairs(texts) do blocks[i] = "> " .. block_safe(line) .. "\n" end
  return table.concat(blocks, ">\n")
end

--- Items with the languages of one item as paragraphs of it.
function markdown.list(_, items)
  local lines = {}
  for _, texts in ipairs(items) do
    for i, line in ipairs(texts) do
      lines[#lines + 1] = (i == 1 and "- " or "\n  ") .. block_safe(line) .. "\n"
    end
  end
  return table.concat(lines)
end

function markdown.code(_, s, language)
  s = clean.lines(s)
  local longest = 2
  for run in s:gmatch("`+") do longest = math.max(longest, #run) end
  local fence = ("`"):rep(longest + 1)
  return ("%s%s\n%s\n%s\n"):format(fence, language or "", s, fence)
end

--- A reference to a drawing that is written beside the page.
function markdown.figure(_, name, texts)
  local alt = table.concat(texts, " / "):gsub("[%[%]`*\\]", "")
  return ("![%s](%s.svg)\n"):format(alt, name)
end

--- @tparam {table,…} choices tables from wide to narrow; paper is patient, so the first is taken
function markdown.table(_, choices)
  local first = choices[1]
  local rows = {}
  for _, row in ipairs(first.rows) do if not row.rule then rows[#rows + 1] = row end end
  return tables.markdown(first.columns, rows)
end

--- How a cell or a title shows two languages at once.
function markdown.both(_, value, language, is_title) return locale.join(value, language, is_title and " " or " / ") end

return markdown
