-- SPDX-License-Identifier: Apache-2.0
--- Gate of a load: too many failed requests make a measurement unusable, and the exit code says so.

local gate = {}

--- @tparam table summary
-- @treturn ?integer 0; or nil and err of kind gate
function gate.check(summary)
  local lines = {}
  for _, one in ipairs(summary.load and summary.load.errors or {}) do
    if one.rate > summary.max_error_rate then
      lines[#lines + 1] = ("%s %s: %d of %d requests failed"):format(one.variant, one.point, one.failed, one.total)
    end
  end
  if #lines == 0 then return 0 end
  return nil, { kind = "gate", text = table.concat(lines, "\n"),
    hint = ("more than benchmark.max_error_rate = %g allows"):format(summary.max_error_rate) }
end

return gate
