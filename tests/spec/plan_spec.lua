-- SPDX-License-Identifier: Apache-2.0
local config = require "qlua.config"
local file = require "qlua.core.file"
local plan = require "qlua.plan"
local registry = require "qlua.registry"

local dir = os.tmpname()
os.remove(dir)

local base = [[
model:
  base_name: simulated
  variants: [ { name: one }, { name: two, server: { max_model_len: 2048 } } ]
datasets: [ { name: gsm8k, num_samples: 5 } ]
data: data/sample
server: { engine: sim }
generation: { temperature: 0.0, max_tokens: 64, seed: 1 }
]]

local function load(text, sets)
  local path = dir .. "/config.yaml"
  assert(file.write(path, text))
  return assert(config.load(path, { set = sets or {} }))
end

local function make(sets, text) return plan.make(load(text or base, sets), { data_dir = "data/sample" }) end

local function identity(sets, text) return assert(make(sets, text)).variants[1].variant.identity end

describe("plan", function()
  setup(function()
    assert(file.make_dir(dir))
    registry.configure {}
  end)

  it("opens what will be asked and says whether it is simulated", function()
    local made = assert(make())
    assert.is_true(made.simulated)
    assert.same({ 2, 1, 5 }, { #made.variants, #made.datasets, made.datasets[1].task:size() })
    assert.equal("number", made.datasets[1].scorers[1].name)
  end)

  it("keeps a variant's identity when only port, host's port choice or nonce change", function()
    local first = identity()
    assert.equal(64, #first)
    assert.equal(first, identity { "server.port=8123" })
    assert.equal(first, identity { "server.port=null" })
    assert.equal(first, identity { "benchmark.concurrency=3" })
    assert.equal(first, identity { "server.startup_timeout_s=7" })
    local on_socket = identity { "server.unix_socket=/tmp/a.sock" }
    assert.equal(on_socket, identity { "server.unix_socket=/tmp/b.sock" })
  end)

  it("changes it when model, words, environment or body change", function()
    local first = identity()
    for _, set in ipairs { "server.served_model_name=x", "server.max_model_len=1024", "server.extra_args=[--x]", "server.env.A=1",
      "server.extra_body.min_p=0.1", "model.base_name=other", "sim.seed=9" } do
      assert.are_not.equal(first, identity { set }, set)
    end
  end)

  it("keeps the identity of two variants apart and says in words what differs", function()
    local old = plan.fingerprint(assert(make()))
    assert.same({}, plan.differences(old, plan.fingerprint(assert(make()))))
    assert.same({ "sampling of variant one has changed", "sampling of variant two has changed" },
      plan.differences(old, plan.fingerprint(assert(make { "generation.temperature=0.5" }))))
    assert.matches("size of dataset gsm8k has changed", table.concat(plan.differences(old,
      plan.fingerprint(assert(make({}, (base:gsub("num_samples: 5", "num_samples: 6")))))), "; "))
    assert.same({ "a is gone", "b is new", "c has changed" }, plan.differences({ a = 1, c = 1 }, { b = 1, c = 2 }))
  end)

  it("sees a changed number of shots, a changed dataset and a variant that is gone", function()
    local old = plan.fingerprint(assert(make()))
    local function differences(text) return table.concat(plan.differences(old, plan.fingerprint(assert(make({}, text)))), "; ") end
    assert.matches("shots of dataset gsm8k has changed", differences((base:gsub("num_samples: 5", "num_samples: 5, shots: 1"))))
    assert.matches("variant two is gone", differences((base:gsub(", { name: two, server: { max_model_len: 2048 } }", ""))))
    assert.matches("dataset script hellaswag is new", differences((base:gsub("num_samples: 5 }", "num_samples: 5 }, { name: hellaswag }"))))
  end)

  for what, case in pairs {
    ["no dataset"] = { (base:gsub("datasets: %b[]", "datasets: []")), "nothing to ask" },
    ["a mode that none of the scorers fits"] = { (base:gsub("num_samples: 5", "scorers: [loglikelihood]")),
      "none of its scorers %(loglikelihood%) fits mode generate" },
    ["a scorer that is not there"] = { (base:gsub("num_samples: 5", "scorers: [numbre]")), "no scorer named 'numbre'" },
    ["an engine that is not there"] = { (base:gsub("engine: sim", "engine: smi")), "no server named 'smi'" },
    ["a dataset that is not there"] = { (base:gsub("gsm8k", "gsm9k")), "no dataset named 'gsm9k'" },
    ["an external server without address"] = { (base:gsub("engine: sim", "engine: external")), "server%.base_url is missing" },
  } do
    it("refuses " .. what, function()
      local path = dir .. "/config.yaml"
      assert(file.write(path, case[1]))
      local resolved, err = config.load(path, { set = {} })
      local made
      if resolved then made, err = plan.make(resolved, { data_dir = "data/sample" }) end
      assert.is_nil(made)
      assert.matches(case[2], err.text)
    end)
  end

  it("refuses a folder of data that is not there before anything else", function()
    local _, err = plan.make(load(base), { data_dir = dir .. "/none" })
    assert.same({ "data", "--data " .. dir .. "/none: no such folder" }, { err.kind, err.text })
  end)
end)
