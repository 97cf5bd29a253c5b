-- SPDX-License-Identifier: Apache-2.0
--- What `qlua load` has in common with other load clients: their result file, written and read, and their definitions.

local clean = require "qlua.page.clean"
local compat = require "qlua.load.compat"
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local locale = require "qlua.locale"
local load_store = require "qlua.load.store"
local run_store = require "qlua.run_store"
local say = require "qlua.cli.say"
local sys = require "qlua.core.sys"
local tables = require "qlua.table"
local term = require "qlua.core.term"
local vllm_json = require "qlua.load.vllm_json"

local exchange = {}

exchange.options = {
  { long = "compat", arg = "TOOL", allowed = compat.ORDER,
    summary = { en = "also print the figures by that tool's definitions", zh = "同时按该工具的定义打印结果" } },
  { long = "save-vllm", arg = "FILE",
    summary = { en = "write vLLM's benchmark JSON; of several measurements each gets its name before the ending",
      zh = "写出 vLLM 基准测试 JSON；有多项测量时各自在扩展名前加名称" } },
  { long = "save-detailed", summary = { en = "with lists per request, and the replies' texts, in that file", zh = "文件中包含逐请求列表与回复文本" } },
  { long = "from", arg = "FILE",
    summary = { en = "send nothing: print what such a file says", zh = "不发送请求，仅打印此类文件的内容" } },
}

-- ---- a table on the terminal ----------------------------------------------------------------------------------------

local function number(value, digits) return value and ("%." .. digits .. "f"):format(value) or "–" end

local function print_view(view, title)
  say.line(title)
  local totals = {}
  for _, pair in ipairs { { "completed", view.completed, 0 }, { "failed", view.failed, 0 }, { "s", view.seconds, 3 },
    { "req/s", view.requests_per_second, 3 }, { "tok/s", view.output_tokens_per_second, 2 } } do
    if pair[2] then totals[#totals + 1] = ("%s %s"):format(number(pair[2], pair[3]), pair[1]) end
  end
  say.line("  ", table.concat(totals, ", "))
  local columns = { { title = "", flex = true }, { title = "mean", align = "right" }, { title = "median", align = "right" } }
  local most = view.lines[1] or { percentiles = {} }
  for _, percentile in ipairs(most.percentiles) do columns[#columns + 1] = { title = percentile.name, align = "right" } end
  local rows = {}
  for i, line in ipairs(view.lines) do
    rows[i] = { ("%s (%s)"):format(line.title, line.unit), number(line.mean, 2), number(line.median, 2) }
    for j in ipairs(most.percentiles) do rows[i][j + 3] = number((line.percentiles or {})[j] and line.percentiles[j].value, 2) end
  end
  local drawn = tables.terminal(columns, rows, { width = term.width(1) or 100, ascii = not locale.is_utf8(sys.env), uncut = true })
    or tables.terminal(columns, rows, { width = 1000 })
  say.line((drawn:gsub("[^\n]+", "  %0"):gsub("\n$", "")))
  say.line("  ", say.pick(view.why))
end

-- ---- writing --------------------------------------------------------------------------------------------------------

local function rows_of(store, phase)
  local list = {}
  for one in load_store.rows(store, phase) do list[#list + 1] = one end
  return list
end

local function model_of(store, name)
  for _, variant in ipairs(store:variants()) do
    if variant.name == name then return variant.model end
  end
end

local function about_of(store, phase)
  local about, stage = store:meta "load", phase.record.stages[1]
  local date = (store:meta "started_at" or ""):gsub("[-:]", ""):gsub("T", "-"):gsub("Z$", "")
  return { date = date, endpoint_type = "openai", label = phase.variant, model_id = model_of(store, phase.variant),
    request_rate = stage.rate, burstiness = stage.burstiness or 1.0,
    max_concurrency = stage.concurrency, num_prompts = phase.record.client.sent,
    slo = about and about.slo and require("qlua.load.slo").parse(about.slo) or nil,
    origin = { point = phase.point, replicate = phase.replicate, variant = phase.variant } }
end

-- FILE for one measurement; for several its name goes before the ending.
local function path_of(path, phase, count)
  if count == 1 then return path end
  local name = ("%s-%s-%d"):format(phase.variant, phase.point, phase.replicate):gsub("[^%w._=-]+", "_")
  local stem, ending = path:match "^(.*[^/])(%.[^./]*)$"
  return (stem or path) .. "." .. name .. (ending or "")
end

local function save(store, phases, opts)
  for _, phase in ipairs(phases) do
    local path = path_of(opts.save_vllm, phase, #phases)
    local doc = vllm_json.write(rows_of(store, phase), about_of(store, phase), opts.save_detailed)
    local ok, err = file.write(path, json.encode(doc) .. "\n")
    if not ok then return nil, err end
    say.line("vLLM JSON ", path)
  end
  return true
end

--- After a load: what the options ask for.
-- @tparam string dir the run's folder
-- @tparam table opts compat, save_vllm, save_detailed
-- @treturn ?boolean true; or nil and err
function exchange.after(dir, opts)
  if not opts.compat and not opts.save_vllm then return true end
  local store, err = run_store.open(dir, { read_only = true })
  if not store then return nil, err end
  local phases = load_store.phases(store)
  local ok = true
  if opts.save_vllm then ok, err = save(store, phases, opts) end
  for _, phase in ipairs(opts.compat and phases or {}) do
    local view = compat.view(opts.compat, rows_of(store, phase))
    print_view(view, ("%s: %s %s (%d)"):format(opts.compat, clean.line(phase.variant), clean.line(phase.point), phase.replicate))
  end
  store:close()
  return ok, err
end

--- Print what a file of another client says; with `compat` and a detailed file also by other definitions.
-- @treturn ?integer 0; or nil and err
function exchange.from(opts)
  local text, err = file.read_all(opts.from)
  if not text then return nil, err end
  local found
  found, err = vllm_json.read(opts.from, text)
  if not found then return nil, err end
  print_view(found.view, ("%s: %s"):format(found.view.tool, opts.from))
  if not opts.compat then return 0 end
  if not found.rows then
    return nil, { kind = "data", text = ("%s: holds no list per request, so it cannot be read by other definitions"):format(opts.from),
      hint = "want a file of --save-detailed" }
  end
  print_view(compat.view(opts.compat, found.rows), ("%s: %s"):format(opts.compat, opts.from))
  return 0
end

return exchange
