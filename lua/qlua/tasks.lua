-- SPDX-License-Identifier: Apache-2.0
--- Tasks: a data set script joined with its files: samples and prompts by number.
--
-- Rows are read and checked when a task is opened, so that a malformed file is found before the first request;
-- samples and prompts are made when asked for and are pure: the same task gives the same bytes in any order.
-- A row is dropped once its sample is made. Errors of one sample come back as `nil, err` and cost that sample.

local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local prompts = require "qlua.prompts"
local rows = require "qlua.rows"
local shots = require "qlua.shots"
local sys = require "qlua.core.sys"

local tasks = {}

local Task = {}
Task.__index = Task

--- The folders to look for data in.
-- @tparam ?string|{string,...} given `--data`, one folder or several
-- @treturn {string,...} the given ones, else those of $QLUA_DATA (separated by ":"), else "data"
function tasks.data_dirs(given)
  if type(given) == "table" then
    return given
  end
  local dirs = {}
  for dir in (given or sys.env "QLUA_DATA" or ""):gmatch "[^:]+" do
    dirs[#dirs + 1] = dir
  end
  return #dirs > 0 and dirs or { "data" }
end

local function usage(kind, text, ...)
  return nil, { kind = kind, text = text:format(...) }
end

-- ---- opening ----------------------------------------------------------------------------------------------

local function add_note(task, kind, en, zh)
  task.notes[#task.notes + 1] = { kind = kind, en = en, zh = zh }
end

-- What is not as upstream has it. Not errors: people have subsets and copies of their own, and say so. A file with
-- other rows has another checksum; that is said once.
local function note_differences(task, split, source, files)
  local count = 0
  for _, each in ipairs(files) do
    count = count + each.rows
    each.split, each.want_sha256 = split, source.sha256
    task.files[#task.files + 1] = each
  end
  if source.rows and count ~= source.rows then
    add_note(task, "rows", ("%s, split %s: %d rows, upstream has %d"):format(task.name, split, count, source.rows),
      ("%s，%s 集：共 %d 行，上游为 %d 行"):format(task.name, split, count, source.rows))
  elseif source.sha256 and files[1].sha256 ~= source.sha256 then
    local path, got = files[1].path, files[1].sha256
    add_note(task, "sha256", ("%s: not the upstream file: want sha256 %s, got %s"):format(path, source.sha256, got),
      ("%s：不是上游原文件：应为 sha256 %s，实为 %s"):format(path, source.sha256, got))
  end
end

local function load_split(task, split)
  local source = task.script.source[split]
  if not source then
    return usage("script", "dataset '%s': field 'source.%s' is missing (want a table with file or files)", task.name,
      split)
  end
  local list, files = rows.load(source, task.dirs, task.name)
  if not list then
    return nil, files
  end
  note_differences(task, split, source, files)
  return list
end

local function group_entries(list)
  local groups = {}
  for i, entry in ipairs(list) do
    local key = entry.group or ""
    groups[key] = groups[key] or {}
    table.insert(groups[key], entry)
    entry.position = #groups[key] - 1
    entry.index = i - 1
  end
  return groups
end

-- Pools and pickers: one for the task, or one for each group, which then is a task of its own.
local function open_shots(task)
  local plan = task.plan
  if plan.n == 0 then
    return true
  end
  local is_same = plan.split == task.split
  local pool, err = task.entries
  if not is_same then
    pool, err = load_split(task, plan.split)
    if not pool then
      return nil, err
    end
  end
  local groups = plan.per_group and group_entries(pool) or { [""] = pool }
  if plan.per_group then
    group_entries(task.entries)
  end
  task.pools, task.pickers = groups, {}
  for _, entry in ipairs(task.entries) do
    local key = plan.per_group and entry.group or ""
    if not task.pickers[key] then
      local where = ("dataset '%s': shots%s"):format(task.name, key ~= "" and (" of group '" .. key .. "'") or "")
      task.pickers[key], err = shots.new(plan, #(groups[key] or {}), is_same, where)
      if not task.pickers[key] then
        return nil, err
      end
    end
  end
  return true
end

local function plan_shots(script, wanted)
  local own = script.shots
  local n = wanted or (own and own.n) or 0
  if math.type(n) ~= "integer" or n < 0 then
    return usage("usage", "shots: want an integer of at least 0, got %s", tostring(n))
  end
  if n > 0 and not own then
    return usage("usage", "shots: want 0, as dataset '%s' has no field 'shots', got %d", script.name, n)
  end
  own = own or {}
  return { n = n, split = own.split, sampler = own.sampler or "first_n", seed = own.seed, per_group = own.per_group,
    exclude_self = own.exclude_self }
end

local function choose_mode(script, mode)
  if not mode then
    return script.modes[1]
  end
  for _, each in ipairs(script.modes) do
    if each == mode then
      return mode
    end
  end
  local known = table.concat(script.modes, ", ")
  return usage("usage", "mode: want one of %s for dataset '%s', got %s", known, script.name, mode)
end

local function merged(own, given)
  local args = {}
  for _, each in ipairs { own or {}, given or {} } do
    for name, value in pairs(each) do
      args[name] = value
    end
  end
  return args
end

local function cut_to_limit(task, limit)
  local count = #task.entries
  task.rows = count
  task.count = limit and math.min(limit, count) or count
  if limit and limit > count then
    add_note(task, "limit",
      ("%s, split %s: asked for %d samples, there are %d: taking all"):format(task.name, task.split, limit, count),
      ("%s，%s 集：要求 %d 个样本，实有 %d 个，全部采用"):format(task.name, task.split, limit, count))
  end
end

local function resolve(dataset)
  if type(dataset) == "string" then
    return require("qlua.registry").load("dataset", dataset)
  end
  return dataset
end

--- Open a task: read and check its files.
-- @tparam table spec
--   dataset: a checked script (of the registry) or its name;
--   data_dir: folder or list of folders, see `data_dirs`;
--   mode: one of the script's, by default its first; shots: number, by default the script's;
--   limit: at most so many samples, the first ones; split: by default the script's;
--   args: over the script's; form: "text" (default) or "turns", examples as turns of a chat
-- @treturn[1] table task with `name split mode count rows files notes plan args script`
-- @treturn[2] nil
-- @treturn[2] table err of kind usage, script, data or io
function tasks.open(spec)
  local script, err = resolve(spec.dataset)
  if not script then
    return nil, err
  end
  local task = setmetatable({ name = script.name, script = script, files = {}, notes = {}, shot_parts = {},
    dirs = tasks.data_dirs(spec.data_dir), split = spec.split or script.split or "test",
    form = spec.form or "text", args = merged(script.args, spec.args) }, Task)
  task.mode, err = choose_mode(script, spec.mode)
  if not task.mode then
    return nil, err
  end
  task.plan, err = plan_shots(script, spec.shots)
  if not task.plan then
    return nil, err
  end
  if spec.limit and (math.type(spec.limit) ~= "integer" or spec.limit < 1) then
    return usage("usage", "limit: want an integer of at least 1, got %s", tostring(spec.limit))
  end
  task.entries, err = load_split(task, task.split)
  if not task.entries then
    return nil, err
  end
  for i, entry in ipairs(task.entries) do
    entry.position, entry.index = i - 1, i - 1
  end
  cut_to_limit(task, spec.limit)
  local is_open
  is_open, err = open_shots(task)
  if not is_open then
    return nil, err
  end
  return task
end

-- ---- samples ----------------------------------------------------------------------------------------------

local function show(value)
  if type(value) == "string" then
    return ('"%s"'):format(#value > 60 and value:sub(1, 57) .. "..." or value)
  end
  return value == nil and "nothing" or type(value) == "table" and "a table" or tostring(value)
end

local function wrong_choice(sample)
  if type(sample.choices) ~= "table" or #sample.choices < 2 then
    return "choices", "a list of at least 2 strings", sample.choices
  end
  for i, choice in ipairs(sample.choices) do
    if type(choice) ~= "string" then
      return ("choices[%d]"):format(i), "a string", choice
    end
  end
  local target = sample.target
  if math.type(target) ~= "integer" or target < 0 or target >= #sample.choices then
    return "target", ("an integer from 0 to %d"):format(#sample.choices - 1), target
  end
end

-- The first field that is not as the contract of Sample has it: its name, what was wanted, what came.
local function wrong_field(sample, mode)
  if type(sample) ~= "table" then
    return nil, "a table", sample
  elseif type(sample.input) ~= "string" then
    return "input", "a string", sample.input
  elseif sample.target == nil then
    return "target", "a value", nil
  elseif mode ~= "generate" or sample.choices ~= nil then
    return wrong_choice(sample)
  end
end

-- Scripts raise strings, or the err tables of the sandbox; both become an err that names the row.
local function script_failure(task, entry, raised)
  local err = type(raised) == "table" and raised or { kind = "script", text = tostring(raised) }
  return nil, { kind = err.kind or "script", hint = err.hint,
    text = ("%s:%d: dataset '%s': %s"):format(entry.file, entry.line, task.name, err.text or "failed") }
end

local function make_sample(task, entry, split)
  local row = entry.row
  local context = { index = entry.index, split = split, file = entry.file, group = entry.group }
  local is_done, sample, why = pcall(task.script.sample, row, context)
  if not is_done then
    return script_failure(task, entry, sample)
  elseif sample == nil and why then
    return nil, { kind = "data", text = ("%s:%d: %s"):format(entry.file, entry.line, tostring(why)) }
  end
  local field, want, got = wrong_field(sample, task.mode)
  if want then
    return nil, { kind = "data", text = ("%s:%d: dataset '%s': sample%s: want %s, got %s"):format(entry.file,
      entry.line, task.name, field and (" field '" .. field .. "'") or "", want, show(got)) }
  end
  sample.id = ("%s/%s/%d"):format(task.name, split, entry.index)
  sample.index, sample.split = entry.index, split
  sample.group = sample.group or entry.group
  sample.meta = sample.meta or {}
  sample.row_sha256 = hash.sha256(json.encode(row))
  entry.sample, entry.row = sample, nil
  return sample
end

--- How many samples the task has, after the limit.
function Task:size()
  return self.count
end

local function entry_at(self, i)
  if math.type(i) ~= "integer" or i < 0 or i >= self.count then
    error(("want a sample from 0 to %d, got %s"):format(self.count - 1, tostring(i)), 3)
  end
  return self.entries[i + 1]
end

--- The i-th sample, from 0.
-- @treturn[1] table a Sample record
-- @treturn[2] nil
-- @treturn[2] table err of kind data, script or limit that names file and line
function Task:sample(i)
  local entry = entry_at(self, i)
  if entry.sample then
    return entry.sample
  end
  return make_sample(self, entry, self.split)
end

--- Where the i-th sample's row stands: `path:line`.
function Task:place(i)
  local entry = entry_at(self, i)
  return ("%s:%d"):format(entry.file, entry.line)
end

--- The examples shown with the i-th sample, in order.
-- @treturn[1] {table,...} Sample records
-- @treturn[2] nil, err
function Task:shots(i)
  local list = {}
  if self.plan.n == 0 then
    return list
  end
  local entry = entry_at(self, i)
  local key = self.plan.per_group and entry.group or ""
  local pool, pool_split = self.pools[key], self.plan.split
  for k, index in ipairs(self.pickers[key]:pick(entry.position, entry.position)) do
    local shot = pool[index + 1]
    local sample, err = shot.sample
    if not sample then
      shot.index = shot.index or index
      sample, err = make_sample(self, shot, pool_split)
      if not sample then
        return nil, err
      end
    end
    list[k] = sample
  end
  return list
end

-- ---- prompts ----------------------------------------------------------------------------------------------

-- An example is shown with many samples, and its two texts are the same each time.
local function shot_part(task, example)
  local part = task.shot_parts[example]
  if not part then
    local script, args = task.script, task.args
    part = { question = script.question(example, args), answer = script.answer(example, args) }
    task.shot_parts[example] = part
  end
  return part
end

local function make_parts(task, sample, examples)
  local script, args = task.script, task.args
  local parts = { shots = {}, question = script.question(sample, args) }
  parts.description = script.description and script.description(sample, args) or nil
  for i, example in ipairs(examples) do
    parts.shots[i] = shot_part(task, example)
  end
  return parts
end

-- Each choice as it continues the prompt: its letter, or for a script without `choices = "letters"` its text.
local function continuations_of(task, sample)
  if task.mode == "letter" or task.script.choices == "letters" then
    return prompts.letters(sample)
  end
  local list = {}
  for i, choice in ipairs(sample.choices) do
    list[i] = " " .. choice
  end
  return list
end

local function make_prompt(task, sample, examples)
  local script = task.script
  local prompt
  if script.prompt then
    prompt = script.prompt(sample, examples, task.args)
  elseif not script.question then
    error({ kind = "usage", text = "asks in several turns (converse), so it has no prompts of its own" }, 0)
  else
    local parts = make_parts(task, sample, examples)
    prompt = task.form == "turns" and { messages = prompts.as_messages(parts) } or { text = prompts.as_text(parts) }
  end
  if type(prompt) ~= "table" or (type(prompt.text) ~= "string" and type(prompt.messages) ~= "table") then
    error({ kind = "script", text = "prompt: want a table with text or messages, got " .. show(prompt) }, 0)
  end
  prompt.stop = prompt.stop or script.stop
  prompt.max_tokens = prompt.max_tokens or script.max_tokens
  if task.mode ~= "generate" and not prompt.continuations then
    prompt.continuations = continuations_of(task, sample)
  end
  return prompt
end

--- The i-th prompt, from 0.
-- @treturn[1] table a Prompt record
-- @treturn[1] table the Sample it asks
-- @treturn[2] nil
-- @treturn[2] table err
function Task:prompt(i, given)
  local sample, err = given, nil
  if not sample then sample, err = self:sample(i) end
  if not sample then
    return nil, err
  end
  local examples
  examples, err = self:shots(i)
  if not examples then
    return nil, err
  end
  local is_made, prompt = pcall(make_prompt, self, sample, examples)
  if not is_made then
    return script_failure(self, self.entries[i + 1], prompt)
  end
  return prompt, sample
end

--- Iterate: `for i, sample, err in task:each() do`, i from 0; sample is nil where err says why.
function Task:each()
  local i = -1
  return function()
    i = i + 1
    if i < self.count then
      return i, self:sample(i)
    end
  end
end

--- One hash for all prompts: sha256 of their hashes in a row, in order.
-- @treturn[1] string 64 hex digits
-- @treturn[2] nil, err of the first prompt that cannot be made
function Task:digest()
  local hashes = {}
  for i = 0, self.count - 1 do
    local prompt, err = self:prompt(i)
    if not prompt then
      return nil, err
    end
    hashes[i + 1] = prompts.sha256(prompt)
  end
  return hash.sha256(table.concat(hashes))
end

return tasks
