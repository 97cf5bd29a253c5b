-- SPDX-License-Identifier: Apache-2.0
--- Times starting up: `build/release/qlua lua bench/start.lua`.
-- The wall time of whole processes, from spawn to exit: the program itself, and a full suite checked but not run.
local support = require "support"

local RUNS = 21

local function measure(name, ...)
  local argv, times = { support.exe, ... }, {}
  for i = 1, RUNS do times[i] = support.child(argv) end
  support.row(name, "ms", times)
end

support.head()
measure("`qlua version`", "version")
measure("`qlua run suites/full.lua --config configs/demo.yaml --dry-run`, data/sample", "run", "suites/full.lua", "--config",
  "configs/demo.yaml", "--dry-run")
