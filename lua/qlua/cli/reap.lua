-- SPDX-License-Identifier: Apache-2.0
--- qlua reap: ends what servers of a killed qlua have left running.
-- Nothing is ended on suspicion: see `qlua.supervisor.leftovers` for what counts as proof.

local leftovers = require "qlua.supervisor.leftovers"
local say = require "qlua.cli.say"
local state = require "qlua.supervisor.state"
local sys = require "qlua.core.sys"

local function heading(record)
  return ("%s, started %s for %s"):format(record.variant or "?", record.started_at or "?", record.run_dir)
end

-- Why a server is left alone, or nil.
local function why_not(record)
  if record.host ~= sys.host().hostname then
    return { en = "on another machine: " .. tostring(record.host), zh = "位于另一台机器：" .. tostring(record.host) }
  end
  if state.has_owner(record) then
    return { en = ("its qlua still runs (pid %d)"):format(record.owner.pid), zh = ("其 qlua 仍在运行（pid %d）"):format(record.owner.pid) }
  end
end

local function list(record)
  local found = leftovers.find(record)
  for _, process in ipairs(found) do say.line(("  %d  %s"):format(process.pid, process.words)) end
  if #found == 0 then say.line(say.pick { en = "  nothing is left of it", zh = "  没有残留进程" }) end
end

-- Returns how many processes could not be ended.
local function reap(record)
  local count, left = leftovers.reap(record)
  say.line(say.pick { en = ("  %d processes ended"):format(count), zh = ("  已结束 %d 个进程"):format(count) })
  for _, process in ipairs(left) do
    say.line(say.pick { en = "  cannot be ended: ", zh = "  无法结束：" }, process.pid, "  ", process.words)
  end
  return #left
end

local function run(opts, args)
  local records = state.list(args[1] and args[1]:gsub("/+$", "") or nil)
  local stuck = 0
  for _, record in ipairs(records) do
    say.line(heading(record))
    local reason = why_not(record)
    if reason then
      say.line("  ", say.pick(reason))
    elseif opts.dry_run then
      list(record)
    else
      stuck = stuck + reap(record)
    end
  end
  if #records == 0 then say.line(say.pick { en = "no server is written down: nothing to end", zh = "没有服务记录，无需清理" }) end
  if stuck == 0 then return 0 end
  return nil, { kind = "server", text = ("%d processes could not be ended"):format(stuck),
    hint = "they belong to another user, or hang in the kernel: look at them with ps -o pid,stat,wchan" }
end

return {
  name = "reap",
  summary = { en = "end what the servers of a killed run have left behind", zh = "清理被强制终止的运行残留的服务进程" },
  usage = "qlua reap [RUN] [--dry-run]",
  positional = { { name = "RUN", summary = { en = "folder of a run (default: all runs of this user)", zh = "运行目录（默认：当前用户的全部运行）" } } },
  options = {
    { long = "dry-run", summary = { en = "list what would be ended, and end nothing", zh = "仅列出将要结束的进程，不实际结束" } },
  },
  details = {
    en = "A process counts as a server's by its control group, by the nonce in its environment, or by the pid and start time that were "
      .. "written down; never by its name or its port. Servers whose qlua still runs are left alone.",
    zh = "仅凭控制组、环境变量中的随机标识、或记录的 pid 与启动时间来判定进程归属，绝不按名称或端口判断。qlua 仍在运行的服务不受影响。",
  },
  run = run,
}
