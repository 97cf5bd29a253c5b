-- SPDX-License-Identifier: Apache-2.0
--- qlua fetch: brings the upstream files of data sets into the data folder. Progress goes to stderr.

local fetch = require "qlua.fetch"
local say = require "qlua.cli.say"
local scripts = require "qlua.cli.scripts"
local tasks = require "qlua.tasks"

-- Every data set that says where its files are.
local function all_names()
  local registry = require "qlua.registry"
  local names = {}
  for _, entry in ipairs(registry.list "dataset") do
    local script = registry.load("dataset", entry.name)
    local source = script and script.source[script.split or "test"]
    if source and source.url then names[#names + 1] = entry.name end
  end
  return names
end

local TEXT = {
  there = { en = "already there", zh = "已存在" },
  unpinned = { en = "no upstream checksum is known; this is sha256 %s", zh = "上游未公布校验和；本次文件的 sha256 为 %s" },
  checked = { en = "checksum as upstream", zh = "校验和与上游一致" },
  of = { en = "%s of %s", zh = "%s / %s" },
}

local function megabytes(bytes)
  return ("%.1f MB"):format(bytes / 1e6)
end

local function progress_text(bytes, total)
  return total > 0 and say.pick(TEXT.of):format(megabytes(bytes), megabytes(total)) or megabytes(bytes)
end

-- On a terminal one line that changes; elsewhere a line now and then, so that a log stays readable.
local function progress_writer(path)
  local is_tty = require("qlua.core.term").is_tty(2)
  local calls = 0
  local function on_progress(bytes, total)
    calls = calls + 1
    if is_tty then
      io.stderr:write("\r\27[K", path, "  ", progress_text(bytes, total))
    elseif calls % 20 == 0 then
      io.stderr:write(path, "  ", progress_text(bytes, total), "\n")
    end
  end
  local function clear()
    if is_tty then io.stderr:write "\r\27[K" end
  end
  return on_progress, clear
end

local function fetch_item(item, opts)
  local on_progress, clear = progress_writer(item.path)
  local status, detail = fetch.one(item, { force = opts.force, on_progress = on_progress,
    on_start = function() io.stderr:write(item.url, "\n") end })
  clear()
  if not status then return nil, detail end
  local place = item.archive and item.dir .. "/" .. item.archive.folder or item.path
  local how = status == "there" and say.pick(TEXT.there)
    or item.sha256 and say.pick(TEXT.checked) or say.pick(TEXT.unpinned):format(detail)
  say.line(place, ": ", how)
  return true
end

local function fetch_dataset(word, opts)
  local script, err = scripts.load("dataset", word)
  if not script then return nil, err end
  local items
  items, err = fetch.plan(script, tasks.data_dirs(opts.data)[1], { from = opts.from, every_split = opts.every_split })
  if not items then return nil, err end
  for _, item in ipairs(items) do
    local is_done
    is_done, err = fetch_item(item, opts)
    if not is_done then return nil, err end
  end
  return true
end

return {
  name = "fetch",
  summary = { en = "fetch the files of datasets", zh = "下载数据集文件" },
  usage = "qlua fetch DATASET…|all [--data DIR] [--from MIRROR_URL] [--force] [--every-split]",
  positional = { { name = "DATASET", required = true, repeated = true,
    summary = { en = "datasets by name, or all", zh = "数据集名称；all 表示全部" } } },
  options = {
    { long = "data", arg = "DIR", summary = { en = "data folder (default: data)", zh = "数据目录（默认 data）" } },
    { long = "from", arg = "URL", summary = { en = "folder of a mirror that has the files by their upstream names",
      zh = "镜像目录的网址，其中文件名与上游相同" } },
    { long = "force", summary = { en = "fetch also what is there already, and replace it", zh = "已有文件也重新下载并替换" } },
    { long = "every-split", summary = { en = "also the splits that a run does not need", zh = "连同运行时用不到的数据划分一并下载" } },
  },
  details = {
    en = "What is fetched in part is continued by the same command. A file whose checksum is not the pinned one is kept as FILE.bad.",
    zh = "中断后再次执行同一命令即可续传。校验和不符的文件另存为 FILE.bad，不会覆盖原有文件。",
  },
  run = function(opts, given)
    local words = {}
    for _, word in ipairs(given) do
      local names = word == "all" and all_names() or { word }
      table.move(names, 1, #names, #words + 1, words)
    end
    for _, word in ipairs(words) do
      local is_done, err = fetch_dataset(word, opts)
      if not is_done then return nil, err end
    end
    return 0
  end,
}
