-- SPDX-License-Identifier: Apache-2.0
--- Voice: what the simulated model says to one prompt, as tokens with log-probabilities.
--
-- A saying is `{ text, pieces, finish, stop_reason, tops, count }`: pieces make up the text; `tops[i](k)` lists the
-- likeliest k pieces at place i, with the piece itself; count is what usage calls completion tokens, with the
-- end-of-text token that a stopped reply has and a cut one has not.

local chance = require "qlua.sim.chance"
local replies = require "qlua.sim.replies"
local scores = require "qlua.sim.scores"
local tokens = require "qlua.sim.tokens"

local voice = {}

-- The earliest stop string in a text: where it begins, and which it is.
local function find_stop(text, stops)
  local first, which
  for _, stop in ipairs(stops) do
    local at = text:find(stop, 1, true)
    if at and (not first or at < first) then first, which = at, stop end
  end
  return first, which
end

-- Cut to the request's stop strings and length.
local function bounded(text, finish, ask)
  local saying = { finish = finish }
  local at, stop = find_stop(text, ask.stops)
  if at then
    text = text:sub(1, at - 1 + (ask.include_stop and #stop or 0))
    saying.finish, saying.stop_reason = "stop", stop
  end
  saying.pieces = tokens.pieces(text)
  if #saying.pieces >= ask.max_tokens then
    for i = #saying.pieces, ask.max_tokens + 1, -1 do saying.pieces[i] = nil end
    text = table.concat(saying.pieces)
    saying.finish, saying.stop_reason = "length", nil
  end
  saying.text = text
  saying.count = #saying.pieces + (saying.finish == "stop" and 1 or 0)
  return saying
end

-- Any piece's log-probability at a place where one has a given value; the others share what it leaves.
local function value_beside(piece, logprob)
  return function(other)
    if other == piece and logprob then return logprob end
    return (scores.unigram(other)) + (logprob and math.log(math.max(1 - math.exp(logprob), 1e-9)) or 0)
  end
end

local function with_tops(saying, logprob_at)
  saying.tops, saying.values = {}, {}
  for i, piece in ipairs(saying.pieces) do
    saying.tops[i] = function(k) return scores.top(piece, logprob_at(i), k) end
    saying.values[i] = value_beside(piece, logprob_at(i))
  end
  return saying
end

local function label_of(choice, ask)
  return ask.is_chat and (choice.text:gsub("^ ", "")) or choice.text
end

-- The place of an answer's letter: the labels are planned, the best one is said.
local function say_letter(book, question, ask)
  local planned, best = {}, nil
  for i, choice in ipairs((book:choices(question))) do
    local label = label_of(choice, ask)
    local piece = tokens.pieces(label)[1] or label
    planned[piece] = math.max(planned[piece] or -math.huge, choice.sum)
    if i == question.winner then best = label end
  end
  local saying = with_tops(bounded(best, "stop", ask), function() return -0.01 end)
  saying.tops[1] = function(k) return scores.top_of(planned, k) end
  saying.values[1] = function(piece) return scores.value_of(planned, piece) end
  return saying
end

local function say_generic(prompt, ask)
  local text = (ask.is_chat and "" or " ") .. replies.generic(prompt)
  if ask.ignore_eos then text = text:rep(ask.max_tokens // tokens.count(text) + 1) end
  return with_tops(bounded(text, "stop", ask), function() return nil end)
end

-- One token with a great bias is what comes next; its log-probability is that of before.
local function forced(saying, ask)
  local piece
  for biased, amount in pairs(ask.bias) do
    if amount >= 50 then piece = biased end
  end
  if not piece or ask.max_tokens ~= 1 then return saying end
  local value, tops = saying.values[1] and saying.values[1](piece) or (scores.unigram(piece)), saying.tops[1]
  return { text = piece, pieces = { piece }, finish = "length", count = 1, values = saying.values, tops = { function(k)
    local list = tops and tops(k) or {}
    for _, entry in ipairs(list) do
      if entry.piece == piece then return list end
    end
    list[#list + 1] = { piece = piece, logprob = value, rank = #list + 1 }
    return list
  end } }
end

-- Exactly these pieces as candidates, and the one that is said.
local function with_exact(saying, pieces)
  local tops, value = saying.tops[1], saying.values and saying.values[1]
  if not tops or not value then return saying end
  saying.tops[1] = function()
    local list, has_own = {}, false
    for i, piece in ipairs(pieces) do
      list[i] = { piece = piece, logprob = value(piece), rank = i }
      has_own = has_own or piece == saying.pieces[1]
    end
    if not has_own then list[#list + 1] = { piece = saying.pieces[1], logprob = value(saying.pieces[1]), rank = 1 } end
    return list
  end
  return saying
end

local function chosen(saying, ask)
  for _, choice in ipairs(ask.choice) do
    if saying.text:find(choice, 1, true) then return with_tops(bounded(choice, "stop", ask), function() return nil end) end
  end
  return with_tops(bounded(ask.choice[1], "stop", ask), function() return nil end)
end

local say_freely

--- What is said to a prompt.
-- @tparam table book
-- @tparam string prompt text, or a conversation's canonical JSON
-- @tparam table ask `max_tokens`, `stops`, `is_chat`, `ignore_eos`, `include_stop`, `wants_logprobs`
-- @treturn table saying
-- @treturn ?table the question, when the book knows it
function voice.say(book, prompt, ask)
  local saying, question = say_freely(book, prompt, ask)
  if ask.choice then saying = chosen(saying, ask) end
  if ask.bias then saying = forced(saying, ask) end
  if ask.exact then saying = with_exact(saying, ask.exact) end
  if ask.candidates_at_most then
    for i, tops in ipairs(saying.tops or {}) do
      saying.tops[i] = function(k) return tops(math.min(k, ask.candidates_at_most)) end
    end
  end
  return saying, question
end

function say_freely(book, prompt, ask)
  local question, continuation = book:find(prompt)
  if not question or continuation then return say_generic(prompt, ask), question end
  if question.winner then return say_letter(book, question, ask), question end
  local text, finish = book:text(question, ask.stops, ask.max_tokens)
  if not ask.is_chat and text ~= "" then text = " " .. text end
  if ask.ignore_eos then -- the answer, and then on to the limit
    local more = " " .. replies.generic(prompt)
    text = text .. more:rep(ask.max_tokens // tokens.count(more) + 1)
  end
  local key = question.id
  return with_tops(bounded(text, finish, ask), function(i) return -0.02 - 0.5 * chance.unit("said", key, i) end), question
end

--- The planned log-probabilities of a known continuation at the end of a prompt.
-- @tparam table book
-- @tparam string prompt
-- @treturn ?string the context before the continuation
-- @treturn ?{string,...} its pieces
-- @treturn ?{number,...} their log-probabilities
function voice.continuation(book, prompt)
  local question, which = book:find(prompt)
  if not which then return nil end
  local choice = book:choices(question)[which]
  return prompt:sub(1, #prompt - #choice.text), choice.pieces, choice.logprobs
end

--- How many tokens a prompt has; a known continuation begins a piece of its own.
function voice.count(book, prompt)
  local context, pieces = voice.continuation(book, prompt)
  return tokens.count(context or prompt) + (pieces and #pieces or 0)
end

return voice
