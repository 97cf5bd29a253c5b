-- SPDX-License-Identifier: Apache-2.0
--- Locale: which language to speak, and what the terminal can show.
--
-- Texts for people are pairs `{ en = …, zh = … }`. A page or a terminal speaks one of them, or both together.
-- Everything here is pure: the environment is a function `env(name)` that the caller hands in.
local locale = {}

--- The languages in the order in which they are set together.
locale.order = { "en", "zh" }

locale.languages = { en = { "en" }, zh = { "zh" }, both = { "en", "zh" } }

--- Is this a pair of texts with both sides?
function locale.is_say(value)
  return type(value) == "table" and type(value.en) == "string" and type(value.zh) == "string"
end

--- Check every text in a tree of texts, such as a layout's `say` table.
-- @tparam table tree pairs, or tables of pairs to any depth
-- @tparam string where how to name the tree in the error
-- @treturn boolean|nil true, or nil and an error whose text names the field and the missing side
function locale.check(tree, where)
  if tree.en ~= nil or tree.zh ~= nil then
    for _, side in ipairs(locale.order) do
      if type(tree[side]) ~= "string" then
        local text = ("%s: side '%s' is missing (want a text, as in { en = \"…\", zh = \"…\" })"):format(where, side)
        return nil, { kind = "script", text = text }
      end
    end
    return true
  end
  local names = {}
  for name in pairs(tree) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local field = ("%s.%s"):format(where, name)
    if type(tree[name]) ~= "table" then
      return nil, { kind = "script", text = ("%s: want { en = …, zh = … }, got %s"):format(field, type(tree[name])) }
    end
    local ok, err = locale.check(tree[name], field)
    if not ok then return nil, err end
  end
  return true
end

--- What is wrong with a text, or nil.
-- @treturn ?string
function locale.problem(value)
  if type(value) == "string" then return nil end
  if type(value) ~= "table" then return ("text: want { en = …, zh = … } or a string, got %s"):format(type(value)) end
  for _, side in ipairs(locale.order) do
    if type(value[side]) ~= "string" then
      return ("text: side '%s' is missing (want { en = \"…\", zh = \"…\" })"):format(side)
    end
  end
end

--- The sides of a text that a language shows.
-- @param value a pair, or a string, which is the same in all languages
-- @tparam string language `en`, `zh` or `both`
-- @treturn {string,…} one text, or two for `both` (one when the sides are the same)
-- @raise when a side is missing
function locale.sides(value, language)
  local problem = locale.problem(value)
  if problem then error(problem, 2) end
  if type(value) == "string" then return { value } end
  if language == "both" then
    if value.en == value.zh then return { value.en } end
    return { value.en, value.zh }
  end
  return { value[language] }
end

--- The sides of a text in one string.
-- @tparam[opt=" / "] string separator what stands between the languages
function locale.join(value, language, separator)
  return table.concat(locale.sides(value, language), separator or " / ")
end

local function charset(env)
  -- POSIX: the first that is set and not empty decides.
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
    local value = env(name)
    if value and value ~= "" then return value end
  end
  return "C"
end

--- Can the terminal be expected to draw more than ASCII?
function locale.is_utf8(env)
  return charset(env):lower():find("utf%-?8") ~= nil
end

--- May colours be used? https://no-color.org: any value of NO_COLOR that is not empty says no.
function locale.has_color(env, is_tty)
  local no_color = env("NO_COLOR")
  if no_color and no_color ~= "" then return false end
  return is_tty and env("TERM") ~= "dumb" or false
end

--- The language the environment asks for: `zh` for any Chinese locale, else `en`.
function locale.language(env)
  for _, name in ipairs { "LC_ALL", "LC_MESSAGES", "LANG" } do
    local value = env(name)
    if value and value ~= "" then return value:lower():find("^zh") and "zh" or "en" end
  end
  return "en"
end

return locale
