-- SPDX-License-Identifier: Apache-2.0
--- Faults on the wire: whatever a server does to a request, each question's outcome and number of tries are what its
-- ledger of faults makes of the rules for retrying, and an error is never a wrong answer.
local ledger = require "ledger"
local support = require "support"

local RETRIES = 2

-- `errors`: must some questions end in an error, or none; unset: either.
local CASES = {
  { name = "429 with Retry-After in seconds", faults = '"429": { share: 0.3, again: true, retry_after: 0 }' },
  { name = "503 without Retry-After", faults = '"503": { share: 0.3, again: true }' },
  { name = "500", faults = '"500": { share: 0.4, again: true }', errors = true },
  { name = "400, which nobody asks twice", faults = '"400": { share: 0.2, again: true }', errors = true },
  { name = "a proxy's page in HTML", faults = "html: { share: 0.3, again: true }" },
  { name = "connections that are reset", faults = "rst: { share: 0.3, again: true }" },
  -- a connection kept from an earlier request may just have been closed, so libcurl sends such a request again by
  -- itself, once: fewer tries are seen than the server has
  { name = "connections that are closed at once", faults = "close: { share: 0.3, again: true }", tries_unseen = true },
  { name = "replies that are cut off", faults = "truncate: { share: 0.3, again: true }" },
  { name = "streams without their [DONE]", faults = "no_done: { share: 0.3, again: true }" },
  { name = "what is no HTTP", faults = "garbage: { share: 0.3, again: true }" },
  { name = "200 with an error for a body", faults = "error_event: { share: 0.4, again: true }", errors = true },
  { name = "JSON that breaks off", faults = "bad_json: { share: 0.3, again: true }" },
  { name = "silence", faults = "stall: { share: 0.2, again: true }", datasets = { "gsm8k" } },
  { name = "bytes that are no UTF-8", faults = "bad_utf8: { share: 0.5, again: true }", errors = false },
  { name = "bytes that come one by one", faults = "split: 1, crlf: 0.5, comments: 0.5", errors = false, datasets = { "gsm8k" } },
  { name = "events that come together or cut anywhere", errors = false,
    faults = "coalesce: { share: 0.5, events: 5 }, wire_split: { share: 0.5, bytes: 11 }", datasets = { "gsm8k" } },
}

local function case_run(case)
  local folder = support.folder()
  -- a limit of time belongs to the case that is about it; elsewhere a busy machine must not run into one
  local limits = case.name == "silence" and ", idle_timeout_s: 2, first_byte_timeout_s: 2" or ""
  local path = support.config(folder, { sim = "faults: { " .. case.faults .. " }",
    benchmark = "retries: " .. RETRIES .. ", max_error_rate: 0" .. limits })
  local words = { "--config", path, "--limit", case.name == "silence" and "12" or "24" }
  for _, dataset in ipairs(case.datasets or { "gsm8k", "hellaswag", "mmlu" }) do table.insert(words, 1, dataset) end
  return support.run(folder, words)
end

local function totals(compared)
  local errors = 0
  for _, counts in pairs(compared.counts) do errors = errors + counts.errors end
  return errors
end

local function faults_in(dir)
  local count = 0
  for _, by_id in pairs(ledger.read(dir .. "/logs/one.ledger.jsonl").faults) do
    for _, list in pairs(by_id) do count = count + #list end
  end
  return count
end

describe("a run whose server sends", function()
  local runs = {}

  setup(function()
    local jobs = {}
    for i, case in ipairs(CASES) do jobs[i] = function() return case_run(case) end end
    runs = support.at_once(jobs)
  end)
  teardown(support.clean)

  for i, case in ipairs(CASES) do
    it(case.name .. " counts what the ledger counts", function()
      local run = runs[i]
      assert.is_string(run.dir, run.all)
      local compared = ledger.compare(run.dir, { retries = not case.tries_unseen and RETRIES or nil })
      assert.same({}, compared.mismatches)
      assert.is_true(compared.checked > 0)
      local errors = totals(compared)
      assert.equal(errors > 0 and 1 or 0, run.code, run.all)
      if case.errors ~= nil then assert.equal(case.errors, errors > 0) end
      if not case.faults:find "split" then assert.is_true(faults_in(run.dir) > 0, "no fault hit anything") end
      if errors > 0 then
        assert.is_truthy(run.err:find("questions ended in an error", 1, true))
        assert.is_truthy(run.err:find("the results are marked not usable", 1, true))
        assert.is_false(support.results(run.dir).summary.all_usable)
      end
    end)
  end

  it("something of everything gives the answers of a run without faults", function()
    local outcomes = {}
    for n, faults in ipairs { "rst: 0.1, \"429\": { share: 0.1, retry_after: 0 }, truncate: 0.1, bad_json: 0.1, close: 0.1", "" } do
      local folder = support.folder()
      local path = support.config(folder, { sim = "faults: { " .. faults .. " }", benchmark = "retries: 20" })
      local run = support.run(folder, { "gsm8k", "mmlu", "--config", path, "--limit", "20", "--concurrency", "32" })
      assert.equal(0, run.code, run.all)
      outcomes[n] = support.rows(run.dir, "SELECT dataset, sample, outcome, value, text_sha256 FROM answer ORDER BY 1, 2")
    end
    assert.equal(40, #outcomes[2])
    assert.same(outcomes[2], outcomes[1])
  end)
end)

describe("Retry-After", function()
  teardown(support.clean)

  -- The phase in which one question was asked, in seconds, and the run.
  local function asked_for(retry_after)
    local folder = support.folder()
    local path = support.config(folder, { sim = ('faults: { "429": { first_n: 1, retry_after: %s } }'):format(retry_after),
      benchmark = "retries: 1" })
    local run = support.run(folder, { "gsm8k", "--config", path, "--limit", "1" })
    assert.equal(0, run.code, run.all)
    assert.same({}, ledger.compare(run.dir, { retries = 1 }).mismatches)
    local phase = support.rows(run.dir, "SELECT start_ns, end_ns FROM phase")[1]
    assert.same({ { tries = 2 } }, support.rows(run.dir, "SELECT tries FROM answer"))
    return (phase.end_ns - phase.start_ns) / 1e9, phase.end_ns / 1e9
  end

  it("is waited for: seconds, and a date", function()
    local date_s = os.time() + 6
    local seconds, until_s = table.unpack(support.at_once {
      function() return (asked_for "2") end,
      function() return select(2, asked_for(os.date('!"%a, %d %b %Y %H:%M:%S GMT"', date_s))) end,
    })
    assert.is_true(seconds >= 2, "took " .. seconds)
    assert.is_true(until_s >= date_s, "ended " .. date_s - until_s .. " s too early")
  end)
end)
