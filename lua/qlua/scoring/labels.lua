-- SPDX-License-Identifier: Apache-2.0
--- Labels: means that give the log-probabilities of answer labels as the next token. Pure pairs:
-- `request(ask, base)` → Request, made of what the dialect asks in mode letter; without it that is sent as it is.
-- `read(value, ask, response)` → list of numbers, one per label, or nil and err. `ask` has `prompt`, `endpoint`, `model`,
-- `options`, and `label_ids`: one id per label, tokenised where it stands. A means with `each` takes one request per
-- label (`ask.label_id`) and gives one number. `top_logprobs` alone may not know a label: `{ logprob, bounded }`.

local choices = require "qlua.choices"
local json = require "qlua.core.json"
local read = require "qlua.scoring.read"

local labels = {}

local protocol = read.protocol

-- How many candidates come back beside the token itself.
local function with_candidates(body, ask, count)
  if ask.endpoint == "chat" then body.top_logprobs = count else body.logprobs = count end
end

local function next_token(value)
  local choice, err = read.choice(value)
  if not choice then return nil, err end
  local found = read.next_token(choice)
  if not found then return protocol "the reply has no log-probability of the next token" end
  return found
end

local function in_order(by_id, ids)
  local values = {}
  for i, id in ipairs(ids) do
    if not read.is_logprob(by_id[id]) then return protocol(("the reply has no log-probability of token %d"):format(id)) end
    values[i] = by_id[id]
  end
  return values
end

--- `logprob_token_ids`: exactly these tokens, whatever their rank.
labels.logprob_token_ids = {
  needs = "ids", summary = { en = "log-probabilities of exactly the labels' tokens", zh = "仅返回各选项标签词元的对数概率" },
  request = function(ask, base)
    base.body.logprob_token_ids, base.body.return_tokens_as_token_ids = json.array(ask.label_ids), true
    with_candidates(base.body, ask, ask.endpoint == "chat" and #ask.label_ids or 1)
    return base
  end,
  read = function(value, ask)
    local found, err = next_token(value)
    if not found then return nil, err end
    local by_id = {}
    for _, entry in ipairs(found.list) do by_id[read.id_of(entry) or 0] = entry.logprob end
    return in_order(by_id, ask.label_ids)
  end,
}

--- `token_ids_logprob` of a native generate endpoint: entries `[logprob, id, text]`. Text prompts only.
labels.token_ids_logprob = {
  needs = "ids", text_only = true,
  summary = { en = "native endpoint: log-probabilities of exactly the labels' tokens", zh = "原生接口：仅返回各选项标签词元的对数概率" },
  request = function(ask)
    return { method = "POST", path = "/generate", is_root = true, body = { text = ask.prompt.text, return_logprob = true,
      sampling_params = { max_new_tokens = 1, temperature = 0 }, token_ids_logprob = json.array(ask.label_ids) } }
  end,
  read = function(value, ask)
    local list = type(value.meta_info) == "table" and value.meta_info.output_token_ids_logprobs
    local first = type(list) == "table" and list[1]
    if type(first) ~= "table" then return protocol "the reply has no meta_info.output_token_ids_logprobs" end
    local by_id = {}
    for _, entry in ipairs(first) do
      if type(entry) == "table" and entry[2] ~= nil then by_id[entry[2]] = entry[1] end
    end
    return in_order(by_id, ask.label_ids)
  end,
}

--- A bias that only one token survives, as the dialect's server wants it written.
-- @tparam integer id
-- @tparam table options `bias_form` pairs (`[[id, bias]]`) or map (`{ "id": bias }`), `bias`
function labels.bias(id, options)
  local amount = options.bias or 100
  if options.bias_form == "pairs" then return json.array { json.array { id, amount } } end
  return { [tostring(id)] = amount }
end

--- `logit_bias`: one token is forced, and the server reports its probability as it was before. One request per label.
labels.logit_bias = {
  needs = "ids", each = true, summary = { en = "each label forced by logit_bias, its own log-probability read",
    zh = "用 logit_bias 逐个强制生成标签，读取其原始对数概率" },
  request = function(ask, base)
    base.body.logit_bias = labels.bias(ask.label_id, ask.options)
    with_candidates(base.body, ask, 1)
    return base
  end,
  read = function(value, ask)
    local found, err = next_token(value)
    if not found then return nil, err end
    local id = read.id_of(found.own)
    if id and id ~= ask.label_id then return protocol(("token %d was forced and token %d came"):format(ask.label_id, id)) end
    if not id and ask.label_text and found.own.token ~= ask.label_text then
      return protocol(("\"%s\" was forced and \"%s\" came"):format(ask.label_text, tostring(found.own.token)))
    end
    if not read.is_logprob(found.own.logprob) then return protocol "the forced token has no log-probability" end
    return found.own.logprob
  end,
}

--- The likeliest tokens by their texts; a label that is not among them is bounded by the least that is.
labels.top_logprobs = {
  is_cut = true, summary = { en = "the likeliest next tokens; a label cut off is bounded by the last one",
    zh = "最可能的若干词元；未列出的标签以最后一个为上界" },
  read = function(_, ask, response) return choices.labels(response, ask.labels) end,
}

return labels
