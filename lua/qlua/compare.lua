-- SPDX-License-Identifier: Apache-2.0
--- Compare: runs of different days, or exported samples, as one Summary.
--
-- A *source* is `{ kind, path, label, variants, baseline, order, datasets, rows(), close() }`, a dataset in it `{ record,
-- questions = { id → { row, prompt } }, count, scorers = { name → sha256 }, asked }`. What two sources do not share (questions,
-- prompts, how they were asked, how they were judged) makes a difference of accuracies meaningless; every such item is
-- named, and nothing is compared until there is none.

local json = require "qlua.core.json"
local file = require "qlua.core.file"
local lm_eval = require "qlua.compare.lm_eval"
local summary = require "qlua.summary"

local compare = {}

local function fail(kind, text, hint) return nil, { kind = kind, text = text, hint = hint } end

local function open(path)
  local info = file.stat(path)
  if not info then return fail("usage", ("%s: no such file or folder"):format(path)) end
  if info.kind == "dir" and file.stat(path:gsub("/+$", "") .. "/run.db") then return require("qlua.compare.run").open(path) end
  if #lm_eval.files(path) > 0 then return lm_eval.open(path) end
  return fail("usage", ("%s: neither a run's folder nor exported samples"):format(path),
    "want a folder with run.db, or files named samples_TASK….jsonl")
end

-- ---- what two sources must share -----------------------------------------------------------------------------

local function count_differences(a, b)
  local only_a, only_b, rows, prompts = 0, 0, 0, 0
  for id, question in pairs(a.questions) do
    local other = b.questions[id]
    if not other then
      only_a = only_a + 1
    else
      local same_row, same_prompt = question.row == other.row, question.prompt == other.prompt
      rows, prompts = rows + (same_row and 0 or 1), prompts + (same_prompt and 0 or 1)
    end
  end
  for id in pairs(b.questions) do
    if not a.questions[id] then only_b = only_b + 1 end
  end
  return only_a, only_b, rows, prompts
end

local function check_questions(add, name, a, b)
  local only_a, only_b, rows, prompts = count_differences(a, b)
  if only_a + only_b > 0 then
    add("different questions: %d only in the one, %d only in the other (%d and %d in all)", only_a, only_b, a.count, b.count)
  end
  if rows > 0 then add("%d of %d questions of %s have other contents", rows, a.count, name) end
  if prompts > 0 then add("%d of %d prompts differ", prompts, a.count) end
end

local function check_scorers(add, a, b)
  if a.record.headline_scorer ~= b.record.headline_scorer then
    add("judged by different scorers: %s, %s", tostring(a.record.headline_scorer), tostring(b.record.headline_scorer))
  end
  for name, sha256 in pairs(a.scorers) do
    if b.scorers[name] and b.scorers[name] ~= sha256 then
      add("scorer '%s' has changed between the two; 'qlua rescore' judges a run again", name)
    end
  end
end

local function check_asked(add, a, b)
  local keys = {}
  for _, map in ipairs { a.asked, b.asked } do
    for key in pairs(map) do keys[key] = true end
  end
  for key in pairs(keys) do
    local left, right = json.encode(a.asked[key] or ""), json.encode(b.asked[key] or "")
    if left ~= right then add("%s differs: %s, %s", key, left, right) end
  end
end

local function check_sampling(add, a, b)
  local wanted = a.sampling[a.baseline]
  for _, variant in ipairs(b.variants) do
    local own = b.sampling[variant.name]
    if wanted and own and wanted ~= own then add("sampling of '%s' differs: %s, %s", variant.name, wanted, own) end
  end
end

-- Datasets of the first source that all have, and every objection, as texts.
local function check(sources)
  local first, common, items = sources[1], {}, {}
  for i = 2, #sources do
    local other = sources[i]
    local function adder(where)
      return function(form, ...) items[#items + 1] = ("%s and %s%s: %s"):format(first.path, other.path, where, form:format(...)) end
    end
    if first.kind ~= other.kind then
      adder ""("one is a run, the other exported samples: their questions have no names in common")
    else
      check_sampling(adder "", first, other)
    end
  end
  for _, name in ipairs(first.order) do
    local is_common = true
    for i = 2, #sources do is_common = is_common and sources[i].datasets[name] ~= nil end
    if is_common then common[#common + 1] = name end
    for i = 2, is_common and #sources or 1 do
      local other = sources[i]
      local function add(form, ...)
        items[#items + 1] = ("%s and %s: %s: %s"):format(first.path, other.path, name, form:format(...))
      end
      local a, b = first.datasets[name], other.datasets[name]
      check_questions(add, name, a, b)
      check_asked(add, a, b)
      check_scorers(add, a, b)
    end
  end
  if #common == 0 then items[#items + 1] = "no dataset is in all of them" end
  table.sort(items)
  return common, items
end

local function refuse(items)
  local others = {}
  for i = 2, #items do others[i - 1] = { kind = "data", text = items[i] } end
  return nil, { kind = "data", text = items[1], others = others, hint = "only what was asked and judged alike can be compared" }
end

-- ---- joined ----------------------------------------------------------------------------------------------------

-- A name that several sources use is told apart by its run; the first keeps it.
local function name_variants(sources)
  local taken = {}
  for _, source in ipairs(sources) do
    source.names = {}
    for _, variant in ipairs(source.variants) do
      local name = variant.name
      if taken[name] then name = ("%s:%s"):format(source.label, variant.name) end
      local base, suffix = name, 1
      while taken[name] do
        suffix = suffix + 1
        name = ("%s#%d"):format(base, suffix)
      end
      taken[name], source.names[variant.name] = true, name
    end
  end
end

local function pick_baseline(sources, wanted)
  local names = {}
  for _, source in ipairs(sources) do
    for _, name in pairs(source.names) do names[#names + 1] = name end
  end
  table.sort(names)
  if not wanted then return sources[1].names[sources[1].baseline] end
  for _, name in ipairs(names) do
    if name == wanted then return name end
  end
  return fail("usage", ("--baseline %s: no such variant"):format(wanted), "there are: " .. table.concat(names, ", "))
end

local function chained(sources, common, control)
  local is_common = {}
  for _, name in ipairs(common) do is_common[name] = true end
  local at, rows, cursor = 0, nil, nil
  return function()
    while true do
      local row = rows and rows(cursor)
      if not row then
        at = at + 1
        if not sources[at] then return nil end
        rows, cursor = sources[at].rows()
      else
        local source = sources[at]
        local is_control = control and control.source == source and row.variant == control.name
        local name = is_control and row.variant or source.names[row.variant]
        if name and is_common[row.dataset] then
          row.variant = name
          return row
        end
      end
    end
  end
end

local function variant_records(sources)
  local list, config_variants, servers = {}, {}, {}
  for _, source in ipairs(sources) do
    for _, variant in ipairs(source.variants) do
      local record = {}
      for key, value in pairs(variant) do record[key] = value end
      record.name, record.source = source.names[variant.name], source.label
      list[#list + 1] = record
      for _, own in ipairs(source.config and source.config.model.variants or {}) do
        if own.name == variant.name then
          config_variants[#config_variants + 1] = { name = record.name, server = own.server, sim = own.sim }
        end
      end
      servers[record.name] = source.manifest and source.manifest.servers and source.manifest.servers[variant.name] or nil
    end
  end
  return list, config_variants, servers
end

-- The rule is the first run's: what was fixed before it. A margin given by hand is said in the plan as well.
local function config_of(first, config_variants, options)
  local given = first.config or {}
  local verdict = {}
  for key, value in pairs(given.verdict or {}) do verdict[key] = value end
  verdict.margin_pt = options.margin_pt or verdict.margin_pt
  local benchmark = given.benchmark or {}
  return { verdict = verdict, model = { variants = config_variants },
    benchmark = { control = benchmark.control, max_error_rate = benchmark.max_error_rate } }
end

local function control_of(sources, baseline)
  for _, source in ipairs(sources) do
    for own, name in pairs(source.names) do
      if name == baseline and own == source.baseline and source.control then
        return { name = source.control.name, share = source.control.share, expected = source.control.expected, source = source }
      end
    end
  end
end

local function describe(sources, common, baseline, options)
  local variants, config_variants, servers = variant_records(sources)
  local run = { variants = variants, datasets = {}, baseline = baseline, config = config_of(sources[1], config_variants, options),
    manifest = { servers = servers }, control = control_of(sources, baseline), model = { base_name = sources[1].model }, simulated = false }
  local labels = {}
  for i, source in ipairs(sources) do
    labels[i] = source.label
    run.simulated = run.simulated or source.simulated or false
  end
  run.id = table.concat(labels, " + ")
  for i, name in ipairs(common) do
    local record = {}
    for key, value in pairs(sources[1].datasets[name].record) do record[key] = value end
    run.datasets[i] = record
  end
  return run
end

local function sources_of(paths)
  local sources = {}
  for i, path in ipairs(paths) do
    local source, err = open(path)
    if not source then return nil, err end
    sources[i] = source
  end
  return sources
end

--- Compare.
-- @tparam {string,…} paths run folders, or files or folders of exported samples; at least two variants in all
-- @tparam table options `baseline`, `margin_pt`
-- @treturn ?table Summary, with `compared` `{ { path, label, started_at } }`; or nil and err, with `others` for further items
function compare.build(paths, options)
  local sources, err = sources_of(paths)
  if not sources then return nil, err end
  local common, items = check(sources)
  if #items > 0 then return refuse(items) end
  name_variants(sources)
  local baseline
  baseline, err = pick_baseline(sources, options.baseline)
  if not baseline then return nil, err end
  local run = describe(sources, common, baseline, options)
  local doc = summary.build(chained(sources, common, run.control), run)
  local compared = {}
  for i, source in ipairs(sources) do
    compared[i] = { path = source.path, label = source.label, started_at = source.started_at }
    source.close()
  end
  doc.compared = json.array(compared)
  return doc
end

return compare
