#!/usr/bin/env bash
# The README's demo: compile the character GPT, train it on the sample text, write some text with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
steps=${1:-1000}
out=build/demo
mkdir -p "$out"
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

say build/bin/kiln build models/gpt/gpt.kiln -o "$out/gpt"
say ls -l "$out/gpt"
say "$out/gpt" train --data data=models/gpt/sample.txt --steps "$steps" --out "$out/run" --overwrite
say "$out/gpt" generate --load "$out/run/best.safetensors" --prompt "The " --tokens 300
