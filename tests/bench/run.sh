#!/usr/bin/env bash
# With PEER=/path/to/python (one that has PyTorch and the rest of what table.py names): the table of docs/performance.md, beside peers.
# Else the training steps of tests/bench alone, on two threads.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ -n "${PEER:-}" ]; then
  cmake --build build --target limits -- --quiet
  exec "$PEER" tests/bench/peers/table.py "$@"
fi
out=build/bench
mkdir -p "$out"
[ $# -gt 0 ] || set -- mlp gpt6 lstm cnn
for name in "$@"; do
  build/bin/kiln build "tests/bench/$name.kiln" -o "$out/$name"
  echo "== $name"
  "$out/$name" bench train_step --threads 2
done
