-- SPDX-License-Identifier: Apache-2.0
--- The HTML writer of a page: one file that needs nothing else, with both languages in it.
--
-- Unlike the other writers it is always given both languages; a switch on the page (an attribute of the root, and CSS)
-- shows one or both. Data is made literal twice over: `clean.line` takes out what could reorder or hide text, `escape`
-- what could be markup. Styles and scripts come from files of the layout's folder (`page:asset`) and are named in the
-- Content-Security-Policy by their hashes, so that nothing else on the page can run, whatever a model wrote.
local clean = require "qlua.page.clean"
local hash = require "qlua.core.hash"

local html = {}
html.__index = html

-- What the languages are called in HTML.
html.codes = { "en", "zh-Hans" }

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function literal(s) return (s:gsub("[&<>\"']", ENTITIES)) end

function html.new(options)
  return setmetatable({ both_languages = true, language = options.language, connect = options.live and "'self'" or "'none'",
    headings = {}, styles = {}, scripts = {}, data = {} }, html)
end

-- A figure and its unit stay on one line.
local function held(s) return (s:gsub("(%d) (%%)", "%1\u{A0}%2")) end

--- Data as literal text.
function html.escape(_, s) return held(literal(clean.line(s))) end

--- A layout's own words: `code` and **bold** are kept as markup, all else is literal.
function html.words(_, s)
  return (held(literal(s)):gsub("`([^`]+)`", "<code>%1</code>"):gsub("%*%*([^*]+)%*%*", "<strong>%1</strong>"))
end

function html.mono(_, s) return "<code>" .. literal(clean.line(s)) .. "</code>" end

function html.missing(_, mark) return ('<span class="missing">%s</span>'):format(mark) end

-- One text for each language, or one text without a language where they are the same.
local function spans(texts)
  if #texts == 1 then return texts[1] end
  return ('<span lang="%s">%s</span><span lang="%s">%s</span>'):format(html.codes[1], texts[1], html.codes[2], texts[2])
end

--- A pair of data as a cell or a label.
function html.pair(_, value)
  if type(value) == "string" then return held(literal(clean.line(value))) end
  local en, zh = held(literal(clean.line(value.en))), held(literal(clean.line(value.zh)))
  return spans(en == zh and { en } or { en, zh })
end

local function class(name) return name and (' class="%s"'):format(literal(name)) or "" end

local function blocks(tag, texts, name)
  if #texts == 1 then return ("<%s%s>%s</%s>\n"):format(tag, class(name), texts[1], tag) end
  local parts = {}
  for i, one in ipairs(texts) do
    parts[i] = ('<%s%s lang="%s">%s</%s>\n'):format(tag, class(name), html.codes[i], one, tag)
  end
  return table.concat(parts)
end

function html:heading(level, texts)
  local id = ("part-%d"):format(#self.headings + 1)
  self.headings[#self.headings + 1] = { id = id, level = level, text = spans(texts) }
  self.last_heading = id
  return ('<h%d id="%s">%s</h%d>\n'):format(level, id, spans(texts), level)
end

function html.paragraph(_, texts, name) return blocks("p", texts, name) end

function html.note(_, texts, name)
  return ('<div class="note%s" role="note">%s</div>\n'):format(name and " " .. name or "", blocks("p", texts))
end

function html.list(_, items)
  local parts = {}
  for i, texts in ipairs(items) do parts[i] = "<li>" .. spans(texts) .. "</li>\n" end
  return "<ul>\n" .. table.concat(parts) .. "</ul>\n"
end

function html.code(_, s) return '<pre tabindex="0"><code>' .. literal(clean.lines(s)) .. "</code></pre>\n" end

local function table_row(tag, cells, columns)
  local parts = {}
  for i, column in ipairs(columns) do
    local is_head = tag == "th" or i == 1
    parts[i] = ("<%s%s%s>%s</%s>"):format(is_head and "th" or "td",
      is_head and (tag == "th" and ' scope="col"' or ' scope="row"') or "",
      column.align == "right" and ' class="number"' or "", cells[i], is_head and "th" or "td")
  end
  return "<tr>" .. table.concat(parts) .. "</tr>\n"
end

--- The first of the tables; it scrolls by itself where the page is narrow.
function html:table(choices)
  local first = choices[1]
  local titles, rows = {}, {}
  for i, column in ipairs(first.columns) do titles[i] = column.title end
  for _, row in ipairs(first.rows) do
    if not row.rule then rows[#rows + 1] = table_row("td", row, first.columns) end
  end
  local name = first.caption and "" or self.last_heading and (' aria-labelledby="%s"'):format(self.last_heading) or ""
  return ('<div class="table" tabindex="0" role="region"%s><table>%s\n<thead>%s</thead>\n<tbody>\n%s</tbody></table></div>\n'):format(
    name, first.caption and ("<caption>%s</caption>"):format(first.caption) or "", table_row("th", titles, first.columns),
    table.concat(rows))
end

--- A short word in a frame, coloured by what it means.
function html.badge(_, text, name) return ('<span class="badge %s">%s</span>'):format(literal(name), text) end

local TAGS = { section = true, div = true, header = true, footer = true, nav = true, details = true, aside = true }

function html.open(_, tag, attributes)
  if not TAGS[tag] then error(("page: block: want one of section, div, header, footer, nav, details or aside, got '%s'"):format(tag), 0) end
  local parts = {}
  for _, name in ipairs { "id", "class" } do
    if attributes[name] then parts[#parts + 1] = (' %s="%s"'):format(name, literal(attributes[name])) end
  end
  return "<" .. tag .. table.concat(parts) .. ">\n"
end

function html.close(_, tag) return "</" .. tag .. ">\n" end

function html.summary(_, texts) return "<summary>" .. spans(texts) .. "</summary>\n" end

--- A drawing with its caption. The drawing is SVG that the layout made; its texts were escaped when it was drawn.
function html.figure(_, name, texts, svg)
  return ('<figure id="figure-%s">\n%s\n<figcaption>%s</figcaption>\n</figure>\n'):format(literal(name), svg, spans(texts))
end

function html:style(css) self.styles[#self.styles + 1] = css end
function html:script(js) self.scripts[#self.scripts + 1] = js end

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Bytes as Base64 (RFC 4648), as the policy wants its hashes.
function html.base64(bytes)
  local parts = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for place = 0, 3 do
      local digit = n >> (18 - 6 * place) & 63
      parts[#parts + 1] = (place == 2 and not b or place == 3 and not c) and "=" or BASE64:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(parts)
end

local function hashes(list)
  if #list == 0 then return "'none'" end
  local parts = {}
  for i, source in ipairs(list) do parts[i] = ("'sha256-%s'"):format(html.base64(hash.sha256_raw(source))) end
  return table.concat(parts, " ")
end

--- The page's Content-Security-Policy: only the styles and scripts that were put on it, and no request to anywhere
-- (to its own server where it is served by one).
function html:policy()
  return ("default-src 'none'; style-src %s; script-src %s; img-src data:; connect-src %s; base-uri 'none'; form-action 'none'"):format(
    hashes(self.styles), hashes(self.scripts), self.connect)
end

--- The links to the headings of the second level.
function html:contents()
  local parts = {}
  for _, heading in ipairs(self.headings) do
    if heading.level == 2 then parts[#parts + 1] = ('<li><a href="#%s">%s</a></li>\n'):format(heading.id, heading.text) end
  end
  return '<nav class="contents" aria-label="Contents 目录"><ul>\n' .. table.concat(parts) .. "</ul></nav>\n"
end

-- JSON inside a script element: `<` must not begin a tag or a comment there, and old parsers of JavaScript took two
-- separators for line ends.
local function data_block(id, json_text)
  local safe = json_text:gsub("<", "\\u003c"):gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029")
  return ('<script type="application/json" id="data-%s">'):format(literal(id)), safe, "</script>\n"
end

--- Add the parts of a block of data to a list.
function html.add_data(list, id, json_text)
  list[#list + 1], list[#list + 2], list[#list + 3] = data_block(id, json_text)
end

local SHOWN = { en = "en", zh = "zh-Hans", both = "en" }

--- The whole document.
-- @tparam {string,…} parts of the body
-- @tparam {string,…} data blocks of data, finished
-- @tparam string title literal text
function html:document(parts, data, title)
  local out = {
    '<!DOCTYPE html>\n<html lang="', SHOWN[self.language], '" data-language="', self.language, '" data-scheme="auto">\n<head>\n',
    '<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="', self:policy(), '">\n',
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n',
    '<meta name="generator" content="qlua">\n<link rel="icon" href="data:,">\n<title>', title, "</title>\n",
  }
  local function add(...)
    for _, part in ipairs { ... } do out[#out + 1] = part end
  end
  for _, css in ipairs(self.styles) do add("<style>", css, "</style>\n") end
  add("</head>\n<body>\n")
  for _, part in ipairs(parts) do add(part) end
  for _, part in ipairs(data) do add(part) end
  for _, js in ipairs(self.scripts) do add("<script>", js, "</script>\n") end
  add("</body>\n</html>\n")
  return table.concat(out)
end

return html
