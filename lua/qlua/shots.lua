-- SPDX-License-Identifier: Apache-2.0
--- Few-shot examples: which rows of the pool each sample is shown.
--
-- Two samplers, equal to the reference harness's. `first_n`: the first n of the pool. `random`: ONE generator
-- for the task, drawn from once per sample in the samples' order, so that sample i's examples depend on i and
-- on nothing else, and a limit keeps a prefix. With a pool per group (a subject's own examples) each
-- group is a task of its own. `exclude_self` draws n + 1 and drops the sample itself, or else the last.

local python_random = require "qlua.python_random"

local shots = {}

local Picker = {}
Picker.__index = Picker

-- The harness's default seed; a script states it again where its results depend on it.
local DEFAULT_SEED = 1234

local function drop_self(picked, self_index, n)
  local kept = {}
  for _, index in ipairs(picked) do
    if index ~= self_index and #kept < n then
      kept[#kept + 1] = index
    end
  end
  return kept
end

local function range(n)
  local list = {}
  for i = 1, n do
    list[i] = i - 1
  end
  return list
end

--- A picker for one task.
-- @tparam table plan `{ n, sampler = "first_n" or "random", seed, exclude_self }`
-- @tparam integer pool_size rows in the pool
-- @tparam boolean is_same_split whether the samples are the pool's own rows
-- @tparam string where for errors, e.g. "dataset 'x': shots"
-- @treturn[1] table picker with `:pick(position, self_index)`
-- @treturn[2] nil
-- @treturn[2] table err of kind `script`
function shots.new(plan, pool_size, is_same_split, where)
  local sampler = plan.sampler or "first_n"
  if sampler ~= "first_n" and sampler ~= "random" then
    return nil, { kind = "script", text = ('%s.sampler: want "first_n" or "random", got "%s"'):format(where, sampler) }
  end
  local is_excluding = plan.exclude_self or is_same_split
  local draws = plan.n + (is_excluding and 1 or 0)
  local is_other_split = is_excluding and not is_same_split
  if plan.n > 0 and draws > pool_size then
    return nil, { kind = "script", text = ("%s.n: want at most %d, as there are %d examples to choose from, got %d")
      :format(where, pool_size - (is_excluding and 1 or 0), pool_size, plan.n) }
  end
  return setmetatable({
    n = plan.n, draws = draws, pool_size = pool_size, sampler = sampler, is_excluding = is_excluding,
    is_other_split = is_other_split, drawn = {},
    generator = sampler == "random" and python_random.new(plan.seed or DEFAULT_SEED) or nil,
  }, Picker)
end

--- The examples of one sample.
-- @tparam integer position of the sample in its task, from 0
-- @tparam ?integer self_index the sample's own place in the pool, when it is from there
-- @treturn {integer,...} places in the pool, from 0
function Picker:pick(position, self_index)
  if self.n == 0 then
    return {}
  end
  local picked
  if self.sampler == "first_n" then
    picked = range(self.draws)
  else
    -- The stream is drawn as far as needed and kept: samples may be asked for in any order.
    for i = #self.drawn, position do
      self.drawn[i + 1] = self.generator:sample(self.pool_size, self.draws)
    end
    picked = self.drawn[position + 1]
  end
  if self.is_excluding then
    return drop_self(picked, not self.is_other_split and self_index or nil, self.n)
  end
  return picked
end

return shots
