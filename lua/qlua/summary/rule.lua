-- SPDX-License-Identifier: Apache-2.0
--- Rule: what was decided before the run: margins, alpha, objective, exclusions, gates (section `verdict` of the
-- configuration), and the hash under which a report names it. Pure.
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"

local rule = {}

local DEFAULTS = { alpha = 0.025, margin_pt = 1.0, objective = "throughput", tie = 0.05 }
local MAPS = { "margins_pt", "min_baseline", "price_per_hour" }

--- The margin of a dataset that has none of its own.
rule.MARGIN_PT = 1.0

-- 1.0 and 1 are one number, and must look and hash alike, also when they were read back from a file.
local function plain(value)
  if type(value) ~= "number" then return value end
  return math.tointeger(value) or value
end

--- The rule of a configuration; what it does not say has its default.
-- @tparam ?table config resolved
-- @treturn table plan
-- @treturn string sha256 of its canonical JSON
function rule.of(config)
  config = type(config) == "table" and config or {}
  local given = config.verdict or {}
  local plan = { max_flips = plain(given.max_flips), exclude = json.array { table.unpack(given.exclude or {}) },
    gates = json.array { table.unpack(given.gates or {}) }, control = plain(config.benchmark and config.benchmark.control or 0) }
  for key, value in pairs(DEFAULTS) do plan[key] = plain(given[key] or value) end
  for _, key in ipairs(MAPS) do
    plan[key] = {}
    for name, value in pairs(given[key] or {}) do plan[key][name] = plain(value) end
  end
  return plan, hash.sha256(json.encode(plan))
end

--- The margin of one dataset, in points.
function rule.margin_pt(plan, dataset) return plan.margins_pt[dataset] or plan.margins_pt.default or rule.MARGIN_PT end

return rule
