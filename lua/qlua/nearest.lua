-- SPDX-License-Identifier: Apache-2.0
--- Nearest: the known word that a mistyped one was probably meant to be.
-- Distance is Damerau-Levenshtein restricted to adjacent swaps (optimal string alignment), on bytes,
-- case ignored: options, keys and script names are ASCII.

local nearest = {}

--- Number of single-letter edits (insert, delete, replace, swap of neighbours) between two words.
-- @tparam string a
-- @tparam string b
-- @treturn integer
function nearest.distance(a, b)
  local before, last = nil, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      row[j] = best
    end
    before, last = last, row
  end
  return last[#b]
end

-- A prefix is how people abbreviate; it counts as near however much is missing.
local function cost(word, candidate)
  if #word >= 3 and candidate:sub(1, #word) == word then return 1 end
  return nearest.distance(word, candidate)
end

--- The candidate nearest to word, if it is near enough to be meant: at most a third of its letters are wrong.
-- @tparam string word what was typed
-- @tparam {string,...} candidates
-- @treturn ?string nil when none is near; of equally near ones the first in the alphabet
function nearest.find(word, candidates)
  local best, best_cost
  local typed = tostring(word):lower():gsub("%-", "_")
  for _, candidate in ipairs(candidates) do
    local c = cost(typed, (candidate:lower():gsub("%-", "_")))
    if not best_cost or c < best_cost or (c == best_cost and candidate < best) then
      best, best_cost = candidate, c
    end
  end
  if best and best_cost <= math.max(1, math.max(#typed, #best) // 3) then return best end
end

--- The hint line for an unknown word.
-- @tparam string word
-- @tparam {string,...} candidates
-- @tparam ?string prefix put before the suggestion, e.g. "--"
-- @treturn ?string `did you mean X?`, or the list when it is short, or nil
function nearest.hint(word, candidates, prefix)
  prefix = prefix or ""
  local found = nearest.find(word, candidates)
  if found then return ("did you mean %s%s?"):format(prefix, found) end
  if #candidates > 0 and #candidates <= 12 then
    local sorted = table.move(candidates, 1, #candidates, 1, {})
    table.sort(sorted)
    return "known: " .. prefix .. table.concat(sorted, ", " .. prefix)
  end
end

return nearest
