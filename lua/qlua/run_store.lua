-- SPDX-License-Identifier: Apache-2.0
--- The run's store: the records of a run, put and read. SQL lives here and in schema.lua, nowhere else.

local clock = require "qlua.core.clock"
local json = require "qlua.core.json"
local pack = require "qlua.core.pack"
local schema = require "qlua.schema"
local secrets = require "qlua.secrets"
local core_text = require "qlua.core.text"
local store = require "qlua.core.store"

local run_store = {}
run_store.__index = run_store

--- Open `<dir>/run.db`.
-- @tparam string dir the run's folder
-- @tparam[opt] table options read_only: for reports of a run that may still be going on
-- @return the store, or nil and err
function run_store.open(dir, options)
  local db, err = store.open(dir .. "/run.db", {
    schema = schema.sql, version = schema.version, read_only = options and options.read_only,
    max_pages = options and options.max_pages,
  })
  if not db then return nil, err end
  return setmetatable({ db = db, prompts_seen = {} }, run_store)
end

local function must(ok, err)
  if not ok then error(err, 0) end
  return ok
end

-- A record as JSON. Keys that are known to this process are in none, whatever put them there.
local function encoded(record) return secrets.hide_known(json.encode(record)) end

function run_store:put(sql, ...)
  return must(self.db:put(sql, ...))
end

function run_store:one(sql, ...)
  return must(self.db:rows(sql, ...))[1]
end

--- Read or write one value of the run's meta table (tables as JSON).
function run_store:meta(key, value)
  if value ~= nil then
    self:put("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, encoded(value))
    return value
  end
  local row = self:one("SELECT value FROM meta WHERE key = ?", key)
  return row and (json.decode(row.value))
end

function run_store:open_session(started_at, record)
  self:put("INSERT INTO session (started_at, record) VALUES (?, ?)", started_at, encoded(record))
  self.session = self:one("SELECT max(number) AS number FROM session").number
  return self.session
end

function run_store:put_variant(name, position, identity, record)
  self:put("INSERT OR REPLACE INTO variant VALUES (?, ?, ?, ?)", name, position, identity, encoded(record))
end

function run_store:put_dataset(name, position, record)
  self:put("INSERT OR REPLACE INTO dataset VALUES (?, ?, ?)", name, position, encoded(record))
end

local function records(rows)
  local list = {}
  for _, row in ipairs(rows) do
    local record = json.decode(row.record)
    record.name, record.identity = row.name, row.identity
    list[#list + 1] = record
  end
  return list
end

--- The variants of the run; the baseline's second pass is none of them.
function run_store:variants()
  local list = {}
  for _, record in ipairs(records(must(self.db:rows "SELECT * FROM variant ORDER BY position"))) do
    if not record.control_of then list[#list + 1] = record end
  end
  return list
end

--- The baseline's second pass, if the run has one: `{ name, control_of, share, expected, identity }`.
function run_store:control()
  for _, record in ipairs(records(must(self.db:rows "SELECT * FROM variant"))) do
    if record.control_of then return record end
  end
end

--- The datasets of the run; turned questions (`qlua.permute`) are none of them.
function run_store:datasets()
  local list = {}
  for _, record in ipairs(records(must(self.db:rows "SELECT * FROM dataset ORDER BY position"))) do
    if not record.turned_of then list[#list + 1] = record end
  end
  return list
end

--- Answers to turned questions and to the same ones as they stand: variant → dataset → rows as `permute.summary` wants them.
function run_store:turned()
  local found = {}
  for _, record in ipairs(records(must(self.db:rows "SELECT * FROM dataset ORDER BY position"))) do
    for row in self.db:each([[SELECT a.variant, substr(t.sample, 1, instr(t.sample, '~') - 1) AS sample,
        CAST(substr(t.sample, instr(t.sample, '~') + 1) AS INTEGER) AS turn, t.outcome, t.value, a.outcome AS first_outcome,
        a.value AS first_value FROM answer t JOIN answer a ON a.variant = t.variant AND a.dataset = ? AND a.repeat_index = 0
        AND a.sample = substr(t.sample, 1, instr(t.sample, '~') - 1) WHERE t.dataset = ? ORDER BY a.variant, a.sample, turn]],
      record.turned_of or "", record.turned_of and record.name or "") do
      found[row.variant] = found[row.variant] or {}
      local list = found[row.variant][record.turned_of] or {}
      found[row.variant][record.turned_of], list[#list + 1] = list, row
    end
  end
  return found
end

function run_store:put_prompt(sha256, body)
  if self.prompts_seen[sha256] then return end
  self.prompts_seen[sha256] = true
  self:put("INSERT OR IGNORE INTO prompt VALUES (?, ?)", sha256, body)
end

function run_store:put_sample(dataset, sample, prompt_sha256)
  local target = sample.target
  if type(target) == "table" then target = json.encode(target) end
  local input_chars = type(sample.input) == "string" and core_text.chars(sample.input) or nil
  self:put("INSERT OR IGNORE INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)", dataset, sample.id, sample.index, sample.group,
    target ~= nil and tostring(target) or nil, sample.row_sha256, prompt_sha256, input_chars)
end

--- The stored reply to a request that was answered, or nil. Only good replies are replayed; an error is asked again.
function run_store:find_reply(key)
  local row = self:one("SELECT * FROM request WHERE key = ? AND error_kind IS NULL", key)
  if not row then return nil end
  return {
    status = row.status, headers = row.headers and (json.decode(row.headers)) or {},
    body = row.body and must(pack.unpack(row.body)) or "", stamps = row.stamps and must(pack.unpack(row.stamps)) or "",
    marks = { queued_ns = row.queued_ns, start_ns = row.start_ns, connect_ns = row.connect_ns,
      first_byte_ns = row.first_byte_ns, last_byte_ns = row.last_byte_ns, reads = row.reads },
    tries = row.tries, session = row.session, incarnation = row.incarnation,
  }
end

local function packed(text)
  return text and #text > 0 and store.blob(pack.pack(text)) or nil
end

function run_store:put_request(row)
  local reply, marks = row.reply, row.reply.marks or {}
  self:put([[INSERT OR REPLACE INTO request VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)]],
    row.key, row.variant, row.dataset, row.sample, row.repeat_index, row.turn, row.part, self.session, row.path,
    row.prompt_sha256, row.continuation, row.params and secrets.hide_known(row.params), row.tries, reply.status,
    row.error_kind, secrets.hide(row.error_text),
    json.encode(reply.headers or {}), packed(reply.body), packed(reply.stamps),
    marks.queued_ns, marks.start_ns, marks.connect_ns, marks.first_byte_ns, marks.last_byte_ns, marks.reads,
    row.incarnation)
end

--- Is this question answered, by this very variant, row, prompt and sampling? Errors do not count: they are asked again.
-- @treturn ?table outcome, completion_tokens, session, error_text
function run_store:find_answer(identity, variant, dataset, sample, repeat_index)
  local row = self:one([[SELECT identity, outcome, session, completion_tokens, error_text FROM answer
    WHERE variant = ? AND dataset = ? AND sample = ? AND repeat_index = ?]], variant, dataset, sample, repeat_index)
  return row and row.identity == identity and row or nil
end

function run_store:put_answer(row)
  self:put([[INSERT OR REPLACE INTO answer VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)]],
    row.variant, row.dataset, row.sample, row.repeat_index, row.identity, row.prompt_sha256, row.outcome, row.score, row.value, row.how,
    row.span_from, row.span_to, json.encode(row.scores or {}), row.text, row.reasoning, row.finish,
    row.prompt_tokens, row.completion_tokens, row.count_source, row.latency_ns, row.ttft_ns, row.start_ns, row.end_ns,
    row.tries, row.turns, row.text_sha256, secrets.hide(row.error_text), row.session or self.session, row.candidates,
    row.incarnation, row.scoring)
end

--- Answer rows in the order variant, dataset, position, repeat, as qlua.summary wants them.
-- @tparam[opt] string first the variant that comes before all others: what they are compared with
function run_store:answers(first)
  local nextrow, cursor, _, closing = self.db:each([[
    SELECT a.variant, a.dataset, a.sample, s.position, s.grp, s.input_chars, a.repeat_index, a.outcome, a.score, a.scores, a.value,
      a.finish, a.prompt_tokens, a.completion_tokens, a.count_source, a.latency_ns, a.ttft_ns, a.start_ns, a.end_ns, a.tries, a.turns,
      a.text_sha256, a.session, a.prompt_sha256, a.candidates, a.scoring
    FROM answer a JOIN variant v ON v.name = a.variant JOIN dataset d ON d.name = a.dataset
      JOIN sample s ON s.dataset = a.dataset AND s.id = a.sample
    WHERE json_extract(d.record, '$.turned_of') IS NULL
    ORDER BY a.variant <> ?, v.position, d.position, s.position, a.repeat_index]], first or "")
  return function()
    local row = nextrow(cursor)
    if row then
      row.group, row.grp = row.grp, nil
      row.scores = json.decode(row.scores)
      row.scoring = row.scoring and json.decode(row.scoring)
    end
    return row
  end, nil, nil, closing
end

--- All that is known of the answers of one variant on one dataset, in the order of the questions, one at a time.
function run_store:whole_answers(variant, dataset)
  local nextrow, cursor, _, closing = self.db:each([[
    SELECT a.*, s.position, s.grp AS "group", s.target, s.row_sha256
    FROM answer a JOIN sample s ON s.dataset = a.dataset AND s.id = a.sample
    WHERE a.variant = ? AND a.dataset = ? ORDER BY s.position, a.repeat_index]], variant, dataset)
  return function()
    local row = nextrow(cursor)
    if row then row.scores = row.scores and json.decode(row.scores) or {} end
    return row
  end, nil, nil, closing
end

--- Names of the metrics that a scorer gave beside its score, sorted.
function run_store:metrics_of(scorer)
  local names = {}
  for row in self.db:each([[SELECT DISTINCT m.key AS name FROM answer a, json_each(a.scores) s, json_each(s.value, '$.metrics') m
    WHERE s.key = ? ORDER BY m.key]], scorer) do
    names[#names + 1] = row.name
  end
  return names
end

--- Texts of the replies with their prompts, as qlua.health wants them; one at a time, none held on to.
function run_store:texts()
  local nextrow, cursor, _, closing = self.db:each [[
    SELECT a.variant, a.dataset, a.text, p.body AS prompt FROM answer a LEFT JOIN prompt p ON p.sha256 = a.prompt_sha256
    WHERE length(a.text) > 2 ORDER BY a.variant, a.dataset, a.sample, a.repeat_index]]
  return function() return nextrow(cursor) end, nil, nil, closing
end

--- A variant's server is started; the next number of its incarnations.
-- @treturn integer
function run_store:open_server(variant, start_ns, nonce)
  local last = self:one("SELECT max(incarnation) AS n FROM server WHERE variant = ?", variant).n or 0
  self:put("INSERT INTO server (variant, incarnation, session, start_ns, nonce) VALUES (?, ?, ?, ?, ?)", variant, last + 1,
    self.session, start_ns, nonce)
  return last + 1
end

--- What became of it; fields that are nil stay as they are.
-- @tparam table fields ready_ns, end_ns, end_kind, cause, pid
function run_store:update_server(variant, incarnation, fields)
  self:put([[UPDATE server SET ready_ns = coalesce(?, ready_ns), end_ns = coalesce(?, end_ns), end_kind = coalesce(?, end_kind),
    cause = coalesce(?, cause), pid = coalesce(?, pid) WHERE variant = ? AND incarnation = ?]], fields.ready_ns, fields.end_ns,
    fields.end_kind, fields.cause, fields.pid, variant, incarnation)
end

function run_store:open_phase(variant, dataset, start_ns)
  self:put("INSERT INTO phase (session, variant, dataset, start_ns) VALUES (?, ?, ?, ?)", self.session, variant, dataset, start_ns)
  return self:one("SELECT max(id) AS id FROM phase").id
end

function run_store:update_phase(id, end_ns, asked)
  self:put("UPDATE phase SET end_ns = ?, asked = ? WHERE id = ?", end_ns, asked, id)
end

function run_store:phases()
  return must(self.db:rows "SELECT id, variant, dataset, session, start_ns, end_ns, asked FROM phase ORDER BY id")
end

--- One row of `qlua.telemetry`.
function run_store:put_telemetry(moment, where, device, record)
  self:put("INSERT INTO telemetry (session, moment, variant, dataset, phase, at_ns, device, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    self.session, moment, where.variant, where.dataset, where.phase, clock.wall_ns(), device, json.encode(record))
end

--- What `qlua.summary.hardware` wants, or nil for a run without.
-- @treturn ?table `{ facts, rows, phases }`
function run_store:telemetry()
  local facts = self:meta "telemetry"
  if not facts then return nil end
  local rows = must(self.db:rows "SELECT session, moment, variant, dataset, phase, device, record FROM telemetry ORDER BY id")
  for _, row in ipairs(rows) do row.record = json.decode(row.record) end
  return { facts = facts, rows = rows, phases = self:phases() }
end

function run_store:put_event(at_ns, kind, text, where)
  where = where or {}
  self:put("INSERT INTO event (session, at_ns, variant, dataset, sample, kind, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
    self.session, at_ns, where.variant, where.dataset, where.sample, kind, secrets.hide(text))
end

function run_store:commit() return must(self.db:commit()) end
function run_store:close() return self.db:close() end

return run_store
