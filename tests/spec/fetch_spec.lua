-- SPDX-License-Identifier: Apache-2.0
-- Fetch against a server of our own, which serves files, honours ranges, and can break off, lie or have nothing.
local fetch = require "qlua.fetch"
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local sim = require "qlua.core.sim"

local folder = "build/tmp/fetch_spec"
local has_proc = pcall(require, "qlua.core.proc")

local function remove_all(path)
  local info = file.stat(path)
  if not info then
    return
  elseif info.kind == "dir" then
    for _, name in ipairs(file.list(path)) do
      remove_all(path .. "/" .. name)
    end
  end
  assert(file.remove(path))
end

describe("fetch", function()
  local server, base, files, requests, break_after

  local function answer(request)
    requests[#requests + 1] = request
    local body = files[request.path]
    if not body then
      return { status = 404, body = "no such file" }
    end
    local plan = { status = 200, body = body, headers = { ["Content-Type"] = "application/octet-stream" } }
    local from = tonumber((request.headers.range or request.headers.Range or ""):match "^bytes=(%d+)%-$")
    local tag = '"' .. hash.sha256(body):sub(1, 16) .. '"'
    plan.headers.ETag = tag
    if (request.headers["if-range"] or request.headers["If-Range"] or tag) ~= tag then
      from = nil
    end
    if from and from >= #body then
      return { status = 416, body = "", headers = { ["Content-Range"] = "bytes */" .. #body } }
    elseif from then
      plan.status, plan.body = 206, body:sub(from + 1)
      plan.headers["Content-Range"] = ("bytes %d-%d/%d"):format(from, #body - 1, #body)
    end
    if break_after then
      plan.fault, break_after = { kind = "close", after_bytes = break_after }, nil
    end
    return plan
  end

  local function script(source)
    return { name = "mine", source = source, scorers = { "number" } }
  end

  local function plan(source, from)
    return assert(fetch.plan(script(source), folder, { from = from }))
  end

  before_each(function()
    remove_all(folder)
    files, requests, break_after = {}, {}, nil
    server = assert(sim.serve({ host = "127.0.0.1" }, function(request) return answer(request) end))
    base = "http://127.0.0.1:" .. server:port()
  end)

  after_each(function()
    server:close()
  end)

  it("brings a file, checks it, and does not ask again", function()
    files["/up/rows.jsonl"] = ('{"a":1}\n'):rep(1000)
    local item = plan({ test = { file = "mine/rows.jsonl", url = base .. "/up/rows.jsonl",
      sha256 = hash.sha256(files["/up/rows.jsonl"]) } })[1]
    assert.equal(folder .. "/mine/rows.jsonl", item.path)
    local status, sum = fetch.one(item)
    assert.equal("fetched", status)
    assert.equal(item.sha256, sum)
    assert.equal(files["/up/rows.jsonl"], file.read(item.path))
    assert.is_nil(file.stat(item.path .. ".part"))
    assert.equal("there", fetch.one(item))
    assert.equal(1, #requests)
    assert.equal("fetched", fetch.one(item, { force = true }))
    assert.equal(2, #requests)
  end)

  it("keeps what came before a break and goes on from there", function()
    local body = {}
    for i = 1, 20000 do
      body[i] = tostring(i)
    end
    files["/rows.jsonl"] = table.concat(body, "\n")
    local item = plan({ test = { file = "rows.jsonl", url = base .. "/rows.jsonl", sha256 = hash.sha256(files["/rows.jsonl"]) } })[1]
    break_after = 40000
    local status, err = fetch.one(item)
    assert.is_nil(status)
    assert.truthy(err.text:find(base .. "/rows.jsonl: ", 1, true))
    assert.truthy(err.hint:find("run the same command again", 1, true))
    assert.is_nil(file.stat(item.path))
    local held = file.stat(item.path .. ".part").bytes
    assert.is_true(held > 0 and held < #files["/rows.jsonl"])
    assert.equal("fetched", fetch.one(item))
    assert.equal(files["/rows.jsonl"], file.read(item.path))
    local range = requests[2].headers.range or requests[2].headers.Range
    assert.equal("bytes=" .. held .. "-", range)
  end)

  it("does not join two versions of a file", function()
    files["/rows.jsonl"] = ("old\n"):rep(10000)
    local item = plan({ test = { file = "rows.jsonl", url = base .. "/rows.jsonl" } })[1]
    break_after = 20000
    assert.is_nil((fetch.one(item)))
    files["/rows.jsonl"] = ("new\n"):rep(10000)
    assert.equal("fetched", fetch.one(item))
    assert.equal(files["/rows.jsonl"], file.read(item.path))
    assert.same({ "rows.jsonl" }, file.list(folder))
  end)

  it("finishes a part that is whole already, and begins anew with one that is too long", function()
    files["/rows.jsonl"] = "0123456789"
    local item = plan({ test = { file = "rows.jsonl", url = base .. "/rows.jsonl", sha256 = hash.sha256 "0123456789" } })[1]
    assert(file.make_dir(folder))
    assert(file.write(item.path .. ".part", "0123456789"))
    assert.equal("fetched", fetch.one(item))
    assert.equal(1, #requests)
    assert(file.write(item.path .. ".part", "something else and longer"))
    assert.equal("fetched", fetch.one(item, { force = true }))
    assert.equal("0123456789", file.read(item.path))
  end)

  it("keeps a file with a wrong checksum as .bad and leaves what was there", function()
    files["/rows.jsonl"] = "changed upstream"
    local want = hash.sha256 "as it was"
    local item = plan({ test = { file = "rows.jsonl", url = base .. "/rows.jsonl", sha256 = want } })[1]
    assert(file.make_dir(folder))
    assert(file.write(item.path, "as it was"))
    local status, err = fetch.one(item, { force = true })
    assert.is_nil(status)
    assert.equal("data", err.kind)
    assert.equal(("%s/rows.jsonl: want sha256 %s, got %s; kept as %s.bad"):format(base, want,
      hash.sha256 "changed upstream", item.path), err.text)
    assert.equal("changed upstream", file.read(item.path .. ".bad"))
    assert.equal("as it was", file.read(item.path))
    assert(file.write(item.path, "mine"))
    status, err = fetch.one(item)
    assert.is_nil(status)
    assert.truthy(err.hint:find("--force", 1, true))
  end)

  it("says what the server said, and that a mirror may help", function()
    local item = plan({ test = { file = "rows.jsonl", url = base .. "/none.jsonl" } })[1]
    local status, err = fetch.one(item)
    assert.is_nil(status)
    assert.equal("http", err.kind)
    assert.equal(base .. "/none.jsonl: want the file, got HTTP status 404", err.text)
    assert.truthy(err.hint:find("--from", 1, true))
    assert.is_nil(file.stat(item.path))
    assert.is_nil(file.stat(item.path .. ".part"))
  end)

  it("says that nobody answers", function()
    local item = plan({ test = { file = "rows.jsonl", url = base .. "/rows.jsonl" } })[1]
    local closed = server
    server = assert(sim.serve({ host = "127.0.0.1" }, answer))
    closed:close()
    local status, err = fetch.one(item)
    assert.is_nil(status)
    assert.equal("connect", err.kind)
    assert.equal("--from MIRROR_URL fetches from elsewhere", err.hint)
  end)

  it("takes the file's name from the url and its folder from a mirror", function()
    files["/mirror/rows.jsonl"] = "x\n"
    local source = { test = { file = "a/b.jsonl", url = "https://upstream.invalid/deep/rows.jsonl" } }
    local item = plan(source, base .. "/mirror/")[1]
    assert.equal(base .. "/mirror/rows.jsonl", item.url)
    assert.equal("fetched", fetch.one(item))
    assert.equal("x\n", file.read(folder .. "/a/b.jsonl"))
  end)

  it("plans the evaluated split and that of the examples, each url once", function()
    local source = { test = { files = "m/test/*_test.csv", url = "http://x/d.tar", archive = { folder = "m", strip = 1 } },
      dev = { files = "m/dev/*_dev.csv", url = "http://x/d.tar", archive = { folder = "m", strip = 1 } },
      extra = { file = "e.jsonl", url = "http://x/e.jsonl" } }
    local one = script(source)
    one.shots = { split = "dev", n = 5 }
    local items = assert(fetch.plan(one, folder))
    assert.equal(1, #items)
    assert.equal(2, #items[1].sources)
    assert.equal(2, #assert(fetch.plan(one, folder, { every_split = true })))
    local _, err = fetch.plan(script { test = { file = "x.jsonl" } }, folder)
    assert.equal("dataset 'mine': field 'source.test.url' is missing, so there is nothing to fetch", err.text)
  end)

  local function tar_of(names)
    local made = folder .. "/make"
    for name, text in pairs(names) do
      assert(file.make_dir((made .. "/data/" .. name):match "^(.*)/"))
      assert(file.write(made .. "/data/" .. name, text))
    end
    assert(os.execute(("tar -cf %s/d.tar -C %s data"):format(folder, made)))
    return file.read(folder .. "/d.tar")
  end

  local function archive_plan()
    return plan { test = { files = "m/test/*_test.csv", url = base .. "/d.tar", archive = { folder = "m", strip = 1 },
      columns = { "a", "b" } } }
  end

  it("unpacks an archive into its place", function()
    if not has_proc then
      return pending "qlua.core.proc is not in this build"
    end
    files["/d.tar"] = tar_of { ["test/x_test.csv"] = "1,2\n", ["test/y_test.csv"] = "3,4\n", ["README.txt"] = "r" }
    local item = archive_plan()[1]
    assert.equal("fetched", fetch.one(item))
    assert.equal("1,2\n", file.read(folder .. "/m/test/x_test.csv"))
    assert.same({ "README.txt", "test" }, file.list(folder .. "/m"))
    assert.equal("there", fetch.one(item))
    assert.equal(1, #requests)
  end)

  it("replaces a link, and leaves alone what it leads to", function()
    if not has_proc then
      return pending "qlua.core.proc is not in this build"
    end
    files["/d.tar"] = tar_of { ["test/x_test.csv"] = "1,2\n" }
    assert(file.make_dir(folder .. "/elsewhere"))
    assert(file.make_dir(folder .. "/m"))
    assert(file.write(folder .. "/elsewhere/mine.csv", "mine"))
    assert(os.execute(("ln -s ../elsewhere %s/m/test"):format(folder)))
    assert.equal("fetched", fetch.one(archive_plan()[1], { force = true }))
    assert.equal("mine", file.read(folder .. "/elsewhere/mine.csv"))
    assert.same({ "x_test.csv" }, file.list(folder .. "/m/test"))
  end)

  it("says so when an archive is broken or has not the files", function()
    if not has_proc then
      return pending "qlua.core.proc is not in this build"
    end
    files["/d.tar"] = "this is no archive"
    local status, err = fetch.one(archive_plan()[1])
    assert.is_nil(status)
    assert.equal("data", err.kind)
    assert.truthy(err.text:find("tar could not unpack it", 1, true))
    remove_all(folder)
    assert(file.make_dir(folder))
    files["/d.tar"] = tar_of { ["other.txt"] = "r" }
    status, err = fetch.one(archive_plan()[1])
    assert.is_nil(status)
    assert.truthy(err.text:find("the archive has not all of the files that dataset 'mine' names", 1, true))
  end)

  it("is a command, with progress on stderr and results on stdout", function()
    local command = require "qlua.cli.fetch"
    assert.equal("fetch", command.name)
    local said = {}
    local say = require "qlua.cli.say"
    local line = say.line
    say.line = function(...) said[#said + 1] = table.concat { ... } end
    files["/m/test.jsonl"], files["/m/train.jsonl"] = "not upstream", "not upstream"
    local code, err = command.run({ data = folder, from = base .. "/m" }, { "gsm8k" })
    say.line = line
    assert.is_nil(code)
    assert.truthy(err.text:find("want sha256 3730d312", 1, true) or err.text:find("want sha256 17f347dc", 1, true))
    assert.same({}, said)
    local _, unknown = command.run({ data = folder }, { "gsm8" })
    assert.truthy(unknown.text:find("gsm8", 1, true))
  end)
end)
