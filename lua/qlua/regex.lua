-- SPDX-License-Identifier: Apache-2.0
--- q.regex: PCRE2 with Unicode, matches taken as Python's re takes them, never hanging.
-- A pattern that is wrong, or that takes too many steps on a text, raises: to the runtime that is the
-- script's error and not the model's. Flags: i m s x, and a (ASCII \d \w \s as Python's re.ASCII).
local core = require "qlua.core.regex"

local regex = {}

local CACHE_MAX = 200
local cache, cached = {}, 0

--- A compiled pattern; the same object for the same pattern and flags.
-- @tparam string pattern
-- @tparam ?string flags
-- @treturn userdata with find, find_all, replace, groups
-- @raise what is wrong with the pattern, and where
function regex.compile(pattern, flags)
  local key = (flags or "") .. "/" .. pattern
  local compiled = cache[key]
  if compiled then return compiled end
  local err
  compiled, err = core.compile(pattern, flags or "")
  if not compiled then error(err.text, 2) end
  if cached >= CACHE_MAX then cache, cached = {}, 0 end
  cache[key], cached = compiled, cached + 1
  return compiled
end

--- The first match at or after init: from, to, group 1, …; a group that took no part is false; nil when none.
-- @tparam string s
-- @tparam string pattern
-- @tparam ?string flags
-- @tparam ?int init 1-based byte
function regex.find(s, pattern, flags, init)
  local compiled = regex.compile(pattern, flags)
  local found = table.pack(compiled:find(s, init or 1))
  if found[1] == nil and found[2] then error(found[2].text, 2) end
  return table.unpack(found, 1, found.n)
end

--- All matches: list of { from, to, group 1, … } (re.finditer).
-- @tparam string s
-- @tparam string pattern
-- @tparam ?string flags
-- @treturn table
function regex.find_all(s, pattern, flags)
  local list, err = regex.compile(pattern, flags):find_all(s)
  if not list then error(err.text, 2) end
  return list
end

--- All matches replaced by a literal (re.sub), and how many there were.
-- @tparam string s
-- @tparam string pattern
-- @tparam string by
-- @tparam ?string flags
-- @treturn string
-- @treturn int
function regex.replace(s, pattern, by, flags)
  local replaced, count = regex.compile(pattern, flags):replace(s, by)
  if not replaced then error(count.text, 2) end
  return replaced, count
end

return regex
