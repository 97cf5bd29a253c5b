-- SPDX-License-Identifier: Apache-2.0
-- A client that is kept from the processor says so: `qlua load` shares one core with busy children of a better nice value, and its
-- report is marked degraded. That one with the core to itself is not marked cannot be asserted on a machine that others use;
-- tests/spec/load_selfcheck_spec.lua has that half.
local proc = require "qlua.core.proc"
local support = require "support"
local sys = require "qlua.core.sys"

local BURNERS, NICE = 4, "5"
local folder

-- The last of the cores that this process may use; the server stays free to use any.
local function core()
  for line in io.lines "/proc/self/status" do
    local list = line:match "^Cpus_allowed_list:%s*(%S+)"
    if list then return list:match "(%d+)$" end
  end
end

-- Busy for as long as the test, and no longer than it may last.
local function burners(on)
  local list = {}
  for i = 1, BURNERS do
    list[i] = assert(proc.spawn { argv = { "timeout", tostring(support.guard_ms // 1000), "taskset", "-c", on, "sh", "-c",
      "while :; do :; done" } })
  end
  return function()
    for _, process in ipairs(list) do
      process:stop { grace_ms = 2000 }
      process:close()
    end
  end
end

local function load_alone_on(on, name, sim)
  local out = folder .. "/" .. name
  local result = support.command { "taskset", "-c", on, "nice", "-n", NICE, support.exe, "load", "--url", sim.url, "--model", "qlua-sim",
    "--rate", "200", "--num-requests", "300", "--random-input", "8", "--random-output", "16", "--ignore-eos", "--warmup", "0", "--out", out,
    "--quiet" }
  assert.equal(0, result.code, result.all)
  local dir = support.run_dir(out)
  local report = support.read(dir .. "/reports/evaluation_report_both.md")
  return support.results(dir).load.points[1].variants["qlua-sim"].check, report, result
end

describe("a client that is kept from the processor", function()
  setup(function() folder = support.folder() end)
  teardown(support.clean)

  it("marks the report degraded, and says why", function()
    if not (sys.find_on_path "taskset" and sys.find_on_path "timeout") then return pending "taskset or timeout is not installed" end
    local sim = support.sim { "--itl-ms", "2" }
    local stop = burners(core())
    local ok, check, page, result = pcall(load_alone_on, core(), "starved", sim)
    stop()
    sim.stop()
    assert(ok, check)
    assert.equal("degraded", check.verdict)
    assert.equal("client", check.limit)
    local codes = {}
    for _, reason in ipairs(check.reasons) do codes[reason.code] = true end
    assert.is_true(codes.starved or codes.dispatch_lag or codes.handling_delay or codes.busy or false)
    assert.is_truthy(page:find("egraded", 1, true))
    assert.is_truthy(result.out:find("egraded", 1, true), result.out)
  end)
end)
