-- SPDX-License-Identifier: Apache-2.0
local args = require "qlua.cli.args"
local command = require "qlua.cli.load"
local config = require "qlua.config"
local load_plan = require "qlua.load.plan"

-- The load plan that a command line means, against one server by its URL.
local function plan_of(line)
  local words = { "--url", "http://127.0.0.1:1/v1", "--model", "m" }
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  local opts, err = args.parse(command, words)
  if not opts then return nil, err end
  local overrides
  overrides, err = command.overrides(opts)
  if not overrides then return nil, err end
  local resolved
  resolved, err = config.from_url { url = opts.url, model = opts.model, overrides = overrides }
  if not resolved then return nil, err end
  return load_plan.make(resolved, { data_dir = "data/sample" })
end

local function stages_of(line)
  local made, err = plan_of("--random-input 8 " .. line)
  if not made then error(err.text, 2) end
  local list = {}
  for _, point in ipairs(made.points) do
    for _, stage in ipairs(point.stages) do list[#list + 1] = stage end
  end
  return list, made
end

describe("a load plan", function()
  it("is a closed loop unless told otherwise", function()
    local stages, made = stages_of ""
    assert.same({ { kind = "closed", concurrency = 32, count = 200, label = "concurrency=32" } }, stages)
    assert.same({ 1, 42, 3 }, { made.replicates, made.seed, made.warmup })
    assert.same({ { kind = "closed", concurrency = 4, duration_s = 2, label = "concurrency=4" } }, stages_of "--concurrency 4 --duration 2")
  end)

  it("knows the shapes of an open loop", function()
    local stage = stages_of("--rate 5 --arrival gamma --burstiness 0.5 --num-requests 9")[1]
    assert.same({ "open", "gamma", 0.5, 5, 9, "rate=5" },
      { stage.kind, stage.arrival, stage.burstiness, stage.rate, stage.count, stage.label })
    stage = stages_of("--ramp exponential:1:8 --duration 3")[1]
    assert.same({ shape = "exponential", from = 1, to = 8 }, stage.ramp)
    assert.same({ "open", 3, "ramp=1..8" }, { stage.kind, stage.duration_s, stage.label })
    stage = stages_of("--arrival burst --num-requests 7")[1]
    assert.same({ "burst", 7 }, { stage.label, stage.count })
  end)

  it("knows stages, sweeps and searches", function()
    local stages, made = stages_of "--stage rate=2,duration=3 --stage concurrency=4,num_requests=5 --stage ramp=linear:1:2"
    assert.equal(1, #made.points)
    assert.same({ "1 rate=2", "2 concurrency=4", "3 ramp=1..2" }, { stages[1].label, stages[2].label, stages[3].label })
    assert.same({ 3, nil, 5 }, { stages[1].duration_s, stages[1].count, stages[2].count })
    stages, made = stages_of "--sweep-concurrency 1:16:3"
    assert.same({ "concurrency=1", "concurrency=4", "concurrency=16" }, { stages[1].label, stages[2].label, stages[3].label })
    assert.same({ "concurrency", 4 }, { made.points[2].axis, made.points[2].value })
    local _, search = stages_of "--find-max --slo ttft:200,tpot:50 --rate 3"
    assert.same({ "rate", 3 }, { search.search.axis, search.search.from })
    _, search = stages_of "--find-max --slo ttft:200 --concurrency 8"
    assert.same({ "concurrency", 8, true }, { search.search.axis, search.search.from, search.search.is_whole })
  end)

  it("gives each replicate arrivals of its own, the same for every variant", function()
    local _, made = stages_of "--rate 5 --num-requests 20"
    local schedule = require "qlua.load.schedule"
    local first = schedule.digest(load_plan.schedule(made, made.points[1], 1))
    assert.equal(first, schedule.digest(load_plan.schedule(made, made.points[1], 1)))
    assert.not_equal(first, schedule.digest(load_plan.schedule(made, made.points[1], 2)))
  end)

  it("takes the command line's shape in place of the file's", function()
    local path = os.tmpname()
    assert(require("qlua.core.file").write(path, [[
model: { base_name: m, variants: [ { name: a, base_url: "http://127.0.0.1:1/v1" } ] }
benchmark: { load: { rate: 40, num_requests: 60, random_input: 64, random_output: 24, find_max: true, slo: { ttft: 5 } } }
]]))
    local function with(line)
      local words = {}
      for word in line:gmatch "%S+" do words[#words + 1] = word end
      local resolved = assert(config.load(path, assert(command.overrides(assert(args.parse(command, words))))))
      local made, err = load_plan.make(resolved, { data_dir = "data/sample" })
      return made or error(err.text)
    end
    assert.same({ axis = "rate", from = 40 }, with("").search)
    assert.equal(3, with("--sweep-rate 1,2,3").points[3].value)
    assert.is_nil(with("--sweep-rate 1,2,3").search)
    assert.equal("concurrency", with("--concurrency 3").search.axis)
    assert.equal("1 rate=2", with("--stage rate=2,duration=1 --stage rate=3").points[1].stages[1].label)
    assert.equal(2, with("--ramp linear:1:2 --duration 2").points[1].stages[1].duration_s)
    assert.equal("dataset", with("--dataset gsm8k").workload.kind)
    os.remove(path)
  end)

  it("refuses what contradicts itself, and names the option", function()
    for line, wanted in pairs {
      ["--random-input 8 --rate 5 --concurrency 2"] = "--concurrency: excludes --rate: a load has one shape",
      ["--random-input 8 --sweep-rate 1,2 --stage rate=3"] = "--sweep-rate: excludes --stage",
      ["--random-input 8 --dataset gsm8k"] = "--random-input: excludes --dataset: a load has one source of prompts",
      ["--random-output 8 --dataset gsm8k"] = "--random-output: wants random_input as well",
      ["--rate 5"] = "nothing to send: no dataset, no file and no random_input is named",
      ["--random-input 8 --rate 5 --num-requests 3 --duration 2"] = "--rate: num_requests and duration_s exclude each other",
      ["--random-input 8 --find-max"] = "--find-max: wants limits to look for",
      ["--random-input 8 --find-max --slo ttft:1 --sweep-rate 1,2"] = "--find-max: excludes --sweep-rate",
      ["--random-input 8 --sweep-rate 1,x"] = "--sweep-rate: want numbers above 0, or FROM:TO:N, got \"x\"",
      ["--random-input 8 --ramp linear:0:0"] = "--ramp: want linear:FROM:TO or exponential:FROM:TO with rates above 0, got \"linear:0:0\"",
      ["--random-input 8 --ramp up:1:2"] = "--ramp: want linear:FROM:TO",
      ["--random-input 8 --arrival burst --duration 3"] = "--arrival: a burst wants num_requests",
      ["--random-input 8 --stage rate=1,concurrency=2"] = "want one of rate, ramp and concurrency",
      ["--dataset gsm8k --turns 3"] = "--turns: sessions are made of random_input or sharegpt",
      ["--random-input x"] = "--random-input: benchmark.load.random_input: want N, N..M (uniform) or N~S",
      ["--random-input 8 --slo ttft:0"] = "want a number above 0, got 0",
      ["--random-input 8 --slo tfft:3"] = "unknown key 'tfft'",
      ["--random-input 8 --slo ttft"] = "--slo: want NAME:MS",
      ["--random-input 8 --rate -1"] = "want a number above 0, got -1",
      ["--random-input 8 --stage rate"] = "--stage: want KEY=VALUE",
      ["--random-input 8 --stage rtae=1"] = "unknown key 'rtae'",
      ["--custom /nowhere/x.jsonl"] = "/nowhere/x.jsonl",
    } do
      local made, err = plan_of(line)
      assert.is_nil(made, line)
      if not err.text:find(wanted, 1, true) then error(("%s\nwant %s\ngot  %s"):format(line, wanted, err.text)) end
    end
  end)
end)
