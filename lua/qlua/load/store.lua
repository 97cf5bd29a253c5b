-- SPDX-License-Identifier: Apache-2.0
--- Load store: the measurements under load in a run's database: phases, and one row per request (`qlua.load.row`).
-- Beside `qlua.run_store`, whose connection it uses; the tables are in `qlua.schema`.

local core = require "qlua.core.store"
local json = require "qlua.core.json"
local pack = require "qlua.core.pack"
local row = require "qlua.load.row"

local load_store = {}

-- Columns of load_request that are a row's own; variant and replicate stand in its phase.
local COLUMNS, NAMES, MARKS = {}, {}, {}
for _, column in ipairs(row.COLUMNS) do
  if column[1] ~= "variant" and column[1] ~= "replicate" then
    COLUMNS[#COLUMNS + 1], NAMES[#NAMES + 1], MARKS[#MARKS + 1] = column[1], '"' .. column[1] .. '"', "?"
  end
end
local INSERT = ("INSERT INTO load_request (phase, %s) VALUES (?, %s)"):format(table.concat(NAMES, ", "), table.concat(MARKS, ", "))

local function packed(text) return text and #text > 0 and core.blob(pack.pack(text)) or nil end

--- A phase begins.
-- @tparam table store an open `qlua.run_store`
-- @tparam table phase `{ variant, point, replicate, kind, start_ns }`, times CLOCK_REALTIME
-- @treturn integer id
function load_store.open_phase(store, phase)
  store:put([[INSERT INTO load_phase (session, variant, point, replicate, kind, start_ns, end_ns, record)
    VALUES (?, ?, ?, ?, 'cut', ?, ?, '{}')]], store.session, phase.variant, phase.point, phase.replicate, phase.start_ns, phase.start_ns)
  return store:one("SELECT max(id) AS id FROM load_phase").id
end

--- A phase is over and whole; only from here on does it count.
function load_store.close_phase(store, id, phase)
  store:put("UPDATE load_phase SET kind = ?, end_ns = ?, record = ? WHERE id = ?", phase.kind, phase.end_ns, json.encode(phase.record), id)
  store:commit()
end

--- Store one request's row.
function load_store.put(store, phase, one)
  local values = {}
  for i, name in ipairs(COLUMNS) do
    local value = one[name]
    if name == "events" then value = packed(value) end
    if type(value) == "boolean" then value = value and 1 or 0 end
    values[i] = value
  end
  store:put(INSERT, phase, table.unpack(values, 1, #COLUMNS))
end

--- Whole phases, in the order in which they were measured.
-- @tparam table store
-- @tparam[opt="measure"] string kind
-- @treturn table list of `{ id, variant, point, replicate, session, start_ns, end_ns, record }`
function load_store.phases(store, kind)
  local rows, err = store.db:rows([[SELECT id, session, variant, point, replicate, start_ns, end_ns, record FROM load_phase
    WHERE kind = ? ORDER BY id]], kind or "measure")
  if not rows then error(err, 0) end
  for _, phase in ipairs(rows) do phase.record = json.decode(phase.record) end
  return rows
end

--- Has a point been measured in a replicate?
function load_store.has(store, variant, point, replicate)
  return store:one("SELECT id FROM load_phase WHERE kind = 'measure' AND variant = ? AND point = ? AND replicate = ?",
    variant, point, replicate) ~= nil
end

local function unpacked(found, phase)
  local one = {}
  for _, name in ipairs(COLUMNS) do one[name] = found[name] end
  one.events = found.events and assert(pack.unpack(found.events)) or ""
  one.streamed = found.streamed == 1
  one.warmup = found.warmup == 1 or nil
  one.variant, one.replicate = phase.variant, phase.replicate
  return one
end

--- The rows of a phase in the order of their numbers, one at a time.
-- @tparam table store
-- @tparam table phase of `phases`
function load_store.rows(store, phase)
  local nextrow, cursor, _, closing = store.db:each('SELECT * FROM load_request WHERE phase = ? ORDER BY "index", turn', phase.id)
  return function()
    local found = nextrow(cursor)
    return found and unpacked(found, phase)
  end, nil, nil, closing
end

return load_store
