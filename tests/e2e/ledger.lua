-- SPDX-License-Identifier: Apache-2.0
--- Ledger: a finished run against what its simulated servers had planted, question by question.
-- The ledger's lines are read here as `docs/sim.md` describes them, without any of the program's own code for
-- scoring or summing up: the comparison is worth what it does not share. Used by the end-to-end tests and by
-- `tools/check_ledger.lua`.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local schema = require "qlua.schema"
local store = require "qlua.core.store"

local ledger = {}

local INVALID = { no_answer = true, ambiguous = true, empty = true, refused = true, truncated = true, truncated_reasoning = true }
local function is_error(outcome) return outcome ~= "correct" and outcome ~= "wrong" and not INVALID[outcome] end

--- Read one ledger.
-- @treturn ?table { header, questions = { dataset → { id → record } }, faults = { dataset → { id → list } }, count }
function ledger.read(path)
  local read = { questions = {}, faults = {}, count = 0 }
  local lines, err = file.lines(path)
  if not lines then return nil, err end
  for line in lines do
    local record = assert(json.decode(line))
    if record.simulated then
      read.header = record
    else
      local kind = record.fault and read.faults or read.questions
      local name = record.dataset or ""
      kind[name] = kind[name] or {}
      if record.fault then
        kind[name][record.id or ""] = kind[name][record.id or ""] or {}
        table.insert(kind[name][record.id or ""], record)
      else
        assert(not kind[name][record.id], record.id .. " is planned twice")
        kind[name][record.id] = record
        read.count = read.count + 1
      end
    end
  end
  return read
end

-- "3.50" and "7/2", "18" and "18.0" are one number; else the texts count.
local function same_value(planned, got, mode)
  if mode == "loglikelihood" then return got == tostring(planned:byte() - 65) end -- the planned letter, the index
  if planned == got then return true end
  local left, right = tonumber(planned), tonumber(got)
  if not right then
    local above, below = tostring(got):match "^(-?%d+)/(%d+)$"
    right = above and tonumber(above) / tonumber(below)
  end
  return left ~= nil and left == right
end

--- The tries that a policy of retries makes of the faults of one question, asked by one request.
-- @tparam {table,...} faults the question's, in order
-- @tparam integer retries
-- @treturn integer tries, ?string outcome when all of them failed
function ledger.expected_tries(faults, retries)
  local by_attempt = {}
  for _, fault in ipairs(faults) do by_attempt[fault.attempt] = fault end
  local tries, alike = 0, {}
  while true do
    tries = tries + 1
    local fault = by_attempt[tries]
    local outcome, more = ledger.failure(fault)
    if not outcome then return tries end
    local kind = fault.status or outcome
    alike[kind] = (alike[kind] or 0) + 1
    if tries > retries or alike[kind] > more then return tries, outcome end
  end
end

local ONCE_MORE, ALWAYS = 1, math.huge

--- What a fault makes of one try: the outcome if no other follows, and how many more are worth it.
-- The rules are those of `qlua.retry`, written down a second time on purpose.
-- @treturn ?string nil when the try succeeds
function ledger.failure(fault)
  if not fault then return nil end
  local kind, status = fault.fault, fault.status or 500
  if kind == "http" then
    if status == 500 then return "http_5xx", ONCE_MORE end
    if status == 502 or status == 503 or status == 504 then return "http_5xx", ALWAYS end
    if status == 408 or status == 409 or status == 425 or status == 429 then return "http_4xx", ALWAYS end
    return status >= 500 and "http_5xx" or "http_4xx", 0
  elseif kind == "html" then
    return "http_5xx", ALWAYS
  elseif kind == "error_event" then
    return "http_5xx", ONCE_MORE
  elseif kind == "stall" then
    return "timeout", ONCE_MORE
  elseif kind == "bad_utf8" or kind == "slow" then
    return nil
  end
  return "protocol", ALWAYS -- rst, truncate, close, garbage, no_done, bad_json
end

-- ---- comparing ------------------------------------------------------------------------------------------------

local function complain(self, ...) self.mismatches[#self.mismatches + 1] = string.format(...) end

local function compare_answer(self, row, planned)
  local where = ("%s %s"):format(row.variant, row.sample)
  if not planned then return complain(self, "%s: answered, but never planned", where) end
  if row.outcome ~= planned.outcome then
    return complain(self, "%s: planned %s, got %s%s", where, planned.outcome, row.outcome,
      row.error_text and " (" .. row.error_text .. ")" or "")
  end
  if planned.value and not same_value(planned.value, row.value, planned.mode) then
    complain(self, "%s: planned the value %s, got %s", where, planned.value, tostring(row.value))
  end
end

-- An error is never planned as an answer: the faults must explain it, and its number of tries.
local function compare_error(self, row, faults, retries)
  local where = ("%s %s"):format(row.variant, row.sample)
  if #faults == 0 then
    return complain(self, "%s: %s (%s), but no fault was planted", where, row.outcome, tostring(row.error_text))
  end
  if not retries then return end
  local tries, outcome = ledger.expected_tries(faults, retries)
  if outcome ~= row.outcome then complain(self, "%s: the faults make %s, got %s", where, tostring(outcome), row.outcome) end
  if tries ~= row.tries then complain(self, "%s: the faults make %d tries, got %s", where, tries, tostring(row.tries)) end
end

local function count(self, row, planned)
  local key = row.variant .. " " .. row.dataset
  local counts = self.counts[key]
  if not counts then
    counts = { variant = row.variant, dataset = row.dataset, total = 0, correct = 0, wrong = 0, invalid = 0, errors = 0 }
    self.counts[key], self.order[#self.order + 1] = counts, key
  end
  counts.total = counts.total + 1
  -- an error is known from the row; everything else is taken from the plan, not from the run
  if is_error(row.outcome) then
    counts.errors = counts.errors + 1
  elseif planned then
    local class = INVALID[planned.outcome] and "invalid" or planned.outcome
    counts[class] = counts[class] + 1
  end
end

local function compare_row(self, row, planted, retries)
  local planned = (planted.questions[row.dataset] or {})[row.sample]
  local faults = (planted.faults[row.dataset] or {})[row.sample] or {}
  self.checked = self.checked + 1
  count(self, row, planned)
  if is_error(row.outcome) then return compare_error(self, row, faults, retries) end
  compare_answer(self, row, planned)
  if retries and planned and planned.mode ~= "loglikelihood" then -- one request, so its tries are known
    local tries, outcome = ledger.expected_tries(faults, retries)
    if outcome then
      complain(self, "%s %s: the faults make %s, got %s", row.variant, row.sample, outcome, row.outcome)
    elseif tries ~= row.tries then
      complain(self, "%s %s: the faults make %d tries, got %s", row.variant, row.sample, tries, tostring(row.tries))
    end
  end
end

-- Each planned question has exactly one answer.
local function compare_coverage(self, variant, planted, seen)
  for dataset, questions in pairs(planted.questions) do
    for id in pairs(questions) do
      local times = (seen[dataset] or {})[id] or 0
      if times ~= 1 then complain(self, "%s %s: planned once, answered %d times", variant, id, times) end
    end
  end
end

local function compare_results(self, dir)
  local doc = assert(json.decode(assert(file.read(dir .. "/evaluation_results.json"))))
  for _, key in ipairs(self.order) do
    local counts = self.counts[key]
    local cell = doc.variants[counts.variant].datasets[counts.dataset]
    local answered = counts.correct + counts.wrong + counts.invalid
    local want = { num_total = counts.total, num_correct = counts.correct, num_invalid = counts.invalid, num_errors = counts.errors,
      num_wrong = counts.wrong, accuracy = answered > 0 and counts.correct / answered or nil,
      invalid_rate = answered > 0 and counts.invalid / answered or nil, error_rate = counts.errors / counts.total }
    for field, value in pairs(want) do
      if cell[field] ~= value then
        complain(self, "%s: evaluation_results.json: %s: the ledger makes %s, got %s", key, field, value, tostring(cell[field]))
      end
    end
  end
end

--- Compare a run with its ledgers.
-- @tparam string dir the run's folder
-- @tparam[opt] table options retries: the run's number of retries, to check each question's tries and errors exactly
--   (only for one undisturbed session without warm-up, whose requests are attempts of their own)
-- @treturn table { checked, mismatches = {text,…}, counts = { "variant dataset" → {total, correct, wrong, invalid, errors} }, order }
function ledger.compare(dir, options)
  local self = { checked = 0, mismatches = {}, counts = {}, order = {} }
  local retries = options and options.retries
  local db = assert(store.open(dir .. "/run.db", { read_only = true, version = schema.version }))
  -- a ledger has the first pass only; the control pass is no variant of its own
  for _, variant in ipairs(assert(db:rows [[SELECT name FROM variant WHERE json_extract(record, '$.control_of') IS NULL
      ORDER BY position]])) do
    local planted, err = ledger.read(("%s/logs/%s.ledger.jsonl"):format(dir, variant.name))
    if not planted then
      complain(self, "%s: no ledger: %s", variant.name, err.text)
    else
      if not planted.header or planted.header.questions ~= planted.count then
        complain(self, "%s: its ledger is incomplete", variant.name)
      end
      local seen = {}
      for row in db:each([[SELECT a.variant, a.dataset, a.sample, a.outcome, a.value, a.error_text, a.tries FROM answer a
          JOIN sample s ON s.dataset = a.dataset AND s.id = a.sample WHERE a.variant = ? ORDER BY a.dataset, s.position]], variant.name) do
        compare_row(self, row, planted, retries)
        seen[row.dataset] = seen[row.dataset] or {}
        seen[row.dataset][row.sample] = (seen[row.dataset][row.sample] or 0) + 1
      end
      compare_coverage(self, variant.name, planted, seen)
    end
  end
  db:close()
  compare_results(self, dir)
  return self
end

return ledger
