-- SPDX-License-Identifier: Apache-2.0
--- Embed: the samples of a run as blocks of JSON inside an HTML page, or for its server.
--
-- `samples` has one short array for every question (for 25,403 of them some 2 MB); `heads` the beginnings that prompts
-- share; `texts-K` the texts of `CHUNK` questions each, read by the page only when one of them is opened. Texts are
-- taken in until the budget is used up: first where the variants disagree or a request failed, then in the run's order.
-- The page says how many were left out. The forms of the blocks are written down at the functions that make them.
local json = require "qlua.core.json"
local outcomes = require "qlua.outcomes"
local text = require "qlua.core.text"

local embed = {}

embed.CHUNK = 500
embed.BUDGET_MB = 32
-- With less than this left nobody's texts fit any more.
local LEAST = 200

local outcome_index = {}
for i, entry in ipairs(outcomes.list) do outcome_index[entry.name] = i - 1 end

local function encoded(value)
  if value == nil then return "null" end
  if #value > 200 then value = value:sub(1, 200) .. "…" end
  return json.encode(text.repair(value))
end

local function outcome_list()
  local list = {}
  for i, entry in ipairs(outcomes.list) do list[i] = { name = entry.name, class = entry.class, title = entry.title } end
  return json.array(list)
end

-- Numbers for names that come back again and again, in the order in which they are met.
local function numbering()
  local list, index = {}, {}
  return function(name)
    if name == nil then return -1 end
    if not index[name] then
      list[#list + 1] = name
      index[name] = #list - 1
    end
    return index[name]
  end, list
end

local function short_id(row)
  local prefix = row.dataset .. "/"
  return row.sample:sub(1, #prefix) == prefix and row.sample:sub(#prefix + 1) or "/" .. row.sample
end

-- One row: [dataset, id, repeat, group, gold, then for each variant: outcome, value, milliseconds, same text as the
-- baseline]. Numbers of datasets, groups and outcomes from 0, -1 for none; an id that begins with "/" is whole, others lack
-- "dataset/".
local function row_text(row, count, baseline, dataset_number, group_number)
  local parts = { dataset_number(row.dataset), encoded(short_id(row)), row.repeat_index, group_number(row.group), encoded(row.gold) }
  local base = row.answers[baseline]
  for i = 1, count do
    local answer = row.answers[i]
    local same = answer and base and answer.text_sha256 and answer.text_sha256 == base.text_sha256
    parts[#parts + 1] = answer and outcome_index[answer.outcome] or -1
    parts[#parts + 1] = answer and encoded(answer.value) or "null"
    parts[#parts + 1] = answer and answer.latency_ns and ("%d"):format(answer.latency_ns // 1000000) or "null"
    parts[#parts + 1] = same and 1 or 0
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- Worth showing first: the variants do not agree on right or wrong, or something failed.
local function is_telling(row, count)
  local right, others = false, false
  for i = 1, count do
    local answer = row.answers[i]
    local class = answer and outcomes.class(answer.outcome)
    if not answer or class == "error" or class == "invalid" then return true end
    if class == "correct" then right = true else others = true end
  end
  return right and others
end

--- The block `samples`.
-- @tparam table source `qlua.samples`
-- @tparam ?string baseline
-- @treturn string JSON `{ variants, baseline, control, datasets, groups, outcomes, rows }`
-- @treturn {table,…} what to fetch texts for, in order: `{ dataset, sample, repeat_index, is_telling }`
function embed.rows(source, baseline)
  local base = 1
  for i, name in ipairs(source.variants) do base = name == baseline and i or base end
  local dataset_number, dataset_names = numbering()
  local group_number, group_names = numbering()
  local rows, wanted, count = {}, {}, #source.variants
  for row in source:rows() do
    rows[#rows + 1] = row_text(row, count, base, dataset_number, group_number)
    wanted[#rows] = { dataset = row.dataset, sample = row.sample, repeat_index = row.repeat_index, is_telling = is_telling(row, count) }
  end
  local head = json.encode { variants = json.array(source.variants), baseline = base - 1,
    control = (source.control or 0) - 1, datasets = json.array(dataset_names), groups = json.array(group_names), outcomes = outcome_list() }
  return head:sub(1, -2) .. ',"rows":[' .. table.concat(rows, ",\n") .. "]}", wanted
end

-- A prompt is examples and then the question: the examples of many prompts are the same, so they are stored once.
local function split_prompt(prompt)
  local at
  local from = 1
  while true do
    local found = prompt:find("\n\n", from, true)
    if not found then break end
    at, from = found + 1, found + 2
  end
  if not at or at >= #prompt then return nil, prompt end
  return prompt:sub(1, at), prompt:sub(at + 1)
end

--- The end of a prompt, which is the question where examples come before it.
function embed.question(prompt)
  local _, question = split_prompt(prompt)
  return question
end

local function split_texts(texts, head_number)
  if not texts.prompt then return end
  local head, question = split_prompt(texts.prompt)
  texts.prompt, texts.question = nil, question
  if head then texts.head = head_number(head) end
end

--- One question's texts as the page wants them: `samples:texts` with the prompt in two parts, `head` and `question`.
-- @treturn ?string JSON
function embed.texts(source, dataset, sample, repeat_index)
  local texts = source:texts(dataset, sample, repeat_index)
  if not texts then return nil end
  split_texts(texts, function(head) return head end)
  return json.encode(texts)
end

local function in_order(wanted)
  local order = {}
  for _, first in ipairs { true, false } do
    for i, one in ipairs(wanted) do
      if one.is_telling == first then order[#order + 1] = i end
    end
  end
  return order
end

-- The texts that fit, as JSON by row, and the heads they need.
local function gather(source, wanted, budget)
  local taken, left_out, used = {}, 0, 0
  local heads = {}
  local head_number, head_list = numbering()
  for _, i in ipairs(in_order(wanted)) do
    local one, before = wanted[i], #head_list
    local texts = used + LEAST < budget and source:texts(one.dataset, one.sample, one.repeat_index)
    if texts then
      split_texts(texts, head_number)
      local block, head = json.encode(texts), head_list[before + 1]
      if head then
        heads[#heads + 1] = json.encode(head)
        used = used + #heads[#heads]
      end
      if used + #block <= budget then taken[i], used = block, used + #block end
    end
    if not taken[i] then left_out = left_out + 1 end
  end
  return taken, heads, left_out
end

local function budget_bytes(page)
  local options = page.options
  return math.floor((options.budget_mb or embed.BUDGET_MB) * 1e6)
end

local function add_texts(page, list, wanted, rows_bytes)
  local taken, heads, left_out = gather(page.samples, wanted, budget_bytes(page) - rows_bytes)
  page.writer.add_data(list, "heads", "[" .. table.concat(heads, ",\n") .. "]")
  for first = 1, #wanted, embed.CHUNK do
    local chunk = {}
    for i = first, math.min(first + embed.CHUNK - 1, #wanted) do chunk[#chunk + 1] = taken[i] or "0" end
    page.writer.add_data(list, ("texts-%d"):format((first - 1) // embed.CHUNK), "[" .. table.concat(chunk, ",\n") .. "]")
  end
  return left_out
end

local function size_of(...)
  local bytes = 0
  for _, list in ipairs { ... } do
    for _, part in ipairs(list) do bytes = bytes + (type(part) == "string" and #part or 0) end
  end
  return bytes
end

--- Put the explorer's blocks of data on a page that is being finished.
-- @tparam table page an HTML page with `samples`
-- @tparam table list takes the blocks, finished
function embed.add(page, list)
  local about = { live = page.is_live, chunk = embed.CHUNK, run = page.options.run_name }
  if not page.is_live then
    local rows, wanted = embed.rows(page.samples, page.options.baseline)
    page.writer.add_data(list, "samples", rows)
    about.left_out, about.total = add_texts(page, list, wanted, #rows), #wanted
  end
  about.bytes = size_of(page.parts, list, page.writer.styles, page.writer.scripts)
  page.about = about
  page.writer.add_data(list, "about", json.encode(about))
end

return embed
