-- SPDX-License-Identifier: Apache-2.0
--- qlua completion: a shell's completion script, made from the commands' own tables, so that it cannot lag behind them.

local args = require "qlua.cli.args"
local commands = require "qlua.cli.commands"
local nearest = require "qlua.nearest"

local HEAD = [[
# SPDX-License-Identifier: Apache-2.0
# bash completion for qlua, as this version of it is

_qlua() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "@COMMANDS@" -- "$word"))
    return
  fi
  case $before in
    --language) COMPREPLY=($(compgen -W "en zh both" -- "$word")); return ;;
    --mode) COMPREPLY=($(compgen -W "generate loglikelihood letter" -- "$word")); return ;;
    --dataset) COMPREPLY=($(compgen -W "$(_qlua_names datasets)" -- "$word")); return ;;
    --lua|--data|--out|--resume) COMPREPLY=($(compgen -d -- "$word")); return ;;
  esac
  case $command in
]]

local TAIL = [[
  esac
  case $command:$word in
    *:-*) ;;
    help:*) words="@COMMANDS@" ;;
    list:*) words="datasets scorers servers layouts suites" ;;
    new:*) words="dataset scorer" ;;
    completion:*) words="bash" ;;
    show:* | score:*) words=$(_qlua_names datasets) ;;
    run:*) words="$(_qlua_names datasets) $(_qlua_names suites)" ;;
    *) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case $word in -*) ;; *) COMPREPLY+=($(compgen -f -- "$word")) ;; esac
}

_qlua_names() {
  "${COMP_WORDS[0]}" list "$1" --json 2>/dev/null | grep -o '"name":"[^"]*"' | cut -d'"' -f4
}

complete -o filenames -F _qlua qlua
]]

local function option_words(command)
  local words = {}
  for _, option in ipairs(args.options_of(command)) do words[#words + 1] = "--" .. option.long end
  table.sort(words)
  return table.concat(words, " ")
end

local function bash()
  local cases, names = {}, {}
  for _, name in ipairs(commands.names()) do
    local command = commands.load(name)
    if command then
      names[#names + 1] = name
      cases[#cases + 1] = ('    %s) words="%s" ;;\n'):format(name, option_words(command))
    end
  end
  local function fill(text) return (text:gsub("@COMMANDS@", table.concat(names, " "))) end
  return fill(HEAD) .. table.concat(cases) .. fill(TAIL)
end

return {
  name = "completion",
  summary = { en = "print a completion script for a shell", zh = "输出 shell 补全脚本" },
  usage = "qlua completion bash",
  positional = { { name = "SHELL", required = true, summary = { en = "bash", zh = "bash" } } },
  details = { en = "For this session: source <(qlua completion bash)", zh = "在当前会话启用：source <(qlua completion bash)" },
  run = function(_, given)
    if given[1] ~= "bash" then
      return nil, { kind = "usage", text = ("qlua completion: want bash, got '%s'"):format(given[1]),
        hint = nearest.hint(given[1], { "bash" }) }
    end
    io.stdout:write(bash())
    return 0
  end,
}
