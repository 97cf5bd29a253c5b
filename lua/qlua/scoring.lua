-- SPDX-License-Identifier: Apache-2.0
--- Scoring: choices and labels by log-probabilities, through the means that a server has.
-- A dialect lists its means in order (`score`), the probe strikes out what does not hold (`qlua.qualify`); here a question
-- is taken through them: tokenised, asked, read, and where a label was cut off asked again by a means that cuts nothing.
-- All requests go through the job's sender, so that a resumed run and `rescore` find them.

local boundary = require "qlua.scoring.boundary"
local choices = require "qlua.choices"
local labels = require "qlua.scoring.labels"
local read = require "qlua.scoring.read"
local steps = require "qlua.scoring.steps"
local tokenizers = require "qlua.scoring.tokenizers"
local whole = require "qlua.scoring.whole"

local scoring = {}

local protocol = read.protocol

-- ---- which means ------------------------------------------------------------------------------------------

--- Means of a mode by name; a dialect may bring its own in `score.own = { NAME = {…} }`.
-- @tparam string mode loglikelihood or letter
-- @treturn ?table
function scoring.means_named(mode, name, score)
  local own = score and score.own and score.own[name]
  if own then return own end
  if mode == "letter" then return labels[name] ~= labels.bias and labels[name] or nil end
  return whole[name] or steps[name]
end

--- Names that a mode knows, sorted.
function scoring.names(mode)
  local list = {}
  for _, kind in ipairs(mode == "letter" and { labels } or { whole, steps }) do
    for name, one in pairs(kind) do
      if type(one) == "table" then list[#list + 1] = name end
    end
  end
  table.sort(list)
  return list
end

local DEFAULT = { loglikelihood = { "echo_text" }, letter = { "top_logprobs" } }

--- What a variant's server is scored by: the dialect's own lists, or those of the configuration (`server.scoring`).
-- @tparam table dialect
-- @tparam[opt] table variant
-- @tparam[opt] table found what the probe left of it: `{ loglikelihood = {name…}, letter = {name…}, no_tokenizer }`
-- @treturn table `{ loglikelihood = {name…}, letter = {name…}, tokenizer = table?, options = {…}, score }`
function scoring.of(dialect, variant, found)
  local score = dialect.score or {}
  local given = variant and variant.server and variant.server.scoring or {}
  local made = { options = score.options or {}, score = score,
    tokenizer_named = given.tokenizer or dialect.tokenize, tokenizer = tokenizers.of(given.tokenizer or dialect.tokenize) }
  for mode, default in pairs(DEFAULT) do
    local wanted = found and found[mode] or given[mode] or score[mode] or default
    made[mode] = type(wanted) == "table" and wanted or { wanted }
  end
  if found and found.no_tokenizer then made.tokenizer = nil end
  return made
end

--- What is wrong with the means that a dialect or a configuration names, or nil.
function scoring.problem(made)
  if made.tokenizer_named and not made.tokenizer then
    return ("scoring.tokenizer: want one of %s, got '%s'"):format(table.concat(tokenizers.names, ", "), tostring(made.tokenizer_named))
  end
  for mode in pairs(DEFAULT) do
    for _, name in ipairs(made[mode]) do
      if not scoring.means_named(mode, name, made.score) then
        return ("scoring.%s: want one of %s, got '%s'"):format(mode, table.concat(scoring.names(mode), ", "), tostring(name))
      end
    end
  end
end

-- ---- tokens -----------------------------------------------------------------------------------------------

-- Not of a question: the same text has the same tokens whoever asks, and is found again by whoever asks later.
local function send_free(job, request)
  return job.sender:ask { dataset = "", sample = "", repeat_index = 0, turn = 0, part = 0, mode = "tokenize", request = request,
    prompt = {}, sampling = {} }
end

local function cached(job, key, make)
  job.scoring.cache = job.scoring.cache or {}
  local known = job.scoring.cache[key]
  if known then return known end
  local made, err = make()
  job.scoring.cache[key] = made
  return made, err
end

local function read_tokens(tokenizer, response, err)
  if not response then return nil, err end
  local tokens, problem = tokenizer.read(response.value)
  if not tokens then return protocol("the reply of the tokenizer: " .. problem) end
  return tokens
end

--- Ids of a text as the server reads it when it is a prompt.
-- @treturn ?table `{ ids, texts? }`, or nil and err
function scoring.tokenize(job, text)
  local tokenizer = job.scoring.tokenizer
  return read_tokens(tokenizer, send_free(job, tokenizer.request(text, { model = job.model })))
end

local function tokenize_chat(job, messages, label)
  local tokenizer = job.scoring.tokenizer
  return read_tokens(tokenizer, send_free(job, tokenizer.request_chat(messages, { model = job.model, label = label })))
end

-- Texts of single tokens, asked for one by one and remembered.
local function texts_of(job, tokens, from)
  local tokenizer, texts = job.scoring.tokenizer, {}
  for i = from, #tokens.ids do
    local text = tokens.texts and tokens.texts[i]
    if not text and tokenizer.detokenize then
      local err
      text, err = cached(job, "text " .. tokens.ids[i], function()
        local response, why = send_free(job, tokenizer.detokenize.request({ tokens.ids[i] }, { model = job.model }))
        if not response then return nil, why end
        local found, problem = tokenizer.detokenize.read(response.value)
        if not found then return protocol("the reply of the tokenizer: " .. problem) end
        return found
      end)
      if not text then return nil, err end
    end
    texts[i] = text
  end
  return texts
end

-- ---- loglikelihood ----------------------------------------------------------------------------------------

local function failed(err, tries)
  return nil, { outcome = err.outcome or "protocol", kind = err.kind, text = err.text, tries = err.tries or tries }
end

-- Context and choices of one question with their tokens: `{ context, continuations, tokens = {…}, start, moved_back }`.
local function encode(job, prompt, needs_ids)
  local made = { continuations = {}, tokens = {}, moved_back = 0 }
  for i, continuation in ipairs(prompt.continuations) do
    made.context, made.continuations[i] = boundary.moved(prompt.text, continuation)
  end
  if not needs_ids then return made end
  local context, err = scoring.tokenize(job, made.context)
  if not context then return nil, err end
  local wholes = {}
  for i, continuation in ipairs(made.continuations) do
    made.tokens[i], err = scoring.tokenize(job, made.context .. continuation)
    if not made.tokens[i] then return nil, err end
    wholes[i] = made.tokens[i].ids
  end
  made.start, err = boundary.split(context.ids, wholes)
  if not made.start then return nil, err end
  made.moved_back = err
  return made
end

local function ask_for(job, new_ask, fields)
  local ask = new_ask { endpoint = "completions", model = job.model, options = job.scoring.options }
  for key, value in pairs(fields) do ask[key] = value end
  return ask
end

-- What the means makes of the dialect's request; without a word of it the dialect's own is sent and read.
local function set_request(job, ask, make)
  if make then ask.request = make(ask, job.sender.dialect.request(ask)) end
end

local function by_whole(job, means, made, new_ask)
  local responses, scored, asks = {}, {}, {}
  for i, continuation in ipairs(made.continuations) do
    local ask = ask_for(job, new_ask, { part = i, context = made.context, continuation = continuation,
      ids = made.tokens[i] and made.tokens[i].ids, start = made.start })
    set_request(job, ask, means.request)
    local response, err = job.sender:ask(ask)
    if not response then return nil, err end
    responses[i], asks[i] = response, ask
  end
  local moved_to -- where a token spans the boundary: the choices of a question begin where it begins
  for i, response in ipairs(responses) do
    local err
    scored[i], err = means.read(response.value, asks[i], response)
    if not scored[i] and err.spans_from then
      moved_to = math.min(moved_to or math.huge, err.spans_from)
    elseif not scored[i] then
      return failed(err, response.sent.tries)
    end
  end
  if not moved_to then return responses, scored end
  local cut = moved_to > 0 and utf8.offset(made.context, moved_to + 1) or nil
  if not cut then return failed { kind = "protocol", text = "no token of the context comes before the choices" } end
  made.moved_back = 1
  for i, response in ipairs(responses) do
    asks[i].context, asks[i].continuation = made.context:sub(1, cut - 1), made.context:sub(cut) .. made.continuations[i]
    local err
    scored[i], err = means.read(response.value, asks[i], response)
    if not scored[i] then return failed(err, response.sent.tries) end
  end
  return responses, scored
end

-- A token where the text would end: biased by more and more until it comes.
local function crept(job, means, ask)
  for bias = means.creep.STEP, means.creep.MOST, means.creep.STEP do
    ask.request = means.creep.request(ask, job.sender.dialect.request(ask), bias)
    local response, err = job.sender:ask(ask)
    if not response then return nil, err end
    local value, problem = means.creep.read(response.value, ask, response, bias)
    if problem then return failed(problem, response.sent.tries) end
    if value then return response, value end
  end
  return failed { kind = "protocol", text = ("token %d does not come where the text would end, whatever its bias"):format(ask.id) }
end

local function step_of(job, means, ask)
  local response, err
  if means.look then
    set_request(job, ask, means.look.request)
    response, err = job.sender:ask(ask)
    if not response then return nil, err end
    local value, likeliest, problem = means.look.read(response.value, ask, response)
    if value then return response, value end
    if problem then return failed(problem, response.sent.tries) end
    if likeliest == false then return crept(job, means, ask) end
    ask.likeliest = likeliest
  end
  set_request(job, ask, means.force.request)
  response, err = job.sender:ask(ask)
  if not response then return nil, err end
  local value, problem = means.force.read(response.value, ask, response, ask.likeliest)
  if not value then return failed(problem, response.sent.tries) end
  return response, value
end

local STEPS_AT_MOST = 1000 -- a part's number is choice × this + token

local function by_steps(job, means, made, new_ask)
  local responses, scored = {}, {}
  for i, tokens in ipairs(made.tokens) do
    local ids, sum = tokens.ids, 0.0
    if #ids - made.start >= STEPS_AT_MOST then return failed { kind = "protocol", text = "a choice has too many tokens" } end
    local texts, err = texts_of(job, tokens, made.start + 1)
    if not texts then return failed(err) end
    local ahead = made.context .. made.continuations[i]
    local tail = table.concat(texts, "", made.start + 1, #ids)
    local before = ahead:sub(1, #ahead - #tail)
    if before .. tail ~= ahead then
      return failed { kind = "protocol", text = ("the texts of the tokens of choice %d do not make up the choice"):format(i) }
    end
    for at = made.start + 1, #ids do
      local ask = ask_for(job, new_ask, { part = i * STEPS_AT_MOST + at - made.start, before = table.move(ids, 1, at - 1, 1, {}),
        before_text = before, id = ids[at], text = texts[at], continuation = texts[at], mode = "letter",
        prompt = { text = before } })
      local response, value = step_of(job, means, ask)
      if not response then return nil, value end
      sum, responses[#responses + 1] = sum + value, response
      before = before .. texts[at]
    end
    scored[i] = { sum = sum, tokens = #ids - made.start }
  end
  return responses, scored
end

--- Score the choices of a question.
-- @tparam table job with `scoring` of `scoring.of`
-- @tparam table prompt with `text` and `continuations`
-- @tparam function new_ask fields → ask
-- @tparam[opt] string name which means; unset: the first of the list
-- @treturn ?table responses, or nil and err `{ outcome, kind, text, tries }`
-- @treturn table list of `{ sum, tokens, greedy?, values? }`
-- @treturn table facts `{ means, moved_back }`
function scoring.choices(job, prompt, new_ask, name)
  name = name or job.scoring.loglikelihood[1]
  local means = name and scoring.means_named("loglikelihood", name, job.scoring.score)
  if not means then return failed { kind = "protocol", text = "this server has no means to score a choice" } end
  if means.needs == "ids" and not job.scoring.tokenizer then
    return failed { kind = "config", outcome = "protocol", text = ("scoring by %s needs a tokenizer endpoint"):format(name) }
  end
  local made, err = encode(job, prompt, means.needs == "ids")
  if not made then return failed(err) end
  local responses, scored = (means.force and by_steps or by_whole)(job, means, made, new_ask)
  if not responses then return nil, scored end
  return responses, scored, { means = name, moved_back = made.moved_back }
end

-- ---- labels -----------------------------------------------------------------------------------------------

-- The one token that each label is where it stands, or nil and why not.
local function ids_in_place(job, prompt, wanted, endpoint)
  if not job.scoring.tokenizer then return nil, "there is no tokenizer endpoint" end
  local is_chat = endpoint == "chat"
  if is_chat and not job.scoring.tokenizer.request_chat then return nil, "the tokenizer endpoint takes no conversations" end
  -- What follows a template's last mark does not depend on what was said before it.
  local place = is_chat and { { role = "user", content = "?" } } or boundary.tail(prompt.text)
  local function tokens_of(label)
    return cached(job, (is_chat and "chat\0" or place .. "\0") .. (label or "\0"), function()
      if is_chat then return tokenize_chat(job, place, label) end
      return scoring.tokenize(job, place .. (label or ""))
    end)
  end
  local context, err = tokens_of(nil)
  if not context then return nil, err.text, err end
  local ids, seen = {}, {}
  for i, label in ipairs(wanted) do
    local tokens
    tokens, err = tokens_of(label)
    if not tokens then return nil, err.text, err end
    local start = boundary.split(context.ids, { tokens.ids })
    if start ~= #context.ids or #tokens.ids ~= start + 1 then
      return nil, ("label \"%s\" is not one token after \"%s\""):format(label, is_chat and "the template" or place:sub(-16))
    end
    ids[i] = tokens.ids[#tokens.ids]
    if seen[ids[i]] then return nil, ("labels %d and %d are the same token"):format(seen[ids[i]], i) end
    seen[ids[i]] = i
  end
  return ids
end

local function ask_labels(job, means, name, ask, new_ask)
  if not means.each then
    set_request(job, ask, means.request)
    local response, err = job.sender:ask(ask)
    if not response then return nil, err end
    local values
    values, err = means.read(response.value, ask, response)
    if not values then return failed(err, response.sent.tries) end
    return { response }, values
  end
  local responses, values = {}, {}
  for i, id in ipairs(ask.label_ids) do
    local one = new_ask { options = ask.options, part = i, endpoint = ask.endpoint }
    one.label_id, one.label_text, one.continuation = id, ask.labels[i], ask.labels[i]
    set_request(job, one, means.request)
    local response, err = job.sender:ask(one)
    if not response then return nil, err end
    values[i], err = means.read(response.value, one, response)
    if not values[i] then return failed({ kind = err.kind, text = name .. ": " .. err.text }, response.sent.tries) end
    responses[i] = response
  end
  return responses, values
end

--- Is the likeliest label known, whatever the labels cut off may be worth?
-- @tparam {{logprob=number,bounded=boolean},...} given
function scoring.is_decided(given)
  local best
  for i, label in ipairs(given) do
    if not label.bounded and (not best or label.logprob > given[best].logprob) then best = i end
  end
  for i, label in ipairs(given) do
    local bound = label.bounded and label.logprob or label.ceiling
    if best and i ~= best and bound and bound >= given[best].logprob then return false end
  end
  return best ~= nil
end

local function sum_of(logprobs)
  local top, total = -math.huge, 0.0
  for _, value in ipairs(logprobs) do top = math.max(top, value) end
  for _, value in ipairs(logprobs) do total = total + math.exp(value - top) end
  return top + math.log(total)
end

--- Labels of several texts each (" A" or "A"): their probabilities added up.
-- @tparam {{logprob=number,bounded=boolean},...} given one per text
-- @tparam ?{integer,...} group which label each text is of; nil: each is a label of its own
-- @treturn {{logprob=number,bounded=boolean},...} one per label, with `alone`, the first text's own value, and `ceiling` where a text was
--   cut off: what the label is worth at most
function scoring.combined(given, group)
  if not group then return given end
  local listed, bounds, list = {}, {}, {}
  for i, one in ipairs(given) do
    local g = group[i]
    listed[g], bounds[g], list[g] = listed[g] or {}, bounds[g] or {}, list[g] or { alone = not one.bounded and one.logprob or nil }
    local into = one.bounded and bounds[g] or listed[g]
    into[#into + 1] = one.logprob
  end
  for g, label in ipairs(list) do
    label.bounded = #listed[g] == 0
    label.logprob = sum_of(label.bounded and bounds[g] or listed[g])
    if not label.bounded and #bounds[g] > 0 then
      label.ceiling = sum_of(table.move(bounds[g], 1, #bounds[g], #listed[g] + 1, listed[g]))
    end
  end
  return list
end

local function as_labels(values)
  local list = {}
  for i, value in ipairs(values) do list[i] = type(value) == "table" and value or { logprob = value, bounded = false } end
  return list
end

local function append(into, list)
  table.move(list, 1, #list, #into + 1, into)
end

local function any_bounded(given)
  for _, label in ipairs(given) do
    if label.bounded then return true end
  end
  return false
end

-- The labels scored as choices: what remains where the next token's candidates do not decide. Behind a chat template
-- nothing remains: as plain text it would be another prompt.
local function labels_as_choices(job, prompt, wanted, endpoint, new_ask)
  if endpoint == "chat" or not prompt.text or #job.scoring.loglikelihood == 0 then
    return nil, { kind = "protocol", text = "no other means" }
  end
  local responses, scored, facts = scoring.choices(job, { text = prompt.text, continuations = wanted },
    function(fields)
      local ask = new_ask(fields)
      ask.mode = "loglikelihood"
      return ask
    end)
  if not responses then return nil, scored end
  local list = {}
  for i, one in ipairs(scored) do list[i] = { logprob = one.sum, bounded = false } end
  return responses, list, facts.means
end

--- Log-probabilities of a question's labels as what comes next.
-- @tparam table job with `scoring`
-- @tparam table prompt
-- @tparam {string,...} wanted the labels as they stand: " A", or "A" after a template
-- @tparam string endpoint
-- @tparam function new_ask fields → ask
-- @tparam[opt] {string,...} names which means, in order; unset: the job's list
-- @tparam[opt] {integer,...} group which label each of `wanted` is a text of
-- @treturn ?table responses, or nil and err
-- @treturn table list of `{ logprob, bounded }`, as `combined`
-- @treturn table facts `{ means, was_cut, is_escalated, first }`, `first` the response whose candidates are kept
function scoring.labels(job, prompt, wanted, endpoint, new_ask, names, group)
  local all, facts, given, last = {}, { was_cut = false, is_escalated = false }, nil, nil
  for _, name in ipairs(names or job.scoring.letter) do
    local means = scoring.means_named("letter", name, job.scoring.score)
    local ask = new_ask { endpoint = endpoint, options = job.scoring.options }
    ask.labels = wanted
    local is_usable, why = means ~= nil and not (means.text_only and endpoint == "chat"), nil
    if is_usable and means.needs == "ids" then
      local broken
      ask.label_ids, why, broken = ids_in_place(job, prompt, wanted, endpoint)
      if broken and broken.kind == "cancelled" then return nil, broken end
      is_usable = ask.label_ids ~= nil
    end
    if is_usable then
      local responses, values = ask_labels(job, means, name, ask, new_ask)
      if not responses then return nil, values end
      append(all, responses)
      facts.means, facts.first, facts.is_escalated = name, facts.first or responses[1], given ~= nil
      given = as_labels(values)
      facts.was_cut, given = facts.was_cut or any_bounded(given), scoring.combined(given, group)
      if scoring.is_decided(given) then return all, given, facts end
    else
      last = why
    end
  end
  local responses, exact, name = labels_as_choices(job, prompt, wanted, endpoint, new_ask)
  if responses then
    append(all, responses)
    facts.means, facts.first, facts.is_escalated = name, facts.first or responses[1], given ~= nil
    return all, scoring.combined(exact, group), facts
  end
  if given then return all, given, facts end -- cut off and not decided: the scorer says so
  if type(exact) == "table" and exact.kind == "cancelled" then return nil, exact end
  return failed { kind = "protocol", text = "this server has no means to score a label" .. (last and ": " .. last or "") }
end

--- The candidates to be kept of a question asked by labels, by their texts.
-- @tparam table facts of `scoring.labels`
-- @tparam table given
-- @tparam {string,...} wanted
-- @treturn ?table as `choices.candidates`
function scoring.candidates(facts, given, wanted)
  if facts.means == "top_logprobs" or facts.is_escalated then
    local kept = facts.first and choices.candidates(facts.first)
    if kept then return kept end
  end
  local top = {}
  for i, label in ipairs(#given == #wanted and given or {}) do
    if not label.bounded then top[wanted[i]] = label.logprob end
  end
  return choices.candidates { logprobs = { top = { top } } }
end

return scoring
