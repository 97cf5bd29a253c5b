-- SPDX-License-Identifier: Apache-2.0
--- Replies that do not stream, 64 connections, each decoded and scored in Lua (`bench/score.lua`): requests per second.
-- The floor makes the same Lua call on its one thread. Beside it: the floor without Lua, and wrk where it is on PATH.
local pair = require "pair"
local proc = require "qlua.core.proc"
local row = require "goals.row"
local sys = require "qlua.core.sys"

local CONNECTIONS, SECONDS, PATH = 64, 1.5, "/v1/chat/completions"

-- wrk says "Requests/sec:  12345.67"; a POST needs a script of its own.
local function wrk(mock)
  local script = os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write 'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = [[{"messages":[{"content":'
  file:write '"What is the answer?","role":"user"}],"model":"mock","stream":false}]]\n'
  file:close()
  local result = proc.run { argv = { "wrk", "-t", "1", "-c", tostring(CONNECTIONS), "-d", "2s", "-s", script, mock.url } }
  os.remove(script)
  local rate = result and result.stdout:match "Requests/sec:%s+([%d.]+)"
  if not rate then error("wrk did not say how many requests it made", 0) end
  return { replies = tonumber(rate), seconds = 1 }
end

return function()
  local mock = pair.mock "--user-stamps"
  local options = { url = mock.url, connections = CONNECTIONS, seconds = SECONDS }
  local function bare(...)
    return pair.bare(mock, "requests", PATH, "--connections", tostring(CONNECTIONS), "--seconds", tostring(SECONDS), ...)
  end
  local contestants = {
    { name = "lua", run = function() return bare("--lua", "bench/score.lua") end },
    { name = "qlua", run = function() return pair.qlua("requests", options) end },
    { name = "bare", run = function() return bare() end },
  }
  local has_wrk = sys.find_on_path "wrk" ~= nil
  if has_wrk then contestants[#contestants + 1] = { name = "wrk", run = function() return wrk(mock) end } end
  local found = pair.abba(mock, contestants)
  for _, result in ipairs(found.qlua) do assert(result.right == result.replies, "a reply was scored wrong") end
  local rows = { row.new { measure = "not streaming, 64 connections, decoded and scored in Lua", unit = "k/s", limit = 0.75,
    at_least = true, on = "ratio", values = pair.per(found.qlua, "replies", "seconds", 1e-3),
    floor = pair.per(found.lua, "replies", "seconds", 1e-3) } }
  local function rate(list) return row.median(pair.per(list, "replies", "seconds", 1e-3)) end
  local notes = { ("Not streaming: the bare client without Lua makes %.1f k/s, %s. qlua takes %.1f µs of CPU per request, %.1f of them in "
    .. "its I/O thread; the bare client with Lua %.1f."):format(rate(found.bare), has_wrk and ("wrk %.1f k/s"):format(rate(found.wrk))
    or "wrk is not on PATH", row.median(pair.per(found.qlua, "cpu_s", "replies", 1e6)),
    row.median(pair.per(found.qlua, "io_cpu_s", "replies", 1e6)), row.median(pair.per(found.lua, "cpu_s", "replies", 1e6))) }
  local profiled = row.any_short(rows) and pair.profile(pair.qlua_argv("requests", options), 8)
  mock.stop()
  return rows, notes, profiled
end
