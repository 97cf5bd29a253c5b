-- SPDX-License-Identifier: Apache-2.0
--- The store's binding: values, batches, iterators, and errors that come back or are raised.
local store = require "qlua.core.store"

local folder = os.tmpname()
os.remove(folder)
local schema = "CREATE TABLE item (id INTEGER PRIMARY KEY, value); CREATE UNIQUE INDEX by_value ON item(value);"
local insert = "INSERT INTO item(value) VALUES (?)"

describe("store", function()
  local path, db

  setup(function() assert(os.execute("mkdir '" .. folder .. "'")) end)
  teardown(function() os.execute("rm -r '" .. folder .. "'") end)

  before_each(function()
    path = folder .. "/run.db"
    db = assert(store.open(path, { schema = schema, version = 1 }))
  end)
  after_each(function()
    db:close()
    os.remove(path)
  end)

  it("gives values back as they were put", function()
    local binary = "\255\0\1"
    for id, value in ipairs { 42, 0.5, "text\0more", store.blob(binary), true, math.mininteger } do
      local ok, rowid = db:put(insert, value)
      assert.is_true(ok)
      assert.equal(id, rowid)
    end
    assert(db:put(insert, nil))
    assert.equal(1, db:changes())
    local rows = assert(db:rows("SELECT value, typeof(value) AS kind FROM item ORDER BY id"))
    assert.same({
      { value = 42, kind = "integer" }, { value = 0.5, kind = "real" }, { value = "text\0more", kind = "text" },
      { value = binary, kind = "blob" }, { value = 1, kind = "integer" },
      { value = math.mininteger, kind = "integer" }, { kind = "null" },
    }, rows)
    assert.equal("integer", math.type(rows[1].value))
  end)

  it("iterates, also when left early, collected late or closed under way", function()
    for value = 1, 10 do assert(db:put(insert, value)) end
    local seen = {}
    for row in db:each("SELECT value FROM item WHERE value > ? ORDER BY value", 7) do seen[#seen + 1] = row.value end
    assert.same({ 8, 9, 10 }, seen)
    for _ = 1, 200 do
      for row in db:each("SELECT value FROM item ORDER BY id") do
        assert.equal(1, row.value)
        if row.value < 2 then break end
      end
    end
    local next_row, state = db:each("SELECT value FROM item")
    assert.equal(1, next_row(state).value)
    assert(db:close())
    assert.has_error(function() next_row(state) end, "the store was closed while its rows were read")
    collectgarbage()
  end)

  it("keeps what was put when it is closed, and lets a reader look on", function()
    assert(db:put(insert, "kept"))
    local reader = assert(store.open(path, { version = 1, read_only = true }))
    assert.same({}, reader:rows("SELECT value FROM item"))
    assert(db:commit())
    assert.same({ { value = "kept" } }, reader:rows("SELECT value FROM item"))
    local ok, err = reader:put(insert, 1)
    assert.is_nil(ok)
    assert.equal("store", err.kind)
    reader:close()
    assert(db:put(insert, "kept too"))
    assert(db:close())
    db = assert(store.open(path, { schema = schema, version = 1 }))
    assert.equal(2, #db:rows("SELECT value FROM item"))
  end)

  it("returns what the world does wrong", function()
    assert(db:put(insert, 1))
    local ok, err = db:put(insert, 1)
    assert.is_nil(ok)
    assert.equal("store", err.kind)
    assert.truthy(err.text:find("UNIQUE", 1, true))
    local second
    second, err = store.open(path, { schema = schema, version = 1 })
    assert.is_nil(second)
    assert.truthy(err.text:find("another qlua %(pid %d+%) is writing it"))
    second, err = store.open(folder .. "/no/such/run.db", { schema = schema, version = 1 })
    assert.is_nil(second)
    assert.equal("store", err.kind)
    local full = assert(store.open(folder .. "/full.db", { schema = schema, version = 1, max_pages = 12 }))
    repeat ok, err = full:put(insert, store.blob(math.random() .. ("x"):rep(2000))) until not ok
    assert.truthy(err.text:find("the disk is full", 1, true))
    full:close()
  end)

  it("raises what the caller does wrong", function()
    assert.has_error(function() db:put("INSERT INTO nowhere VALUES (1)") end)
    assert.has_error(function() db:put(insert) end)
    assert.has_error(function() db:put(insert, {}) end)
    assert.has_error(function() db:rows("SELEC") end)
    assert.has_error(function() store.open(path, { schema = schema, version = "new" }) end)
    db:close()
    assert.has_error(function() db:rows("SELECT 1") end)
    assert.is_true(db:close())
  end)
end)
