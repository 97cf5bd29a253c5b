-- SPDX-License-Identifier: Apache-2.0
--- Times the report of a full run: `build/release/qlua lua bench/report.lua`.
-- Three variants with 25,403 made-up answers each, as many as the three benchmarks have questions: rows → summary →
-- results file's text → page, each step alone. Every layout that is there gets a row.
local page = require "qlua.page"
local registry = require "qlua.registry"
local results = require "qlua.results"
local summary = require "qlua.summary"
local support = require "support"

local RUNS = 3
local VARIANTS = { "original", "fp8", "awq" }
local DATASETS = {
  { name = "gsm8k", mode = "generate", scorer = "number", size = 1319 },
  { name = "hellaswag", mode = "loglikelihood", scorer = "loglikelihood", size = 10042 },
  { name = "mmlu", mode = "letter", scorer = "letter", size = 14042, groups = 57 },
}

local function facts()
  local run = { id = "bench", simulated = true, started_at = "2026-01-01T00:00:00Z", finished_at = "2026-01-01T00:10:00Z",
    model = { base_name = "made up" }, baseline = "original", variants = {}, datasets = {}, config = { benchmark = {} },
    manifest = { command = {}, notes = {}, scripts = {}, qlua = {}, host = {} } }
  for i, name in ipairs(VARIANTS) do
    run.variants[i] = { name = name, description = { en = name, zh = name }, engine = "sim", model = "made up", generation = {} }
  end
  for i, one in ipairs(DATASETS) do
    run.datasets[i] = { name = one.name, summary = { en = one.name, zh = one.name }, mode = one.mode, shots = 0, expected = one.size,
      headline_scorer = one.scorer, scorers = { one.scorer }, files = {}, group_average = one.groups and "micro" or nil }
  end
  return run
end

local function row_of(variant, one, index)
  local is_right = math.random() < 0.8
  local outcome = is_right and "correct" or "wrong"
  local start_ns = index * 1000000
  return { variant = variant, dataset = one.name, sample = ("%s/test/%d"):format(one.name, index), position = index,
    group = one.groups and "group " .. index % one.groups or nil, repeat_index = 0, outcome = outcome, score = is_right and 1 or 0,
    value = "18", scores = { [one.scorer] = { outcome = outcome, score = is_right and 1 or 0 } }, finish = "stop",
    prompt_tokens = 700, completion_tokens = 100 + index % 50, count_source = "usage", latency_ns = 20000000 + index % 977 * 1000,
    ttft_ns = one.mode == "generate" and 10000000 or nil, start_ns = start_ns, end_ns = start_ns + 20000000, tries = 1, turns = 1,
    text_sha256 = outcome .. index, prompt_sha256 = "prompt " .. index }
end

local function all_rows()
  local rows = {}
  for _, variant in ipairs(VARIANTS) do
    for _, one in ipairs(DATASETS) do
      for index = 0, one.size - 1 do rows[#rows + 1] = row_of(variant, one, index) end
    end
  end
  return rows
end

local function each(rows)
  local i = 0
  return function()
    i = i + 1
    return rows[i]
  end
end

math.randomseed(20261123)
local rows, times, doc = all_rows(), {}, nil
support.head()
for i = 1, RUNS do times[i], doc = support.timed(summary.build, each(rows), facts()) end
support.row(("summary of %d rows"):format(#rows), "ms", times)
for i = 1, RUNS do times[i] = support.timed(results.encode, doc) end
support.row("results file", "ms", times)
for _, layout in ipairs(registry.list "report") do
  local report = assert(registry.load("report", layout.name))
  for i = 1, RUNS do times[i] = support.timed(page.set, report, doc, { language = "both", width = 100 }) end
  support.row(("page, layout %s, both languages"):format(layout.name), "ms", times)
end
