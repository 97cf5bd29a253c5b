-- SPDX-License-Identifier: Apache-2.0
--- Lengths: how long made-up prompts and replies are. `512` always; `256..1024` each equally likely; `512~64` normal
-- with standard deviation 64, rounded, never below 1.

local lengths = {}

--- Read a distribution.
-- @tparam string text
-- @treturn ?table `{ from, to }` or `{ mean, deviation }`; or nil and what is wanted
function lengths.parse(text)
  text = tostring(text)
  local from, to = text:match "^(%d+)%.%.(%d+)$"
  if from then
    from, to = math.tointeger(tonumber(from)), math.tointeger(tonumber(to))
    if from < 1 or to < from then return nil, "want N..M with 1 <= N <= M" end
    return { from = from, to = to }
  end
  local mean, deviation = text:match "^(%d+)~(%d+)$"
  mean = mean or text:match "^%d+$"
  if not mean or tonumber(mean) < 1 then return nil, "want N, N..M or N~S, N of at least 1" end
  return { mean = math.tointeger(tonumber(mean)), deviation = math.tointeger(tonumber(deviation or 0)) }
end

--- One length.
-- @tparam table distribution of `parse`
-- @tparam table generator of `qlua.random`
-- @treturn integer
function lengths.draw(distribution, generator)
  if distribution.from then return distribution.from - 1 + generator:integer(distribution.to - distribution.from + 1) end
  if distribution.deviation == 0 then return distribution.mean end
  local radius = math.sqrt(-2 * math.log(1 - generator:number()))
  local value = distribution.mean + distribution.deviation * radius * math.cos(2 * math.pi * generator:number())
  return math.max(1, math.floor(value + 0.5))
end

return lengths
