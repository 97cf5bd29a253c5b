-- SPDX-License-Identifier: Apache-2.0
--- letter_patterns: the anchored patterns by which final_letter recognizes a choice, made for a set of labels.
-- All in extended syntax (white space means nothing, `\s` is said). OPEN is what may stand between a sign and its
-- letter: emphasis, brackets, "option". CLOSE is what must stand behind a letter for it to be one: an article goes
-- on with a small letter ("the answer is a dog"), a choice with punctuation, its text's capital or "because".
local regex = require "qlua.regex"

local letter_patterns = {}

local OPEN = [==[
  ["'`*_$\s(\[{<]{0,8} (?:\\(?:text|mathrm|textbf|mathbf|boxed)\s?\{)?
  (?:(?:the\s)?(?:option|choice|letter|answer)\b[*_\s(:]{0,4})? [\[({]?
]==]

local CLOSE = [==[
  (?: (?= ["'`*_$)\]}><] | [.,;:!?](?![a-zA-Z0-9_]) | \s*$ | \s*\n | [^\x00-\x7F] )
    | (?= \s+ (?: [^a-z\s] | (?:is|because|since|as|and|or|but|which|for|with|from|given|here|based)\b ) )
    | (?= (?:[,/&、]\s?)? (?i:LABEL) (?![\w']) ) )
]==]

-- Statements that name the answer: how, and the pattern before the letter.
local CUES = {
  { "boxed", [==[ \\f?box(?:ed)?\s?\{\s* ]==] },
  { "answer is", [==[
    \b (?i: (?:answer|(?:correct|right|best|final|chosen|appropriate|suitable)\s(?:option|choice|letter|response)
          | my\s(?:choice|pick) | (?:option|choice)\sI\s(?:choose|pick)) )
    ["'*_)\s]{0,5} (?: (?i:to|for|of|here|among)\b [^.\n:=]{0,120}? \s )?
    (?i:is|was|be|would\sbe|should\sbe|must\sbe) \b (?!\s+not\b) [\s:]{0,4}
    (?: (?i:most\s)? (?i:likely|probably|clearly|therefore|thus|definitely)\s | ,\s )?
  ]==] },
  { "answer:", [==[
    \b (?i:answer|(?:correct|final)\s(?:option|choice)) ["'*_)\s]{0,4} (?:\([^()\n]{0,40}\)\s?)? [:=]
  ]==] },
  { "I choose", [==[ \b (?:I|we) (?:\s(?:would|will|shall|must)|['’](?:d|ll))? (?:\s(?:also|still|therefore|thus))? \s
    (?:choose|chose|select|selected|pick|picked|go\swith) \b ]==] },
  { "答案", [==[
    (?: 答案(?:】|应该|应当|应|就|即|只能|选)?(?:是|为|选|[:=】])? | 答案】 | 故选 | 应选 | 因此选 | 所以选 ) [:\s]{0,3} (?:选项)?
  ]==] },
  { "选", [==[
    (?: ^ | [^\w] | 故 | 应该 | 应 | 我们 | 我 | 正确 | 只能 ) (?: 选择? | 选项(?:是|为) ) [:\s]{0,3} (?:选项|答案)?
    (?= [*_\s(]{0,4} LABEL [*_)]{0,3} (?: [.,;!。，；、\s<] | $ | 选项 ) )
  ]==] },
}

-- "Option (C) is the most accurate answer": the letter first.
local FIRST = [==[
  (?<![\w'‘-]) [(*]{0,3} (LABEL) [)"'*.:]{0,4} (?: \s [^.\n;:()]{1,60}? )? \s
    (?:is|would\sbe|must\sbe|seems\sto\sbe|appears\sto\sbe) \s
  (?:therefore\s|thus\s|clearly\s|likely\s)? the\s (?:single\s)?
  (?:best|correct|right|most\s\w+|only\scorrect) \s (?:possible\s)? (?:answer|choice|option|response)\b
]==]

-- A small letter needs more around it: brackets, or nothing behind it.
local SMALL = [==[
  \b (?i:answer) [*_]{0,2} \s? (?: (?i:is)\b | : ) \s{0,3} (?: (?i:option|choice)\s )?
  (?: \( ((?i:LABEL)) \) | ["'*_]{0,2} ((?i:LABEL)) ["'*_]{0,2} (?= \) | \.?\s*$ ) )
]==]

-- The stated answer is none of the labels.
local NONE = [==[
  \b (?i:answer|option|choice) \b [*_]{0,2} \s? (?: (?i:is|choose)\b | : ) \s{0,3}
  (?: \(? (?i:none|not\s(?:listed|given|among|in|provided|available)|inconclusive|cannot|ambiguous|undetermined) \b |
    \( (?!LABEL\b) [A-Z] \) )
  | (?i: answer\scannot\sbe\sdetermined ) | 答案】[\s:]{0,3} (?:无|没有|题目)
]==]
local NONE_OF = [==[ (?i: \b none\sof\s(?:the|these)\s(?:above|given|options|choices|provided|answers?) \b ) ]==]

-- A second letter joined to one just read.
local ALSO = [==[
  ^ ["'`*_)\]}.]{0,4} (?: \s{0,2} (?: [,/&、] | and\b | or\b | 和 | 或 | 及 ) \s{0,2} (?i:option\s|choice\s|\s)?
  ["'*_(\[]{0,4} (LABEL) (?![\w']) | (LABEL) (?![\w']) )
]==]

local WHOLE = [==[
  ^ \s* ["'`*_$\#(\[{<]{0,6} (?: (?i:option|choice|answer)\s?:?\s? )? (LABEL) ["'`*_$)\]}>.:,、。]{0,6} \s* $ ]==]
local WHOLE_SMALL = [==[ ^ \s* [*_(\["']{0,4} ((?i:LABEL)) [*_)\]"'.]{0,4} \s* $ ]==]

local OPENING = [==[
  ^ \s* ["'`*_$\#(\[{<]{0,6} (?: (?i:option|choice)\s )? (LABEL)
  (?: ["'`*_$\]}>]{0,4} (?: [)、\]}:] | [.,] (?=["'`*_]{0,3}(?:\s|$|[^\x00-\x7F])) ) | ["'`*_$)\]}>]{1,4} (?=\s|$) |
    \s*\n )
]==]

local LIST_LINE = [==[ ^ [ \t"'`*_$\#(\[{<>-]{0,8} (LABEL) ["'`*_$\]}>]{0,4} [).:、] ]==]

local BOLD = [==[
  \*\* \s? [(\["']{0,2} (?: (?i:option|choice|answer:?)\s )? [(]? (LABEL)
  (?: [)\]."':]{0,3} \s? \*\* | [)\].:]{1,2} \s [^*\n]{1,300} \*\* )
]==]

-- A label named outright: bracketed, or after "option". (A capital letter alone never counts.)
local NAMED = [==[
  (?<!\w) \( (LABEL) \) | \b (?i:option|choice) \s ["'*_(]{0,3} (LABEL) (?![\w']) | 选项\s? (LABEL) | (LABEL)\s? 选项 ]==]

-- "… the folds increase the surface. (D)": the letter stands alone at the very end.
local ENDING = [==[ (?: ^ | [.!?。] | \n ) \s* ["'*_]{0,3} \( (LABEL) \) ["'*_.]{0,4} \s* $ ]==]

local function class_of(labels)
  local escaped = {}
  for index, label in ipairs(labels) do escaped[index] = (label:gsub("%W", "\\%0")) end
  return "(?:" .. table.concat(escaped, "|") .. ")"
end

local made = {}

--- The compiled patterns for a list of labels; the same table for the same labels.
-- @tparam table labels
-- @treturn table
function letter_patterns.of(labels)
  local key = table.concat(labels, "\0")
  if made[key] then return made[key] end
  local label = class_of(labels)
  local function make(source, flags)
    return regex.compile((source:gsub("LABEL", function() return label end)), "x" .. (flags or ""))
  end
  local set = { cues = {} }
  for index, cue in ipairs(CUES) do
    set.cues[index] = { how = cue[1], pattern = make(cue[2] .. OPEN .. "(LABEL)" .. CLOSE, "m") }
  end
  set.first, set.small, set.also = make(FIRST), make(SMALL, "m"), make(ALSO)
  set.none, set.none_of = make(NONE), make(NONE_OF)
  set.whole, set.whole_small, set.opening = make(WHOLE), make(WHOLE_SMALL), make(OPENING)
  set.list_line, set.bold, set.named, set.ending = make(LIST_LINE, "m"), make(BOLD), make(NAMED), make(ENDING)
  made[key] = set
  return set
end

return letter_patterns
