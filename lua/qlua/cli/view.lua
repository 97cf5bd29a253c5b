-- SPDX-License-Identifier: Apache-2.0
--- qlua view: serves a run's HTML page and its samples on this machine, also while the run goes on.

local say = require "qlua.cli.say"

local function wait_for_signal()
  local task = require "qlua.core.task"
  task.park(function(wake)
    task.on_signal(task.SIGTERM, wake)
    task.on_signal(task.SIGINT, wake)
  end)
end

return {
  name = "view",
  summary = { en = "look at a run's page and samples in a browser", zh = "在浏览器中查看运行的报告与样本" },
  usage = "qlua view RUN [--port N] [--language LANG]",
  positional = { { name = "RUN", required = true, summary = { en = "folder of a run", zh = "运行目录" } } },
  options = {
    { long = "port", arg = "N", type = "integer", min = 0, max = 65535,
      summary = { en = "port on 127.0.0.1 (default: any free one)", zh = "127.0.0.1 上的端口（默认任选空闲端口）" } },
    { long = "layout", arg = "LAYOUT", summary = { en = "an HTML layout's name, or a path to your own (default html)",
      zh = "HTML 版式名称，或自定义版式文件的路径（默认 html）" } },
  },
  details = {
    en = "Reads the run's database and writes nothing. Reload the page to see what a run that goes on has added. Ends on Ctrl-C.",
    zh = "只读取运行的数据库，不写入任何内容。运行尚未结束时，刷新页面即可看到新增的结果。按 Ctrl-C 结束。",
  },
  run = function(opts, args)
    local dir = args[1]:gsub("/+$", "")
    local language = opts.language or require("qlua.locale").language(require("qlua.core.sys").env)
    local view, err = require("qlua.view").open(dir, { language = language, layout = opts.layout })
    if not view then return nil, err end
    local server, port
    server, err = require("qlua.core.sim").serve({ host = "127.0.0.1", port = opts.port or 0, body_limit_bytes = 1 << 16 },
      function(request) return view:answer(request, port) end)
    if not server then return nil, err end
    port = server:port()
    say.line(("http://127.0.0.1:%d/"):format(port))
    io.stdout:flush()
    wait_for_signal()
    server:close()
    view:close()
    return 0
  end,
}
