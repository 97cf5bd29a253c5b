-- SPDX-License-Identifier: Apache-2.0
--- Times loading the three data sets: `build/release/qlua lua bench/load.lua`.
-- `open` reads, checks and hashes the files, `prompts` makes every sample and prompt with its examples.
local support = require "support"
local tasks = require "qlua.tasks"

local RUNS = 5

local function open(name)
  local task, err = tasks.open { dataset = name, data_dir = support.data }
  if not task then error(err.text, 0) end
  return task
end

local function make_prompts(task)
  for i = 0, task:size() - 1 do assert(task:prompt(i)) end
end

support.head()
local whole = {}
for i = 1, RUNS do whole[i] = 0 end
for _, name in ipairs { "gsm8k", "hellaswag", "mmlu" } do
  local opening, prompting, size = {}, {}, 0
  for i = 1, RUNS do
    collectgarbage()
    local task
    opening[i], task = support.timed(open, name)
    prompting[i] = support.timed(make_prompts, task)
    whole[i] = whole[i] + opening[i]
    size = task:size()
  end
  support.row(("%s, %d questions of %s: open"):format(name, size, support.data), "ms", opening)
  support.row(name .. ": all prompts", "ms", prompting)
end
support.row("all three: open", "ms", whole)
