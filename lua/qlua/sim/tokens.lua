-- SPDX-License-Identifier: Apache-2.0
--- Tokens: a small tokenizer of the simulated model's own.
--
-- A piece is an optional leading space and then up to 8 letters, one digit, one mark or one non-ASCII character;
-- or a run of line breaks. So a space always starts a piece, and text joined with a continuation that begins with a
-- space has a piece boundary there. Ids are a hash of the piece; should two pieces meet, the later one moves on by
-- one, so within a process text → ids → text is exact. Texts are cut into blocks at empty lines and blocks are
-- remembered, since few-shot prompts repeat most of their text.

local hash = require "qlua.core.hash"
local recall = require "qlua.sim.recall"

local tokens = {}

--- Ids are from 0 to this, exclusive.
tokens.VOCABULARY = 1 << 31

local id_of, piece_of = {}, {}

--- The id of a piece.
function tokens.id(piece)
  local id = id_of[piece]
  if id then return id end
  id = string.unpack("<I4", hash.sha256_raw("piece\31" .. piece)) & (tokens.VOCABULARY - 1)
  while piece_of[id] do id = (id + 1) % tokens.VOCABULARY end
  id_of[piece], piece_of[id] = id, piece
  return id
end

--- The text of ids, or nil when one of them has never been seen.
-- @tparam {integer,...} ids
-- @treturn ?string
function tokens.text(ids)
  local pieces = {}
  for i, id in ipairs(ids) do
    local piece = piece_of[id]
    if not piece then return nil end
    pieces[i] = piece
  end
  return table.concat(pieces)
end

local LONGEST_WORD = 8
local SPACE, BREAK = 32, 10

local kinds = {} -- byte → what a piece that begins with it, or with a space and it, is
for byte = 0, 255 do
  local char = string.char(byte)
  kinds[byte] = char:find "%a" and "word" or char:find "[%d%p]" and "mark" or char:find "[\xC2-\xF4]" and "wide"
end

-- Prompts are long and seen once: one search per piece, for its end.
local function piece_end(text, at)
  local first, second = text:byte(at, at + 1)
  if first == BREAK then return math.min((text:find("[^\n]", at) or #text + 1) - 1, at + LONGEST_WORD - 1) end
  local start = at
  if first == SPACE and second then first, start = second, at + 1 end
  local kind = kinds[first]
  if kind == "word" then return math.min((text:find("%A", start) or #text + 1) - 1, at + LONGEST_WORD - 1) end
  if kind == "mark" then return start end
  if kind ~= "wide" then return at end
  local _, stop = text:find("^[\x80-\xBF]+", start + 1)
  return stop and math.min(stop, at + 4) or at
end

local function cut(block)
  local pieces, at, n = {}, 1, 0
  while at <= #block do
    local stop = piece_end(block, at)
    n = n + 1
    pieces[n] = block:sub(at, stop)
    at = stop + 1
  end
  return pieces
end

local remembered = recall.new(512) -- blocks

--- The pieces of one block.
-- @treturn {string,...} shared: do not change
function tokens.block(block)
  local pieces = remembered:get(block)
  if not pieces then
    pieces = cut(block)
    remembered:put(block, pieces, 1)
  end
  return pieces
end

--- Call fn(block) for each block of a text, in order. A block ends after a run of two or more line breaks.
function tokens.each_block(text, fn)
  local at = 1
  while at <= #text do
    local _, stop = text:find("\n\n+", at)
    stop = stop or #text
    fn(text:sub(at, stop))
    at = stop + 1
  end
end

local counted = recall.new(2048) -- how many pieces blocks have

-- The pieces themselves are not made: most prompts are only counted.
local function count_of(block)
  local count = counted:get(block, 1)
  if count then return count end
  count = 0
  local at = 1
  while at <= #block do
    at, count = piece_end(block, at) + 1, count + 1
  end
  counted:put(block, count, 1)
  return count
end

--- How many pieces a text has.
function tokens.count(text)
  local count = 0
  tokens.each_block(text, function(block) count = count + count_of(block) end)
  return count
end

--- All pieces of a text.
-- @treturn {string,...} a list of its own
function tokens.pieces(text)
  local all = {}
  tokens.each_block(text, function(block)
    local pieces = tokens.block(block)
    table.move(pieces, 1, #pieces, #all + 1, all)
  end)
  return all
end

return tokens
