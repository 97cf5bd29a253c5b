-- SPDX-License-Identifier: Apache-2.0
local file = require "qlua.core.file"
local hash = require "qlua.core.hash"
local json = require "qlua.core.json"
local rows = require "qlua.rows"

local folder = "build/tmp/rows_spec"

local function put(name, text)
  local path = folder .. "/" .. name
  assert(file.make_dir(path:match("^(.*)/")))
  assert(file.write(path, text))
  return path
end

local function values(list, field)
  local out = {}
  for i, row in ipairs(list) do
    out[i] = row[field]
  end
  return out
end

describe("rows", function()
  describe("jsonl", function()
    it("reads objects with a BOM, CRLF, blank last lines and no final newline", function()
      for _, text in ipairs {
        '{"a":1}\n{"a":2}\n', '{"a":1}\r\n{"a":2}\r\n', '\xEF\xBB\xBF{"a":1}\n{"a":2}', '{"a":1}\n{"a":2}\n\n  \r\n',
      } do
        local list, info = rows.read(put("ok.jsonl", text))
        assert.same({ 1, 2 }, values(list, "a"))
        assert.equal("integer", math.type(list[1].a))
        assert.equal(2, info.rows)
        assert.equal(#text, info.bytes)
        assert.equal(hash.sha256(text), info.sha256)
      end
    end)

    it("names file, line and what is wrong with row 517", function()
      local lines = {}
      for i = 1, 600 do
        lines[i] = '{"question":"q","answer":"#### 1"}'
      end
      for bad, want in pairs {
        ['{"question":"q",'] = "want a JSON object, got bad JSON: ", ["[1]"] = "want a JSON object, got an array",
        ["17"] = "want a JSON object, got a number", ["null"] = "want a JSON object, got null",
        ['"x"'] = "want a JSON object, got a string", [""] = "want a JSON object, got a blank line",
      } do
        lines[517] = bad
        local path = put("bad.jsonl", table.concat(lines, "\n"))
        local list, err = rows.read(path)
        assert.is_nil(list)
        assert.equal("data", err.kind)
        assert.equal(path .. ":517: " .. want, err.text:sub(1, #path + #want + 6))
      end
    end)
  end)

  describe("csv", function()
    local columns = { "x", "y" }

    it("follows RFC 4180", function()
      for text, want in pairs {
        ["a,b\r\n"] = { { "a", "b" } }, ["a,b"] = { { "a", "b" } }, ["a,\n,b\n"] = { { "a", "" }, { "", "b" } },
        ['"a,1","b ""quoted"""\n'] = { { "a,1", 'b "quoted"' } },
        ['"over\nthree\r\nlines",b\r\nc,d\n'] = { { "over\nthree\r\nlines", "b" }, { "c", "d" } },
        ['"",""\r\n'] = { { "", "" } }, ['5" pipe,"""x"""\n'] = { { '5" pipe', '"x"' } },
        ['a,"last\n"\r\n'] = { { "a", "last\n" } }, ["\xEF\xBB\xBF\"a\",b\n"] = { { "a", "b" } },
        ['a,"b"\r\n'] = { { "a", "b" } },
      } do
        local list = assert(rows.read(put("t.csv", text), { columns = columns }))
        local got = {}
        for i, row in ipairs(list) do
          got[i] = { row.x, row.y }
        end
        assert.same(want, got)
      end
    end)

    it("takes the first line as names when the script gives none", function()
      local list = assert(rows.read(put("h.csv", "name,age\nAda,36\n")))
      assert.same({ { name = "Ada", age = "36" } }, list)
    end)

    it("says which row has the wrong number of cells, and what is left open", function()
      local path = put("w.csv", 'a,b\n"two\nlines",b\na,b,c\n')
      local _, err = rows.read(path, { columns = columns })
      assert.equal(path .. ":4: want 2 cells (x, y), got 3", err.text)
      path = put("o.csv", 'a,b\na,"b\n\n')
      _, err = rows.read(path, { columns = columns })
      assert.equal(path .. ":2: want a closing quote, got the end of the file", err.text)
    end)
  end)

  it("reads tsv, in which quotes mean nothing", function()
    local list = assert(rows.read(put("t.tsv", 'a "b\tc\r\n'), { columns = { "x", "y" } }))
    assert.same({ { x = 'a "b', y = "c" } }, list)
  end)

  it("does not guess an unknown format", function()
    local _, err = rows.read(put("t.parquet", "x"))
    assert.equal(folder .. "/t.parquet: want format jsonl, csv or tsv, got nil", err.text)
  end)

  describe("files", function()
    it("are found by pattern, sorted, with what * matched as the group", function()
      put("d/m/test/b_test.csv", "1,2\n")
      put("d/m/test/a_b_test.csv", "3,4\n5,6\n")
      put("d/m/test/notes.txt", "x")
      put("d/m/test/_test.csv", "x")
      local list, files = rows.load({ files = "m/test/*_test.csv", columns = { "x", "y" } }, { "nowhere", folder .. "/d" })
      assert.same({ "a_b", "a_b", "b" }, values(list, "group"))
      assert.equal(2, list[2].line)
      assert.equal("5", list[2].row.x)
      assert.same({ "m/test/a_b_test.csv", "m/test/b_test.csv" }, values(files, "name"))
      assert.same({ 2, 1 }, values(files, "rows"))
    end)

    it("that are missing say where they were looked for and how to get them", function()
      local _, err = rows.load({ file = "gsm8k/test.jsonl", url = "https://x/y" }, { "one", "two" }, "gsm8k")
      assert.equal("data", err.kind)
      assert.equal("gsm8k/test.jsonl: no such file (looked for one/gsm8k/test.jsonl, two/gsm8k/test.jsonl)", err.text)
      assert.equal("run `qlua fetch gsm8k`, or pass --data DIR, where DIR/gsm8k/test.jsonl is", err.hint)
      _, err = rows.load({ file = "mine.jsonl" }, { "one" }, "mine")
      assert.equal("pass --data DIR, where DIR/mine.jsonl is", err.hint)
    end)

    it("without a row are an error", function()
      put("e/empty.jsonl", "\n")
      local _, err = rows.load({ file = "empty.jsonl" }, { folder .. "/e" })
      assert.equal(folder .. "/e/empty.jsonl: want at least one row, got none", err.text)
    end)

    it("may be compressed: found by ending, read by content", function()
      local proc = io.popen("gzip -c > " .. put("z/t.jsonl.gz", ""), "w")
      if not proc then
        return pending "no gzip here"
      end
      proc:write('{"a":1}\n{"a":2}\n')
      proc:close()
      local list, files = rows.load({ file = "t.jsonl" }, { folder .. "/z" })
      assert.equal(2, #list)
      assert.equal(hash.sha256('{"a":1}\n{"a":2}\n'), files[1].sha256)
    end)
  end)

  describe("real MMLU files", function()
    it("have six cells in every row of all 57 subjects", function()
      local source = { files = "mmlu/test/*_test.csv", columns = { "question", "A", "B", "C", "D", "answer" } }
      if not file.stat "../shared/data/mmlu/test" then
        return pending "no ../shared/data/mmlu here"
      end
      local list, files = rows.load(source, { "../shared/data" })
      assert.equal(14042, #list)
      assert.equal(57, #files)
      for _, each in ipairs(list) do
        assert.truthy(each.row.answer:find "^[ABCD]$", json.encode(each))
      end
    end)
  end)
end)
