-- SPDX-License-Identifier: Apache-2.0
--- Cell: everything counted about one variant on one dataset while its answers stream past.
--
-- An answer leaves numbers in flat arrays and nothing else, so that 25,403 questions of three variants take
-- seconds and tens of megabytes. What is compared question by question is kept under the question's number in
-- the dataset (`slot`), which is the same for all variants.
local outcomes = require "qlua.outcomes"

local cell = {}
cell.__index = cell

function cell.new()
  return setmetatable({
    num_total = 0, retries = 0, retried = 0, cut = 0, cut_correct = 0, judged_score = 0, is_graded = false,
    counts = {}, sources = {}, scoring = {}, scorers = {}, groups = {},
    latency = {}, ttft = {}, tpot = {}, pause = {}, completion = {}, prompt = {}, starts = {}, ends = {}, sessions = {},
    outcome = {}, text = {}, value = {}, prompt_tokens = {}, prompt_sha256 = {}, tokens = {}, is_cut = {},
  }, cell)
end

local function count(t, key, by) t[key] = (t[key] or 0) + (by or 1) end

local function push(list, value) list[#list + 1] = value end

-- Speed is measured on answers only: an error's duration says nothing about the model.
local function add_timing(self, row)
  if row.start_ns and row.end_ns then
    push(self.starts, row.start_ns)
    push(self.ends, row.end_ns)
    push(self.sessions, row.session or 0)
  end
  if row.latency_ns then push(self.latency, row.latency_ns / 1e9) end
  if row.ttft_ns then
    push(self.ttft, row.ttft_ns / 1e9)
    -- Time per output token after the first. With one token there is no such time: missing, never zero.
    if row.latency_ns and row.completion_tokens and row.completion_tokens > 1 then
      push(self.tpot, (row.latency_ns - row.ttft_ns) / 1e9 / (row.completion_tokens - 1))
    end
  end
  local longest
  for _, gap_ns in ipairs(row.gaps or {}) do
    if not longest or gap_ns > longest then longest = gap_ns end
  end
  if longest then push(self.pause, longest / 1e9) end
end

-- The extra scorers beside the headline: how often each is right, and where it disagrees.
local function add_scorers(self, row, slot, headline_right)
  for name, judged in pairs(row.scores or {}) do
    local one = self.scorers[name]
    if not one then
      one = { num_correct = 0, num_invalid = 0, num_answered = 0, only_right_here = 0, only_right_in_headline = 0,
        metrics = {}, right = {} }
      self.scorers[name] = one
    end
    local class = outcomes.class(judged.outcome)
    if class ~= "error" then
      one.num_answered = one.num_answered + 1
      local right = class == "correct"
      one.right[slot] = right
      if right then one.num_correct = one.num_correct + 1 end
      if class == "invalid" then one.num_invalid = one.num_invalid + 1 end
      for metric, value in pairs(judged.metrics or {}) do one.metrics[metric] = (one.metrics[metric] or 0) + value end
      if right and not headline_right then one.only_right_here = one.only_right_here + 1 end
      if headline_right and not right then one.only_right_in_headline = one.only_right_in_headline + 1 end
    end
  end
end

local function add_group(self, row, class)
  if not row.group or row.group == "" then return end
  local group = self.groups[row.group]
  if not group then
    group = { num_total = 0, num_answered = 0, num_correct = 0 }
    self.groups[row.group] = group
  end
  group.num_total = group.num_total + 1
  if class ~= "error" then group.num_answered = group.num_answered + 1 end
  if class == "correct" then group.num_correct = group.num_correct + 1 end
end

-- How often which means was taken, a label was cut off, a second means had to decide, a boundary was moved back.
local function add_scoring(counts, scoring)
  count(counts, "by_" .. tostring(scoring.means))
  if scoring.was_cut then count(counts, "bounded") end
  if scoring.is_escalated then count(counts, "escalated") end
  if scoring.moved_back then count(counts, "moved_back") end
end

--- Count one answer.
-- @tparam table row an answer row of the store
-- @tparam integer slot the question's number in the dataset
-- @tparam boolean has_text whether the reply is a text, so that `finish = "length"` means it was cut
function cell:add(row, slot, has_text)
  if self.outcome[slot] then
    error(("summary: variant '%s': question '%s' comes twice"):format(row.variant, row.sample), 3)
  end
  local class = outcomes.class(row.outcome)
  self.num_total = self.num_total + 1
  count(self.counts, row.outcome)
  count(self.counts, class .. "_class")
  self.outcome[slot] = row.outcome
  -- A question may take several requests (`turns`: one for each choice or turn); only what came on top is a retry.
  local again = math.max(0, (row.tries or 1) - (row.turns or 1))
  self.retries = self.retries + again
  if again > 0 then self.retried = self.retried + 1 end
  add_group(self, row, class)
  add_scorers(self, row, slot, class == "correct")
  if class == "error" then return end
  self.text[slot], self.prompt_tokens[slot] = row.text_sha256, row.prompt_tokens
  self.prompt_sha256[slot] = row.prompt_sha256
  self.value[slot] = row.value ~= nil and tostring(row.value) or nil
  local score = row.score or (class == "correct" and 1 or 0)
  self.judged_score = self.judged_score + score
  if score > 0 and score < 1 then self.is_graded = true end
  if has_text and (row.finish == "length" or row.outcome:find("^truncated")) then
    self.cut, self.is_cut[slot] = self.cut + 1, true
    if class == "correct" then self.cut_correct = self.cut_correct + 1 end
  end
  self.tokens[slot] = row.completion_tokens
  if row.completion_tokens then push(self.completion, row.completion_tokens) end
  if row.prompt_tokens then push(self.prompt, row.prompt_tokens) end
  if row.count_source then count(self.sources, row.count_source) end
  if row.scoring then add_scoring(self.scoring, row.scoring) end
  add_timing(self, row)
end

--- How many answers fell into a class.
function cell:class_count(class) return self.counts[class .. "_class"] or 0 end

return cell
