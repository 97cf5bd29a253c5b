-- SPDX-License-Identifier: Apache-2.0
--- Permute: the choices of some questions turned round in a circle, so that each stands at each place once (CircularEval, Liu et
-- al. 2023, arXiv:2307.06281). A model that answers by place and not by content changes its choice.
--
-- The turned questions are stored as a dataset of their own, `<dataset>@turned`, which no list of datasets shows: sample `ID~r`
-- is sample ID with its choices moved up by r places, the first ones to the end. The question as it stands is turn 0.

local random = require "qlua.random"

local permute = {}

permute.SUFFIX = "@turned"

--- A sample with its choices turned by r places.
-- @tparam table sample with `choices` and an integer `target`
-- @tparam integer r
-- @treturn table a copy
function permute.turned(sample, r)
  local n, copy = #sample.choices, {}
  for key, value in pairs(sample) do copy[key] = value end
  copy.choices = {}
  for i = 1, n do copy.choices[i] = sample.choices[(i - 1 + r) % n + 1] end
  copy.target, copy.id = (sample.target - r) % n, ("%s~%d"):format(sample.id, r)
  return copy
end

--- Which choice of the question as it stands an answer to a turned one is.
-- @tparam string value a letter, or the index from 0
-- @tparam integer r
-- @tparam integer n how many choices
-- @treturn ?integer from 0; nil where the value is no choice
function permute.original(value, r, n)
  local index = tostring(value):match "^%u$" and value:byte() - 65 or math.tointeger(tonumber(value))
  if not index or index < 0 or index >= n then return nil end
  return (index + r) % n
end

local function can_turn(sample)
  return sample and type(sample.choices) == "table" and #sample.choices > 1 and math.type(sample.target) == "integer"
end

-- The first share of a shuffled list; each with all its turns but the one that is asked anyway.
local function selection(task, share, seed, name)
  local list, chosen = {}, {}
  for i = 1, task:size() do list[i] = i - 1 end
  random(seed, "permute " .. name):shuffle(list)
  for i = 1, math.ceil(share * #list) do chosen[i] = list[i] end
  table.sort(chosen)
  local turns = {}
  for _, index in ipairs(chosen) do
    local sample = task:sample(index)
    for r = 1, can_turn(sample) and #sample.choices - 1 or 0 do turns[#turns + 1] = { index = index, turn = r } end
  end
  return turns
end

local function task_of(task, turns)
  local function sample_at(i)
    local sample, err = task:sample(turns[i + 1].index)
    if not sample then return nil, err end
    local turned = permute.turned(sample, turns[i + 1].turn)
    turned.index = i
    return turned
  end
  return setmetatable({
    size = function() return #turns end,
    sample = function(_, i) return sample_at(i) end,
    place = function(_, i) return task:place(turns[i + 1].index) end,
    prompt = function(_, i)
      local sample, err = sample_at(i)
      if not sample then return nil, err end
      return task:prompt(turns[i + 1].index, sample)
    end,
  }, { __index = task })
end

--- The seed that a configuration draws by.
function permute.seed_of(config) return config.generation.seed or 0 end

--- A task of the turned questions of another.
-- @tparam table task
-- @tparam number share of its questions
-- @tparam integer seed of the draw
-- @tparam string name the dataset's
-- @treturn table
function permute.task(task, share, seed, name) return task_of(task, selection(task, share, seed, name)) end

--- The turned questions of a plan's datasets.
-- @tparam table made a plan
-- @treturn {table,...} datasets as a plan has them, with `turned_of` and `share`
function permute.of(made)
  local list = {}
  for _, dataset in ipairs(made.datasets) do
    local share = dataset.wanted.permute or 0
    if share > 0 and dataset.mode ~= "generate" then
      local task = permute.task(dataset.task, share, permute.seed_of(made.config), dataset.name)
      if task:size() > 0 then
        list[#list + 1] = setmetatable({ name = dataset.name .. permute.SUFFIX, task = task, repeats = 1,
          turned_of = dataset.name, share = share }, { __index = dataset })
      end
    end
  end
  return list
end

--- What the turned questions of one variant on one dataset say. Questions of which a turn ended in an error are left out.
-- @tparam {table,...} rows `{ sample, turn, value, is_answered, is_right, choices = how many }`, turn 0 included
-- @treturn ?table `{ questions, turns, consistent, accuracy, accuracy_as_asked, all_right }`: shares of the questions whose choice is the
--   same in all turns; of right answers over all turns; of right answers as they stand; of questions that are right in all turns
function permute.summary(rows)
  local questions, names = {}, {}
  for _, row in ipairs(rows) do
    local one = questions[row.sample]
    if not one then
      one = { turns = {}, count = row.choices }
      questions[row.sample], names[#names + 1] = one, row.sample
    end
    if row.is_answered then one.turns[row.turn] = row end
  end
  local total, same, right, first_right, all_right, turns = 0, 0, 0.0, 0, 0, 0
  for _, name in ipairs(names) do
    local one, picked, is_same, count, correct = questions[name], nil, true, 0, 0
    for r = 0, one.count - 1 do
      local row = one.turns[r]
      if row then
        local choice = row.value and permute.original(row.value, r, one.count)
        if r == 0 then picked = choice end
        is_same = is_same and choice ~= nil and choice == picked
        count, correct = count + 1, correct + (row.is_right and 1 or 0)
      end
    end
    if count == one.count then
      total, turns = total + 1, turns + count
      same, right = same + (is_same and 1 or 0), right + correct / count
      first_right = first_right + (one.turns[0].is_right and 1 or 0)
      all_right = all_right + (correct == count and 1 or 0)
    end
  end
  if total == 0 then return nil end
  return { questions = total, turns = turns, consistent = same / total, accuracy = right / total, accuracy_as_asked = first_right / total,
    all_right = all_right / total }
end

return permute
