-- SPDX-License-Identifier: Apache-2.0
--- Telemetry over a driver that says what it is told (tests/fake/nvml.c), nvidia-smi's lines, and the figures made of the rows.
local file = require "qlua.core.file"
local gpu = require "qlua.core.gpu"
local hardware = require "qlua.summary.hardware"
local nvidia_smi = require "qlua.nvidia_smi"
local proc = require "qlua.core.proc"
local sys = require "qlua.core.sys"
local telemetry = require "qlua.telemetry"

local MIB, GIB = 1 << 20, 1 << 30
local fake = sys.exe():match "^(.*)/" .. "/fake/libfake_nvml.so"
local has_fake = file.stat(fake) ~= nil
local dir, copies

local function driver(state)
  copies = copies + 1
  local path = ("%s/%d.so"):format(dir, copies) -- a path of its own is a library of its own
  assert(proc.run { argv = { "cp", fake, path } })
  local function say(text) assert(file.write(path .. ".state", text)) end
  say(state)
  return path, say
end

local function with_driver(name, fn)
  it(name, function()
    if not has_fake then return pending("no " .. fake .. ": build the target fake_nvml") end
    fn()
  end)
end

local function processes_say(list)
  local words = {}
  for i, one in ipairs(list) do words[i] = one[1] .. ":" .. one[2] end
  return #words > 0 and "processes " .. table.concat(words, " ") .. "\n" or ""
end

local h200 = "count 1\nname NVIDIA H200\nuuid GPU-abc\ndriver 580.1\ncuda 12040\nmemory_total 150754820096\npower_limit 700000\n"

-- A session with its rows in a list.
local function session_with(library, options)
  local rows = {}
  local made = { is_wanted = true, library = library, idle_ms = 1, nonce = "no-such-nonce", free_timeout_s = 0.05,
    store = { put_telemetry = function(_, moment, where, device, record)
      rows[#rows + 1] = { moment = moment, variant = where.variant, dataset = where.dataset, phase = where.phase,
        device = device, record = record }
    end } }
  for key, value in pairs(options or {}) do made[key] = value end
  return telemetry.open(made), rows
end

local function launched(name, env)
  return { name = name, dialect = { start = function() end }, variant = { server = { env = env } } }
end
local own_server = { process = {}, base_url = "http://127.0.0.1:1/v1" }

setup(function()
  dir, copies = os.tmpname(), 0
  os.remove(dir)
  assert(file.make_dir(dir))
end)
teardown(function() proc.run { argv = { "rm", "-r", dir } } end)

describe("gpu", function()
  it("absent is an answer, not an error", function()
    local source, err = gpu.open { library = "/no/such/library.so" }
    assert.is_nil(source)
    assert.equal("io", err.kind)
    assert.matches("/no/such/library", err.text)
  end)

  it("misuse raises", function()
    assert.has_error(function() gpu.open() end)
    assert.has_error(function() gpu.open { hz = 0 } end)
    assert.has_error(function() gpu.open { hz = "often" } end)
  end)

  with_driver("describes devices, and leaves out what is not known", function()
    local source <close> = assert(gpu.open { library = driver(h200 .. "persistence 0\nmemory_used 0\n"), hz = 1 })
    assert.same({ { index = 0, uuid = "GPU-abc", name = "NVIDIA H200", driver = "580.1", cuda = "12.4", memory_total_bytes = 150754820096,
      power_limit_w = 700.0, persistence = false, used_has_reserved = false } }, source:devices())
    local bare <close> = assert(gpu.open { library = driver "count 2\nmemory_used 5\n", hz = 1 })
    assert.same({ { index = 0, used_has_reserved = false }, { index = 1, used_has_reserved = false } }, bare:devices())
  end)

  with_driver("gives figures between marks", function()
    local library, say = driver "count 1\nenergy 5000\npower 80000\nmemory_used 100\nthrottle 1\n"
    local source = assert(gpu.open { library = library, hz = 0.01 })
    local from = source:mark()
    assert.equal(100, source:window(from, from)[1].memory_used_max_bytes)
    say "count 1\nenergy 9000\npower 700000\nmemory_used 900\ntemperature 62\nsm_clock 1500\nutilisation 100\nthrottle 4\n"
    local to = source:mark()
    local figures = source:window(from, to)[1]
    assert.is_true(figures.seconds > 0)
    figures.seconds = nil
    figures.power_w_mean = nil -- weighted by time
    assert.same({ index = 0, samples = 1, energy_j = 4.0, energy_source = "counter", power_w_max = 700.0, memory_used_max_bytes = 900,
      temperature_c_max = 62, sm_clock_mhz_mean = 1500.0, utilisation_mean = 1.0, throttle = { sw_power_cap = 1.0 } }, figures)
    local series = source:series(0, from, to)
    assert.equal(2, #series)
    assert.equal(700.0, series[2].power_w)
    assert.has_error(function() source:window(to, from) end)
    assert.has_error(function() source:window(0, to) end)
    assert.has_error(function() source:series(1, from, to) end)
    source:close()
    source:close()
    assert.has_error(function() source:mark() end)
  end)

  with_driver("lists processes, or says that it cannot", function()
    local source <close> = assert(gpu.open { library = driver "count 2\nstride 32\nprocesses.0 417:4096 418:-1\nprocesses.1 !3\n", hz = 1 })
    assert.same({ { { pid = 417, memory_bytes = 4096 }, { pid = 418 } }, false }, source:processes())
  end)

  with_driver("names a driver that refuses", function()
    local source, err = gpu.open { library = driver "init !18\ncount 1\n" }
    assert.is_nil(source)
    assert.matches("the NVIDIA driver cannot be asked: .*%(nvml 18%)", err.text)
    assert.matches("restart", err.hint)
  end)
end)

describe("nvidia-smi", function()
  it("reads a line as the program writes it", function()
    assert.same({ index = 0, uuid = "GPU-1", driver = "580.159.04", memory_total_bytes = 143771 * MIB, memory_used_bytes = 2275 * MIB,
      power_w = 690.72, power_limit_w = 700.0, temperature_c = 62, utilisation = 1.0, sm_clock_mhz = 1530, persistence = true,
      partitioned = false, name = "NVIDIA H200" },
      nvidia_smi.parse "0, GPU-1, 580.159.04, 143771, 2275, 690.72, 700.00, 62, 100, 1530, Enabled, Disabled, NVIDIA H200")
  end)

  it("takes what is not known as absent, never as 0", function()
    assert.same({ index = 1, uuid = "GPU-2", name = "A, B" },
      nvidia_smi.parse "1, GPU-2, [N/A], [Not Supported], N/A, [Unknown Error], [N/A], [GPU is lost], , [N/A], [N/A], [N/A], A, B")
    assert.same({ uuid = "GPU-2", pid = 7 }, nvidia_smi.parse_process "GPU-2, 7, [N/A]")
  end)

  it("skips what is no line of figures", function()
    for _, line in ipairs { "", "No devices were found", "NVIDIA-SMI has failed because it couldn't communicate", "x, y, z" } do
      assert.is_nil(nvidia_smi.parse(line))
      assert.is_nil(nvidia_smi.parse_process(line))
    end
  end)

  local function program(script)
    local path = os.tmpname()
    assert(file.write(path, "#!/bin/sh\n" .. script))
    assert(proc.run { argv = { "chmod", "+x", path } })
    return path
  end

  it("stands in for the library", function()
    local path = program [[case "$*" in
*compute-apps*) echo "GPU-1, 99, 512"; echo "GPU-2, 98, 1" ;;
*-lms*) exec sleep 1000 ;;
*) echo "0, GPU-1, 1.0, 1000, 300, 100.0, 700, 50, 20, 1500, Enabled, [N/A], X" ;;
esac
]]
    local source = assert(nvidia_smi.open(path))
    assert.equal(1000 * MIB, source:devices()[1].memory_total_bytes)
    local from, to = source:mark(), source:mark()
    local figures = assert(source:window(from, to))[1]
    assert.equal("integrated", figures.energy_source)
    assert.is_true(math.abs(figures.energy_j - 100 * figures.seconds) < 1e-9)
    assert.equal(300 * MIB, figures.memory_used_max_bytes)
    assert.equal(1500, figures.sm_clock_mhz_mean)
    assert.same({ { { pid = 99, memory_bytes = 512 * MIB } } }, source:processes())
    assert.equal(2, #source:series(0, from, to, 10))
    source:close()
    os.remove(path)
  end)

  it("says what the program said", function()
    local path = program "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n"
    local source, err = nvidia_smi.open(path)
    assert.is_nil(source)
    assert.matches("nvidia%-smi: Failed to initialize NVML", err.text)
    os.remove(path)
  end)
end)

describe("telemetry", function()
  local devices = { { index = 0, uuid = "GPU-aaa" }, { index = 1, uuid = "GPU-bbb" }, { index = 2, uuid = "GPU-ccc" } }
  local function visible(value)
    local names = {}
    for i, device in ipairs(telemetry.visible(devices, value)) do names[i] = device.index end
    return table.concat(names, " ")
  end

  it("reads CUDA_VISIBLE_DEVICES as CUDA does", function()
    for value, want in pairs { ["0"] = "0", ["2,0"] = "2 0", [" 1 , 2 "] = "1 2", ["GPU-b"] = "1", ["GPU-ccc,0"] = "2 0", [""] = "",
      ["-1"] = "", ["0,7,1"] = "0", ["1,1"] = "1", ["NoDevFiles"] = "" } do
      assert.equal(want, visible(value), value)
    end
    assert.equal("0 1 2", visible(nil))
  end)

  it("does nothing where there is nothing to watch, and says why", function()
    local cases = { ["benchmark.collect_memory is off"] = { is_wanted = false }, ["QLUA_NVML is off"] = { library = "off" } }
    for reason, options in pairs(cases) do
      local session, rows = session_with(nil, options)
      assert.equal(reason, session:facts().reason)
      assert.is_nil(session:before_launch(launched "a"))
      session:after_launch(launched "a", own_server)
      session:end_phase(session:begin_phase(), {})
      session:close()
      assert.same({}, rows)
    end
  end)

  with_driver("writes baseline, loaded and phase of the devices that are used", function()
    local library, say = driver(h200:gsub("count 1", "count 2") .. "memory_used 10\nenergy 0\npower 80000\nuuid.1 GPU-def\n")
    local session, rows = session_with(library)
    assert.equal("nvml", session:facts().source)
    assert.is_nil(session:before_launch(launched "a"))
    say(("count 2\nmemory_used 10\nmemory_used.1 %d\nenergy 1000\npower 80000\n"):format(70 * GIB))
    session:after_launch(launched "a", own_server)
    local from = session:begin_phase()
    session.gpu:window(from, from)
    say(("count 2\nmemory_used 10\nmemory_used.1 %d\nenergy 31000\npower 80000\n"):format(71 * GIB))
    session:end_phase(from, { phase = 5, variant = "a", dataset = "d" })
    session:close()
    local seen = {}
    for i, row in ipairs(rows) do seen[i] = row.moment .. " " .. row.device .. " " .. tostring(row.record.used) end
    assert.same({ "idle GPU-abc nil", "idle GPU-def nil", "baseline GPU-abc nil", "baseline GPU-def nil", "loaded GPU-abc false",
      "loaded GPU-def true", "phase GPU-def nil" }, seen)
    local phase = rows[7]
    assert.same({ 5, "a", "d", 30.0, 71 * GIB },
      { phase.phase, phase.variant, phase.dataset, phase.record.energy_j, phase.record.memory_used_max_bytes })
    assert.is_true(#phase.record.series >= 2)
  end)

  with_driver("watches only the devices that a variant sees", function()
    local session, rows = session_with((driver "count 2\nuuid.0 A\nuuid.1 B\nmemory_used 1\n"))
    session:before_launch(launched("a", { CUDA_VISIBLE_DEVICES = "1" }))
    session:close()
    assert.equal("B", rows[#rows].device)
    assert.equal(3, #rows) -- two at rest, one baseline
  end)

  with_driver("does not measure what is not here", function()
    local session, rows = session_with((driver "count 1\nmemory_used 9999999999\n"))
    local outside = { name = "x", dialect = {}, variant = { server = {} } }
    local simulated = { name = "s", dialect = { simulated = true, start = true }, variant = { server = {} } }
    for _, case in ipairs { { outside, { base_url = "https://api.example.com/v1" } }, { simulated, own_server } } do
      session:before_launch(case[1])
      session:after_launch(case[1], case[2])
      assert.is_nil(session:begin_phase())
    end
    assert.same({}, rows)
    session:before_launch(outside)
    session:after_launch(outside, { base_url = "http://localhost:8000/v1" })
    assert.is_truthy(session:begin_phase())
    session:close()
  end)

  with_driver("goes on when the device is lost", function()
    local library, say = driver(h200 .. "memory_used 10\nenergy 0\npower 1000\n")
    local session, rows = session_with(library)
    session:before_launch(launched "a")
    say(h200 .. ("memory_used %d\nenergy 1\npower 1000\n"):format(GIB))
    session:after_launch(launched "a", own_server)
    local from = session:begin_phase()
    session.gpu:window(from, from)
    say(h200 .. "memory_used !15\nenergy !15\npower !15\n")
    session:end_phase(from, { phase = 1, variant = "a", dataset = "d" })
    session:close()
    assert.is_true(rows[#rows].record.lost)
    assert.is_nil(rows[#rows].record.energy_j)
  end)
end)

describe("telemetry, until a device is free", function()
  local function occupy(bytes, processes, options)
    local library, say = driver(h200 .. "memory_used 0\n" .. processes_say { { 4000001, 5 } })
    local session = session_with(library, options)
    assert.is_nil(session:before_launch(launched "a"))
    say(h200 .. ("memory_used %d\n"):format(bytes) .. processes_say(processes))
    return session, say
  end

  with_driver("goes on at once when it is", function()
    local session = occupy(511 * MIB, { { 4000001, 5 } })
    assert.is_nil(session:before_launch(launched "b"))
    session:close()
  end)

  with_driver("allows two per cent of a large device", function()
    local session = occupy(2800 * MIB, {})
    assert.is_nil(session:before_launch(launched "b"))
    session:close()
    session = occupy(3000 * MIB, {})
    assert.is_truthy(session:before_launch(launched "b"))
    session:close()
  end)

  with_driver("names who holds it, but not who was there before", function()
    local session = occupy(70 * GIB, { { 4000001, 5 }, { sys.pid(), 70 * GIB }, { 4000002, 1 } })
    local err = session:before_launch(launched "b")
    session:close()
    assert.equal("server", err.kind)
    assert.matches(("^variant 'b': not free 0%%.05 s after the last server was stopped: GPU 0 holds %d MiB, 0 MiB before; processes there: "
      .. "%d %%(.-%%), 4000002 %%(%%?%%)$"):format(70 * 1024, sys.pid()), err.text)
    assert.matches("nvidia%-smi", err.hint)
  end)

  with_driver("waits for a process of ours that is still listed", function()
    local child = assert(proc.spawn { argv = { "sleep", "1000" }, nonce = "specgpu" .. sys.pid() })
    local session, say = occupy(0, { { child:pid(), 1 } }, { nonce = child:nonce() })
    assert.matches("processes there: %d+ %(sleep%)", session:before_launch(launched "b").text)
    say(h200 .. "memory_used 0\n")
    assert.is_nil(session:before_launch(launched "b"))
    session:close()
    child:close()
  end)

  with_driver("gives up waiting when the run is stopped", function()
    local stopped = false
    local session = occupy(70 * GIB, {}, { free_timeout_s = 1000, is_stopped = function() return stopped end })
    stopped = true
    assert.equal("cancelled", session:before_launch(launched "b").kind)
    session:close()
  end)
end)

describe("summary.hardware", function()
  local function phase(id, asked, end_ns) return { id = id, variant = "a", dataset = "d", asked = asked, end_ns = end_ns } end
  local function row(moment, device, record, fields)
    local made = { moment = moment, variant = moment ~= "idle" and "a" or nil, device = device, record = record }
    for key, value in pairs(fields or {}) do made[key] = value end
    return made
  end
  local function figures(fields)
    local made = { index = 0, seconds = 20, samples = 200, energy_j = 6000, energy_source = "counter", power_w_mean = 300,
      power_w_max = 500, memory_used_max_bytes = 60 * GIB, temperature_c_max = 60, sm_clock_mhz_mean = 1500,
      throttle = { sw_power_cap = 0.5 } }
    for key, value in pairs(fields or {}) do made[key] = value end
    return made
  end
  local function measured(rows, phases)
    local device = { index = 0, uuid = "A", name = "H", memory_total_bytes = 80 * GIB }
    return { facts = { source = "nvml", devices = { device } }, phases = phases, rows = rows }
  end
  local before = { row("idle", "A", { power_w_mean = 100 }), row("baseline", "A", { index = 0, memory_used_max_bytes = GIB }),
    row("loaded", "A", { index = 0, memory_used_max_bytes = 51 * GIB, used = true }) }
  local function build(rows, phases, correct)
    local all = table.move(before, 1, #before, 1, {})
    table.move(rows, 1, #rows, #all + 1, all)
    local doc = { variant_order = { "a", "b" },
      variants = { a = { datasets = { d = { num_correct = correct or 30 } } }, b = { datasets = {} } } }
    hardware.add(doc, measured(all, phases))
    return doc.variants.a, doc
  end

  it("gives memory beyond the baseline, energy, and energy per correct answer", function()
    local one, doc = build({ row("phase", "A", figures(), { phase = 1 }) }, { phase(1, 40, 9) })
    assert.same({ loaded_bytes = 50 * GIB, peak_bytes = 59 * GIB }, one.memory)
    assert.same({ num_correct = 30, energy_joules = 6000, energy_source = "counter", energy_seconds = 20, energy_above_idle_joules = 4000,
      energy_per_correct_joules = 200, energy_above_idle_per_correct_joules = 4000 / 30 }, one.datasets.d)
    assert.same({ { uuid = "A", name = "H", index = 0, power_w_idle = 100, memory_baseline_bytes = GIB, memory_loaded_bytes = 51 * GIB,
      memory_peak_bytes = 60 * GIB, memory_total_bytes = 80 * GIB, power_w_mean = 300, power_w_max = 500, temperature_c_max = 60,
      sm_clock_mhz_mean = 1500, throttle = { sw_power_cap = 0.5 }, seconds = 20 } }, one.gpu.devices)
    assert.equal("nvml", doc.telemetry.source)
    assert.is_nil(doc.variants.b.gpu)
  end)

  it("adds up the phases of a resumed run, and names the weaker source", function()
    local one = build({ row("phase", "A", figures(), { phase = 1 }),
      row("phase", "A", figures { energy_j = 3000, seconds = 10, energy_source = "integrated", power_w_mean = 150 }, { phase = 2 }) },
      { phase(1, 40, 9), phase(2, 10, 9), phase(3, 0, 9) })
    assert.equal(9000, one.datasets.d.energy_joules)
    assert.equal("integrated", one.datasets.d.energy_source)
    assert.equal(250, one.gpu.devices[1].power_w_mean)
  end)

  it("knows no energy when a part was not seen", function()
    for _, case in ipairs { { { row("phase", "A", figures(), { phase = 1 }) }, { phase(1, 40, 9), phase(2, 5, 9) } }, -- not measured
      { { row("phase", "A", figures(), { phase = 1 }) }, { phase(1, 40, 9), phase(2, 0, nil) } }, -- killed
      { { row("phase", "A", { index = 0, seconds = 20, samples = 3, lost = true }, { phase = 1 }) }, { phase(1, 40, 9) } } } do -- lost
      local one = build(case[1], case[2])
      assert.same({ num_correct = 30 }, one.datasets.d)
      assert.is_truthy(one.memory)
    end
  end)

  it("divides by answers only what was measured long enough, and never by none", function()
    local one = build({ row("phase", "A", figures { seconds = 9.9 }, { phase = 1 }) }, { phase(1, 40, 9) })
    assert.equal(6000, one.datasets.d.energy_joules)
    assert.is_nil(one.datasets.d.energy_per_correct_joules)
    one = build({ row("phase", "A", figures(), { phase = 1 }) }, { phase(1, 40, 9) }, 0)
    assert.is_nil(one.datasets.d.energy_per_correct_joules)
  end)

  it("says where the devices stood idle, and nothing where their work is not known", function()
    local function idle(share)
      return build({ row("phase", "A", figures { utilisation_mean = share }, { phase = 1 }) }, { phase(1, 40, 9) })
    end
    assert.near(0.044, idle(0.044).gpu.idle_utilisation, 1e-12)
    assert.is_nil(idle(hardware.IDLE_BELOW).gpu.idle_utilisation)
    assert.is_nil(idle(nil).gpu.idle_utilisation)
  end)

  it("leaves a variant alone that used no device", function()
    local doc = { variant_order = { "a" }, variants = { a = { datasets = { d = { num_correct = 1 } } } } }
    hardware.add(doc, measured({ row("loaded", "A", { index = 0, used = false }) }, {}))
    assert.same({ datasets = { d = { num_correct = 1 } } }, doc.variants.a)
    doc.telemetry = nil
    hardware.add(doc, nil)
    assert.is_nil(doc.telemetry)
  end)
end)
