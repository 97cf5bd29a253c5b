-- SPDX-License-Identifier: Apache-2.0
--- Plan: what the simulated server will do, from a file or from the command line, checked and complete.

local faults = require "qlua.sim.faults"
local file = require "qlua.core.file"
local hostile = require "qlua.sim.hostile"
local json = require "qlua.core.json"
local nearest = require "qlua.nearest"
local quirks = require "qlua.sim.quirks"
local replies = require "qlua.sim.replies"
local truth = require "qlua.sim.truth"

local plan = {}

local function names_of(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function set(list)
  local map = {}
  for _, name in ipairs(list) do map[name] = true end
  return map
end

-- Field → type; "share" is a number from 0 to 1, "count" an integer of at least 0.
local FIELDS = { variant = "string", served_model = "string", seed = "count", accuracy = "table", formats = "table",
  invalid = "table", datasets = "table", latency = "table", faults = "table", max_model_len = "count",
  max_running = "count", ready_after_ms = "number", tokens_per_event = "count", stamp = "boolean", send_log = "string",
  role_event = "string", exit_at_start = "table", rerun_flip = "table", hostile = "table",
  sampled_flip = "table", quirks = "table",
  api_key_env = "string", ledger = "string", host = "string", port = "count", unix_socket = "string" }
local DATASET = { dataset = "string", data_dir = "any", mode = "string", shots = "count", limit = "count", args = "table",
  endpoint = "string", form = "string", scorers = "table", split = "string", permute = "share", permute_seed = "count" }
local LATENCY = { ttft_ms = "number", itl_ms = "number", jitter = "share", per_running = "number",
  prefill_ms_per_token = "number" }
local FAULT = { kind = "string", share = "share", first_n = "count", again = "boolean", after_n = "count",
  status = "count", retry_after = "any",
  after_events = "count", after_bytes = "count", stall_ms = "number", delay_ms = "number", bytes = "count",
  events = "count", every = "count", code = "count" }

local function is_right(value, want)
  if want == "any" then return true end
  if want == "share" then return type(value) == "number" and value >= 0 and value <= 1, "a share from 0 to 1" end
  if want == "count" then return math.type(value) == "integer" and value >= 0, "an integer of at least 0" end
  if want == "number" then return type(value) == "number" and value >= 0, "a number of at least 0" end
  return type(value) == want, "a " .. want
end

local function complain(where, field, text, hint)
  error({ kind = "config", hint = hint, text = ("%s: %s %s"):format(where, field, text) }, 0)
end

local function check_fields(where, prefix, given, fields)
  for _, name in ipairs(names_of(given)) do
    local want = fields[name]
    local field = prefix .. tostring(name)
    if not want then complain(where, field, "is not known", nearest.hint(tostring(name), names_of(fields))) end
    local right, wanted = is_right(given[name], want)
    if not right then complain(where, field, ("want %s, got %s"):format(wanted, json.encode(given[name]))) end
  end
end

local function check_shares(where, field, given, known)
  for _, name in ipairs(names_of(given)) do
    if known and not known[name] then
      complain(where, field .. "." .. name, "is not known", nearest.hint(name, names_of(known)))
    end
    local right, wanted = is_right(given[name], "share")
    if not right then
      complain(where, field .. "." .. name, ("want %s, got %s"):format(wanted, json.encode(given[name])))
    end
  end
end

local INVALID_KINDS = {}
for _, entry in ipairs(truth.INVALID) do INVALID_KINDS[entry.name] = true end

-- A number is spread over the kinds in the usual proportion.
local function invalid_list(given)
  local list, total = {}, 0
  for _, entry in ipairs(truth.INVALID) do total = total + entry.share end
  for i, entry in ipairs(truth.INVALID) do
    local share = given == nil and entry.share or type(given) == "number" and entry.share / total * given
    list[i] = { name = entry.name, share = share or given[entry.name] or 0 }
  end
  return list
end

local function check_faults(where, list)
  for i, fault in ipairs(list) do
    local prefix = ("faults[%d]."):format(i - 1)
    if type(fault) ~= "table" then complain(where, prefix:sub(1, -2), "want a table with kind and share") end
    check_fields(where, prefix, fault, FAULT)
    if not faults.kinds[fault.kind or ""] then
      complain(where, prefix .. "kind", ("want one of %s, got \"%s\""):format(table.concat(names_of(faults.kinds), ", "),
        tostring(fault.kind)), nearest.hint(fault.kind or "", names_of(faults.kinds)))
    end
  end
end

local function check_quirks(where, list)
  for i, name in ipairs(list) do
    if not quirks.kinds[name] then
      complain(where, ("quirks[%d]"):format(i - 1), ("want one of %s, got \"%s\""):format(table.concat(names_of(quirks.kinds), ", "),
        tostring(name)), nearest.hint(tostring(name), names_of(quirks.kinds)))
    end
  end
end

local function complete(given, where)
  local invalid = given.invalid
  if type(invalid) == "number" then given.invalid = nil end
  check_fields(where, "", given, FIELDS)
  if type(invalid) == "table" then check_shares(where, "invalid", invalid, INVALID_KINDS) end
  check_shares(where, "accuracy", given.accuracy or {})
  check_shares(where, "rerun_flip", given.rerun_flip or {})
  check_shares(where, "sampled_flip", given.sampled_flip or {})
  check_shares(where, "formats", given.formats or {}, set(replies.number_forms()))
  check_fields(where, "latency.", given.latency or {}, LATENCY)
  check_faults(where, given.faults or {})
  check_quirks(where, given.quirks or {})
  check_fields(where, "hostile.", given.hostile or {}, hostile.FIELDS)
  local field, problem = hostile.problem(given.hostile or {})
  if field then complain(where, "hostile." .. field .. ":", problem) end
  for i, entry in ipairs(given.datasets or {}) do
    check_fields(where, ("datasets[%d]."):format(i - 1), entry, DATASET)
    if not entry.dataset then complain(where, ("datasets[%d].dataset"):format(i - 1), "is missing (want a name)") end
  end
  local made = {}
  for name, value in pairs(given) do made[name] = value end
  made.variant = given.variant or "original"
  made.served_model = given.served_model or "qlua-sim"
  made.seed = given.seed or 1
  made.sampled_flip = given.sampled_flip or {}
  made.rerun_flip, made.quirks = given.rerun_flip or {}, given.quirks or {}
  made.hostile = given.hostile or {}
  made.accuracy, made.formats = given.accuracy or {}, given.formats
  made.invalid = invalid_list(invalid)
  made.datasets, made.latency, made.faults = given.datasets or {}, given.latency or {}, given.faults or {}
  made.max_model_len = given.max_model_len or 32768
  made.tokens_per_event = math.max(1, given.tokens_per_event or 1)
  return made
end

--- Check a plan and fill in what it does not say.
-- @tparam table given
-- @tparam string where named in errors
-- @treturn[1] table plan
-- @treturn[2] nil
-- @treturn[2] table error of kind config
function plan.check(given, where)
  local is_done, made = pcall(complete, given, where)
  if is_done then return made end
  if type(made) == "table" then return nil, made end
  error(made, 0)
end

--- Read a plan file.
-- @tparam string path JSON
-- @return as `check`; also errors of kind io
function plan.read(path)
  local text, err = file.read(path)
  if not text then return nil, err end
  local given
  given, err = json.decode(text)
  if type(given) ~= "table" then
    return nil, { kind = "config", text = ("%s: %s"):format(path, err and err.text or "want an object") }
  end
  return given
end

--- A fault as people write it: `rst:0.01`, `429:0.02`, `stall:0.01:stall_ms=5000,after_events=3`.
-- @treturn[1] table fault
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function plan.fault_of(text)
  local kind, share, more = text:match "^([%w_]+):?([%d.]*):?(.*)$"
  if not kind then return nil, ('want KIND[:SHARE[:field=value,…]], got "%s"'):format(text) end
  local fault = { kind = kind, share = share ~= "" and tonumber(share) or nil }
  if tonumber(kind) then fault.kind, fault.status = "http", math.tointeger(tonumber(kind)) end
  for name, value in more:gmatch "([%w_]+)=([^,]+)" do fault[name] = math.tointeger(tonumber(value)) or tonumber(value) or value end
  return fault
end

return plan
