-- SPDX-License-Identifier: Apache-2.0
--- q: what `require "qlua"` gives to suites, server dialects and free scripts.
-- Parts are loaded when first used, so that a command pays only for what it touches. Dataset, scorer and layout
-- scripts get the smaller, frozen table of `qlua.sandbox` under the same name.

local kinds = require "qlua.kinds"

local parts = {
  text = "qlua.text", number = "qlua.number", extract = "qlua.extract", regex = "qlua.regex", random = "qlua.random",
  json = "qlua.json", prompt = "qlua.prompts", http = "qlua.http", clock = "qlua.core.clock", proc = "qlua.core.proc",
  file = "qlua.core.file", hash = "qlua.core.hash", stats = "qlua.core.stats", openai = "qlua.openai",
  checkpoint = "qlua.checkpoint", launch = "qlua.launch",
}

local functions = { all = "all", map = "map", spawn = "spawn", sleep = "sleep" }

local q = { dataset = kinds.dataset, scorer = kinds.scorer, server = kinds.server, report = kinds.report, suite = kinds.suite }

return setmetatable(q, {
  __index = function(self, name)
    local value
    if parts[name] then
      value = require(parts[name])
    elseif functions[name] then
      value = require("qlua.concurrent")[functions[name]]
    end
    rawset(self, name, value)
    return value
  end,
})
