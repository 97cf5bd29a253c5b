-- SPDX-License-Identifier: Apache-2.0
-- The bindings of file and hash; what the C module itself does is in tests/unit/file_test.c.
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"

local folder = "build/tmp/file_spec"

describe("file", function()
  before_each(function()
    assert(file.make_dir(folder))
  end)

  it("writes, appends, reads, stats, lists, renames and removes", function()
    local path = folder .. "/any.bin"
    local text = "a\0b\n\xff"
    assert.is_true(file.write(path, text))
    assert.equal(text, file.read(path))
    assert.equal(text, file.read_all(path))
    assert.is_true(file.append(path, "!"))
    local info = file.stat(path)
    assert.equal("file", info.kind)
    assert.equal(#text + 1, info.bytes)
    assert.equal("integer", math.type(info.changed_ns))
    assert.equal("dir", file.stat(folder).kind)
    assert.is_true(file.rename(path, folder .. "/other.bin"))
    assert.same({ "other.bin" }, file.list(folder))
    assert.is_true(file.remove(folder .. "/other.bin"))
    assert.same({}, file.list(folder))
    assert.equal("/", file.real(folder):sub(1, 1))
    assert.equal(folder, file.real(folder):sub(-#folder))
  end)

  it("returns nil and an error that names the path", function()
    for _, name in ipairs { "read", "read_all", "list", "stat", "remove", "real", "lines" } do
      local value, err = file[name](folder .. "/nothing")
      assert.is_nil(value)
      assert.equal("io", err.kind)
      assert.equal(folder .. "/nothing: no such file or directory", err.text, name)
    end
    local value, err = file.rename(folder .. "/nothing", folder .. "/x")
    assert.is_nil(value)
    assert.equal(folder .. "/nothing: no such file or directory", err.text)
    value, err = file.write(folder .. "/no/folder", "x")
    assert.is_nil(value)
    assert.equal(folder .. "/no/folder: no such file or directory", err.text)
  end)

  it("raises at the caller for misuse", function()
    assert.has_error(function() file.read() end)
    assert.has_error(function() file.write("x") end)
    assert.has_error(function() file.lines({}) end)
    assert.has_error(function() hash.sha256() end)
  end)

  it("hands out lines, and afterwards what they were", function()
    local path = folder .. "/lines.txt"
    assert(file.write(path, "a\nb\n"))
    local lines = assert(file.lines(path))
    assert.equal("a", lines())
    assert.has_error(function() return lines:sha256() end) -- not all is read yet
    assert.equal("b", lines())
    assert.is_nil(lines())
    assert.is_nil(lines())
    assert.equal(hash.sha256 "a\nb\n", lines:sha256())
    assert.equal(4, lines:bytes())
    lines:close()
    local got = {}
    for line in file.lines(path) do
      got[#got + 1] = line
    end
    assert.same({ "a", "b" }, got)
    do
      local closing <close> = file.lines(path)
      assert.equal("a", closing())
    end
    file.remove(path)
  end)

  it("does not run out of descriptors when lines are dropped half-read", function()
    local path = folder .. "/many.txt"
    assert(file.write(path, "a\nb\n"))
    for _ = 1, 3000 do
      assert.equal("a", assert(file.lines(path))())
      collectgarbage "step"
    end
    collectgarbage()
    file.remove(path)
  end)
end)

describe("hash", function()
  it("names texts and files alike", function()
    local path = folder .. "/hashed"
    assert(file.write(path, "abc"))
    local want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert.equal(want, hash.sha256 "abc")
    assert.equal(want, hash.sha256_file(path))
    assert.equal(want, (hash.sha256_raw "abc":gsub(".", function(char) return ("%02x"):format(char:byte()) end)))
    file.remove(path)
    local value, err = hash.sha256_file(path)
    assert.is_nil(value)
    assert.equal("io", err.kind)
    value, err = hash.sha256_file(folder)
    assert.is_nil(value)
    assert.equal(folder .. ": is a directory", err.text)
  end)
end)
