-- SPDX-License-Identifier: Apache-2.0
--- The folder of a run whose replies, questions and names try to break a page that shows them.
-- Written through the store, as a run writes it; `hostile_run.write(dir)` makes `run.db` and the results file.
local hash = require "qlua.core.hash"
local results = require "qlua.results"
local run_report = require "qlua.run_report"
local run_store = require "qlua.run_store"

local hostile_run = {}

--- What replies hold, by the number of the question.
hostile_run.replies = {
  [0] = "plain text, the answer is 18",
  "<script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>",
  "</script><script>window.pwned = 3</script><!-- <script>",
  "\"><svg onload=\"window.pwned = 4\"><a href=\"javascript:window.pwned=5\">click</a>",
  "\u{202E}gnp.exe\u{202C} and \u{2066}isolated\u{2069}\u{200B}\u{FEFF}",
  "nul \0 bell \7 escape \27[31m",
  "broken \xFF\xFE utf-8 \xC3( and a half \xE4\xB8",
  "line\u{2028}separator\u{2029}paragraph",
  ("x"):rep(1 << 20),
  "{{constructor.constructor('window.pwned=6')()}} ${window.pwned=7} `window.pwned=8`",
  "<style>body{display:none}</style><base href='http://203.0.113.9/'><link rel=stylesheet href='http://203.0.113.9/x'>",
  "中文回复：答案是 18。\n#### 18",
}

hostile_run.group = "<b>group</b>\u{202E}"

local function variants(store)
  local names = { "original", "fp8<script>window.pwned=9</script>" }
  for i, name in ipairs(names) do
    store:put_variant(name, i, "identity " .. i, { description = { en = "<i>" .. name, zh = "<i>" .. name }, engine = "sim",
      model = "</title><script>window.pwned=10</script>", generation = {} })
  end
  return names
end

local function put_answer(store, variant, i, reply, is_right)
  local from, to = reply:find("18", 1, true)
  store:put_answer { variant = variant, dataset = "hostile", sample = "hostile/test/" .. i, repeat_index = 0, identity = "x",
    prompt_sha256 = "p" .. i, outcome = is_right and "correct" or "wrong", score = is_right and 1 or 0,
    value = is_right and "18" or "<b>" .. i, how = "<em>", span_from = from, span_to = to,
    scores = { number = { outcome = is_right and "correct" or "wrong", score = is_right and 1 or 0, value = "18", how = "<em>" },
      other = { outcome = "no_answer", score = 0 } },
    text = reply, finish = "stop", prompt_tokens = 10, completion_tokens = 5, count_source = "usage", latency_ns = (i + 1) * 1000000,
    ttft_ns = 500000, start_ns = i * 10, end_ns = i * 10 + (i + 1) * 1000000, tries = 1, turns = 1, text_sha256 = hash.sha256(reply) }
end

-- A stream of three texts that came 2 and 3 ms after one another, between a role and a usage that have none.
local function put_stream(store)
  local body, stamps = "", ""
  for i, data in ipairs { '{"choices":[{"text":""}]}', '{"choices":[{"text":"a"}]}', '{"choices":[{"text": "b"}]}',
    '{"choices":[{"text":"<script>"}]}', '{"usage":{"completion_tokens":3}}', "[DONE]" } do
    body = body .. "data: " .. data
    stamps = stamps .. ("<I4I8"):pack(#body, ({ 0, 1000000, 3000000, 6000000, 9000000, 9000001 })[i])
    body = body .. "\n\n"
  end
  store:put_request { key = "stream", variant = "original", dataset = "hostile", sample = "hostile/test/0", repeat_index = 0, turn = 0,
    part = 0, path = "/completions", params = "{}", tries = 1, reply = { status = 200, body = body, stamps = stamps, marks = {} } }
end

--- @tparam string dir an empty folder
function hostile_run.write(dir)
  local store = assert(run_store.open(dir))
  local config = { report = { language = "both", html_budget_mb = 32 }, benchmark = {}, verdict = {},
    model = { base_name = "</title><script>window.pwned=10</script>", variants = { { name = "original" } } } }
  store:meta("config", config)
  store:meta("simulated", true)
  store:meta("started_at", "2026-11-23T10:15:00Z")
  store:meta("finished_at", "2026-11-23T10:16:00Z")
  store:meta("manifest", { command = { "</script><script>window.pwned=11</script>" } })
  store:open_session("2026-11-23T10:15:00Z", {})
  local names = variants(store)
  store:put_dataset("hostile", 1, { mode = "generate", scorers = { "number", "other" }, headline_scorer = "number",
    expected = 12, shots = 0 })
  for i = 0, #hostile_run.replies do
    store:put_prompt("p" .. i, "Example: <script>window.pwned=12</script>\n\nQuestion " .. i .. ": " .. hostile_run.replies[i]:sub(1, 80))
    store:put_sample("hostile", { id = "hostile/test/" .. i, index = i, group = i % 2 == 1 and hostile_run.group or "plain",
      target = "18", row_sha256 = "r" .. i, input = "q" }, "p" .. i)
    put_answer(store, names[1], i, hostile_run.replies[i], true)
    put_answer(store, names[2], i, "other: " .. hostile_run.replies[i], i % 3 ~= 1)
  end
  put_stream(store)
  local phase = store:open_phase("original", "hostile", 0)
  store:update_phase(phase, 5000000000, 12)
  store:put_event(1000000000, "retry", "<script>", { variant = "original" })
  store:commit()
  assert(results.write(dir .. "/evaluation_results.json", (run_report.summarize(dir, store))))
  store:close()
end

return hostile_run
