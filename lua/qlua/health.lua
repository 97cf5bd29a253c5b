-- SPDX-License-Identifier: Apache-2.0
--- Health: signs that a model talks differently, read off its replies one by one: it ends in a loop, or it changes language.
-- Pure, and blind to right and wrong: quantization can break a model in ways that an extracted answer still survives.

local health = {}

local TAIL = 1200 -- bytes looked at: a loop goes on until the token limit cuts it
local LONGEST_PERIOD = 200
local LEAST_BYTES, LEAST_COPIES = 80, 5

--- Does a text end in repetitions of one piece? Five copies at least and 80 bytes; a list of steps has no such tail.
-- @tparam string text
-- @treturn boolean
function health.is_loop(text)
  local tail = text:sub(-TAIL):gsub("%s+$", "")
  for period = 1, math.min(LONGEST_PERIOD, #tail // LEAST_COPIES) do
    local reach = math.max(LEAST_BYTES, (LEAST_COPIES - 1) * period)
    if #tail >= reach + period and tail:sub(-reach) == tail:sub(-reach - period, -period - 1) then return true end
  end
  return false
end

-- CJK ideographs, kana and hangul in UTF-8 begin with E3 to ED; ASCII letters stand for all alphabets here.
local function count_cjk(text)
  local cjk = 0
  for _ in text:gmatch "[\xE3-\xED][\x80-\xBF][\x80-\xBF]" do cjk = cjk + 1 end
  return cjk
end

local function count_latin(text)
  local latin = 0
  for run in text:gmatch "%a+" do latin = latin + #run end
  return latin
end

--- Does a reply leave the language of its prompt? Chinese, Japanese or Korean in answer to a prompt without any, or the
-- other way round. A formula or a name is not a language: a handful of characters does not count.
-- @tparam string prompt
-- @tparam string reply
-- @treturn boolean
function health.is_switched(prompt, reply)
  local prompt_cjk, cjk = count_cjk(prompt), count_cjk(reply)
  if prompt_cjk == 0 then return cjk >= 8 end
  return cjk == 0 and count_latin(reply) >= 40 and prompt_cjk >= count_latin(prompt) // 4
end

--- Count over texts that stream past.
-- @tparam function rows iterator of `{ variant, dataset, text, prompt }`
-- @treturn table variant → dataset → `{ texts, loops, switched }`
function health.count(rows)
  local counts = {}
  for row in rows do
    local of_variant = counts[row.variant] or {}
    counts[row.variant] = of_variant
    local one = of_variant[row.dataset] or { texts = 0, loops = 0, switched = 0 }
    of_variant[row.dataset] = one
    one.texts = one.texts + 1
    if health.is_loop(row.text) then one.loops = one.loops + 1 end
    if row.prompt and health.is_switched(row.prompt, row.text) then one.switched = one.switched + 1 end
  end
  return counts
end

return health
