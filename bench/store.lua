-- SPDX-License-Identifier: Apache-2.0
--- Times writing into a run's database: `build/release/qlua lua bench/store.lua`.
-- Rows as a run puts them: a request with its packed reply of 2 KB or 10 KB, and an answer; committed in the batches
-- of a run, on the disk that holds temporary files.
local json = require "qlua.core.json"
local run_store = require "qlua.run_store"
local support = require "support"

local RUNS, ROWS = 5, 5000

local HEADERS = { ["content-type"] = "application/json", ["content-length"] = "2000", server = "qlua-sim" }
local MARKS = { queued_ns = 1, start_ns = 2, connect_ns = 3, first_byte_ns = 4, last_byte_ns = 5, reads = 1 }

local function body_of(bytes)
  local list, size = {}, 0
  for i = 1, bytes do
    list[i] = { token = "word" .. i * 7919 % 10007, logprob = -(i * 104729 % 1299709) / 1e6 }
    size = size + #list[i].token + 34
    if size >= bytes then break end
  end
  return json.encode(list)
end

local function put_request(store, i, body)
  store:put_request { key = ("%064x"):format(i * 2654435761 % 2 ^ 32 // 1 | 0), variant = "original", dataset = "gsm8k",
    sample = "gsm8k/test/" .. i, repeat_index = 0, turn = 0, part = 0, path = "/completions", prompt_sha256 = ("a"):rep(64),
    params = '{"max_tokens":512,"temperature":0}', tries = 1,
    reply = { status = 200, headers = HEADERS, body = body, stamps = "", marks = MARKS } }
end

local function put_answer(store, i)
  store:put_answer { variant = "original", dataset = "gsm8k", sample = "gsm8k/test/" .. i, repeat_index = 0,
    identity = ("%064x"):format(i), prompt_sha256 = ("a"):rep(64), outcome = "correct", score = 1, value = "18", how = "hash",
    scores = { number = { outcome = "correct", score = 1 } }, text = ("She sells eggs. "):rep(20) .. "#### 18", finish = "stop",
    prompt_tokens = 700, completion_tokens = 90, count_source = "usage", latency_ns = 10, start_ns = 1, end_ns = 11, tries = 1,
    text_sha256 = ("b"):rep(64) }
end

local function measure(name, put)
  local rates = {}
  for run = 1, RUNS do
    local dir, clean = support.scratch()
    local store = assert(run_store.open(dir))
    store:open_session("2026-01-01T00:00:00Z", {})
    local ms = support.timed(function()
      for i = 1, ROWS do put(store, i) end
      store:commit()
    end)
    rates[run] = ROWS / ms * 1e3
    store:close()
    clean()
  end
  support.row(name, "1/s", rates)
end

support.head()
local short, long = body_of(2000), body_of(10000)
measure("requests with a reply of 2 KB", function(store, i) put_request(store, i, short) end)
measure("requests with a reply of 10 KB", function(store, i) put_request(store, i, long) end)
measure("answers", put_answer)
