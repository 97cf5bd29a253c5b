-- SPDX-License-Identifier: Apache-2.0
--- Samples: the single questions of a run, out of its store, for pages that show more than the Summary holds.
--
-- A layout gets one as `page.samples` when it asks for it (`wants = { "samples" }`) and the run's database is there;
-- from a results file alone it gets none. Nothing here decides how anything looks: rows, texts, and the numbers that
-- plots are drawn from. Texts come from models and are hostile: they leave here as valid UTF-8 and nothing else is
-- done to them; who shows them must treat them as data.
local http = require "qlua.core.http"
local json = require "qlua.core.json"
local outcomes = require "qlua.outcomes"
local pack = require "qlua.core.pack"
local prompts = require "qlua.prompts"
local stats = require "qlua.core.stats"
local text = require "qlua.core.text"

local samples = {}
samples.__index = samples

--- Replies whose stamps are read for the times between tokens, for each variant and dataset.
samples.MAX_STREAMS = 300
--- Bytes of one text that are handed out; a longer one is cut and says so.
samples.MAX_TEXT = 256 * 1024

local function must(value, err)
  if not value then error(err, 0) end
  return value
end

--- @tparam table store an open `qlua.run_store`
function samples.open(store)
  local self = setmetatable({ store = store, db = store.db, datasets = {}, variants = {} }, samples)
  for i, dataset in ipairs(store:datasets()) do
    self.datasets[i] = dataset
    self.datasets[dataset.name] = dataset
  end
  self.places = {} -- a variant's position in the store → its number
  for i, row in ipairs(must(self.db:rows "SELECT name, position FROM variant ORDER BY position")) do
    self.variants[i], self.places[row.position] = row.name, i
  end
  local again = store:control()
  for i, name in ipairs(self.variants) do
    if again and name == again.name then self.control = i end
  end
  return self
end

--- The right answer as the scorers' values are written: a letter where letters are asked for.
function samples:gold(dataset, target)
  local facts = self.datasets[dataset]
  local index = target and math.tointeger(tonumber(target))
  if facts and facts.mode == "letter" and index and index >= 0 and index < 26 then return prompts.letter(index) end
  return target
end

local ROWS = [[
  SELECT a.dataset, a.sample, a.repeat_index, s.grp, s.target, v.position AS variant, a.outcome, a.value, a.latency_ns,
    a.text_sha256
  FROM answer a JOIN variant v ON v.name = a.variant JOIN dataset d ON d.name = a.dataset
    JOIN sample s ON s.dataset = a.dataset AND s.id = a.sample
  ORDER BY d.position, s.position, a.repeat_index, v.position]]

--- Every question asked, with what became of it for each variant: an iterator over
-- `{ dataset, sample, repeat_index, group, gold, answers = { [variant index] = { outcome, value, latency_ns } } }`,
-- datasets and questions in the run's order.
function samples:rows()
  local nextrow, cursor, _, closing = self.db:each(ROWS)
  local places, ahead = self.places, nextrow(cursor)
  return function()
    if not ahead then return nil end
    local row = { dataset = ahead.dataset, sample = ahead.sample, repeat_index = ahead.repeat_index, group = ahead.grp,
      gold = self:gold(ahead.dataset, ahead.target), answers = {} }
    repeat
      row.answers[places[ahead.variant]] = { outcome = ahead.outcome, value = ahead.value, latency_ns = ahead.latency_ns,
        text_sha256 = ahead.text_sha256 }
      ahead = nextrow(cursor)
    until not ahead or ahead.sample ~= row.sample or ahead.dataset ~= row.dataset or ahead.repeat_index ~= row.repeat_index
    return row
  end, nil, nil, closing
end

-- ---- texts ------------------------------------------------------------------------------------------------------

local function whole(value)
  if value == nil then return nil end
  if #value > samples.MAX_TEXT then return text.repair(value:sub(1, samples.MAX_TEXT)), #value end
  return text.repair(value)
end

-- A page counts UTF-16 units where the store counts bytes, and repairing changes the count of bytes.
local function units(prefix)
  local n = 0
  for _, code in utf8.codes(text.repair(prefix)) do n = n + (code > 0xFFFF and 2 or 1) end
  return n
end

--- Bytes `from` to `to` (both included) of a text as UTF-16 units, from 0, the end excluded.
function samples.span(value, from, to)
  if not value or not from or not to or from < 1 or to < from or to > #value or to > samples.MAX_TEXT then return nil end
  return units(value:sub(1, from - 1)), units(value:sub(1, to))
end

local function judgements(answer)
  local list = {}
  local scores = answer.scores and json.decode(answer.scores) or {}
  for name, judged in pairs(type(scores) == "table" and scores or {}) do
    local from, to
    if type(judged.span) == "table" then from, to = samples.span(answer.text, judged.span.from, judged.span.to) end
    list[#list + 1] = { scorer = name, outcome = judged.outcome, value = judged.value and text.repair(tostring(judged.value)),
      how = judged.how and text.repair(tostring(judged.how)), from = from, to = to }
  end
  if #list < 2 then return nil end -- one scorer says what the answer's row says
  table.sort(list, function(a, b) return a.scorer < b.scorer end)
  return json.array(list)
end

local ANSWERS = [[SELECT v.position AS variant, a.text, a.reasoning, a.how, a.span_from, a.span_to, a.scores, a.error_text,
    a.finish, a.prompt_tokens, a.completion_tokens, a.latency_ns, a.ttft_ns
  FROM variant v CROSS JOIN answer a ON a.variant = v.name AND a.dataset = ? AND a.sample = ? AND a.repeat_index = ?]]

local function answer_texts(row)
  local reply, length = whole(row.text)
  local from, to = samples.span(row.text, row.span_from, row.span_to)
  return { text = reply, length = length, reasoning = (whole(row.reasoning)), from = from, to = to,
    how = row.how and text.repair(row.how), scores = judgements(row), finish = row.finish,
    error = row.error_text and (whole(row.error_text)), prompt_tokens = row.prompt_tokens, tokens = row.completion_tokens,
    ttft_ms = row.ttft_ns and math.floor(row.ttft_ns / 1e5 + 0.5) / 10 }
end

-- What the variants chose from, where each choice was a request of its own.
local function choices(self, dataset, sample)
  if (self.datasets[dataset] or {}).mode ~= "loglikelihood" then return nil end
  local list = {}
  for _, variant in ipairs(self.variants) do
    for _, row in ipairs(must(self.db:rows([[SELECT part, continuation FROM request WHERE variant = ? AND dataset = ?
        AND sample = ? AND repeat_index = 0 AND continuation IS NOT NULL]], variant, dataset, sample))) do
      list[row.part] = (whole(row.continuation))
    end
    if #list > 0 then return json.array(list) end
  end
end

--- What was asked and what came back for one question, or nil when it is not there.
-- @treturn ?table `{ prompt, choices, answers = { [variant index, from 1] = { text, reasoning, from, to, how, scores, … } or
-- null } }`; `from` and `to` are UTF-16 units of `text`
function samples:texts(dataset, sample, repeat_index)
  local prompt = must(self.db:rows([[SELECT p.body FROM sample s JOIN prompt p ON p.sha256 = s.prompt_sha256
    WHERE s.dataset = ? AND s.id = ?]], dataset, sample))[1]
  local answers = {}
  for i in ipairs(self.variants) do answers[i] = json.null end
  local rows = must(self.db:rows(ANSWERS, dataset, sample, repeat_index or 0))
  if #rows == 0 then return nil end
  for _, row in ipairs(rows) do answers[self.places[row.variant]] = answer_texts(row) end
  return { prompt = prompt and (whole(prompt.body)), choices = choices(self, dataset, sample), answers = json.array(answers) }
end

-- ---- numbers for plots --------------------------------------------------------------------------------------------

-- Enough places to draw a distribution function by, dense in the tail.
local SHARES = {}
for i = 0, 98 do SHARES[#SHARES + 1] = i / 100 end
for i = 0, 10 do SHARES[#SHARES + 1] = 0.99 + i / 1000 end

local function distribution(list)
  if #list == 0 then return nil end
  local cut = stats.quantile(list, SHARES)
  local points = {}
  for i, share in ipairs(SHARES) do points[i] = { x = cut[i], share = share } end
  return { n = #list, points = points }
end

local FIELDS = { latency = "latency_ns", ttft = "ttft_ns" }

--- The distribution of a time over a variant's answers to a dataset.
-- @tparam string field `latency` or `ttft`
-- @treturn ?table `{ n, points = { { x = seconds, share }, … } }`, nil where nothing was measured
function samples:distribution(field, variant, dataset)
  local column = FIELDS[field] or error(("samples: distribution: want latency or ttft, got '%s'"):format(tostring(field)), 2)
  local list = {}
  local rows = must(self.db:rows(([[SELECT %s AS ns FROM answer WHERE variant = ? AND dataset = ? AND %s IS NOT NULL
    AND outcome NOT IN (%s)]]):format(column, column, outcomes.sql_errors), variant, dataset))
  for i, row in ipairs(rows) do list[i] = row.ns / 1e9 end
  return distribution(list)
end

local TEXT_KEYS = { '"text":%s*"[^"]', '"content":%s*"[^"]', '"reasoning_content":%s*"[^"]', '"reasoning":%s*"[^"]' }

local function has_text(data)
  for _, pattern in ipairs(TEXT_KEYS) do
    if data:find(pattern) then return true end
  end
  return false
end

local function add_gaps(list, body, stamps)
  local before
  for _, event in ipairs(http.split_events(body, stamps) or {}) do
    if event.at_ns and event.data and has_text(event.data) then
      if before then list[#list + 1] = (event.at_ns - before) / 1e9 end
      before = event.at_ns
    end
  end
end

--- The distribution of the times between events with text, from the stored stamps of up to `MAX_STREAMS` replies
-- spread evenly over the dataset.
-- @treturn ?table as `distribution`, with `replies` (how many were read) and `of` (how many there are)
function samples:gaps(variant, dataset)
  if ((self.datasets[dataset] or {}).mode or "generate") ~= "generate" then return nil end
  local keys = must(self.db:rows([[SELECT key FROM request WHERE variant = ? AND dataset = ? AND stamps IS NOT NULL
    AND error_kind IS NULL ORDER BY sample, turn, part, repeat_index]], variant, dataset))
  local step = math.max(1, #keys // samples.MAX_STREAMS)
  local list, replies = {}, 0
  for i = 1, #keys, step do
    local row = must(self.db:rows("SELECT body, stamps FROM request WHERE key = ?", keys[i].key))[1]
    local body, stamps = row and row.body and pack.unpack(row.body), row and row.stamps and pack.unpack(row.stamps)
    if body and stamps then
      add_gaps(list, body, stamps)
      replies = replies + 1
    end
  end
  local result = distribution(list)
  if result then result.replies, result.of = replies, #keys end
  return result
end

--- When what was asked: `{ phases = { { variant, dataset, session, from, to, asked }, … }, events = { { at, kind,
-- variant }, … } }`, times in seconds since the first phase began.
function samples:timeline()
  local phases, events, zero = {}, {}, nil
  for _, phase in ipairs(self.store:phases()) do
    zero = zero or phase.start_ns
    if phase.end_ns then
      phases[#phases + 1] = { variant = phase.variant, dataset = phase.dataset, session = phase.session,
        from = (phase.start_ns - zero) / 1e9, to = (phase.end_ns - zero) / 1e9, asked = phase.asked }
    end
  end
  local rows = must(self.db:rows "SELECT at_ns, kind, variant FROM event ORDER BY at_ns LIMIT 5000")
  for i, row in ipairs(zero and rows or {}) do
    events[i] = { at = (row.at_ns - zero) / 1e9, kind = row.kind, variant = row.variant }
  end
  return { phases = phases, events = events }
end

return samples
