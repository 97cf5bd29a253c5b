-- SPDX-License-Identifier: Apache-2.0
--- `require "pinned" "bench/NAME.lua"`: from here on this process and its children have core 1 alone (core 0 is the mock's).
-- A process that has more starts itself again under taskset.
local sys = require "qlua.core.sys"

local function is_pinned()
  for line in io.lines "/proc/self/status" do
    local list = line:match "^Cpus_allowed_list:%s*(%S+)"
    if list then return list == "1" end
  end
end

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

return function(script)
  if is_pinned() then return end
  local words = { "exec taskset -c 1", quoted(sys.exe()), "lua", script }
  for _, word in ipairs(arg) do words[#words + 1] = quoted(word) end
  local _, _, code = os.execute(table.concat(words, " "))
  os.exit(code)
end
