-- SPDX-License-Identifier: Apache-2.0
-- docs/scripting.md as its reader follows it: its files are written, its commands are run, in order.
local file = require "qlua.core.file"
local sys = require "qlua.core.sys"

local DATA = "../shared/data/zh/mgsm/mgsm_zh.tsv"

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- The document's blocks in order: { name, text } for files, { text } for commands.
local function blocks_of(text)
  local blocks = {}
  for before, language, body in text:gmatch "([^\n]*)\n```(%l+)\n(.-)\n```" do
    local name = before:match "^<!%-%- file: (%S+) %-%->$"
    if language == "lua" or language == "sh" then blocks[#blocks + 1] = { name = name, language = language, text = body } end
  end
  return blocks
end

describe("docs/scripting.md", function()
  it("does what it says", function()
    if not file.stat(DATA) then return pending("no " .. DATA) end
    local blocks = blocks_of(assert(file.read "docs/scripting.md"))
    assert.is_true(#blocks >= 11)
    local folder = os.tmpname()
    os.remove(folder)
    assert(file.make_dir(folder))
    assert(file.write(folder .. "/mgsm_zh.tsv", assert(file.read(DATA))))
    local path = sys.exe():match "^(.*)/"
    for _, block in ipairs(blocks) do
      if block.language == "lua" then
        assert.is_string(block.name)
        assert(file.write(folder .. "/" .. block.name, block.text .. "\n"))
      else
        local command = ("cd %s && PATH=%s:$PATH LANG=C.UTF-8 bash -e -c %s >out 2>&1 </dev/null"):format(quote(folder),
          quote(path), quote(block.text))
        local is_done = os.execute(command)
        assert.is_true(is_done, block.text .. "\n" .. (file.read(folder .. "/out") or ""))
      end
    end
    os.execute("rm -r " .. quote(folder))
  end)

  it("has the same code in Chinese", function()
    assert.same(blocks_of(assert(file.read "docs/scripting.md")), blocks_of(assert(file.read "docs/scripting.zh.md")))
  end)

  it("keeps the dataset within thirty lines", function()
    for _, block in ipairs(blocks_of(assert(file.read "docs/scripting.md"))) do
      local _, lines = (block.text .. "\n"):gsub("\n", "")
      if block.name == "mgsm_zh.lua" then assert.is_true(lines <= 30, tostring(lines)) end
    end
  end)
end)
