-- SPDX-License-Identifier: Apache-2.0
--- Export of measurements under load: one file of the serving benchmarks' JSON for each variant, point and replicate.
-- Rows of one measurement are held in memory while its file is made; the next begins from nothing.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local load_store = require "qlua.load.store"
local slo = require "qlua.load.slo"
local vllm_json = require "qlua.load.vllm_json"

local vllm_export = {}

-- A name that any file system takes, and that sorts as the points do.
local function file_name(phase, number)
  local function plain(text) return (text:gsub("[^%w%.=_-]+", "_")) end
  return ("%s-%02d-%s-r%d.json"):format(plain(phase.variant), number, plain(phase.point), phase.replicate)
end

-- That tool has one rate and one concurrency; of a point with several stages neither can be said.
local function shape_of(record)
  local stages = record.stages or {}
  if #stages ~= 1 then return {} end
  local stage = stages[1]
  local burstiness = stage.burstiness
  if stage.arrival == "constant" then burstiness = "inf" end
  return { request_rate = stage.rate, max_concurrency = stage.concurrency, burstiness = burstiness }
end

local function about_of(store, phase, run, limits, models)
  local shape = shape_of(phase.record)
  local seconds = phase.start_ns // 1000000000
  return { date = os.date("!%Y%m%d-%H%M%S", seconds), endpoint_type = "openai", label = phase.variant, model_id = models[phase.variant],
    request_rate = shape.request_rate, max_concurrency = shape.max_concurrency, burstiness = shape.burstiness, slo = limits,
    origin = { run = run, variant = phase.variant, point = phase.point, replicate = phase.replicate, simulated = store:meta "simulated" } }
end

local function models_of(store)
  local models = {}
  for _, variant in ipairs(store:variants()) do models[variant.name] = variant.model or variant.name end
  return models
end

--- Write the files.
-- @tparam table options `store` an open `qlua.run_store`, `run` its name, `out` a folder, `variants` a set of names, `is_detailed`
-- @treturn table list of paths, or nil and err: kind usage where nothing was measured, io where a file cannot be written
function vllm_export.write(options)
  local store, written, places, count = options.store, {}, {}, 0
  local about = store:meta "load" or {}
  local limits, models = about.slo and slo.parse(about.slo) or nil, models_of(store)
  for _, phase in ipairs(load_store.phases(store)) do
    if not places[phase.point] then
      count = count + 1
      places[phase.point] = count
    end
    if options.variants[phase.variant] then
      local rows = {}
      for one in load_store.rows(store, phase) do rows[#rows + 1] = one end
      local doc = vllm_json.write(rows, about_of(store, phase, options.run, limits, models), options.is_detailed)
      local path = ("%s/%s"):format(options.out, file_name(phase, places[phase.point]))
      local ok, err = file.make_dir(options.out)
      if ok then ok, err = file.write(path, json.encode(doc, 2) .. "\n") end
      if not ok then return nil, err end
      written[#written + 1] = path
    end
  end
  if #written == 0 then
    return nil, { kind = "usage", text = "qlua export: --format vllm: nothing was measured under load in this run",
      hint = "measure with qlua load, or with benchmark.load in the configuration" }
  end
  return written
end

return vllm_export
