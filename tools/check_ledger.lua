-- SPDX-License-Identifier: Apache-2.0
--- Compares a run of simulated servers with what they had planted: `qlua lua tools/check_ledger.lua RUN_DIR`.
-- Every answer's outcome must be the planned one, question by question, and no question may be missing; each
-- difference is printed, and one line per variant and dataset. Exits with 1 when anything differs.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local schema = require "qlua.schema"
local store = require "qlua.core.store"

local dir = (...)
if not dir then
  io.stderr:write("usage: qlua lua tools/check_ledger.lua RUN_DIR\n")
  return 2
end
local db = assert(store.open(dir .. "/run.db", { schema = schema.sql, version = schema.version, read_only = true }))
local differences = 0

local function differ(format, ...)
  differences = differences + 1
  if differences <= 20 then print("  " .. format:format(...)) end
end

local function planned_of(path)
  local planned, faults = {}, 0
  for line in assert(file.lines(path)) do
    local record = json.decode(line)
    if record.fault then
      faults = faults + 1
    elseif record.id then
      planned[record.dataset] = planned[record.dataset] or {}
      planned[record.dataset][record.id] = record
    end
  end
  return planned, faults
end

local function check_dataset(variant, dataset, planned)
  local wanted, right, seen = 0, 0, {}
  local sql = "SELECT sample, outcome, value FROM answer WHERE variant = ? AND dataset = ? AND repeat_index = 0"
  for row in db:each(sql, variant, dataset) do
    local record = planned[row.sample]
    seen[row.sample] = true
    if not record then
      differ("%s: not in the ledger", row.sample)
    elseif record.outcome ~= row.outcome then
      differ("%s %s: planned %s (%s %s), found %s (%s)", variant, row.sample, record.outcome, record.format or "-", record.value or "-",
        row.outcome, row.value or "-")
    else
      right = right + 1
    end
  end
  for id in pairs(planned) do
    wanted = wanted + 1
    if not seen[id] then differ("%s %s: planned, but not in the run", variant, id) end
  end
  print(("%s %s: %d planned, %d as planned"):format(variant, dataset, wanted, right))
end

for _, row in ipairs(db:rows "SELECT DISTINCT variant FROM answer ORDER BY variant") do
  local planned, faults = planned_of(("%s/logs/%s.ledger.jsonl"):format(dir, row.variant))
  local names = {}
  for name in pairs(planned) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do check_dataset(row.variant, name, planned[name]) end
  if faults > 0 then print(("%s: %d faults injected"):format(row.variant, faults)) end
end
db:close()
print(differences == 0 and "all outcomes are as planned" or ("%d differences"):format(differences))
return differences == 0 and 0 or 1
