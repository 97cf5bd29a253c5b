-- SPDX-License-Identifier: Apache-2.0
--- Dry run: prints a plan: who is started with which words, what is asked, how it is judged. Starts and writes nothing.

local launch = require "qlua.launch"
local notices = require "qlua.notices"
local say = require "qlua.cli.say"
local secrets = require "qlua.secrets"

local dry_run = {}

local function sorted(map)
  local keys = {}
  for key in pairs(map or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function print_variant(one)
  local variant = one.variant
  say.line(("%s (%s)"):format(one.name, say.pick(variant.description)))
  local simulated = one.dialect.simulated and say.pick { en = "  (answers are simulated)", zh = "（答案为模拟）" } or ""
  say.line("  engine      ", one.dialect.name, simulated)
  say.line("  model       ", variant.model)
  if one.launch then
    local env = { QLUA_RUN_ID = "NONCE" } -- by which all that was started is found again
    for name, value in pairs(one.launch.env or {}) do env[name] = value end
    say.line("  command     ", table.concat(launch.words(one.launch.argv, env), " "))
    if not one.dialect.names_itself then
      say.line("  served as   ", (variant.server.served_model_name or variant.model) .. "#NONCE")
    end
  else
    say.line("  address     ", secrets.url(variant.server.base_url) or variant.server.unix_socket, launch.query(variant))
  end
  if variant.server.api_key_env then say.line("  API key     $", variant.server.api_key_env) end
  if variant.server.api_key_file then say.line("  API key     of the file ", variant.server.api_key_file) end
  for _, notice in ipairs(notices.of(one)) do say.line("  notice      ", say.pick(notice)) end
  local sampling = {}
  for _, name in ipairs(sorted(variant.generation)) do
    local value = variant.generation[name]
    if type(value) ~= "table" then sampling[#sampling + 1] = ("%s=%s"):format(name, value) end
  end
  say.line("  sampling    ", table.concat(sampling, " "))
end

local requests_per_question = {
  generate = function() return 1 end,
  letter = function() return 1 end,
  loglikelihood = function(task)
    local prompt = task:prompt(0)
    return prompt and #prompt.continuations or 1
  end,
}

-- The second pass of the control asks each question once.
local function print_dataset(one, variant_count, control_share)
  local names = {}
  for i, scorer in ipairs(one.scorers) do names[i] = scorer.name end
  local count, each = one.task:size(), requests_per_question[one.mode](one.task)
  say.line(("%s: %d questions, mode %s, %d-shot, endpoint %s, scorers %s"):format(one.name, count, one.mode, one.task.plan.n,
    one.endpoint or "completions", table.concat(names, ", ")))
  for _, used in ipairs(one.task.files) do
    if #one.task.files <= 4 then say.line(("  %s  sha256 %s…  %d rows"):format(used.path, used.sha256:sub(1, 12), used.rows)) end
  end
  if #one.task.files > 4 then say.line(("  %d files"):format(#one.task.files)) end
  if one.repeats > 1 then say.line(("  %d times each, with seeds of their own"):format(one.repeats)) end
  return math.ceil(count * each * (variant_count * one.repeats + control_share))
end

local function print_turned(one, variant_count)
  say.line(("%s: %d questions more, with their choices turned (%g %% of the questions)"):format(one.name, one.task:size(),
    100 * one.share))
  return one.task:size() * requests_per_question[one.mode](one.task) * variant_count
end

--- Print a plan.
-- @tparam table made
function dry_run.print(made)
  local benchmark = made.config.benchmark
  for _, one in ipairs(made.variants) do print_variant(one) end
  local requests = 0
  for _, one in ipairs(made.datasets) do requests = requests + print_dataset(one, #made.variants, benchmark.control) end
  for _, one in ipairs(made.turned) do requests = requests + print_turned(one, #made.variants) end
  say.line(say.pick { en = "in all", zh = "合计" }, (": %d requests, at most %d in flight, %d warm-up requests per variant"):format(
    requests, benchmark.concurrency, benchmark.num_warmup_iterations))
  local again = require("qlua.control").of(made)
  if again then
    say.line(say.pick { en = "control     ", zh = "对照        " }, again.name, (": %g %%"):format(100 * again.share))
  end
  if made.load then require("qlua.load.dry_run").print(made.load, #made.variants, require("qlua.run.loading").order(made)) end
  if #made.variants > 1 then require("qlua.power").print(made) end
  if made.simulated then say.line(say.pick { en = "SIMULATED: no model is asked", zh = "模拟：不会调用任何真实模型" }) end
end

return dry_run
