-- SPDX-License-Identifier: Apache-2.0
--- Checks: the steps of the qualification probe, each against one server. A step gives a status, `passed`, `failed` or
-- `skipped`, and a sentence. Texts of the probe are in no dataset, so that a simulated or caching server knows none of them.

local concurrent = require "qlua.concurrent"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local scoring = require "qlua.scoring"

local checks = {}

--- Sum by echo against next-token scoring, in nats (rounding to six digits and kernels of other shapes lie far below).
checks.SUM_WITHIN = 0.05
--- A label's value by one means against another, in nats.
checks.LABEL_WITHIN = 0.02

local CONTEXTS = { "The capital of France is Paris. The capital of Germany is Berlin. The capital of Italy is",
  "One, two, three, four, five, six, seven,", "Water freezes at zero degrees and boils at one hundred degrees.\nThe opposite of hot is",
  "The days of the week are Monday, Tuesday, Wednesday," }
local GENERATED = 3

local LABELS = { " A", " B", " C", " D" }
local QUESTION = "Which of these is a colour?\nA. seven\nB. green\nC. quickly\nD. between\nAnswer:"

-- Whatever a tokenizer may treat in its own way.
local TEXTS = { "The quick brown fox jumps over the lazy dog.", "12345 67 8.9e-10 $1,000", " Answer: A\n\n\tB", "答案是：四十二。",
  "naïve café — “quoted”…", "🙂👩‍👩‍👧", "for (int i = 0; i < n; ++i) { x[i] *= 2; }", "ABCDEFGHIJKLMNOPQRSTUVWXYZ" }

-- ---- asking ---------------------------------------------------------------------------------------------------

local function new_ask(probe, mode, prompt, fields)
  local ask = { dataset = "", sample = "", repeat_index = 0, turn = 0, part = 0, mode = mode, prompt = prompt, endpoint = probe.endpoint,
    sampling = probe.sampling, stream = false, model = probe.job.model, extra_body = probe.extra_body,
    server = probe.variant.server }
  for key, value in pairs(fields or {}) do ask[key] = value end
  return ask
end

local function maker(probe, mode, prompt)
  return function(fields) return new_ask(probe, mode, prompt, fields) end
end

local function send(probe, ask, change)
  local request = probe.job.sender.dialect.request(ask)
  if change then change(request.body) end
  ask.request = request
  local response, err = probe.job.sender:ask(ask)
  if not response then return nil, err end
  local choice = type(response.value.choices) == "table" and response.value.choices[1]
  response.choice = type(choice) == "table" and choice or {}
  local message = type(response.choice.message) == "table" and response.choice.message
  response.text = message and message.content or response.choice.text
  return response
end

local function passed(text, more)
  local step = { status = "passed", text = text }
  for key, value in pairs(more or {}) do step[key] = value end
  return step
end
local function failed(text) return { status = "failed", text = text } end
local function skipped(text) return { status = "skipped", text = text } end

-- ---- 1: tokenizer ---------------------------------------------------------------------------------------------

--- Step 1: the tokenizer endpoint gives the ids that the server itself makes of a prompt.
function checks.tokenizer(probe)
  if not probe.job.scoring.tokenizer then return skipped "no tokenizer endpoint is declared" end
  local all = {}
  for i, text in ipairs(TEXTS) do
    local tokens, err = scoring.tokenize(probe.job, text)
    if not tokens then return failed(err.text) end
    all[i] = json.array(tokens.ids)
  end
  local again, err = scoring.tokenize(probe.job, TEXTS[1])
  if not again then return failed(err.text) end
  if json.encode(json.array(again.ids)) ~= json.encode(all[1]) then return failed "the same text got other tokens the second time" end
  if probe.endpoint ~= "chat" then
    local response
    response, err = send(probe, new_ask(probe, "letter", { text = TEXTS[1] }, { endpoint = "completions" }))
    if not response then return failed("a completion of the tokenised text failed: " .. err.text) end
    local count = response.usage.prompt_tokens
    if count and count ~= #all[1] then
      return failed(("the tokenizer gives %d tokens where a prompt of the same text has %d"):format(#all[1], count))
    end
  end
  return passed(("%d texts"):format(#TEXTS), { sha256 = hash.sha256(json.encode(json.array(all))) })
end

-- ---- 2, 3: choices ----------------------------------------------------------------------------------------------

-- What the model goes on with, and the sum of its log-probabilities as they were while it was generated.
local function generated(probe, context)
  local ask = new_ask(probe, "letter", { text = context }, { endpoint = "completions" })
  local response, err = send(probe, ask, function(body)
    if body.max_completion_tokens then body.max_completion_tokens = GENERATED else body.max_tokens = GENERATED end
  end)
  if not response then return nil, err.text end
  local values, logprobs = {}, response.choice.logprobs
  if type(logprobs) ~= "table" then return nil, "generated tokens have no log-probabilities to compare with" end
  if type(logprobs.content) == "table" then
    for i, entry in ipairs(logprobs.content) do values[i] = type(entry) == "table" and entry.logprob end
  elseif type(logprobs.token_logprobs) == "table" then
    values = logprobs.token_logprobs
  end
  local sum = 0.0
  for _, value in ipairs(values) do
    if type(value) ~= "number" then return nil, "a generated token has no log-probability to compare with" end
    sum = sum + value
  end
  if #values ~= GENERATED or type(response.text) ~= "string" then return nil, "the model said too little to compare with" end
  return { text = response.text, sum = sum }
end

local function check_first(values)
  if values and values[1] ~= json.null and values[1] ~= nil and type(values[1]) ~= "boolean" then
    return ("the first token of the prompt has a log-probability (%s) though nothing comes before it"):format(tostring(values[1]))
  end
end

-- One context; → step, or nil and why this context says nothing.
local function score_once(probe, name, context)
  local said, why = generated(probe, context)
  if not said then return nil, why end
  local prompt = { text = context, continuations = { said.text } }
  local responses, scored, facts = scoring.choices(probe.job, prompt, maker(probe, "loglikelihood", prompt), name)
  if not responses then return failed(("%s: %s"):format(name, scored.text)) end
  local problem = check_first(scored[1].values)
  if problem then return failed(("%s: %s"):format(name, problem)) end
  if scored[1].tokens ~= GENERATED or facts.moved_back > 0 then
    return nil, "what was generated is cut into other tokens when it is scored"
  end
  local gap = math.abs(scored[1].sum - said.sum)
  if gap > checks.SUM_WITHIN then
    return failed(("%s: %d generated tokens score %.4f as part of a prompt and scored %.4f while they were generated"):format(name,
      GENERATED, scored[1].sum, said.sum))
  end
  return passed(("%s: within %.2g nat of next-token scoring"):format(name, gap), { gap = gap, context = context, continuation = said.text })
end

--- Steps 2 and 3 for one means: entries, first null, rest finite; the sum is that of next-token scoring.
function checks.choices(probe, name)
  local last
  for _, context in ipairs(CONTEXTS) do
    local step, why = score_once(probe, name, context)
    if step then return step end
    last = why
  end
  return failed(("%s: could not be checked: %s"):format(name, last))
end

-- ---- 4: labels --------------------------------------------------------------------------------------------------

local function label_prompt(probe)
  local texts = {}
  for i, label in ipairs(LABELS) do texts[i] = probe.label_endpoint == "chat" and label:sub(2) or label end
  if probe.label_endpoint == "chat" then return { messages = { { role = "user", content = QUESTION } }, continuations = texts }, texts end
  return { text = QUESTION, continuations = texts }, texts
end

local function values_of(given)
  local values = {}
  for i, label in ipairs(given) do values[i] = not label.bounded and label.logprob or false end
  return values
end

local function largest_gap(a, b)
  local largest, compared = 0, 0
  for i = 1, #a do
    if a[i] and b[i] then largest, compared = math.max(largest, math.abs(a[i] - b[i])), compared + 1 end
  end
  return largest, compared
end

local function mass_problem(response)
  local top = response and response.logprobs and response.logprobs.top and response.logprobs.top[1]
  if type(top) ~= "table" then return nil end
  local mass, count, first, is_constant = 0, 0, nil, true
  for _, value in pairs(top) do
    if type(value) == "number" then
      first = first or value
      mass, count, is_constant = mass + math.exp(value), count + 1, is_constant and value == first
    end
  end
  if count > 2 and is_constant then return ("all %d candidates of a token have the same log-probability"):format(count) end
  if mass > 1.01 then return ("the candidates of a token have a probability of %.3f in all"):format(mass) end
end

local function all_equal(values)
  for i = 2, #values do
    if values[i] ~= values[1] then return false end
  end
  return values[1] ~= false
end

--- Step 4 for one means: labels have the values that scoring them as choices gives, or another means.
-- @tparam table probe `label_values` what the labels are known to be worth, kept from one means to the next
function checks.labels(probe, name)
  local prompt, texts = label_prompt(probe)
  local alone = setmetatable({ loglikelihood = {} }, { __index = probe.job.scoring }) -- this means and no other
  local isolated = setmetatable({ scoring = alone }, { __index = probe.job })
  local responses, given, facts = scoring.labels(isolated, prompt, texts, probe.label_endpoint, maker(probe, "letter", prompt), { name })
  if not responses then return failed(("%s: %s"):format(name, given.text)) end
  local values = values_of(given)
  local problem = mass_problem(facts.first)
  if problem then return failed(("%s: %s"):format(name, problem)) end
  if all_equal(values) then return failed(("%s: all labels have the same log-probability"):format(name)) end
  if not probe.label_values and probe.scored_by and prompt.text then
    local scored_responses, scored = scoring.choices(probe.job, prompt, maker(probe, "loglikelihood", prompt), probe.scored_by)
    if scored_responses then
      probe.label_values, probe.label_source = {}, probe.scored_by
      for i, one in ipairs(scored) do probe.label_values[i] = one.sum end
    end
  end
  local note = "nothing to compare with"
  if probe.label_values then
    local gap, compared = largest_gap(values, probe.label_values)
    if gap > checks.LABEL_WITHIN then
      return failed(("%s: a label is worth %.4f nat more or less than by %s"):format(name, gap, probe.label_source))
    end
    note = ("%d of %d labels within %.2g nat of %s"):format(compared, #values, gap, probe.label_source)
  else
    probe.label_values, probe.label_source = values, name
  end
  return passed(("%s: %s"):format(name, note))
end

-- ---- 5: a constraint ----------------------------------------------------------------------------------------------

local NONSENSE = { "zq7xv", "wk3jp" }

-- How servers spell "one of these"; what a configuration puts into `extra_body` is asked for with nonsense.
local CONSTRAINTS = {
  structured_outputs = function() return { choice = json.array { NONSENSE[1], NONSENSE[2] } } end,
  guided_choice = function() return json.array { NONSENSE[1], NONSENSE[2] } end,
  guided_regex = function() return "(" .. table.concat(NONSENSE, "|") .. ")" end,
  regex = function() return "(" .. table.concat(NONSENSE, "|") .. ")" end,
  grammar = function() return ('root ::= "%s" | "%s"'):format(NONSENSE[1], NONSENSE[2]) end,
  json_schema = function() return { type = "string", enum = json.array { NONSENSE[1], NONSENSE[2] } } end,
  response_format = function() return { type = "json_schema", json_schema = { name = "one", strict = true,
    schema = { type = "string", enum = json.array { NONSENSE[1], NONSENSE[2] } } } } end,
}

--- The constraint among the fields of a body, or nil.
function checks.constraint_in(body)
  for field in pairs(CONSTRAINTS) do
    if body and body[field] ~= nil then return field end
  end
end

--- The fields of a body without any constraint.
function checks.unconstrained(body)
  local rest = {}
  for field, value in pairs(body or {}) do
    if not CONSTRAINTS[field] then rest[field] = value end
  end
  return rest
end

--- Step 5: a constraint on the reply holds.
-- @tparam string field which one
function checks.constraint(probe, field)
  local prompt = probe.endpoint == "chat" and { messages = { { role = "user", content = CONTEXTS[1] } } } or { text = CONTEXTS[1] }
  local sampling = setmetatable({ max_tokens = 24 }, { __index = probe.sampling })
  local response, err = send(probe, new_ask(probe, "generate", prompt, { sampling = sampling }),
    function(body) body[field] = CONSTRAINTS[field]() end)
  if not response then return failed(("%s: %s"):format(field, err.text)) end
  local text = type(response.text) == "string" and response.text:match '^%s*"?(.-)"?%s*$' or ""
  for _, word in ipairs(NONSENSE) do
    if text == word then return passed(("%s holds"):format(field)) end
  end
  return failed(("%s is ignored: asked for one of %s, the server said \"%s\""):format(field, table.concat(NONSENSE, ", "), text:sub(1, 60)))
end

-- ---- 6: the name of the model -----------------------------------------------------------------------------------------

local function base_name(name) return name:match "([^/]+)/*$" or name end

-- A snapshot's date or a revision may follow the name.
local function is_name_of(asked, replied)
  asked, replied = base_name(asked), base_name(replied)
  if asked == replied then return true end
  local rest = replied:sub(1, #asked) == asked and replied:sub(#asked + 1) or ""
  return rest:find "^[@:]" ~= nil or rest:find "^%-%d" ~= nil
end

local function plain_prompt(probe, text)
  return probe.endpoint == "chat" and { messages = { { role = "user", content = text } } } or { text = text }
end

--- Step 6: replies come from the model asked for; is a model that does not exist refused?
function checks.model(probe)
  local sampling = setmetatable({ max_tokens = 4 }, { __index = probe.sampling })
  local prompt = plain_prompt(probe, CONTEXTS[2])
  local response, err = send(probe, new_ask(probe, "generate", prompt, { sampling = sampling }))
  if not response then return failed("a completion failed: " .. err.text) end
  local is_same = probe.job.sender.dialect.echoes or is_name_of
  if response.model and not is_same(probe.job.model, response.model) then
    return failed(("'%s' was asked for and '%s' replied"):format(probe.job.model, response.model))
  end
  response, err = send(probe, new_ask(probe, "generate", prompt, { sampling = sampling, model = "no-such-model-" .. probe.nonce }))
  if not response and err.kind == "http" then return passed("a model that does not exist is refused", { unknown_model = "refused" }) end
  if not response then return passed("asking for a model that does not exist: " .. err.text, { unknown_model = "error" }) end
  return passed("a model that does not exist is served all the same: its name proves nothing here", { unknown_model = "accepted" })
end

-- ---- 7: a prompt that is too long -----------------------------------------------------------------------------------

local LIMIT_AT_MOST = 140000

--- Step 7: a prompt longer than the context is refused, and known as such; not cut.
-- @tparam ?integer limit the context's length, in tokens
function checks.too_long(probe, limit)
  if not limit then return skipped "the server does not say how long its context is" end
  if limit > LIMIT_AT_MOST then return skipped(("a context of %d tokens is too long to be filled by a probe"):format(limit)) end
  local count = limit + 64
  local sampling = setmetatable({ max_tokens = 1 }, { __index = probe.sampling })
  local response, err = send(probe, new_ask(probe, "generate", plain_prompt(probe, ("word "):rep(count)), { sampling = sampling }))
  if response then
    local used = response.usage.prompt_tokens
    if used and used >= count then return passed(("a prompt of %d tokens was read in whole"):format(used)) end
    return failed(("a prompt of at least %d tokens was accepted and %s read: the server cuts prompts off without a word")
      :format(count, used and ("only %d"):format(used) or "not said how much was"))
  end
  if err.outcome == "too_long" then return passed "refused, and known by its error" end
  if err.kind == "http" then
    return { status = "passed", text = "refused, but not by a known sentence (counts as an HTTP error): " .. err.text }
  end
  return failed("a prompt that is too long: " .. err.text)
end

-- ---- 8: noise -----------------------------------------------------------------------------------------------------

local TIMES = 8

local function measured_value(probe)
  if probe.scored_by and probe.scored then
    local prompt = { text = probe.scored.context, continuations = { probe.scored.continuation } }
    return function()
      local responses, scored = scoring.choices(probe.job, prompt, maker(probe, "loglikelihood", prompt), probe.scored_by)
      return responses and { scored[1].sum } or nil, scored and scored.text
    end, probe.scored_by
  end
  if probe.labelled_by then
    local prompt, texts = label_prompt(probe)
    return function()
      local responses, given = scoring.labels(probe.job, prompt, texts, probe.label_endpoint, maker(probe, "letter", prompt),
        { probe.labelled_by })
      return responses and values_of(given) or nil, given and given.text
    end, probe.labelled_by
  end
  local sampling = setmetatable({ max_tokens = 16 }, { __index = probe.sampling })
  return function()
    local response, err = send(probe, new_ask(probe, "generate", plain_prompt(probe, CONTEXTS[1]), { sampling = sampling }))
    return response and { text = response.text } or nil, err and err.text
  end
end

--- Step 8: the same prompt eight times alone and eight times at once.
function checks.noise(probe)
  local value, by = measured_value(probe)
  local seen, problem = {}, nil
  local function once()
    local found, why = value()
    if found then seen[#seen + 1] = found else problem = problem or why or "no value" end
  end
  for _ = 1, TIMES do once() end
  local at_once = {}
  for i = 1, TIMES do at_once[i] = once end
  concurrent.all(at_once, TIMES)
  if problem then return failed("repeating one prompt: " .. problem) end
  if not by then
    local texts, count = {}, 0
    for _, one in ipairs(seen) do
      if not texts[one.text or ""] then texts[one.text or ""], count = true, count + 1 end
    end
    return passed(("%d different texts in %d repeats"):format(count, #seen), { noise = { texts = count, repeats = #seen } })
  end
  local largest = 0
  for i = 1, #seen do
    for j = i + 1, #seen do largest = math.max(largest, (largest_gap(seen[i], seen[j]))) end
  end
  return passed(("at most %.3g nat between %d repeats (%s)"):format(largest, #seen, by),
    { noise = { max_delta_nats = largest, repeats = #seen, by = by } })
end


return checks
