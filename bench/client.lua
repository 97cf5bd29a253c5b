-- SPDX-License-Identifier: Apache-2.0
--- qlua's side of the table of goals, in a process of its own: `qlua lua bench/client.lua MODE OPTIONS`, OPTIONS a JSON
-- object. Prints one JSON object in the shape that bench/bare.c prints: the same measure by the same method.
--
--   streams   { url, streams, warm, content }   open streams to their end; errors against the mock's stamps
--   requests  { url, connections, seconds }     plain replies, decoded and scored in Lua
--   schedule  { url, connections, rate, seconds } an open loop by start_at_ns; lag until the request's arrival
--   first     { url }                           one request, as soon as this process can
local http = require "qlua.core.http"

local JSON_HEADERS = { ["content-type"] = "application/json" }
local BODY = '{"messages":[{"content":"What is the answer?","role":"user"}],"model":"mock","stream":%s}'

-- Nothing else is loaded before the first request goes.
if arg[1] == "first" then
  local client = http.open()
  local reply = client:send { method = "POST", url = arg[2], headers = JSON_HEADERS, body = BODY:format "false" }
  assert(reply.status == 200, "the mock did not answer")
  return
end

local clock = require "qlua.core.clock"
local json = require "qlua.core.json"
local q = require "qlua"
local sys = require "qlua.core.sys"

-- ---- numbers ----------------------------------------------------------------------------------------------------

local function summary_us(values_ns)
  local n, sum, most = #values_ns, 0, 0
  for i = 1, n do
    sum = sum + values_ns[i]
    most = math.max(most, values_ns[i])
  end
  if n == 0 then return { count = 0 } end
  return { count = n, mean = sum / n / 1e3, max = most / 1e3, p50 = q.stats.quantile(values_ns, 0.5) / 1e3,
    p99 = q.stats.quantile(values_ns, 0.99) / 1e3 }
end

local function sigma_us(values_ns)
  local n, sum, squares = #values_ns, 0, 0
  for i = 1, n do sum, squares = sum + values_ns[i], squares + values_ns[i] ^ 2 end
  return n > 0 and math.sqrt(math.max(0, squares / n - (sum / n) ^ 2)) / 1e3 or 0
end

local function absolute(values)
  local list = {}
  for i = 1, #values do list[i] = math.abs(values[i]) end
  return list
end

-- ---- streams ----------------------------------------------------------------------------------------------------

local function checked(reply)
  assert(not reply.error and reply.status == 200, reply.error and reply.error.text or reply.body)
  return reply
end

-- So many connections stand before anything is measured, by a round of short streams that the mock holds until all are there.
local function warm(client, any_url, count)
  local url = ("%s?tokens=1&gate=%d"):format(any_url:match "^[^?]*", count)
  local handles = {}
  for i = 1, count do
    handles[i] = q.spawn(function()
      checked(client:send { method = "POST", url = url, headers = JSON_HEADERS, body = BODY:format "true", sse = true })
    end)
  end
  for _, handle in ipairs(handles) do handle:join() end
end

-- One stream's stamps beside the mock's. `into` gathers over all streams.
local function score_stream(reply, into)
  local number, last_at, last_sent = 0, nil, nil
  for _, event in ipairs(reply.events) do
    local sent, index = event.data:match "@ns=(%d+) #(%d+)"
    if sent then
      sent = math.tointeger(sent)
      if math.tointeger(index) ~= number then into.lost = into.lost + 1 end
      into.errors[#into.errors + 1] = event.at_ns - sent
      if number == 0 then
        local arrived, marks = math.tointeger(event.data:match "@arrived=(%d+)"), reply.marks
        local ttft = event.at_ns - (marks.sent_ns or marks.start_ns)
        into.own_firsts[#into.own_firsts + 1] = ttft
        into.firsts[#into.firsts + 1] = ttft - (sent - arrived)
      else
        into.own_gaps[#into.own_gaps + 1] = event.at_ns - last_at
        into.gaps[#into.gaps + 1] = event.at_ns - last_at - (sent - last_sent)
      end
      number, last_at, last_sent = number + 1, event.at_ns, sent
    end
  end
  into.scored = into.scored + number
  into.short = into.short + (number < into.wanted and into.wanted - number or 0)
  into.kernel = into.kernel + (reply.stamp_source == "kernel" and 1 or 0)
end

local function watch_memory(client, streams, peak)
  return q.spawn(function()
    repeat
      local now = client:stats()
      if now.in_flight == streams then peak.open = math.max(peak.open or 0, sys.rss_bytes()) end
      q.sleep(50)
    until peak.over
  end)
end

local function span_s(replies)
  local first, last = math.maxinteger, 0
  for _, reply in ipairs(replies) do
    first, last = math.min(first, reply.marks.start_ns), math.max(last, reply.marks.last_byte_ns)
  end
  return (last - first) / 1e9
end

local modes = {}

function modes.streams(options)
  local client = http.open { max_in_flight = options.streams, max_queued = options.streams }
  if options.warm then warm(client, options.url, options.streams) end
  local replies, handles, peak, idle_rss = {}, {}, {}, sys.rss_bytes()
  local watcher = options.memory and watch_memory(client, options.streams, peak)
  local before, cpu = client:stats(), os.clock()
  local request = { method = "POST", url = options.url, headers = JSON_HEADERS, body = BODY:format "true", sse = true }
  for i = 1, options.streams do
    handles[i] = q.spawn(function() replies[i] = checked(client:send(request)) end)
  end
  for _, handle in ipairs(handles) do handle:join() end
  local after = client:stats()
  local found = { cpu_s = os.clock() - cpu, io_cpu_s = (after.io_cpu_ns - before.io_cpu_ns) / 1e9,
    events = after.events - before.events, reads = after.reads - before.reads, connections = after.connections - before.connections,
    seconds = span_s(replies), rss_bytes = peak.open, idle_rss_bytes = idle_rss }
  peak.over = true
  if watcher then watcher:join() end
  local into = { errors = {}, firsts = {}, gaps = {}, own_firsts = {}, own_gaps = {}, lost = 0, scored = 0, short = 0, kernel = 0,
    wanted = options.tokens }
  if options.unscored then return found end
  for _, reply in ipairs(replies) do score_stream(reply, into) end
  found.lost, found.scored, found.stamps = into.lost + into.short, into.scored, into.kernel == #replies and "kernel" or "user"
  found.error_us, found.ttft_error_us = summary_us(into.errors), summary_us(absolute(into.firsts))
  found.ttft_bias_us = summary_us(into.firsts).mean or 0
  found.ttft_us, found.gap_us = summary_us(into.own_firsts), summary_us(into.own_gaps)
  found.gap_error_us, found.gap_sigma_us = summary_us(absolute(into.gaps)), sigma_us(into.gaps)
  return found
end

-- ---- plain replies ------------------------------------------------------------------------------------------------

function modes.requests(options)
  local score = dofile "bench/score.lua"(json.decode)
  local client = http.open { max_in_flight = options.connections }
  local request = { method = "POST", url = options.url, headers = JSON_HEADERS, body = BODY:format "false" }
  local replies, right, handles, cpu, before = 0, 0, {}, os.clock(), client:stats()
  local begin = clock.now_ns()
  local deadline = begin + math.floor(options.seconds * 1e9)
  for i = 1, options.connections do
    handles[i] = q.spawn(function()
      while clock.now_ns() < deadline do
        if score(checked(client:send(request)).body) then right = right + 1 end
        replies = replies + 1
      end
    end)
  end
  for _, handle in ipairs(handles) do handle:join() end
  local seconds = (clock.now_ns() - begin) / 1e9
  return { replies = replies, right = right, seconds = seconds, cpu_s = os.clock() - cpu,
    io_cpu_s = (client:stats().io_cpu_ns - before.io_cpu_ns) / 1e9 }
end

function modes.schedule(options)
  local client = http.open { max_in_flight = options.connections, max_queued = 1000000 }
  warm(client, options.url, options.connections)
  local before = client:stats().connections
  local total, handles, lags, own = math.floor(options.rate * options.seconds), {}, {}, {}
  local begin = clock.now_ns() + 500000000 -- all are handed over by then
  local cpu = os.clock()
  for i = 1, total do
    local due = begin + math.floor((i - 1) / options.rate * 1e9)
    handles[i] = q.spawn(function()
      local reply = checked(client:send { method = "POST", url = options.url, headers = JSON_HEADERS, body = BODY:format "false",
        start_at_ns = due })
      lags[i] = math.tointeger(reply.headers["x-arrived-ns"]) - due
      own[i] = reply.marks.start_ns - due
    end)
  end
  for _, handle in ipairs(handles) do handle:join() end
  return { replies = total, connections = client:stats().connections - before,
    lag_us = summary_us(lags), own_lag_us = summary_us(own), cpu_s = os.clock() - cpu,
    seconds = (clock.now_ns() - begin) / 1e9 }
end

print(json.encode(assert(modes[arg[1]], "unknown mode")(json.decode(arg[2]))))
