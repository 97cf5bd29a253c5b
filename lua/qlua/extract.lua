-- SPDX-License-Identifier: Apache-2.0
--- q.extract: finds the answer in a reply.
-- Every function returns an Answer { value, how, span = { from, to } } (bytes of the text given, both included) or
-- nil and the reason. `how` names the sign by which the answer was recognized, so that reports can count them.
local final_letter = require "qlua.final_letter"
local final_number = require "qlua.final_number"
local regex = require "qlua.regex"
local reply = require "qlua.reply"
local text = require "qlua.text"

local extract = {}

-- A response or its text → the text that may hold the answer, and options; or nil and the outcome.
local function visible(response)
  if type(response) ~= "table" then response = { text = response } end
  local seen, offset = reply.visible(response)
  if not seen then return nil, offset end
  return seen, { offset = offset, finish = response.finish }
end

--- The part of a response that may hold the answer: behind its reasoning.
-- @tparam string|table response
-- @treturn ?string the text
-- @treturn int|string bytes of the response before it; or the outcome empty, truncated, truncated_reasoning
function extract.visible(response)
  local seen, options = visible(response)
  if not seen then return nil, options end
  return seen, options.offset
end

--- The number a reply gives as its final answer.
-- @tparam string|table response the text, or a Response (then a cut reply is recognized)
-- @treturn ?table Answer; value in lowest terms, "70000", "18.5", "2/3"
-- @treturn ?string no_answer, ambiguous, empty, refused, truncated, truncated_reasoning
function extract.final_number(response)
  local seen, options = visible(response)
  if not seen then return nil, options end
  return final_number(seen, options)
end

--- The letter a reply chooses.
-- @tparam string|table response
-- @tparam ?table labels {"A","B","C","D"} when nil
-- @treturn ?table Answer; value is one of the labels
-- @treturn ?string no_answer, ambiguous, empty, refused, truncated, truncated_reasoning
function extract.letter(response, labels)
  local seen, options = visible(response)
  if not seen then return nil, options end
  return final_letter(seen, labels or { "A", "B", "C", "D" }, options)
end

--- What the last \boxed{} holds, braces counted, as it was written.
-- @tparam string|table response
-- @treturn ?table Answer
-- @treturn ?string no_answer, empty, truncated_reasoning
function extract.boxed(response)
  local seen, options = visible(response)
  if not seen then return nil, options end
  local last
  for at in seen:gmatch "()\\f?boxe?d?%s*{" do last = at end
  if not last then return nil, "no_answer" end
  local open = seen:find("{", last, true)
  local depth, at = 0, open
  while at do
    depth = depth + (seen:sub(at, at) == "{" and 1 or -1)
    if depth == 0 then break end
    at = seen:find("[{}]", at + 1)
  end
  if not at then return nil, "no_answer" end
  local span = { from = open + 1 + options.offset, to = at - 1 + options.offset }
  return { value = text.trim(seen:sub(open + 1, at - 1)), how = "boxed", span = span }
end

--- The rest of the line behind the last occurrence of a literal marker.
-- @tparam string|table response
-- @tparam string marker
-- @treturn ?table Answer
-- @treturn ?string no_answer, empty, truncated_reasoning
function extract.after(response, marker)
  if type(marker) ~= "string" or marker == "" then error("after: want a marker, got none", 2) end
  local seen, options = visible(response)
  if not seen then return nil, options end
  local stop
  local from, to = seen:find(marker, 1, true)
  while from do
    stop = to
    from, to = seen:find(marker, to + 1, true)
  end
  local first = stop and seen:find("%S", stop + 1)
  if not first then return nil, "no_answer" end
  local line_stop = (seen:find("\n", first, true) or #seen + 1) - 1
  local value = text.trim(seen:sub(first, line_stop))
  return { value = value, how = "after " .. marker, span = { from = first + options.offset,
    to = first + #value - 1 + options.offset } }
end

--- A match of a PCRE2 pattern, taken as the reference harness does: all matches, one picked, its first non-empty
-- group (the whole match when the pattern has none), trimmed. The text is searched as it is, reasoning included.
-- @tparam string response_text
-- @tparam string pattern
-- @tparam ?table options { pick = "first" (default) or "last", group = number, flags = "ims", how = name }
-- @treturn ?table Answer
-- @treturn ?string no_answer
-- @raise for a wrong pattern, or one that takes too many steps
function extract.regex(response_text, pattern, options)
  options = options or {}
  local matches = regex.find_all(response_text, pattern, options.flags)
  local match = matches[options.pick == "last" and #matches or 1]
  if not match then return nil, "no_answer" end
  local value = response_text:sub(match[1], match[2])
  if options.group then
    value = match[options.group + 2] or ""
  elseif #match > 2 then
    value = match[3] or ""
    for group = 3, #match do
      if match[group] and match[group] ~= "" then value = match[group] break end
    end
  end
  return { value = text.trim(value), how = options.how or pattern, span = { from = match[1], to = match[2] } }
end

--- The reference harness's exact_match metric of one pair: every pattern is removed from both in order, case
-- dropped if asked, then they must be the same string (lm-eval: `exact_match_hf_evaluate`).
-- @tparam string prediction
-- @tparam string reference
-- @tparam table options { ignore_case = bool, regexes_to_ignore = { pattern, … } }
-- @treturn bool
-- @treturn string the prediction as it was compared
function extract.exact_match(prediction, reference, options)
  for _, pattern in ipairs(options.regexes_to_ignore or {}) do
    prediction, reference = regex.replace(prediction, pattern, ""), regex.replace(reference, pattern, "")
  end
  if options.ignore_case then prediction, reference = text.lower(prediction), text.lower(reference) end
  return prediction == reference, prediction
end

return extract
