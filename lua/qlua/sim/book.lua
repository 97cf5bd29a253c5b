-- SPDX-License-Identifier: Apache-2.0
--- Book: every question of the plan's datasets, found again by the exact prompt that asks it.
--
-- The prompts come from the same code as the runner's, so a prompt that the book does not know is a difference
-- between what was planned and what was asked, and is answered with generic text. Keys are SHA-256: of the text; for
-- scoring, of the text with each continuation; for a conversation, of its canonical JSON. Real sets hold questions
-- twice: the prompt is then the first one's, and what that makes of the others is worked out. What will be answered
-- is fixed while the book is built, and written to the ledger before the first request.

local chance = require "qlua.sim.chance"
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local permute = require "qlua.permute"
local recall = require "qlua.sim.recall"
local replies = require "qlua.sim.replies"
local scores = require "qlua.sim.scores"
local tokens = require "qlua.sim.tokens"
local truth = require "qlua.sim.truth"

local book = {}
book.__index = book

local CONTINUATIONS_AT_MOST = 64 -- a key's number is question × this + continuation
local RECENT_AT_MOST = 512 -- questions whose scores are kept
local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

local function letter(index) return LETTERS:sub(index, index) end

local function index_of_target(sample)
  local target = math.tointeger(tonumber(sample.target))
  if target and sample.choices and target < #sample.choices then return target + 1 end
  return type(sample.target) == "string" and LETTERS:find(sample.target, 1, true) or nil
end

local function plan_choice(self, entry, question, sample, prompt)
  local right = index_of_target(sample)
  question.outcome = truth.outcome(self.plan, entry.dataset, question.id, entry.accuracy, false)
  local count = #prompt.continuations
  question.choice = question.outcome == "correct" and right
    or truth.wrong_choice(self.plan, entry.dataset, question.id, count, right)
  question.winner = question.choice -- whose sum is highest; what is chosen may differ where prompts are shared
  question.value, question.form = letter(question.choice), { name = entry.mode }
end

local function sizes_of(prompt)
  local sizes = {}
  for i, text in ipairs(prompt.continuations) do
    local bare = text:gsub("^ ", "")
    sizes[i] = { chars = math.max(1, utf8.len(bare) or #bare), bytes = math.max(1, #bare), tokens = tokens.count(text) }
  end
  return sizes
end

local function kind_of(sample)
  if sample.choices then return "letter" end
  local plain = tostring(sample.target):gsub("[,$%s]", "")
  return tonumber(plain) and not plain:find "[xX]" and "number" or "text"
end

local function plan_text(self, entry, question, sample, prompt)
  local plan, kind = self.plan, kind_of(sample)
  question.outcome = truth.outcome(plan, entry.dataset, question.id, entry.accuracy, true)
  if question.outcome ~= "correct" and question.outcome ~= "wrong" then return end
  local shared = plan.seed .. "\31" .. question.id
  local right = kind == "letter" and letter(index_of_target(sample)) or tostring(sample.target)
  local value = right
  if kind == "number" then value = value:gsub("[,$%s]", "") end
  if question.outcome == "wrong" then
    if kind == "letter" then
      value = letter(truth.wrong_choice(plan, entry.dataset, question.id, #sample.choices, index_of_target(sample)))
    else
      value = kind == "number" and replies.wrong_number(shared, right) or "none of these"
    end
  end
  question.value = value
  question.form = replies.form(shared .. "\31" .. plan.variant, kind, sample.input, value, prompt.stop,
    kind == "number" and plan.formats or nil)
end

--- What a conversation is found by: its only message's text, or its canonical JSON.
-- So a prompt that is plain text is found whether it is asked as a completion or as a user's message.
-- @tparam {{role=string,content=string},...} messages
-- @treturn string
function book.conversation_key(messages)
  if #messages == 1 and messages[1].role == "user" then return messages[1].content end
  return json.encode(json.array(messages))
end

-- Returns whether the text was free; of two equal prompts the first keeps it.
local function index(self, text, number)
  local key = hash.sha256_raw(text)
  if self.numbers[key] then return false end
  self.numbers[key] = number
  return true
end

-- A question that was asked before gets the answer of then, which may be wrong here.
local function repeat_answer(question, first, right)
  question.value, question.form, question.choice = first.value, first.form, first.choice
  question.outcome = first.outcome
  if first.value then question.outcome = tostring(first.value) == tostring(right) and "correct" or "wrong" end
end

-- Texts that an earlier question has had scored keep their values, and so may decide this one. Two endings of one text
-- tie, and the first of them counts.
local function settle_shared(self, question, sample, prompt)
  local text, fixed = prompt.text or book.conversation_key(prompt.messages), {}
  for i, continuation in ipairs(prompt.continuations) do
    local owner, which = self:find(text .. continuation)
    if owner ~= question then fixed[i] = self:choices(owner)[which].sum end
  end
  question.sums = scores.choice_sums(question.id, sizes_of(prompt), question.winner, fixed)
  for i, continuation in ipairs(prompt.continuations) do
    local owner, which = self:find(text .. continuation)
    if owner == question then question.sums[i] = question.sums[which] end
  end
  question.choice = 1
  for i, sum in ipairs(question.sums) do
    if sum > question.sums[question.choice] then question.choice = i end
  end
  question.value = letter(question.choice)
  question.outcome = question.choice == index_of_target(sample) and "correct" or "wrong"
end

local function add_generated(self, entry, question, sample, prompt, first)
  plan_text(self, entry, question, sample, prompt)
  if not first then return end
  local kind = kind_of(sample)
  local right = kind == "letter" and letter(index_of_target(sample)) or tostring(sample.target)
  repeat_answer(question, first, kind == "number" and right:gsub("[,$%s]", "") or right)
end

local function add_choices(self, entry, question, sample, prompt, number, first)
  plan_choice(self, entry, question, sample, prompt)
  local text, is_shared = prompt.text or book.conversation_key(prompt.messages), false
  for i, continuation in ipairs(prompt.continuations) do
    if not index(self, text .. continuation, number * CONTINUATIONS_AT_MOST + i) then is_shared = true end
  end
  if entry.mode == "letter" and first then
    repeat_answer(question, first, letter(index_of_target(sample)))
  elseif is_shared then
    settle_shared(self, question, sample, prompt)
  end
end

local function add_question(self, entry, at)
  local sample, prompt = entry.task:sample(at), entry.task:prompt(at)
  if not prompt then return end -- a row that is malformed: the runner says so, and asks nothing
  -- A question with its choices turned is as hard as it is as it stands.
  local question = { entry = entry, at = at, id = (sample.id:gsub("~%d+$", "")) }
  local number = #self.questions + 1
  self.questions[number] = question
  local text = prompt.text or book.conversation_key(prompt.messages)
  local first
  if not index(self, text, number * CONTINUATIONS_AT_MOST) then first = self:find(text) end
  if entry.mode == "generate" then
    add_generated(self, entry, question, sample, prompt, first)
  else
    add_choices(self, entry, question, sample, prompt, number, first)
  end
  self.ledger[#self.ledger + 1] = json.encode { dataset = entry.dataset, id = sample.id, mode = entry.mode,
    outcome = question.outcome, format = question.form and question.form.name, value = question.value }
end

--- Build the book.
-- @tparam table plan a checked plan
-- @tparam function open_task as `qlua.tasks`.open: `{dataset, data_dir, mode, shots, limit, args, endpoint}` → task
-- @treturn[1] table book
-- @treturn[2] nil
-- @treturn[2] table error
function book.build(plan, open_task)
  local self = setmetatable({ plan = plan, questions = {}, numbers = {}, ledger = {}, recent = recall.new(RECENT_AT_MOST) }, book)
  local accuracies = {}
  for _, entry in ipairs(plan.datasets) do
    local task, err = open_task(entry)
    if not task then return nil, err end
    local name = task.name or entry.dataset -- a dataset may be named by the path of its script
    local accuracy = plan.accuracy[name] or plan.accuracy.default or truth.ACCURACY
    accuracies[name] = accuracy
    local kept = { task = task, dataset = name, mode = task.mode or entry.mode or "generate", accuracy = accuracy }
    if not (task.script and task.script.converse) then -- what several turns will be is not known beforehand
      for at = 0, task:size() - 1 do add_question(self, kept, at) end
      if (entry.permute or 0) > 0 and kept.mode ~= "generate" then
        local turned = setmetatable({ task = permute.task(task, entry.permute, entry.permute_seed or 0, name) }, { __index = kept })
        for at = 0, turned.task:size() - 1 do add_question(self, turned, at) end
      end
    end
  end
  table.insert(self.ledger, 1, json.encode { simulated = true, seed = plan.seed, variant = plan.variant,
    served_model = plan.served_model, accuracies = accuracies, questions = #self.questions })
  return self
end

--- Write the ledger; later lines are appended by `note`.
-- @tparam string path
-- @return true, or nil and the error
function book:write_ledger(path)
  self.ledger_path = path
  local done, err = file.write(path, table.concat(self.ledger, "\n") .. "\n")
  self.ledger = nil
  return done, err
end

--- Append one line to the ledger, if there is one.
-- @tparam table record
function book:note(record)
  if self.ledger_path then file.append(self.ledger_path, json.encode(record) .. "\n") end
end

--- What a text or conversation is.
-- @tparam string text the prompt's text, or a conversation's canonical JSON
-- @treturn ?table question
-- @treturn ?integer which continuation the text ends with, nil for none
function book:find(text)
  if text ~= self.last_text then -- one request asks several times
    self.last_text, self.last_number = text, self.numbers[hash.sha256_raw(text)]
  end
  local number = self.last_number
  if not number then return nil end
  local continuation = number % CONTINUATIONS_AT_MOST
  return self.questions[number // CONTINUATIONS_AT_MOST], continuation > 0 and continuation or nil
end

local DRIFT = 8 -- nats by which a label moves, at most, per unit of error share

--- Labels of one place are the same for all variants but for a drift that grows with the planted share of errors.
function book:planned_sums(question, sizes, key)
  if not scores.are_labels(sizes) then return scores.choice_sums(key, sizes, question.winner) end
  local shared = self.plan.seed .. "\31" .. question.id
  return scores.drifted(scores.choice_sums(shared, sizes, question.winner), question.winner, shared,
    { distance = DRIFT * (truth.ACCURACY - question.entry.accuracy), own = key .. (self.plan.is_rerun and "\31again" or "") })
end

--- The planned log-probabilities of a question's choices.
-- @treturn {{text=string,pieces=table,sum=number,logprobs=table},...}
-- @treturn table its prompt
function book:choices(question)
  local known = self.recent:get(question)
  if known then return known, known.prompt end
  local prompt = question.entry.task:prompt(question.at)
  local choices, sizes = {}, sizes_of(prompt)
  for i, text in ipairs(prompt.continuations) do choices[i] = { text = text, pieces = tokens.pieces(text) } end
  local key = self.plan.seed .. "\31" .. question.id .. "\31" .. self.plan.variant
  local sums = question.sums or self:planned_sums(question, sizes, key)
  for i, choice in ipairs(choices) do
    choice.sum = sums[i]
    choice.logprobs = scores.spread(key .. "\31" .. i, sums[i], #choice.pieces)
  end
  choices.prompt = prompt
  self.recent:put(question, choices, 1) -- its other choices come right after it
  return choices, prompt
end

--- The text planned for a question of mode generate.
-- @tparam table question
-- @tparam {string,...} stops the request's
-- @tparam integer max_tokens the request's
-- @treturn string text
-- @treturn string finish
function book:text(question, stops, max_tokens)
  local sample = question.entry.task:sample(question.at)
  return replies.text { key = self.plan.seed .. "\31" .. question.id, question = sample.input, outcome = question.outcome,
    value = question.value, form = question.form, stops = stops, max_tokens = max_tokens }
end

--- A draw for things that may differ between attempts.
function book:unit(...)
  return chance.unit(self.plan.seed, self.plan.variant, ...)
end

return book
