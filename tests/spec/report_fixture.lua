-- SPDX-License-Identifier: Apache-2.0
--- A run that never was: three variants on three datasets, every answer drawn from a fixed little generator.
-- The specs of summary, page and report share it, and the golden reports are made from it.
local json = require "qlua.core.json"

local fixture = {}

-- Park and Miller's generator: the same numbers everywhere, and nothing to do with q.random.
local function generator(seed)
  local state = seed
  return function()
    state = state * 48271 % 2147483647
    return state / 2147483647
  end
end

local variants = {
  { name = "original", description = { en = "Original precision (BF16)", zh = "原精度 (BF16)" }, engine = "sim",
    model = "Example/Model-8B", loss = 0 },
  { name = "fp8", description = { en = "FP8 quantization", zh = "FP8 量化" }, engine = "sim", quantization = "fp8",
    model = "Example/Model-8B", loss = 0.004 },
  { name = "awq", description = { en = "AWQ 4-bit quantization", zh = "AWQ 4 位量化" }, engine = "sim",
    model = "Example/Model-8B-AWQ", loss = 0.03 },
}

local datasets = {
  { name = "gsm8k", summary = { en = "Grade-school math word problems", zh = "小学数学应用题" }, mode = "generate",
    shots = { n = 5, sampler = "random", seed = 1234, split = "train" }, headline_scorer = "number",
    scorers = { "number", "lm_eval.gsm8k_strict", "lm_eval.gsm8k_flexible" }, prompt_digest = ("e568d5f4"):rep(8),
    files = { { name = "gsm8k/test.jsonl", sha256 = ("3730d312"):rep(8), rows = 1319 } },
    expected = 150, ease = 0.82 },
  { name = "hellaswag", summary = { en = "Sentence completion", zh = "句子续写" }, mode = "loglikelihood", shots = 0,
    headline_scorer = "loglikelihood", scorers = { "loglikelihood" }, prompt_digest = ("0b1c2d3e"):rep(8),
    files = { { name = "hellaswag/hellaswag_val.jsonl", sha256 = ("0aa3b88a"):rep(8), rows = 10042 } },
    expected = 80, ease = 0.61 },
  { name = "mmlu", summary = { en = "Multiple choice in 57 subjects", zh = "57 个学科的选择题" }, mode = "letter", shots = 5,
    headline_scorer = "letter", scorers = { "letter" }, prompt_digest = ("77aa00ff"):rep(8), group_average = "micro",
    group_categories = { abstract_algebra = "stem", anatomy = "stem", computer_security = "stem",
      formal_logic = "humanities", world_religions = "humanities" },
    files = {},
    expected = 120, ease = 0.7 },
}

for group = 1, 12 do
  datasets[3].files[group] = { name = ("mmlu/test/group_%d_test.csv"):format(group), sha256 = ("5c6a7b8d"):rep(8), rows = 10 }
end

local groups = { "abstract_algebra", "anatomy", "computer_security", "formal_logic", "world_religions" }

--- What the store knows of the run. A new table on each call.
function fixture.run()
  local run = {
    id = "20261123_101500", simulated = true, started_at = "2026-11-23T10:15:00Z", finished_at = "2026-11-23T10:16:10Z",
    model = { base_name = "Example/Model-8B" }, baseline = "original", variants = {}, datasets = {},
    config = { benchmark = { max_error_rate = 0.01, concurrency = 32, control = 1 },
      verdict = { margins_pt = { gsm8k = 2.0, default = 1.0 }, gates = { { gate = "non_inferior", variant = "fp8" },
        { gate = "accuracy", dataset = "gsm8k", at_least = 0.7 } } } },
    control = { name = "original@control", share = 1, expected = { gsm8k = 150, hellaswag = 80, mmlu = 120 } },
    health = { original = { gsm8k = { texts = 150, loops = 0, switched = 0 } }, fp8 = { gsm8k = { texts = 150, loops = 1, switched = 0 } },
      awq = { gsm8k = { texts = 150, loops = 9, switched = 3 } } },
    manifest = {
      command = { "suites/demo.lua", "--config", "configs/demo.yaml", "--set", "model.base_name=a b" },
      notes = { { kind = "rows", en = "gsm8k, split test: 150 rows, upstream has 1319",
        zh = "gsm8k，test 集：共 150 行，上游为 1319 行" } },
      scripts = { ["dataset.gsm8k"] = { path = "lua/datasets/gsm8k.lua", sha256 = ("a1b2c3d4"):rep(8) },
        ["scorer.number"] = { path = "lua/scorers/number.lua", sha256 = ("d4c3b2a1"):rep(8) } },
      qlua = { qlua = "0.1.0", lua = "5.4.4", libcurl = "7.88.1" },
      host = { cpu = "Example CPU, 8 cores", os = "Debian GNU/Linux 12" },
    },
  }
  for i, variant in ipairs(variants) do
    run.variants[i] = { name = variant.name, description = variant.description, engine = variant.engine,
      quantization = variant.quantization, model = variant.model,
      generation = { temperature = 0, max_tokens = 512, top_p = 1, seed = 42 } }
  end
  for i, dataset in ipairs(datasets) do
    run.datasets[i] = {}
    for key, value in pairs(dataset) do
      if key ~= "ease" then run.datasets[i][key] = value end
    end
  end
  return run
end

local MISSES = { "wrong", "wrong", "wrong", "wrong", "no_answer", "wrong", "truncated", "refused", "ambiguous" }

local function judged(dataset, right, draw)
  if dataset.mode ~= "generate" then return right and "correct" or "wrong" end
  return right and "correct" or MISSES[1 + math.floor(draw * #MISSES)]
end

local function answer(dataset, variant, index, hardness, draw)
  local right = hardness < dataset.ease - variant.loss + (draw() - 0.5) * 0.05
  local outcome = judged(dataset, right, draw())
  local tokens = dataset.mode == "generate" and 60 + math.floor(draw() * 240) or 1
  local ttft = 20e6 + draw() * 15e6
  local latency = math.floor(ttft + (tokens - 1) * 2e6 + draw() * 5e6)
  local start = index // 8 * 400 * 1000000 + index
  return {
    variant = variant.name, dataset = dataset.name, sample = ("%s/test/%d"):format(dataset.name, index),
    position = index, group = dataset.name == "mmlu" and groups[1 + math.min(index % 7, #groups - 1)] or nil, repeat_index = 0,
    outcome = outcome, score = right and 1 or 0, value = right and "18" or tostring(math.floor(draw() * 3)),
    scores = { [dataset.headline_scorer] = { outcome = outcome, score = right and 1 or 0,
      metrics = dataset.mode == "loglikelihood" and { acc = draw() < 0.55 and 1 or 0, acc_norm = right and 1 or 0 } or nil } },
    finish = outcome == "truncated" and "length" or "stop",
    prompt_tokens = 700 + index % 50, completion_tokens = tokens, count_source = "usage", latency_ns = latency,
    ttft_ns = dataset.mode == "generate" and math.floor(ttft) or nil, start_ns = start, end_ns = start + latency,
    tries = index % 41 == 7 and 2 or 1, turns = 1, text_sha256 = right and ("right %d"):format(index)
      or ("%s %d"):format(variant.name, index), prompt_sha256 = ("prompt %d"):format(index),
  }
end

-- Candidates of the next token: near the baseline's, the nearer the less a variant loses. One in 29 of awq's has another first.
local function candidates(index, off, swaps)
  local best = 0.6 + 0.35 * (index * 0.618034 % 1) - off * (index % 5)
  local p = { best, 0.5 * (0.995 - best), 0.3 * (0.995 - best), 0.2 * (0.995 - best) }
  if swaps and index % 29 == 3 then p[1], p[2] = p[2], p[1] end
  return json.encode { [" A"] = math.log(p[1]), [" B"] = math.log(p[2]), [" C"] = math.log(p[3]), [" D"] = math.log(p[4]) }
end

local function add_strict_scorers(row, draw)
  local strict = row.outcome == "correct" and draw() < 0.9 and "correct" or "no_answer"
  local flexible = row.outcome == "correct" and draw() < 0.97 and "correct" or "wrong"
  if row.outcome == "wrong" and draw() < 0.05 then flexible = "correct" end
  row.scores["lm_eval.gsm8k_strict"] = { outcome = strict, score = strict == "correct" and 1 or 0 }
  row.scores["lm_eval.gsm8k_flexible"] = { outcome = flexible, score = flexible == "correct" and 1 or 0 }
end

-- The baseline's second pass: a few answers change, and about half of the texts.
local function add_control(rows)
  local draw = generator(77)
  for i = 1, #rows do
    local row = rows[i]
    if row.variant == "original" then
      local again = {}
      for key, value in pairs(row) do again[key] = value end
      again.variant = "original@control"
      if draw() < 0.02 then again.outcome = row.outcome == "correct" and "wrong" or "correct" end
      if draw() < 0.5 then again.text_sha256 = "again " .. row.text_sha256 end
      if row.candidates then again.candidates = candidates(row.position, 0.001, false) end
      rows[#rows + 1] = again
    end
  end
  return rows
end

--- All rows, as a list.
function fixture.list()
  local rows = {}
  for _, dataset in ipairs(datasets) do
    for v, variant in ipairs(variants) do
      local difficulty, draw = generator(20261123), generator(1000 + v)
      for index = 0, dataset.expected - 1 do
        local row = answer(dataset, variant, index, difficulty(), draw)
        if dataset.name == "gsm8k" then add_strict_scorers(row, draw) end
        if dataset.mode == "letter" then row.candidates = candidates(index, variant.loss, variant.name == "awq") end
        -- awq on hellaswag: three requests time out, above the threshold
        if variant.name == "awq" and dataset.name == "hellaswag" and index % 31 == 5 then
          row = { variant = "awq", dataset = "hellaswag", sample = row.sample, repeat_index = 0, outcome = "timeout", tries = 5,
            scores = {} }
        end
        rows[#rows + 1] = row
      end
    end
  end
  return add_control(rows)
end

--- An iterator over a list of rows, as the store gives one.
function fixture.each(rows)
  local i = 0
  return function()
    i = i + 1
    return rows[i]
  end
end

return fixture
