-- SPDX-License-Identifier: Apache-2.0
--- Instrument: the self-check of the clients that asked the questions, variant by variant. Pure.
local selfcheck = require "qlua.load.selfcheck"

local instrument = {}

--- The section `instrument` of the Summary.
-- @tparam ?table readings by variant a list, one for each session: what its client counted (`selfcheck.between`)
-- @treturn ?table `{ variants = { NAME = block } }`, a block as `qlua.load.selfcheck` gives it; nil when no client was read
function instrument.build(readings)
  if not readings or not next(readings) then return nil end
  local variants = {}
  for variant, list in pairs(readings) do
    variants[variant] = selfcheck.judge(selfcheck.join(list))
  end
  return { variants = variants }
end

return instrument
