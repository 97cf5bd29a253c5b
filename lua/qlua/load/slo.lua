-- SPDX-License-Identifier: Apache-2.0
--- SLO: limits that a request has to keep to count as good, `ttft:200,tpot:50,e2e:2000` in ms. Pure.
local slo = {}

--- What may be limited, and by which figure of `qlua.load.metrics` it is judged. Where a schedule drove the sends, the time
-- from the schedule counts: a client that sends late must not make the service look good.
slo.METRICS = {
  ttft = { "ttft_due", "ttft" }, e2e = { "e2e_due", "e2e" }, e2el = { "e2e_due", "e2e" }, tpot = { "tpot" }, ttfa = { "ttfa" },
  ttfb = { "ttfb" }, ttfe = { "ttfe" }, itl = { "mean_itl" }, stall = { "stall" },
}

local function names()
  local list = {}
  for name in pairs(slo.METRICS) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

local function wrong(text) return nil, { kind = "usage", text = "slo: " .. text, hint = "for example ttft:200,tpot:50,e2e:2000, in ms" } end

--- Limits out of their text.
-- @tparam string text
-- @treturn ?table list of `{ name, ms }` in the order given, or nil and err
function slo.parse(text)
  local list, seen = {}, {}
  for part in (text .. ","):gmatch "([^,]*)," do
    local name, value = part:match "^%s*(%a[%w_]*)%s*:%s*([%d.]+)%s*$"
    local ms = tonumber(value)
    if not name or not ms or ms <= 0 then return wrong(("want NAME:MS with a number above 0, got \"%s\""):format(part)) end
    if not slo.METRICS[name] then return wrong(("want one of %s, got \"%s\""):format(names(), name)) end
    if seen[name] then return wrong(("%s is given twice"):format(name)) end
    seen[name] = true
    list[#list + 1] = { name = name, ms = ms }
  end
  return list
end

--- Limits as their text.
function slo.text(list)
  local parts = {}
  for i, one in ipairs(list) do parts[i] = ("%s:%s"):format(one.name, (("%.6f"):format(one.ms):gsub("%.?0+$", ""))) end
  return table.concat(parts, ",")
end

local function value_of(figures, names_of)
  for _, name in ipairs(names_of) do
    if figures[name] then return figures[name] end
  end
end

--- Does a request keep all limits? One of a single token has no time between tokens, so that limit is kept; any other figure that is
-- missing is not.
-- @tparam table list limits
-- @tparam table figures of `metrics.of`, with `mean_itl`
function slo.is_met(list, figures)
  for _, one in ipairs(list) do
    local value = value_of(figures, slo.METRICS[one.name])
    local is_between = one.name == "tpot" or one.name == "itl" or one.name == "stall"
    local is_excused = is_between and figures.arrivals == 1
    if value and value > one.ms * 1e6 then return false end
    if not value and not is_excused then return false end
  end
  return true
end

return slo
