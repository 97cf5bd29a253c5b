-- SPDX-License-Identifier: Apache-2.0
--- Control: the baseline asked a second time, on its running server, after its first pass.
--
-- Two passes of one model differ where batching makes it so; a variant may only be blamed for what it changes beyond that.
-- The second pass is stored like a variant of its own, `<baseline>@control`, which no list of variants shows: same questions,
-- same prompts, an identity of its own, so that nothing of the first pass is taken for it.

local hash = require "qlua.core.hash"
local random = require "qlua.random"

local control = {}

--- What a request of the second pass says in this header; only a simulated server listens.
control.HEADER = "x-qlua-pass"
control.PASS = "control"

--- Which variant others are compared with.
function control.baseline_of(config) return config.report.baseline or config.model.variants[1].name end

-- The first share of a shuffled list, in the order of the dataset: a sample that anyone can draw again.
local function selection(size, share, seed, name)
  local list = {}
  for i = 1, size do list[i] = i - 1 end
  if share >= 1 then return list end
  random(seed, "control " .. name):shuffle(list)
  local count = math.max(1, math.ceil(share * size))
  for i = size, count + 1, -1 do list[i] = nil end
  table.sort(list)
  return list
end

--- A task that has only these of its questions.
-- @tparam table task
-- @tparam {integer,...} chosen numbers of samples, from 0
function control.part_of(task, chosen)
  return setmetatable({
    size = function() return #chosen end,
    sample = function(_, i) return task:sample(chosen[i + 1]) end,
    prompt = function(_, i) return task:prompt(chosen[i + 1]) end,
  }, { __index = task })
end

--- The second pass of a plan.
-- @tparam table made a plan
-- @treturn ?table `{ name, of, share, one, datasets, record }`, `one` and `datasets` as a plan has them; nil where none is wanted
function control.of(made)
  local share = made.config.benchmark.control or 0
  if share == 0 then return nil end
  local of = control.baseline_of(made.config)
  local result = { name = of .. "@control", of = of, share = share, datasets = {} }
  local expected = {}
  for i, dataset in ipairs(made.datasets) do
    local task = dataset.task
    local chosen = selection(task:size(), share, made.config.generation.seed or 0, dataset.name)
    result.datasets[i] = setmetatable({ task = control.part_of(task, chosen), repeats = 1 }, { __index = dataset })
    expected[dataset.name] = #chosen
  end
  for _, one in ipairs(made.variants) do
    if one.name == of then
      local identity = hash.sha256(one.variant.identity .. control.PASS)
      local variant = setmetatable({ name = result.name, identity = identity }, { __index = one.variant })
      result.one = setmetatable({ name = result.name, variant = variant, pass = control.PASS, of = of }, { __index = one })
    end
  end
  if not result.one then return nil end -- the baseline was left out of this run
  result.record = { control_of = of, share = share, expected = expected }
  return result
end

return control
