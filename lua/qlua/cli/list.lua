-- SPDX-License-Identifier: Apache-2.0
--- qlua list: which scripts there are, of every kind or one, and where each comes from.
-- A script that does not load is listed with its error: it is there, and its user wants to know.

local nearest = require "qlua.nearest"
local say = require "qlua.cli.say"

-- What users type → kind of the registry; in the order of the overview.
local KINDS = {
  { word = "datasets", kind = "dataset", title = { en = "Datasets", zh = "数据集" } },
  { word = "scorers", kind = "scorer", title = { en = "Scorers", zh = "评分器" } },
  { word = "servers", kind = "server", title = { en = "Servers", zh = "服务器" } },
  { word = "layouts", kind = "report", title = { en = "Layouts", zh = "报告版式" } },
  { word = "suites", kind = "suite", title = { en = "Suites", zh = "套件" } },
}

local function find_kind(word)
  local words = {}
  for i, entry in ipairs(KINDS) do
    if entry.word == word or entry.kind == word or entry.word == word .. "s" then return entry end
    words[i] = entry.word
  end
  return nil, { kind = "usage", text = ("qlua list: unknown kind '%s'"):format(word), hint = nearest.hint(word, words) }
end

local function has_tag(script, wanted)
  for _, tag in ipairs(script.tags or {}) do
    if tag == wanted then return true end
  end
  return false
end

-- Everything of one kind: { name, summary, tags, origin, path, error }.
local function entries_of(kind, wanted_tag)
  local registry = require "qlua.registry"
  local out = {}
  for _, found in ipairs(registry.list(kind)) do
    local entry = { name = found.name, path = found.path, origin = found.origin }
    local script, err = registry.load(kind, found.name)
    if script then
      entry.summary, entry.tags = script.summary, script.tags
      entry.modes, entry.scorers = script.modes, script.scorers
    else
      entry.error = err.text
    end
    if not wanted_tag or (script and has_tag(script, wanted_tag)) then out[#out + 1] = entry end
  end
  return out
end

local ORIGIN_ZH = { embedded = "内置", installed = "已安装", ["source tree"] = "源码目录", ["suite folder"] = "套件目录" }

local function origin_text(entry)
  if say.language() == "zh" then return ("（%s）"):format(ORIGIN_ZH[entry.origin] or entry.origin) end
  return ("(%s)"):format(entry.origin)
end

local function print_kind(title, entries)
  say.line(say.pick(title))
  local rows = {}
  for _, entry in ipairs(entries) do
    local text = entry.error and "! " .. entry.error or say.pick(entry.summary)
    if entry.tags and #entry.tags > 0 then text = ("%s [%s]"):format(text, table.concat(entry.tags, ", ")) end
    rows[#rows + 1] = { entry.name, origin_text(entry), text }
  end
  if #rows == 0 then say.line("  ", say.language() == "zh" and "（无）" or "(none)") end
  say.columns(rows, "  ")
end

return {
  name = "list",
  summary = { en = "list datasets, scorers, servers, layouts and suites", zh = "列出数据集、评分器、服务器、版式与套件" },
  usage = "qlua list [datasets|scorers|servers|layouts|suites] [--tag TAG] [--json]",
  positional = { { name = "KIND", summary = { en = "only this kind of script", zh = "只列出该类脚本" } } },
  options = {
    { long = "tag", arg = "TAG", summary = { en = "only scripts with this tag", zh = "只列出带该标签的脚本" } },
    { long = "json", summary = { en = "as JSON", zh = "以 JSON 输出" } },
  },
  run = function(opts, given)
    local shown = KINDS
    if given[1] then
      local entry, err = find_kind(given[1])
      if not entry then return nil, err end
      shown = { entry }
    end
    local all = {}
    for i, entry in ipairs(shown) do
      local entries = entries_of(entry.kind, opts.tag)
      if opts.json then
        all[entry.word] = require("qlua.core.json").array(entries)
      else
        if i > 1 then say.line() end
        print_kind(entry.title, entries)
      end
    end
    if opts.json then say.json(all) end
    return 0
  end,
}
