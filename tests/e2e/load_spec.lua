-- SPDX-License-Identifier: Apache-2.0
-- Loads of every shape against the simulated server, checked from the other side: by its own log of what it received and
-- sent. Nothing here is an absolute time: distances are shares, and a reported latency may differ from the log's by no more than the
-- largest handling delay that the stamps of both sides themselves show.
local aggregate = require "qlua.load.aggregate"
local arrivals = require "qlua.load.arrivals"
local json = require "qlua.core.json"
local load_store = require "qlua.load.store"
local row = require "qlua.load.row"
local run_store = require "qlua.run_store"
local schedule = require "qlua.load.schedule"
local stats = require "qlua.core.stats"
local support = require "support"

local TOKENS, CLOCK_BOUND_NS = 6, 200000 -- the bound of the kernel's stamps, mapped to the monotonic clock

-- A machine that stands still for a quarter of a second moves every arrival in it, whoever sends: a shape gets so many attempts. A schedule
-- that is wrong is wrong in all of them.
local ATTEMPTS, DISTANCE = 3, 0.1

local folder

-- ---- the other side ---------------------------------------------------------------------------------------------

-- What the sim's log says, by the name that the client gave the request: `{ received_ns, sent = { ns of the k-th event }, end_ns }`.
local function read_log(log_path)
  local by_number, by_id = {}, {}
  for line in support.read(log_path):gmatch "[^\n]+" do
    local entry = json.decode(line)
    local one = by_number[entry.request]
    if entry.received_ns then
      one = { received_ns = entry.received_ns, sent = {} }
      by_number[entry.request] = one
      if entry.id then by_id[entry.id] = one end
    elseif entry.sent_ns then
      for k = #one.sent + 1, entry.events do one.sent[k] = entry.sent_ns end
    else
      one.end_ns = entry.end_ns
    end
  end
  return by_id
end

local function measured(dir)
  local store = assert(run_store.open(dir, { read_only = true }))
  local list = {}
  for _, phase in ipairs(load_store.phases(store)) do
    for one in load_store.rows(store, phase) do list[#list + 1] = one end
  end
  local phases = load_store.phases(store)
  store:close()
  return list, phases
end

-- ---- runs ---------------------------------------------------------------------------------------------------------

local SHAPES = {
  { name = "poisson", args = "--rate 40 --num-requests 100" },
  { name = "gamma", args = "--rate 40 --arrival gamma --burstiness 0.4 --num-requests 100" },
  { name = "constant", args = "--rate 40 --arrival constant --duration 2.5" },
  { name = "linear", args = "--ramp linear:5:75 --duration 2.5" },
  { name = "exponential", args = "--ramp exponential:8:120 --num-requests 100" },
  { name = "stages", args = "--stage rate=20,duration=1 --stage rate=80,duration=1" },
  { name = "burst", args = "--arrival burst --num-requests 60" },
  { name = "trace", args = "--trace TRACE" },
  { name = "closed", args = "--concurrency 6 --num-requests 60" },
  { name = "sessions", args = "--turns 3 --think-ms 15 --concurrency 4 --num-requests 12" },
}

local function trace_file()
  local lines, at = {}, 0
  for i = 1, 80 do
    at = at + (i % 9 == 0 and 180 or 10)
    lines[i] = ('{"timestamp": %d, "input_length": %d, "output_length": %d, "hash_ids": [%d]}'):format(1000 + at, 20 + i, TOKENS, i % 4)
  end
  return support.write(folder .. "/trace.jsonl", table.concat(lines, "\n"))
end

-- Each request gets a name by which the log is searched; the hook is the public one.
local function hooks_file(name)
  return support.write(("%s/%s.lua"):format(folder, name), ([[
return { on_request = function(request, entry)
  if entry.warmup then return end
  request.headers = { ["content-type"] = "application/json", ["x-request-id"] = "%s/" .. entry.index }
end }]]):format(name))
end

local function measure(shape)
  shape.attempt = (shape.attempt or 0) + 1
  local out, log_path = ("%s/%s%d"):format(folder, shape.name, shape.attempt), ("%s/%s%d.jsonl"):format(folder, shape.name, shape.attempt)
  local sim = support.sim { "--ttft-ms", "12", "--itl-ms", "4", "--send-log", log_path }
  local words = { "load", "--url", sim.url, "--model", "qlua-sim", "--ignore-eos", "--output-tokens", tostring(TOKENS), "--seed", "5",
    "--hooks", hooks_file(shape.name), "--out", out }
  for word in shape.args:gsub("TRACE", trace_file()):gmatch "%S+" do words[#words + 1] = word end
  if shape.name ~= "trace" then words[#words + 1], words[#words + 2] = "--random-input", "12..24" end
  local result = support.qlua(words)
  sim.stop()
  assert.equal(0, result.code, result.all)
  local list, phases = measured(support.run_dir(out))
  assert.equal(1, #phases)
  return list, phases, read_log(log_path)
end

-- ---- comparisons --------------------------------------------------------------------------------------------------------

-- The offsets that were asked for, made again from the record of the stages and the seed.
local function asked_for(shape, phase)
  if shape.name == "trace" then
    local offsets = {}
    for line in support.read(folder .. "/trace.jsonl"):gmatch "[^\n]+" do offsets[#offsets + 1] = json.decode(line).timestamp * 1000000 end
    for i = #offsets, 1, -1 do offsets[i] = offsets[i] - offsets[1] end
    return offsets
  end
  local offsets, began = {}, 0
  for number, stage in ipairs(phase.record.stages) do
    for _, at in ipairs(arrivals.of(stage, 5, ("%s/1/%d"):format(phase.point, number))) do offsets[#offsets + 1] = began + at end
    began = began + math.floor((arrivals.seconds(stage) or 0) * 1e9)
  end
  return offsets
end

local function received_of(list, log, name)
  local received = {}
  for i, one in ipairs(list) do received[i] = assert(log[("%s/%d"):format(name, one.index)], "not in the log").received_ns end
  return received
end

-- The distance between the arrivals that were asked for and those that the server saw; both begin at their own first.
local function distance_of(shape, list, phases, log)
  local asked, received = asked_for(shape, phases[1]), received_of(list, log, shape.name)
  assert.equal(#asked, #received)
  table.sort(received)
  local span, seen, wanted, worst = math.max(asked[#asked] - asked[1], 1), {}, {}, 0
  for i, at in ipairs(received) do
    seen[i], wanted[i] = at - received[1], asked[i] - asked[1]
    worst = math.max(worst, math.abs(seen[i] - wanted[i]))
  end
  if shape.name == "burst" then return 0 end
  local distance = schedule.kolmogorov_two(seen, wanted)
  io.stdout:write(("%-12s %3d arrivals: Kolmogorov distance %.3f, largest deviation %.2f %% of the span\n"):format(shape.name, #seen,
    distance, 100 * worst / span))
  return distance
end

-- Measures until the arrivals are as asked for, at most so many times.
local function on_schedule(shape)
  local list, phases, log, distance
  repeat
    list, phases, log = measure(shape)
    distance = distance_of(shape, list, phases, log)
  until distance <= DISTANCE or shape.attempt >= ATTEMPTS
  assert.is_true(distance <= DISTANCE, ("%s: Kolmogorov distance %.3f"):format(shape.name, distance))
  return list, log
end

-- For each request: the log's figures, and the largest difference that the delays of both directions can make.
local function from_log(list, log, name)
  local found, bound = { ttft = {}, itl = {}, e2e = {} }, 0
  for _, one in ipairs(list) do
    local other = log[("%s/%d"):format(name, one.index)]
    -- From our send to its having the request. The send is stamped when the kernel has taken the bytes: a client that loses the
    -- processor just then stamps later than the server receives, never earlier than it began.
    local there = other.received_ns - row.send_ns(one)
    assert.is_true(other.received_ns >= one.start_ns, "it had the request before it was sent")
    local k, first, last = 0, nil, nil
    for at_ns, kind in row.each_event(one) do
      k = k + 1
      local back = at_ns - other.sent[k] -- from its send to our stamp
      assert.is_true(back >= -CLOCK_BOUND_NS, "an event was read before it was sent")
      bound = math.max(bound, math.abs(there) + math.abs(back), 2 * math.abs(back))
      if kind == "content" then
        if last then found.itl[#found.itl + 1] = other.sent[k] - last end
        first, last = first or other.sent[k], other.sent[k]
      end
    end
    found.ttft[#found.ttft + 1], found.e2e[#found.e2e + 1] = first - other.received_ns, last - other.received_ns
  end
  return found, bound
end

local function check_metrics(shape, list, log)
  local reported = aggregate.rows(list)
  assert.equal(#list, reported.num_ok)
  assert.equal(#list * TOKENS, reported.output_tokens_total)
  local found, bound = from_log(list, log, shape.name)
  for _, name in ipairs { "ttft", "itl", "e2e" } do
    local figures = reported[name .. "_seconds"]
    assert.equal(#found[name], figures.n)
    for _, q in ipairs { 0.5, 0.9 } do
      local here, there = figures[("p%d"):format(100 * q)] * 1e9, stats.quantile(found[name], q)
      assert.is_true(math.abs(here - there) <= bound + 1000, ("%s %s p%d: reported %.3f ms, by the log %.3f ms, bound %.3f ms"):format(
        shape.name, name, 100 * q, here / 1e6, there / 1e6, bound / 1e6))
    end
    local sum = 0
    for _, value in ipairs(found[name]) do sum = sum + value end
    assert.is_true(math.abs(figures.mean * 1e9 - sum / #found[name]) <= bound + 1000, shape.name .. " mean " .. name)
  end
end

-- How many were at the server at once, over time.
local function check_window(list, log, name, most)
  local steps = {}
  for _, one in ipairs(list) do
    local other = log[("%s/%d"):format(name, one.index)]
    steps[#steps + 1], steps[#steps + 2] = { other.received_ns, 1 }, { other.end_ns, -1 }
  end
  table.sort(steps, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] < b[2] end)
  local now, peak = 0, 0
  for _, step in ipairs(steps) do
    now = now + step[2]
    peak = math.max(peak, now)
  end
  assert.is_true(peak <= most, ("at most %d may be in flight, got %d"):format(most, peak))
  assert.is_true(peak > most // 2, ("%d should be in flight, got %d"):format(most, peak))
end

local function check_turns(list, log)
  local last = {}
  for _, one in ipairs(list) do
    local other = log["sessions/" .. one.index]
    local before = last[one.session]
    assert.equal(before and before.turn + 1 or 1, one.turn)
    if before then assert.is_true(other.received_ns > before.end_ns, "a turn came before the reply to the one before it") end
    last[one.session] = { turn = one.turn, end_ns = other.end_ns }
  end
  local count = 0
  for _, session in pairs(last) do
    count = count + 1
    assert.equal(3, session.turn)
  end
  assert.equal(12, count)
end

describe("qlua load", function()
  setup(function() folder = support.folder() end)
  teardown(support.clean)

  for _, shape in ipairs(SHAPES) do
    it("sends what was planned and reports what was sent: " .. shape.name, function()
      local list, log, _
      if shape.name == "closed" or shape.name == "sessions" then
        list, _, log = measure(shape)
        check_window(list, log, shape.name, shape.name == "closed" and 6 or 4)
        if shape.name == "sessions" then check_turns(list, log) end
      else
        list, log = on_schedule(shape)
      end
      check_metrics(shape, list, log)
    end)
  end
end)
