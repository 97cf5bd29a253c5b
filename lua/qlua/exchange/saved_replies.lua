-- SPDX-License-Identifier: Apache-2.0
--- Saved replies: what another tool wrote down, read as replies to a dataset's samples.
-- Two formats: the reference harness's `samples_*.jsonl` (rows with doc_id and resps, one for each filter), and plain JSON
-- lines with a reply in some field. Nothing is guessed in silence: how rows were matched to samples is part of what
-- comes back, and a row that fits no sample, or one that has its reply already, is an error with its line.

local file = require "qlua.core.file"
local json = require "qlua.core.json"

local saved_replies = {}

--- Fields that hold a reply, the first that a row has.
saved_replies.REPLY_FIELDS = { "reply", "response", "text", "output", "completion", "generated_text", "generation", "model_output",
  "prediction" }
--- Fields that number a row from 0.
saved_replies.INDEX_FIELDS = { "doc_id", "index", "idx", "sample_index", "id" }

local function fail(path, line, text, ...)
  error({ kind = "data", text = ("%s:%d: %s"):format(path, line, text:format(...)) }, 0)
end

local function shown(value)
  if value == nil then return "nothing" end
  if value == json.null then return "null" end
  if type(value) == "table" then return json.encode(value):sub(1, 1) == "[" and "an array" or "an object" end
  return json.encode(value)
end

-- `a.b.0`: keys of objects, and numbers from 0 into arrays; a key that has dots itself is taken as it is.
local function at_path(record, path)
  if record[path] ~= nil then return record[path] end
  for key in path:gmatch "[^.]+" do
    if type(record) ~= "table" then return nil end
    local value = record[key]
    if value == nil and key:find "^%d+$" then value = record[tonumber(key) + 1] end
    record = value
  end
  return record
end

-- ---- lm-eval ----------------------------------------------------------------------------------------------------

-- That harness writes numbers and truth values of resps as strings.
local function number_of(value) return type(value) == "number" and value or type(value) == "string" and tonumber(value) or nil end

local GREEDY = { [true] = true, [false] = false, True = true, False = false } -- anything else: not known

local function choice_of(pair)
  local sum = type(pair) == "table" and number_of(pair[1])
  if not sum and type(pair) == "table" and pair[1] == "None" then sum = -math.huge end -- a label the server did not list
  return sum and { sum = sum, greedy = GREEDY[pair[2]] } or nil
end

local function as_choices(resps, arguments)
  local list = {}
  for i, repeats in ipairs(resps) do
    list[i] = type(repeats) == "table" and choice_of(repeats[1])
    if not list[i] then return nil end
    local asked = type(arguments) == "table" and arguments[("gen_args_%d"):format(i - 1)]
    list[i].text = type(asked) == "table" and type(asked.arg_1) == "string" and asked.arg_1 or nil
  end
  return #list > 1 and list or nil
end

local function lm_eval_row(record, path, number)
  local resps = record.resps
  local first = type(resps) == "table" and resps[1]
  local text = type(first) == "table" and first[1] or first
  if type(text) == "string" then return { text = text } end
  local choices = type(resps) == "table" and as_choices(resps, record.arguments)
  if not choices then fail(path, number, "resps: want [[\"…\"]] or [[[sum, is_greedy]], …], got %s", shown(resps)) end
  return { choices = choices }
end

-- What the file itself says under one of its filters.
local function verdict_of(record)
  local filtered, metrics = record.filtered_resps, {}
  if type(filtered) == "table" then filtered = filtered[1] end
  for _, name in ipairs(type(record.metrics) == "table" and record.metrics or {}) do metrics[name] = number_of(record[name]) end
  return { filtered = type(filtered) == "string" and filtered or nil, metrics = metrics }
end

-- ---- plain --------------------------------------------------------------------------------------------------------

local function plain_row(record, path, number, options)
  local field, value = options.field, nil
  if field then
    value = at_path(record, field)
    if value == nil then fail(path, number, "field '%s': want a reply, got nothing", field) end
  else
    for _, name in ipairs(saved_replies.REPLY_FIELDS) do
      if record[name] ~= nil then
        field, value = name, record[name]
        break
      end
    end
    if not field then
      error({ kind = "data", text = ("%s:%d: want a reply in one of the fields %s"):format(path, number,
        table.concat(saved_replies.REPLY_FIELDS, ", ")), hint = "name the field: --field reply, or a path: --field choices.0.text" }, 0)
    end
  end
  if value == json.null then value = "" end -- some write null where a model said nothing
  if type(value) ~= "string" then fail(path, number, "field '%s': want a text, got %s", field, shown(value)) end
  local finish = record.finish_reason or record.finish
  return { text = value, finish = type(finish) == "string" and finish or nil, field = field }
end

-- ---- which sample a row is about -----------------------------------------------------------------------------------

local function integer_of(value)
  return math.tointeger(type(value) == "string" and value:find "^%d+$" and tonumber(value) or value)
end

local function key_field(record, by_id)
  if type(record.id) == "string" and by_id[record.id] then return "id" end
  for _, name in ipairs(saved_replies.INDEX_FIELDS) do
    if record[name] ~= nil and integer_of(record[name]) then return name end
  end
  return "order"
end

-- → the position of the sample, from 0.
local function position_of(record, matched_by, order, options, path, number)
  if matched_by == "order" then return order end
  local value = record[matched_by]
  local position = integer_of(value)
  if type(value) == "string" and options.by_id[value] then position = options.by_id[value] end
  if not position then fail(path, number, "%s: want what the rows before have, a sample's, got %s", matched_by, shown(value)) end
  return position
end

local function decode(line, path, number)
  local record, err = json.decode(line)
  if err then fail(path, number, "want a JSON object, got bad JSON: %s", err.text) end
  if type(record) ~= "table" or not line:find "^%s*{" then fail(path, number, "want a JSON object, got %s", shown(record)) end
  return record
end

local function choose(options, record)
  local format = options.format
  if format == "auto" then format = type(record.resps) == "table" and record.doc_id ~= nil and "lm-eval" or "jsonl" end
  return format, options.match ~= "auto" and options.match or key_field(record, options.by_id)
end

-- The question as the row repeats it, to notice a file about other questions.
local function question_of(record)
  local doc = type(record.doc) == "table" and record.doc or record
  return type(doc.question) == "string" and doc.question or type(doc.input) == "string" and doc.input or nil
end

--- Does a file hold texts or log-probabilities? Its first row tells.
-- @treturn string `generate` or `loglikelihood`
-- @raise err of kind data or io
function saved_replies.mode_of(path, format)
  local lines, err = file.lines(path)
  if not lines then error(err, 0) end
  local line = lines()
  lines:close()
  local record = line and json.decode((line:gsub("^\xEF\xBB\xBF", "")))
  if format == "jsonl" or type(record) ~= "table" or type(record.resps) ~= "table" then return "generate" end
  return lm_eval_row(record, path, 1).choices and "loglikelihood" or "generate"
end

--- Read a file.
-- @tparam string path JSON lines, plain, gzip or zstd
-- @tparam table options format ("auto", "lm-eval", "jsonl"), match ("auto", "order", or a field), field, size (number of samples),
--   by_id (id → position)
-- @treturn table { format, matched_by, field, rows, replies = { [position] = { text | choices, finish, line, target, question,
--   filters = { [name] = { filtered, metrics } } } }, count, filters = {name,…} }
-- @raise err of kind data or io
function saved_replies.read(path, options)
  local lines, err = file.lines(path)
  if not lines then error(err, 0) end
  local result = { replies = {}, count = 0, rows = 0, filters = {} }
  local number, seen_filters = 0, {}
  for line in lines do
    number = number + 1
    if line:find "%S" then
      local record = decode(number == 1 and line:gsub("^\xEF\xBB\xBF", "") or line, path, number)
      if result.rows == 0 then result.format, result.matched_by = choose(options, record) end
      result.rows = result.rows + 1
      local is_lm_eval = result.format == "lm-eval"
      local filter = is_lm_eval and tostring(record.filter or "none") or nil
      if filter and not seen_filters[filter] then
        seen_filters[filter] = true
        result.filters[#result.filters + 1] = filter
      end
      local order = result.count
      if is_lm_eval and result.matched_by == "order" and result.replies[order - 1] and filter ~= result.filters[1] then
        fail(path, number, "rows of several filters cannot be matched by order (want doc_id)")
      end
      local position = position_of(record, result.matched_by, order, options, path, number)
      if position < 0 or position >= options.size then
        error({ kind = "data", text = ("%s:%d: %s: want a sample from 0 to %d, got %d"):format(path, number, result.matched_by,
          options.size - 1, position), hint = "samples are numbered from 0; --match order takes the rows in turn" }, 0)
      end
      local known = result.replies[position]
      local reply = is_lm_eval and lm_eval_row(record, path, number) or plain_row(record, path, number, options)
      if known and (not filter or known.filters[filter]) then
        fail(path, number, "sample %d has its reply on line %d already", position, known.line)
      elseif known and known.text ~= reply.text then
        fail(path, number, "sample %d has another reply on line %d", position, known.line)
      elseif not known then
        known = reply
        known.line, known.question, known.filters = number, question_of(record), {}
        known.target = is_lm_eval and record.target ~= nil and record.target ~= json.null and tostring(record.target) or nil
        result.replies[position], result.count = known, result.count + 1
        result.field = result.field or reply.field
      end
      if filter then known.filters[filter] = verdict_of(record) end
    end
  end
  lines:close()
  if result.rows == 0 then error({ kind = "data", text = path .. ": want JSON lines, got an empty file" }, 0) end
  return result
end

return saved_replies
