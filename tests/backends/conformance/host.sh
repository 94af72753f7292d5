#!/usr/bin/env bash
# What a plugin does wrong is a sentence of the host's: a model is built for the faulty plugin and trained with it, one
# planted fault at a time. Arguments: the kiln program, the faulty plugin.
set -uo pipefail
kiln=$1 plugin=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for i in $(seq 64); do
  echo "$((i % 7 - 3)),$((i % 5 - 2)),$((i % 7 + i % 5 > 5 ? 1 : 0))"
done > points.csv
cat > model.kiln <<'MODEL'
model Points(width=64):
    first = Linear(2, width)
    out   = Linear(width, 2)

    def forward(features: f32[B, 2]) -> f32[B, 2]:
        return out(relu(first(features)))

train Points:
    data       = csv("points.csv", features=2, label=2, batch=8)
    loss       = cross_entropy(forward(data.features), data.label)
    optimizer  = SGD(lr=0.1)
    checkpoint = every(20)
    steps      = 120
MODEL

bad=0
# FAULT CODE WORDS: the exit code of what failed first, the build or the program's training, and what it says.
try() {
  local fault=$1 code=$2 words=$3 found=0
  rm -rf program trained
  KILN_FAULT=$fault timeout 120 "$kiln" build model.kiln --backend "$plugin" -o program > said 2>&1 || found=$?
  [ $found -ne 0 ] || KILN_DATA=$work KILN_FAULT=$fault timeout 120 ./program train --out trained > said 2>&1 || found=$?
  if [ $found -ne "$code" ] || ! grep -qF -- "$words" said; then
    echo "FAILED: $fault: exit code $found, expected $code; it says, and should say '$words':"
    tail -n 3 said
    bad=1
  fi
}

try "" 0 "done after 120 steps"
try RefusesWithoutReason 0 "done after 120 steps" # all of it on the cpu
try CompileFails 1 "the backend faulty: planted: it cannot compile this"
try AnswersFromAnotherThread 1 "the backend faulty answered a claim from another thread"
try ScratchLies 1 "it asks for -4096 bytes of scratch"
try CompilesToNothing 1 "the backend faulty gave no artifact, and calls that a success: tell its author"
try LoadGivesNothing 1 "it says that it succeeded and gives nothing"
try AllocationFails 1 "planted: no memory"
try ExecuteFails 1 "the backend faulty failed in 'train_step': planted: a launch failed"
try DeviceLost 1 "the backend faulty failed in 'train_step': planted: the device is lost. The last checkpoint stands: trained/last.safetensors, after step "
[ -s trained/last.safetensors ] || { echo "FAILED: DeviceLost: the last checkpoint is gone"; bad=1; }
# `kiln check --against`: the program's own kernels at their places. What one writes beside its results is told, and what
# it gives that is wrong; the model's data is there.
against() {
  local fault=$1 code=$2 words=$3 found=0
  KILN_DATA=$work KILN_FAULT=$fault timeout 120 "$kiln" check model.kiln --backend "$plugin" --against reference > said 2>&1 || found=$?
  if [ $found -ne "$code" ] || ! grep -qF -- "$words" said; then
    echo "FAILED: --against, $fault: exit code $found, expected $code; it says, and should say '$words':"
    tail -n 3 said
    bad=1
  fi
}
against "" 0 "launches agree, and none wrote beside its results"
against WritesBehindOutput 1 "on faulty it wrote to byte"
against DoesNothing 1 "the results part at launch 0"
[ $bad -ne 0 ] || echo "every fault is told"
exit $bad
