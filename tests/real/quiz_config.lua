-- SPDX-License-Identifier: Apache-2.0
--- Writes the configuration of the suite quiz: `qlua lua tests/real/quiz_config.lua FILE [LIMIT [KIND…]]`; without a limit all
-- 25,403 questions, without kinds f16, q8_0 and q4_0.
package.path = "tests/spec/?.lua;tests/e2e/?.lua;tests/real/?.lua"
table.insert(package.searchers, function(name)
  local path = package.searchpath(name, package.path)
  return path and assert(loadfile(path)), path
end)
local quiz = require "quiz"

local limit = math.tointeger(tonumber(arg[2] or ""))
local kinds = #arg > 2 and table.move(arg, 3, #arg, 1, {}) or nil
print(quiz.configure(assert(arg[1], "usage: qlua lua tests/real/quiz_config.lua FILE [LIMIT [KIND…]]"),
  { limits = { gsm8k = limit, mmlu = limit, hellaswag = limit }, kinds = kinds }))
