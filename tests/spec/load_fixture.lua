-- SPDX-License-Identifier: Apache-2.0
--- Hand-made replies and rows of load measurements. Times are given in ms after a base of CLOCK_MONOTONIC.
local json = require "qlua.core.json"
local row = require "qlua.load.row"

local fixture = { base_ns = 7000000000 }

function fixture.ns(ms) return fixture.base_ns + math.floor(ms * 1e6 + 0.5) end

--- A streamed Reply of `{ { at_ms, event table or text }… }`, sent at 0 ms.
function fixture.stream(list, marks)
  local reply = { status = 200, headers = {}, body = "", events = {}, comments = 0,
    marks = { queued_ns = fixture.ns(0), start_ns = fixture.ns(0), reads = #list } }
  for i, one in ipairs(list) do
    local data = type(one[2]) == "table" and json.encode(one[2]) or one[2]
    reply.events[i] = { at_ns = fixture.ns(one[1]), data = data, done = data == "[DONE]" or nil, bytes = #data }
  end
  if #list > 0 then
    reply.marks.first_byte_ns, reply.marks.last_byte_ns = fixture.ns(list[1][1]), fixture.ns(list[#list][1])
  end
  for key, value in pairs(marks or {}) do
    if key == "stamp_source" then
      reply.stamp_source = value
    else
      reply.marks[key] = key == "reads" and value or fixture.ns(value)
    end
  end
  return reply
end

function fixture.delta(delta, more)
  local value = { choices = json.array { { index = 0, delta = delta } } }
  for key, item in pairs(more or {}) do value[key] = item end
  return value
end

function fixture.role() return fixture.delta { role = "assistant", content = "" } end
function fixture.content(text, more) return fixture.delta({ content = text }, more) end
function fixture.finish(reason)
  return { choices = json.array { { index = 0, delta = {}, finish_reason = reason or "stop" } } }
end
function fixture.usage(prompt, completion)
  return { choices = json.array {}, usage = { prompt_tokens = prompt, completion_tokens = completion } }
end

--- A row at once.
function fixture.row(list, entry, marks)
  entry = entry or {}
  local full = { index = 1, variant = "v", stage = "1", replicate = 1 }
  for key, value in pairs(entry) do full[key] = value end
  return row.make(full, fixture.stream(list, marks))
end

--- The row on which the definitions part: role at 40 ms, reasoning at 100, half a character at 110, content at 150 and 190 ms,
-- finish at 195, usage at 230, [DONE] at 240; five tokens.
function fixture.telling(entry, marks)
  local f = fixture
  return f.row({ { 40, f.role() }, { 100, f.delta { reasoning_content = "hm" } }, { 110, f.content "" }, { 150, f.content "a" },
    { 190, f.content "b" }, { 195, f.finish() }, { 230, f.usage(7, 5) }, { 240, "[DONE]" } }, entry, marks)
end

return fixture
