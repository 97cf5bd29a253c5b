-- SPDX-License-Identifier: Apache-2.0
--- Failure: why a server did not start, or has gone, in one sentence with the lines of its log that say so.
-- An exit that nobody asked for is a crash whatever its status: engines exit with 0 when their core has died.

local file = require "qlua.core.file"

local failure = {}

local LAST_LINES = 12
local HEAD_BYTES = 4 << 20 -- of a log that lie in the file while the server lives (src/proc_log.h)

--- An error of kind server about one variant's server.
-- @tparam table variant
-- @tparam string text one sentence
-- @tparam ?string hint
-- @treturn nil
-- @treturn table err
function failure.error(variant, text, hint)
  return nil, { kind = "server", text = ("variant '%s': %s"):format(variant.name, text), hint = hint }
end

-- The log from where this server's own output begins: the file has the first megabytes as they come; of a longer one the
-- process knows the last lines.
local function lines_of(server)
  local lines = {}
  local text = server.log_path and file.read(server.log_path)
  for line in (text and text:sub((server.log_from or 0) + 1) or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
  if text and #text < HEAD_BYTES then return lines end
  for _, line in ipairs(server.process and server.process:tail(64) or {}) do lines[#lines + 1] = line end
  return lines
end

--- What the dialect knows of this log: its first entry that matches, with the first line that does. Later errors are symptoms.
-- @tparam table server dialect, log_path, log_from, process
-- @treturn ?table the dialect's entry `{ pattern, kind, say }`
-- @treturn ?string the line
function failure.find(server)
  local lines
  for _, known in ipairs(server.dialect.failures or {}) do
    lines = lines or lines_of(server)
    for _, line in ipairs(lines) do
      if line:find(known.pattern, 1, true) then return known, line:match "^%s*(.-)%s*$" end
    end
  end
end

local function oom_kills()
  local text = file.read "/proc/vmstat"
  return text and math.tointeger(tonumber(text:match "\noom_kill (%d+)"))
end

--- How often the kernel has ended a process for want of memory; to be asked before and after.
failure.oom_kills = oom_kills

local function by_signal(server, signal)
  local before, now = server.oom_kills, oom_kills()
  if signal == 9 and before and now and now > before then
    return "was killed by signal 9; the kernel ran out of memory and ended a process in that time"
  end
  return ("was killed by signal %d"):format(signal)
end

--- How a process ended, in words.
-- @tparam table server oom_kills
-- @tparam table status of `process:wait`
function failure.exit_text(server, status)
  if status.signal then return by_signal(server, status.signal) end
  return ("exited with status %d"):format(status.code or -1)
end

--- The error for a server that failed: what happened, why as far as its log says it, and where the log is.
-- @tparam table server
-- @tparam string what happened, e.g. "its server exited with status 1 before it was ready"
-- @treturn nil
-- @treturn table err; `failure` is the kind of the dialect's entry, where one matched
function failure.explain(server, what)
  local hint = server.log_path and "the whole log is " .. server.log_path
  local known, line = failure.find(server)
  local _, err
  if known then
    _, err = failure.error(server.variant, ("%s: %s (%s)"):format(what, known.say.en, line), hint)
    err.failure = known.kind
    return nil, err
  end
  local lines = server.process and server.process:tail(LAST_LINES) or {}
  if #lines > 0 then what = what .. "; its last lines:\n    " .. table.concat(lines, "\n    ") end
  return failure.error(server.variant, what, hint)
end

return failure
