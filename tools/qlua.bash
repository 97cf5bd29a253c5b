# SPDX-License-Identifier: Apache-2.0
# bash completion for qlua; written by 'qlua completion bash'

_qlua() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "list config new check test lua completion help version" -- "$word"))
    return
  fi
  case $before in
    --language) COMPREPLY=($(compgen -W "en zh both" -- "$word")); return ;;
    --mode) COMPREPLY=($(compgen -W "generate loglikelihood letter" -- "$word")); return ;;
    --dataset) COMPREPLY=($(compgen -W "$(_qlua_names datasets)" -- "$word")); return ;;
    --lua|--data|--out|--resume) COMPREPLY=($(compgen -d -- "$word")); return ;;
  esac
  case $command in
    list) words="--help --json --language --lua --tag" ;;
    config) words="--concurrency --dataset --help --json --language --limit --lua --set --suite --variant" ;;
    new) words="--help --language --lua" ;;
    check) words="--help --language --lua" ;;
    test) words="--help --language --lua" ;;
    lua) words="--help --language --lua" ;;
    completion) words="--help --language --lua" ;;
    help) words="--help --language --lua" ;;
    version) words="--help --json --language --lua" ;;
  esac
  case $command:$word in
    *:-*) ;;
    help:*) words="list config new check test lua completion help version" ;;
    list:*) words="datasets scorers servers layouts suites" ;;
    new:*) words="dataset scorer" ;;
    completion:*) words="bash" ;;
    show:*) words=$(_qlua_names datasets) ;;
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
