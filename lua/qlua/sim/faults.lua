-- SPDX-License-Identifier: Apache-2.0
--- Faults: what goes wrong on purpose.
--
-- Each fault of a plan falls on a share of the prompts, drawn from the prompt's text: the order of requests plays no
-- part. A prompt is harmed once, so that a retry succeeds; a fault with `again` or a share of 1 hits each attempt
-- anew. `first_n` hits the first requests whatever they are. Where a dataset is planned only its questions are hit,
-- so that probes get through.

local chance = require "qlua.sim.chance"
local hash = require "qlua.core.hash"
local problem = require "qlua.sim.problem"

local faults = {}

local HTML = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"

local PHRASES = { [408] = "Request Timeout", [429] = "Too Many Requests", [500] = "InternalServerError",
  [503] = "Service Unavailable" }

-- Where nothing else is said a stream is hit after its second event, and a whole body in its middle: never after its end,
-- where nobody would notice.
local function place(plan, fault, kind)
  local after_bytes = fault.after_bytes or (not plan.events and math.max(1, #plan.body // 2)) or nil
  plan.fault = { kind = kind, after_bytes = after_bytes, after_events = fault.after_events or 2,
    stall_ms = fault.stall_ms }
end

-- The last events of a stream from the fault's place on are replaced.
local function cut_events(plan, fault, put)
  local keep = math.min(fault.after_events or 2, #plan.events)
  for i = #plan.events, keep + 1, -1 do plan.events[i] = nil end
  for _, event in ipairs(put) do plan.events[#plan.events + 1] = event end
end

--- Kinds of faults: each changes a plan, or returns another.
faults.kinds = {
  http = function(_, fault)
    local status = fault.status or 500
    local plan = problem.plan(status, PHRASES[status] or "SimulatedError", "simulated fault")
    if fault.retry_after then
      plan.headers = { ["Content-Type"] = "application/json", ["Retry-After"] = tostring(fault.retry_after) }
    end
    return plan
  end,
  html = function() return { status = 502, headers = { ["Content-Type"] = "text/html" }, body = HTML } end,
  stall = function(plan, fault) place(plan, fault, fault.stall_ms and "stall" or "hang") end,
  rst = function(plan, fault) place(plan, fault, "rst") end,
  truncate = function(plan, fault) place(plan, fault, "close") end,
  close = function() return { raw = true, body = "" } end,
  garbage = function() return { raw = true, body = "\0\255\254 this is not HTTP \r\n\r\n" } end,
  no_done = function(plan, fault)
    if plan.events then cut_events(plan, fault, {}) else place(plan, fault, "close") end
  end,
  error_event = function(plan, fault)
    local body = problem.body(500, "InternalServerError", "EngineCore encountered an issue. (simulated)")
    if not plan.events then return { status = 200, headers = plan.headers, body = body } end
    cut_events(plan, fault, { body, "[DONE]" })
  end,
  bad_json = function(plan, fault)
    if not plan.events then return { status = 200, headers = plan.headers, body = plan.body:sub(1, #plan.body // 2) } end
    table.insert(plan.events, math.min((fault.after_events or 2) + 1, #plan.events), '{"choices":[{"index":0,')
  end,
  -- In front of the reply's first piece: what is answered stays readable.
  bad_utf8 = function(plan)
    local function spoil(text)
      local spoiled, count = text:gsub('("content":")([^"])', "%1\xFF\xC3%2", 1)
      if count == 0 then spoiled, count = text:gsub('("text":")([^"])', "%1\xFF\xC3%2", 1) end
      return spoiled, count > 0
    end
    if plan.body then plan.body = spoil(plan.body) end
    for i, event in ipairs(plan.events or {}) do
      local spoiled, is_done = spoil(event)
      plan.events[i] = spoiled
      if is_done then break end
    end
  end,
  slow = function(plan, fault) plan.first_ms = (plan.first_ms or 0) + (fault.delay_ms or 1000) end,
  split = function(plan, fault) plan.split_bytes = fault.bytes or 1 end,
  wire_split = function(plan, fault) plan.wire_bytes = fault.bytes or 7 end,
  coalesce = function(plan, fault) plan.coalesce = fault.events or 4 end,
  crlf = function(plan) plan.crlf = true end,
  comments = function(plan, fault) plan.comments = fault.every or 1 end,
  exit = function(_, fault) return nil, fault.code or 1 end,
}

-- These change how a right reply travels; a client must not even notice.
local HARMLESS = { split = true, wire_split = true, coalesce = true, crlf = true, comments = true }

--- A counter of attempts per prompt and of requests in all.
-- @tparam table plan a checked plan
function faults.new(plan)
  return { plan = plan, list = plan.faults, attempts = {}, harmed = {}, requests = 0 }
end

local function is_hit(self, fault, i, key, attempt)
  if fault.after_n and self.requests <= fault.after_n then return false end
  if fault.first_n then return self.requests <= fault.first_n end
  if fault.kind == "exit" and fault.after_n then return true end
  local share = fault.share or 1
  if share >= 1 then return true end
  if self.harmed[key] and not fault.again and not HARMLESS[fault.kind] then return false end
  return chance.unit(self.plan.seed, self.plan.variant, "fault", i, key, attempt) < share
end

--- Apply the faults that fall on one attempt; the first harmful one counts, harmless ones add up.
-- @tparam table self of `new`
-- @tparam string key the prompt
-- @tparam table reply the plan of the right reply
-- @tparam function note called with `{fault, attempt, …}` for a harmful one
-- @treturn table plan
-- @treturn ?integer exit code, when the process is to end
function faults.apply(self, key, reply, note)
  self.requests = self.requests + 1
  if #self.list == 0 then return reply end
  key = hash.sha256_raw(key) -- prompts are long, and there are many
  local attempt = (self.attempts[key] or 0) + 1
  self.attempts[key] = attempt
  local harmed = false
  for i, fault in ipairs(self.list) do
    local harmless = HARMLESS[fault.kind]
    if (harmless or not harmed) and is_hit(self, fault, i, key, attempt) then
      local changed, exit_code = faults.kinds[fault.kind](reply, fault)
      if not harmless then
        harmed, self.harmed[key] = true, true
        note { fault = fault.kind, status = fault.status, attempt = attempt, request = self.requests }
      end
      if exit_code then return reply, exit_code end
      reply = changed or reply
    end
  end
  return reply
end

return faults
