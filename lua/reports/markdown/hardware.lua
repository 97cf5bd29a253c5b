-- SPDX-License-Identifier: Apache-2.0
--- Hardware: the devices, and what each variant took of them, in figures; for layouts to place. Nothing where nothing was measured.
local hardware = {}

hardware.say = {
  heading = { en = "Memory and energy", zh = "显存与能耗" },
  devices = {
    en = "Devices: {list}. Memory is what a server took beyond what its devices held before; a server that reserves a share of the device "
      .. "whatever its weights need takes the same for every variant. Power, clock and utilisation are means while questions were asked.",
    zh = "设备：{list}。显存为服务在启动前已占用之外的部分；若服务按比例预留显存，则各变体相同，与权重大小无关。功率、频率与利用率为答题期间的均值。" },
  device = { en = "{name} (driver {driver}, {memory} GiB, limit {limit} W)",
    zh = "{name}（驱动 {driver}，{memory} GiB，功率上限 {limit} W）" },
  energy = {
    en = "Energy from the first request of a dataset to its last answer, start-up and warm-up left out. Above rest: without what the "
      .. "device draws before the first server is started. A part that was not seen makes a figure unknown, not smaller.",
    zh = "能耗自该数据集首个请求至最后一个回复，不含启动与预热。高于空载：扣除首个服务启动前设备的空载功耗。有未测到的时段时视为未知，而不是偏小。" },
  column = {
    variant = { en = "Variant", zh = "变体" }, device = { en = "Device", zh = "设备" }, dataset = { en = "Dataset", zh = "数据集" },
    loaded = { en = "Loaded, GiB", zh = "加载后 GiB" }, peak = { en = "Peak, GiB", zh = "峰值 GiB" },
    power = { en = "Power, W", zh = "功率 W" }, power_max = { en = "Power max, W", zh = "最大功率 W" },
    idle = { en = "At rest, W", zh = "空载 W" }, temperature = { en = "Temperature max, °C", zh = "最高温度 °C" },
    clock = { en = "SM clock, MHz", zh = "SM 频率 MHz" }, utilisation = { en = "Utilisation", zh = "利用率" },
    throttled = { en = "Throttled", zh = "降频原因" }, seconds = { en = "Seconds", zh = "秒" }, joules = { en = "Energy, J", zh = "能耗 J" },
    above = { en = "Above rest, J", zh = "高于空载 J" }, correct = { en = "J per correct answer", zh = "每个正确答案 J" },
    source = { en = "Source", zh = "来源" },
  },
  none = { en = "none", zh = "无" },
}

local say = hardware.say
local c = say.column

local function left(title) return { title = title } end
local function right(title) return { title = title, align = "right" } end

local function number(page, value, digits) return value and page:decimal(value, digits or 1) or nil end
local function gibibytes(page, bytes) return number(page, bytes and bytes / 2 ^ 30) end

local function devices_text(page, summary)
  local en, zh = {}, {}
  for i, one in ipairs(summary.telemetry and summary.telemetry.devices or {}) do
    local text = page:fill(say.device, { name = one.name or "?", driver = one.driver or "?",
      memory = gibibytes(page, one.memory_total_bytes) or "?", limit = one.power_limit_w and ("%g"):format(one.power_limit_w) or "?" })
    en[i], zh[i] = text.en, text.zh
  end
  return { en = table.concat(en, "; "), zh = table.concat(zh, "；") }
end

-- Reasons by their share of the readings; idle is none.
local function throttled(page, shares)
  if not shares then return nil end
  local list = {}
  for _, name in ipairs(page:keys(shares)) do
    if name ~= "gpu_idle" and shares[name] > 0 then list[#list + 1] = ("%s %s"):format(name, page:percent(shares[name])) end
  end
  return #list > 0 and table.concat(list, ", ") or say.none
end

local function device_rows(page, summary)
  local rows = {}
  for _, name in ipairs(summary.variant_order) do
    local variant = summary.variants[name]
    for _, one in ipairs(variant.gpu and variant.gpu.devices or {}) do
      local before = one.memory_baseline_bytes or 0
      rows[#rows + 1] = { name, ("%s %s"):format(one.index or "–", one.name or ""),
        gibibytes(page, one.memory_loaded_bytes and one.memory_loaded_bytes - before) or "–",
        gibibytes(page, one.memory_peak_bytes and one.memory_peak_bytes - before) or "–", number(page, one.power_w_mean) or "–",
        number(page, one.power_w_max) or "–", number(page, one.power_w_idle) or "–", number(page, one.temperature_c_max, 0) or "–",
        number(page, one.sm_clock_mhz_mean, 0) or "–", one.utilisation_mean and page:percent(one.utilisation_mean) or "–",
        throttled(page, one.throttle) or "–" }
    end
  end
  return rows
end

local function energy_rows(page, summary)
  local rows = {}
  for _, dataset in ipairs(summary.dataset_order) do
    for _, name in ipairs(summary.variant_order) do
      local cell = summary.variants[name].datasets[dataset]
      if cell and cell.energy_joules then
        rows[#rows + 1] = { dataset, name, number(page, cell.energy_seconds) or "–", number(page, cell.energy_joules, 0),
          number(page, cell.energy_above_idle_joules, 0) or "–", number(page, cell.energy_per_correct_joules, 3) or "–",
          page:mono(cell.energy_source or "–") }
      end
    end
  end
  return rows
end

--- Memory, power and energy in tables.
-- @tparam table page
-- @tparam table summary
function hardware.section(page, summary)
  local rows, energy = device_rows(page, summary), energy_rows(page, summary)
  if #rows == 0 and #energy == 0 then return end
  page:heading(2, say.heading)
  if #rows > 0 then
    page:text(say.devices, { list = devices_text(page, summary) })
    page:table { columns = { left(c.variant), left(c.device), right(c.loaded), right(c.peak), right(c.power), right(c.power_max),
      right(c.idle), right(c.temperature), right(c.clock), right(c.utilisation), left(c.throttled) }, rows = rows }
  end
  if #energy > 0 then
    page:text(say.energy)
    page:table { columns = { left(c.dataset), left(c.variant), right(c.seconds), right(c.joules), right(c.above), right(c.correct),
      left(c.source) }, rows = energy }
  end
end

return hardware
