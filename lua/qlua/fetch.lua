-- SPDX-License-Identifier: Apache-2.0
--- Fetch: brings a data set's upstream files into a data folder.
--
-- A file is written to NAME.part, which a later call continues, checked against the sha256 that its script pins, and
-- renamed only then: a path that exists is whole. What fails the check is kept as NAME.bad for people to look
-- at. Archives are unpacked by the system's tar into a folder beside their place and moved there at the end.

local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local http = require "qlua.core.http"
local rows = require "qlua.rows"
local task = require "qlua.core.task"

local fetch = {}

local CONNECT_MS, IDLE_MS = 20000, 60000
local PROGRESS_MS = 500

local function failure(kind, text, hint)
  return nil, { kind = kind, text = text, hint = hint }
end

-- The mirror has the same file names in one folder, or in any folders when it ends as the url does.
local function mirrored(url, from)
  return from and from:gsub("/+$", "") .. "/" .. url:match "([^/]+)$" or url
end

local function needed_splits(script, is_every)
  local wanted, names = { [script.split or "test"] = true }, {}
  local shots = script.shots
  if shots and (shots.n or 0) > 0 then
    wanted[shots.split] = true
  end
  for name in pairs(script.source) do
    if wanted[name] or is_every then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

--- What has to be fetched for a data set: its evaluated split and the one that its examples come from.
-- @tparam table script a checked data set script
-- @tparam string dir the data folder
-- @tparam ?table options `from` mirror, `every_split`
-- @treturn[1] {table,...} items `{ url, path, sha256, sources, archive }`, one for each url
-- @treturn[2] nil
-- @treturn[2] table err when the script says no url
function fetch.plan(script, dir, options)
  options = options or {}
  local items, by_url = {}, {}
  for _, split in ipairs(needed_splits(script, options.every_split)) do
    local source = script.source[split]
    if not source.url then
      return failure("data", ("dataset '%s': field 'source.%s.url' is missing, so there is nothing to fetch"):format(
        script.name, split), "put the files into the data folder by hand")
    end
    local item = by_url[source.url]
    if not item then
      local place = source.archive and source.archive.folder .. "/" .. source.url:match "([^/]+)$" or source.file
      item = { dataset = script.name, url = mirrored(source.url, options.from), path = dir .. "/" .. place,
        sha256 = source.archive and source.archive.sha256 or source.sha256, archive = source.archive, dir = dir, sources = {} }
      by_url[source.url] = item
      items[#items + 1] = item
    end
    table.insert(item.sources, source)
  end
  return items
end

local function size_of(path)
  local info = file.stat(path)
  return info and info.kind == "file" and info.bytes or nil
end

local function is_complete(item)
  for _, source in ipairs(item.sources) do
    if not rows.find(source, { item.dir }) then
      return false
    end
  end
  return true
end

-- What is there already: true when it is what is wanted, nil when nothing is, or an error.
local function check_present(item)
  if item.archive then
    return is_complete(item) or nil
  end
  if not size_of(item.path) then
    return nil
  end
  local got = hash.sha256_file(item.path)
  if item.sha256 and got ~= item.sha256 then
    return failure("data", ("%s: want sha256 %s, got %s"):format(item.path, item.sha256, got),
      "it is not the upstream file; --force fetches that and replaces it")
  end
  return true
end

-- ---- download -----------------------------------------------------------------------------------------------

local function watch_progress(client, on_progress)
  local is_over = false
  task.spawn(function()
    while not is_over do
      task.sleep(PROGRESS_MS)
      if not is_over then
        local stats = client:stats()
        on_progress(stats.file_bytes, stats.file_total_bytes)
      end
    end
  end)
  return function() is_over = true end
end

-- The version that a part is of, when the server named it: its rest is asked for only if it is still that one,
-- or two versions would be joined where no checksum is pinned.
local function etag_of(part)
  local tag = file.read(part .. ".etag")
  return tag and tag:find '^"[^"\r\n]*"$' and tag or nil
end

local function keep_etag(part, reply)
  local tag = reply.headers.etag
  if tag and tag:find '^"' then
    file.write(part .. ".etag", tag)
  end
end

local function ask(item, part, from_byte, on_progress)
  local client = http.open { max_in_flight = 1 }
  local stop = on_progress and watch_progress(client, on_progress) or function() end
  local tag = from_byte > 0 and etag_of(part)
  local reply = client:send { url = item.url, sink_path = part, resume_from = from_byte, max_redirects = 8,
    connect_ms = CONNECT_MS, first_byte_ms = IDLE_MS, idle_ms = IDLE_MS, headers = tag and { ["If-Range"] = tag } or nil }
  stop()
  client:close()
  file.remove(part .. ".etag")
  if reply.error then
    keep_etag(part, reply)
  end
  return reply
end

local ELSEWHERE = "--from MIRROR_URL fetches from elsewhere"
local GO_ON = "run the same command again to go on from there; " .. ELSEWHERE

local function download(item, part, on_progress)
  local held = size_of(part) or 0
  local reply = ask(item, part, held, on_progress)
  -- 416: there is nothing after what is held. Without a checksum that cannot be told from a wrong piece.
  if reply.status == 416 and held > 0 then
    if item.sha256 and hash.sha256_file(part) == item.sha256 then
      return true
    end
    file.remove(part)
    reply = ask(item, part, 0, on_progress)
  end
  if reply.error then
    local now = size_of(part) or 0
    return failure(reply.error.kind, now > 0 and ("%s; %d bytes are in %s"):format(reply.error.text, now, part)
      or reply.error.text, now > 0 and GO_ON or ELSEWHERE)
  elseif reply.status < 200 or reply.status > 299 then
    return failure("http", ("%s: want the file, got HTTP status %d"):format(item.url, reply.status), ELSEWHERE)
  end
  return true
end

local function check_sum(item, part)
  local got, err = hash.sha256_file(part)
  if not got then
    return nil, err
  elseif item.sha256 and got ~= item.sha256 then
    local bad = item.path .. ".bad"
    file.rename(part, bad)
    return failure("data", ("%s: want sha256 %s, got %s; kept as %s"):format(item.url, item.sha256, got, bad),
      "the mirror may hold another version; what was there before is untouched")
  end
  return got
end

-- ---- archives -----------------------------------------------------------------------------------------------

-- A link is removed as a link before anything is looked up through it: what it leads to is not ours.
local function remove_tree(path)
  if file.remove(path) then
    return
  end
  for _, name in ipairs(file.list(path) or {}) do
    remove_tree(path .. "/" .. name)
  end
  file.remove(path)
end

-- Moves what the archive held into its place; what is there is replaced.
local function move_all(from, to)
  for _, name in ipairs(file.list(from) or {}) do
    local target = to .. "/" .. name
    remove_tree(target)
    local is_moved, err = file.rename(from .. "/" .. name, target)
    if not is_moved then
      return nil, err
    end
  end
  return true
end

local function unpack_archive(item, part)
  local proc = require "qlua.core.proc"
  local folder = item.dir .. "/" .. item.archive.folder
  local aside = folder .. "/.unpack"
  remove_tree(aside)
  local is_made, err = file.make_dir(aside)
  if not is_made then
    return nil, err
  end
  local result
  result, err = proc.run { argv = { "tar", "-x", "-f", part, "-C", aside, "--no-same-owner",
    "--strip-components=" .. (item.archive.strip or 0) } }
  if not result then
    return nil, err
  elseif result.code ~= 0 then
    remove_tree(aside)
    return failure("data", ("%s: tar could not unpack it: %s"):format(part, (result.stderr or ""):match "^[^\n]*"),
      "remove it and fetch again")
  end
  local is_moved
  is_moved, err = move_all(aside, folder)
  remove_tree(aside)
  if not is_moved then
    return nil, err
  end
  file.remove(part)
  if not is_complete(item) then
    return failure("data", ("%s: the archive has not all of the files that dataset '%s' names"):format(item.url, item.dataset))
  end
  return true
end

--- Fetch one item of a plan.
-- @tparam table item
-- @tparam ?table options `force` fetches what is there already; `on_start()`, before the first request;
--   `on_progress(bytes, total_bytes or 0)`, about twice a second
-- @treturn[1] string "there" or "fetched"
-- @treturn[1] ?string sha256 of the fetched bytes
-- @treturn[2] nil
-- @treturn[2] table err of kind data, http, connect, timeout or io
function fetch.one(item, options)
  options = options or {}
  if not options.force then
    local is_there, err = check_present(item)
    if is_there then
      return "there"
    elseif err then
      return nil, err
    end
  end
  local part = item.path .. ".part"
  local is_done, err = file.make_dir(part:match "^(.*)/")
  if not is_done then
    return nil, err
  end
  if options.on_start then
    options.on_start()
  end
  is_done, err = download(item, part, options.on_progress)
  if not is_done then
    return nil, err
  end
  local sum
  sum, err = check_sum(item, part)
  if not sum then
    return nil, err
  end
  if item.archive then
    is_done, err = unpack_archive(item, part)
  else
    is_done, err = file.rename(part, item.path)
  end
  if not is_done then
    return nil, err
  end
  return "fetched", sum
end

return fetch
