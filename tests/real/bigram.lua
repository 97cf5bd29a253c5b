-- SPDX-License-Identifier: Apache-2.0
--- Planted questions: a bigram model in which the answers' probabilities were chosen, a data set that asks for them, and
-- the closed form of every log-probability that a run must come to.

local gguf = require "gguf"
local json = require "qlua.core.json"
local real = require "real"
local support = require "support"

local bigram = {}

local CONTEXTS = { "Answer", "The", "the", "is", "of", "and", "Question", ":" }
local LETTERS = { " A", " B", " C", " D" }
local WINNER, OTHERS = 12, { 9.5, 8.25, 7 }

-- Which letter wins after the i-th context; the others follow in turn.
local function winner_of(i) return (i * 3) % #LETTERS + 1 end

local function wanted_of(position, letter)
  local place = (letter - winner_of(position)) % #LETTERS
  return place == 0 and WINNER or OTHERS[place]
end

--- Write the model.
-- @treturn string path
-- @treturn table model of `gguf`
function bigram.model(folder)
  local model = gguf.read(real.tiny(folder))
  for number, letter in ipairs(LETTERS) do
    local after, bare = {}, { ["\n"] = wanted_of(5, number) }
    for i, context in ipairs(CONTEXTS) do after[context] = wanted_of(i, number) end
    for i, before in ipairs(LETTERS) do after[before] = i + 1 == number and WINNER or OTHERS[1 + (number - i) % 3] end
    model:plant(letter, after)
    model:plant(letter:sub(2), bare) -- behind the chat template, where a letter begins the line
  end
  local finish = { [" D"] = WINNER + 3 }
  for _, context in ipairs(CONTEXTS) do finish[context] = -4 end
  for i = 1, 3 do finish[LETTERS[i]] = -4 end
  model:plant("<|im_end|>", finish)
  local path = folder .. "/planted.gguf"
  model:write(path)
  return path, gguf.read(path)
end

-- Rows: what comes last before the choices, the choices' tokens, which choice is called right.
local function rows()
  local list = {}
  for i, context in ipairs(CONTEXTS) do
    list[i] = { text = context == ":" and "Answer:" or context, last = context, winner = winner_of(i) - 1,
      choices = { { " A" }, { " B" }, { " C" }, { " D" } },
      long = { { " A", " B", " D" }, { " B", " C" }, { " C", " A", " A", " B" }, { " D", " D" } } }
    -- two of eight are called wrong on purpose: the accuracy must come out as 6 of 8, neither chance nor all
    list[i].target = i % 4 == 0 and (list[i].winner + 1) % 4 or list[i].winner
  end
  return list
end

bigram.rows = rows()
bigram.accuracy = 6 / 8

local script = [[
local q = require "qlua"
return q.dataset {
  name = "planted",
  summary = { en = "Planted answers", zh = "预设答案" },
  source = { test = { file = "planted.jsonl" } },
  modes = { "loglikelihood", "letter", "generate" },
  scorers = { "loglikelihood", "letter" },
  sample = function(row)
    return { input = row.text, target = row.target, choices = { "A", "B", "C", "D" }, meta = { headline = "acc", row = row } }
  end,
  prompt = function(sample, _, args)
    local continuations = {}
    for i, tokens in ipairs(sample.meta.row[args.long and "long" or "choices"]) do continuations[i] = table.concat(tokens) end
    return { text = sample.input, continuations = continuations, max_tokens = 8 }
  end,
  examples = {
    { row = { text = "is", target = 1, choices = { { " A" }, { " B" } }, long = { { " A" }, { " B" } } },
      choices = { { sum = -2 }, { sum = -1 } }, score = 1 },
  },
}
]]

--- Write the data set.
-- @treturn string path of its script
function bigram.dataset(folder)
  local lines = {}
  for i, row in ipairs(bigram.rows) do lines[i] = json.encode(row) end
  support.write(folder .. "/planted.jsonl", table.concat(lines, "\n") .. "\n")
  return support.write(folder .. "/planted.lua", script)
end

--- Ask a model.
-- @tparam string folder with model and data set in it
-- @tparam table options server (YAML), mode, scorers (list), long, endpoint
-- @treturn table run { dir, all, code }
function bigram.run(folder, options)
  local place = support.folder()
  local config = support.write(place .. "/config.yaml", ([[
model:
  base_name: tiny
  variants:
    - { name: planted, model: %s/planted.gguf }
data: %s
datasets:
  - { name: %s/planted.lua, mode: %s, scorers: [%s], args: { long: %s }, endpoint: %s }
%sgeneration: { max_tokens: 8, seed: 1 }
benchmark: { concurrency: 2, num_warmup_iterations: 0, retries: 0 }
report: { language: en, layouts: [] }
]]):format(folder, folder, folder, options.mode, table.concat(options.scorers or { options.mode }, ", "), tostring(options.long or false),
    options.endpoint or "null", options.server))
  return support.run(place, { folder .. "/planted.lua", "--config", config })
end

--- The largest distance between the log-probabilities that a run came to and the closed form.
-- @tparam table model
-- @tparam table run
-- @tparam table options long, bare (labels without their space, behind the chat template)
-- @treturn number nats
-- @treturn integer how many were compared
function bigram.distance(model, run, options)
  local worst, count = 0, 0
  for i, row in ipairs(real.samples(run.dir, "planted")) do
    local asked = bigram.rows[row.doc_id + 1]
    assert(row.doc_id == i - 1, "rows are not in order")
    for number, tokens in ipairs(asked[options.long and "long" or "choices"]) do
      local got = assert(tonumber(row.resps[number][1][1]), "no log-probability: " .. json.encode(row.resps))
      local want = options.bare and model:sum("\n", { tokens[1]:sub(2) }) or model:sum(asked.last, tokens)
      worst, count = math.max(worst, math.abs(got - want)), count + 1
    end
  end
  return worst, count
end

--- What greedy decoding says after a text, by the closed form.
function bigram.greedy(model, last, limit)
  local id, texts = model:id(last), {}
  for _ = 1, limit do
    id = model:likeliest(id)
    if id == model:id "<|im_end|>" then return table.concat(texts), "stop" end
    texts[#texts + 1] = model:text(id)
  end
  return table.concat(texts), "length"
end

return bigram
