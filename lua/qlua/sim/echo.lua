-- SPDX-License-Identifier: Apache-2.0
--- Echo: the legacy log-probability lists of text completions, written as JSON text.
--
-- A scoring request brings back every token of a long prompt, so this is the simulated server's heaviest work.
-- Few-shot prompts repeat their examples: a block's part of each list is remembered by block, place and k, and a
-- reply is mostly joining. Offsets count characters, as vLLM's do, the first token's log-probability is null, and a
-- logprob below -9999 would be -9999.

local json = require "qlua.core.json"
local recall = require "qlua.sim.recall"
local scores = require "qlua.sim.scores"
local tokens = require "qlua.sim.tokens"

local echo = {}

local quoted = setmetatable({}, { __index = function(memo, piece)
  local text = json.encode(piece)
  memo[piece] = text
  return text
end })

local function number(logprob) return ("%.6f"):format(math.max(logprob, -9999)) end

local function as_id(piece) return ('"token_id:%d"'):format(tokens.id(piece)) end

local function top_object(top, is_by_id)
  local parts = {}
  for i, entry in ipairs(top) do
    parts[i] = (is_by_id and as_id(entry.piece) or quoted[entry.piece]) .. ":" .. number(entry.logprob)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function prompt_object(top)
  local parts = {}
  for i, entry in ipairs(top) do
    parts[i] = ('"%d":{"decoded_token":%s,"logprob":%s,"rank":%d}'):format(tokens.id(entry.piece), quoted[entry.piece],
      number(entry.logprob), entry.rank)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- One set of lists; `add` takes the piece and its likeliest pieces, nil at the very first place.
local function new_lists(chars)
  return { tokens = {}, logprobs = {}, tops = {}, prompts = {}, offsets = {}, ids = {}, chars = chars, count = 0 }
end

local function add(lists, piece, logprob_text, top_text, prompt_text)
  local n = lists.count + 1
  lists.count = n
  lists.tokens[n], lists.offsets[n], lists.ids[n] = quoted[piece], lists.chars, tokens.id(piece)
  lists.logprobs[n], lists.tops[n], lists.prompts[n] = logprob_text, top_text, prompt_text
  lists.chars = lists.chars + (utf8.len(piece) or #piece)
end

local unigram_memo = {} -- k → piece → the three texts

local function unigram_texts(piece, k)
  local memo = unigram_memo[k]
  if not memo then
    memo = {}
    unigram_memo[k] = memo
  end
  local texts = memo[piece]
  if not texts then
    local top = scores.top(piece, nil, k)
    texts = { number((scores.unigram(piece))), top_object(top), prompt_object(top) }
    memo[piece] = texts
  end
  return texts
end

local LISTS = { "tokens", "logprobs", "tops", "prompts", "offsets", "ids" }

local function block_lists(block, chars, k)
  local lists = new_lists(chars)
  for i, piece in ipairs(tokens.block(block)) do
    if chars == 0 and i == 1 then
      add(lists, piece, "null", "null", "null")
    else
      add(lists, piece, table.unpack(unigram_texts(piece, k)))
    end
  end
  for _, name in ipairs(LISTS) do lists[name] = table.concat(lists[name], ",") end
  return lists
end

local remembered = recall.new(8 << 20) -- bytes

local function recalled(block, chars, k)
  local key = k .. ":" .. chars .. ":" .. block
  local lists = remembered:get(key)
  if lists then return lists end
  lists = block_lists(block, chars, k)
  lists.cost = 2 * #block + #lists.tops + #lists.prompts + 4 * #lists.tokens
  remembered:put(key, lists, lists.cost)
  return lists
end

--- Start the lists of one choice.
-- @tparam integer k how many likeliest pieces besides the actual one
-- @treturn table
function echo.new(k)
  local lists = new_lists(0)
  lists.k = k
  return lists
end

--- A copy that can be added to.
function echo.copy(lists)
  local made = { k = lists.k, count = lists.count, chars = lists.chars }
  for _, name in ipairs(LISTS) do made[name] = table.move(lists[name], 1, #lists[name], 1, {}) end
  return made
end

local function append(lists, more)
  if more.count == 0 then return end
  for _, name in ipairs(LISTS) do
    local into = lists[name]
    into[#into + 1] = more[name]
  end
  lists.count, lists.chars = lists.count + more.count, more.chars
end

--- Add text of a prompt, scored by the unigram model.
function echo.add_text(lists, text)
  tokens.each_block(text, function(block) append(lists, recalled(block, lists.chars, lists.k)) end)
end

--- Add pieces whose likeliest pieces are given by tops(i)(k).
-- @tparam table lists
-- @tparam {string,...} pieces
-- @tparam function tops i → function of k
-- @tparam[opt] boolean is_by_id tokens are written as "token_id:N"
function echo.add_pieces(lists, pieces, tops, is_by_id)
  local more = new_lists(lists.chars)
  for i, piece in ipairs(pieces) do
    local top = tops(i)(lists.k)
    local own = top[#top]
    for _, entry in ipairs(top) do
      if entry.piece == piece then own = entry end
    end
    add(more, piece, number(own.logprob), top_object(top, is_by_id), prompt_object(top))
    if is_by_id then more.tokens[i] = as_id(piece) end
  end
  for _, name in ipairs(LISTS) do more[name] = table.concat(more[name], ",") end
  append(lists, more)
end

--- The `logprobs` object, as JSON.
function echo.logprobs(lists)
  return ('{"text_offset":[%s],"token_logprobs":[%s],"tokens":[%s],"top_logprobs":[%s]}'):format(
    table.concat(lists.offsets, ","), table.concat(lists.logprobs, ","), table.concat(lists.tokens, ","),
    table.concat(lists.tops, ","))
end

--- The `prompt_logprobs` list, as JSON.
function echo.prompt_logprobs(lists)
  return "[" .. table.concat(lists.prompts, ",") .. "]"
end

--- Token ids, as JSON.
function echo.ids(lists)
  return "[" .. table.concat(lists.ids, ",") .. "]"
end

return echo
