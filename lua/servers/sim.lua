-- SPDX-License-Identifier: Apache-2.0
--- Sim: simulated answers from a process of its own, `qlua sim`, so that everything but the model is real.
-- The questions it plants answers for are the run's; accuracy, latency and faults come from the section `sim` of the
-- configuration. What was planted is written beside the server's log: NAME.ledger.jsonl.
local q = require "qlua"

-- `faults: { "429": 0.01, stall: { share: 0.01, stall_ms: 5000 } }` as a list in a fixed order.
local function fault_list(faults)
  local names, list = {}, {}
  for name in pairs(faults or {}) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local given = faults[name]
    local fault = { kind = name }
    if tonumber(name) then fault.kind, fault.status = "http", math.tointeger(tonumber(name)) end
    if type(given) == "table" then
      for field, value in pairs(given) do fault[field] = value end
    else
      fault.share = given
    end
    list[i] = fault
  end
  return list
end

local function latency_of(latency)
  local made = {}
  for name, value in pairs(latency or {}) do made[name == "token_ms" and "itl_ms" or name] = value end
  return made
end

-- Relative folders are the run's, and so are the sim's: both have the same working directory.
local function dataset_list(plan)
  local list = {}
  for i, one in ipairs(plan or {}) do
    list[i] = { dataset = one.dataset, data_dir = one.data_dir, mode = one.mode, shots = one.shots, limit = one.limit,
      args = one.args, form = one.form, permute = one.permute, permute_seed = one.permute_seed, endpoint = one.endpoint }
  end
  return q.json.array(list)
end

local KEY_ENV = "QLUA_SIM_API_KEY"

return q.server {
  name = "sim",
  summary = { en = "Simulated answers, no model: to try and to test everything else", zh = "模拟答案，不需要模型，用于体验和测试其余部分" },
  tested = {
    { version = "of this qlua", mode = "generate, loglikelihood, letter", seen = "run" },
  },
  simulated = true,
  capabilities = { generate = true, loglikelihood = true, letter = true },
  sampling = q.openai.extended_sampling, template_kwargs = true,
  key_env = KEY_ENV, unix_socket = true, health = "/health",
  tokenize = "prompt",
  score = { loglikelihood = { "echo_text", "prompt_logprobs", "echo_ids" },
    letter = { "top_logprobs", "logprob_token_ids", "logit_bias" } },
  grace_ms = 5000,

  start = function(variant, context)
    local sim = variant.sim or {}
    local ledger = context.write_file(variant.name .. ".ledger.jsonl", "")
    local path = context.write_file(variant.name .. ".plan.json", q.json.encode {
      variant = variant.name, served_model = context.served_name, seed = sim.seed, accuracy = sim.accuracy,
      latency = latency_of(sim.latency), rerun_flip = sim.rerun_flip, hostile = sim.hostile,
      sampled_flip = sim.sampled_flip, faults = q.json.array(fault_list(sim.faults)),
      quirks = sim.quirks and q.json.array(sim.quirks),
      max_model_len = variant.server.max_model_len, max_running = variant.server.max_num_seqs,
      api_key_env = KEY_ENV, datasets = dataset_list(context.plan),
    })
    local argv = { context.exe, "sim", "--plan", path, "--ledger", ledger }
    if context.unix_socket then
      argv[#argv + 1], argv[#argv + 2] = "--unix-socket", context.unix_socket
    else
      argv[#argv + 1], argv[#argv + 2] = "--host", context.host
      argv[#argv + 1], argv[#argv + 2] = "--port", tostring(context.port)
    end
    for _, extra in ipairs(variant.server.extra_args or {}) do argv[#argv + 1] = extra end
    return { argv = argv, env = {} }
  end,

  request = function(ask)
    ask.echo_logprobs = 0 -- the scored tokens alone: half the reply
    return q.openai.request(ask, q.openai.extended_sampling)
  end,
  read = q.openai.read,
}
