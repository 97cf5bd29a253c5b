-- SPDX-License-Identifier: Apache-2.0
--- The run's database. Users may query it: `sqlite3 results/…/run.db`.
-- Times ending in _ns of a request and of a load_request are CLOCK_MONOTONIC of the session that sent it;
-- those of answer, phase and load_phase are CLOCK_REALTIME, so that sessions of one run can be put in order. body and stamps of
-- a request are zstd frames.

return {
  version = 5,
  sql = [[
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- one qlua process that worked on this run
CREATE TABLE session (number INTEGER PRIMARY KEY, started_at TEXT NOT NULL, record TEXT NOT NULL);

CREATE TABLE variant (name TEXT PRIMARY KEY, position INTEGER NOT NULL, identity TEXT NOT NULL, record TEXT NOT NULL);

CREATE TABLE dataset (name TEXT PRIMARY KEY, position INTEGER NOT NULL, record TEXT NOT NULL);

CREATE TABLE sample (dataset TEXT NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, grp TEXT, target TEXT,
  row_sha256 TEXT NOT NULL, prompt_sha256 TEXT, input_chars INTEGER, PRIMARY KEY (dataset, id)) WITHOUT ROWID;

CREATE TABLE prompt (sha256 TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;

-- what was sent and what came back; key: sha256 of variant, question, turn, part and body. Rows go in the order they come:
-- a table sorted by its random key would rewrite itself with every reply.
CREATE TABLE request (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, variant TEXT NOT NULL, dataset TEXT NOT NULL, sample TEXT NOT NULL,
  repeat_index INTEGER NOT NULL, turn INTEGER NOT NULL, part INTEGER NOT NULL, session INTEGER NOT NULL,
  path TEXT NOT NULL, prompt_sha256 TEXT, continuation TEXT, params TEXT NOT NULL,
  tries INTEGER NOT NULL, status INTEGER, error_kind TEXT, error_text TEXT, headers TEXT, body BLOB, stamps BLOB,
  queued_ns INTEGER, start_ns INTEGER, connect_ns INTEGER, first_byte_ns INTEGER, last_byte_ns INTEGER, reads INTEGER,
  incarnation INTEGER
);
CREATE INDEX request_by_question ON request (variant, dataset, sample);

-- what became of a question; identity: sha256 of variant, row, prompt, sampling and repeat; candidates: of the next token, where
-- its log-probabilities were asked for (mode letter), as JSON { token: log-probability }; scoring: by which means choices or
-- labels were scored, as JSON { means, was_cut, is_escalated, moved_back }
CREATE TABLE answer (variant TEXT NOT NULL, dataset TEXT NOT NULL, sample TEXT NOT NULL, repeat_index INTEGER NOT NULL,
  identity TEXT NOT NULL, prompt_sha256 TEXT, outcome TEXT NOT NULL, score REAL, value TEXT, how TEXT, span_from INTEGER, span_to INTEGER,
  scores TEXT, text TEXT, reasoning TEXT, finish TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, count_source TEXT,
  latency_ns INTEGER, ttft_ns INTEGER, start_ns INTEGER, end_ns INTEGER, tries INTEGER, turns INTEGER, text_sha256 TEXT,
  error_text TEXT, session INTEGER NOT NULL, candidates TEXT, incarnation INTEGER, scoring TEXT,
  PRIMARY KEY (variant, dataset, sample, repeat_index)) WITHOUT ROWID;

-- each start of a variant's server, numbered from 1 over all sessions: the incarnation that an answer came from. end_kind: stopped,
-- crashed, failed (was never ready); cause: why, in one sentence
CREATE TABLE server (variant TEXT NOT NULL, incarnation INTEGER NOT NULL, session INTEGER NOT NULL, start_ns INTEGER NOT NULL,
  ready_ns INTEGER, end_ns INTEGER, end_kind TEXT, cause TEXT, pid INTEGER, nonce TEXT,
  PRIMARY KEY (variant, incarnation)) WITHOUT ROWID;

-- the time in which a session asked a variant a dataset: the window that throughput is taken over
CREATE TABLE phase (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, variant TEXT NOT NULL, dataset TEXT NOT NULL,
  start_ns INTEGER NOT NULL, end_ns INTEGER, asked INTEGER NOT NULL DEFAULT 0);

-- one measurement under load, or the warm-up before it: a point of the plan in one replicate on one variant; kind: warmup, measure
-- or cut (stopped before its end; never counted). record: what was planned and what the client did (docs/load.md)
CREATE TABLE load_phase (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, variant TEXT NOT NULL, point TEXT NOT NULL,
  replicate INTEGER NOT NULL, kind TEXT NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, record TEXT NOT NULL);

-- its requests, as stamped (lua/qlua/load/row.lua says what each column is); events is a zstd frame of packed events
CREATE TABLE load_request (id INTEGER PRIMARY KEY, phase INTEGER NOT NULL, "index" INTEGER NOT NULL, stage TEXT NOT NULL,
  session TEXT, turn INTEGER, warmup INTEGER, due_ns INTEGER, queued_ns INTEGER, start_ns INTEGER, sent_ns INTEGER, connect_ns INTEGER,
  first_byte_ns INTEGER, last_byte_ns INTEGER, stream_end_ns INTEGER, reads INTEGER, stamp_source TEXT, streamed INTEGER, events BLOB,
  comments INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER, count_source TEXT, weight_source TEXT, cached_tokens INTEGER,
  reasoning_tokens INTEGER, finish TEXT, text_chars INTEGER, text TEXT, outcome TEXT NOT NULL, error_text TEXT, max_tokens INTEGER,
  requested_tokens INTEGER);
CREATE INDEX load_request_by_phase ON load_request (phase, "index");

-- what the GPUs did: moment idle, baseline, loaded or phase; record: figures of one device (docs/gpu.md)
CREATE TABLE telemetry (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, moment TEXT NOT NULL, variant TEXT, dataset TEXT,
  phase INTEGER, at_ns INTEGER NOT NULL, device TEXT NOT NULL, record TEXT NOT NULL);

-- retries, crashes, warnings: what a reader of the numbers may want to know
CREATE TABLE event (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, at_ns INTEGER NOT NULL, variant TEXT, dataset TEXT,
  sample TEXT, kind TEXT NOT NULL, text TEXT NOT NULL);
]],
}
