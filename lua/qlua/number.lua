-- SPDX-License-Identifier: Apache-2.0
--- q.number: numbers as people write them, read and compared exactly.
-- A number is kept as a fraction of two strings of digits, so 0.1 is 0.1 and forty digits are forty digits;
-- no floating point anywhere. A per cent sign is dropped (60% is 60), a comma must group thousands.
local number = {}

local DIGITS_MAX = 400 -- nobody's answer is longer; keeps the schoolbook product from costing anything
local EXPONENT_MAX = 100

local function strip_zeros(digits)
  local kept = digits:gsub("^0+", "")
  return kept == "" and "0" or kept
end

-- Product of two strings of digits, in limbs of seven digits.
local function multiply(a, b)
  local function limbs(digits)
    local list = {}
    for stop = #digits, 1, -7 do list[#list + 1] = math.tointeger(tonumber(digits:sub(math.max(1, stop - 6), stop))) end
    return list
  end
  local left, right, product = limbs(a), limbs(b), {}
  for i = 1, #left + #right do product[i] = 0 end
  for i, x in ipairs(left) do
    local carry = 0
    for j, y in ipairs(right) do
      local sum = product[i + j - 1] + x * y + carry
      product[i + j - 1], carry = sum % 10000000, sum // 10000000
    end
    product[i + #right] = product[i + #right] + carry
  end
  local out = {}
  for i = #product, 1, -1 do out[#out + 1] = ("%07d"):format(product[i]) end
  return strip_zeros(table.concat(out))
end

local function gcd(a, b)
  while b ~= 0 do a, b = b, a % b end
  return a
end

-- Written without an exponent, as a decimal where it ends, else as a fraction in lowest terms.
local function canonical(value)
  local num, den = value.num, value.den
  if #num <= 18 and #den <= 18 then
    local n, d = math.tointeger(tonumber(num)), math.tointeger(tonumber(den))
    local common = gcd(n, d)
    n, d = n // common, d // common
    num, den = tostring(n), tostring(d)
    local places, left, scaled = 0, d, num
    while left % 10 == 0 do left, places = left // 10, places + 1 end
    while left % 2 == 0 do left, scaled, places = left // 2, multiply(scaled, "5"), places + 1 end
    while left % 5 == 0 do left, scaled, places = left // 5, multiply(scaled, "2"), places + 1 end
    if left == 1 then num, den = scaled, "1" .. ("0"):rep(places) end
  end
  local sign = value.neg and num ~= "0" and "-" or ""
  if den == "1" then return sign .. num end
  if not den:find "^10*$" then return sign .. num .. "/" .. den end
  local places = #den - 1
  num = ("0"):rep(places + 1 - #num) .. num
  local fraction = num:sub(-places):gsub("0+$", "")
  return sign .. num:sub(1, -places - 1) .. (fraction ~= "" and "." .. fraction or "")
end

-- "12", "0.5" and an exponent to a fraction.
local function fraction_of(digits, exponent)
  local whole, decimals = digits:match "^(%d*)%.?(%d*)$"
  local num, places = strip_zeros(whole .. decimals), #decimals - (exponent or 0)
  if #num > DIGITS_MAX or math.abs(places) > DIGITS_MAX then return nil end
  if places < 0 then num, places = num == "0" and num or num .. ("0"):rep(-places), 0 end
  return { num = num, den = "1" .. ("0"):rep(places) }
end

--- How a run of digits, commas and full stops is to be read.
-- Rules: `1,234,567.8` and the Indian `12,34,567` group by commas; `1.234.567` and `1.234,56` group by full stops;
-- `18,00` has a comma that groups nothing: only beside a euro sign is it surely a decimal comma.
-- @treturn ?string plain digits with at most one full stop; nil when this is no number
-- @treturn ?string "ambiguous" when it may be two different numbers
local function plain(run, is_euro)
  if run:find "^%d+$" or run:find "^%d*%.%d+$" then return run end
  local body, decimals = run:match "^([%d,]+)(%.?%d*)$"
  if body and body:find "^[1-9]" then
    local groups = body:gsub(",%d%d%d", "\1")
    if groups:find "^%d%d?%d?\1+$" then return (body:gsub(",", "")) .. decimals end
    if body:find "^%d%d?,[%d,]*,%d%d%d$" and body:gsub(",%d%d%f[,]", ""):find "^%d%d?,%d%d%d$" then
      return (body:gsub(",", "")) .. decimals
    end
  end
  body, decimals = run:match "^([%d%.]+),(%d+)$"
  if body and body:find "%." then
    if body:gsub("%.%d%d%d", "\1"):find "^%d%d?%d?\1+$" then return (body:gsub("%.", "")) .. "." .. decimals end
    return nil
  end
  if run:gsub("%.%d%d%d", "\1"):find "^%d%d?%d?\1\1+$" then return (run:gsub("%.", "")) end
  if not run:find "," then return nil end -- 1.2.3: a version, a date
  if body and is_euro and #decimals <= 2 then return body .. "." .. decimals end
  return nil, "ambiguous"
end

local CURRENCY = { ["€"] = true, ["$"] = true, ["£"] = true, ["¥"] = true, ["₹"] = true, ["￥"] = true }

local function has_euro(s, from, to)
  return s:find("^€", from - 3) or s:find("^ ?€", to + 1) or s:find("^ ?[Ee][Uu][Rr]", to + 1)
end

-- What may follow the digits and belongs to the number: an exponent, a denominator, a mixed fraction.
local function exponent_at(s, at)
  local sign, digits, stop = s:match("^[eE]([+-]?)(%d%d?%d?)()", at)
  if not digits then sign, digits, stop = s:match("^ ?[*x] ?10 ?^ ?{? ?([+-]?)(%d%d?%d?)}?()", at) end
  if not digits or s:find("^[%w_]", stop) or tonumber(digits) > EXPONENT_MAX then return nil end
  return math.tointeger(tonumber(sign .. digits)), stop
end

local function denominator_at(s, at)
  local digits, stop = s:match("^/(%d+)()", at)
  if not digits or #digits > DIGITS_MAX or s:find("^[/%.,]?%d", stop) or s:find("^/", stop) or digits:find "^0+$" then
    return nil
  end
  return strip_zeros(digits), stop
end

-- "3 1/2": only a proper fraction behind a whole number is one number.
local function mixed_at(s, at, value)
  local num, den, stop = s:match("^ (%d%d?)/(%d%d?%d?)()", at)
  if not num or value.den ~= "1" or tonumber(num) >= tonumber(den) or s:find("^[/%d]", stop) then return nil end
  local whole = multiply(value.num, den)
  if #whole > 15 then return nil end
  local total = math.tointeger(tonumber(whole)) + math.tointeger(tonumber(num))
  return { num = tostring(total), den = strip_zeros(den) }, stop
end

--- The numeral that begins at byte `at` (a digit, or a full stop before one), without its sign.
-- @tparam string s folded text
-- @tparam int at
-- @treturn int the byte after what belongs to the numeral, also when it is no number
-- @treturn ?table its value, for number.write
-- @treturn ?string "ambiguous"
function number.literal(s, at)
  local run = s:match("^[%d.,]+", at)
  local cut = run:find "[.,][.,]"
  if cut then run = run:sub(1, cut - 1) end
  run = run:gsub("[.,]$", "")
  local stop = at + #run
  if #run > DIGITS_MAX then return stop, nil end
  local digits, why = plain(run, has_euro(s, at, stop - 1))
  if not digits then return stop, nil, why end
  local exponent, after = exponent_at(s, stop)
  local value = fraction_of(digits, exponent)
  if not value then return stop, nil end
  if exponent then return after, value end
  local den, past = denominator_at(s, stop)
  if den and value.den == "1" then return past, { num = value.num, den = den } end
  local mixed, beyond = mixed_at(s, stop, value)
  if mixed then return beyond, mixed end
  return stop, value
end

--- A value as text: a decimal where it ends, else a fraction in lowest terms.
function number.write(value, is_negative)
  return canonical { num = value.num, den = value.den, neg = is_negative }
end

--- A numeral and nothing else, perhaps with a sign, a currency sign before it or a per cent sign behind it.
-- @tparam string|number s "70,000" "$18.00" "-5" "60%" "1/2" "1.5e3"
-- @treturn ?string the number in lowest terms: "70000" "18" "-5" "60" "0.5" "1500"; nil when it is none
function number.parse(s)
  s = tostring(s):gsub("\u{2212}", "-"):gsub("^%s+", ""):gsub("%s+$", "")
  local at, is_negative = 1, false
  for _ = 1, 2 do -- "-$5" and "$-5"
    local sign = s:match("^[+-]", at)
    if sign then at, is_negative = at + 1, sign == "-" end
    local mark = s:match("^[\194-\239][\128-\191]+", at) or s:sub(at, at)
    if CURRENCY[mark] then at = at + #mark end
  end
  if not s:find("^%.?%d", at) then return nil end
  local stop, value = number.literal(s, at)
  local rest = s:sub(stop):gsub("^%.$", ""):gsub("^ ?%%$", ""):gsub("^ ?€$", "")
  if not value or rest ~= "" then return nil end
  return number.write(value, is_negative)
end

local function split(canonical_text)
  local sign, body = canonical_text:match "^(-?)(.+)$"
  local num, den = body:match "^(%d+)/(%d+)$"
  if num then return sign, num, den end
  local value = fraction_of(body)
  return sign, value.num, value.den
end

--- Are both numbers, and the same one? 18.00 = 18, 70,000 = 70000, 05 = 5, 1/2 = 0.5.
-- @tparam string|number a
-- @tparam string|number b
-- @treturn bool false when one is no number
function number.equal(a, b)
  local x, y = number.parse(a), number.parse(b)
  if not x or not y then return false end
  if x == y then return true end
  local sign_x, num_x, den_x = split(x)
  local sign_y, num_y, den_y = split(y)
  if sign_x ~= sign_y then return false end
  if #num_x + #den_y > 2 * DIGITS_MAX or #num_y + #den_x > 2 * DIGITS_MAX then return false end
  return multiply(num_x, den_y) == multiply(num_y, den_x)
end

return number
