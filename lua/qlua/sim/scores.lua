-- SPDX-License-Identifier: Apache-2.0
--- Scores: the simulated model's log-probabilities.
--
-- Text that is in no dataset is scored by a unigram model: a few dozen common pieces share most of the mass, all
-- others are rare. It does not look at the context, so scoring a text at once and token by token agree. What follows
-- a dataset's question is planned instead: the choice that shall win has the highest sum, and the highest sum per
-- character, per byte and per token, by a margin that rounding to six digits cannot close.

local chance = require "qlua.sim.chance"

local scores = {}

-- Common pieces, the likeliest first.
local COMMON = { " the", ",", " of", ".", " and", " to", " A", " B", " C", " D", " in", " is", " a", "\n", " that", " E",
  "A", "B", "C", "D", "E", " was", " it", " for", " on", " with", " Yes", " No", " F", " G", " H", " I", " J", "The", " 1",
  "1", " 2", "2", "0", " Paris", ":", " as" }

local common_rank, common_logprob = {}, {}
do
  local total = 0
  for rank = 1, #COMMON do total = total + 1 / (rank + 1) end
  for rank, piece in ipairs(COMMON) do
    common_rank[piece] = rank
    common_logprob[rank] = math.log(0.9 / (rank + 1) / total)
  end
end

local rare = {}

--- Log-probability and rank of a piece wherever nothing is planned.
-- @treturn number natural logarithm
-- @treturn integer rank, from 1
function scores.unigram(piece)
  local rank = common_rank[piece]
  if rank then return common_logprob[rank], rank end
  local u = rare[piece]
  if not u then
    u = chance.unit("unigram", piece)
    rare[piece] = u
  end
  return -5.5 - 7 * u, #COMMON + 1 + math.floor(u * 20000)
end

--- The likeliest pieces at a place where a piece has a given log-probability, with that piece in any case.
-- The other pieces share what mass it leaves, so the list is a piece of one distribution.
-- @tparam string piece
-- @tparam number logprob of it; nil: the unigram model's
-- @tparam integer k how many, besides the piece itself if it is not among them
-- @treturn {{piece=string,logprob=number,rank=integer},...} likeliest first
function scores.top(piece, logprob, k)
  local rest = logprob and math.log(math.max(1 - math.exp(logprob), 1e-9)) or 0
  local own_rank
  if not logprob then logprob, own_rank = scores.unigram(piece) end
  local list, placed = {}, false
  for rank = 1, #COMMON do
    if #list >= k then break end
    local other = common_logprob[rank] + rest
    if not placed and logprob >= other then
      list[#list + 1] = { piece = piece, logprob = logprob, rank = #list + 1 }
      placed = true
    end
    if COMMON[rank] ~= piece and #list < k then
      list[#list + 1] = { piece = COMMON[rank], logprob = other, rank = #list + 1 }
    end
  end
  if not placed then list[#list + 1] = { piece = piece, logprob = logprob, rank = own_rank or #COMMON + 1 } end
  return list
end

--- The likeliest pieces where several are planned, as at the place of an answer's letter.
-- @tparam {[string]=number} planned piece → log-probability
-- @tparam integer k
-- @treturn {{piece=string,logprob=number,rank=integer},...} likeliest first
function scores.top_of(planned, k)
  local list, mass = {}, 0
  for piece, logprob in pairs(planned) do
    list[#list + 1] = { piece = piece, logprob = logprob }
    mass = mass + math.exp(logprob)
  end
  local rest = math.log(math.max(1 - mass, 1e-9))
  for rank, piece in ipairs(COMMON) do
    if not planned[piece] then list[#list + 1] = { piece = piece, logprob = common_logprob[rank] + rest } end
  end
  table.sort(list, function(a, b)
    if a.logprob ~= b.logprob then return a.logprob > b.logprob end
    return a.piece < b.piece
  end)
  for i = #list, k + 1, -1 do list[i] = nil end
  for rank, entry in ipairs(list) do entry.rank = rank end
  return list
end

--- What any piece is worth where some are planned.
function scores.value_of(planned, piece)
  if planned[piece] then return planned[piece] end
  local mass = 0
  for _, logprob in pairs(planned) do mass = mass + math.exp(logprob) end
  return (scores.unigram(piece)) + math.log(math.max(1 - mass, 1e-9))
end

local CLOSEST = 0.02 -- nats between the winner and the next: more than rounding to six digits closes
local OWN_DRIFT = 0.03 -- nats by which each pass of each variant is off by itself

-- One token each and of one length: the labels share the mass of one place.
local function label_sums(key, count, winner)
  local best = 0.55 + 0.4 * chance.unit(key, "best")
  local weights, total = {}, 0
  for i = 1, count do
    weights[i] = 0.1 + chance.unit(key, "label", i)
    if i ~= winner then total = total + weights[i] end
  end
  local sums = {}
  for i = 1, count do
    sums[i] = math.log(i == winner and best or (1 - best) * 0.9 * weights[i] / total)
  end
  return sums
end

--- Labels' log-probabilities as one variant has them. All variants of a seed move the same way, each by its own distance,
-- so that two of them differ by as much as their distances do; what is left is a little that is each pass's own. Their
-- mass stays, and so does which of them is highest.
-- @tparam {number,...} sums
-- @tparam integer winner whose sum is highest
-- @tparam string key what all variants share
-- @tparam table drift `{ distance = nats at most, own = what only this pass of this variant has }`
-- @treturn {number,...}
function scores.drifted(sums, winner, key, drift)
  local before, moved, total = 0, {}, 0
  for i, sum in ipairs(sums) do
    moved[i] = sum + drift.distance * (2 * chance.unit(key, "drift", i) - 1) + OWN_DRIFT * (2 * chance.unit(drift.own, "own", i) - 1)
    before = before + math.exp(sum)
  end
  for i in ipairs(moved) do
    if i ~= winner then moved[i] = math.min(moved[i], moved[winner] - CLOSEST) end
    total = total + math.exp(moved[i])
  end
  local scale = math.log(before / total)
  for i in ipairs(moved) do moved[i] = moved[i] + scale end
  return moved
end

-- How much longer one choice is than another, by the measure that says most.
local function longest_ratio(size, other)
  return math.max(1, size.chars / other.chars, size.bytes / other.bytes, size.tokens / other.tokens)
end

-- The free winner before all that are placed.
local function place_winner(sums, placed, sizes, winner, usual)
  for _, i in ipairs(placed) do
    local before = sums[i] / longest_ratio(sizes[i], sizes[winner]) / 1.1
    sums[winner] = math.max(sums[winner] or -math.huge, before)
  end
  sums[winner] = sums[winner] or usual
  placed[#placed + 1] = winner
end

-- A free choice behind all that are placed.
local function place_behind(sums, placed, sizes, i, margin)
  for _, other in ipairs(placed) do
    sums[i] = math.min(sums[i] or 0, sums[other] * longest_ratio(sizes[i], sizes[other]) * margin)
  end
  placed[#placed + 1] = i
end

--- Are these choices of one token and of one length?
function scores.are_labels(sizes)
  for _, size in ipairs(sizes) do
    if size.tokens ~= 1 or size.chars ~= sizes[1].chars or size.bytes ~= sizes[1].bytes then return false end
  end
  return true
end

--- Sums of log-probabilities for the choices of a question.
-- The choices get one order that holds for the sums and for sums per character, byte and token. Some may be fixed, since
-- the same text was scored for an earlier question: then the best of them may win.
-- @tparam string key what the sums depend on
-- @tparam {{chars=integer,bytes=integer,tokens=integer},...} sizes of the choices without their leading space
-- @tparam integer winner which shall win, from 1
-- @tparam ?{[integer]=number} fixed
-- @treturn {number,...}
function scores.choice_sums(key, sizes, winner, fixed)
  if not fixed and scores.are_labels(sizes) then return label_sums(key, #sizes, winner) end
  local sums, placed = {}, {}
  for i in ipairs(sizes) do
    sums[i] = fixed and fixed[i]
    if sums[i] then placed[#placed + 1] = i end
  end
  if not sums[winner] then
    place_winner(sums, placed, sizes, winner, -(0.25 + 0.6 * chance.unit(key, "per token")) * sizes[winner].tokens)
  end
  local turn = chance.integer(#sizes, key, "turn") -- else the later of equals would always be the worse
  for step = 1, #sizes do
    local i = (turn + step) % #sizes + 1
    if not sums[i] then place_behind(sums, placed, sizes, i, 1.05 + 0.4 * chance.unit(key, "margin", i)) end
  end
  return sums
end

--- A sum laid over the tokens of a choice, unevenly as real ones are; the parts add up to it.
-- One draw starts a linear congruential sequence (the constants are ANSI C's): a draw per token would be dear.
-- @treturn {number,...}
function scores.spread(key, sum, count)
  local state = math.floor(chance.unit(key, "spread") * 0x7fffffff)
  local weights, total = {}, 0
  for i = 1, count do
    state = (state * 1103515245 + 12345) & 0x7fffffff
    weights[i] = 0.2 + state / 0x7fffffff
    total = total + weights[i]
  end
  for i = 1, count do weights[i] = sum * weights[i] / total end
  return weights
end

return scores
