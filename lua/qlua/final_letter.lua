-- SPDX-License-Identifier: Apache-2.0
--- final_letter: the choice a reply makes among labels, and by which sign it was recognized.
-- Signs are asked in order; a lower one only when no higher one is there. A capital letter somewhere in the text
-- is never taken: "A" is an article and "I" a pronoun. Where a sign names two choices the reply is ambiguous, and
-- no lower sign is asked, since that would be a guess.
local letter_patterns = require "qlua.letter_patterns"
local reply = require "qlua.reply"

local TAIL = 4000 -- bytes of a last line or sentence that are looked at
local NEAR_END = 400 -- bytes: a label named only in the middle was weighed, not chosen

local function find_all(pattern, text)
  local matches, err = pattern:find_all(text)
  if not matches then error(err.text, 0) end
  return matches
end

local function label_of(match)
  for group = 3, #match do
    if match[group] then return match[group]:upper() end
  end
end

-- ---- statements: "the answer is B" ---------------------------------------------------------------------------------

local CONCLUSION = { "therefore", "thus", "hence", "%f[%a]so%f[%A]", "final", "updated", "conclu", "所以", "因此", "综上",
  "故" }
local CORRECTION = { "wait", "actually", "correction", "mistake", "sorry", "recheck", "re%-check", "let me re", "更正",
  "不对", "错了",
                     "重新" }

local function has_cue(text, cues)
  text = text:lower()
  for _, cue in ipairs(cues) do
    if text:find(cue) then return true end
  end
  return false
end

-- Is the text just before a statement, in its own sentence, a conclusion?
local function concludes(text, at)
  local before = text:sub(math.max(1, at - 120), at)
  return has_cue(before:match "[^.!?\n]*$", CONCLUSION) or before:find "[Ff]inal [Aa]nswer[*_:%s]*$" ~= nil
end

local function statements(set, text)
  local list = {}
  local function collect(pattern, how)
    for _, match in ipairs(find_all(pattern, text)) do
      local label = label_of(match)
      list[#list + 1] = { at = match[1], to = match[2], label = label, how = how }
    end
  end
  for _, cue in ipairs(set.cues) do
    collect(cue.pattern, cue.how)
    if cue.how == "boxed" and list[1] then return { list[#list] } end -- what is boxed is final
  end
  collect(set.first, "is the answer")
  if not list[1] then collect(set.small, "answer is") end
  table.sort(list, function(x, y) return x.to < y.to end)
  return list
end

local function is_contradicted(list, text)
  local final = list[#list]
  for index = #list - 1, 1, -1 do
    local earlier = list[index]
    if earlier.label ~= final.label then
      local between = text:sub(math.max(earlier.to, final.at - TAIL), final.at)
      return not (has_cue(between, CORRECTION) or concludes(text, final.at))
    end
  end
  return false
end

-- The last statement. Two labels in one statement, or two statements that contradict each other with nothing that
-- says which holds, are no choice.
local function by_statement(set, text, canonical)
  local list = statements(set, text)
  local final = list[#list]
  local nothing = find_all(set.none, text)
  local last_nothing = nothing[#nothing]
  if last_nothing and (not final or last_nothing[1] > final.to) then return nil, "no_answer" end
  if not final then return nil, set.none_of:find(text) and "no_answer" or nil end
  if final.how ~= "is the answer" then
    local from, _, one, other = set.also:find(text:sub(final.to + 1, final.to + 40))
    if from and (one or other) ~= final.label then return nil, "ambiguous" end
  end
  if is_contradicted(list, text) then return nil, "ambiguous" end
  local from = final.how == "is the answer" and final.at or final.to - #final.label + 1
  return { value = canonical[final.label], how = final.how, span = { from = from, to = final.to } }
end

-- ---- form: the reply is a letter, begins with one, ends with one -------------------------------------------------

local function trimmed_end(text)
  local stop = #text
  while stop > 0 and text:find("^%s", stop) do stop = stop - 1 end
  return stop
end

local function last_line(text)
  local stop = trimmed_end(text)
  local from = math.max(1, stop - TAIL)
  local tail = text:sub(from, stop)
  local break_at = tail:match "^.*()\n"
  return tail:sub(break_at and break_at + 1 or 1), from + (break_at or 0) - 1
end

local function lists_choices(set, text, canonical, labels)
  local seen, count = {}, 0
  for _, match in ipairs(find_all(set.list_line, text)) do
    local label = canonical[label_of(match)]
    if not seen[label] then seen[label], count = true, count + 1 end
  end
  return count > 1 and count >= math.min(3, #labels)
end

-- The only label a pattern finds; two different ones are ambiguous.
local function by_only(pattern, text, offset, how, canonical)
  local found
  for _, match in ipairs(find_all(pattern, text)) do
    local value = canonical[label_of(match)]
    if found and value ~= found.value then return nil, "ambiguous" end
    found = { value = value, how = how, span = { from = match[1] + offset, to = match[2] + offset } }
  end
  return found
end

local function by_form(set, text, canonical, labels)
  local _, to, label = set.whole:find(text)
  if not label then _, to, label = set.whole_small:find(text) end
  if label then return { value = canonical[label:upper()], how = "whole reply", span = { from = 1, to = to } } end
  local from, stop, first = set.opening:find(text)
  if first and not lists_choices(set, text, canonical, labels) then
    return { value = canonical[first], how = "first letter", span = { from = from, to = stop } }
  end
  local line, offset = last_line(text)
  _, stop, label = set.whole:find(line)
  if not label then _, stop, label = set.opening:find(line) end
  if label and not (stop < #line and lists_choices(set, text, canonical, labels)) then
    return { value = canonical[label], how = "last line", span = { from = offset + 1, to = offset + stop } }
  end
  return by_only(set.bold, text, 0, "bold", canonical)
end

-- ---- naming: "so we take option B"
-- -----------------------------------------------------------------------------------

local CHOOSING = { "therefore", "thus", "hence", "%f[%a]so%f[%A]", "best", "correct", "choose", "chose", "select",
  "most ", "pick",
                   "conclu", "answer", "所以", "因此", "综上", "符合", "故" }
local DENYING = { "%f[%a]not%f[%A]", "n't%f[%A]", "n’t", "incorrect", "wrong", "false", "eliminat", "rule", "exclud",
  "less ", "least",
                  "neither", "except", "不", "错", "排除" }
-- Right behind a label: what makes it a choice turned down.
local DENIED = { "^%S*%s*i?s?w?a?s? not%f[%A]", "^%S*%s*isn't", "^%S*%s*is incorrect", "^%S*%s*is wrong",
  "^%S*%s*is false",
                 "can be ruled", "can be elim", "^[^。，]*错", "^[^。，]*不" }

local function last_sentence(line)
  local from = 1
  for stop in line:gmatch "[.!?]%s+()" do
    if line:find("%a%a", stop) or line:find("[\128-\255]", stop) then from = stop end
  end
  for stop in line:gmatch "。()" do
    if line:find("%S", stop) then from = math.max(from, stop) end
  end
  return line:sub(from), from - 1
end

-- The last sentence names one label and sounds like a choice, or the letter stands alone at the end.
local function by_last_sentence(set, text, canonical)
  local stop = trimmed_end(text)
  local tail_from = math.max(1, stop - 40)
  local from, to, label = set.ending:find(text:sub(tail_from, stop))
  if label and (from > 1 or tail_from == 1) then -- not where the tail was cut
    return { value = canonical[label], how = "ends with", span = { from = tail_from + from - 1,
      to = tail_from + to - 1 } }
  end
  local line, offset = last_line(text)
  local sentence, inner = last_sentence(line)
  if has_cue(sentence, DENYING) or not has_cue(sentence, CHOOSING) then return nil end
  return by_only(set.named, sentence, offset + inner, "last sentence", canonical)
end

-- Only one label is named in the whole reply, near one of its ends, and nothing is denied of it.
local function by_naming(set, text, canonical)
  local found, why = by_only(set.named, text, 0, "only one named", canonical)
  if not found then return nil, why end
  if found.span.to < trimmed_end(text) - NEAR_END and found.span.from > NEAR_END then return nil, "no_answer" end
  for _, match in ipairs(find_all(set.named, text)) do
    local before = text:sub(math.max(1, match[1] - 60), match[1] - 1):match "[^.!?\n]*$"
    local after = text:sub(match[2] + 1, match[2] + 60):match "^[^.!?\n]*"
    if has_cue(before, DENYING) or has_cue(after, DENIED) then return nil, "no_answer" end
  end
  return found
end

local function choice(set, text, canonical, labels, is_truncated)
  local found, why = by_statement(set, text, canonical)
  if found or why then return found, why end
  found, why = by_form(set, text, canonical, labels)
  if found or why then return found, why end
  if is_truncated then return nil, "truncated" end
  found, why = by_last_sentence(set, text, canonical)
  if found or why then return found, why end
  if reply.is_refusal(text) then return nil, "refused" end
  return by_naming(set, text, canonical)
end

--- The choice a reply makes.
-- @tparam string text without reasoning
-- @tparam table labels "A", "B", …
-- @tparam ?table options { offset, finish }
-- @treturn ?table Answer
-- @treturn ?string no_answer, ambiguous, empty, refused or truncated
return function(text, labels, options)
  options = options or {}
  if not text:find "%S" then return nil, "empty" end
  local canonical = {}
  for _, label in ipairs(labels) do canonical[label:upper()] = label end
  local doc = reply.doc(text, options.offset)
  local piece = reply.pieces(doc.text)[1]
  local is_truncated = options.finish == "length" and piece.to == #doc.text
  local found, why = choice(letter_patterns.of(labels), doc.text:sub(piece.from, piece.to), canonical, labels,
    is_truncated)
  if not found then return nil, why or "no_answer" end
  found.span = reply.span(doc, found.span.from + piece.from - 1, found.span.to + piece.from - 1)
  return found
end
