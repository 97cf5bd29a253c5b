-- SPDX-License-Identifier: Apache-2.0
--- Events: the events of one Reply, each with its stamp, its kind and, where the server says so, its tokens. Pure.
--
-- JSON is decoded here, on the main thread, after the last byte: the stamps are older and cannot be moved by it. An event is of
-- one kind, the first that applies: error, content (also with reasoning in the same delta), reasoning, tool, finish, role,
-- empty, usage, other. Only content, reasoning and tool are arrivals of tokens; role, empty and finish have `choices` but no text.
local json = require "qlua.core.json"
local openai = require "qlua.openai"
local shapes = require "qlua.load.event_shapes"
local template = require "qlua.load.event_template"

local events = {}

--- The kinds, in the order of their packed codes (`events.pack`): never reorder, stored rows depend on it.
events.KINDS = { "role", "empty", "reasoning", "content", "tool", "finish", "usage", "error", "done", "other" }
local CODE = {}
for code, name in ipairs(events.KINDS) do CODE[name] = code end

--- Kinds that bring text of the model.
events.IS_TEXT = { reasoning = true, content = true, tool = true }
--- Kinds whose event has a non-empty `choices` (or what stands for it in another API).
events.HAS_CHOICES = { role = true, empty = true, reasoning = true, content = true, tool = true, finish = true }

local function kind_of(found)
  if found.text then return "content" end
  if found.reasoning then return "reasoning" end
  if found.tool then return "tool" end
  if found.has_choices then return found.finish and "finish" or found.role and "role" or "empty" end
  return found.usage and "usage" or "other"
end

local function merge_usage(sum, usage)
  if not usage then return end
  sum.usage = sum.usage or {}
  for key, value in pairs(usage) do sum.usage[key] = value end
end

local function add(sum, found, at_ns)
  local event = { at_ns = at_ns, kind = kind_of(found), ids = found.tokens_source == "token_ids" and found.tokens or nil,
    logprobs = found.tokens_source == "logprobs" and found.tokens or nil,
    total = found.total or found.has_choices and found.usage and found.usage.completion_tokens or nil }
  sum.list[#sum.list + 1] = event
  for _, text in ipairs { found.reasoning or "", found.text or "" } do
    if #text > 0 then sum.pieces[#sum.pieces + 1] = text end
  end
  sum.finish = found.finish or sum.finish
  sum.is_done = sum.is_done or found.is_last
  merge_usage(sum, found.usage)
end

-- A count that is on every event with text, so that each event's share of it is known. Usage on the last one alone,
-- as some servers send it, says nothing about the single events.
local function is_on_every_text(list, field)
  local any = false
  for _, event in ipairs(list) do
    if events.IS_TEXT[event.kind] then
      if not event[field] then return false end
      any = true
    end
  end
  return any
end

local function weigh_by_total(list)
  local before = 0
  for _, event in ipairs(list) do
    if event.total then
      if event.total < before then return false end
      event.tokens, before = event.total - before, event.total
    end
  end
  return true
end

-- Tokens of each event, by the best source that covers every one.
local function weigh(list)
  if is_on_every_text(list, "total") and weigh_by_total(list) then return "usage" end
  for _, source in ipairs { "ids", "logprobs" } do
    if is_on_every_text(list, source) then
      for _, event in ipairs(list) do event.tokens = event[source] end
      return source == "ids" and "token_ids" or "logprobs"
    end
  end
  for _, event in ipairs(list) do event.tokens = nil end
end

local function count(sum)
  local usage = sum.usage or {}
  if usage.completion_tokens then return usage.completion_tokens, "usage" end
  local total, arrivals = 0, 0
  for _, event in ipairs(sum.list) do
    total = total + (event.tokens or 0)
    if events.IS_TEXT[event.kind] then arrivals = arrivals + 1 end
  end
  if sum.weight_source then return total, sum.weight_source end
  return arrivals, "events"
end

local function finished(sum)
  sum.weight_source = weigh(sum.list)
  for _, event in ipairs(sum.list) do event.total, event.ids, event.logprobs = nil, nil, nil end
  sum.completion_tokens, sum.count_source = count(sum)
  sum.text = table.concat(sum.pieces)
  sum.pieces = nil
  return sum
end

local function broken(sum, at_ns, kind, text, status)
  sum.list[#sum.list + 1] = { at_ns = at_ns, kind = "error" }
  sum.error = { kind = kind, text = text, status = status }
end

-- Events that are like the last decoded one but for their text need no decoding.
local function add_alike(sum, event)
  local known = sum.template
  if not known then return false end
  local text, total = template.text(known, event.data)
  if not text then return false end
  sum.list[#sum.list + 1] = { at_ns = event.at_ns, kind = known.side == "text" and "content" or "reasoning", total = total }
  if total then
    known.usage.completion_tokens = total
    merge_usage(sum, known.usage)
  end
  sum.pieces[#sum.pieces + 1] = text
  return true
end

-- False when nothing after it is to be read.
local function add_decoded(sum, event, state, is_learning)
  local value, err = json.decode(event.data)
  if type(value) ~= "table" then
    broken(sum, event.at_ns, "protocol", "an event of the stream is " .. (value == nil and err.text or "no object"))
    return false
  end
  local message, code = openai.error_of(value)
  if message then
    broken(sum, event.at_ns, "http", "the server says: " .. message, code and code >= 400 and code or 500)
    return false
  end
  local found = shapes.read(value, state)
  add(sum, found, event.at_ns)
  if is_learning and not next(state) then sum.template = template.learn(event.data, found, shapes.read) or sum.template end
  return true
end

--- The events of a streamed Reply.
-- @tparam table reply with `events`
-- @tparam[opt] table options `decode_all` decodes every event, for tests
-- @treturn table `{ list = { { at_ns, kind, tokens? }… }, usage?, finish?, is_done, text, weight_source?, completion_tokens,
-- count_source, error? }`; `error` `{ kind = "http"/"protocol", text, status? }` is the first event that is an error or no JSON,
-- after which nothing is read
function events.read(reply, options)
  local sum, state = { list = {}, pieces = {}, is_done = false }, {}
  local is_learning = not (options and options.decode_all)
  for _, event in ipairs(reply.events) do
    if event.incomplete then break end
    if event.done or event.data == "[DONE]" then
      sum.list[#sum.list + 1] = { at_ns = event.at_ns, kind = "done" }
      sum.is_done = true
    elseif not add_alike(sum, event) and not add_decoded(sum, event, state, is_learning) then
      break
    end
  end
  sum.template = nil
  return finished(sum)
end

-- ---- packed -------------------------------------------------------------------------------------------------------

local FORMAT = "<i6I1I2" -- ns since the request's start, kind, tokens
local BYTES = 9
local UNKNOWN = 0xFFFF

--- Events as a string: 9 bytes each (int48 ns after `base_ns`, kind, tokens as uint16), little endian.
-- @tparam table list as `events.read` gives it
-- @tparam integer base_ns
function events.pack(list, base_ns)
  local parts = {}
  for i, event in ipairs(list) do
    local tokens = event.tokens and math.min(math.tointeger(event.tokens) or UNKNOWN, UNKNOWN - 1) or UNKNOWN
    parts[i] = string.pack(FORMAT, event.at_ns - base_ns, CODE[event.kind], tokens)
  end
  return table.concat(parts)
end

--- The way back.
-- @treturn function iterator: `at_ns, kind, tokens` (nil when not known)
function events.each(packed, base_ns)
  local at = 1
  return function()
    if at > #packed then return nil end
    local offset, code, tokens = string.unpack(FORMAT, packed, at)
    at = at + BYTES
    return base_ns + offset, events.KINDS[code], tokens ~= UNKNOWN and tokens or nil
  end
end

--- How many events are in a packed string.
function events.count(packed) return #packed // BYTES end

return events
