-- SPDX-License-Identifier: Apache-2.0
--- Measurements under load from the command line to the page, the exchange file and back; and a client that is starved says so.

local file = require "qlua.core.file"
local json = require "qlua.core.json"
local proc = require "qlua.core.proc"
local support = require "support"
local task = require "qlua.core.task"

local function only(list)
  assert.equal(1, #list)
  return list[1]
end

local function words(sim, folder, more)
  local list = { "load", "--url", sim.url, "--model", "qlua-sim", "--random-input", "16", "--random-output", "8", "--out",
    folder .. "/results",
    "--language", "en", "--quiet" }
  return table.move(more, 1, #more, #list + 1, list)
end

describe("a measurement under load", function()
  local folder, sim, dir, doc, done

  setup(function()
    folder = support.folder()
    sim = support.sim { "--ttft-ms", "20", "--itl-ms", "4" }
    done = support.qlua(words(sim, folder, { "--concurrency", "4", "--num-requests", "24", "--replicates", "2", "--slo",
      "ttft:5000,e2e:60000",
      "--compat", "vllm" }))
    assert.equal(0, done.code, done.all)
    dir = support.run_dir(folder .. "/results")
    doc = support.results(dir)
  end)
  teardown(function()
    sim.stop()
    support.clean()
  end)

  it("is in the results with its intervals and its self-check", function()
    local point = only(doc.load.points)
    local cell = point.variants[doc.variant_order[1]]
    assert.same({ 2, 48, 0 }, { cell.num_replicates, cell.pooled.num_ok, cell.pooled.num_failed })
    assert.same({ usage = 48 }, cell.pooled.count_sources)
    -- The sim counts its 20 ms and 4 ms from when its loop woke, which on a busy machine is some time before it read the request;
    -- above that is the machine's business.
    assert.is_true(cell.pooled.ttft_seconds.min >= 0.010, tostring(cell.pooled.ttft_seconds.min))
    assert.is_true(cell.pooled.e2e_seconds.min >= 0.010 + 7 * 0.0035)
    assert.is_true(cell.means.output_tokens_per_second.mean > 0)
    assert.is_true(cell.pooled.stamp_sources.kernel ~= nil or cell.pooled.stamp_sources.user ~= nil)
    assert.is_truthy(cell.check.verdict == "ok" or cell.check.verdict == "degraded" and #cell.check.reasons > 0)
    assert.equal(0, cell.check.lost_events)
    assert.same({ met = 48, share = 1 }, { met = cell.replicates[1].goodput.met + cell.replicates[2].goodput.met,
      share = cell.means.goodput_share.mean })
  end)

  it("is on the page and on the terminal, beside another tool's view", function()
    local names = file.list(dir .. "/reports")
    local page = support.read(dir .. "/reports/" .. names[1])
    for _, text in ipairs { "## Measurements under load", "### The instrument", "Limits (SLO), in ms: `e2e:60000,ttft:5000`",
      "qlua load --url" } do
      assert.is_truthy(page:find(text, 1, true), text)
    end
    assert.is_truthy(done.out:find("means of 2 replicates", 1, true), done.out)
    assert.is_truthy(done.out:find("by the definitions of vllm", 1, true), done.out)
  end)

  it("is written for other tools, and read again without sending anything", function()
    local out = folder .. "/exchange"
    local exported = support.qlua { "export", dir, "--format", "vllm", "--detailed", "--out", out }
    assert.equal(0, exported.code, exported.all)
    local paths = file.list(out)
    assert.equal(2, #paths)
    local written = assert(json.decode(support.read(out .. "/" .. paths[1])))
    assert.same({ 24, 0, 24, 24 }, { written.completed, written.failed, #written.ttfts, #written.itls })
    assert.equal(192, written.total_output_tokens)
    local read = support.qlua { "load", "--from", out .. "/" .. paths[1], "--compat", "guidellm" }
    assert.equal(0, read.code, read.all)
    assert.is_truthy(read.out:find(("%.3f"):format(written.median_ttft_ms), 1, true), read.out)
    assert.is_truthy(read.out:find("by the definitions of guidellm", 1, true))
    local plain = support.qlua { "export", dir, "--format", "vllm", "--out", folder .. "/plain" }
    assert.equal(0, plain.code, plain.all)
    assert.is_nil(assert(json.decode(support.read(folder .. "/plain/" .. paths[1]))).ttfts)
  end)

  it("refuses what cannot be shown", function()
    for text, argv in pairs {
      ["--from a run wants --compat TOOL"] = { "load", "--from", dir },
      ["unknown key 'speed'"] = words(sim, folder, { "--concurrency", "1", "--slo", "speed:4" }),
      ["no such file or folder"] = { "load", "--from", folder .. "/none.json" },
      ["nothing was measured under load"] = { "export", folder .. "/empty", "--format", "vllm", "--out", folder .. "/x" },
    } do
      if text == "nothing was measured under load" then
        local config = support.config(folder, { name = "plain.yaml" })
        local run = support.qlua { "run", "gsm8k", "--config", config, "--limit", "4", "--quiet", "--out", folder .. "/plain_run" }
        assert.equal(0, run.code, run.all)
        argv[2] = support.run_dir(folder .. "/plain_run")
        -- and a run with questions has the instrument's block
        local block = support.results(argv[2]).instrument.variants.one
        assert.is_true(block.events > 0 and block.reads > 0 and block.busy_share ~= nil, json.encode(block))
      end
      local result = support.qlua(argv)
      assert.equal(2, result.code, result.all)
      assert.is_truthy(result.err:find(text, 1, true), result.err)
    end
  end)
end)

describe("a run with questions and a load", function()
  it("judges throughput and latencies by the load, with intervals from its replicates", function()
    local folder = support.folder()
    local config = support.config(folder, { variants = { "{ name: one }", "{ name: two }" },
      benchmark = "num_runs: 3, control: 0, load: { concurrency: 2, num_requests: 12, random_input: \"8\", random_output: \"4\" }" })
    local run = support.qlua { "run", "gsm8k", "--config", config, "--limit", "8", "--quiet", "--out", folder .. "/results" }
    assert.equal(0, run.code, run.all)
    local doc = support.results(support.run_dir(folder .. "/results"))
    local axes = {}
    for _, axis in ipairs(doc.verdict.serving.axes) do axes[axis.name] = axis end
    assert.same({ "load", "load" }, { axes.throughput.source, axes.ttft_p50.source })
    local figure = doc.verdict.serving.variants.two.throughput
    assert.same({ 3, 1 }, { figure.replicates, figure.points })
    assert.is_true(figure.interval[1] < figure.ratio and figure.ratio < figure.interval[2])
    assert.is_nil(axes.tokens.source)
    assert.is_not_nil(doc.instrument.variants.two)
    support.clean()
  end)
end)

describe("a client that is starved of its processor", function()
  -- Stopped and let go again in turn: it neither computes nor sleeps of its own will, and nobody burns a processor for it.
  local function starve(process)
    local pid = tostring(process:pid())
    while process:alive() do
      proc.run { argv = { "kill", "-STOP", pid } }
      task.sleep(40)
      proc.run { argv = { "kill", "-CONT", pid } }
      task.sleep(15)
    end
  end

  it("marks its report as degraded, and says by what", function()
    local folder = support.folder()
    local sim = support.sim { "--ttft-ms", "5", "--itl-ms", "2" }
    local process = support.start(words(sim, folder, { "--concurrency", "8", "--num-requests", "160" }))
    starve(process)
    process:wait(support.guard_ms)
    process:close()
    sim.stop()
    local doc = support.results(support.run_dir(folder .. "/results"))
    local check = only(doc.load.points).variants[doc.variant_order[1]].check
    assert.equal("degraded", check.verdict, json.encode(check))
    assert.equal("client", check.limit)
    local names = file.list(support.run_dir(folder .. "/results") .. "/reports")
    local page = support.read(support.run_dir(folder .. "/results") .. "/reports/" .. names[1])
    assert.is_truthy(page:find("**Degraded**", 1, true))
    support.clean()
  end)
end)
