-- SPDX-License-Identifier: Apache-2.0
--- Dry run of a load plan: what is sent when, and what it says. Sends nothing.

local load_plan = require "qlua.load.plan"
local say = require "qlua.cli.say"
local schedule = require "qlua.load.schedule"
local slo = require "qlua.load.slo"

local dry_run = {}

local KIND = { closed = { en = "closed loop", zh = "闭环" }, open = { en = "open loop", zh = "开环" },
  trace = { en = "trace", zh = "轨迹" } }

-- How many due times are shown of an open loop.
local SHOWN = 8

local function amount_of(stage)
  if stage.duration_s then return ("%g s"):format(stage.duration_s) end
  return say.pick { en = ("%d requests"):format(stage.count), zh = ("%d 个请求"):format(stage.count) }
end

local function shape_of(stage)
  if stage.kind == "closed" then
    return say.pick { en = ("%d in flight"):format(stage.concurrency), zh = ("并发 %d"):format(stage.concurrency) }
  end
  if stage.kind == "trace" or stage.arrival == "burst" then return stage.label:gsub("^%d+ ", "") end
  local rate = stage.ramp and ("%s %g..%g/s"):format(stage.ramp.shape, stage.ramp.from, stage.ramp.to) or ("%g/s"):format(stage.rate)
  return ("%s %s%s"):format(rate, stage.arrival, stage.burstiness and (" (k=%g)"):format(stage.burstiness) or "")
end

local function print_open(block)
  local offsets, shown = block.offsets_ns, {}
  for i = 1, math.min(SHOWN, #offsets) do shown[i] = ("%.3f"):format(offsets[i] / 1e9) end
  if #offsets > SHOWN then shown[#shown + 1] = "…" end
  say.line(say.pick { en = "    due at (s)  ", zh = "    发送时刻（秒） " }, table.concat(shown, " "))
  local last = (offsets[#offsets] or 0) / 1e9
  say.line(say.pick { en = ("    %d requests, the last at %.3f s"):format(#offsets, last),
    zh = ("    共 %d 个请求，最后一个在 %.3f 秒"):format(#offsets, last) }, last > 0 and (": %.4g/s"):format(#offsets / last) or "")
end

local function print_point(made, point)
  say.line("  ", point.label)
  for _, stage in ipairs(point.stages) do
    say.line(("    %s: %s, %s"):format(say.pick(KIND[stage.kind]), shape_of(stage), amount_of(stage)))
  end
  local planned = load_plan.schedule(made, point, 1)
  for _, block in ipairs(planned.blocks) do
    if block.kind == "open" then print_open(block) end
  end
  local digest = schedule.digest(planned)
  if digest then say.line(say.pick { en = "    schedule    ", zh = "    计划摘要    " }, digest) end
  return planned.count
end

local function print_workload(about)
  local parts = { about.kind }
  if about.source and about.kind ~= "random" then parts[#parts + 1] = about.source end
  if about.size then parts[#parts + 1] = say.pick { en = ("%d items"):format(about.size), zh = ("%d 条"):format(about.size) } end
  if about.input then parts[#parts + 1] = ("input %s, output %s"):format(about.input, about.output) end
  if about.prefix_groups then parts[#parts + 1] = ("%d prefixes of %d"):format(about.prefix_groups, about.prefix_tokens) end
  if about.turns then parts[#parts + 1] = ("%d turns, think %g ms"):format(about.turns, about.think_ms) end
  say.line(say.pick { en = "  prompts     ", zh = "  提示词      " }, table.concat(parts, ", "))
end

--- Print a load plan.
-- @tparam table made of `qlua.load.plan`
-- @tparam integer variants how many there are
-- @tparam string order of `qlua.run.loading`
function dry_run.print(made, variants, order)
  say.line(say.pick { en = "load", zh = "负载" })
  print_workload(made.workload:describe())
  local total = 0
  for _, point in ipairs(made.points) do
    local count = print_point(made, point)
    total = total and count and total + count
  end
  if made.search then
    local limits, share = slo.text(made.slo), 100 * made.slo_share
    say.line(say.pick {
      en = ("  find the largest %s with at least %g %% of the requests within %s, from %g on"):format(made.search.axis, share, limits,
        made.search.from),
      zh = ("  从 %g 起，寻找至少 %g %% 的请求满足 %s 的最大 %s"):format(made.search.from, share, limits, made.search.axis) })
    total = nil
  end
  say.line(say.pick { en = "  replicates  ", zh = "  重复        " }, ("%d, %s; seed %d; warm-up %d%s"):format(made.replicates, order,
    made.seed, made.warmup, made.warmup_steady and "+, until steady" or ""))
  if total then
    local all = total * made.replicates * variants
    say.line(say.pick { en = ("  in all %d requests"):format(all), zh = ("  合计 %d 个请求"):format(all) })
  end
end

return dry_run
