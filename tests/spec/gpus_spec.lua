-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local gpus = require "qlua.supervisor.gpus"
local lanes = require "qlua.run.lanes"
local task = require "qlua.core.task"

local function variant(list, env) return { name = "one", server = { gpus = list, env = env } } end

describe("the cards of a variant", function()
  it("are what its server sees", function()
    assert.same({}, gpus.add_environment(variant(nil)))
    assert.same({ A = "1", CUDA_VISIBLE_DEVICES = "1,0" }, gpus.add_environment(variant { 1, 0 }, { A = "1" }))
    assert.equal("", gpus.add_environment(variant {}).CUDA_VISIBLE_DEVICES)
    assert.equal("1,0", gpus.visible(variant { 1, 0 }))
    assert.equal("3", gpus.visible(variant({ 1 }, { CUDA_VISIBLE_DEVICES = "3" })))
  end)

  it("are disjoint only when both say so", function()
    assert.is_true(gpus.are_disjoint(variant { 0 }, variant { 1 }))
    assert.is_false(gpus.are_disjoint(variant { 0, 1 }, variant { 1 }))
    assert.is_false(gpus.are_disjoint(variant { 0 }, variant(nil)))
  end)

  it("are one run's at a time", function()
    local device = { index = 0, uuid = "GPU-spec-" .. tostring {}:match "%x+$" }
    local first, second = {}, {}
    assert.is_nil(gpus.take(first, variant(nil), { device }, "results/a"))
    assert.is_nil(gpus.take(first, variant(nil), { device }, "results/a")) -- its own already
    local err = gpus.take(second, variant(nil), { device }, "results/b")
    assert.equal("server", err.kind)
    assert.matches("variant 'one': GPU 0 is in use by another run: qlua %(pid %d+%) for the run results/a$", err.text)
    gpus.release(first)
    assert.is_nil(gpus.take(second, variant(nil), { device }, "results/b"))
    gpus.release(second)
    for _, folder in ipairs { os.getenv "QLUA_LOCK_DIR" or "/run/lock" } do
      file.remove(("%s/qlua-gpu-%s.lock"):format(folder, device.uuid))
    end
  end)
end)

describe("variants at once", function()
  -- Who ran beside whom.
  local function run(list, is_wanted)
    local running, seen, order = {}, {}, {}
    local errors = lanes.each(list, is_wanted, function(one)
      order[#order + 1] = one.name
      for other in pairs(running) do seen[#seen + 1] = other .. "+" .. one.name end
      running[one.name] = true
      task.sleep(20)
      running[one.name] = nil
      return one.fails and { kind = "server", text = one.name } or nil
    end, function() return false end)
    table.sort(seen)
    return seen, order, errors
  end

  local function one(name, list, fields)
    local made = { name = name, dialect = { start = true }, variant = { server = { gpus = list } } }
    for key, value in pairs(fields or {}) do made[key] = value end
    return made
  end

  it("only where it is asked for", function()
    assert.same({}, (run({ one("a", { 0 }), one("b", { 1 }) }, false)))
    assert.same({ "a+b" }, (run({ one("a", { 0 }), one("b", { 1 }) }, true)))
  end)

  it("only on cards of their own, in their order", function()
    local seen, order = run({ one("a", { 0 }), one("b", { 0 }), one("c", { 1 }) }, true)
    assert.same({ "b+c" }, seen)
    assert.same({ "a", "b", "c" }, order)
    assert.same({}, (run({ one "a", one("b", { 1 }) }, true)))
  end)

  it("servers of somebody else, when they are not the same", function()
    local function there(name, url) return { name = name, dialect = {}, variant = { server = { base_url = url } } } end
    assert.same({ "a+b" }, (run({ there("a", "http://a/v1"), there("b", "http://b/v1") }, true)))
    assert.same({}, (run({ there("a", "http://a/v1"), there("b", "http://a/v1") }, true)))
  end)

  it("keep their errors in their order", function()
    local _, _, errors = run({ one("a", { 0 }, { fails = true }), one("b", { 1 }, { fails = true }) }, true)
    assert.same({ "a", "b" }, { errors[1].text, errors[2].text })
  end)
end)
