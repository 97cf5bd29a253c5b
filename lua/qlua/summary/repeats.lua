-- SPDX-License-Identifier: Apache-2.0
--- Repeats: what several replies to each question come down to: pass@k, maj@k, and how often they agree. Pure.
--
-- pass@k is the chance that at least one of k replies is right, estimated without bias from the n that there are:
-- 1 - C(n-c, k) / C(n, k) with c of them right (Chen et al. 2021, arXiv:2107.03374, section 2.1), averaged over questions.
-- maj@k lets the first k replies vote with their extracted values (self-consistency, Wang et al. 2022, arXiv:2203.11171); an
-- unusable reply has no vote. Where values tie for the most votes, the question counts for the share of the tied values
-- that is right, which is what a fair draw gives on average and depends on no order. Errors are neither replies nor votes.
local outcomes = require "qlua.outcomes"
local stats = require "qlua.core.stats"

local repeats = {}

--- The unbiased estimate for one question.
-- @tparam integer n replies
-- @tparam integer c right ones
-- @tparam integer k at most n
-- @treturn number 0 to 1
function repeats.pass_at(n, c, k)
  if n - c < k then return 1.0 end
  local none = 1.0 -- C(n-c, k) / C(n, k) as a product, which does not overflow
  for i = n - c + 1, n do none = none * (1 - k / i) end
  return 1 - none
end

--- The majority of some replies.
-- @tparam {{value=string?,is_right=boolean},...} replies
-- @treturn number 1 right, 0 wrong, between them a tie
function repeats.majority(replies)
  local votes, right, most = {}, {}, 0
  for _, reply in ipairs(replies) do
    if reply.value then
      votes[reply.value] = (votes[reply.value] or 0) + 1
      right[reply.value] = right[reply.value] or reply.is_right
      most = math.max(most, votes[reply.value])
    end
  end
  if most == 0 then return 0.0 end
  local tied, tied_right = 0, 0
  for value, count in pairs(votes) do
    if count == most then tied, tied_right = tied + 1, tied_right + (right[value] and 1 or 0) end
  end
  return tied_right / tied
end

local function mean_of(values)
  local total = 0
  for _, value in ipairs(values) do total = total + value end
  local share = total / #values
  local found = #values > 1 and stats.t_test(values, 0.95)
  if not found or not found.se or found.se == 0 then return share end
  local lo, hi = stats.interval(share, found.se, found.df, 0.95)
  return share, { math.max(0, lo), math.min(1, hi) }
end

-- Replies of each question in the order of the repeats.
local function by_question(one, known)
  local questions = {}
  for turn = 0, known.repeats - 1 do
    for key, number in pairs(known.questions) do
      local slot = known.slots[turn == 0 and key or key .. "\0" .. turn]
      local outcome = slot and one.outcome[slot]
      if outcome and outcomes.is_answered(outcome) then
        local list = questions[number] or {}
        questions[number] = list
        list[#list + 1] = { value = one.value[slot], is_right = outcome == "correct", text = one.text[slot] }
      end
    end
  end
  return questions
end

-- 1, 2, 4, … and the number of repeats itself.
local function sizes(count)
  local list, k = {}, 1
  while k < count do
    list[#list + 1], k = k, k * 2
  end
  list[#list + 1] = count
  return list
end

local function all_alike(list)
  for i = 2, #list do
    if list[i].text ~= list[1].text then return false end
  end
  return true
end

local function count_right(list)
  local count = 0
  for _, reply in ipairs(list) do count = count + (reply.is_right and 1 or 0) end
  return count
end

local function at(questions, numbers, k)
  local pass, majority = {}, {}
  for _, number in ipairs(numbers) do
    local list = questions[number]
    if #list >= k then
      pass[#pass + 1] = repeats.pass_at(#list, count_right(list), k)
      majority[#majority + 1] = repeats.majority(table.move(list, 1, k, 1, {}))
    end
  end
  if #pass == 0 then return nil end
  local row = { k = k, questions = #pass }
  row.pass, row.pass_interval = mean_of(pass)
  row.majority, row.majority_interval = mean_of(majority)
  return row
end

--- What the repeats of one variant on one dataset say.
-- @tparam table one a cell
-- @tparam table known the dataset: `questions` (name → number), `slots`, `repeats`
-- @treturn ?table `{ repeats, at = { {k, questions, pass, pass_interval?, majority, majority_interval?}… }, same_text, mixed }`, shares of
--   questions whose replies are all the same text, and of those that are sometimes right and sometimes not; nil without repeats
function repeats.of(one, known)
  if known.repeats < 2 then return nil end
  local questions, numbers = by_question(one, known), {}
  for number in pairs(questions) do numbers[#numbers + 1] = number end
  if #numbers == 0 then return nil end
  table.sort(numbers)
  local result, alike, mixed, several = { repeats = known.repeats, at = {} }, 0, 0, 0
  for _, k in ipairs(sizes(known.repeats)) do result.at[#result.at + 1] = at(questions, numbers, k) end
  for _, number in ipairs(numbers) do
    local list = questions[number]
    local right = count_right(list)
    if #list > 1 then
      several = several + 1
      alike, mixed = alike + (all_alike(list) and 1 or 0), mixed + ((right > 0 and right < #list) and 1 or 0)
    end
  end
  if several > 0 then result.same_text, result.mixed = alike / several, mixed / several end
  return result
end

return repeats
