-- SPDX-License-Identifier: Apache-2.0
--- The table of goals: `build/release/qlua lua bench/goals.lua [NAME…]`, NAME one of the list below.
-- The mock has core 0, and this process with all clients core 1. Writes Markdown.
require "pinned" "bench/goals.lua"

local row = require "goals.row"

local NAMES = { "streams", "burst", "flood", "plain", "open", "schedule", "first", "suite" }

local function say(text)
  io.stdout:write(text, "\n")
  io.stdout:flush()
end

say(row.HEAD)
local notes, profiles = {}, {}
for _, name in ipairs(#arg > 0 and arg or NAMES) do
  io.stderr:write("goals: ", name, "\n")
  local rows, more, profile = require("goals." .. name)()
  for _, made in ipairs(rows) do say(row.line(made)) end
  table.move(more, 1, #more, #notes + 1, notes)
  if profile then profiles[#profiles + 1] = { name, profile } end
end
say ""
for _, note in ipairs(notes) do say("- " .. note) end
for _, entry in ipairs(profiles) do say(("- Processor time of qlua in `%s`: %s."):format(entry[1], entry[2])) end
