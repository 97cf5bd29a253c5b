-- SPDX-License-Identifier: Apache-2.0
--- Compares a run against simulated servers with what these had planted: `qlua lua tools/check_ledger.lua RUN_DIR [RETRIES]`.
-- Prints each mismatch and the counts; status 1 when anything differs. With RETRIES the tries of each question are
-- checked too (one session, no warm-up).

local here = arg[0]:match "^(.*/)" or "./"
local ledger = assert(loadfile(here .. "../tests/e2e/ledger.lua"))()

if not arg[1] then
  io.stderr:write "usage: qlua lua tools/check_ledger.lua RUN_DIR [RETRIES]\n"
  return 2
end

local compared = ledger.compare(arg[1], { retries = math.tointeger(tonumber(arg[2])) })
for _, text in ipairs(compared.mismatches) do print(text) end
print(("%-32s %8s %8s %8s %8s %8s"):format("", "total", "correct", "wrong", "invalid", "errors"))
for _, key in ipairs(compared.order) do
  local counts = compared.counts[key]
  print(("%-32s %8d %8d %8d %8d %8d"):format(key, counts.total, counts.correct, counts.wrong, counts.invalid, counts.errors))
end
print(("%d answers compared with the ledger, %d mismatches"):format(compared.checked, #compared.mismatches))
return #compared.mismatches == 0 and compared.checked > 0 and 0 or 1
