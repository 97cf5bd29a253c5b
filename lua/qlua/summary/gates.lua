-- SPDX-License-Identifier: Apache-2.0
--- Gates: what the configuration demands of a run (`verdict.gates`). Pure. One that cannot be judged has failed: a
-- typing error in a name must not let everything through.
local format = require "qlua.page.format"
local text = require "qlua.summary.text"

local gates = {}

local SAY = {
  verdict = { en = "a verdict is given", zh = "给出了结论" },
  no_verdict = { en = "no verdict is given", zh = "未能给出结论" },
  non_inferior = { en = "{variant} passes: {class}", zh = "{variant} 通过：{class}" },
  not_non_inferior = { en = "{variant} is not shown to be acceptable: {class}", zh = "{variant} 未达要求：{class}" },
  share_least = { en = "{what} of {variant}{on}: {value}, want at least {limit}", zh = "{variant}{on}的{what}为 {value}，要求不低于 {limit}" },
  share_most = { en = "{what} of {variant}{on}: {value}, want at most {limit}", zh = "{variant}{on}的{what}为 {value}，要求不高于 {limit}" },
  no_limit = { en = "{what}: a gate wants at_least or at_most", zh = "{what}：门限需给出 at_least 或 at_most" },
  nothing = { en = "{what}: nothing to judge (variant {variant}, dataset {dataset})", zh = "{what}：没有可判定的数据（变体 {variant}，数据集 {dataset}）" },
}

local WHAT = {
  verdict = { en = "verdict", zh = "结论" }, non_inferior = { en = "non-inferiority", zh = "非劣性" },
  accuracy = { en = "accuracy", zh = "准确率" }, error_rate = { en = "error rate", zh = "出错率" },
  invalid_rate = { en = "invalid rate", zh = "无效率" }, truncated_rate = { en = "truncated share", zh = "截断比例" },
  flips = { en = "share of flips", zh = "翻转率" },
}

--- The classes in words, also for tables.
gates.CLASSES = {
  better = { en = "better", zh = "更优" }, non_inferior = { en = "non-inferior", zh = "非劣" },
  lower_within_margin = { en = "lower, within margin", zh = "略低，界值内" }, inferior = { en = "inferior", zh = "劣于基线" },
  inconclusive = { en = "inconclusive", zh = "证据不足" }, refused = { en = "no verdict", zh = "不作结论" },
}

local FIGURES = {
  accuracy = function(cell) return cell.accuracy end,
  error_rate = function(cell) return cell.error_rate end,
  invalid_rate = function(cell) return cell.invalid_rate end,
  truncated_rate = function(cell) return cell.truncated and cell.truncated.share or 0 end,
  flips = function(cell) return cell.against_baseline and cell.against_baseline.flip_rate end,
}

local function judge_share(add, gate, variant, dataset, value)
  local is_least = gate.at_least ~= nil
  local limit = is_least and gate.at_least or gate.at_most
  if not limit then return add(false, text.fill(SAY.no_limit, { what = WHAT[gate.gate] }), { variant = variant, dataset = dataset }) end
  local ok
  if is_least then ok = value >= limit else ok = value <= limit end
  local on = dataset and { en = " on " .. dataset, zh = (" 在 %s 上"):format(dataset) } or { en = "", zh = " " }
  add(ok, text.fill(is_least and SAY.share_least or SAY.share_most, { what = WHAT[gate.gate], variant = variant, on = on,
    value = format.percent(value, 2), limit = format.percent(limit, 2) }),
    { variant = variant, dataset = dataset, value = value, limit = limit })
end

-- Every variant that a gate is about: the named one, or all (of those that are compared, all but the baseline).
local function names_of(doc, gate, without_baseline)
  local names = {}
  for _, name in ipairs(doc.variant_order) do
    local is_baseline = name == doc.baseline
    if (not gate.variant or gate.variant == name) and not (without_baseline and is_baseline) then names[#names + 1] = name end
  end
  return names
end

local kinds = {}

function kinds.verdict(add, _, verdict) add(verdict.status ~= "none", SAY[verdict.status ~= "none" and "verdict" or "no_verdict"], {}) end

function kinds.non_inferior(add, doc, verdict, gate)
  for _, name in ipairs(names_of(doc, gate, true)) do
    local entry = verdict.variants[name]
    local passes = entry and entry.passes or false
    add(passes, text.fill(SAY[passes and "non_inferior" or "not_non_inferior"],
      { variant = name, class = gates.CLASSES[entry and entry.class or "refused"] }), { variant = name })
  end
end

local function shares(add, doc, _, gate)
  for _, name in ipairs(names_of(doc, gate, gate.gate == "flips")) do
    for _, dataset in ipairs(doc.dataset_order) do
      local cell = doc.variants[name].datasets[dataset]
      local value
      if not gate.dataset or gate.dataset == dataset then value = cell and FIGURES[gate.gate](cell) end
      if value then judge_share(add, gate, name, dataset, value) end
    end
  end
end

--- Judge all gates.
-- @tparam table doc the Summary
-- @tparam table verdict
-- @tparam {table,…} wanted `{ gate, variant?, dataset?, at_least?, at_most? }`
-- @treturn {table,…} `{ gate, variant?, dataset?, ok, limit?, value?, text }`
function gates.judge(doc, verdict, wanted)
  local results = {}
  for _, gate in ipairs(wanted) do
    local before = #results
    local function add(ok, say, values)
      results[#results + 1] = { gate = gate.gate, variant = values.variant, dataset = values.dataset, ok = ok, limit = values.limit,
        value = values.value, text = say }
    end
    local judge = kinds[gate.gate] or shares
    judge(add, doc, verdict, gate)
    if #results == before then
      add(false, text.fill(SAY.nothing, { what = WHAT[gate.gate], variant = gate.variant or "–", dataset = gate.dataset or "–" }),
        { variant = gate.variant, dataset = gate.dataset })
    end
  end
  return results
end

return gates
