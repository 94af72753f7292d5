#!/usr/bin/env bash
# Fusing twice as many ops takes twice as many instructions: differences of counts, so that starting goes out. Arguments:
# kiln, kiln-opt, valgrind.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# OPS: instructions of fusing a chain of so many.
count() {
  {
    printf 'model Chain():\n    def f(x: f32[4, 8]) -> f32[4, 8]:\n'
    for ((i = 0; i < $1; i += 2)); do printf '        x = x * 1.01\n        x = sin(x)\n'; done
    printf '        return x\n'
  } > chain.kiln
  "$kiln" build chain.kiln --save-stages stages -o chain >&2
  "$valgrind" --tool=callgrind --callgrind-out-file=/dev/null "$opt" --kiln-fuse stages/*-rematerialize.mlir -o fused.mlir > log 2>&1 ||
    { cat log >&2; exit 1; }
  grep -q kiln.group fused.mlir || { echo "nothing was fused" >&2; exit 1; }
  sed -n 's/.*Collected : //p' log
}

kiln=$1 opt=$2 valgrind=$3
few=$(count 500)
some=$(count 1000)
many=$(count 2000)
first=$((some - few)) second=$((many - some))
echo "500 more ops: $first instructions; 1,000 more: $second, at most 2.3 times as many"
[ "$first" -gt 10000000 ] && [ $((second * 10)) -le $((first * 23)) ]
