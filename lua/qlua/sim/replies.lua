-- SPDX-License-Identifier: Apache-2.0
--- Replies: the texts of the simulated model: some reasoning, then an answer in one of the forms seen in the wild.
--
-- What a form promises is tested: with the headline scorer a reply planned as right is right, one planned as wrong
-- names another value, and one planned as no answer, refused or truncated holds no digit and no lone letter at all.

local chance = require "qlua.sim.chance"
local tokens = require "qlua.sim.tokens"

local replies = {}

local function has_han(text)
  return text:find("[\xE4-\xE9][\x80-\xBF][\x80-\xBF]") ~= nil
end

-- ---- numbers ------------------------------------------------------------------------------------------

local function grouped(digits)
  local sign, whole, rest = digits:match "^(-?)(%d+)(.*)$"
  local out = whole:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. out .. rest
end

local function full_width(digits)
  return (digits:gsub("%d", function(d) return utf8.char(0xFF10 + tonumber(d)) end))
end

local function is_natural(value) return value:find "^%d+$" ~= nil end

-- Each form: the end of a reply. `fits` says which values it can show, `language` which reply it closes.
local NUMBER_FORMS = {
  { name = "hash", share = 0.40, write = function(v) return "#### " .. v end },
  { name = "the_answer_is", share = 0.15, write = function(v) return "The answer is " .. v .. "." end },
  { name = "boxed", share = 0.14, write = function(v) return "So the final answer is \\boxed{" .. v .. "}." end },
  { name = "bold", share = 0.10, write = function(v) return "**" .. v .. "**" end },
  { name = "note", share = 0.08,
    write = function(v) return "#### " .. v .. "\n\nNote: checked by working backwards as well." end },
  { name = "dollar", share = 0.06, fits = is_natural,
    write = function(v) return "The total comes to $" .. grouped(v) .. "." end },
  { name = "chinese", share = 0.05, language = "zh", write = function(v) return "答案是" .. v .. "。" end },
  { name = "full_width", share = 0.02, language = "zh", fits = is_natural,
    write = function(v) return "答案是" .. full_width(v) .. "。" end },
}

local CHINESE_NUMBER_FORMS = {
  { name = "chinese", share = 0.5, language = "zh", write = function(v) return "答案是" .. v .. "。" end },
  { name = "boxed_chinese", share = 0.2, language = "zh", write = function(v) return "最终答案为 \\boxed{" .. v .. "}。" end },
  { name = "hash", share = 0.2, language = "zh", write = function(v) return "#### " .. v end },
  { name = "full_width", share = 0.1, language = "zh", fits = is_natural,
    write = function(v) return "答案是" .. full_width(v) .. "。" end },
}

local LETTER_FORMS = {
  { name = "the_answer_is", share = 0.4, write = function(v) return "The answer is (" .. v .. ")." end },
  { name = "answer_colon", share = 0.3, write = function(v) return "Answer: " .. v end },
  { name = "boxed", share = 0.15, write = function(v) return "\\boxed{" .. v .. "}" end },
  { name = "chinese", share = 0.15, language = "zh", write = function(v) return "答案：" .. v end },
}

local TEXT_FORMS = { { name = "plain", share = 1, write = function(v) return v end } }

local BARE = { name = "bare", share = 1, write = function(v) return v end }

--- Names of all forms of numbers, for checking a plan.
function replies.number_forms()
  local names = {}
  for i, form in ipairs(NUMBER_FORMS) do names[i] = form.name end
  return names
end

-- ---- reasoning ----------------------------------------------------------------------------------------

local NUMBER_WORDS = {}
for word in ([[zero three four five seven eight nine eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen twice thrice
quarter third thirds fourth fourths fifth eighth double triple percent]]):gmatch "%a+" do NUMBER_WORDS[word] = true end

-- Up to three words of the question that carry no number.
local function topics(question)
  local found, seen = {}, {}
  for word in question:lower():gmatch "%f[%w]%a%a%a%a%a%a*%f[^%w]" do
    if not seen[word] and not NUMBER_WORDS[word] and #found < 3 then
      seen[word] = true
      found[#found + 1] = word
    end
  end
  local spare = { "amounts", "given values", "remaining part" }
  while #found < 3 do found[#found + 1] = spare[#found + 1] end
  return found
end

local OPENINGS = {
  "Let me work through this. First look at the %s, then at the %s.",
  "We start from what is known about the %s and relate it to the %s.",
  "Step by step: the question is about the %s, and it depends on the %s.",
}
local MIDDLES = {
  "Combining the %s with the rest gives the result.",
  "Taking the %s into account, the steps add up as follows.",
  "After the %s is settled, the remaining step is short.",
}
local CHINESE_OPENINGS = { "我们一步一步来分析题目中的条件。", "先整理已知条件，再逐步计算。", "根据题意，先找出各数量之间的关系。" }
local CHINESE_MIDDLES = { "把各步结果合在一起即可得到答案。", "代入已知条件，逐步化简。", "最后检查单位与条件是否一致。" }

local function reasoning(key, question, language)
  local one, two = chance.integer(3, key, "opening"), chance.integer(3, key, "middle")
  if language == "zh" then return CHINESE_OPENINGS[one] .. CHINESE_MIDDLES[two] end
  local words = topics(question)
  return OPENINGS[one]:format(words[1], words[2]) .. " " .. MIDDLES[two]:format(words[3])
end

local FAILURES = {
  en = {
    no_answer = "It depends on how the %s and the %s are counted, and the text leaves that open. More would have to be"
      .. " known about the %s first.",
    refused = "I'm sorry, but I can't help with that request.",
    filler = "Looking at the %s again, and then at the %s, we have to keep the %s in mind before going on.",
  },
  zh = {
    no_answer = "题目没有说明如何计算，还需要更多条件才能继续。",
    refused = "抱歉，我无法回答这个问题。",
    filler = "再看一遍题目中的条件，继续分析各数量之间的关系。",
  },
}

-- ---- a whole reply --------------------------------------------------------------------------------------

local function holds_stop(text, stops)
  for _, stop in ipairs(stops or {}) do
    if text:find(stop, 1, true) then return true end
  end
  return false
end

local function forms_for(kind, question)
  if kind == "number" then return has_han(question) and CHINESE_NUMBER_FORMS or NUMBER_FORMS end
  return kind == "letter" and LETTER_FORMS or TEXT_FORMS
end

--- The form in which an answer is given.
-- @tparam string key what the choice depends on
-- @tparam string kind number, letter or text
-- @tparam string question
-- @tparam string value
-- @tparam {string,...} stops a form that would be cut by one of them is not chosen
-- @tparam ?table weights form name → share, in place of the usual shares
-- @treturn table form
function replies.form(key, kind, question, value, stops, weights)
  local fitting = {}
  for _, form in ipairs(forms_for(kind, question)) do
    local share = weights and (weights[form.name] or 0) or form.share
    if share > 0 and (not form.fits or form.fits(value)) and not holds_stop(form.write(value), stops) then
      fitting[#fitting + 1] = { name = form.name, share = share, write = form.write, language = form.language }
    end
  end
  if #fitting == 0 then return BARE end
  local name = chance.pick(fitting, chance.unit(key, "form"))
  for _, form in ipairs(fitting) do
    if form.name == name then return form end
  end
end

--- A value other than the right one, of the same kind; the same for all variants.
-- @tparam string key
-- @tparam string target
-- @treturn string
function replies.wrong_number(key, target)
  local plain = target:gsub("[,$%s]", "")
  local whole = math.tointeger(tonumber(plain))
  if whole and plain:find "^-?%d+$" then
    local steps = { 1, 2, 3, 5, 10, whole ~= 0 and whole or 4, 12 }
    return tostring(whole + steps[chance.integer(#steps, key, "wrong number")])
  end
  local number = tonumber(plain)
  return number and tostring(number + 1.5) or "7"
end

--- The text of a reply.
-- @tparam table what `key`, `question`, `outcome`, `value`, `form`, `stops`, `max_tokens`
-- @treturn string text
-- @treturn string finish "stop" or "length"
function replies.text(what)
  local language = has_han(what.question) and "zh" or "en"
  local say, words = FAILURES[language], topics(what.question)
  if what.outcome == "empty" then return "", "stop" end
  if what.outcome == "refused" then return say.refused, "stop" end
  if what.outcome == "no_answer" then return say.no_answer:format(words[1], words[2], words[3]), "stop" end
  if what.outcome == "truncated" then
    local sentence = say.filler:format(words[1], words[2], words[3]) .. (language == "en" and " " or "")
    return sentence:rep(what.max_tokens // tokens.count(sentence) + 1), "length"
  end
  local answer = what.form.write(what.value)
  local text = reasoning(what.key, what.question, what.form.language or language) .. "\n" .. answer
  local fits = tokens.count(text) < what.max_tokens and not holds_stop(text, what.stops)
  return fits and text or answer, "stop"
end

local GENERIC = {
  "That is a good question. In short, it depends on the situation, and the usual advice is to start with the simplest case.",
  "Here is a brief answer: look at the main points first, then at the details, and compare them with what you know.",
  "There are several ways to see this. The most common one is to weigh the benefits against the effort and decide then.",
}
local GENERIC_CHINESE = { "这个问题可以从几个方面来看，先抓住要点，再看细节。", "简单来说，要看具体情况，一般先从最简单的情形入手。" }

--- The reply to something that is in no dataset.
-- @tparam string prompt
-- @treturn string
function replies.generic(prompt)
  local list = has_han(prompt) and GENERIC_CHINESE or GENERIC
  return list[chance.integer(#list, "generic", prompt)]
end

return replies
