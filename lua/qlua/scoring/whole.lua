-- SPDX-License-Identifier: Apache-2.0
--- Whole: means that score a choice in one request, out of the log-probabilities of the prompt. Pure pairs:
-- `request(ask, base)` → Request, made of what the dialect would ask; without it that is sent as it is.
-- `read(value, ask, response)` → `{ sum, tokens, greedy?, values }`, or nil and err. `ask` has `context`, `continuation`,
-- `model`, `options` and, where `needs = "ids"`, `ids` (of both) and `start` (tokens before the choice). `values` are
-- those of all tokens of the prompt, where the reply has them. What does not fit is an error, never a number: a server
-- that ignores echo would otherwise score at chance level without a word.

local choices = require "qlua.choices"
local json = require "qlua.core.json"
local read = require "qlua.scoring.read"

local whole = {}

local protocol = read.protocol

-- One value per token sent, nil and err where they are not what was asked for.
local function scored(values, ask)
  if read.is_constant(values) then
    return protocol(("all %d prompt tokens have the same log-probability (does the server score prompts?)"):format(#values))
  end
  local result, err = read.total(values, ask.start)
  if not result then return nil, err end
  result.values = values
  return result
end

--- `prompt_logprobs`: token ids sent, one object per token back, by id. The plainest to check.
whole.prompt_logprobs = {
  needs = "ids", summary = { en = "log-probabilities of the prompt's tokens, by id", zh = "按 ID 返回提示词各词元的对数概率" },
  request = function(ask, base)
    local body = base.body
    body.prompt, body.prompt_logprobs, body.echo, body.logprobs = json.array(ask.ids), 0, nil, nil
    return base
  end,
  read = function(value, ask)
    local choice, err = read.choice(value)
    if not choice then return nil, err end
    local list = type(choice.prompt_logprobs) == "table" and choice.prompt_logprobs or value.prompt_logprobs
    if type(list) ~= "table" then return protocol "the reply has no prompt_logprobs" end
    if #list ~= #ask.ids then return protocol(("prompt_logprobs has %d entries for %d tokens"):format(#list, #ask.ids)) end
    local values = { json.null }
    for i = 2, #ask.ids do
      local entry = type(list[i]) == "table" and list[i][tostring(ask.ids[i])]
      values[i] = type(entry) == "table" and entry.logprob or entry
      if values[i] == nil then return protocol(("prompt_logprobs of token %d lack its own id %d"):format(i, ask.ids[i])) end
    end
    return scored(values, ask)
  end,
}

--- `echo` with token ids: the legacy lists, one entry per token.
whole.echo_ids = {
  needs = "ids", summary = { en = "echo of the prompt, sent as token ids", zh = "以词元 ID 发送并回显提示词" },
  request = function(ask, base)
    base.body.prompt = json.array(ask.ids)
    return base
  end,
  read = function(value, ask, response)
    local choice, err = read.choice(value)
    if not choice then return nil, err end
    local list = type(choice.logprobs) == "table" and choice.logprobs.token_logprobs
    local count = #ask.ids
    if type(list) ~= "table" then return protocol "the reply has no log-probabilities of the prompt (does the server support echo?)" end
    local sent = response.usage.prompt_tokens
    if sent and sent ~= count then
      return protocol(("%d token ids were sent and the server counts %d: it adds tokens of its own"):format(count, sent))
    end
    local generated = response.usage.completion_tokens or 1
    if #list ~= count and #list ~= count + generated then
      return protocol(("echo gave %d entries for %d prompt tokens (does the server support echo?)"):format(#list, count))
    end
    return scored(table.move(list, 1, count, 1, {}), ask)
  end,
}

--- `echo` with text, split by `text_offset`: where there is no tokenizer.
whole.echo_text = {
  summary = { en = "echo of the prompt, split by text_offset", zh = "回显提示词，按 text_offset 切分" },
  read = function(_, ask, response)
    local result, err = choices.sum(response, ask.context, ask.continuation, ask.echo_logprobs == 0)
    if not result then return nil, err end
    result.values = table.move(response.logprobs.token_logprobs, 1, response.usage.prompt_tokens or #response.logprobs.token_logprobs,
      1, {})
    return result
  end,
}

--- The native generate endpoint with `return_logprob`: entries `[logprob, id, text]`, the first one's value unknown.
whole.generate_logprob = {
  needs = "ids", summary = { en = "native generation endpoint with log-probabilities of the input", zh = "原生生成接口返回的输入词元对数概率" },
  request = function(ask)
    return { method = "POST", path = "/generate", is_root = true, body = { input_ids = json.array(ask.ids),
      sampling_params = { max_new_tokens = 1, temperature = 0 }, return_logprob = true, logprob_start_len = ask.start - 1 } }
  end,
  read = function(value, ask)
    local list = type(value.meta_info) == "table" and value.meta_info.input_token_logprobs
    if type(list) ~= "table" then return protocol "the reply has no meta_info.input_token_logprobs" end
    local first = #ask.ids - #list -- tokens before the first entry
    if first < 0 or first > ask.start then
      return protocol(("input_token_logprobs has %d entries for the last %d of %d tokens"):format(#list, #ask.ids - ask.start + 1,
        #ask.ids))
    end
    local values = {}
    for i = 1, #ask.ids do
      local entry = list[i - first]
      if i > first and (type(entry) ~= "table" or entry[2] ~= ask.ids[i]) then
        return protocol(("input_token_logprobs of token %d is not about id %d"):format(i, ask.ids[i]))
      end
      values[i] = i > first and entry[1] or json.null
    end
    if first == 0 and read.is_constant(values) then return scored(values, ask) end
    local result, err = read.total(values, ask.start)
    if not result then return nil, err end
    result.values = values
    return result
  end,
}

return whole
