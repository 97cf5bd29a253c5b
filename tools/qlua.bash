# SPDX-License-Identifier: Apache-2.0
# bash completion for qlua, to be installed as bash-completion/completions/qlua. The words come from the program itself, so
# they are those of the version that is installed; bash-completion reads this file on the first TAB only.
source <(command qlua completion bash 2>/dev/null)
