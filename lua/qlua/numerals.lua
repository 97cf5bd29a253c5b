-- SPDX-License-Identifier: Apache-2.0
--- numerals: finds the numbers in readable text and says how each stands there.
-- A numeral is *stated* when it is neither an operand of arithmetic (the 2 and the 1 of "2-1") nor part of something
-- else: a step's number, a list mark, a clock, an exponent, a word ("COVID-19"). Works on `reply.doc(...).text`, on one
-- line or sentence at a time; every look around a numeral is a few bytes long.
local number = require "qlua.number"

local numerals = {}

local CURRENCY = { ["$"] = true, ["€"] = true, ["£"] = true, ["¥"] = true, ["₹"] = true }
local CURRENCY_CODE = { USD = true, RMB = true, CNY = true, EUR = true, GBP = true, Rs = true, US = true, HK = true }
-- Words whose number names a thing and counts nothing.
local NAMED = { step = true, steps = true, part = true, equation = true, eq = true, note = true, method = true,
  case = true,
                line = true, question = true, problem = true, figure = true, table = true, section = true,
                  option = true,
                ["第"] = true }
local VARIABLE = "^[xyzn]%f[^%w_]"

-- What stands before a numeral at `at`: where it begins with sign and currency, its sign, and what it hangs on.
local function look_left(text, at, first)
  local begin, sign = at, ""
  local before = text:sub(math.max(first, at - 24), at - 1)
  local function drop(count) before, begin = before:sub(1, -count - 1), begin - count end
  local mark = before:match "[$]$" or before:match "[\194\226][\128-\191]+$"
  if mark and CURRENCY[mark] then drop(#mark) end
  local code = before:match "%f[%a](%a+)$"
  if code and CURRENCY_CODE[code] then drop(#code) end
  local minus = before:match "([+-])$"
  if minus then
    local ahead = before:sub(-2, -2)
    local beyond = before:match "(%S)%s*[+-]$" or ""
    if beyond:find "[%d%)}%%]" then return begin, sign, "operand" end
    if ahead:find "%a" or ahead == "-" then return begin, sign, "part" end -- COVID-19, --5
    sign = minus == "-" and "-" or ""
    drop(1)
    if before:sub(-1) == "$" then drop(1) end
  end
  if before:find "[%w_]$" and not code or before:find "[%^_]{?$" or before:find "%d:$" or before:find "\\%a*$" then
    return begin, sign, "part"
  end
  if before:find "=%s*[*$%({%[]*%s*$" then return begin, sign, "result" end
  local operator, behind = before:match "()([*/+x^-])%s?[%(${]?%s*$"
  if operator then
    local ahead = before:sub(1, operator - 1)
    if behind == "x" then
      if ahead:find "%d%s*$" then return begin, sign, "operand" end
    elseif behind == "*" and ahead:find "%*$" or behind == "*" and ahead:find "^%s*$" then
      return begin, sign -- bold or a list's bullet
    elseif ahead:find "[%w%)}%%]%s*$" and not (behind == "-" and ahead:find "%a%s*$") and not (behind == "*" and
      not ahead:find "%s$" and not ahead:find "[%d%)}]$") then
      return begin, sign, "operand"
    end
  end
  local word = before:match "(%a+)%s*[#%(]?$"
  if word and NAMED[word:lower()] or before:find "第$" then return begin, sign, "part" end
  return begin, sign
end

-- What stands behind it: "operand" before an operator, "before_result" before "=", "part" of something else.
local function look_right(text, stop, last)
  local after = text:sub(stop, math.min(last, stop + 40))
  if after:find "^:%d" or after:find "^[_%^]" or after:find(VARIABLE) or after:find "^%d*[snrt][tdh]%f[%A]" then
    return after:find "^%^" and "operand" or "part"
  end
  if after:find "^%-%a" then return nil end -- 12-hour, 3-day
  local rest = after:gsub("^%%", ""):gsub("^%*%*", "")
  if rest:find "^[%)}]?%s*[/+*^]%s*[%(${]*%s*[%d\\.]" or rest:find "^[%)}]?%s*%-%s*[%(${]*%s*[%d.]"
    or rest:find "^%s*x%s*%$?%d"
    or rest:find "^%s+%a+ [*/+] [%(${]*%d" then
    return "operand"
  end
  if rest:find "^[%s%)}$]*=" or rest:find "^%s*%a+%s*=" or rest:find "^%s*%a+%s+%a+%s*=" then return "before_result" end
end

local function is_list_mark(text, from, stop, first)
  if not text:find("^[.)、]%s", stop) and not text:find("^[.)、]%*%*", stop) and not text:find("^、",
    stop) then return false end
  if text:find("^[.)、]%s*\n", stop) or stop >= #text then return false end
  local before = text:sub(math.max(first, from - 8), from - 1)
  return (from - #before == first and before:find "^[%s%(*#-]*$" or before:find "\n[%s%(*#-]*$") ~= nil
    and text:find("^[.)、]+[%s*]*[^%s%d]", stop) ~= nil
end

--- Next numeral in text[at..last].
local function read(text, digit, first, last)
  local stop, value, why = number.literal(text, digit)
  local begin, sign, left = look_left(text, digit, first)
  local right = look_right(text, stop, last)
  if is_list_mark(text, begin, stop, first) then left = "part" end
  local numeral = { from = begin, to = stop - 1, left = left, right = right, why = why }
  if value then numeral.value = number.write(value, sign == "-") end
  if not value and not why then left = "part" end
  numeral.is_stated = left ~= "operand" and left ~= "part" and right ~= "operand" and right ~= "part"
  numeral.is_operand = left == "operand" or right == "operand"
  numeral.left = left
  return numeral, stop
end

--- All numerals of text[first..last] in order.
-- @tparam string text
-- @tparam int first
-- @tparam int last
-- @tparam ?int most stop after so many
-- @treturn table { from, to, value (nil when it cannot be told), why ("ambiguous"), left, right, is_stated,
-- is_operand }…
function numerals.scan(text, first, last, most)
  local list, at = {}, 1
  local part = text:sub(first, last) -- a search must not run on into the rest of the text
  while #list < (most or math.huge) do
    local digit = part:find("%d", at)
    if not digit then break end
    if part:sub(digit - 1, digit - 1) == "." and (digit == 2 or not part:find("^[%w.]",
      digit - 2)) then digit = digit - 1 end
    list[#list + 1], at = read(part, digit, 1, #part)
    at = math.max(at, digit + 1)
  end
  for _, numeral in ipairs(list) do numeral.from, numeral.to = numeral.from + first - 1, numeral.to + first - 1 end
  return list
end

--- The value a run of arithmetic beginning with list[index] comes to, as the text says it: 2 * 9 = 18 is 18.
-- @treturn ?table the numeral; nil when the arithmetic is left unsolved
function numerals.outcome(list, index)
  local last_stated
  while list[index] do
    local numeral = list[index]
    if numeral.is_stated then last_stated = numeral end
    if numeral.right ~= "operand" and numeral.right ~= "before_result" then
      if numeral.is_stated or not list[index + 1] or list[index + 1].left ~= "operand" then break end
    end
    index = index + 1
  end
  return last_stated
end

--- The one value that all stated numerals of a list share.
-- @treturn ?table a numeral, the last
-- @treturn ?string "ambiguous" when they differ
function numerals.only(list)
  local found
  for _, numeral in ipairs(list) do
    if numeral.is_stated then
      if found and found.value ~= numeral.value then return nil, "ambiguous" end
      found = numeral
    end
  end
  return found
end

return numerals
