-- SPDX-License-Identifier: Apache-2.0
--- Ability: is what a configuration asks for something that the server can do? Said before anything is started. Pure.
-- Servers ignore fields that they do not know, so a setting that cannot be sent is refused here rather than dropped there.

local ability = {}

-- Settings that change nothing: these need not be sent.
local neutral = {
  top_k = function(value) return value <= 0 end,
  min_p = function(value) return value == 0 end,
  repetition_penalty = function(value) return value == 1 end,
}

local function fail(variant, text, hint)
  return nil, { kind = "config", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

local function knows(dialect, field)
  for key, name in pairs(dialect.sampling) do
    if (type(key) == "string" and key or name) == field then return true end
  end
  return false
end

local function check_sampling(dialect, variant)
  if not dialect.sampling then return true end
  for field, is_neutral in pairs(neutral) do
    local value = variant.generation[field]
    if value and not is_neutral(value) and not knows(dialect, field) and (variant.server.extra_body or {})[field] == nil then
      return fail(variant, ("generation.%s: engine '%s' has no such parameter, it would be ignored"):format(field, dialect.name),
        ("if this server knows it, send it by the name it has there: extra_body: { %s: %s }"):format(field, value))
    end
  end
  return true
end

--- May this variant be asked as it is configured?
-- @tparam table dialect
-- @tparam table variant resolved
-- @treturn ?boolean true; or nil and err
function ability.check_variant(dialect, variant)
  local ok, err = check_sampling(dialect, variant)
  if not ok then return nil, err end
  local kwargs = variant.generation.chat_template_kwargs
  if kwargs and next(kwargs) and not dialect.template_kwargs then
    return fail(variant, ("generation.chat_template_kwargs: engine '%s' takes none"):format(dialect.name))
  end
  return true
end

local function modes_of(dialect, dataset)
  local able = {}
  for _, mode in ipairs(dataset.script.modes) do
    if mode ~= dataset.mode and dialect.capabilities[mode] == true then able[#able + 1] = mode end
  end
  return able
end

local function check_mode(dialect, variant, dataset)
  local able = dialect.capabilities and dialect.capabilities[dataset.mode]
  if not dialect.capabilities or able == true then return true end
  local others = modes_of(dialect, dataset)
  local why = type(able) == "table" and able.en or ("engine '%s' cannot do it"):format(dialect.name)
  return fail(variant, ("dataset '%s' in mode %s: %s"):format(dataset.name, dataset.mode, why),
    #others > 0 and ("--set datasets.%s.mode=%s"):format(dataset.name, others[1])
      or "no other mode of this dataset works there: leave it out")
end

-- Will its questions go to the chat endpoint? A dataset that makes messages is asked nowhere else.
local function is_chat(variant, dataset)
  if dataset.mode == "loglikelihood" then return false end
  if dataset.script.converse or (dataset.endpoint or variant.server.endpoint) == "chat" then return true end
  local first = dataset.task:prompt(0)
  return first ~= nil and first.messages ~= nil
end

--- May this dataset be asked of this variant?
-- @tparam table dialect
-- @tparam table variant resolved
-- @tparam table dataset of a plan: name, script, task, mode, endpoint
-- @treturn ?boolean true; or nil and err
function ability.check_dataset(dialect, variant, dataset)
  local ok, err = check_mode(dialect, variant, dataset)
  if not ok then return nil, err end
  for _, field in ipairs { "system_prompt", "chat_template_kwargs" } do
    local value = variant.generation[field]
    local is_set = value and (type(value) ~= "table" or next(value))
    if is_set and not is_chat(variant, dataset) then
      return fail(variant, ("generation.%s: dataset '%s' is asked as plain text, where there is no such thing"):format(field, dataset.name),
        ("ask it as a chat: --set datasets.%s.endpoint=chat"):format(dataset.name))
    end
  end
  return true
end

return ability
