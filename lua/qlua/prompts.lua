-- SPDX-License-Identifier: Apache-2.0
--- Prompts: parts put together as one text or as turns of a conversation, and the hash that names them.
--
-- The rules of joining are the reference harness's, since one space more is another benchmark: description,
-- then each example as question, space, answer and an empty line, then the question with nothing after it.
-- As turns each question is a user's message, each answer an assistant's, and the description the system's.

local hash = require "qlua.core.hash"
local json = require "qlua.core.json"

local prompts = {}

local ANSWER_DELIMITER = " "
local SHOT_DELIMITER = "\n\n"

--- The parts as one text.
-- @tparam table parts `{ description =, shots = { {question=, answer=}, … }, question = }`
-- @treturn string
function prompts.as_text(parts)
  local pieces = { parts.description or "" }
  for _, shot in ipairs(parts.shots or {}) do
    pieces[#pieces + 1] = shot.question .. ANSWER_DELIMITER .. shot.answer .. SHOT_DELIMITER
  end
  pieces[#pieces + 1] = parts.question
  return table.concat(pieces)
end

--- The parts as messages of a chat.
-- @tparam table parts as for `as_text`
-- @treturn {table,...} list of `{ role =, content = }`
function prompts.as_messages(parts)
  local messages = {}
  local function add(role, content)
    messages[#messages + 1] = { role = role, content = content }
  end
  if parts.description and parts.description ~= "" then
    add("system", parts.description)
  end
  for _, shot in ipairs(parts.shots or {}) do
    add("user", shot.question)
    add("assistant", shot.answer)
  end
  add("user", parts.question)
  return messages
end

--- The hash of a prompt as it is asked: of the text's bytes, or of the messages' canonical JSON.
-- @tparam table prompt a Prompt record
-- @treturn string 64 hex digits
function prompts.sha256(prompt)
  return hash.sha256(prompt.text or json.encode(json.array(prompt.messages)))
end

local function is_list_of_texts(list)
  if type(list) ~= "table" then return false end
  for _, text in ipairs(list) do
    if type(text) ~= "string" or text == "" then return false end
  end
  return true
end

local function problem_of_messages(messages)
  if type(messages) ~= "table" or #messages == 0 then return "messages: want a list of { role =, content = }" end
  for i, message in ipairs(messages) do
    if type(message) ~= "table" or type(message.role) ~= "string" or message.content == nil then
      return ("messages[%d]: want { role =, content = }"):format(i)
    end
  end
  local is_json, why = pcall(json.encode, messages)
  if not is_json then return "messages: " .. tostring(why) end
end

--- What is wrong with a Prompt that a script made, before anything is sent.
-- @tparam table prompt
-- @tparam string mode
-- @treturn ?string nil when it is as it must be
function prompts.problem(prompt, mode)
  if type(prompt.text) ~= "string" then
    local problem = problem_of_messages(prompt.messages)
    if problem then return problem end
    if mode == "loglikelihood" then return "want text in mode loglikelihood, got messages" end
  end
  for _, field in ipairs { "continue_final_message", "add_generation_prompt" } do
    local value = prompt[field]
    if value ~= nil and type(value) ~= "boolean" then return ("%s: want true or false, got %s"):format(field, type(value)) end
  end
  if prompt.continue_final_message and not (prompt.messages and prompt.messages[#prompt.messages].role == "assistant") then
    return "continue_final_message: want messages whose last is the assistant's"
  end
  if prompt.stop ~= nil and not is_list_of_texts(prompt.stop) then return "stop: want a list of texts that are not empty" end
  local count = prompt.max_tokens
  if count ~= nil and not (math.type(count) == "integer" and count > 0) then return "max_tokens: want an integer of at least 1" end
  for i, texts in ipairs(type(prompt.alternatives) == "table" and prompt.alternatives or {}) do
    if not is_list_of_texts(texts) then return ("alternatives[%d]: want a list of texts that are not empty"):format(i) end
  end
  if mode ~= "generate" and not (is_list_of_texts(prompt.continuations) and #prompt.continuations > 0) then
    return "continuations: want a list of texts that are not empty"
  end
end

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

--- The letter of a choice.
-- @tparam integer index from 0
-- @treturn string "A" to "Z"
function prompts.letter(index)
  return LETTERS:sub(index + 1, index + 1)
end

--- The choices of a sample, each on a line of its own: "A. …\nB. …", without a line break at the end.
-- @tparam table sample a Sample record
-- @treturn string
function prompts.choices(sample)
  local lines = {}
  for i, choice in ipairs(sample.choices) do
    lines[i] = prompts.letter(i - 1) .. ". " .. choice
  end
  return table.concat(lines, "\n")
end

--- The letters as continuations of a prompt that ends in "Answer:": " A", " B", …
-- @tparam table sample a Sample record
-- @treturn {string,...}
function prompts.letters(sample)
  local list = {}
  for i in ipairs(sample.choices) do
    list[i] = " " .. prompts.letter(i - 1)
  end
  return list
end

return prompts
