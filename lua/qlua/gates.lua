-- SPDX-License-Identifier: Apache-2.0
--- Gates: the exit status of a run whose configuration demands something of it (`verdict.gates`).

local say = require "qlua.cli.say"

local gates = {}

--- Join the gates that failed to what has failed already.
-- @tparam table summary
-- @tparam ?integer code 0 when nothing has failed so far
-- @tparam ?table err of kind gate otherwise
-- @treturn ?integer 0, or nil and an error of kind gate
function gates.check(summary, code, err)
  local lines = err and { err.text } or {}
  for _, gate in ipairs(summary.verdict and summary.verdict.gates or {}) do
    if not gate.ok then lines[#lines + 1] = ("gate %s: %s"):format(gate.gate, say.pick(gate.text)) end
  end
  if #lines == (err and 1 or 0) then return code, err end
  return nil, { kind = "gate", text = table.concat(lines, "\n"), hint = err and err.hint or "set in verdict.gates of the configuration" }
end

return gates
