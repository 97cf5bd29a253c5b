-- SPDX-License-Identifier: Apache-2.0
--- Qualify: may this server be asked what the plan wants? Eight steps with answers that can be checked, before the first question;
-- what does not hold is not used. Fail closed: a mode of which no means holds ends the variant, with the cause and with
-- what works instead. Every existing harness scores such servers at chance level without a word.
--
-- Steps: 1 tokenizer, 2 prompt scoring has one entry per token, 3 it agrees with next-token scoring, 4 labels agree with it,
-- 5 a constraint holds, 6 the model's name, 7 a prompt that is too long, 8 repeats: the noise floor.

local checks = require "qlua.qualify.checks"
local json = require "qlua.core.json"
local scoring = require "qlua.scoring"
local sender = require "qlua.sender"

local qualify = {}

--- Names of the steps, for reports.
qualify.STEPS = {
  tokenizer = { number = "1", en = "tokenizer", zh = "分词接口" },
  choices = { number = "2, 3", en = "scoring choices", zh = "选项打分" },
  labels = { number = "4", en = "scoring labels", zh = "标签打分" },
  constraint = { number = "5", en = "constrained choice", zh = "受限生成" },
  model = { number = "6", en = "model's name", zh = "模型名称" },
  too_long = { number = "7", en = "prompt that is too long", zh = "超长提示词" },
  noise = { number = "8", en = "noise floor", zh = "噪声基底" },
}

-- Nothing of the probe is stored as a request: it belongs to no question.
local function no_store()
  return { session = 0, find_reply = function() end, put_request = function() end }
end

local function new_probe(server, one, options)
  local variant = one.variant
  local sampling = { temperature = 0, max_tokens = 16, seed = variant.generation.seed, top_p = 1.0, top_k = -1, min_p = 0.0,
    repetition_penalty = 1.0, stop = {} }
  local extra = variant.server.extra_body
  local job = { model = server.model, scoring = scoring.of(one.dialect, variant) }
  job.sender = sender.new { client = options.client, dialect = one.dialect, variant = variant, server = server, store = no_store(),
    headers = server.headers, timeouts = options.timeouts, retries = 1, random = math.random,
    window = options.window, is_stopped = options.is_stopped,
    split_events = options.split_events, log = function() end }
  return { job = job, variant = variant, endpoint = options.endpoint,
    label_endpoint = options.label_endpoint or options.endpoint, sampling = sampling, extra_body = checks.unconstrained(extra),
    constraint = checks.constraint_in(extra), nonce = options.nonce or "qlua" }
end

-- The context's length as the server says it, or as we have told it.
local function limit_of(server, variant)
  local entry = server.facts and server.facts.model_entry or {}
  local meta = type(entry.meta) == "table" and entry.meta or {}
  return math.tointeger(entry.max_model_len) or math.tointeger(meta.n_ctx)
    or server.process and math.tointeger(variant.server.max_model_len) or nil
end

local function add(record, name, step)
  step.step = name
  record.steps[#record.steps + 1] = step
  return step.status ~= "failed"
end

-- Tries the means of a mode in order and keeps those that hold; `is_thorough` tries them all.
local function try_means(probe, record, mode, check, is_thorough)
  local kept, causes = {}, {}
  for _, name in ipairs(probe.job.scoring[mode]) do
    if #kept == 0 or is_thorough or mode == "letter" then -- a label cut off is asked again by the next means
      local step = check(probe, name)
      step.means = name
      if add(record, mode == "letter" and "labels" or "choices", step) then
        kept[#kept + 1] = name
        if mode == "loglikelihood" and #kept == 1 then probe.scored_by, probe.scored = name, step end
        if mode == "letter" and #kept == 1 then probe.labelled_by = name end
      else
        causes[#causes + 1] = step.text
      end
    end
  end
  record.means[mode] = json.array(kept)
  return #kept > 0, table.concat(causes, "; ")
end

local function check_choices(probe, record, is_thorough)
  if probe.endpoint == "chat" and not probe.needs.loglikelihood then return false, "not tried" end
  return try_means(probe, record, "loglikelihood", checks.choices, is_thorough)
end

local function works_instead(works)
  local list = {}
  for _, mode in ipairs { "loglikelihood", "letter" } do
    if works[mode] then list[#list + 1] = ("mode %s (by %s)"):format(mode, works[mode]) end
  end
  list[#list + 1] = "mode generate"
  return table.concat(list, ", ")
end

local function refusal(variant, mode, cause, works)
  return { kind = "server", text = ("variant '%s': mode %s cannot be had from this server: %s"):format(variant.name, mode, cause),
    hint = ("what works here: %s; choose it with datasets[].mode"):format(works_instead(works)) }
end

local function check_scoring(probe, record, is_thorough)
  local needs, works = probe.needs, {}
  local wants_choices = needs.loglikelihood or needs.letter or is_thorough
  if not wants_choices then return nil end
  local has_choices, choices_cause = check_choices(probe, record, is_thorough)
  works.loglikelihood = has_choices and probe.scored_by or nil
  local has_labels, labels_cause = true, nil
  if needs.letter or is_thorough or not has_choices then
    has_labels, labels_cause = try_means(probe, record, "letter", checks.labels, is_thorough)
    works.letter = has_labels and probe.labelled_by or nil
  end
  if needs.loglikelihood and not has_choices then return refusal(probe.variant, "loglikelihood", choices_cause, works) end
  if needs.letter and not has_labels then
    if has_choices and probe.label_endpoint ~= "chat" then return nil end -- the labels are scored as choices
    return refusal(probe.variant, "letter", labels_cause, works)
  end
end

local function refuse(variant, step, hint)
  return { kind = "server", text = ("variant '%s': %s"):format(variant.name, step.text), hint = hint }
end

local HINTS = {
  model = "is another server listening there, or a router in front of it? give the name it replies with as --model",
  constraint = "remove the field from server.extra_body, or write it as this server's version wants it; mode letter needs none",
  too_long = "raise the server's context above the longest prompt (Ollama: num_ctx), or ask fewer shots",
  noise = "a server that fails under eight requests at once cannot be measured; lower benchmark.concurrency does not help the probe",
}

-- The steps in their order; the first refusal, or nil.
local function run_steps(probe, record, server, is_thorough)
  local tokenizer = checks.tokenizer(probe)
  if add(record, "tokenizer", tokenizer) and tokenizer.sha256 then
    record.tokenizer_sha256 = tokenizer.sha256
  elseif tokenizer.status == "failed" then
    probe.job.scoring.tokenizer, record.means.no_tokenizer = nil, true
  end
  local model = checks.model(probe)
  record.unknown_model = model.unknown_model
  if not add(record, "model", model) then return refuse(probe.variant, model, HINTS.model) end
  local refused = check_scoring(probe, record, is_thorough)
  if refused then return refused end
  if probe.constraint or is_thorough then
    local step = checks.constraint(probe, probe.constraint or "structured_outputs")
    if not add(record, "constraint", step) and probe.constraint then return refuse(probe.variant, step, HINTS.constraint) end
  end
  local too_long = checks.too_long(probe, limit_of(server, probe.variant))
  if not add(record, "too_long", too_long) then return refuse(probe.variant, too_long, HINTS.too_long) end
  local noise = checks.noise(probe)
  record.noise = noise.noise
  if not add(record, "noise", noise) then return refuse(probe.variant, noise, HINTS.noise) end
end

--- Probe a server that is ready. Once for each of its incarnations.
-- @tparam table server of `qlua.supervisor`
-- @tparam table one a variant of a plan: `{ name, variant, dialect }`
-- @tparam table options `client`, `timeouts`, `split_events`, `is_stopped()`, `endpoint`, `label_endpoint` (of the
--   datasets in mode letter), `nonce`, `level` (`full`, `needed`, `off`),
--   `modes` (set of the modes that the plan wants), `window` (as for `qlua.sender`)
-- @treturn ?table record `{ level, steps = { {step, status, text, means?}… }, means = { loglikelihood, letter, no_tokenizer },
--   tokenizer_sha256, unknown_model, noise }`; or nil and err, with the record as err.record
function qualify.run(server, one, options)
  local record = { level = options.level, steps = {}, means = {} }
  if options.level == "off" then return record end
  if server.qualification then return server.qualification end
  local probe = new_probe(server, one, options)
  probe.needs = options.modes
  local refused = run_steps(probe, record, server, options.level == "full")
  record.steps = json.array(record.steps)
  if options.is_stopped() then return nil, { kind = "cancelled", text = "the run was stopped" } end
  if refused then
    refused.record = record
    return nil, refused
  end
  server.qualification = record
  return record
end

--- Do two records of one variant leave the same means? A resumed run must score as it began.
-- @treturn ?string what differs
function qualify.difference(before, after)
  for _, mode in ipairs { "loglikelihood", "letter" } do
    local a, b = before.means[mode], after.means[mode]
    if a and b and a[1] ~= b[1] then
      return ("mode %s was scored by %s, and now %s is left"):format(mode, tostring(a[1]), tostring(b[1]))
    end
  end
  if before.tokenizer_sha256 and after.tokenizer_sha256 and before.tokenizer_sha256 ~= after.tokenizer_sha256 then
    return "the server's tokenizer is another one"
  end
end

return qualify
