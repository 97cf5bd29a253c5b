-- SPDX-License-Identifier: Apache-2.0
--- Format: numbers as people read them, the same in both languages.
--
-- Every function takes nil for "not known" and gives `format.MISSING` for it: a missing number must never
-- look like a zero. Digits are ASCII, the minus is ASCII (a figure can be searched for and copied), thousands
-- are set apart by commas.
local json = require "qlua.core.json"

local format = {}

format.MISSING = "–"

--- 14042 → `14,042`; a fraction is rounded to the nearest integer.
function format.count(n)
  if not n then return format.MISSING end
  local sign, digits = ("%.0f"):format(n):match("^(%-?)(%d+)$")
  if not digits then return format.MISSING end -- nan, inf
  local grouped = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. grouped
end

--- A number with a fixed count of decimals; thousands set apart.
function format.decimal(x, decimals)
  if not x or x ~= x or x == math.huge or x == -math.huge then return format.MISSING end
  local text = ("%." .. (decimals or 1) .. "f"):format(x)
  if text:find("^%-0%.?0*$") then text = text:sub(2) end -- no minus zero
  local sign, whole, rest = text:match("^(%-?)(%d+)(.*)$")
  return sign .. format.count(tonumber(whole)) .. rest
end

--- 0.824 → `82.4 %`
function format.percent(share, decimals)
  if not share then return format.MISSING end
  return format.decimal(share * 100, decimals or 1) .. " %"
end

--- 0.824, { 0.802, 0.844 } → `82.4 % [80.2, 84.4]`
function format.interval(share, bounds, decimals)
  if not share then return format.MISSING end
  if not bounds then return format.percent(share, decimals) end
  return ("%s [%s, %s]"):format(format.percent(share, decimals), format.decimal(bounds[1] * 100, decimals or 1),
    format.decimal(bounds[2] * 100, decimals or 1))
end

--- A difference with its sign: `+0.3`, `-1.2`, `0.0`.
function format.signed(x, decimals)
  if not x then return format.MISSING end
  local text = format.decimal(x, decimals or 1)
  if text == format.MISSING or text:find("^%-") or not text:find("[1-9]") then return text end
  return "+" .. text
end

--- -0.3, { -1.34, 0.71 } → `-0.30 [-1.34, +0.71]`
function format.signed_interval(x, bounds, decimals)
  if not x or not bounds then return format.signed(x, decimals) end
  return ("%s [%s, %s]"):format(format.signed(x, decimals), format.signed(bounds[1], decimals),
    format.signed(bounds[2], decimals))
end

--- Seconds in the unit that leaves three significant digits: `7.20 µs`, `0.84 ms`, `312 ms`, `1.24 s`, `85.0 s`.
function format.seconds(s)
  if not s then return format.MISSING end
  local value, unit = s, "s"
  if s < 0.9995 then value, unit = s * 1000, "ms" end
  if s > 0 and s < 0.0000995 then value, unit = s * 1e6, "µs" end
  local decimals = value < 9.995 and 2 or value < 99.95 and 1 or 0
  return format.decimal(value, decimals) .. " " .. unit
end

--- A span of time for people: `42 s`, `3:05`, `1:02:03`, `2 d 01:00`.
function format.span(s)
  if not s or s ~= s or s == math.huge then return format.MISSING end
  local whole = math.floor(s + 0.5)
  if whole < 60 then return ("%d s"):format(whole) end
  local days, hours, minutes = whole // 86400, whole % 86400 // 3600, whole % 3600 // 60
  if days > 0 then return ("%d d %02d:%02d"):format(days, hours, minutes) end
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, whole % 60) end
  return ("%d:%02d"):format(minutes, whole % 60)
end

--- How long something took: `7.83 s` below a minute, then as a span.
function format.duration(s)
  if not s or s < 59.95 then return format.seconds(s) end
  return format.span(s)
end

--- A rate in three significant digits: `0.52`, `12.3`, `812`, `1,204`.
function format.rate(x)
  if not x then return format.MISSING end
  return format.decimal(x, x < 9.995 and 2 or x < 99.95 and 1 or 0)
end

--- The first characters of a checksum, enough to compare by eye.
function format.digest(hex)
  if not hex then return format.MISSING end
  return hex:sub(1, 12)
end

--- The keys of a table, sorted; of nil, none.
function format.keys(map)
  local keys = {}
  for key in pairs(map or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- A table of settings on one line: `max_tokens=512, temperature=0`; empty tables are left out.
function format.assignments(map)
  local parts = {}
  for _, key in ipairs(format.keys(map)) do
    local value = map[key]
    if type(value) ~= "table" then
      parts[#parts + 1] = ("%s=%s"):format(key, tostring(value))
    elseif next(value) ~= nil then
      parts[#parts + 1] = ("%s=%s"):format(key, json.encode(value))
    end
  end
  return table.concat(parts, ", ")
end

--- Words as a command line of a POSIX shell.
function format.shell(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = word:find("^[%w%._/:=@%%+,%-]+$") and word or "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(quoted, " ")
end

return format
