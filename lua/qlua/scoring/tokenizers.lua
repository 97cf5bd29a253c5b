-- SPDX-License-Identifier: Apache-2.0
--- Tokenizers: the shapes in which servers offer to tokenise. A dialect names one of them, or gives a pair of its own:
-- `request(text, options)` → Request, `read(value)` → `{ ids = {…}, texts = {…}? }` or nil and what was wrong; with
-- `detokenize = { request(ids, options), read(value) → text }` where the texts of tokens must be asked for. Pure.
-- Ids must be those that the server itself makes of the same text as a prompt: with its begin-of-text token, if any.

local json = require "qlua.core.json"

local tokenizers = {}

local function integers(list, what)
  if type(list) ~= "table" or #list == 0 then return nil, ("want a list of token ids in `%s`"):format(what) end
  for i, id in ipairs(list) do
    if math.type(id) ~= "integer" then return nil, ("token %d in `%s` is no integer"):format(i, what) end
  end
  return list
end

local function texts_of(list, count)
  if type(list) ~= "table" or #list ~= count then return nil end
  for _, text in ipairs(list) do
    if type(text) ~= "string" then return nil end
  end
  return list
end

local function post(path, body) return { method = "POST", path = path, is_root = true, body = body } end

--- `{ prompt }` → `{ tokens, token_strs }`. The strings are in the tokenizer's own alphabet, and so are not used as texts.
tokenizers.prompt = {
  request = function(text, options)
    return post("/tokenize", { model = options.model, prompt = text, add_special_tokens = true })
  end,
  -- What the template makes of a conversation; `label` begins the reply.
  request_chat = function(messages, options)
    local all = table.move(messages, 1, #messages, 1, {})
    if options.label then all[#all + 1] = { role = "assistant", content = options.label } end
    return post("/tokenize", { model = options.model, messages = json.array(all), add_generation_prompt = options.label == nil,
      continue_final_message = options.label ~= nil })
  end,
  read = function(value)
    local ids, problem = integers(value.tokens, "tokens")
    return ids and { ids = ids }, problem
  end,
}

--- `{ content }` → `{ tokens }`, with pieces where they are texts.
tokenizers.content = {
  request = function(text)
    return post("/tokenize", { content = text, add_special = true, parse_special = true, with_pieces = true })
  end,
  read = function(value)
    local first = type(value.tokens) == "table" and value.tokens[1]
    if type(first) ~= "table" then
      local ids, problem = integers(value.tokens, "tokens")
      return ids and { ids = ids }, problem
    end
    local ids, texts = {}, {}
    for i, token in ipairs(value.tokens) do
      ids[i] = type(token) == "table" and token.id
      local piece = type(token) == "table" and token.piece
      texts[i] = type(piece) == "table" and pcall(string.char, table.unpack(piece)) and string.char(table.unpack(piece)) or piece
    end
    local kept, problem = integers(ids, "tokens[].id")
    return kept and { ids = kept, texts = texts_of(texts, #ids) }, problem
  end,
}

--- `{ input }` → `{ tokens }`; texts are asked for.
tokenizers.input = {
  request = function(text, options) return post("/extras/tokenize", { model = options.model, input = text }) end,
  read = function(value)
    local ids, problem = integers(value.tokens, "tokens")
    return ids and { ids = ids }, problem
  end,
  detokenize = {
    request = function(ids, options) return post("/extras/detokenize", { model = options.model, tokens = json.array(ids) }) end,
    read = function(value)
      if type(value.text) ~= "string" then return nil, "want `text`" end
      return value.text
    end,
  },
}

--- A dialect's tokenizer: a pair, or one of the above by its name.
-- @treturn ?table
function tokenizers.of(given)
  if type(given) == "string" then return tokenizers[given] end
  return given
end

tokenizers.names = { "content", "input", "prompt" }

return tokenizers
