-- SPDX-License-Identifier: Apache-2.0
--- qlua help: all commands, or one of them, made from the same tables that parse its arguments.

local args = require "qlua.cli.args"
local commands = require "qlua.cli.commands"
local nearest = require "qlua.nearest"
local say = require "qlua.cli.say"

local help = {
  name = "help",
  summary = { en = "show the commands, or what one of them takes", zh = "列出所有命令，或显示某个命令的用法" },
  usage = "qlua help [COMMAND]",
  positional = { { name = "COMMAND", summary = { en = "a command", zh = "命令名" } } },
}

local TEXT = {
  tagline = { en = "qlua finds out which quantized variant of a model may be shipped",
    zh = "qlua 帮你判断：模型的哪个量化变体可以上线" },
  usage = { en = "usage: ", zh = "用法：" },
  options = { en = "Options", zh = "选项" },
  arguments = { en = "Arguments", zh = "参数" },
  more = { en = "'qlua help COMMAND' shows what a command takes; add --language zh for Chinese.",
    zh = "“qlua help 命令” 显示该命令的用法；加 --language en 显示英文。" },
  exit = { en = "Exit codes: 0 done, 1 a gate failed, 2 usage, 3 script, configuration or data, 4 server, "
      .. "5 internal, 130 interrupted.",
    zh = "退出码：0 完成；1 未通过判定；2 用法错误；3 脚本、配置或数据错误；4 服务器错误；5 内部错误；130 被中断。" },
}

local function option_word(option)
  local word = (option.short and "-" .. option.short .. ", " or "") .. "--" .. option.long
  return option.arg and word .. " " .. option.arg or word
end

local function option_text(option)
  local text = say.pick(option.summary)
  if option.repeated then
    text = text .. (say.language() == "zh" and "（可重复）" or " (may be repeated)")
  end
  return text
end

--- All commands with their summaries.
function help.overview()
  say.paragraph(say.pick(TEXT.tagline))
  say.line()
  say.line(say.pick(TEXT.usage), "qlua COMMAND [OPTIONS]")
  for _, group in ipairs(commands.groups) do
    local rows = {}
    for _, name in ipairs(group) do
      local command = commands.load(name)
      if command then rows[#rows + 1] = { ("%-10s"):format(name), say.pick(command.summary) } end
    end
    say.line()
    say.line(say.pick(group.title))
    say.columns(rows, "  ")
  end
  say.line()
  say.paragraph(say.pick(TEXT.more))
  say.paragraph(say.pick(TEXT.exit))
end

--- One command: usage, arguments, options, and its `details` where it has some.
-- @tparam table command
function help.command(command)
  say.paragraph(say.pick(command.summary))
  say.line()
  say.paragraph(command.usage, say.pick(TEXT.usage))
  if command.positional and #command.positional > 0 then
    local rows = {}
    for i, positional in ipairs(command.positional) do rows[i] = { positional.name, say.pick(positional.summary) } end
    say.line()
    say.line(say.pick(TEXT.arguments))
    say.columns(rows, "  ")
  end
  local rows = {}
  for i, option in ipairs(args.options_of(command)) do rows[i] = { option_word(option), option_text(option) } end
  say.line()
  say.line(say.pick(TEXT.options))
  say.columns(rows, "  ")
  if command.details then
    say.line()
    say.paragraph(say.pick(command.details))
  end
end

function help.run(_, given)
  local name = given[1]
  if not name then
    help.overview()
    return 0
  end
  local command, err = commands.load(name)
  if err then error(err, 0) end
  if not command then
    return nil, { kind = "usage", text = ("qlua help: unknown command '%s'"):format(name),
      hint = nearest.hint(name, commands.names()) }
  end
  help.command(command)
  return 0
end

return help
