-- SPDX-License-Identifier: Apache-2.0
--- Results: the Summary as `evaluation_results.json`, and back.
--
-- The document *is* the Summary (see `qlua.summary`), so `qlua report FILE` sets the same page as the run did.
-- Keys of the classic schema, which other tools read:
--
--     model, config, variants.NAME.{ description, datasets.NAME.{ accuracy, invalid_rate, num_correct, num_total,
--     latency_seconds.{ mean, p50, p90, p95, p99 }, questions_per_second } }, summary.best
--
-- All else is ours. Written with sorted keys and two spaces, so that two files can be compared by `diff`, and two
-- runs with one seed differ only in the keys of `results.VOLATILE`.
local file = require "qlua.core.file"
local json = require "qlua.core.json"

local results = {}

--- What depends on time or on the machine. `*` stands for any one key. Anything of that kind that is added to the
-- document belongs under one of these; facts of the machine go to `manifest.host`.
results.VOLATILE = {
  "run", -- id, started_at, finished_at
  "manifest.host", "manifest.command", "manifest.started_at", "manifest.finished_at", "manifest.binary",
  "manifest.created_at", "manifest.servers", "manifest.environment", "manifest.paths", "manifest.pid",
  "manifest.scripts.*.path", "manifest.scripts.*.origin", "manifest.data.*.*.path", "datasets.*.files.*.path",
  "variants.*.server", "variants.*.timing", "variants.*.argv",
  "variants.*.datasets.*.latency_seconds", "variants.*.datasets.*.ttft_seconds",
  "variants.*.datasets.*.tpot_seconds", "variants.*.datasets.*.longest_pause_seconds",
  "variants.*.datasets.*.questions_per_second", "variants.*.datasets.*.tokens_per_second",
  "variants.*.datasets.*.window_seconds", "variants.*.datasets.*.window_sessions",
  "instrument", "load.points", "load.errors", "load.found",
  "telemetry", "variants.*.gpu", "variants.*.memory", "variants.*.datasets.*.energy_joules", "variants.*.datasets.*.energy_source",
  "variants.*.datasets.*.energy_seconds", "variants.*.datasets.*.energy_above_idle_joules",
  "variants.*.datasets.*.energy_per_correct_joules", "variants.*.datasets.*.energy_above_idle_per_correct_joules",
  "variants.*.datasets.*.retries", -- how often a request had to be sent again is the server's momentary state
  -- what follows from speed
  "verdict.serving", "verdict.pareto", "verdict.status", "verdict.chosen", "verdict.reason", "verdict.headline", "verdict.sentences",
  "verdict.variants.*.text", "verdict.gates",
}

local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, item in pairs(value) do result[key] = copy(item) end
  return setmetatable(result, getmetatable(value)) -- the mark of an array
end

local function drop(node, keys, at)
  if type(node) ~= "table" then return end
  local key, is_last = keys[at], at == #keys
  if is_last then
    node[key] = nil
  elseif key == "*" then
    for _, child in pairs(node) do drop(child, keys, at + 1) end
  else
    drop(node[key], keys, at + 1)
  end
end

--- A copy of the document without what depends on time or on the machine.
-- @tparam table doc is left as it is
function results.strip_volatile(doc)
  local result = copy(doc)
  for _, path in ipairs(results.VOLATILE) do
    local keys = {}
    for key in path:gmatch("[^.]+") do keys[#keys + 1] = key end
    drop(result, keys, 1)
  end
  return result
end

--- The document as text: sorted keys, two spaces, a line feed at the end.
function results.encode(doc) return json.encode(doc, 2) .. "\n" end

--- Write the document (atomically: a reader sees the old file or the new one).
-- @treturn boolean|nil true, or nil and an error
function results.write(path, doc) return file.write(path, results.encode(doc)) end

local function wrong(path, text)
  return nil, { kind = "data", text = ("%s: %s"):format(path, text),
    hint = "'qlua report' reads the evaluation_results.json of a run folder" }
end

local function check(path, doc)
  if type(doc) ~= "table" then return wrong(path, ("want an object, got a %s"):format(type(doc))) end
  if doc.format ~= 1 then
    return wrong(path, ("format: want 1, got %s"):format(doc.format == nil and "nothing" or tostring(doc.format)))
  end
  for _, field in ipairs { "variant_order", "dataset_order", "variants", "datasets", "run" } do
    if type(doc[field]) ~= "table" then
      return wrong(path, ("%s: want %s, got %s"):format(field, field:find("_order") and "an array" or "an object",
        doc[field] == nil and "nothing" or type(doc[field])))
    end
  end
  for kind, order in pairs { variants = doc.variant_order, datasets = doc.dataset_order } do
    for _, name in ipairs(order) do
      if type(doc[kind][name]) ~= "table" then
        return wrong(path, ("%s.%s: want an object, got %s"):format(kind, tostring(name), type(doc[kind][name])))
      end
    end
  end
  for _, name in ipairs(doc.variant_order) do
    if type(doc.variants[name].datasets) ~= "table" then
      return wrong(path, ("variants.%s.datasets: want an object, got nothing"):format(name))
    end
  end
  return doc
end

-- JSON's null is a value that no layout should have to know; what is null is absent.
local function without_null(value)
  if type(value) ~= "table" then return value end
  for key, item in pairs(value) do
    if item == json.null then value[key] = nil else without_null(item) end
  end
  return value
end

--- Read a results file.
-- @tparam string path
-- @treturn table|nil the Summary, or nil and an error that names the file and what is wrong in it
function results.read(path)
  local source, err = file.read(path)
  if not source then return nil, err end
  local doc
  doc, err = json.decode(source)
  if doc == nil then return wrong(path, err.text) end
  return check(path, type(doc) == "table" and without_null(doc) or doc)
end

return results
