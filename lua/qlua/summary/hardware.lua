-- SPDX-License-Identifier: Apache-2.0
--- Hardware: memory and energy of the variants, from the rows that `qlua.telemetry` wrote. Pure.
--
-- Only devices that a variant's server uses count. Energy of a dataset is the sum over its phases and devices, and is known only when
-- every phase in which something was asked was measured to its end: a phase that a killed run left open has used energy that nobody
-- saw. Per correct answer it is given from MIN_SECONDS on, since the counter moves every 100 ms.
local hardware = {}

--- Shortest measured time from which energy is divided by answers.
hardware.MIN_SECONDS = 10
--- A server whose devices all had work for a smaller share of the time was not limited by them.
hardware.IDLE_BELOW = 0.2

local function by_variant(rows)
  local result, idle = {}, {}
  for _, row in ipairs(rows) do
    if row.moment == "idle" then
      idle[row.device] = row.record.power_w_mean
    else
      local one = result[row.variant] or { baseline = {}, loaded = {}, phases = {}, order = {} }
      result[row.variant] = one
      if row.moment == "phase" then
        one.phases[#one.phases + 1] = row
      else
        one[row.moment][row.device] = row.record -- of several sessions the last
      end
      if row.moment == "loaded" and row.record.used and not one.order[row.device] then
        one.order[row.device] = true
        table.insert(one.order, row.device)
      end
    end
  end
  return result, idle
end

local function raise(figures, name, value)
  if value then figures[name] = math.max(figures[name] or value, value) end
end

-- Means over phases, each weighted by its seconds; maxima over all; sums of energy.
local function join_phases(figures, phases, device)
  local seconds, sums, throttle = 0, {}, nil
  for _, row in ipairs(phases) do
    local one = row.record
    if row.device == device then
      seconds = seconds + one.seconds
      for _, name in ipairs { "power_w_mean", "sm_clock_mhz_mean", "utilisation_mean" } do
        if one[name] then sums[name] = (sums[name] or 0) + one[name] * one.seconds end
      end
      raise(figures, "power_w_max", one.power_w_max)
      raise(figures, "temperature_c_max", one.temperature_c_max)
      raise(figures, "memory_peak_bytes", one.memory_used_max_bytes)
      if one.lost then figures.lost = true end
      if one.throttle then throttle = throttle or {} end -- an empty one: known, and there was none
      for name, share in pairs(one.throttle or {}) do
        throttle[name] = (throttle[name] or 0) + share * one.seconds
      end
    end
  end
  if seconds <= 0 then return end
  for name, sum in pairs(sums) do figures[name] = sum / seconds end
  for name, sum in pairs(throttle or {}) do throttle[name] = sum / seconds end
  figures.throttle, figures.seconds = throttle, seconds
end

local function device_figures(one, device, known, idle)
  local loaded, baseline = one.loaded[device], one.baseline[device]
  local figures = { uuid = device, name = known.name, index = loaded.index, power_w_idle = idle[device],
    memory_baseline_bytes = baseline and baseline.memory_used_max_bytes, memory_loaded_bytes = loaded.memory_used_max_bytes,
    memory_peak_bytes = loaded.memory_used_max_bytes, memory_total_bytes = known.memory_total_bytes }
  join_phases(figures, one.phases, device)
  return figures
end

-- The busiest device's share of time with work, where that was too little to be what limited the server; else nil.
local function idle_share(devices)
  local busiest
  for _, one in ipairs(devices) do
    if not one.utilisation_mean then return nil end
    busiest = math.max(busiest or 0, one.utilisation_mean)
  end
  return busiest and busiest < hardware.IDLE_BELOW and busiest or nil
end

-- What the server takes: beyond what the devices held before it, where that is known.
local function memory_of(devices)
  local result = { loaded_bytes = 0, peak_bytes = 0 }
  for _, one in ipairs(devices) do
    if not one.memory_peak_bytes then return nil end
    local before = one.memory_baseline_bytes or 0
    result.loaded_bytes = result.loaded_bytes + math.max(0, one.memory_loaded_bytes - before)
    result.peak_bytes = result.peak_bytes + math.max(0, one.memory_peak_bytes - before)
  end
  return result
end

-- Energy of all used devices in one phase, or nil when one of them is not known.
local function phase_energy(one, phase, idle)
  local found, sum, seconds, at_rest, source = {}, 0, 0, 0, "counter"
  for _, row in ipairs(one.phases) do
    if row.phase == phase.id and row.record.energy_j then
      found[row.device] = true
      sum, seconds = sum + row.record.energy_j, math.max(seconds, row.record.seconds)
      at_rest = at_rest and idle[row.device] and at_rest + idle[row.device] * row.record.seconds
      if row.record.energy_source ~= "counter" then source = row.record.energy_source end
    end
  end
  for _, device in ipairs(one.order) do
    if not found[device] then return nil end
  end
  return { joules = sum, seconds = seconds, at_rest = at_rest, source = source }
end

local function energy_of(one, phases, variant, dataset, idle)
  local total = { joules = 0, seconds = 0, at_rest = 0, source = "counter" }
  for _, phase in ipairs(phases) do
    if phase.variant == variant and phase.dataset == dataset and (phase.asked > 0 or not phase.end_ns) then
      local part = phase.end_ns and phase_energy(one, phase, idle)
      if not part then return nil end
      total.joules, total.seconds = total.joules + part.joules, total.seconds + part.seconds
      total.at_rest = total.at_rest and part.at_rest and total.at_rest + part.at_rest
      if part.source ~= "counter" then total.source = part.source end
    end
  end
  return total.seconds > 0 and total or nil
end

local function add_energy(cell, energy)
  cell.energy_joules, cell.energy_source, cell.energy_seconds = energy.joules, energy.source, energy.seconds
  if energy.at_rest then cell.energy_above_idle_joules = math.max(0, energy.joules - energy.at_rest) end
  if energy.seconds < hardware.MIN_SECONDS or (cell.num_correct or 0) == 0 then return end
  cell.energy_per_correct_joules = energy.joules / cell.num_correct
  if cell.energy_above_idle_joules then
    cell.energy_above_idle_per_correct_joules = cell.energy_above_idle_joules / cell.num_correct
  end
end

--- Add `gpu` and `memory` to variants, `energy_*` to their datasets, and `telemetry` to the document.
-- @tparam table doc the Summary so far
-- @tparam ?table measured `{ facts, rows, phases }` of the run's store; nil for a run without
function hardware.add(doc, measured)
  if not measured or not measured.facts then return end
  doc.telemetry = measured.facts
  local known = {}
  for _, device in ipairs(measured.facts.devices or {}) do known[device.uuid or tostring(device.index)] = device end
  local variants, idle = by_variant(measured.rows)
  for _, name in ipairs(doc.variant_order) do
    local one, result = variants[name], doc.variants[name]
    if one and #one.order > 0 then
      local devices = {}
      for i, device in ipairs(one.order) do devices[i] = device_figures(one, device, known[device] or {}, idle) end
      result.gpu, result.memory = { devices = devices, idle_utilisation = idle_share(devices) }, memory_of(devices)
      for dataset, cell in pairs(result.datasets) do
        local energy = energy_of(one, measured.phases, name, dataset, idle)
        if energy then add_energy(cell, energy) end
      end
    end
  end
end

return hardware
