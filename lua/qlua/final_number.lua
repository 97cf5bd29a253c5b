-- SPDX-License-Identifier: Apache-2.0
--- final_number: the number a reply gives as its answer, and by which sign it was recognized.
-- Candidates in order of authority: `####`, `\boxed{}`, "the answer is" in English and Chinese, a bold number in the
-- last
-- line with numbers, the last number stated in the last sentence that states one. A lower sign is asked only
-- when no higher one is there. Two finals that contradict each other are ambiguous, not a choice of ours.
local numerals = require "qlua.numerals"
local regex = require "qlua.regex"
local reply = require "qlua.reply"

local BOX_MAX = 2000 -- bytes looked at for the closing brace
local LINE_MAX = 4000
local MARKS_MAX = 64 -- of the same sign are looked at, the last ones
local CHAIN_MAX = 24 -- numerals in one piece of arithmetic

-- The end of the line; a line longer than LINE_MAX ends there, so that no search runs through the whole text.
local function line_end(text, at, last)
  local stop = text:sub(at, math.min(last, at + LINE_MAX)):find("\n", 1, true)
  return stop and at + stop - 2 or math.min(last, at + LINE_MAX)
end

local function answer(numeral, how)
  if not numeral.value then return nil, numeral.why or "no_answer" end
  return { value = numeral.value, how = how, from = numeral.from, to = numeral.to }
end

-- Only marks of emphasis, currency or an equals sign may stand between a sign and its number.
local LEAD = "^[%s*_$:=#\"'`~%(%[{<]*"

-- The value a stretch begins with. strict: the numeral must come at once.
local function leading(text, first, last, is_strict)
  if last - first > LINE_MAX then last = first + LINE_MAX end
  local list = numerals.scan(text, first, last, CHAIN_MAX)
  if not list[1] then return nil end
  if is_strict then
    local lead = text:sub(first, list[1].from - 1)
    if lead:match(LEAD) ~= lead
      and not lead:find("^[%s*_:#]*[Tt]?h?e? ?[Ff]?i?n?a?l? ?[Aa]nswer[%s*_]*[i:=]?s?[%s:*_$]*$") then
      return nil
    end
  end
  local index = 1
  while list[index] and list[index].left == "part" and not is_strict do index = index + 1 end
  if not list[index] then return nil end
  local outcome = numerals.outcome(list, index)
  if outcome then return outcome end
  return { from = list[index].from, to = list[index].to, why = "ambiguous" } -- arithmetic left unsolved
end

-- ---- #### ---------------------------------------------------------------------------------------------------

local CORRECTION = { "wait", "actually", "correct", "mistake", "sorry", "recheck", "re%-check", "let me", "更正", "不对",
  "错了",
                     "重新" }

local function is_corrected(text, from, to)
  local between = text:sub(from, to):lower()
  for _, cue in ipairs(CORRECTION) do
    if between:find(cue) then return true end
  end
  return false
end

local function hash_values(text, first, last)
  local marks, found, headings = {}, {}, 0
  local from, to = text:find("####+", first)
  while from and from <= last do
    marks[#marks + 1] = to + 1
    from, to = text:find("####+", to + 1)
  end
  for index = math.max(1, #marks - MARKS_MAX + 1), #marks do
    local at = marks[index]
    local stop = line_end(text, at, last)
    if not text:sub(at, stop):find "%S" then stop = line_end(text, stop + 2, last) end
    local numeral = leading(text, at, stop, true)
    if numeral then
      numeral.is_heading = text:find("^%d+[.)%-:]%s*[*_]*%a", numeral.from) ~= nil
      if numeral.is_heading then headings = headings + 1 end
      found[#found + 1] = numeral
    end
  end
  if headings == 0 then return found end
  local finals = {} -- "#### 1. First we …" is a heading; one alone with no fellow is an answer with a remark
  for _, numeral in ipairs(found) do
    if not numeral.is_heading or #found == 1 and numeral.value ~= "1" then finals[#finals + 1] = numeral end
  end
  return finals
end

local function by_hash(text, first, last)
  local found = hash_values(text, first, last)
  local final = found[#found]
  if not final then return nil end
  for index = 1, #found - 1 do
    local earlier = found[index]
    if earlier.value ~= final.value and not is_corrected(text, earlier.to, final.from) then return nil, "ambiguous" end
  end
  return answer(final, "####")
end

-- ---- \boxed{} -----------------------------------------------------------------------------------------------

local function closing_brace(text, open, last)
  local depth, at = 0, open
  local stop = math.min(last, open + BOX_MAX)
  while at and at <= stop do
    local mark = text:sub(at, at)
    if mark == "{" then depth = depth + 1 elseif mark == "}" then depth = depth - 1 end
    if depth == 0 then return at end
    at = text:find("[{}]", at + 1)
  end
end

--- The last boxes of a text, latest first.
-- @treturn table { from, to: what is inside; at: where it begins }…
local function boxes(text, first, last, most)
  local starts = {}
  local from, to = text:find("\\f?boxe?d?%s*{", first)
  while from and from <= last do
    if text:find("^\\boxed", from) or text:find("^\\fbox", from) then starts[#starts + 1] = { at = from, open = to } end
    from, to = text:find("\\f?boxe?d?%s*{", to + 1)
  end
  local list = {}
  for index = #starts, math.max(1, #starts - most + 1), -1 do
    local close = closing_brace(text, starts[index].open, last)
    if close then list[#list + 1] = { from = starts[index].open + 1, to = close - 1, at = starts[index].at } end
  end
  return list
end

local function box_value(text, box)
  local inside = text:sub(box.from, box.to)
  local equals = inside:match "^.*()=" -- "x = 18"
  local first = equals and box.from + equals or box.from
  local list = numerals.scan(text, first, box.to)
  if inside:find "\\sqrt" or inside:find "\\pi" or inside:find "π" or inside:find "\\log" or inside:find "\\infty" then
    return nil, "no_answer"
  end
  if not list[1] then return nil, "no_answer" end
  local only, why = numerals.only(list)
  if only then
    for _, numeral in ipairs(list) do
      if numeral.is_operand then return nil, "no_answer" end
    end
    return only
  end
  return nil, why or "no_answer"
end

local function by_box(text, first, last)
  local list = boxes(text, first, last, 8)
  if not list[1] then return nil end
  local final, why = box_value(text, list[1])
  if not final then return nil, why end
  for index = 2, #list do
    local earlier = box_value(text, list[index])
    if text:sub(list[index].to, list[1].at):find "[\n.!?;]" then break end -- the same statement only
    if earlier and earlier.value ~= final.value then return nil, "ambiguous" end
  end
  return answer(final, "boxed")
end

-- ---- "the answer is" -------------------------------------------------------------------------------------------

local IS = regex.compile([==[\banswers?\b["'*_)\s]{0,6}(?:(?:to|for|of)\b[^.\n:=]{1,120}?)?\s{0,3}["'*_]{0,4}]==] ..
  [==[(?:is|are|was|equals|(?:would|will|should|must) be)\b(?!\s+(?:not|never|n't|wrong|incorrect|correct|right))(?:\s{0,3}:)?]==], "i")
local COLON = regex.compile([==[\banswers?\b["'*_)\s]{0,4}(?:\([^()\n]{0,40}\)\s?)?[:=]]==], "i")
local HEADING = regex.compile([==[^[#*_\s]{0,8}(?:the )?(?:final )?answer[*_:\s]{0,6}$]==], "im")
local LETTER_A = regex.compile([==[^[ \t*_]{0,6}A[*_]{0,2}:]==], "m")
local CHINESE = regex.compile([==[答案(?:】|应该|应当|应|就|即|只能)?(?:是|为|等于|[:=】])|答案】|^\s{0,4}\**答\**\s?:]==], "m")

-- Where the sentence that begins at `at` ends: before its full stop or, in Chinese, its 。
local function sentence_end(line, at)
  local dot = line:match("^[%s%(*#>-]*%d+[.)]()%s", at) or at -- the full stop of a list's number ends nothing
  while true do
    dot = line:find("[.!?\227]", dot)
    if not dot then return #line end
    if line:find("^[.!?][\"')*]*%s", dot) or line:find("^[!?][^!?]", dot) then return dot end
    if line:find("^。", dot) then return dot - 1 end
    dot = dot + 1
  end
end

local function next_filled_line(text, at, last)
  local from = text:find("%S", at)
  if not from or from > last then return nil end
  return from, line_end(text, from, last)
end

-- "Answer: …": the value must lead the line, or be the only one on it.
local function on_line(text, first, last)
  local from, stop = next_filled_line(text, first, last)
  if not from then return nil end
  local line_stop = math.min(stop, from + LINE_MAX)
  local list = numerals.scan(text, from, line_stop)
  if not list[1] then return nil end
  local only = numerals.only(list)
  if only then
    local has_arithmetic = false
    for _, numeral in ipairs(list) do has_arithmetic = has_arithmetic or numeral.is_operand end
    if not has_arithmetic then return only end
  end
  local lead = leading(text, from, line_stop, true)
  if lead and lead.value and not text:sub(lead.to + 1, line_stop):find "%d" then return lead end
  return nil
end

local function within(matches, from, to)
  local kept = {}
  for _, match in ipairs(matches) do
    if match[1] >= from and match[2] <= to then kept[#kept + 1] = match end
  end
  return kept
end

-- Last match first; reads each with `value` until one has a number.
local function last_with(text, matches, last, value, how)
  for index = #matches, math.max(1, #matches - 20), -1 do
    local numeral = value(text, matches[index][2] + 1, last)
    if numeral then return numeral, how end
  end
end

local function after_is(text, first, last)
  local line = text:sub(first, line_end(text, first, last))
  local stop = first + sentence_end(line, 1) - 1
  if not text:sub(first, stop):find "%S" then
    local from, line_stop = next_filled_line(text, first, last)
    if not from then return nil end
    return leading(text, from, line_stop)
  end
  return leading(text, first, stop)
end

local function by_statement(text, first, last)
  local part = first == 1 and last == #text and text or text:sub(1, last)
  local best, best_how
  local function try(pattern, value, how)
    local matches, err = pattern:find_all(part)
    if not matches then error(err.text, 0) end
    local numeral = last_with(part, within(matches, first, last), last, value, how)
    if numeral and (not best or numeral.from > best.from) then best, best_how = numeral, how end
  end
  if part:find "[Aa][Nn][Ss][Ww][Ee][Rr]" then
    try(IS, after_is, "answer is")
    try(COLON, on_line, "answer:")
    try(HEADING, on_line, "answer:")
  end
  if part:find "A%*?%*?:" then try(LETTER_A, on_line, "A:") end
  if part:find "答" then try(CHINESE, after_is, "答案") end
  if best then return answer(best, best_how) end
end

-- ---- the last sentence --------------------------------------------------------------------------------------------

local NOTE = { "^[%s*_>#(-]*[Nn][Oo][Tt][Ee]%s*[:)]", "^[%s*_>#(]*N%.?B%.?[%s:]", "^[%s*_>#(]*P%.?S%.?[%s:]",
  "^%s*[Ll]et me know",
               "^%s*I hope", "^%s*[Hh]ope this", "^[%s*_>#(]*[Cc]heck:", "^[%s*_>#(]*[Vv]erif", "^%s*%(.*%)%s*$",
                 "^[%s(]*注[:意]",
               "^[%s(]*备注", "^[%s*_>#(]*[Dd]isclaimer", "^%s*[Pp]lease note", "^%s*```" }

local function is_note(line)
  for _, pattern in ipairs(NOTE) do
    if line:find(pattern) then return true end
  end
  return false
end

-- A sentence without what stands in brackets with words: "18 (see step 2)". Same length, so positions hold.
local function without_brackets(text, first, last)
  return (text:sub(first, last):gsub("%([^()]*%)", function(inside)
    return inside:find "%a" and (" "):rep(#inside) or nil
  end))
end

local CONCLUSION = { ",? so ", "[Tt]herefore", "[Tt]hus", "[Hh]ence", "[Ss]o,? ", "所以", "因此", "故", "共" }

local function last_clause(sentence)
  local from = 1
  for _, cue in ipairs(CONCLUSION) do
    local at, stop = sentence:find(cue)
    while at do
      if (at == 1 or cue ~= "[Ss]o,? ") and sentence:find("%d", stop) and stop > from then from = stop + 1 end
      at, stop = sentence:find(cue, stop + 1)
    end
  end
  return from
end

local function from_sentence(text, first, last)
  first = math.max(first, last - LINE_MAX)
  local sentence = without_brackets(text, first, last)
  if not sentence:find "%d" then sentence = text:sub(first, last) end
  local list = numerals.scan(sentence, last_clause(sentence), #sentence)
  local result, final
  for _, numeral in ipairs(list) do
    if numeral.is_stated then
      if numeral.left == "result" then result = numeral end
      final = numeral
    end
  end
  if result and final ~= result and not sentence:sub(result.to + 1, final.from - 1):find "[,;:]" then final = result end
  if not final then return nil end
  final.from, final.to = final.from + first - 1, final.to + first - 1
  return final
end

local function bold_value(text, first, last)
  local final
  for from, inside in text:sub(first, last):gmatch "%*%*()([^*\n]+)%*%*" do
    if inside:find "%d" and not inside:find ":%s*$" then
      local list = numerals.scan(text, first + from - 1, first + from + #inside - 2)
      local only = numerals.only(list)
      if only and not (#list > 1 and not only.value) then final = only end
    end
  end
  return final
end

local function sentences(text, first, last)
  local list, line, from = {}, text:sub(first, last), 1
  while from <= #line do
    local stop = sentence_end(line, from)
    list[#list + 1] = { first + from - 1, first + stop - 1 }
    from = stop + 1
    if line:find("^。", from) then from = from + 3 end
  end
  return list
end

local function from_line(text, first, last)
  local bold = bold_value(text, first, last)
  if bold then return answer(bold, "bold") end
  local list = sentences(text, first, last)
  for index = #list, 1, -1 do
    local from, to = list[index][1], list[index][2]
    if not is_note(text:sub(from, to)) then
      local numeral = from_sentence(text, from, to)
      if numeral then return answer(numeral, "last number") end
    end
  end
end

local SPOKEN = { [""] = true, output = true, text = true, txt = true, plaintext = true, markdown = true, md = true,
  latex = true }

-- The lines of a text that say something: a program's lines are left out, what it printed is not.
local function spoken_lines(text, first, last)
  local lines, at, is_code = {}, first, false
  while at <= last do
    local stop = text:find("\n", at, true)
    stop = stop and stop <= last and stop - 1 or last
    local fence = text:match("^[ \t]*```(%w*)", at)
    if fence then
      is_code = not is_code and not SPOKEN[fence:lower()]
    elseif not is_code then
      lines[#lines + 1] = { at, stop }
    end
    at = stop + 2
  end
  return lines
end

local function by_position(text, first, last)
  local lines = spoken_lines(text, first, last)
  for index = #lines, 1, -1 do
    local from, to = lines[index][1], lines[index][2]
    local line = text:sub(from, to)
    if line:find "%d" and not is_note(line) then
      local found, why = from_line(text, from, to)
      if found or why == "ambiguous" then return found, why end
    end
  end
end

-- ---- the whole
-- -------------------------------------------------------------------------------------------------------

local function by_authority(text, first, last)
  local hash, hash_why = by_hash(text, first, last)
  local box, box_why = by_box(text, first, last)
  if hash and box and hash.value ~= box.value then return nil, "ambiguous" end
  if hash or hash_why == "ambiguous" then return hash, hash_why end
  if box or box_why then return box, box_why end
  return by_statement(text, first, last)
end

-- A number that the token limit may have cut in the middle is no number.
local function is_cut(doc, found, is_truncated)
  return is_truncated and found.to >= #doc.text
end

local function from_piece(doc, piece, is_truncated)
  local found, why = by_authority(doc.text, piece.from, piece.to)
  if found and is_cut(doc, found, is_truncated) then found, why = nil, nil end
  if found or why == "ambiguous" or why == "no_answer" then return found, why end
  local visible = doc.text:sub(piece.from, piece.to)
  if reply.is_refusal(visible) then return nil, "refused" end
  if is_truncated then return nil, "truncated" end
  return by_position(doc.text, piece.from, piece.to)
end

--- The number a reply gives as its answer.
-- @tparam string text without reasoning
-- @tparam ?table options { offset = bytes before it in the response, finish = "length" when the reply was cut }
-- @treturn ?table Answer
-- @treturn ?string no_answer, ambiguous, empty, refused or truncated
return function(text, options)
  options = options or {}
  if not text:find "%S" then return nil, "empty" end
  local doc = reply.doc(text, options.offset)
  local reason
  for _, piece in ipairs(reply.pieces(doc.text)) do
    local is_truncated = options.finish == "length" and piece.to == #doc.text
    local found, why = from_piece(doc, piece, is_truncated)
    if found then
      return { value = found.value, how = found.how, span = reply.span(doc, found.from, found.to) }
    end
    reason = reason or why
    if why then break end
  end
  return nil, reason or "no_answer"
end
