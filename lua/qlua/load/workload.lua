-- SPDX-License-Identifier: Apache-2.0
--- Workload: what the requests of a load say. Items are numbered from 0 and depend on seed, key and number alone, so that every
-- variant is asked the same and no replicate meets prompts that an earlier one has left in a cache (a set of prompts that is too
-- small for that is gone through again, and `describe` says so).
--
-- An Item is `{ text= or messages=, stop=, output_tokens=, input_tokens= }`, or for a session `{ turns = { { text, output_tokens,
-- input_tokens }… } }`. `input_tokens` is what was asked for; the count that is reported is the server's.

local files = require "qlua.load.files"
local lengths = require "qlua.load.lengths"
local random = require "qlua.random"
local words = require "qlua.load.words"

local workload = {}

local Workload = {}
Workload.__index = Workload

local function fail(kind, text, hint) return nil, { kind = kind, text = text, hint = hint } end

-- ---- where prompts come from ------------------------------------------------------------------------------------

local sources = {}

-- The questions of a dataset as its script asks them, shots and all.
function sources.dataset(self, options)
  local tasks, registry = require "qlua.tasks", require "qlua.registry"
  local script, err = registry.load("dataset", self.spec.dataset)
  if not script then return nil, err end
  if script.converse then
    return fail("config", ("dataset '%s' asks by a conversation of its own (converse), which no load can be made of"):format(script.name),
      "use another dataset, or random_input with turns")
  end
  local task
  task, err = tasks.open { dataset = script, data_dir = options.data_dir, shots = options.shots, limit = options.limit }
  if not task then return nil, err end
  self.size, self.task = task:size(), task
  return function(number)
    local prompt, wrong = task:prompt(number % task:size())
    if not prompt then error(wrong, 0) end
    return { text = prompt.text, messages = prompt.messages, stop = prompt.stop, output_tokens = prompt.max_tokens }
  end
end

function sources.custom(self)
  local rows, err = files.custom(self.spec.custom)
  if not rows then return nil, err end
  self.size = #rows
  return function(number)
    local row = rows[number % #rows + 1]
    return { text = row.text, messages = row.messages, output_tokens = row.output_tokens }
  end
end

-- The length of a reply in the file, in tokens where the server's tokenizer is known, else as a quarter of its bytes.
local function reply_tokens(self, turn)
  if not turn.tokens then
    local counted = self.count and self.count(turn.reply)
    turn.tokens = math.max(1, counted and counted - (self.extra or 0) or #turn.reply // 4)
  end
  return turn.tokens
end

function sources.sharegpt(self)
  local rows, err = files.sharegpt(self.spec.sharegpt)
  if not rows then return nil, err end
  self.size, self.counts_replies = #rows, true
  return function(number)
    local row = rows[number % #rows + 1]
    if self.spec.turns == 1 then return { text = row.turns[1].text, output_tokens = reply_tokens(self, row.turns[1]) } end
    local turns = {}
    for i = 1, math.min(#row.turns, self.spec.turns) do
      turns[i] = { text = row.turns[i].text, output_tokens = reply_tokens(self, row.turns[i]) }
    end
    return { turns = turns }
  end
end

function sources.random(self)
  local input, wrong = lengths.parse(self.spec.random_input)
  if not input then return fail("usage", "random_input: " .. wrong) end
  local output
  output, wrong = lengths.parse(self.spec.random_output or "128")
  if not output then return fail("usage", "random_output: " .. wrong) end
  self.is_made_up = true
  local function one(generator)
    local n = lengths.draw(input, generator)
    return { text = words.text(self.words, generator, n), input_tokens = n, output_tokens = lengths.draw(output, generator) }
  end
  return function(number, key)
    local generator = random(self.seed, ("prompt/%s/%d"):format(key, number))
    if self.spec.turns == 1 then return one(generator) end
    local turns = {}
    for i = 1, self.spec.turns do turns[i] = one(generator) end
    return { turns = turns }
  end
end

-- A trace's prompts are made up, but blocks with the same hash have the same words in every request of a replicate: what a
-- prefix cache could share in the original it can share here, and nothing of the replicate before.
local function trace_text(self, row, key)
  local block, parts, left = workload.TRACE_BLOCK, {}, row.input_tokens
  for _, id in ipairs(row.hash_ids or {}) do
    if left <= 0 then break end
    local n = math.min(block, left)
    parts[#parts + 1] = words.text(self.words, random(self.seed, ("block/%s/%d"):format(key, id)), n)
    left = left - n
  end
  if left > 0 then parts[#parts + 1] = words.text(self.words, random(self.seed, ("line/%s/%d"):format(key, row.line)), left) end
  return table.concat(parts, " ")
end

function sources.trace(self)
  local rows, err = files.trace(self.spec.trace)
  if not rows then return nil, err end
  self.is_made_up, self.size, self.times_ns = true, #rows, {}
  for i, row in ipairs(rows) do self.times_ns[i] = math.floor((row.at_ms - rows[1].at_ms) * 1e6 / self.spec.trace_speed + 0.5) end
  return function(number, key)
    local row = rows[number % #rows + 1]
    return { text = trace_text(self, row, key), input_tokens = row.input_tokens, output_tokens = row.output_tokens }
  end
end

--- Tokens that one hash of a Mooncake trace stands for.
workload.TRACE_BLOCK = 512

-- ---- what is laid over them -------------------------------------------------------------------------------------

-- One of a few texts that many prompts begin with; which, is drawn evenly.
local function add_prefix(self, item, number, key)
  local groups = self.spec.prefix_groups
  if not groups then return item end
  local group = random(self.seed, ("group/%s/%d"):format(key, number)):integer(groups)
  self.prefixes[group] = self.prefixes[group] or words.text(self.words, random(self.seed, "prefix/" .. group), self.spec.prefix_tokens)
  local prefix, first = self.prefixes[group], item.turns and item.turns[1] or item
  if item.messages then
    item.messages = table.move(item.messages, 1, #item.messages, 2, { { role = "system", content = prefix } })
  else
    first.text = prefix .. " " .. first.text
  end
  first.input_tokens = first.input_tokens and first.input_tokens + self.spec.prefix_tokens
  return item
end

-- ---- the workload -------------------------------------------------------------------------------------------------

local KINDS = { "dataset", "custom", "sharegpt", "trace" }

--- Open a workload: files are read and checked.
-- @tparam table spec keys of `benchmark.load`
-- @tparam table options `seed`, `data_dir`, `shots`, `limit` of a dataset
-- @treturn ?table workload `{ kind, size (nil: endless), times_ns (of a trace) }`; or nil and err
function workload.open(spec, options)
  local self = setmetatable({ spec = spec, seed = options.seed, words = words.ALL, prefixes = {} }, Workload)
  self.kind = "random"
  for _, kind in ipairs(KINDS) do
    if spec[kind] then self.kind = kind end
  end
  local err
  self.make, err = sources[self.kind](self, options)
  if not self.make then return nil, err end
  return self
end

--- Learn the server's tokenizer: from here on lengths are in its tokens. Without one they stay in words.
-- @tparam ?function count text → tokens, or nil and err
-- @treturn ?table err why lengths are in words, where they matter
function Workload:fit(count)
  if not (self.is_made_up or self.spec.prefix_groups or self.counts_replies) then return nil end
  local fitted, err
  if count then fitted, err = words.fit(count) end
  if not fitted then
    self.unit = self.is_made_up and "words" or "estimate"
    self.why = err and err.text or "the server has no tokenizer to ask"
    return { text = self.why }
  end
  self.words, self.extra, self.count, self.unit = fitted.list, fitted.extra, count, "tokens"
end

--- One Item.
-- @tparam string key of point and replicate
-- @tparam integer number from 0
-- @tparam ?integer offset how many items earlier replicates and points have used of a set
-- @treturn table Item
function Workload:item(key, number, offset)
  local item = self.make(self.size and number + (offset or 0) or number, key)
  return add_prefix(self, item, number, key)
end

--- What it is, for records and people.
-- @treturn table `{ kind, source, size, input, output, unit, why, prefix_groups, prefix_tokens, turns, think_ms }`
function Workload:describe()
  local spec = self.spec
  return { kind = self.kind, source = spec[self.kind], size = self.size, input = spec.random_input,
    output = spec.random_input and (spec.random_output or "128") or nil, unit = self.unit, why = self.why,
    prefix_groups = spec.prefix_groups, prefix_tokens = spec.prefix_groups and spec.prefix_tokens or nil,
    turns = spec.turns > 1 and spec.turns or nil, think_ms = spec.turns > 1 and spec.think_ms or nil }
end

return workload
