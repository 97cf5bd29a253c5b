-- SPDX-License-Identifier: Apache-2.0
--- Event shapes: what one decoded event of a stream holds, whichever API it follows. Pure.
--
-- Each reader takes the event's object and what is known of the stream so far, and gives a finding `{ text?, reasoning?, tool?,
-- role?, finish?, usage?, tokens?, total?, has_choices }`: new text and reasoning, whether a tool call went on, whether a role was
-- named, the reason to finish, the usage object, how many tokens this event brought (`tokens`), or how many there are by
-- now (`total`). Recognised by their fields, never by a server's name: one server speaks several of them.
local shapes = {}

local function is_text(value) return type(value) == "string" and #value > 0 and value or nil end
local function is_number(value) return type(value) == "number" and value or nil end
local function is_table(value) return type(value) == "table" and value or nil end
local function has_items(value) return type(value) == "table" and next(value) ~= nil end

--- `{ prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens }` of a usage object, in either naming.
function shapes.usage(value)
  if not is_table(value) then return nil end
  local prompt, completion = is_number(value.prompt_tokens or value.input_tokens), is_number(value.completion_tokens or value.output_tokens)
  if not prompt and not completion then return nil end
  local of_prompt = is_table(value.prompt_tokens_details or value.input_tokens_details) or {}
  local of_output = is_table(value.completion_tokens_details or value.output_tokens_details) or {}
  return { prompt_tokens = prompt, completion_tokens = completion, cached_tokens = is_number(of_prompt.cached_tokens),
    reasoning_tokens = is_number(of_output.reasoning_tokens) }
end

-- How many tokens a choice says that it brings: by their ids, else by their log-probabilities.
local function tokens_of(choice)
  if is_table(choice.token_ids) then return #choice.token_ids, "token_ids" end
  local logprobs = is_table(choice.logprobs)
  local list = logprobs and (is_table(logprobs.content) or is_table(logprobs.tokens))
  if list then return #list, "logprobs" end
end

-- The chat and completion APIs: `choices`, and on the last event only `usage`.
local function choices(value)
  local choice = is_table(value.choices[1])
  if not choice then return { usage = shapes.usage(value.usage) } end
  local delta = is_table(choice.delta) or is_table(choice.message)
  local found = { has_choices = true, usage = shapes.usage(value.usage), finish = is_text(choice.finish_reason) }
  found.tokens, found.tokens_source = tokens_of(choice)
  if delta then
    found.text, found.role = is_text(delta.content), is_text(delta.role)
    found.reasoning = is_text(delta.reasoning) or is_text(delta.reasoning_content)
    found.tool = has_items(delta.tool_calls) or has_items(delta.function_call) or nil
  else
    found.text = is_text(choice.text)
  end
  return found
end

-- Text that is repeated from the beginning in every event, with counts in `meta_info`.
local function cumulative(value, state)
  local before, meta = state.length or 0, value.meta_info
  state.length = math.max(before, #value.text)
  local reason = meta.finish_reason
  return { has_choices = true, text = is_text(value.text:sub(before + 1)), total = is_number(meta.completion_tokens),
    usage = shapes.usage(meta), finish = is_text(reason) or is_table(reason) and is_text(reason.type) or nil }
end

-- One token an event: `token`, and with the last one `details`.
local function single_token(value)
  local details = is_table(value.details) or {}
  return { has_choices = true, text = not value.token.special and is_text(value.token.text) or nil, tokens = 1, tokens_source = "token_ids",
    finish = is_text(details.finish_reason),
    usage = is_number(details.generated_tokens) and { completion_tokens = details.generated_tokens } or nil }
end

-- `content` and `stop` at the top.
local function top_content(value)
  local usage = value.stop == true and is_number(value.tokens_predicted)
    and { completion_tokens = value.tokens_predicted, prompt_tokens = is_number(value.tokens_evaluated) } or nil
  local ids = has_items(value.tokens) and #value.tokens or nil
  return { has_choices = true, text = is_text(value.content), finish = value.stop == true and "stop" or nil, usage = usage, tokens = ids,
    tokens_source = ids and "token_ids" or nil }
end

-- Named events: what they are stands in `type`. Two APIs have them; their names do not collide.
local NAMED = {
  content_block_delta = function(value)
    local delta = is_table(value.delta) or {}
    return { has_choices = true, text = is_text(delta.text), reasoning = is_text(delta.thinking),
      tool = is_text(delta.partial_json) and true }
  end,
  message_start = function(value)
    local message = is_table(value.message) or {}
    return { has_choices = true, role = is_text(message.role) or "assistant", usage = shapes.usage(message.usage) }
  end,
  message_delta = function(value)
    local delta = is_table(value.delta) or {}
    return { has_choices = true, finish = is_text(delta.stop_reason), usage = shapes.usage(value.usage) }
  end,
  ["response.output_text.delta"] = function(value) return { has_choices = true, text = is_text(value.delta) } end,
  ["response.reasoning_text.delta"] = function(value) return { has_choices = true, reasoning = is_text(value.delta) } end,
  ["response.reasoning_summary_text.delta"] = function(value) return { has_choices = true, reasoning = is_text(value.delta) } end,
  ["response.function_call_arguments.delta"] = function(value) return { has_choices = true, tool = is_text(value.delta) and true } end,
  ["response.completed"] = function(value)
    return { has_choices = true, finish = "stop", usage = shapes.usage((is_table(value.response) or {}).usage), is_last = true }
  end,
  ["response.incomplete"] = function(value)
    return { has_choices = true, finish = "length", usage = shapes.usage((is_table(value.response) or {}).usage), is_last = true }
  end,
  message_stop = function() return { is_last = true } end,
}

--- What an event holds.
-- @tparam table value the decoded event
-- @tparam table state of the stream; empty at its beginning
-- @treturn table the finding; an object of an unknown shape gives an empty one
function shapes.read(value, state)
  if is_table(value.choices) then return choices(value) end
  if type(value.text) == "string" and is_table(value.meta_info) then return cumulative(value, state) end
  if is_table(value.token) and (value.token.text or value.token.id) then return single_token(value) end
  local named = type(value.type) == "string" and NAMED[value.type]
  if named then return named(value) end
  if type(value.content) == "string" and type(value.stop) == "boolean" then return top_content(value) end
  return { usage = shapes.usage(value.usage) }
end

return shapes
