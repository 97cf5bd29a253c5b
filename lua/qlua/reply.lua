-- SPDX-License-Identifier: Apache-2.0
--- reply: a model's text made readable for extraction, with the way back to the bytes as they came.
-- Knows what every extractor must know: where reasoning ends, where the reply runs on into a question of its
-- own, what a refusal looks like, and how full-width forms, LaTeX and thin spaces are to be read. This is not NFKC,
-- which would make 5² the number 52. Every step is linear in the text; any bytes are taken.
local core = require "qlua.core.text"

local reply = {}

-- ---- where the answer may stand ---------------------------------------------------------------------------

local THOUGHT = { -- opening and closing marks of reasoning, as the model families write them
  { "<think>", "</think>" }, { "<thinking>", "</thinking>" }, { "<thought>", "</thought>" },
  { "<reasoning>", "</reasoning>" }, { "[THINK]", "[/THINK]" }, { "◁think▷", "◁/think▷" },
}

local function last_plain(text, what)
  local last
  local from, to = text:find(what, 1, true)
  while from do
    last = to
    from, to = text:find(what, to + 1, true)
  end
  return last
end

--- Where the text after the model's reasoning begins.
-- @tparam string text
-- @treturn ?int first byte of the visible part; nil when reasoning was opened and never closed
function reply.after_reasoning(text)
  local from = 1
  for _, mark in ipairs(THOUGHT) do
    local closed = last_plain(text, mark[2])
    if closed then from = math.max(from, closed + 1) end
  end
  for _, mark in ipairs(THOUGHT) do
    if text:find(mark[1], from, true) then return nil end
  end
  return from
end

--- A text that began inside the model's thoughts, as it reads with its beginning.
-- @tparam string text
-- @treturn string
function reply.reopened(text)
  for _, mark in ipairs(THOUGHT) do
    if text:find("^%s*" .. mark[1]:gsub("%p", "%%%0")) then return text end
    if text:find(mark[2], 1, true) then return mark[1] .. text end
  end
  return THOUGHT[1][1] .. text
end

--- The part of a Response that may hold the answer.
-- @tparam table response { text=, reasoning=, finish= }
-- @treturn ?string text
-- @treturn int|string number of bytes cut off before it, or the outcome: empty, truncated, truncated_reasoning
function reply.visible(response)
  local text = response.text or ""
  local has_own_reasoning = response.reasoning ~= nil and response.reasoning ~= ""
  local from = reply.after_reasoning(text)
  if not from then
    if not has_own_reasoning then return nil, "truncated_reasoning" end
    from = 1 -- the server has taken the reasoning out, so the mark is part of what is said
  end
  local seen = text:sub(from)
  if seen:find "%S" then return seen, from - 1 end
  if response.finish ~= "length" then return nil, "empty" end
  return nil, (has_own_reasoning or from > 1) and "truncated_reasoning" or "truncated"
end

local END_TOKENS = { "<|im_end|>", "<|im_start|>", "<|eot_id|>", "<|endoftext|>", "<|end|>", "</s>", "<|end_of_text|>" }
-- A question of its own, and what must stand before it: a line's end, or the end of a sentence.
local RUN_ON = { { "Question:", "[\n.!?]%s*$" }, { "问题：", "[\n.!?]%s*$" }, { "问题:", "[\n.!?]%s*$" }, { "Q:", "\n%s*$" },
                 { "Problem:", "\n%s*$" }, { "Human:", "\n%s*$" }, { "User:", "\n%s*$" }, { "问：", "\n%s*$" } }

-- Where such a question begins, at the earliest; only a few bytes before it are looked at.
local function run_on(text, mark, before)
  local at = text:find(mark, 1, true)
  while at do
    local ahead = text:sub(math.max(1, at - 40), at - 1):gsub("。", ".")
    if ahead:find(before) then return at end
    at = text:find(mark, at + 1, true)
  end
end

--- The reply cut where the model goes on to a question nobody asked.
-- @tparam string text
-- @treturn table pieces { from, to } in order; the first that holds an answer is the one to believe
function reply.pieces(text)
  local stop, cut = #text, nil
  for _, token in ipairs(END_TOKENS) do
    local at = text:find(token, 1, true)
    if at and at <= stop and text:sub(1, at - 1):find "%S" then stop = at - 1 end
  end
  for _, mark in ipairs(RUN_ON) do
    local at = run_on(text, mark[1], mark[2])
    if at and at <= stop and (not cut or at < cut) and text:sub(1, at - 1):find "%S" then cut = at end
  end
  if not cut then return { { from = 1, to = stop } } end
  return { { from = 1, to = cut - 1 }, { from = cut, to = stop } }
end

local REFUSALS = { -- in lower case, straight quotes
  "^%s*i'?m sorry", "^%s*i am sorry", "^%s*sorry,", "^%s*i apologi[sz]e", "as an ai ", "as a language model",
    "as an ai,",
  "i cannot ", "i can't ", "i can not ", "i am unable to ", "i'm unable to ", "i am not able to ", "i'm not able to ",
  "i won't ", "i must decline", "我无法", "我不能", "无法回答", "无法提供", "不能回答", "作为一个ai", "作为ai", "作为一个人工智能",
  "作为人工智能", "很抱歉", "^%s*抱歉", "^%s*对不起",
}

--- Does the text decline to answer? Only asked when no answer is stated in it.
function reply.is_refusal(text)
  local head = text:sub(1, 2000):lower():gsub("’", "'")
  for _, pattern in ipairs(REFUSALS) do
    if head:find(pattern) then return true end
  end
  return false
end

-- ---- reading it -----------------------------------------------------------------------------------------------

local THIN = "\1" -- stands for a space that may group digits, until the last pass

local SINGLE = {
  [0x2212] = "-", [0xFE63] = "-", [0x2010] = "-", [0x2011] = "-", [0x2012] = "-", [0x2013] = "-", [0x2014] = ", ",
  [0x00D7] = "*", [0x22C5] = "*", [0x00B7] = "*", [0x2217] = "*", [0x00F7] = " / ", [0x2044] = "/", [0x2215] = "/",
  [0x2018] = "'", [0x2019] = "'", [0x201C] = '"', [0x201D] = '"', [0xFE52] = ".", [0xFE50] = ",", [0xFE55] = ":",
  [0x00A0] = THIN, [0x2007] = THIN, [0x2009] = THIN, [0x202F] = THIN, [0x2006] = THIN, [0x200A] = THIN,
  [0x3000] = " ", [0x205F] = " ", [0x00AD] = "", [0x2060] = "", [0xFEFF] = "", [0x2003] = " ", [0x2002] = " ",
  [0xFFE5] = "¥", [0xFFE1] = "£", [0x2028] = "\n", [0x2029] = "\n", [0x2248] = " = ",
}
for code = 0x200B, 0x200F do SINGLE[code] = "" end
local VULGAR = { [0xBC] = "1/4", [0xBD] = "1/2", [0xBE] = "3/4", [0x2153] = "1/3", [0x2154] = "2/3", [0x2155] = "1/5",
                 [0x2156] = "2/5", [0x2157] = "3/5", [0x2158] = "4/5", [0x2159] = "1/6", [0x215A] = "5/6", [0x215B] = "1/8",
                 [0x215C] = "3/8", [0x215D] = "5/8", [0x215E] = "7/8" }
for code, fraction in pairs(VULGAR) do SINGLE[code] = " " .. fraction end
for digit, code in pairs { [0] = 0x2070, 0xB9, 0xB2, 0xB3, 0x2074, 0x2075, 0x2076, 0x2077, 0x2078, 0x2079 } do
  SINGLE[code] = "^" .. digit
end

local function read_character(character)
  if not utf8.len(character) then return false end
  local code = utf8.codepoint(character)
  if code >= 0xFF01 and code <= 0xFF5E then return string.char(code - 0xFEE0) end -- full-width forms
  if code >= 0x1D400 and code <= 0x1D7FF then return core.fold(character) end     -- mathematical letters and digits
  return SINGLE[code] or false
end

-- What a character becomes, false for itself; filled as characters are met, bounded by their number.
local FOLDED = setmetatable({}, { __index = function(cache, character)
  local to = read_character(character)
  cache[character] = to
  return to
end })

local function fraction(before, above, below)
  if above:find "^%s*%d+%s*$" and below:find "^%s*%d+%s*$" then
    return before .. (before:find "%d" and " " or "") .. above:gsub("%s", "") .. "/" .. below:gsub("%s", "")
  end
  return before .. "(" .. above .. ") / (" .. below .. ")"
end

-- Rewriting rules in order: pattern, and what a match becomes (a string, or a function of the captures).
local LATEX = {
  { "{,}", "," },
  { "\\[,!;:> ]", THIN },
  { "\\[%(%)%[%]]", " " },
  { "\\([$%%#&_])", function(character) return character end },
  { "(%d?)\\[dtc]?frac%s*{([^{}]*)}%s*{([^{}]*)}", fraction },
  { "(%d?)\\[dtc]?frac%s*(%d)%s*(%d)", fraction },
  { "\\text%a*%s*{([^{}]*)}", function(inside) return " " .. inside .. " " end },
  { "\\math%a+%s*{([^{}]*)}", function(inside) return " " .. inside .. " " end },
  { "\\mbox%s*{([^{}]*)}", function(inside) return " " .. inside .. " " end },
  { "%^{?\\circ}?", " " },
  { "\\times%f[%A]", "*" }, { "\\cdot%f[%A]", "*" }, { "\\div%f[%A]", " / " }, { "\\approx%f[%A]", " = " },
  { "\\left%f[%A]", "" }, { "\\right%f[%A]", "" }, { "\\q?quad%f[%A]", " " }, { "\\[lcd]?dots%f[%A]", "..." },
}
local ANNOTATION = { "<<[^<>\n]*>>", "" } -- GSM8K's calculator marks
local GROUPED = { "(%d)\1(%d%d%d)%f[%D]", function(before, after) return before .. after end }

-- One pass over the text. Edits are kept so that positions can be traced back.
local function rewrite(doc, pattern, by)
  local text = doc.text
  local from, to, a, b, c = text:find(pattern)
  if not from then return end
  local parts, edits, done, written = {}, {}, 0, 0
  while from do
    local piece = by
    if type(by) == "function" then piece = by(a, b, c) end
    if piece then
      parts[#parts + 1] = text:sub(done + 1, from - 1)
      parts[#parts + 1] = piece
      written = written + (from - 1 - done) + #piece
      edits[#edits + 1] = { out_from = written - #piece + 1, out_to = written, in_from = from, in_to = to }
      done = to
    end
    from, to, a, b, c = text:find(pattern, to + 1)
  end
  if #edits == 0 then return end
  parts[#parts + 1] = text:sub(done + 1)
  doc.text = table.concat(parts)
  doc.passes[#doc.passes + 1] = edits
end

-- The last edit that begins at or before a position of the output.
local function edit_before(edits, at)
  local low, high = 0, #edits
  while low < high do
    local middle = (low + high + 1) // 2
    if edits[middle].out_from <= at then low = middle else high = middle - 1 end
  end
  return edits[low]
end

local function trace(edits, at, side)
  local edit = edit_before(edits, at)
  if not edit then return at end
  if at <= edit.out_to then return edit[side] end
  return at - edit.out_to + edit.in_to
end

--- A reply ready to be searched: { text = as it is to be read, … }.
-- @tparam string text
-- @tparam ?int offset bytes of the response that came before it
-- @treturn table doc
function reply.doc(text, offset)
  local doc = { text = text, passes = {}, offset = offset or 0 }
  if text:find "[\194-\244]" then
    rewrite(doc, "([\194-\244][\128-\191]+)", function(character) return FOLDED[character] or nil end)
  end
  if doc.text:find("\\", 1, true) or doc.text:find("{,}", 1, true) then
    for _, rule in ipairs(LATEX) do rewrite(doc, rule[1], rule[2]) end
  end
  rewrite(doc, ANNOTATION[1], ANNOTATION[2])
  if doc.text:find(THIN, 1, true) then
    rewrite(doc, GROUPED[1], GROUPED[2])
    rewrite(doc, GROUPED[1], GROUPED[2]) -- 1 234 567: the middle group was both behind and before
    rewrite(doc, THIN, " ")
  end
  return doc
end

--- The bytes of the response that a stretch of doc.text came from.
-- @treturn table { from=, to= } 1-based, both included
function reply.span(doc, from, to)
  for index = #doc.passes, 1, -1 do
    from, to = trace(doc.passes[index], from, "in_from"), trace(doc.passes[index], to, "in_to")
  end
  return { from = from + doc.offset, to = to + doc.offset }
end

return reply
