-- SPDX-License-Identifier: Apache-2.0
--- Boundary: where a choice begins among the tokens of a prompt that it continues. Pure.
--
-- "Answer:" and "A" are three tokens apart and two together, since ":A" is a token of its own. So the whole is
-- tokenised, and split where the context's own tokens end, after the context's trailing spaces have been moved to the
-- choice (the reference harness's `_encode_pair`). Where the context's tokens do not begin the whole, the choice
-- begins one token earlier, and then all choices of the question do, so that their sums cover the same text.

local boundary = {}

local function protocol(text) return nil, { kind = "protocol", text = text } end

--- A context without its trailing spaces, and a continuation with them.
-- @tparam string context
-- @tparam string continuation
-- @treturn string
-- @treturn string
function boundary.moved(context, continuation)
  local bare = context:gsub("%s+$", "")
  if bare == "" then return context, continuation end -- nothing would be left to condition on
  return bare, context:sub(#bare + 1) .. continuation
end

local function common(a, b)
  local n = 0
  while n < #a and a[n + 1] == b[n + 1] do n = n + 1 end
  return n
end

--- How many tokens come before the choices of one question, the same number for all of them.
-- @tparam {integer,...} context ids of the context
-- @tparam {{integer,...},...} wholes ids of the context with each choice
-- @treturn ?integer number of tokens before the choices
-- @treturn integer|table how many tokens the boundary was moved back: 0 or 1; or err of kind protocol
function boundary.split(context, wholes)
  local start = #context
  for i, whole in ipairs(wholes) do
    local shared = common(context, whole)
    if shared < #context - 1 then
      return protocol(("the tokens of the context are not those of the context with choice %d: only %d of %d are shared")
        :format(i, shared, #context))
    end
    start = math.min(start, shared)
  end
  if start == 0 then return protocol "no token of the context comes before the choices" end
  for i, whole in ipairs(wholes) do
    if #whole <= start then return protocol(("choice %d has no token of its own"):format(i)) end
  end
  return start, #context - start
end

local TAIL_AT_LEAST, TAIL_AT_MOST = 16, 200 -- bytes

--- The end of a context that decides how what follows is tokenised.
-- Tokens do not reach over a line's end and the text behind it, so the last lines are as good as the whole, and the
-- same for all questions of a dataset that ask in one form.
-- @tparam string context
-- @treturn string a suffix of it, cut at a line's end; all of it where its last line is long
function boundary.tail(context)
  local from = #context + 1
  for at in context:gmatch "\n()" do
    local left = #context - at + 1
    if left >= TAIL_AT_LEAST and left <= TAIL_AT_MOST then from = at end
  end
  return from <= #context and context:sub(from) or context
end

return boundary
