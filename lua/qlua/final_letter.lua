-- SPDX-License-Identifier: Apache-2.0
--- final_letter: the choice a reply makes among labels, and by which sign it was recognized.
-- Anchored patterns in order; a lower one is asked only when no higher one is there. A capital letter somewhere
-- in the text is never taken: "A" is an article and "I" a pronoun. Where a sign names two choices the reply is
-- ambiguous, and no lower sign is asked, since that would be a guess.
local regex = require "qlua.regex"
local reply = require "qlua.reply"

-- What may stand between a sign and its letter: emphasis, brackets, "option". LABEL stands for the labels' class.
local OPEN = [==[["'`*_$\s(\[{<]{0,8}(?:\\(?:text|mathrm|textbf|mathbf|boxed)\s?\{)?(?:(?:the\s)?(?:option|choice|letter|answer)\b[*_\s(:]{0,4})?[\[({]?]==]
-- What must stand behind a letter for it to be one. An article goes on with a small letter, a choice does not.
local CLOSE = [==[(?:(?=["'`*_$)\]}>]|[.,;:!?](?!\w)|\s*$|\s*\n|[^\x00-\x7F])|(?=\s+(?:[^a-z\s]|(?:is|because|since|as|and|or|but|which|for|with|from|given|here|based)\b)))]==]

local CUES = { -- in the order of their authority; how, pattern before the letter, flags
  { "boxed", [==[\\f?box(?:ed)?\s?\{\s*]==] },
  { "answer is", [==[\b(?i:answers?|(?:correct|right|best|final|chosen|appropriate|suitable)\s(?:option|choice|letter|response)|my\s(?:choice|pick)|(?:option|choice)\sI\s(?:choose|pick))]==] ..
    [==[["'*_)\s]{0,5}(?:(?i:(?:to|for|of|here|among)\b)[^.\n:=]{0,120}?\s)?(?i:is|are|was|be|would be|should be|must be)\b(?!\s+not\b)[\s:]{0,4}(?:(?i:most\s)?(?i:likely|probably|clearly|therefore|thus|definitely)\s|,\s)?]==] },
  { "answer:", [==[\b(?i:answers?|(?:correct|final)\s(?:option|choice))["'*_)\s]{0,4}(?:\([^()\n]{0,40}\)\s?)?[:=]]==] },
  { "答案", [==[(?:答案(?:】|应该|应当|应|就|即|只能|选)?(?:是|为|选|[:=】])?|答案】|故选|应选|因此选|所以选|故答案为)[:\s]{0,3}(?:选项)?]==] },
  { "选", [==[(?:^|[^\w]|故|应|应该|我|正确|可|只能)(?:选择?|选项(?:是|为))[:\s]{0,3}(?:选项|答案)?(?=[*_\s(]{0,4}LABEL[*_)]{0,3}(?:[.,;!。，；、\s]|$|选项))]==] },
}

local function class_of(labels)
  local escaped = {}
  for index, label in ipairs(labels) do escaped[index] = (label:gsub("%W", "\\%0")) end
  return "(?:" .. table.concat(escaped, "|") .. ")"
end

local compiled = {}

-- Patterns for a set of labels, made once.
local function patterns_of(labels)
  local key = table.concat(labels, "\0")
  if compiled[key] then return compiled[key] end
  local label = class_of(labels)
  local function make(source, flags) return regex.compile((source:gsub("LABEL", function() return label end)), flags) end
  local set = { cues = {} }
  for index, cue in ipairs(CUES) do
    set.cues[index] = { how = cue[1],
      upper = make(cue[2] .. OPEN .. "(LABEL)" .. "(?:" .. CLOSE .. "|(?=(?i:LABEL)(?![\\w'])))", "m") }
  end
  -- A small letter needs more around it: brackets, or nothing behind it.
  set.lower = make([==[\b(?i:answer)[*_]{0,2}\s?(?:(?i:is)\b|:)\s{0,3}(?:(?i:option|choice)\s)?(?:\((?<a>(?i:LABEL))\)|["'*_]{0,2}(?<b>(?i:LABEL))["'*_]{0,2}(?=\)|\.?\s*$))]==], "m")
  set.also = make([==[^["'`*_)\]}.]{0,4}(?:\s{0,2}(?:[,/&、]|and\b|or\b|和|或|及)\s{0,2}(?i:option\s|choice\s|\s)?["'*_(\[]{0,4}(LABEL)(?![\w'])|(LABEL)(?![\w']))]==])
  set.whole = make([==[^\s*["'`*_$#(\[{<]{0,6}(?:(?i:option|choice|answer)\s?:?\s?)?(LABEL)["'`*_$)\]}>.:,、。]{0,6}\s*$]==])
  set.lone_lower = make([==[^\s*[*_(\["']{0,4}((?i:LABEL))[*_)\]"'.]{0,4}\s*$]==])
  set.opening = make([==[^\s*["'`*_$#(\[{<]{0,6}(?:(?i:option|choice)\s)?(LABEL)(?:["'`*_$\]}>]{0,4}[).:、,\]}]["'`*_]{0,3}(?=\s|$|[^\x00-\x7F])|["'`*_$)\]}>]{1,4}(?=\s|$)|\s*\n)]==])
  set.line = make([==[^[ \t"'`*_$#(\[{<>-]{0,8}(LABEL)["'`*_$\]}>]{0,4}[).:、]]==], "m")
  set.bold = make([==[\*\*\s?[(\["']{0,2}(?:(?i:option|choice|answer:?)\s)?[(]?(LABEL)(?:[)\]."':]{0,3}\s?\*\*|[)\].:]{1,2}\s[^*\n]{1,300}\*\*)]==])
  set.bracket = make([==[\((LABEL)\)|\b(?i:option|choice)\s["'*_(]{0,3}(LABEL)(?![\w'])|选项\s?(LABEL)]==])
  compiled[key] = set
  return set
end

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

local function at_label(match, label)
  return { from = match[2] - #label + 1, to = match[2] }
end

-- The last statement of the strongest kind. Two labels in one statement are no choice.
local function by_cue(set, text, canonical)
  local best, how
  for index, cue in ipairs(set.cues) do
    local matches = find_all(cue.upper, text)
    local last = matches[#matches]
    if last and (not best or last[2] > best[2]) then best, how = last, cue.how end
    if index == 1 and best then break end -- what is boxed is final
  end
  if not best then
    local matches = find_all(set.lower, text)
    best, how = matches[#matches], "answer is"
    if not best then return nil end
  end
  local label = label_of(best)
  local from, to, first, second = set.also:find(text:sub(best[2] + 1, best[2] + 40))
  if from and to and (first or second) ~= label then return nil, "ambiguous" end
  return { value = canonical[label], how = how, span = at_label(best, label) }
end

-- The only label a pattern finds; two different ones are ambiguous.
local function by_only(pattern, text, offset, how, canonical)
  local found
  for _, match in ipairs(find_all(pattern, text)) do
    local label = label_of(match)
    if found and canonical[label] ~= found.value then return nil, "ambiguous" end
    local span = { from = match[1] + offset, to = match[2] + offset }
    found = { value = canonical[label], how = how, span = span }
  end
  return found
end

local function last_line(text)
  local stop = #text
  while stop > 0 and text:find("^%s", stop) do stop = stop - 1 end
  local tail_from = math.max(1, stop - 4000)
  local tail = text:sub(tail_from, stop)
  local break_at = tail:match "^.*()\n"
  return tail:sub(break_at and break_at + 1 or 1), tail_from + (break_at or 0) - 1
end

local function lists_all(set, text, canonical, labels)
  local seen, count = {}, 0
  for _, match in ipairs(find_all(set.line, text)) do
    local label = canonical[label_of(match)]
    if not seen[label] then seen[label], count = true, count + 1 end
  end
  return count > 1 and count >= math.min(3, #labels)
end

local function by_form(set, text, canonical, labels)
  local _, to, label = set.whole:find(text)
  if not label then _, to, label = set.lone_lower:find(text) end
  if label then return { value = canonical[label:upper()], how = "whole reply", span = { from = 1, to = to } } end
  local from, stop, first = set.opening:find(text)
  if first and not lists_all(set, text, canonical, labels) then
    return { value = canonical[first], how = "first letter", span = { from = from, to = stop } }
  end
  local line, offset = last_line(text)
  _, stop, label = set.whole:find(line)
  if not label then _, stop, label = set.opening:find(line) end
  if label and not (stop < #line and lists_all(set, text, canonical, labels)) then
    return { value = canonical[label], how = "last line", span = { from = offset + 1, to = offset + stop } }
  end
  local bold, why = by_only(set.bold, text, 0, "bold", canonical)
  if bold or why then return bold, why end
end

local function by_mention(set, text, canonical)
  local line, offset = last_line(text)
  local found, why = by_only(set.bracket, line, offset, "bracketed", canonical)
  if found or why then return found, why end
  return by_only(set.bracket, text, 0, "bracketed", canonical)
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
  local set, canonical = patterns_of(labels), {}
  for _, label in ipairs(labels) do canonical[label:upper()] = label end
  local doc = reply.doc(text, options.offset)
  local piece = reply.pieces(doc.text)[1]
  local seen = doc.text:sub(piece.from, piece.to)
  local found, why = by_cue(set, seen, canonical)
  if not found and not why then found, why = by_form(set, seen, canonical, labels) end
  if not found and not why and options.finish == "length" then why = "truncated" end
  if not found and not why and reply.is_refusal(seen) then why = "refused" end
  if not found and not why then found, why = by_mention(set, seen, canonical) end
  if not found then return nil, why or "no_answer" end
  found.span = reply.span(doc, found.span.from + piece.from - 1, found.span.to + piece.from - 1)
  return found
end
