-- SPDX-License-Identifier: Apache-2.0
--- Pipeline: asks one variant all questions of one dataset.
-- Twice as many workers as the window is wide: while one half waits for the server, the other half's requests are
-- prepared and queued on the I/O thread, so a slow script never drains the window. A worker takes one sample from row
-- to put; a script's error costs that sample and is named.

local concurrent = require "qlua.concurrent"
local evaluate = require "qlua.evaluate"
local guard = require "qlua.core.guard"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local outcomes = require "qlua.outcomes"
local prompts = require "qlua.prompts"
local reply = require "qlua.reply"
local restarts = require "qlua.supervisor.restarts"
local sandbox = require "qlua.sandbox"
local scoring = require "qlua.scoring"

local pipeline = {}

--- Give up on a dataset when this many questions in a row from its start were refused in the same way.
pipeline.hopeless_after = 20

local function stops_of(prompt, sampling)
  local stops, seen = {}, {}
  for _, list in ipairs { prompt.stop or {}, sampling.stop or {} } do
    for _, stop in ipairs(list) do
      if stop ~= "" and not seen[stop] then
        seen[stop] = true
        stops[#stops + 1] = stop
      end
    end
  end
  return stops
end

-- Stops are applied here too: a server takes only some, and one code path gives one result. What a model thinks is not
-- what it says: a stop string in its thoughts ends nothing.
local function cut_at_stops(text, stops)
  local visible = reply.after_reasoning(text)
  if not visible then return text end
  local cut = #text + 1
  for _, stop in ipairs(stops) do
    local from = text:find(stop, visible, true)
    if from and from < cut then cut = from end
  end
  return text:sub(1, cut - 1)
end

local function prompt_body(prompt)
  return prompt.text or json.encode(json.array(prompt.messages))
end

local function sampling_for(job, prompt)
  local sampling = {}
  for key, value in pairs(job.sampling) do sampling[key] = value end
  sampling.max_tokens = prompt.max_tokens or sampling.max_tokens
  sampling.stop = stops_of(prompt, job.sampling)
  if sampling.seed then sampling.seed = sampling.seed + job.repeat_index end
  return sampling
end

local function new_ask(job, sample, prompt, prompt_sha256, fields)
  local ask = { dataset = job.dataset.name, sample = sample.id, repeat_index = job.repeat_index, turn = 0, part = 0,
    mode = job.mode, prompt = prompt, prompt_sha256 = prompt_sha256, sampling = sampling_for(job, prompt),
    endpoint = prompt.messages and "chat" or job.endpoint, stream = job.stream and job.mode == "generate", model = job.model,
    extra_body = job.extra_body, server = job.variant.server }
  for key, value in pairs(fields or {}) do ask[key] = value end
  return ask
end

-- ---- one way to ask per mode: → Response, or nil and err ----------------------------------------------

local askers = {}

function askers.generate(job, sample, prompt, prompt_sha256, fields)
  local ask = new_ask(job, sample, prompt, prompt_sha256, fields)
  local response, err = job.sender:ask(ask)
  if not response then return nil, err end
  if job.sampling.reasoning == "opened" and not response.reasoning then
    response.text = reply.reopened(response.text) -- the template has opened the thoughts, so the reply begins inside them
  end
  local text = cut_at_stops(response.text, ask.sampling.stop)
  if #text < #response.text then -- it had said all: running on into a token limit does not make it cut off
    response.text, response.finish = text, "stop"
  end
  return response
end

-- Time from the first request to the last byte. Clocks of two sessions have nothing in common, and what lay between them
-- is no latency: then it is the time of the requests alone, as if they had been sent in the last session.
local function span_of(responses)
  local first, last = responses[1].sent, responses[#responses].sent
  local end_ns, total_ns = last.marks.last_byte_ns, 0
  for _, response in ipairs(responses) do
    if response.sent.session ~= last.session then first = nil end
    total_ns = total_ns + response.timing.total_ns
  end
  return { start_ns = first and first.marks.start_ns or end_ns - total_ns, last_byte_ns = end_ns }
end

-- A total over requests of which one did not say its part is not known.
local function total_of(responses, field)
  local total = 0
  for _, response in ipairs(responses) do
    total = total and response.usage[field] and total + response.usage[field]
  end
  return total or nil
end

-- Adds up the requests of one question: time from the first to the last, tokens and tries in total.
local function joined(responses)
  local last, tries, is_replayed = responses[#responses], 0, true
  for _, response in ipairs(responses) do
    tries = tries + response.sent.tries
    is_replayed = is_replayed and response.sent.replayed
  end
  local marks = span_of(responses)
  return {
    text = last.text, reasoning = last.reasoning, finish = last.finish, model = last.model,
    usage = { prompt_tokens = total_of(responses, "prompt_tokens"), completion_tokens = total_of(responses, "completion_tokens"),
      source = last.usage.source },
    timing = { total_ns = marks.last_byte_ns - marks.start_ns },
    sent = { tries = tries, marks = marks, session = last.sent.session, incarnation = last.sent.incarnation,
      replayed = is_replayed },
    turns = #responses,
  }
end

local function ask_maker(job, sample, prompt, prompt_sha256)
  return function(fields) return new_ask(job, sample, prompt, prompt_sha256, fields) end
end

local function kept_of(facts)
  return { means = facts.means, was_cut = facts.was_cut or nil, is_escalated = facts.is_escalated or nil,
    moved_back = facts.moved_back and facts.moved_back > 0 or nil }
end

function askers.loglikelihood(job, sample, prompt, prompt_sha256)
  local responses, scored, facts = scoring.choices(job, prompt, ask_maker(job, sample, prompt, prompt_sha256))
  if not responses then return nil, scored end
  for i, continuation in ipairs(prompt.continuations) do scored[i].text = continuation end -- what acc_norm counts the characters of
  local response = joined(responses)
  response.choices, response.text, response.finish, response.scoring = scored, nil, nil, kept_of(facts)
  return response
end

-- The texts of the labels as they stand, and which label each is of where a dataset declares several for one.
local function label_texts(prompt, endpoint)
  local labels, group = {}, prompt.alternatives and {} or nil
  local function add(i, text)
    labels[#labels + 1] = endpoint == "chat" and text:match "^%s*(.*)$" or text -- behind a template the label begins the turn
    if group then group[#labels] = i end
  end
  for i, label in ipairs(prompt.continuations) do
    add(i, label)
    for _, text in ipairs(group and prompt.alternatives[i] or {}) do add(i, text) end
  end
  return labels, group
end

function askers.letter(job, sample, prompt, prompt_sha256)
  local endpoint = prompt.messages and "chat" or job.endpoint
  local labels, group = label_texts(prompt, endpoint)
  local maker = ask_maker(job, sample, prompt, prompt_sha256)
  local responses, given, facts = scoring.labels(job, prompt, labels, endpoint, maker, nil, group)
  if not responses then return nil, given end
  local response = #responses == 1 and responses[1] or joined(responses)
  response.labels, response.candidates, response.scoring = given, scoring.candidates(facts, given, labels), kept_of(facts)
  response.finish = nil -- one token was asked for; that it ended there says nothing
  return response
end

-- ---- several turns --------------------------------------------------------------------------------------

local function as_messages(what)
  if type(what) == "string" then return { { role = "user", content = what } } end
  if type(what) == "table" and what.messages then return what.messages end
  return what
end

-- The script's coroutine is resumed under the guard, turn by turn; `ask` inside it is a yield. What converse returns
-- is the text to be scored; nothing means the last reply.
local function converse(job, sample)
  local co = coroutine.create(function(...) return job.script.converse(...) end)
  local responses, asked = {}, {}
  local function ask(messages) return coroutine.yield(messages) end
  local args = { sample, ask, job.args or {} }
  while true do
    local status, value = guard.resume(sandbox.limits, co, table.unpack(args))
    if not status then return nil, { outcome = "script_error", text = value.text } end
    if status == "end" then
      if #responses == 0 then return nil, { outcome = "script_error", text = job.script.path .. ": converse asked nothing" } end
      local response = joined(responses)
      if type(value) == "string" then response.text = value end
      return response, nil, hash.sha256(table.concat(asked, "\n"))
    end
    local messages = as_messages(value)
    if type(messages) ~= "table" then
      return nil, { outcome = "script_error", text = ("%s: converse: ask wants messages or a text, got %s"):format(
        job.script.path, type(value)) }
    end
    local options = type(value) == "table" and value.messages and value or {}
    local prompt = { messages = messages, stop = options.stop, max_tokens = options.max_tokens }
    local problem = prompts.problem(prompt, "generate")
    if problem then
      return nil, { outcome = "script_error", text = ("%s: converse: ask: %s"):format(job.script.path, problem) }
    end
    local body = prompt_body(prompt)
    local sha = prompts.sha256(prompt)
    job.store:put_prompt(sha, body)
    asked[#asked + 1] = sha
    local response, err = askers.generate(job, sample, prompt, sha, { turn = #responses })
    if not response then return nil, err end
    responses[#responses + 1] = response
    args = { response.text, { finish = response.finish, reasoning = response.reasoning } }
  end
end

-- ---- one sample -----------------------------------------------------------------------------------------

local function identity_of(job, sample, prompt_sha256)
  return hash.sha256(json.encode { job.variant.identity, job.dataset.name, sample.row_sha256, prompt_sha256 or "converse",
    job.mode, job.endpoint, job.sampling, job.repeat_index })
end

local function answer_row(job, sample, identity, prompt_sha256)
  return { variant = job.variant.name, dataset = job.dataset.name, sample = sample.id, repeat_index = job.repeat_index,
    identity = identity, prompt_sha256 = prompt_sha256 }
end

local function add_response(row, response, wall_offset_ns)
  local sent, usage = response.sent, response.usage
  row.text, row.reasoning, row.finish = response.text, response.reasoning, response.finish
  row.prompt_tokens, row.completion_tokens, row.count_source = usage.prompt_tokens, usage.completion_tokens, usage.source
  row.latency_ns, row.ttft_ns = response.timing.total_ns, response.timing.ttft_ns
  row.tries, row.turns, row.session = sent.tries, response.turns, sent.session
  row.incarnation = sent.incarnation
  row.text_sha256 = response.text and hash.sha256(response.text) or nil
  row.candidates = response.candidates and json.encode(response.candidates) or nil
  row.scoring = response.scoring and json.encode(response.scoring) or nil
  row.start_ns, row.end_ns = sent.marks.start_ns + wall_offset_ns, sent.marks.last_byte_ns + wall_offset_ns
end

local function add_judgement(row, judged)
  row.outcome, row.score, row.value, row.how = judged.outcome, judged.score, judged.value, judged.how
  row.scores, row.error_text = judged.scores, judged.error_text
  if judged.span then row.span_from, row.span_to = judged.span.from or judged.span[1], judged.span.to or judged.span[2] end
end

local function ask_sample(job, sample, prompt, prompt_sha256)
  if job.script.converse then return converse(job, sample) end
  return askers[job.mode](job, sample, prompt, prompt_sha256)
end

-- Sample and Prompt of a number. A row or a script that fails costs this sample: it is stored with its cause.
local function prepare(job, index)
  local sample, err = job.task:sample(index)
  if not sample then
    sample = { id = ("%s/%s/%d"):format(job.dataset.name, job.task.split, index), index = index, row_sha256 = "" }
  end
  local prompt, prompt_sha256
  if not err and not job.script.converse then
    prompt, err = job.task:prompt(index)
    local problem = prompt and prompts.problem(prompt, job.mode)
    if problem then
      prompt, err = nil, { kind = "script", text = ("%s: dataset '%s': prompt: %s"):format(job.task:place(index),
        job.dataset.name, problem) }
    elseif prompt then
      prompt_sha256 = prompts.sha256(prompt)
      job.store:put_prompt(prompt_sha256, prompt_body(prompt))
      err = nil -- the sample is the second value of a prompt that was made
    end
  end
  job.store:put_sample(job.dataset.name, sample, prompt_sha256)
  return sample, prompt, prompt_sha256, err
end

-- Errors that asking the same server's next incarnation would only repeat; the others may have been its last words.
local final_errors = { too_long = true, http_4xx = true, script_error = true }

-- Nothing to ask: it has an answer, or it will get none. Errors of earlier sessions are asked again.
local function is_settled(job, known)
  if outcomes.class(known.outcome) ~= "error" then return true end
  if known.error_text == restarts.QUARANTINED then return true end
  return job.is_again and known.session == job.store.session and final_errors[known.outcome] or false
end

local function quarantined(job, row)
  row.outcome, row.error_text, row.tries, row.is_new = "server_dead", restarts.QUARANTINED, 0, false
  job.store:put_answer(row)
  return row
end

local function run_sample(job, index)
  local sample, prompt, prompt_sha256, prepare_err = prepare(job, index)
  local identity = identity_of(job, sample, prompt_sha256)
  local known = not job.force
    and job.store:find_answer(identity, job.variant.name, job.dataset.name, sample.id, job.repeat_index)
  if known and is_settled(job, known) then return known end
  local row = answer_row(job, sample, identity, prompt_sha256)
  if job.is_quarantined and job.is_quarantined(sample.id) then return quarantined(job, row) end
  local response, err
  if prepare_err then
    err = { outcome = "script_error", text = prepare_err.text }
  else
    local turns_sha256
    response, err, turns_sha256 = ask_sample(job, sample, prompt, prompt_sha256)
    row.prompt_sha256 = row.prompt_sha256 or turns_sha256
  end
  if response then
    add_response(row, response, job.wall_offset_of(response.sent.session))
    add_judgement(row, evaluate.response(job.scorers, response, sample))
    row.is_new = not response.sent.replayed
  elseif err.kind == "cancelled" then
    return nil
  else
    row.outcome, row.error_text, row.tries, row.is_new = err.outcome, err.text, err.tries, true
  end
  job.store:put_answer(row)
  return row
end

-- What a replay puts is there already.
local function without_puts(store)
  local function nothing() end
  return setmetatable({ put_prompt = nothing, put_sample = nothing }, { __index = store })
end

--- A question's stored response, made again from what came back then; nothing is sent or put.
-- @tparam table job whose sender only replays
-- @tparam integer index of the sample, from 0
-- @treturn table Sample
-- @treturn ?table Prompt
-- @treturn ?table Response
-- @treturn ?table err why there is none
function pipeline.replay(job, index)
  job.scoring = job.scoring or scoring.of(job.sender.dialect, job.variant)
  local replaying = setmetatable({ store = without_puts(job.store) }, { __index = job })
  local sample, prompt, prompt_sha256, err = prepare(replaying, index)
  if err then return sample, prompt, nil, err end
  local response
  response, err = ask_sample(replaying, sample, prompt, prompt_sha256)
  return sample, prompt, response, err
end

-- ---- all of them ----------------------------------------------------------------------------------------

local function new_tally(total)
  return { total = total, done = 0, asked = 0, correct = 0, errors = 0, tokens = 0, same_refusal = 0 }
end

-- Twenty refusals in a row and not one answer: a wrong key, model or URL; the other thousands would fail the same way.
local function count_refusals(tally, row)
  if outcomes.class(row.outcome) ~= "error" or row.outcome == "too_long" then
    tally.same_refusal = -math.huge
  elseif row.outcome == "http_4xx" or row.outcome == "protocol" or row.outcome == "script_error" or row.outcome == "connect" then
    tally.same_refusal = tally.same_refusal + 1
    tally.refusal = row.error_text
  end
end

local function count(job, tally, row)
  tally.done = tally.done + 1
  if row.is_new then
    tally.asked = tally.asked + 1
    count_refusals(tally, row)
  end
  if row.outcome == "correct" then tally.correct = tally.correct + 1 end
  if outcomes.class(row.outcome) == "error" then
    tally.errors = tally.errors + 1
    tally.first_error = tally.first_error or row.error_text
  end
  tally.tokens = tally.tokens + (row.is_new and row.completion_tokens or 0)
  job.on_progress(tally)
  if row.outcome == "server_dead" and row.error_text ~= restarts.QUARANTINED then
    tally.stop = { kind = "server", text = row.error_text or "the server died" }
  elseif tally.same_refusal >= pipeline.hopeless_after then
    tally.stop = { kind = "server", text = ("the first %d questions of %s all failed: %s"):format(
      pipeline.hopeless_after, job.dataset.name, tally.refusal or "?") }
  end
end

--- Ask all questions of a dataset.
-- @tparam table job task, script, dataset, variant, mode, endpoint, model, sampling, stream, scorers, sender, store,
--   repeat_index, repeats (1: how often each question is asked, with a seed of its own each time), concurrency,
--   wall_offset_of(session), on_progress(tally), is_stopped(), args, extra_body,
--   force (judge again what is answered), workers (questions prepared at once), is_quarantined(sample id), is_again (the server
--   died before: what it refused for good in this session is not asked again)
-- @treturn table tally { total, done, asked, correct, errors, first_error = text or nil, tokens, stop = err or nil }
function pipeline.ask(job)
  job.scoring = job.scoring or scoring.of(job.sender.dialect, job.variant)
  local size, passes = job.task:size(), {}
  for i = 0, (job.repeats or 1) - 1 do passes[i] = setmetatable({ repeat_index = job.repeat_index + i }, { __index = job }) end
  local total = size * (job.repeats or 1)
  local tally, next_index, failed = new_tally(total), 0, nil
  local workers = {}
  for worker = 1, math.min(total, job.workers or 2 * job.concurrency) do
    workers[worker] = concurrent.spawn(function()
      while next_index < total and not tally.stop and not failed and not job.is_stopped() do
        local index = next_index
        next_index = next_index + 1
        local ok, row = pcall(run_sample, passes[index // size], index % size)
        if not ok then
          failed = failed or row
        elseif row then
          count(job, tally, row)
        end
      end
    end)
  end
  for _, worker in ipairs(workers) do worker.join() end
  job.store:commit()
  if failed then error(failed, 0) end
  return tally
end

return pipeline
