-- SPDX-License-Identifier: Apache-2.0
--- Steps: means that score a choice token by token, where a server gives log-probabilities of generated tokens only. Pure
-- pairs; `ask` has `before` (ids), `before_text`, `id` and `text` of the token to be scored, `options.prompt` says whether the
-- server takes ids or wants text.

local json = require "qlua.core.json"
local labels = require "qlua.scoring.labels"
local read = require "qlua.scoring.read"

local steps = {}

local protocol = read.protocol

local function next_of(ask, base, count, bias)
  base.body.prompt = ask.options.prompt == "text" and ask.before_text or json.array(ask.before)
  base.body.logprobs, base.body.logit_bias = count, bias
  return base
end

local function found_in(value, ask, response)
  local choice, err = read.choice(value)
  if not choice then return nil, err end
  -- A text may be cut into other tokens than the whole was; then another prompt was scored.
  local count = response.usage.prompt_tokens
  if count and count ~= #ask.before then
    return protocol(("the server reads %d tokens where %d come before the token to be scored"):format(count, #ask.before))
  end
  local found = read.next_token(choice)
  if not found or not read.is_logprob(found.own.logprob) then
    return protocol "the reply has no log-probability of the next token"
  end
  return found
end

local function is_wanted(entry, ask)
  local id = read.id_of(entry)
  if id then return id == ask.id end
  return entry.token == ask.text
end

--- `forced`: the token is forced by logit_bias and reported with its probability as it was before: one request per token.
steps.forced = {
  needs = "ids", summary = { en = "each token forced by logit_bias, its own log-probability read",
    zh = "用 logit_bias 逐个强制生成词元，读取其原始对数概率" },
  force = {
    request = function(ask, base) return next_of(ask, base, 1, labels.bias(ask.id, ask.options)) end,
    read = function(value, ask, response)
      local found, err = found_in(value, ask, response)
      if not found then return nil, err end
      if not is_wanted(found.own, ask) then
        return protocol(("token %d (\"%s\") was forced and \"%s\" came"):format(ask.id, ask.text or "?", tostring(found.own.token)))
      end
      return found.own.logprob
    end,
  },
}

-- Some servers list nothing where the likeliest token ends the text.
local function has_ended(value)
  local choice = read.choice(value)
  return choice and choice.finish_reason == "stop" and (choice.text == "" or choice.text == nil) and not read.next_token(choice)
end

local MUCH = 1 -- nats: a bias moves the others by its whole amount, noise by far less

--- `stepwise`: the token among the likeliest next ones; where it is not, a second request biases it, and its value follows
-- from how far it then stands from another token, whether the server reports probabilities before or after the bias.
steps.stepwise = {
  needs = "ids", summary = { en = "each token among the likeliest next ones, or moved there by logit_bias",
    zh = "逐个词元读取候选的对数概率，未列出的用 logit_bias 提升后推算" },
  look = {
    request = function(ask, base) return next_of(ask, base, ask.options.top_logprobs or 20) end,
    --- → the value, or nil and the likeliest token `{ token, logprob }`, false where the text ends there; nil, nil and err
    read = function(value, ask, response)
      if ask.options.bias_reported == "after" and has_ended(value) then return nil, false end
      local found, err = found_in(value, ask, response)
      if not found then return nil, nil, err end
      local likeliest = found.own
      for _, entry in ipairs(found.list) do
        if is_wanted(entry, ask) and read.is_logprob(entry.logprob) then return entry.logprob end
        if read.is_logprob(entry.logprob) and entry.logprob > likeliest.logprob then likeliest = entry end
      end
      if is_wanted(found.own, ask) then return found.own.logprob end
      return nil, likeliest
    end,
  },
  force = {
    request = function(ask, base) return next_of(ask, base, 5, labels.bias(ask.id, ask.options)) end,
    read = function(value, ask, response, likeliest)
      local found, err = found_in(value, ask, response)
      if not found then return nil, err end
      if not is_wanted(found.own, ask) then
        return protocol(("token %d was forced and \"%s\" came"):format(ask.id, tostring(found.own.token)))
      end
      for _, entry in ipairs(found.list) do
        if entry.token == likeliest.token and read.is_logprob(entry.logprob) then
          if math.abs(entry.logprob - likeliest.logprob) < MUCH then return found.own.logprob end -- reported as before the bias
          return likeliest.logprob + (found.own.logprob - (ask.options.bias or 100)) - entry.logprob
        end
      end
      return protocol(("the reply to a bias does not list \"%s\", the likeliest token without it"):format(tostring(likeliest.token)))
    end,
  },
}

--- Where the text would end, nothing is listed to measure a distance to. The bias grows until the token comes; by the step
-- before it was at most even with the end, so its probability p' is not yet lost in 1, and p = p' / (e^b (1 - p') + p').
-- Only for servers known to report probabilities after the bias (`options.bias_reported = "after"`).
steps.stepwise.creep = {
  STEP = 4, MOST = 60,
  request = function(ask, base, bias)
    return next_of(ask, base, 5, labels.bias(ask.id, { bias = bias, bias_form = ask.options.bias_form }))
  end,
  --- → the value; nil where the token did not come yet; nil and err
  read = function(value, ask, response, bias)
    if has_ended(value) then return nil end
    local found, err = found_in(value, ask, response)
    if not found then return nil, err end
    if not is_wanted(found.own, ask) then return nil end
    local biased = found.own.logprob -- log p' - log(e^b (1 - p') + p')
    local rest = math.max(1 - math.exp(biased), 0)
    return biased - math.log(math.exp(bias) * rest + math.exp(biased))
  end,
}

return steps
