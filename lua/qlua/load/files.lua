-- SPDX-License-Identifier: Apache-2.0
--- Files of prompts: ShareGPT, Mooncake traces, and JSONL of one's own. A bad row is an error that names file, line and field.

local file = require "qlua.core.file"
local json = require "qlua.core.json"

local files = {}

local function fail(path, line, text)
  return nil, { kind = "data", text = ("%s:%s %s"):format(path, line and line .. ":" or "", text) }
end

local function shown(value)
  if value == nil or value == json.null then return "nothing" end
  if type(value) == "string" then return ("\"%s\""):format(#value > 40 and value:sub(1, 37) .. "..." or value) end
  if type(value) == "table" then return #value > 0 and "a list" or "an object" end
  return tostring(value)
end

local function given(value) return value ~= json.null and value or nil end

-- Every row of a JSONL file that is not empty, read by `take(row, complain)`.
local function each_line(path, take)
  local lines, err = file.lines(path)
  if not lines then return nil, { kind = "data", text = ("%s: %s"):format(path, err.text), hint = err.hint } end
  local rows, number = {}, 0
  while true do
    local line, read_err = lines()
    if not line then
      if read_err then return nil, { kind = "data", text = ("%s:%d: %s"):format(path, number + 1, read_err.text) } end
      break
    end
    number = number + 1
    if line:find "%S" then
      local row, wrong = json.decode(line)
      if type(row) ~= "table" then
        return fail(path, number, wrong and wrong.text or "want an object, got " .. shown(row))
      end
      local made, complaint = take(row, number)
      if complaint then return fail(path, number, complaint) end
      rows[#rows + 1] = made
    end
  end
  if #rows == 0 then return fail(path, nil, "holds no rows that can be used") end
  return rows
end

local function whole(row, field, least)
  local value = given(row[field])
  if math.type(value) == "float" and value == math.floor(value) then value = math.tointeger(value) end
  if math.type(value) ~= "integer" or value < least then
    return nil, ("field '%s': want an integer of at least %d, got %s"):format(field, least, shown(row[field]))
  end
  return value
end

-- ---- Mooncake ---------------------------------------------------------------------------------------------------------

local function trace_row(row, number, last)
  local stamp = given(row.timestamp)
  if type(stamp) ~= "number" or stamp < 0 then
    return nil, ("field 'timestamp': want milliseconds from 0, got %s"):format(shown(row.timestamp))
  end
  if last and stamp < last then return nil, ("field 'timestamp': want an ascending order, got %s after %s"):format(stamp, last) end
  local input, wrong = whole(row, "input_length", 1)
  if not input then return nil, wrong end
  local output
  output, wrong = whole(row, "output_length", 1)
  if not output then return nil, wrong end
  local ids = given(row.hash_ids)
  if ids ~= nil and type(ids) ~= "table" then return nil, "field 'hash_ids': want a list of integers, got " .. shown(ids) end
  for _, id in ipairs(ids or {}) do
    if math.type(id) ~= "integer" then return nil, "field 'hash_ids': want integers, got " .. shown(id) end
  end
  return { at_ms = stamp, input_tokens = input, output_tokens = output, hash_ids = ids, line = number }
end

--- A trace: when requests came, how long they were, and which blocks of their prompts they shared.
-- @tparam string path JSONL with `timestamp` (ms), `input_length`, `output_length`, `hash_ids` (optional)
-- @treturn ?table rows `{ at_ms, input_tokens, output_tokens, hash_ids }`; or nil and err
function files.trace(path)
  local last
  return each_line(path, function(row, number)
    local made, wrong = trace_row(row, number, last)
    last = made and made.at_ms or last
    return made, wrong
  end)
end

-- ---- one's own ----------------------------------------------------------------------------------------------------------

local function check_messages(messages)
  if type(messages) ~= "table" or #messages == 0 then
    return ("field 'messages': want a list of { role, content }, got %s"):format(shown(messages))
  end
  for i, message in ipairs(messages) do
    if type(message) ~= "table" or type(message.role) ~= "string" or type(message.content) ~= "string" then
      return ("field 'messages[%d]': want { role, content }, got %s"):format(i - 1, shown(message))
    end
  end
end

local function custom_row(row)
  local prompt, messages = given(row.prompt), given(row.messages)
  if (prompt == nil) == (messages == nil) then return nil, "want one of the fields 'prompt' and 'messages'" end
  if prompt ~= nil and (type(prompt) ~= "string" or prompt == "") then
    return nil, "field 'prompt': want a text, got " .. shown(prompt)
  end
  local wrong = messages and check_messages(messages)
  if wrong then return nil, wrong end
  local made = { text = prompt, messages = messages }
  for _, field in ipairs { "output_tokens", "output_len" } do
    if given(row[field]) ~= nil then
      made.output_tokens, wrong = whole(row, field, 1)
      if not made.output_tokens then return nil, wrong end
    end
  end
  return made
end

--- Prompts of one's own.
-- @tparam string path JSONL with `prompt` or `messages`, and `output_tokens` (also called `output_len`)
-- @treturn ?table rows `{ text or messages, output_tokens }`; or nil and err
function files.custom(path) return each_line(path, custom_row) end

-- ---- ShareGPT -----------------------------------------------------------------------------------------------------------

local ASKS = { human = true, user = true }

-- Questions with their answers, as far as they alternate; nothing for a conversation that does not begin with a question.
local function conversation(row)
  local list = given(row.conversations) or given(row.conversation) or given(row.items)
  if type(list) ~= "table" then return nil, ("field 'conversations': want a list, got %s"):format(shown(list)) end
  local turns = {}
  for i = 1, #list - 1, 2 do
    local asked, said = list[i], list[i + 1]
    if type(asked) ~= "table" or type(said) ~= "table" then
      return nil, ("field 'conversations[%d]': want { from, value }"):format(i - 1)
    end
    local text, reply = asked.value or asked.content, said.value or said.content
    if not ASKS[asked.from or asked.role or ""] or type(text) ~= "string" or type(reply) ~= "string" then break end
    if not text:find "%S" or not reply:find "%S" then break end
    turns[#turns + 1] = { text = text, reply = reply }
  end
  return #turns > 0 and { turns = turns } or nil
end

local function whole_document(path)
  local text, err = file.read_all(path)
  if not text then return nil, { kind = "data", text = ("%s: %s"):format(path, err.text), hint = err.hint } end
  local list
  list, err = json.decode(text)
  if type(list) ~= "table" then return fail(path, nil, err and err.text or "want a list of conversations") end
  local rows = {}
  for i, row in ipairs(list) do
    if type(row) ~= "table" then return fail(path, nil, ("conversation %d: want an object, got %s"):format(i - 1, shown(row))) end
    local made, wrong = conversation(row)
    if wrong then return fail(path, nil, ("conversation %d: %s"):format(i - 1, wrong)) end
    rows[#rows + 1] = made
  end
  if #rows == 0 then return fail(path, nil, "holds no conversation that begins with a question and its answer") end
  return rows
end

--- ShareGPT conversations: a JSON list, or one conversation per line.
-- Those that do not begin with a question and its answer are left out.
-- @tparam string path
-- @treturn ?table rows `{ turns = { { text, reply }… } }`; or nil and err
function files.sharegpt(path)
  local lines, err = file.lines(path)
  if not lines then return nil, { kind = "data", text = ("%s: %s"):format(path, err.text), hint = err.hint } end
  local first = lines() or ""
  lines:close()
  if first:match "^%s*%[" then return whole_document(path) end
  return each_line(path, conversation)
end

return files
