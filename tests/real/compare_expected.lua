-- SPDX-License-Identifier: Apache-2.0
--- How far a run with the small checkpoint agrees with what its makers measured:
-- `qlua lua tests/real/compare_expected.lua RUN [VARIANT [URL]]`.
-- With the URL of a llama-server that has the same variant, places where texts part are explained by asking it.
package.path = "tests/spec/?.lua;tests/e2e/?.lua;tests/real/?.lua"
table.insert(package.searchers, function(name)
  local path = package.searchpath(name, package.path)
  return path and assert(loadfile(path)), path
end)
local expected = require "expected"
local json = require "qlua.core.json"
local real = require "real"
local support = require "support"

local run, variant, url = arg[1], arg[2] or "f16", arg[3]
assert(run, "usage: qlua lua tests/real/compare_expected.lua RUN [VARIANT [URL]]")
local archive = assert(real.shared "models/quiz-27m/expected.tar.gz")
local post = url and real.poster(url)

for _, row in ipairs(support.rows(run, "SELECT name FROM dataset ORDER BY position")) do
  local found = expected.compare(run, variant, row.name, archive)
  local detail = ""
  if found.noise then
    detail = (", log-probabilities within %.3f, margins of agreeing questions moved up to %.3f"):format(found.worst, found.noise)
  elseif found.same_text then
    detail = (", %d texts the same"):format(found.same_text)
  end
  print(("%s %s: %d of %d agree (%.2f %%)%s"):format(variant, row.name, found.agreed, found.asked, 100 * found.agreed / found.asked,
    detail))
  for _, one in ipairs(found.differing) do
    if one.moved then
      print(("  %s: %d there, %d here; margin %.3f there, %.3f here: %s"):format(one.id, one.theirs, one.ours, one.margin_theirs,
        one.margin_ours, one.moved <= found.noise and "within what agreeing questions moved" or "MORE than agreeing questions moved"))
    end
  end
  for _, one in ipairs(found.texts_differing) do
    local parting = post and expected.parting(post, one)
    local where = parting and ("; parts after %d tokens, ours ahead by %.3f nats"):format(parting.at, parting.margin or 0 / 0) or ""
    print(("  %s: %s there, %s here%s"):format(one.id, json.encode(one.theirs), json.encode(one.ours), where))
  end
end
support.clean()
