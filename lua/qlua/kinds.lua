-- SPDX-License-Identifier: Apache-2.0
--- Kinds of scripts. A constructor only tags its table: `return q.dataset{…}` is a tail call, and a check made
-- there could not name file and line. The registry checks what was returned.

local tags = setmetatable({}, { __mode = "k" })

local kinds = {}

for _, kind in ipairs { "dataset", "scorer", "server", "report", "suite" } do
  kinds[kind] = function(fields)
    if type(fields) ~= "table" then
      error(("q.%s: want a table, got %s"):format(kind, type(fields)), 2)
    end
    tags[fields] = kind
    return fields
  end
end

--- The kind a table was tagged with.
-- @treturn ?string
function kinds.of(fields)
  return tags[fields]
end

return kinds
