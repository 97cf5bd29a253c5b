-- SPDX-License-Identifier: Apache-2.0
--- What a run shows: a live block on a terminal, plain lines elsewhere, colours only where they are wanted, 40 columns,
-- the locale C; and what Ctrl-C does.
local file = require "qlua.core.file"
local proc = require "qlua.core.proc"
local support = require "support"
local text = require "qlua.core.text"

local ESC = "\27"

-- What a terminal of so many columns shows of a stream: its lines, as drawn over each other. Only what qlua uses is
-- understood; anything else fails the test. `seen` gets every text that was ever shown.
local function emulate(stream, columns)
  local rows, row, column, seen = { {} }, 1, 0, {}
  local at = 1
  local function put(character)
    local width = text.width(character)
    if column + width > columns then -- wraps
      row, column = row + 1, 0
    end
    rows[row] = rows[row] or {}
    rows[row][column + 1] = character
    for extra = 2, width do rows[row][column + extra] = "" end
    column = column + width
  end
  local function lines()
    local shown = {}
    for i = 1, #rows do
      local line = {}
      local last = 0
      for place in pairs(rows[i]) do last = math.max(last, place) end
      for place = 1, last do line[place] = rows[i][place] or " " end
      shown[i] = table.concat(line)
    end
    return shown
  end
  while at <= #stream do
    local parameters, final, after = stream:match("^\27%[([%d;]*)(%a)()", at)
    if final then
      seen[#seen + 1] = table.concat(lines(), "\n")
      local n = tonumber(parameters) or 1
      if final == "A" then
        row = math.max(1, row - n)
      elseif final == "J" then
        for i = row + 1, #rows do rows[i] = nil end
        for place in pairs(rows[row]) do if place > column then rows[row][place] = nil end end
      elseif final == "K" then
        for place in pairs(rows[row]) do if place > column then rows[row][place] = nil end end
      elseif final ~= "m" then
        error("an escape sequence the test does not know: " .. final)
      end
      at = after
    elseif stream:sub(at, at) == "\r" then
      column, at = 0, at + 1
    elseif stream:sub(at, at) == "\n" then
      row, column, at = row + 1, 0, at + 1
      rows[row] = rows[row] or {}
    else
      local character = stream:match("^[%z\1-\127\194-\244][\128-\191]*", at) or stream:sub(at, at)
      put(character)
      at = at + #character
    end
  end
  return lines(), table.concat(seen, "\n")
end

-- The program's own part of a typescript.
local function shown_by(result)
  return (result.screen:gsub("^Script started[^\n]*\n", ""):gsub("\n*Script done[^\n]*\n?$", ""))
end

local folder

local SLOW = "latency: { ttft_ms: 60, itl_ms: 1 }"

local function words(more, options)
  options = options or {}
  local list = { "run", "gsm8k", "--config", support.config(folder, { sim = options.sim or SLOW, server = options.server }), "--limit",
    tostring(options.limit or 40), "--concurrency", "4", "--out", folder .. "/results" }
  return table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

describe("on a terminal", function()
  before_each(function() folder = support.folder() end)
  after_each(support.clean)

  it("one live block is drawn over itself, and ends as one line", function()
    local result = support.terminal(words(), { folder = folder })
    assert.equal(0, result.code, result.screen)
    local lines, seen = emulate(shown_by(result), 80)
    local final = table.concat(lines, "\n")
    assert.is_truthy(seen:find "█")
    assert.is_truthy(seen:find "accuracy %d")
    assert.is_truthy(seen:find "errors 0")
    assert.is_truthy(seen:find "tok/s")
    assert.is_truthy(seen:find "q/s")
    assert.is_truthy(seen:find " left")
    assert.is_nil(final:find "█", "the block is left on the screen:\n" .. final)
    assert.is_truthy(final:find "one gsm8k: 40/40, done in ", final)
    assert.is_truthy(final:find "evaluation_results.json", final)
    assert.is_truthy(result.screen:find(ESC .. "[1m", 1, true), "no bold")
  end)

  it("NO_COLOR takes away the colours, not the block", function()
    local result = support.terminal(words(), { folder = folder, env = { NO_COLOR = "1" } })
    assert.equal(0, result.code)
    assert.is_nil(result.screen:find(ESC .. "%[[%d;]*m"))
    assert.is_truthy(result.screen:find "█")
  end)

  it("of 40 columns nothing is wider, and the block is still drawn over itself", function()
    for _, language in ipairs { "en", "zh" } do
      support.command { "rm", "-rf", folder .. "/results" }
      local result = support.terminal(words { "--language", language }, { folder = folder, columns = 40 })
      assert.equal(0, result.code)
      local plain = shown_by(result):gsub("\27%[[%d;]*%a", "")
      local in_table = false
      for line in plain:gmatch "[^\r\n]+" do
        -- names of files are never cut: a user wants to copy them
        if not line:find("/", 1, true) and not line:find "^note:" and not line:find "^说明" then
          assert.is_true(text.width(line) <= 40, ("%d columns: %s"):format(text.width(line), line))
          in_table = in_table or line:find "───" ~= nil
        end
      end
      assert.is_true(in_table, plain)
      local lines = emulate(shown_by(result), 40)
      assert.is_nil(table.concat(lines, "\n"):find "█")
    end
  end)

  it("a load shows its courses in place, at any width, and leaves lines that stay", function()
    local sim = support.sim { "--ttft-ms", "30", "--itl-ms", "5" }
    for _, case in ipairs { { columns = 90 }, { columns = 40 }, { columns = 90, env = { LANG = "C", LC_ALL = "C" } } } do
      support.command { "rm", "-rf", folder .. "/results" }
      local result = support.terminal({ "load", "--url", sim.url, "--model", "qlua-sim", "--random-input", "8", "--random-output", "8",
        "--ignore-eos", "--rate", "25", "--duration", "2.5", "--out", folder .. "/results" },
        { folder = folder, columns = case.columns, env = case.env })
      assert.equal(0, result.code, result.screen)
      local lines, seen = emulate(shown_by(result), case.columns)
      local final = table.concat(lines, "\n")
      for _, wanted in ipairs { "TTFT", "ITL", " req/s", " in flight", "errors 0" } do
        assert.is_truthy(seen:find(wanted, 1, true), wanted)
      end
      assert.is_nil(final:find "TTFT  ", "the block is left on the screen:\n" .. final)
      assert.is_truthy(final:find "qlua%-sim rate=25: %d+ requests in", final)
      if case.env then
        assert.is_nil(result.screen:find "[\128-\255]", result.screen:match "[^\n]*[\128-\255][^\n]*")
      else
        assert.is_truthy(seen:find "TTFT  [▁▂▃▄▅▆▇█]")
      end
    end
    sim.stop()
  end)

  it("in the locale C there is nothing but ASCII", function()
    local result = support.terminal(words(), { folder = folder, env = { LANG = "C", LC_ALL = "C" } })
    assert.equal(0, result.code)
    assert.is_nil(result.screen:find "[\128-\255]", result.screen:match "[^\n]*[\128-\255][^\n]*")
    assert.is_truthy(result.screen:find("%[#+%.*%]"))
  end)

  it("Ctrl-C once keeps everything, stops the server and says how to go on", function()
    local pressed = false
    local result = support.terminal(words({}, { limit = 130 }), { folder = folder, keys = function(screen, press)
      if not pressed and screen():find "accuracy" then
        pressed = true
        press "\3"
      end
    end })
    assert.is_true(pressed)
    assert.equal(130, result.code, result.screen)
    local final = table.concat(emulate(shown_by(result), 200), "\n")
    assert.is_truthy(final:find("stopping: answers are kept, servers are stopped (once more: at once)", 1, true), final)
    assert.is_truthy(final:find "stopped after")
    assert.is_truthy(final:find("go on with: qlua run --resume " .. support.run_dir(folder .. "/results"), 1, true), final)
    assert.same({}, support.processes_with(folder .. "/results"))
    local dir = support.run_dir(folder .. "/results")
    local kept = support.rows(dir, "SELECT count(*) AS n FROM answer")[1].n
    assert.is_true(kept > 0 and kept < 130, kept)
    assert.is_nil(support.rows(dir, "SELECT 1 AS x FROM answer WHERE outcome NOT IN ('correct', 'wrong', 'no_answer', 'refused',"
      .. " 'truncated', 'empty')")[1])
    assert.is_truthy(file.stat(dir .. "/evaluation_results.json"))
    assert.is_true(support.results(dir).variants.one.datasets.gsm8k.incomplete)
    local resumed = support.qlua { "run", "--resume", dir }
    assert.equal(0, resumed.code, resumed.all)
    assert.is_truthy(resumed.err:find(("one gsm8k: 130 questions, %d already answered"):format(kept), 1, true), resumed.err)
    assert.same({}, require("ledger").compare(dir).mismatches)
    assert.equal(130, support.rows(dir, "SELECT count(*) AS n FROM answer")[1].n)
  end)
end)

describe("without a terminal", function()
  before_each(function() folder = support.folder() end)
  after_each(support.clean)

  it("plain lines come, each whole, without any escape sequence", function()
    local run = support.qlua(words())
    assert.equal(0, run.code)
    assert.is_nil(run.all:find("[\27\r\8]"))
    local notes, lines = {}, {}
    for line in run.err:gmatch "[^\n]+" do table.insert(line:find "^note: " and notes or lines, line) end
    assert.equal("one: starting sim", lines[1])
    assert.equal("one gsm8k: 40 questions", lines[2])
    assert.matches("^one gsm8k: 40/40, done in .*, accuracy %d+%.%d %%$", lines[#lines])
    for i = 3, #lines - 1 do assert.matches("^one gsm8k: %d+/40 %(%d+ %%%), ", lines[i]) end
  end)

  it("--quiet shows the final table only", function()
    local run = support.qlua(words { "--quiet" })
    assert.equal(0, run.code)
    assert.is_nil(run.err:find "one gsm8k")
    assert.is_truthy(run.out:find "accuracy" or run.out:find "Accuracy")
  end)

  it("in the locale C there is nothing but ASCII, and the report is in UTF-8 all the same", function()
    local run = support.qlua(words { "--language", "both" }, { env = { LANG = "C", LC_ALL = "C" } })
    assert.equal(0, run.code)
    assert.is_nil(run.err:find "[\128-\255]", run.err)
    local report = support.read(support.run_dir(folder .. "/results") .. "/reports/evaluation_report_both.md")
    assert.is_truthy(report:find "准确率")
  end)

  it("Chinese is spoken where the locale says so", function()
    local run = support.qlua(words(), { env = { LANG = "zh_CN.UTF-8" } })
    assert.equal(0, run.code)
    assert.is_truthy(run.err:find("one gsm8k：共 40 题", 1, true), run.err)
    assert.is_truthy(run.out:find("准确率", 1, true))
  end)

  local function interrupted(signal, times)
    local process = support.start(words({}, { limit = 130, sim = "latency: { ttft_ms: 100 }" }))
    support.wait_until("the first questions are asked", function()
      for _, line in ipairs(process:tail(5)) do if line:find "^one gsm8k: 130" then return true end end
      return not process:alive()
    end)
    for _ = 1, times do proc.run { argv = { "kill", "-" .. signal, tostring(process:pid()) } } end
    local status = process:wait(support.guard_ms)
    local said = table.concat(process:tail(50), "\n")
    process:close()
    return assert(status, "it did not end"), said
  end

  it("SIGTERM stops a run as Ctrl-C does", function()
    local status, said = interrupted("TERM", 1)
    assert.equal(130, status.code, said)
    assert.is_truthy(said:find("go on with: qlua run --resume", 1, true), said)
    assert.equal(0, status.swept)
    assert.same({}, support.processes_with(folder .. "/results"))
  end)

  it("Ctrl-C twice ends it at once, with no server left, and it can be gone on with", function()
    -- a server that does not stop by itself: only the second Ctrl-C ends the wait for it
    local program = support.write(folder .. "/vllm", ([[
#!/bin/sh
[ -e %s/stubborn ] && trap "" TERM
shift 2
while [ $# -gt 0 ]; do
  case $1 in
    --port) port=$2; shift ;;
    --served-model-name) name=$2; shift ;;
  esac
  shift
done
%s sim --port "$port" --served-model "$name" --dataset gsm8k --data %s --limit 130 --ttft-ms 100 &
while :; do wait; done
]]):format(folder, support.exe, support.sample_data))
    support.command { "chmod", "+x", program }
    support.write(folder .. "/stubborn", "")
    local process = support.start(words({ "--set", "server.engine=vllm", "--set", "server.executable=" .. program, "--set",
      "server.stop_grace_s=100000" }, { limit = 130 }))
    local function waits_for(pattern)
      support.wait_until(pattern, function()
        for _, line in ipairs(process:tail(50)) do if line:find(pattern) then return true end end
        assert.is_true(process:alive(), table.concat(process:tail(50), "\n"))
      end)
    end
    waits_for "^one gsm8k: 130"
    proc.run { argv = { "kill", "-INT", tostring(process:pid()) } }
    waits_for "^stopping: "
    waits_for "stopped after"
    proc.run { argv = { "kill", "-INT", tostring(process:pid()) } }
    local status = assert(process:wait(support.guard_ms), "it did not end")
    assert.equal(130, status.code, table.concat(process:tail(50), "\n"))
    assert.equal(0, status.swept)
    process:close()
    support.wait_until_gone(folder .. "/vllm")
    assert(file.remove(folder .. "/stubborn"))
    local resumed = support.qlua { "run", "--resume", support.run_dir(folder .. "/results"), "--quiet" }
    assert.equal(0, resumed.code, resumed.all)
  end)
end)
