-- SPDX-License-Identifier: Apache-2.0
--- cmake --install: qlua runs from its prefix with the scripts that came along, from any folder, without the source tree.
-- QLUA_INSTALL_BUILD names the build that is installed (build/release): one that carries its scripts.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local support = require "support"
local sys = require "qlua.core.sys"

local BUILD = sys.env "QLUA_INSTALL_BUILD" or "build/release"

describe("an installed qlua", function()
  local prefix, place, exe, missing

  setup(function()
    if not file.stat(BUILD .. "/cmake_install.cmake") or not file.stat(BUILD .. "/qlua") then
      missing = "no build to install: cmake --preset release && cmake --build --preset release"
      return
    end
    prefix, place = support.folder(), support.folder()
    local installed = support.command { "cmake", "--install", BUILD, "--prefix", prefix }
    if installed.code ~= 0 then error(installed.all) end
    exe = prefix .. "/bin/qlua"
  end)
  teardown(support.clean)

  local function it_installed(name, test)
    it(name, function()
      if missing then pending(missing) else test() end
    end)
  end

  local function installed(argv) return support.qlua(argv, { exe = exe, cwd = place }) end

  it_installed("has its program, scripts, configurations, data, manual and completion", function()
    for _, name in ipairs { "bin/qlua", "share/qlua/lua/datasets/gsm8k.lua", "share/qlua/lua/reports/markdown.lua",
      "share/qlua/configs/demo.yaml", "share/qlua/suites/full.lua", "share/qlua/data/sample/gsm8k/test.jsonl",
      "share/man/man1/qlua.1", "share/bash-completion/completions/qlua" } do
      assert.is_truthy(file.stat(prefix .. "/" .. name), name)
    end
  end)

  it_installed("runs a suite from another folder", function()
    local run = installed { "run", "suites/full.lua", "--config", "demo", "--limit", "6", "--out", "results" }
    assert.equal(0, run.code, run.all)
    local dir = support.run_dir(place .. "/results")
    assert.same({}, require("ledger").compare(dir).mismatches)
    local manifest = json.decode(support.read(dir .. "/manifest.json"))
    assert.equal(exe, manifest.binary.path)
    for name, script in pairs(manifest.scripts) do
      assert.is_nil(tostring(script.path):find(support.root, 1, true), name .. " is of the source tree: " .. tostring(script.path))
    end
  end)

  it_installed("needs nothing of the source tree", function()
    local hidden = { "unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$1" || exit 99; shift; exec "$@"', "sh", support.root, exe }
    local function run_hidden(argv)
      local words = table.move(hidden, 1, #hidden, 1, {})
      return support.command(table.move(argv, 1, #argv, #words + 1, words), { cwd = place })
    end
    local version = run_hidden { "version" }
    if version.code == 99 or version.err:find "unshare:" then
      pending "no right to hide the source tree here"
      return
    end
    assert.equal(0, version.code, version.all)
    local run = run_hidden { "run", "full", "--config", "demo", "--limit", "4", "--out", "hidden" }
    assert.equal(0, run.code, run.all)
    local tested = run_hidden { "test" }
    assert.equal(0, tested.code, tested.all)
    local listed = run_hidden { "list" }
    assert.is_truthy(listed.out:find "gsm8k", listed.all)
    local shown = run_hidden { "show", "gsm8k", "--sample", "0" }
    assert.equal(0, shown.code, shown.all)
    support.write(place .. "/rows.jsonl", '{"q":"1 + 1?","a":"2"}\n')
    local made = run_hidden { "new", "dataset", "mine" }
    assert.equal(0, made.code, made.all)
  end)
end)
