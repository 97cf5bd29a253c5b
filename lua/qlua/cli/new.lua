-- SPDX-License-Identifier: Apache-2.0
--- qlua new: a commented script that already works, with a data file of three rows beside it.

local nearest = require "qlua.nearest"
local say = require "qlua.cli.say"

local DATASET = [[
--- @NAME@: one line that says what is asked. / 一句话说明这个数据集考什么。
local q = require "qlua"

return q.dataset {
  name    = "@NAME@",
  summary = { en = "What it asks, in English", zh = "中文说明" },
  tags    = { "math" },
  -- looked for beside this file, or in --data DIR; .csv and .tsv may name their columns: columns = { … }
  source  = { test = { file = "@NAME@.jsonl" } },
  modes   = { "generate" },                 -- also "loglikelihood" and "letter", with choices
  scorers = { "number" },                   -- the first is the headline; 'qlua list scorers' shows all

  sample = function(row)                    -- one row of the file -> what is asked, and the right answer
    return { input = row.question, target = row.answer }
  end,

  prompt = function(sample)                 -- what the model is sent; messages = {…} asks as a chat
    return { text = "Question: " .. sample.input .. "\nAnswer:", stop = { "\nQuestion:" } }
  end,

  examples = {                              -- 'qlua test @NAME@.lua' runs these
    { row = { question = "1 + 1?", answer = "2" }, reply = "1 + 1 = 2.", score = 1 },
    { row = { question = "1 + 1?", answer = "2" }, reply = "It is 3.", score = 0 },
    { row = { question = "1 + 1?", answer = "2" }, reply = "", outcome = "empty" },
  },
}
]]

local ROWS = [[
{"question":"Three boxes hold 12 pens each. How many pens are there?","answer":"36"}
{"question":"一支铅笔 2 元，买 5 支要多少元？","answer":"10"}
{"question":"A train leaves at 9:40 and arrives at 10:25. How many minutes does it take?","answer":"45"}
]]

local SCORER = [[
--- @NAME@: when is a reply right? / 什么样的回复算对？
local q = require "qlua"

return q.scorer {
  name    = "@NAME@",
  summary = { en = "The reply's last word equals the target", zh = "回复的最后一个词等于标准答案" },

  extract = function(response)              -- response.text -> an answer, or nil and why there is none
    local from, to, word = response.text:find("([%w%-]+)%W*$")
    if not word then return nil, "no_answer" end
    return { value = word, how = "last word", span = { from, to } }
  end,

  score = function(answer, sample)          -- 0 to 1
    return q.text.fold(answer.value) == q.text.fold(sample.target) and 1 or 0
  end,

  examples = {                              -- 'qlua test @NAME@.lua' runs these
    { text = "The answer is blue.", target = "blue", score = 1 },
    { text = "Perhaps red?", target = "blue", score = 0 },
    { text = "...", target = "blue", outcome = "no_answer" },
  },
}
]]

local SERVER = [[
--- @NAME@: how this server is started, asked and read. / 如何启动、请求和解析该服务。
local q = require "qlua"

-- The sampling parameters that it takes; where it has another name for one: repetition_penalty = "repeat_penalty".
local knows = { sampling = { "temperature", "top_p", "seed" }, max_stops = 4 }

return q.server {
  name    = "@NAME@",
  summary = { en = "What server this is, in English", zh = "中文说明" },
  tested  = { { version = "1.0", mode = "generate", seen = "read" } },     -- "run" once it was
  capabilities = { generate = true, letter = true,                         -- a reason where it cannot
    loglikelihood = { en = "no log-probabilities of prompts", zh = "不提供提示词的对数概率" } },
  sampling = knows.sampling,
  health  = "/health",                      -- answers 200 when it is up
  -- key_env = "@NAME@_API_KEY",            -- the variable that hands it its API key, never a word of its command line
  -- unix_socket = true,                    -- if it can listen on context.unix_socket

  check = function(variant, context)        -- before anything is started; true, or nil and what is wrong
    local program = variant.server.executable or "@NAME@"
    if variant.server.base_url or context.find_on_path(program) then return true end
    return nil, { kind = "server", text = ("variant '%s': no program '%s' on PATH"):format(variant.name, program) }
  end,

  start = function(variant, context)        -- leave it out for servers that somebody else runs
    local argv = { variant.server.executable or "@NAME@", "--model", variant.model }
    q.launch.add(argv, "--host", context.host)
    q.launch.add(argv, "--port", context.port)
    q.launch.add(argv, "--served-model-name", context.served_name)         -- tells this server from another's
    for _, word in ipairs(variant.server.extra_args or {}) do argv[#argv + 1] = word end
    return { argv = argv, env = { NO_COLOR = "1" } }                       -- false removes a variable
  end,

  request = function(ask) return q.openai.request(ask, knows) end,         -- -> { method, path, body }
  read    = q.openai.read,                                                 -- a reply -> text, finish, usage, …

  progress = { "Loading" },                 -- pieces of log lines that say that a start goes on
  failures = {                              -- and of those that say why it failed
    { pattern = "out of memory", kind = "memory", say = { en = "out of memory", zh = "内存不足" } },
  },
}
]]

local LAYOUTS = {
  dataset = { script = DATASET, rows = ROWS },
  scorer = { script = SCORER },
  server = { script = SERVER, next_step = { en = "next: qlua check %s.lua, then server: { engine: %s } and --lua .",
    zh = "下一步：qlua check %s.lua，然后 server: { engine: %s } 并加 --lua ." } },
}

local function write_all(files)
  local file = require "qlua.core.file"
  for _, entry in ipairs(files) do
    if file.stat(entry.path) then
      return nil, { kind = "usage", text = entry.path .. ": is there already",
        hint = "choose another name, or another folder" }
    end
  end
  for _, entry in ipairs(files) do
    local is_written, err = file.write(entry.path, entry.text)
    if not is_written then return nil, err end
    say.line(say.language() == "zh" and "已写入 " or "wrote ", entry.path)
  end
  return true
end

return {
  name = "new",
  summary = { en = "write a working script to start from", zh = "生成一个可直接运行的脚本模板" },
  usage = "qlua new dataset|scorer|server NAME",
  positional = {
    { name = "KIND", required = true, summary = { en = "dataset, scorer or server",
      zh = "dataset（数据集）、scorer（评分器）或 server（服务器方言）" } },
    { name = "NAME", required = true, summary = { en = "its name, and that of the file", zh = "脚本名，也是文件名" } },
  },
  run = function(_, given)
    local kind, name = given[1], given[2]
    local template = LAYOUTS[kind]
    if not template then
      return nil, { kind = "usage", text = ("qlua new: want dataset, scorer or server, got '%s'"):format(kind),
        hint = nearest.hint(kind, { "dataset", "scorer", "server" }) }
    end
    if not name:find("^%a[%w_]*$") then
      return nil, { kind = "usage", text = ("qlua new: want a name of letters, digits and '_', got '%s'"):format(name) }
    end
    local files = { { path = name .. ".lua", text = (template.script:gsub("@NAME@", name)) } }
    if template.rows then files[2] = { path = name .. ".jsonl", text = template.rows } end
    local is_written, err = write_all(files)
    if not is_written then return nil, err end
    local next_step = template.next_step or { en = "next: qlua test %s.lua", zh = "下一步：qlua test %s.lua" }
    say.line(say.pick(next_step):format(name, name))
    return 0
  end,
}
