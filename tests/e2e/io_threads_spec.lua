-- SPDX-License-Identifier: Apache-2.0
-- As many I/O threads as were asked for, by the option and by the configuration: what the client counted says how many there were.
local load_store = require "qlua.load.store"
local run_store = require "qlua.run_store"
local support = require "support"

local folder, sim
setup(function()
  folder = support.folder()
  sim = support.sim {}
end)
teardown(function()
  sim.stop()
  support.clean()
end)

local function threads_of(name, ...)
  local out = folder .. "/" .. name
  local result = support.qlua { "load", "--url", sim.url, "--model", "qlua-sim", "--concurrency", "4", "--num-requests", "8",
    "--output-tokens", "2", "--random-input", "8..12", "--quiet", "--out", out, ... }
  assert.equal(0, result.code, result.all)
  local store = assert(run_store.open(support.run_dir(out), { read_only = true }))
  local counts = {}
  for _, phase in ipairs(load_store.phases(store)) do
    for _, block in ipairs(phase.record.client.blocks) do
      assert.equal(block.after.io_threads, #block.after.threads)
      counts[#counts + 1] = block.after.io_threads
    end
  end
  store:close()
  return counts
end

describe("i/o threads", function()
  it("are one unless more are asked for, by --io-threads or benchmark.io_threads", function()
    assert.same({ 1 }, threads_of "default")
    assert.same({ 3 }, threads_of("option", "--io-threads", "3"))
    assert.same({ 2 }, threads_of("set", "--set", "benchmark.io_threads=2"))
  end)
end)
