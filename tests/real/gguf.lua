-- SPDX-License-Identifier: Apache-2.0
--- GGUF as the tests need it: a tiny F32 model is read, planted with answers, and its log-probabilities computed from the
-- weights alone, by another path than the engine's. Format: GGUF version 3, little-endian.

local gguf = {}

local Model = {}
Model.__index = Model

local SCALARS = { [0] = "<B", "<b", "<I2", "<i2", "<I4", "<i4", "<f", "<B", nil, nil, "<I8", "<i8", "<d" }
local STRING, LIST = 8, 9

local function value_of(data, kind, at)
  if kind == STRING then return string.unpack("<s8", data, at) end
  if kind ~= LIST then return string.unpack(SCALARS[kind], data, at) end
  local inner, count
  inner, count, at = string.unpack("<I4I8", data, at)
  local list = {}
  for i = 1, count do list[i], at = value_of(data, inner, at) end
  return list, at
end

-- GPT-2's alphabet: how a byte is written in the vocabulary.
local function byte_alphabet()
  local letters, extra = {}, 0
  for byte = 0, 255 do
    local is_plain = (byte >= 33 and byte <= 126) or (byte >= 161 and byte <= 172) or byte >= 174
    letters[byte] = utf8.char(is_plain and byte or 256 + extra)
    if not is_plain then extra = extra + 1 end
  end
  return letters
end

local letters = byte_alphabet()

local function spelled(text)
  return (text:gsub(".", function(char) return letters[char:byte()] end))
end

--- Read a file.
-- @tparam string path
-- @treturn table model
function gguf.read(path)
  local handle = assert(io.open(path, "rb"))
  local data = handle:read "a"
  handle:close()
  local magic, version, tensors, entries, at = string.unpack("<c4I4I8I8", data)
  assert(magic == "GGUF" and version == 3, path .. ": want GGUF version 3")
  local self = setmetatable({ meta = {}, tensors = {} }, Model)
  for _ = 1, entries do
    local key, kind
    key, kind, at = string.unpack("<s8I4", data, at)
    self.meta[key], at = value_of(data, kind, at)
  end
  for _ = 1, tensors do
    local name, rank, dims, kind, offset
    name, rank, at = string.unpack("<s8I4", data, at)
    dims = {}
    for i = 1, rank do dims[i], at = string.unpack("<I8", data, at) end
    kind, offset, at = string.unpack("<I4I8", data, at)
    self.tensors[name] = { dims = dims, kind = kind, offset = offset }
  end
  local alignment = self.meta["general.alignment"] or 32
  self.head = data:sub(1, (at - 1 + alignment - 1) // alignment * alignment)
  self.body = data:sub(#self.head + 1)
  self.width, self.ids, self.changed = self.meta["llama.embedding_length"], {}, {}
  for i, token in ipairs(self.meta["tokenizer.ggml.tokens"]) do self.ids[token] = i - 1 end
  return self
end

--- The id of a token by its text, which must be exactly one token.
function Model:id(text)
  return self.ids[text] or self.ids[spelled(text)] or error(("no token '%s'"):format(text))
end

--- The text of a token that is plain ASCII.
function Model:text(id)
  local token = self.meta["tokenizer.ggml.tokens"][id + 1]
  return (token:gsub(letters[32], " "):gsub(letters[10], "\n"))
end

function Model:size() return #self.meta["tokenizer.ggml.tokens"] end

-- A row of an F32 matrix, from 0.
function Model:row(name, index)
  local rows = self.changed[name]
  if rows and rows[index] then return rows[index] end
  local tensor = assert(self.tensors[name], name)
  assert(tensor.kind == 0, name .. " is not F32")
  local at, row = tensor.offset + index * self.width * 4 + 1, {}
  for i = 1, self.width do row[i], at = string.unpack("<f", self.body, at) end
  return row
end

local function dot(a, b)
  local sum = 0.0
  for i = 1, #a do sum = sum + a[i] * b[i] end
  return sum
end

-- What the output matrix is multiplied with after a token: its embedding over its root mean square, weighted by the norm.
function Model:state(id)
  local x, norm = self:row("token_embd.weight", id), self:row("output_norm.weight", 0)
  local epsilon = self.meta["llama.attention.layer_norm_rms_epsilon"]
  local scale, state = 1 / math.sqrt(dot(x, x) / #x + epsilon), {}
  for i = 1, #x do state[i] = x[i] * scale * norm[i] end
  return state
end

--- log P(every token | the last one), natural, for a model whose layers are all zero. The closed form:
-- logits = W_out · (x / rms(x)), where x is the last token's embedding.
-- @tparam integer id of the last token
-- @treturn {[integer]=number} id → log-probability
function Model:next(id)
  self.known = self.known or {}
  if self.known[id] then return self.known[id] end
  local state, logits, top = self:state(id), {}, -math.huge
  for token = 0, self:size() - 1 do
    logits[token] = dot(self:row("output.weight", token), state)
    top = math.max(top, logits[token])
  end
  local sum = 0.0
  for token = 0, #logits do sum = sum + math.exp(logits[token] - top) end
  local log_sum = top + math.log(sum)
  for token = 0, #logits do logits[token] = logits[token] - log_sum end
  self.known[id] = logits
  return logits
end

--- The sum of log P over tokens that follow a token.
-- @tparam string last text of the token before
-- @tparam {string,...} texts of the tokens
function Model:sum(last, texts)
  local before, sum = self:id(last), 0.0
  for _, text in ipairs(texts) do
    local id = self:id(text)
    sum, before = sum + self:next(before)[id], id
  end
  return sum
end

--- The likeliest token after another: its id.
function Model:likeliest(id)
  local best
  for token, value in pairs(self:next(id)) do
    if not best or value > self:next(id)[best] or (value == self:next(id)[best] and token < best) then best = token end
  end
  return best
end

-- Gauss, with the largest pivot.
local function solve(matrix, right)
  local n = #right
  for k = 1, n do
    local pivot = k
    for i = k + 1, n do if math.abs(matrix[i][k]) > math.abs(matrix[pivot][k]) then pivot = i end end
    matrix[k], matrix[pivot], right[k], right[pivot] = matrix[pivot], matrix[k], right[pivot], right[k]
    for i = k + 1, n do
      local factor = matrix[i][k] / matrix[k][k]
      for j = k, n do matrix[i][j] = matrix[i][j] - factor * matrix[k][j] end
      right[i] = right[i] - factor * right[k]
    end
  end
  for k = n, 1, -1 do
    for j = k + 1, n do right[k] = right[k] - matrix[k][j] * right[j] end
    right[k] = right[k] / matrix[k][k]
  end
  return right
end

--- Plant: choose a token's output row so that its logit after some tokens is what is wanted (of all such rows the shortest).
-- @tparam string token
-- @tparam {[string]=number} wanted logit by the text of the token before
function Model:plant(token, wanted)
  local states, right, names = {}, {}, {}
  for name in pairs(wanted) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do states[i], right[i] = self:state(self:id(name)), wanted[name] end
  local matrix = {}
  for i = 1, #states do
    matrix[i] = {}
    for j = 1, #states do matrix[i][j] = dot(states[i], states[j]) end
  end
  local weights, row = solve(matrix, right), {}
  for d = 1, self.width do
    row[d] = 0.0
    for i, state in ipairs(states) do row[d] = row[d] + weights[i] * state[d] end
    row[d] = string.unpack("<f", string.pack("<f", row[d])) -- as it will be stored
  end
  local rows = self.changed["output.weight"] or {}
  self.changed["output.weight"], self.known = rows, nil
  rows[self:id(token)] = row
end

--- Write the model with what was planted.
function Model:write(path)
  local body = self.body
  for name, rows in pairs(self.changed) do
    for index, row in pairs(rows) do
      local at = self.tensors[name].offset + index * self.width * 4
      local packed = {}
      for i, value in ipairs(row) do packed[i] = string.pack("<f", value) end
      body = body:sub(1, at) .. table.concat(packed) .. body:sub(at + self.width * 4 + 1)
    end
  end
  local handle = assert(io.open(path, "wb"))
  assert(handle:write(self.head, body))
  handle:close()
end

return gguf
