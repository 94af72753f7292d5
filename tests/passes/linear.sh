#!/usr/bin/env bash
# Twice as much to compile takes twice as many instructions: differences of counts, so that starting goes out. Arguments:
# kiln, kiln-opt, valgrind.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset KILN_VERIFY_STAGES

# COMMAND...: its instructions.
count() {
  "$valgrind" --tool=callgrind --callgrind-out-file=/dev/null "$@" > out 2> log || { cat log >&2; exit 1; }
  sed -n 's/.*Collected : //p' log
}

# OPS: of fusing a chain of so many.
chain() {
  {
    printf 'model Chain():\n    def f(x: f32[4, 8]) -> f32[4, 8]:\n'
    for ((i = 0; i < $1; i += 2)); do printf '        x = x * 1.01\n        x = sin(x)\n'; done
    printf '        return x\n'
  } > chain.kiln
  "$kiln" build --no-cache chain.kiln --save-stages stages -o chain >&2
  count "$opt" --kiln-fuse stages/*-rematerialize.mlir -o fused.mlir
  grep -q kiln.group fused.mlir || { echo "nothing was fused" >&2; exit 1; }
}

# LAYERS: of all up to the memory plan, for a step of so many layers with two parameters each.
layers() {
  cat > layers.kiln << MODEL
module Layer(k):
    w = parameter(f32[k], init=ones)
    b = parameter(f32[k], init=zeros)
    def forward(x: f32[B, k]) -> f32[B, k]:
        return x + relu(tanh(x * w + b))

model Layers(n=$1, k=8):
    layers = [Layer(k) for _ in range(n)]
    def forward(x: f32[B, k]) -> f32[B, k]:
        for layer in layers: x = layer(x)
        return x

train Layers:
    data      = csv("none.csv", features=8, label=8, batch=4)
    loss      = mean(forward(data.features) ** 2)
    optimizer = AdamW(lr=1e-3)
    clip      = 1.0
    steps     = 10
MODEL
  count "$kiln" explain --memory layers.kiln
  grep -q train_step out || { echo "no step was planned" >&2; exit 1; }
}

# NAME FEW PERCENT: of few, twice and four times as many; the larger difference is at most PERCENT of the smaller one.
linear() {
  local few some many first second
  few=$("$1" "$2") some=$("$1" $(($2 * 2))) many=$("$1" $(($2 * 4)))
  first=$((some - few)) second=$((many - some))
  echo "$1: $2 more: $first instructions; $(($2 * 2)) more: $second, at most $3% of that"
  [ "$first" -gt 10000000 ] && [ $((second * 100)) -le $((first * $3)) ]
}

kiln=$1 opt=$2 valgrind=$3
linear chain 500 230
linear layers 20 206 # it was 210 where fusion, the step and the plan grew with the square
