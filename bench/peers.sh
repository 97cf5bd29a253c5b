#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs Python clients to be measured beside qlua into .venv-peers, and a small tokenizer that they can load
# without a network: bench/peers.sh [guidellm] [aiperf] [evalscope[perf]]
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- guidellm aiperf
[ -x .venv-peers/bin/pip ] || python3 -m venv .venv-peers
.venv-peers/bin/pip install -q "$@" transformers tokenizers
.venv-peers/bin/python - <<'PYTHON'
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.add_special_tokens(["<end>"])
PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>", model_max_length=32768).save_pretrained(
    ".venv-peers/tokenizer")
PYTHON
