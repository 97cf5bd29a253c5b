-- SPDX-License-Identifier: Apache-2.0
--- Load plan: what `benchmark.load` means, resolved and checked before anything is sent: the points to measure, in order, with
-- their stages, and what their requests say. `qlua load --dry-run` prints it, `qlua.run.loading` carries it out.

local config = require "qlua.config"
local schedule = require "qlua.load.schedule"
local slo = require "qlua.load.slo"
local workload = require "qlua.load.workload"

local plan = {}

--- Requests of a measurement for which nothing says how many.
plan.DEFAULT_REQUESTS = 200

local function quoted(value) return type(value) == "string" and ("\"%s\""):format(value) or tostring(value) end

-- ---- errors that say where a value came from ----------------------------------------------------------------------

local function where_of(resolved, key)
  local origin = config.origin(resolved, "benchmark.load." .. key)
  if origin:sub(1, 2) == "--" and origin ~= "--set" then return origin end
  return (origin == "default" and "" or origin .. ": ") .. "benchmark.load." .. key
end

local function refuse(resolved, key, text, hint)
  error({ kind = "usage", text = ("%s: %s"):format(where_of(resolved, key), text), hint = hint }, 0)
end

local function only_one(resolved, load, keys, what)
  local found
  for _, key in ipairs(keys) do
    local value = load[key]
    local is_given = value ~= nil and value ~= false and not (type(value) == "table" and #value == 0)
    if is_given and found then refuse(resolved, key, ("excludes %s: a load has one %s"):format(where_of(resolved, found), what)) end
    found = is_given and key or found
  end
  return found
end

-- ---- stages ---------------------------------------------------------------------------------------------------------

local function ramp_of(resolved, key, text)
  local shape, from, to = text:match "^(%l+):([%d.]+):([%d.]+)$"
  from, to = tonumber(from), tonumber(to)
  local is_right = (shape == "linear" or shape == "exponential") and from and to and from + to > 0
  if not is_right or shape == "exponential" and (from <= 0 or to <= 0) then
    refuse(resolved, key, ("want linear:FROM:TO or exponential:FROM:TO with rates above 0, got %s"):format(quoted(text)))
  end
  return { shape = shape, from = from, to = to }
end

local function amount(value) return ("%g"):format(value) end

-- A short name for what drives a stage; rows are filed under it.
local function label_of(stage)
  if stage.kind == "closed" then return "concurrency=" .. stage.concurrency end
  if stage.kind == "trace" then return "trace" end
  if stage.arrival == "burst" then return "burst" end
  if stage.ramp then return ("ramp=%s..%s"):format(amount(stage.ramp.from), amount(stage.ramp.to)) end
  return "rate=" .. amount(stage.rate)
end

-- One stage out of its keys; `load` has what all share.
local function stage_of(resolved, load, own, key)
  local function pick(name)
    if own[name] ~= nil then return own[name] end
    return load[name]
  end
  local stage = { count = own.num_requests, duration_s = own.duration_s }
  if not stage.count and not stage.duration_s then stage.count, stage.duration_s = load.num_requests, load.duration_s end
  if stage.count and stage.duration_s then refuse(resolved, key, "num_requests and duration_s exclude each other") end
  if not stage.count and not stage.duration_s then stage.count = plan.DEFAULT_REQUESTS end
  if own.concurrency then
    stage.kind, stage.concurrency = "closed", own.concurrency
  else
    stage.kind, stage.arrival, stage.burstiness = "open", pick "arrival", pick "burstiness"
    stage.rate, stage.ramp, stage.normalize = own.rate, own.ramp and ramp_of(resolved, key, own.ramp), load.normalize
    if stage.arrival ~= "gamma" then stage.burstiness = nil end
  end
  if stage.arrival == "burst" then
    stage.rate, stage.ramp = nil, nil
    if not stage.count then refuse(resolved, key, "a burst wants num_requests, not duration_s") end
  end
  stage.label = label_of(stage)
  return stage
end

local function new_point(stages, axis, value)
  local parts = {}
  for i, stage in ipairs(stages) do
    if #stages > 1 then stage.label = ("%d %s"):format(i, stage.label) end
    parts[i] = stage.label
  end
  return { label = #parts <= 3 and table.concat(parts, ", ") or ("%d stages"):format(#parts), stages = stages, axis = axis, value = value }
end

-- ---- points -----------------------------------------------------------------------------------------------------------

local function swept(resolved, load, key, axis)
  local values, wrong = schedule.sweep(load[key], axis == "concurrency")
  if not values then refuse(resolved, key, wrong) end
  local points = {}
  for i, value in ipairs(values) do points[i] = plan.point(resolved, load, axis, value) end
  return points
end

local function listed(resolved, load)
  local stages = {}
  for i, own in ipairs(load.stages) do
    local key = ("stages[%d]"):format(i)
    local count = (own.rate and 1 or 0) + (own.ramp and 1 or 0) + (own.concurrency and 1 or 0)
    local is_burst = (own.arrival or load.arrival) == "burst"
    if count ~= 1 and not (count == 0 and is_burst) then refuse(resolved, key, "want one of rate, ramp and concurrency") end
    stages[i] = stage_of(resolved, load, own, key)
  end
  return { new_point(stages) }
end

local function trace_point(load, times_ns)
  local offsets = {}
  for i, at in ipairs(times_ns) do
    local is_over = load.num_requests and i > load.num_requests or load.duration_s and at > load.duration_s * 1e9
    if is_over then break end
    offsets[i] = at
  end
  return { new_point { { kind = "trace", label = "trace", offsets_ns = offsets, count = #offsets } } }
end

--- A point on an axis: what a sweep and a search are made of.
-- @tparam string axis `rate` or `concurrency`
function plan.point(resolved, load, axis, value)
  return new_point({ stage_of(resolved, load, { [axis] = value }, axis) }, axis, value)
end

local SHAPES = { "rate", "ramp", "concurrency", "stages", "sweep_rate", "sweep_concurrency" }

local function points_of(resolved, load, work)
  local shape = only_one(resolved, load, SHAPES, "shape")
  if shape == "stages" then return listed(resolved, load) end
  if shape == "sweep_rate" then return swept(resolved, load, shape, "rate") end
  if shape == "sweep_concurrency" then return swept(resolved, load, shape, "concurrency") end
  if shape then return { plan.point(resolved, load, shape, load[shape]) } end
  if load.arrival == "burst" then return { new_point { stage_of(resolved, load, {}, "arrival") } } end
  if work.times_ns then return trace_point(load, work.times_ns) end
  return { plan.point(resolved, load, "concurrency", resolved.benchmark.concurrency) }
end

-- The search of `find_max`: where it begins and along which axis.
local function search_of(resolved, load)
  if not load.find_max then return nil end
  for _, key in ipairs { "stages", "sweep_rate", "sweep_concurrency", "ramp" } do
    if load[key] and #load[key] > 0 then refuse(resolved, "find_max", "excludes " .. where_of(resolved, key)) end
  end
  if not next(load.slo) then
    refuse(resolved, "find_max", "wants limits to look for", "for instance --slo ttft:200,tpot:50")
  end
  if load.arrival == "burst" then refuse(resolved, "find_max", "excludes arrival burst") end
  if load.concurrency then return { axis = "concurrency", from = load.concurrency, is_whole = true, least = 1, most = 65536 } end
  return { axis = "rate", from = load.rate or 1 }
end

-- ---- workload ---------------------------------------------------------------------------------------------------------

local function selected_dataset(resolved, load)
  local source = only_one(resolved, load, { "dataset", "random_input", "sharegpt", "trace", "custom" }, "source of prompts")
  if load.random_output and not load.random_input then refuse(resolved, "random_output", "wants random_input as well") end
  if source then return nil end
  local first = resolved.datasets[1]
  if not first then
    error({ kind = "usage", text = "nothing to send: no dataset, no file and no random_input is named",
      hint = "for instance --dataset NAME, or --random-input 512 --random-output 128" }, 0)
  end
  load.dataset = first.name
end

local function open_workload(resolved, load, options)
  selected_dataset(resolved, load)
  if load.turns > 1 and not (load.random_input or load.sharegpt) then
    refuse(resolved, "turns", "sessions are made of random_input or sharegpt")
  end
  local about
  for _, dataset in ipairs(resolved.datasets) do
    if dataset.name == load.dataset then about = dataset end
  end
  local work, err = workload.open(load, { seed = load.seed or resolved.generation.seed or 0, shots = about and about.shots,
    data_dir = options.data_dir or resolved.data, limit = about and about.limit })
  if not work then error(err, 0) end
  return work
end

-- ---- the whole ----------------------------------------------------------------------------------------------------------

local function limits_of(load)
  local parts = {}
  for name, ms in pairs(load.slo) do parts[#parts + 1] = ("%s:%.17g"):format(name, ms) end
  table.sort(parts)
  return #parts > 0 and assert(slo.parse(table.concat(parts, ","))) or nil
end

local function resolve(resolved, options)
  local load, benchmark = resolved.benchmark.load, resolved.benchmark
  local work = open_workload(resolved, load, options)
  local search = search_of(resolved, load)
  local made = { resolved = resolved, spec = load, workload = work, search = search, slo = limits_of(load), slo_share = load.slo_share,
    seed = load.seed or resolved.generation.seed or 0, replicates = load.replicates or benchmark.num_runs, order = load.order,
    warmup = load.warmup or benchmark.num_warmup_iterations, warmup_steady = load.warmup_steady, prewarm = load.prewarm }
  made.points = search and {} or points_of(resolved, load, work)
  return made
end

--- Resolve and check the load phase of a configuration.
-- @tparam table resolved configuration with `benchmark.load`
-- @tparam table options data_dir
-- @treturn ?table `{ spec, workload, points = { { label, axis, value, stages } … }, search, slo, slo_share, seed, replicates, order,
--   warmup, warmup_steady, prewarm }`; or nil and err
function plan.make(resolved, options)
  local ok, made = pcall(resolve, resolved, options or {})
  if ok then return made end
  if type(made) == "table" then return nil, made end
  error(made, 0)
end

--- The schedule of one point in one replicate: the same for every variant.
function plan.schedule(made, point, replicate)
  return schedule.make(point.stages, made.seed, ("%s/%d"):format(point.label, replicate))
end

--- What must be the same for a run to be resumed.
-- @treturn table flat: what → value
function plan.fingerprint(made)
  local json = require "qlua.core.json"
  local print = { ["load"] = json.encode(made.spec), ["load seed"] = made.seed, ["load replicates"] = made.replicates }
  return print
end

return plan
