-- SPDX-License-Identifier: Apache-2.0
-- The load phase of a run: in which order its replicates come, that it can be resumed, and the search for the most.
local json = require "qlua.core.json"
local support = require "support"

local folder

local LOAD = "load: { rate: 60, num_requests: 12, random_input: 8, random_output: 4, ignore_eos: true, warmup: 2%s }"

local function phases_of(dir)
  local list = {}
  for _, phase in ipairs(support.rows(dir, "SELECT variant, replicate FROM load_phase WHERE kind = 'measure' ORDER BY id")) do
    list[#list + 1] = ("%s%d"):format(phase.variant, phase.replicate)
  end
  return table.concat(list, " ")
end

local function config(name, order, variants, server)
  return support.config(folder, { name = name .. ".yaml", variants = variants or { "{ name: a }", "{ name: b }" }, server = server,
    benchmark = "num_runs: 2, " .. LOAD:format(order and ", order: " .. order or "") })
end

describe("the load phase of a run", function()
  setup(function() folder = support.folder() end)
  teardown(support.clean)

  it("measures each variant within the life of its server, after its questions", function()
    local out = support.folder()
    local result = support.run(out, { "gsm8k", "--config", config "lifetime", "--limit", "3" })
    assert.equal(0, result.code, result.all)
    assert.equal("a1 a2 b1 b2", phases_of(result.dir))
    local doc = support.results(result.dir)
    assert.equal(3, doc.variants.a.datasets.gsm8k.num_total)
    local point = doc.load.points[1]
    assert.equal("rate=60", point.label)
    for _, name in ipairs { "a", "b" } do
      assert.equal(2, point.variants[name].num_replicates)
      assert.equal(24, point.variants[name].pooled.num_ok) -- warm-up is in no figure
      assert.equal(24 * 4, point.variants[name].pooled.output_tokens_total)
    end
    assert.equal("simulated", doc.model)
    assert.is_true(doc.simulated)
    -- Both variants were asked the same at the same times, and another replicate was not.
    local digests = {}
    for _, phase in ipairs(support.rows(result.dir, "SELECT record FROM load_phase WHERE kind = 'measure' ORDER BY id")) do
      digests[#digests + 1] = json.decode(phase.record).digest
    end
    assert.equal(digests[1], digests[3])
    assert.equal(digests[2], digests[4])
    assert.not_equal(digests[1], digests[2])
  end)

  it("starts servers twice with abba", function()
    local out = support.folder()
    local result = support.qlua { "load", "--config", config("abba", "abba"), "--out", out }
    assert.equal(0, result.code, result.all)
    local dir = support.run_dir(out)
    assert.equal("a1 b1 b2 a2", phases_of(dir))
    assert.equal(3, #support.rows(dir, "SELECT id FROM load_phase WHERE kind = 'warmup'"))
  end)

  it("interleaves servers that run side by side", function()
    local one, two = support.sim {}, support.sim {}
    local variants = {}
    for i, sim in ipairs { one, two } do
      variants[i] = ("{ name: %s, base_url: %s, model: qlua-sim }"):format(("ab"):sub(i, i), sim.url)
    end
    local out = support.folder()
    local path = config("external", nil, variants)
    support.write(path, (support.read(path):gsub("engine: sim, ", "")))
    local result = support.qlua { "load", "--config", path, "--out", out }
    one.stop()
    two.stop()
    assert.equal(0, result.code, result.all)
    assert.equal("a1 b1 b2 a2", phases_of(support.run_dir(out)))
  end)

  it("goes on where it was stopped, and measures nothing twice", function()
    local out = support.folder()
    local process = support.start({ "load", "--config", config "stopped", "--num-requests", "60", "--out", out }, { log = out .. "/log" })
    local dir
    support.wait_until("a first measurement is whole", function()
      local names = require("qlua.core.file").list(out)
      for _, name in ipairs(names or {}) do
        if name ~= "log" then dir = out .. "/" .. name end
      end
      if not dir or not require("qlua.core.file").stat(dir .. "/run.db") then return false end
      local ok, phases = pcall(phases_of, dir)
      return ok and phases ~= ""
    end)
    require("qlua.core.proc").run { argv = { "kill", "-INT", tostring(process:pid()) } }
    local status = process:wait(support.guard_ms)
    process:close()
    local before = phases_of(dir)
    if status.code == 0 then error "it was done before it could be stopped" end
    assert.equal(130, status.code)
    assert.not_equal("a1 a2 b1 b2", before)
    local result = support.qlua { "load", "--resume", dir }
    assert.equal(0, result.code, result.all)
    assert.equal("a1 a2 b1 b2", phases_of(dir))
    assert.equal(120, support.results(dir).load.points[1].variants.a.pooled.num_ok)
  end)

  it("finds the largest concurrency within limits", function()
    -- Four at a time: with eight in flight each waits for another's whole reply, several times the limit.
    local sim = support.sim { "--max-running", "4", "--ttft-ms", "40", "--itl-ms", "20" }
    local out = support.folder()
    local result = support.qlua { "load", "--url", sim.url, "--model", "qlua-sim", "--random-input", "8", "--random-output", "16",
      "--ignore-eos", "--num-requests", "24", "--find-max", "--concurrency", "2", "--slo", "ttft:200", "--slo-share", "0.5", "--out", out }
    sim.stop()
    assert.equal(0, result.code, result.all)
    local found = support.results(support.run_dir(out)).load.found["qlua-sim"]
    assert.equal("concurrency", found.axis)
    assert.is_true(found.met >= 4 and found.failed <= 8 and found.failed > found.met, json.encode(found))
    assert.same({ 2, 4, 8 }, { found.steps[1].value, found.steps[2].value, found.steps[3].value })
  end)

  it("ends with status 1 when too many requests fail, and says which", function()
    local sim = support.sim { "--seed", "4", "--fault", "500:0.3" } -- which prompts are hit is drawn by their hash: the same in every run
    local out = support.folder()
    local result = support.qlua { "load", "--url", sim.url, "--model", "qlua-sim", "--random-input", "8", "--num-requests", "40",
      "--out", out }
    sim.stop()
    assert.equal(1, result.code, result.all)
    assert.matches("qlua%-sim concurrency=32: %d+ of 40 requests failed", result.err)
    local pooled = support.results(support.run_dir(out)).load.points[1].variants["qlua-sim"].pooled
    assert.equal(40, pooled.num_ok + pooled.num_failed)
    assert.is_true(pooled.num_failed > 2)
  end)

  it("gives up when nobody answers any more, and keeps no half measurement", function()
    local sim = support.sim { "--fault", "exit:1:after_n=150" }
    local out = support.folder()
    local result = support.qlua { "load", "--url", sim.url, "--model", "qlua-sim", "--random-input", "8", "--concurrency", "4",
      "--duration", "600", "--out", out }
    sim.process:close()
    assert.equal(4, result.code, result.all)
    assert.matches("200 requests in a row found no server", result.err, 1, true)
    assert.equal("", phases_of(support.run_dir(out)))
  end)

  it("asks nothing twice, whatever the stages, replicates and warm-up", function()
    local sim = support.sim {}
    local out, asked = support.folder(), folder .. "/asked"
    support.write(folder .. "/record.lua", ([[
local file = io.open(%q, "a")
file:setvbuf "line"
return { on_request = function(request) file:write(request.body.prompt, "\n") end }]]):format(asked))
    local result = support.qlua { "load", "--url", sim.url, "--model", "qlua-sim", "--random-input", "9", "--random-output", "1",
      "--stage", "concurrency=2,num_requests=6", "--stage", "rate=200,num_requests=6", "--stage", "concurrency=3,num_requests=6",
      "--replicates", "2", "--warmup", "4", "--hooks", folder .. "/record.lua", "--out", out }
    sim.stop()
    assert.equal(0, result.code, result.all)
    local seen, count = {}, 0
    for prompt in support.read(asked):gmatch "[^\n]+" do
      assert.is_nil(seen[prompt], prompt)
      seen[prompt], count = true, count + 1
    end
    assert.equal(4 + 2 * 18, count)
  end)

  it("warms up until latency has settled, and calls a suite's hooks", function()
    local sim = support.sim { "--ttft-ms", "20" }
    local out = support.folder()
    support.write(folder .. "/hooks.lua", [[
return {
  on_request = function(request, entry) if not entry.warmup then request.body.max_tokens = 3 end end,
  on_reply = function(row) if row.outcome ~= "ok" then error "unexpected" end end,
}]])
    local result = support.qlua { "load", "--url", sim.url, "--model", "qlua-sim", "--random-input", "8", "--concurrency", "4",
      "--num-requests", "10", "--warmup-steady", "--ignore-eos", "--random-output", "9", "--hooks", folder .. "/hooks.lua", "--out", out }
    sim.stop()
    assert.equal(0, result.code, result.all)
    local dir = support.run_dir(out)
    local warm = json.decode(support.rows(dir, "SELECT record FROM load_phase WHERE kind = 'warmup'")[1].record)
    assert.is_true(warm.windows >= 2 and warm.windows <= 10)
    assert.equal(warm.windows * 8, warm.requests)
    assert.is_true(warm.settled or warm.windows == 10)
    assert.equal(30, support.results(dir).load.points[1].variants["qlua-sim"].pooled.output_tokens_total)
  end)

  it("says what is wrong before anything is sent", function()
    for _, case in ipairs {
      { { "load" }, 2, "no server to measure" },
      { { "load", "--url", "http://127.0.0.1:9/v1", "--model", "m" }, 2, "nothing to send" },
      { { "load", "--url", "http://127.0.0.1:9/v1", "--model", "m", "--custom", folder .. "/none.jsonl" }, 3, "none.jsonl" },
      { { "load", "--url", "http://127.0.0.1:9/v1", "--model", "m", "--random-input", "4", "--hooks", folder .. "/none.lua" }, 3,
        "none.lua" },
      { { "load", "--url", "http://127.0.0.1:9/v1", "--model", "m", "--random-input", "4", "--rate", "x" }, 2, "--rate: want a number" },
      { { "load", "nosuchsuite" }, 2, "no suite is named 'nosuchsuite'" },
      { { "load", "--from", folder .. "/none.json" }, 2, "none.json" },
    } do
      local result = support.qlua(case[1])
      assert.equal(case[2], result.code, result.all)
      assert.matches(case[3], result.err, 1, true)
    end
  end)

  it("prints its plan, the same each time, and sends nothing", function()
    local words = { "load", "--url", "http://127.0.0.1:9/v1", "--model", "m", "--random-input", "4", "--rate", "5", "--dry-run" }
    local one, two = support.qlua(words), support.qlua(words)
    assert.equal(0, one.code, one.all)
    assert.equal(one.out, two.out)
    assert.matches("open loop: 5/s poisson, 200 requests", one.out, 1, true)
    assert.matches("schedule    %x+", one.out)
    words[#words + 1], words[#words + 2] = "--seed", "7"
    assert.not_equal(one.out, support.qlua(words).out)
  end)
end)
