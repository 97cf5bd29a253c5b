-- SPDX-License-Identifier: Apache-2.0
--- A whole run on a machine with a GPU, which a driver of the tests' own plays (tests/fake/nvml.c).
local file = require "qlua.core.file"
local proc = require "qlua.core.proc"
local support = require "support"

local fake = support.exe:match "^(.*)/" .. "/fake/libfake_nvml.so"
local WATTS = { 100, 0 } -- of the two devices

local function library_in(folder, state)
  local path = folder .. "/nvml.so"
  assert(proc.run { argv = { "cp", fake, path } })
  support.write(path .. ".state", state)
  return path
end

local state = ("count 2\nname NVIDIA H200\nuuid.0 GPU-0\nuuid.1 GPU-1\nmemory_total 150000000000\nmemory_used.0 %d\nmemory_used.1 0\n"
  .. "energy 7\npower.0 %d\npower.1 %d\ntemperature 55\nsm_clock 1500\nthrottle 4\n"):format(40 << 30, WATTS[1] * 1000, WATTS[2])

describe("a run beside a GPU", function()
  local folder, sim
  setup(function()
    folder = support.folder()
    sim = support.sim { "--dataset", "gsm8k", "--data", support.sample_data, "--limit", "10" }
  end)
  teardown(function()
    sim.stop()
    support.clean()
  end)

  local function run_with(name, env, words)
    local place = support.folder()
    local argv = { "gsm8k", "--url", sim.url, "--model", "qlua-sim", "--data", support.sample_data, "--limit", "10" }
    for _, word in ipairs(words or {}) do argv[#argv + 1] = word end
    local run = support.run(place, argv, { env = env })
    assert.equal(0, run.code, name .. ": " .. run.all)
    return support.results(run.dir), run
  end

  it("measures the device that holds the model, and no other", function()
    if not file.stat(fake) then return pending("no " .. fake .. ": build the target fake_nvml") end
    local doc, run = run_with("with", { QLUA_NVML = library_in(folder, state) })
    assert.equal("nvml", doc.telemetry.source)
    assert.equal(2, #doc.telemetry.devices)
    local one = doc.variants["qlua-sim"]
    assert.equal(1, #one.gpu.devices)
    local device = one.gpu.devices[1]
    assert.same({ "GPU-0", "NVIDIA H200", 55, 1500, 1.0 },
      { device.uuid, device.name, device.temperature_c_max, device.sm_clock_mhz_mean, device.throttle.sw_power_cap })
    assert.equal(40 << 30, one.memory.peak_bytes)
    local cell = one.datasets.gsm8k
    assert.equal("integrated", cell.energy_source) -- the counter stands still
    assert.is_true(math.abs(cell.energy_joules / cell.energy_seconds - WATTS[1]) < 1e-6)
    local rows = support.rows(run.dir, "SELECT moment, device FROM telemetry ORDER BY id")
    assert.same({ "loaded GPU-0", "loaded GPU-1", "phase GPU-0" }, { rows[1].moment .. " " .. rows[1].device,
      rows[2].moment .. " " .. rows[2].device, rows[3].moment .. " " .. rows[3].device })
    assert.equal(3, #rows)
  end)

  it("counts memory among what the variants are compared by", function()
    if not file.stat(fake) then return pending("no " .. fake .. ": build the target fake_nvml") end
    local place = support.folder()
    local config = support.write(place .. "/two.yaml", ([[
model: { base_name: qlua-sim, variants: [ { name: one }, { name: two } ] }
data: %s
server: { engine: external, base_url: "%s" }
benchmark: { concurrency: 4, num_warmup_iterations: 0 }
]]):format(support.sample_data, sim.url))
    local run = support.run(place, { "gsm8k", "--config", config, "--limit", "10" }, { env = { QLUA_NVML = library_in(place, state) } })
    assert.equal(0, run.code, run.all)
    local doc = support.results(run.dir)
    local measured = {}
    for _, axis in ipairs(doc.verdict.serving.axes) do measured[axis.name] = axis.measured end
    assert.is_true(measured.memory)
    assert.is_false(measured.energy) -- too short to be divided by answers
    assert.equal(1, doc.verdict.serving.variants.two.memory.ratio)
  end)

  it("says why nothing was measured, and is none the worse", function()
    local doc = run_with("without", { QLUA_NVML = folder .. "/no-such-library.so", PATH = "/usr/bin:/bin" })
    assert.is_nil(doc.telemetry.source)
    assert.matches("no%-such%-library", doc.telemetry.reason)
    assert.is_nil(doc.variants["qlua-sim"].memory)
    doc = run_with("off", { QLUA_NVML = library_in(support.folder(), state) }, { "--set", "benchmark.collect_memory=false" })
    assert.equal("benchmark.collect_memory is off", doc.telemetry.reason)
  end)
end)

describe("a server of ours beside a GPU", function()
  teardown(support.clean)

  -- An engine that says which cards it may see.
  local function engine(place)
    local program = support.write(place .. "/vllm", ([[
#!/bin/sh
echo "cards: $CUDA_VISIBLE_DEVICES by $CUDA_DEVICE_ORDER"
while [ $# -gt 0 ]; do
  case $1 in
    --port) port=$2; shift ;;
    --served-model-name) name=$2; shift ;;
  esac
  shift
done
exec %s sim --port "$port" --served-model "$name" --dataset gsm8k --data %s --limit 5 --accuracy 1
]]):format(support.exe, support.sample_data))
    support.command { "chmod", "+x", program }
    return program
  end

  local function run_beside(place, held)
    local config = support.write(place .. "/config.yaml", ([[
model: { base_name: some-model, variants: [ { name: one, gpus: [1] } ] }
server: { engine: vllm, executable: %s, port: null }
benchmark: { num_warmup_iterations: 0 }
]]):format(engine(place)))
    local env = { QLUA_NVML = library_in(place, state:format(0, 0, 0)), QLUA_LOCK_DIR = place }
    local lock = held and assert(file.lock(("%s/qlua-gpu-%s.lock"):format(place, held), "qlua (pid 1) for the run results/other"))
    local run = support.run(place, { "gsm8k", "--config", config, "--data", support.sample_data, "--limit", "5" }, { env = env })
    if lock then lock:close() end
    return run
  end

  it("sees its own cards, and locks them and no other", function()
    if not file.stat(fake) then return pending("no " .. fake .. ": build the target fake_nvml") end
    local place = support.folder()
    local run = run_beside(place, "GPU-0")
    assert.equal(0, run.code, run.all)
    assert.is_truthy(support.read(run.dir .. "/logs/one.log"):find("cards: 1 by PCI_BUS_ID", 1, true))
    assert.is_truthy(file.stat(place .. "/qlua-gpu-GPU-1.lock"))
  end)

  it("is not started while another run has the card", function()
    if not file.stat(fake) then return pending("no " .. fake .. ": build the target fake_nvml") end
    local run = run_beside(support.folder(), "GPU-1")
    assert.equal(4, run.code, run.all)
    assert.is_truthy(run.err:find("variant 'one': GPU 1 is in use by another run: qlua (pid 1) for the run results/other", 1, true),
      run.err)
    assert.is_nil(file.stat(run.dir .. "/logs/one.log"))
  end)
end)
