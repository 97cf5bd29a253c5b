-- SPDX-License-Identifier: Apache-2.0
--- Support of the tests with real engines: which are installed (tools/real_setup), model files, runs and what they gave.
-- Tests of an engine that is not installed are skipped, each saying so.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local sys = require "qlua.core.sys"
local support = require "support"

local real = {}

real.home = sys.env "QLUA_REAL_HOME" or (sys.env "HOME" or "") .. "/.cache/qlua/real"
support.guard_ms = tonumber(sys.env "QLUA_E2E_GUARD_MS") or 1800000 -- a real engine on a busy machine

-- The converters and the model are kept beside the project, like the data.
local shared = support.shared and file.real(support.shared .. "/..")

local programs = { llama = "llama-server", llama_python = "python", transformers = "transformers" }

--- The program that starts an engine, or nil and why it is not there.
-- @tparam string engine llama, llama_python or transformers
function real.program(engine)
  local path = ("%s/%s/bin/%s"):format(real.home, engine, programs[engine])
  if file.stat(("%s/%s/installed"):format(real.home, engine)) and file.stat(path) then return path end
  if engine == "llama" then
    local found = sys.find_on_path "llama-server"
    if found then return type(found) == "string" and found or "llama-server" end
  end
  return nil, ("%s is not installed: tools/real_setup %s"):format(engine, engine)
end

--- Python with numpy and tokenizers, or nil and why not.
function real.python()
  local path = real.home .. "/llama/bin/python"
  if file.stat(real.home .. "/llama/installed") and file.stat(path) then return path end
  return nil, "no Python with numpy: tools/real_setup llama"
end

--- A file of the folder beside the project, or nil and why not.
function real.shared(name)
  local path = shared and shared .. "/" .. name
  if path and file.stat(path) then return path end
  return nil, "no ../shared/" .. name
end

local function command(argv)
  local result = support.command(argv)
  assert(result.code == 0, table.concat(argv, " ") .. ": " .. result.all)
end

--- A tiny model whose next token depends on the last one alone, written by tiny_gguf.py.
function real.tiny(folder, seed)
  local path = folder .. "/tiny.gguf"
  command { "python3", real.shared "tools/tiny_gguf.py", path, "64", "2", tostring(seed or 1), "bigram" }
  return path
end

--- The checkpoint as GGUF files, made once and kept: { f16 = path, … }.
function real.quantized(kinds)
  local folder = real.home .. "/models"
  assert(file.make_dir(folder))
  local made = {}
  local converter, checkpoint = real.shared "tools/hf_to_gguf.py", real.shared "models/quiz-27m"
  local hash = require "qlua.core.hash"
  local version = assert(hash.sha256_file(converter)):sub(1, 8)
  for _, kind in ipairs(kinds) do
    made[kind] = ("%s/quiz-27m-%s-%s.gguf"):format(folder, kind, version)
    if not file.stat(made[kind]) then
      command { real.python(), converter, checkpoint, made[kind] .. ".new", kind }
      assert(file.rename(made[kind] .. ".new", made[kind]))
    end
  end
  return made
end

--- The server section of a configuration for an engine.
-- @tparam string engine
-- @tparam[opt] table more further keys as YAML texts
function real.server(engine, more)
  local keys = { port = "null", startup_timeout_s = "300", stop_grace_s = "20", executable = json.encode(real.program(engine)) }
  if engine == "llama" then
    keys.engine, keys.max_model_len, keys.max_num_seqs, keys.extra_args = "llama_cpp", "2048", "1", '["-t", "1"]'
  elseif engine == "llama_python" then
    keys.engine, keys.max_model_len, keys.extra_args = "llama_cpp_python", "2048", '["--n_threads", "1", "--n_threads_batch", "1"]'
  else
    keys.engine = "transformers"
  end
  for key, value in pairs(more or {}) do keys[key] = value end
  local lines = {}
  for key, value in pairs(keys) do lines[#lines + 1] = ("  %s: %s"):format(key, value) end
  table.sort(lines)
  return "server:\n" .. table.concat(lines, "\n") .. "\n"
end

--- A run's samples as the reference harness's files have them: the rows of a dataset in order, decoded.
function real.samples(run_dir, dataset)
  local out = support.folder()
  local result = support.qlua { "export", run_dir, "--format", "lm-eval", "--out", out }
  assert(result.code == 0, result.all)
  local rows = {}
  local function walk(folder)
    for _, name in ipairs(assert(file.list(folder))) do
      local path = folder .. "/" .. name
      if file.stat(path).kind == "dir" then
        walk(path)
      elseif name:find("samples_" .. dataset, 1, true) then
        for line in support.read(path):gmatch "[^\n]+" do rows[#rows + 1] = assert(json.decode(line)) end
      end
    end
  end
  walk(out)
  return rows
end

--- A function that posts to a server and gives the decoded reply.
function real.poster(url)
  local client = require("qlua.core.http").open { max_in_flight = 1 }
  return function(path, body)
    local reply = client:send { method = "POST", url = url .. path, headers = { ["content-type"] = "application/json" },
      body = json.encode(body), total_ms = 600000 }
    assert(not reply.error and reply.status == 200, ("%s: %s"):format(path, reply.error and reply.error.text or reply.body))
    return assert(json.decode(reply.body))
  end
end

return real
