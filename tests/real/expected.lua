-- SPDX-License-Identifier: Apache-2.0
--- What the checkpoint answers item by item, by its makers' own code (expected.tar.gz beside it, BF16 arithmetic), against what
-- a run was answered by an engine. Every disagreement comes with the distance that would have to be noise to explain it.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local support = require "support"

local expected = {}

local members = { gsm8k = "gsm8k_0shot_strict.jsonl", mmlu = "mmlu_0shot_letter.jsonl", hellaswag = "hellaswag_sum.jsonl" }

--- Items of a data set by their id.
function expected.load(archive, dataset)
  local result = assert(proc.run { argv = { "tar", "-xzOf", archive, members[dataset] }, max_bytes = 64 << 20 })
  assert(result.code == 0, result.stderr)
  local items = {}
  for line in result.stdout:gmatch "[^\n]+" do
    local item = assert(json.decode(line))
    items[item.id] = item
  end
  return items
end

local function id_of(task, row)
  local subject = task:match "^mmlu_(.+)$"
  if subject then return ("mmlu/%s/test/%d"):format(subject, row.doc_id) end
  return ("%s/%s/%d"):format(task, task == "hellaswag" and "validation" or "test", row.doc_id)
end

-- Files of an export, below a folder: path by task.
local function sample_files(folder, found)
  for _, name in ipairs(assert(file.list(folder))) do
    local path = folder .. "/" .. name
    if file.stat(path).kind == "dir" then
      sample_files(path, found)
    else
      local task = name:match "^samples_(.-)_%d%d%d%d%-%d%d%-%d%dT"
      if task then found[#found + 1] = { task = task, path = path } end
    end
  end
  return found
end

--- Rows that a run's variant has of a data set, as the reference harness's files have them, with their ids.
function expected.rows(run_dir, variant, dataset)
  local out = support.folder()
  local result = support.qlua { "export", run_dir, "--format", "lm-eval", "--out", out, "--variant", variant, "--dataset", dataset }
  assert(result.code == 0, result.all)
  local rows = {}
  for _, one in ipairs(sample_files(out, {})) do
    for line in support.read(one.path):gmatch "[^\n]+" do
      local row = assert(json.decode(line))
      row.id = id_of(one.task, row)
      if row.filter == "none" or row.filter == "strict-match" then rows[#rows + 1] = row end
    end
  end
  return rows
end

local function place_of_best(values)
  local best = 1
  for i, value in ipairs(values) do if value > values[best] then best = i end end
  return best
end

-- Choices: theirs and ours are lists of log-probabilities. `moved` is how far the two that were chosen moved against each other:
-- for a disagreement both margins together, and for noise what the agreeing questions show.
local function compare_choice(item, row)
  local ours = {}
  for i, one in ipairs(row.resps) do ours[i] = assert(tonumber(one[1][1]), row.id .. ": a choice has no log-probability") end
  local theirs = item.logprob
  assert(#ours == #theirs, row.id .. ": the number of choices differs")
  local a, b = place_of_best(theirs), place_of_best(ours)
  local found = { id = row.id, agrees = a == b, theirs = a, ours = b, worst = 0, moved = 0 }
  for i = 1, #ours do
    found.worst = math.max(found.worst, math.abs(ours[i] - theirs[i]))
    found.moved = math.max(found.moved, math.abs((theirs[a] - theirs[i]) - (ours[a] - ours[i])))
  end
  if a ~= b then
    found.margin_theirs, found.margin_ours = theirs[a] - theirs[b], ours[b] - ours[a]
    found.moved = found.margin_theirs + found.margin_ours
  end
  return found
end

local function compare_text(item, row)
  local text, answer = row.resps[1][1], row.filtered_resps[1]
  -- Their texts hold what came before a stop; both ends may or may not have the empty lines before it.
  local function trimmed(value) return (value:gsub("%s+$", "")) end
  local ours, theirs = trimmed(text), trimmed(item.text)
  local neither = answer == "[invalid]" and (item.answer == nil or item.answer == json.null)
  return { id = row.id, agrees = answer == tostring(item.answer) or neither, same_text = ours == theirs,
    ours = answer, theirs = item.answer, text = ours, their_text = theirs,
    prompt = row.arguments.gen_args_0.arg_0 }
end

--- Compare a data set.
-- @treturn table { asked, agreed, same_text?, noise?, worst?, differing = { { id, … }… } }
function expected.compare(run_dir, variant, dataset, archive)
  local items = expected.load(archive, dataset)
  local result = { dataset = dataset, asked = 0, agreed = 0, differing = {}, texts_differing = {} }
  for _, row in ipairs(expected.rows(run_dir, variant, dataset)) do
    local item = assert(items[row.id], "not expected: " .. row.id)
    local gold = dataset == "gsm8k" and row.target:match "####%s*(%S+)" or row.target
    assert(gold:gsub(",", "") == tostring(item.gold):gsub(",", ""), row.id .. ": another question than was expected")
    local found = dataset == "gsm8k" and compare_text(item, row) or compare_choice(item, row)
    result.asked = result.asked + 1
    if found.agrees then
      result.agreed = result.agreed + 1
      if found.moved then result.noise = math.max(result.noise or 0, found.moved) end
    else
      result.differing[#result.differing + 1] = found
    end
    if found.worst then result.worst = math.max(result.worst or 0, found.worst) end
    if found.same_text ~= nil then
      result.same_text = (result.same_text or 0) + (found.same_text and 1 or 0)
      if not found.same_text then result.texts_differing[#result.texts_differing + 1] = found end
    end
  end
  return result
end

--- Where a text left the expected one, and how close the two tokens were there: asks a llama-server.
-- @tparam function post path, body → decoded reply
-- @treturn table { at, ours, theirs, margin } margin in nats, ours over theirs, by the engine's own log-probabilities
function expected.parting(post, found)
  local function ids(text) return post("/tokenize", { content = text, add_special = true }).tokens end
  local ours, theirs = ids(found.prompt .. found.text), ids(found.prompt .. found.their_text)
  local same = 0
  while same < #ours and same < #theirs and ours[same + 1] == theirs[same + 1] do same = same + 1 end
  local reply = post("/completion", { prompt = json.array(table.move(ours, 1, same, 1, {})), n_predict = 1, temperature = 0, n_probs = 200,
    cache_prompt = false })
  local by_id = {}
  for _, entry in ipairs(reply.completion_probabilities[1].top_logprobs) do by_id[entry.id] = entry.logprob end
  -- one text may end where the other goes on: then the end is the token
  local function value(list) return list[same + 1] and by_id[list[same + 1]] end
  local a, b = value(ours), value(theirs)
  return { at = same, ours = ours[same + 1], theirs = theirs[same + 1], margin = a and b and a - b or nil, own = a, other = b }
end

return expected
