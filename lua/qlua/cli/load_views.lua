-- SPDX-License-Identifier: Apache-2.0
--- Views of measurements under load for `qlua load`: by another tool's definitions (`--compat`), of a run or of another tool's
-- file (`--from`).

local compat = require "qlua.load.compat"
local file = require "qlua.core.file"
local say = require "qlua.cli.say"

local views = {}

local function fail(text, hint) return nil, { kind = "usage", text = "qlua load: " .. text, hint = hint } end

local function number(value) return value and ("%.3f"):format(value) or "–" end

local function rate(value) return value and ("%.2f"):format(value) or "–" end

local WORDS = {
  title = { en = "%s, by the definitions of %s", zh = "%s，按 %s 的定义" },
  totals = { en = "%d requests, %s failed, %s s: %s requests/s, %s output tokens/s, %s tokens/s in all",
    zh = "%d 个请求，失败 %s，%s 秒：%s 请求/秒，%s 输出词元/秒，共 %s 词元/秒" },
  uncounted = { en = "%d requests have no number of tokens by this tool's rule, and add nothing to its throughput.",
    zh = "%d 个请求按该工具的规则没有词元数，不计入其词元吞吐。" },
  mean = { en = "mean", zh = "均值" }, median = { en = "median", zh = "中位数" }, std = { en = "std", zh = "标准差" },
  median_of = { en = "median of %s", zh = "%s 中位数" },
}

-- One line for each figure, percentiles as far as the tool has them.
local function lines_of(view)
  local names, seen = {}, {}
  for _, line in ipairs(view.lines) do
    for _, p in ipairs(line.percentiles or {}) do
      if not seen[p.name] then names[#names + 1], seen[p.name] = p.name, true end
    end
  end
  local rows = { { "", "n", say.pick(WORDS.mean), say.pick(WORDS.median), say.pick(WORDS.std), table.unpack(names) } }
  for _, line in ipairs(view.lines) do
    local row, by_name = { ("%s (%s)"):format(line.title, line.unit), line.n and ("%d"):format(line.n) or "–", number(line.mean),
      number(line.median), number(line.std) }, {}
    for _, p in ipairs(line.percentiles or {}) do by_name[p.name] = p.value end
    for i, name in ipairs(names) do row[5 + i] = number(by_name[name]) end
    rows[#rows + 1] = row
  end
  return rows
end

--- Print a view (`qlua.load.compat`).
-- @tparam table view
-- @tparam string what which measurement it is of
function views.print(view, what)
  say.line(say.pick(WORDS.title):format(what, view.tool))
  say.line(say.pick(WORDS.totals):format(view.completed, view.failed and ("%d"):format(view.failed) or "–", rate(view.seconds),
    rate(view.requests_per_second), rate(view.output_tokens_per_second), rate(view.total_tokens_per_second)))
  say.columns(lines_of(view), "  ")
  if view.uncounted then say.paragraph(say.pick(WORDS.uncounted):format(view.uncounted)) end
  say.paragraph(say.pick(view.why))
  say.line ""
end

-- The run's own figure beside it, so that the difference can be seen at once.
local function print_own(rows)
  local aggregate = require "qlua.load.aggregate"
  local own, parts = aggregate.rows(rows), {}
  for _, name in ipairs { "ttft", "tpot", "itl", "e2e" } do
    local d = own[name .. "_seconds"]
    if d and d.p50 then parts[#parts + 1] = ("%s %s ms"):format(say.pick(WORDS.median_of):format(name:upper()), number(d.p50 * 1000)) end
  end
  if #parts > 0 then say.line("qlua: ", table.concat(parts, ", ")) end
end

--- Print every measurement of a run by a tool's definitions.
-- @tparam string dir the run's folder
-- @tparam string tool
-- @treturn ?integer 0; or nil and err
function views.run(dir, tool)
  local load_store, run_store = require "qlua.load.store", require "qlua.run_store"
  local store, err = run_store.open(dir, { read_only = true })
  if not store then return nil, err end
  local phases = load_store.phases(store)
  for _, phase in ipairs(phases) do
    local rows = {}
    for one in load_store.rows(store, phase) do rows[#rows + 1] = one end
    local view
    view, err = compat.view(tool, rows)
    if not view then break end
    views.print(view, ("%s, %s, #%d"):format(phase.variant, phase.point, phase.replicate))
    print_own(rows)
    say.line ""
  end
  store:close()
  if err then return nil, err end
  if #phases == 0 then return fail(("%s: nothing was measured under load in this run"):format(dir)) end
  return 0
end

-- A file of the exchange format: its own figures, and, where it has a list per request, those by another tool's definitions.
local function read_file(path, tool)
  local text, err = file.read_all(path)
  if not text then return nil, err end
  local read
  read, err = require("qlua.load.vllm_json").read(path, text)
  if not read then return nil, err end
  views.print(read.view, path)
  if not tool then return 0 end
  if not read.rows then
    return fail(("--compat %s: %s has no list per request"):format(tool, path), "write it with --save-detailed")
  end
  local view
  view, err = compat.view(tool, read.rows)
  if not view then return nil, err end
  views.print(view, path)
  return 0
end

--- `qlua load --from PATH [--compat TOOL]`: nothing is sent.
-- @tparam string path a run's folder, or a file of the exchange format
-- @tparam ?string tool
-- @treturn ?integer 0; or nil and err
function views.from(path, tool)
  local info = file.stat(path)
  if not info then return fail(("--from %s: no such file or folder"):format(path)) end
  if info.kind ~= "dir" then return read_file(path, tool) end
  local dir = path:gsub("/+$", "")
  if not file.stat(dir .. "/run.db") then return fail(("--from %s: no run.db there"):format(path),
    "want the folder of a run, or a JSON file") end
  if not tool then
    return fail("--from a run wants --compat TOOL", "its own figures: qlua report " .. dir)
  end
  return views.run(dir, tool)
end

return views
