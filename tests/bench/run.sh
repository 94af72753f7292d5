#!/usr/bin/env bash
# The training steps of tests/bench on two threads. With PEER=/path/to/python (one that has PyTorch), side by side with
# PyTorch eager in the same run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ -n "${PEER:-}" ]; then
  exec "$PEER" tests/bench/peers/bench.py "$@"
fi
out=build/bench
mkdir -p "$out"
[ $# -gt 0 ] || set -- mlp gpt6 lstm cnn
for name in "$@"; do
  build/bin/kiln build "tests/bench/$name.kiln" -o "$out/$name"
  echo "== $name"
  "$out/$name" bench train_step --threads 2
done
