-- SPDX-License-Identifier: Apache-2.0
--- Contracts: what a script of each kind must and may have.
-- One table of descriptors feeds the check at load and the documentation of fields. An error says file, script, field and
-- what was wanted, before the first request leaves.

local locale = require "qlua.locale"
local nearest = require "qlua.nearest"

local contracts = {}

local function is_pair(value)
  return type(value) == "table" and type(value.en) == "string" and type(value.zh) == "string"
end

local function list_of(value, kind)
  if type(value) ~= "table" then return false end
  for key, item in pairs(value) do
    if type(key) ~= "number" or type(item) ~= kind then return false end
  end
  return true
end

local types = {
  string = function(v) return type(v) == "string" and v ~= "", "a string" end,
  boolean = function(v) return type(v) == "boolean", "true or false" end,
  table = function(v) return type(v) == "table", "a table" end,
  ["function"] = function(v) return type(v) == "function", "a function" end,
  pair = function(v) return is_pair(v), "{ en = \"…\", zh = \"…\" }" end,
  text = function(v) return type(v) == "string" or is_pair(v), "a string or { en = \"…\", zh = \"…\" }" end,
  strings = function(v) return list_of(v, "string"), "a list of strings" end,
  tables = function(v) return list_of(v, "table"), "a list of tables" end,
  modes = function(v)
    if not list_of(v, "string") or #v == 0 then return false, "a list of \"generate\", \"loglikelihood\", \"letter\"" end
    for _, mode in ipairs(v) do
      if mode ~= "generate" and mode ~= "loglikelihood" and mode ~= "letter" then
        return false, "a list of \"generate\", \"loglikelihood\", \"letter\""
      end
    end
    return true
  end,
}

local fields = {
  dataset = {
    name = { "string", required = true }, summary = { "pair", required = true }, tags = { "strings" },
    source = { "table", required = true }, split = { "string" }, modes = { "modes", required = true },
    shots = { "table" }, scorers = { "strings", required = true }, sample = { "function", required = true },
    prompt = { "function" }, converse = { "function" }, question = { "function" }, answer = { "function" },
    description = { "function" }, examples = { "tables" }, args = { "table" }, headline = { "table" }, stop = { "strings" },
    group_average = { "string" }, max_tokens = { "any" }, licence = { "string" }, citation = { "string" }, fetch = { "table" },
    notes = { "text" }, version = { "any" }, turns = { "function" }, target = { "function" }, choices = { "any" },
  },
  scorer = {
    name = { "string", required = true }, summary = { "pair", required = true }, modes = { "modes" }, tags = { "strings" },
    extract = { "function", required = true }, score = { "function", required = true }, examples = { "tables" },
    metrics = { "any" }, notes = { "text" }, args = { "table" }, lm_eval = { "table" },
  },
  server = {
    name = { "string", required = true }, summary = { "pair", required = true }, simulated = { "boolean" },
    check = { "function" }, start = { "function" }, ready = { "table" }, health = { "string" }, capabilities = { "table" },
    request = { "function", required = true }, read = { "function", required = true }, failures = { "tables" },
    progress = { "strings" }, tested = { "tables" }, key_env = { "string" }, auth = { "function" }, notices = { "function" },
    sampling = { "table" }, template_kwargs = { "boolean" }, names_itself = { "boolean" }, unix_socket = { "boolean" },
    port_line = { "string" }, echoes = { "function" }, stop = { "any" }, tokenize = { "any" },
    notes = { "text" }, grace_ms = { "any" }, min_tokens = { "boolean" }, score = { "table" },
    continuous_usage = { "boolean" },
  },
  report = {
    name = { "string", required = true }, summary = { "pair", required = true }, extension = { "string" },
    layout = { "function", required = true }, format = { "string" }, say = { "table" }, notes = { "text" },
    wants = { "strings" },
  },
  suite = {
    name = { "string", required = true }, summary = { "pair" }, config = { "string" }, datasets = { "any", required = true },
    reports = { "strings" }, settings = { "table" }, notes = { "text" }, on_request = { "function" }, on_reply = { "function" },
  },
}

local function fail(path, kind, name, field, text, hint)
  local who = name and ("%s '%s'"):format(kind, name) or kind
  return nil, { kind = "script", text = ("%s: %s: field '%s' %s"):format(path, who, field, text), hint = hint }
end

local function describe(value)
  if type(value) == "string" then return ("\"%s\""):format(value) end
  return type(value)
end

local function known_fields(kind)
  local names = {}
  for field in pairs(fields[kind]) do names[#names + 1] = field end
  table.sort(names)
  return names
end

local failure_kinds = { memory = true, config = true, port = true, model = true, network = true, flag = true }

local function wrong_failure(failure)
  if type(failure.pattern) ~= "string" or failure.pattern == "" then return "pattern: want a text of a log line" end
  if not failure_kinds[failure.kind] then return "kind: want memory, config, port, model, network or flag" end
  if not is_pair(failure.say) then return "say: want { en = \"…\", zh = \"…\" }" end
end

local function wrong_test(test)
  if type(test.version) ~= "string" then return "version: want a string" end
  if type(test.mode) ~= "string" then return "mode: want a string" end
  if test.seen ~= "run" and test.seen ~= "read" then return "seen: want \"run\" or \"read\"" end
end

local function first_wrong(field, list, problem_of)
  for i, item in ipairs(list or {}) do
    local problem = problem_of(item)
    if problem then return ("%s[%d]"):format(field, i), problem end
  end
end

-- Rules that join fields.
local rules = {
  -- What explains a failure must not itself fail when it is needed.
  server = function(script)
    local field, problem = first_wrong("failures", script.failures, wrong_failure)
    if not field then field, problem = first_wrong("tested", script.tested, wrong_test) end
    if field then return field, problem end
    -- Modes, and what a load needs of a server: replies of a length that is asked for.
    for mode, able in pairs(script.capabilities or {}) do
      if mode ~= "generate" and mode ~= "loglikelihood" and mode ~= "letter" and mode ~= "min_tokens" then
        return "capabilities." .. tostring(mode), "is not known (want generate, loglikelihood, letter, min_tokens)"
      end
      if type(able) ~= "boolean" and not is_pair(able) then
        return "capabilities." .. mode, "want true, false, or { en = \"why not\", zh = \"原因\" }"
      end
    end
  end,
  -- Every text of a layout has both languages before the first page is set, not when a reader finds the hole.
  report = function(script)
    local ok, err = locale.check(script.say or {}, "say")
    if not ok then return err.text:match "^(.-): (.*)$" end
    for _, want in ipairs(script.wants or {}) do
      if want ~= "samples" then return "wants", ("want a list of \"samples\", got '%s'"):format(want) end
    end
  end,
  dataset = function(script)
    if not (script.prompt or script.converse or (script.question and script.answer)) then
      return "prompt", "is missing (want a function; or converse; or question and answer)"
    end
    local split = script.split or "test"
    if type(script.source[split]) ~= "table" then
      return "source." .. split, "is missing (want a table with file or files, the split that is evaluated)"
    end
    for name, entry in pairs(script.source) do
      if type(entry) ~= "table" or not (entry.file or entry.files) then
        return "source." .. tostring(name), "want a table with file or files"
      end
    end
    if #script.scorers == 0 then return "scorers", "is empty (want at least one name; the first is the headline)" end
    if script.shots and type(script.shots.split) ~= "string" then
      return "shots.split", "is missing (want the split that shots are taken from)"
    end
  end,
}

--- Check what a script returned.
-- @tparam string kind
-- @param script the value
-- @tparam string path for messages
-- @tparam ?string tag the kind it was tagged with
-- @return true, or nil and err
function contracts.check(kind, script, path, tag)
  if type(script) ~= "table" then
    return nil, { kind = "script", text = ("%s: returns a %s (want q.%s{…})"):format(path, type(script), kind) }
  end
  if tag ~= kind then
    return nil, { kind = "script", text = ("%s: returns %s (want q.%s{…})"):format(path,
      tag and ("q." .. tag .. "{…}") or "a plain table", kind) }
  end
  local name = type(script.name) == "string" and script.name or nil
  local names = known_fields(kind)
  for _, field in ipairs(names) do
    local spec, value = fields[kind][field], script[field]
    if value == nil then
      if spec.required then
        local _, want = (types[spec[1]] or function() end)(nil)
        return fail(path, kind, name, field, ("is missing (want %s)"):format(want or "a value"))
      end
    elseif types[spec[1]] then
      local ok, want = types[spec[1]](value)
      if not ok then return fail(path, kind, name, field, ("want %s, got %s"):format(want, describe(value))) end
    end
  end
  for field in pairs(script) do
    if not fields[kind][field] then
      local near = type(field) == "string" and nearest.find(field, names)
      return fail(path, kind, name, tostring(field), "is not known", near and ("did you mean '%s'?"):format(near))
    end
  end
  if rules[kind] then
    local field, text = rules[kind](script)
    if field then return fail(path, kind, name, field, text) end
  end
  return true
end

--- Names of the fields of a kind, sorted; which are required.
function contracts.fields(kind)
  return known_fields(kind), fields[kind]
end

return contracts
