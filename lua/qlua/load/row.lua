-- SPDX-License-Identifier: Apache-2.0
--- Row: one request of a load measurement: what was planned, what was stamped, what came back. Pure.
--
-- A row holds stamps and counts and no metric: everything of docs/metrics.md is derived from rows (`qlua.load.metrics`), so it
-- can be derived anew by another definition. Times are CLOCK_MONOTONIC ns of the session. Fields:
--
--   index variant stage replicate session? turn?   which request it is; warmup = true is left out of every figure
--   due_ns?                when the schedule wanted it sent (open loop only)
--   queued_ns start_ns     handed to the client; handed to the transport
--   sent_ns? connect_ns?   its bytes given to the kernel; a new connection stood (absent: a kept one was used)
--   first_byte_ns? last_byte_ns?   of the body
--   stream_end_ns?         end of the body of a streamed reply
--   reads stamp_source     how often bytes were read; kernel or user
--   streamed events        whether it streamed; its events, packed (`qlua.load.events`), stamps relative to start_ns
--   comments               comment lines of the stream
--   prompt_tokens? completion_tokens? count_source?   usage, token_ids, logprobs or events
--   weight_source?         where the tokens of single events are known from: usage, token_ids, logprobs; absent: not known
--   cached_tokens? reasoning_tokens? finish? text_chars? text?   text only where asked for
--   outcome error_text?    ok, cancelled, or an error outcome of `qlua.outcomes`
--   max_tokens? requested_tokens?   the limit sent; the length that the plan wanted
local core_text = require "qlua.core.text"
local events = require "qlua.load.events"
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local retry = require "qlua.retry"
local shapes = require "qlua.load.event_shapes"

local row = {}

--- Fields that come from the plan as they are.
row.PLANNED = { "index", "variant", "stage", "replicate", "session", "turn", "due_ns", "max_tokens", "requested_tokens", "warmup" }
row.MARKS = { "queued_ns", "start_ns", "sent_ns", "connect_ns", "first_byte_ns", "last_byte_ns" }
--- All columns with their SQLite types, for a store.
row.COLUMNS = {
  { "index", "INTEGER" }, { "variant", "TEXT" }, { "stage", "TEXT" }, { "replicate", "INTEGER" }, { "session", "TEXT" },
  { "turn", "INTEGER" }, { "warmup", "INTEGER" }, { "due_ns", "INTEGER" }, { "queued_ns", "INTEGER" }, { "start_ns", "INTEGER" },
  { "sent_ns", "INTEGER" }, { "connect_ns", "INTEGER" }, { "first_byte_ns", "INTEGER" }, { "last_byte_ns", "INTEGER" },
  { "stream_end_ns", "INTEGER" }, { "reads", "INTEGER" }, { "stamp_source", "TEXT" }, { "streamed", "INTEGER" }, { "events", "BLOB" },
  { "comments", "INTEGER" }, { "prompt_tokens", "INTEGER" }, { "completion_tokens", "INTEGER" }, { "count_source", "TEXT" },
  { "weight_source", "TEXT" }, { "cached_tokens", "INTEGER" }, { "reasoning_tokens", "INTEGER" }, { "finish", "TEXT" },
  { "text_chars", "INTEGER" }, { "text", "TEXT" }, { "outcome", "TEXT" }, { "error_text", "TEXT" }, { "max_tokens", "INTEGER" },
  { "requested_tokens", "INTEGER" },
}

local function failure_of_status(reply)
  local message, code = openai.error_of((json.decode(reply.body or "")))
  message = message or (reply.body or ""):sub(1, 200)
  return { kind = "http", status = reply.status, code = code, text = ("HTTP %d: %s"):format(reply.status, message),
    too_long = (reply.status == 400 or reply.status == 413) and openai.is_too_long(message) }
end

local function outcome_of(failure)
  if not failure then return "ok" end
  if failure.kind == "cancelled" then return "cancelled", failure.text end
  return (retry.judge(failure)), failure.text
end

local function integer(value) return value and math.tointeger(value) or nil end

local function add_counts(one, usage)
  usage = usage or {}
  one.prompt_tokens, one.cached_tokens, one.reasoning_tokens =
    integer(usage.prompt_tokens), integer(usage.cached_tokens), integer(usage.reasoning_tokens)
end

local function add_text(one, text, keep_text)
  one.text_chars = core_text.chars(core_text.repair(text))
  if keep_text then one.text = text end
end

local function read_stream(one, reply, keep_text)
  local found = events.read(reply)
  one.events, one.weight_source, one.finish = events.pack(found.list, one.start_ns), found.weight_source, found.finish
  one.completion_tokens, one.count_source = integer(found.completion_tokens), found.count_source
  one.stream_end_ns = one.last_byte_ns
  add_counts(one, found.usage)
  add_text(one, found.text, keep_text)
  if found.error then return found.error end
  if not found.is_done and not found.finish then
    return { kind = "protocol", text = "the stream ended without finish_reason and [DONE]" }
  end
end

local function read_whole(one, reply, keep_text)
  local value, err = json.decode(reply.body or "")
  if type(value) ~= "table" then
    return { kind = "protocol", text = "the reply is " .. (value == nil and err.text or "no object") }
  end
  local message, code = openai.error_of(value)
  if message then
    return { kind = "http", status = code and code >= 400 and code or 500, text = "the server says: " .. message }
  end
  local found = shapes.read(value, {})
  local usage = found.usage or {}
  one.finish, one.completion_tokens = found.finish, integer(usage.completion_tokens)
  if one.completion_tokens then
    one.count_source = "usage"
  elseif found.tokens then
    one.completion_tokens, one.count_source = integer(found.tokens), found.tokens_source
  end
  add_counts(one, usage)
  add_text(one, (found.reasoning or "") .. (found.text or ""), keep_text)
  if not found.has_choices then return { kind = "protocol", text = "the reply has no choices[0]" } end
end

--- The row of one request.
-- @tparam table entry of the plan: the fields of `row.PLANNED`
-- @tparam table reply a Reply
-- @tparam[opt] table options `keep_text` keeps the model's text in the row
-- @treturn table
function row.make(entry, reply, options)
  local one = { reads = 0, events = "", streamed = false }
  for _, field in ipairs(row.PLANNED) do one[field] = entry[field] end
  local marks = reply.marks or {}
  for _, field in ipairs(row.MARKS) do one[field] = marks[field] end
  one.reads, one.comments = marks.reads or 0, reply.comments or 0
  one.due_ns = one.due_ns or marks.due_ns
  one.stamp_source = reply.stamp_source
  one.queued_ns = one.queued_ns or one.start_ns or one.due_ns
  one.start_ns = one.start_ns or one.queued_ns -- cancelled before it was on its way
  local keep_text, failure = options and options.keep_text, nil
  if reply.events and #reply.events > 0 then
    one.streamed = true
    failure = read_stream(one, reply, keep_text)
  elseif not reply.error and reply.status == 200 then
    failure = read_whole(one, reply, keep_text)
  end
  -- What the transport or the status says comes first: a body that was cut off is the consequence.
  if reply.error then
    failure = { kind = reply.error.kind, text = reply.error.text }
  elseif reply.status ~= 200 then
    failure = failure_of_status(reply)
  end
  one.outcome, one.error_text = outcome_of(failure)
  return one
end

--- The moment from which a row's latencies are taken: its bytes sent, else a new connection stood, else the start.
function row.send_ns(one) return one.sent_ns or one.connect_ns or one.start_ns end

--- The last moment known of a row.
function row.end_ns(one) return one.stream_end_ns or one.last_byte_ns or one.first_byte_ns or one.start_ns end

--- Iterate over a row's events: `at_ns, kind, tokens`.
function row.each_event(one) return events.each(one.events or "", one.start_ns) end

return row
