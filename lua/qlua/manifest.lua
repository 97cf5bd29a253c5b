-- SPDX-License-Identifier: Apache-2.0
--- Manifest: where a run's numbers come from: binary, scripts, data, servers, machine, seeds, command line.
-- Everything in it is a fact that was read, never one that was assumed; what could not be read is absent. Keys hold
-- names of environment variables that are known to change results, never keys or tokens.

local hash = require "qlua.core.hash"
local sys = require "qlua.core.sys"

local manifest = {}

local telling = { "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "VLLM_BATCH_INVARIANT", "VLLM_ATTENTION_BACKEND", "HF_HUB_OFFLINE",
  "LANG", "LC_ALL", "TZ" }

local function environment()
  local values = {}
  for _, name in ipairs(telling) do values[name] = sys.env(name) end
  return values
end

local function script_record(script)
  return { name = script.name, path = script.path, origin = script.origin, sha256 = script.sha256 }
end

--- The parts that are known before the first request.
-- @tparam table made a plan
-- @tparam table options command (list of words), created_at
-- @treturn table
function manifest.make(made, options)
  local scripts, data, notes = {}, {}, {}
  for _, one in ipairs(made.variants) do scripts["server." .. one.dialect.name] = script_record(one.dialect) end
  for _, one in ipairs(made.datasets) do
    scripts["dataset." .. one.name] = script_record(one.script)
    for _, scorer in ipairs(one.scorers) do scripts["scorer." .. scorer.name] = script_record(scorer) end
    data[one.name] = one.task.files
    for _, note in ipairs(one.task.notes) do notes[#notes + 1] = note end
  end
  local exe = sys.exe()
  return {
    qlua = sys.versions(), binary = { path = exe, sha256 = exe and hash.sha256_file(exe) }, host = sys.host(),
    command = options.command, created_at = options.created_at, scripts = scripts, data = data, notes = notes,
    environment = environment(), simulated = made.simulated, servers = {},
  }
end

return manifest
