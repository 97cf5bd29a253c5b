-- SPDX-License-Identifier: Apache-2.0
--- The reference tables of the configuration, out of the schema itself.

local check = require "qlua.config_check"
local schema = require "qlua.config_schema"

local doc = {}

local function default_text(field)
  if field.required then return "required" end
  local value = field.default
  if type(value) == "table" then return "`[" .. table.concat(value, ", ") .. "]`" end
  if value == nil and field.type == "dict" then return "`{}`" end
  if value == nil then return field.type == "list" and not field.null and "`[]`" or "–" end
  return "`" .. tostring(value) .. "`"
end

local function wanted_text(field)
  local words = field.type == "any" and "anything" or check.wanted(field)
  if field.of and field.of.type == "map" then words = "a list of maps" end
  if field.of and field.type ~= "map" and field.of.type == "string" then
    words = field.type == "list" and "a list of strings" or "a map of strings"
  end
  return (words:gsub("|", "\\|")) .. (field.null and ", or null" or "")
end

--- The table of one section.
-- @tparam {table,...} fields descriptors
-- @treturn string Markdown
function doc.table_of(fields)
  local lines = { "| key | wants | default | |", "|---|---|---|---|" }
  for _, field in ipairs(fields) do
    if not field.of_section then
      lines[#lines + 1] = ("| `%s` | %s | %s | %s<br>%s |"):format(field.key, wanted_text(field), default_text(field),
        field.summary.en, field.summary.zh)
    end
  end
  return table.concat(lines, "\n")
end

local SECTIONS = { "variant", "dataset", "server", "generation", "benchmark", "load", "report", "verdict", "sim" }

--- A document with all its tables, between `<!-- schema: NAME -->` and `<!-- end -->`, made anew.
-- @tparam string text
-- @treturn string
function doc.refresh(text)
  for _, section in ipairs(SECTIONS) do
    local open = ("<!-- schema: %s -->"):format(section)
    local from, to = text:find(open, 1, true)
    local stop = from and text:find("<!-- end -->", to, true)
    if stop then text = text:sub(1, to) .. "\n" .. doc.table_of(schema[section]) .. "\n" .. text:sub(stop) end
  end
  return text
end

return doc
