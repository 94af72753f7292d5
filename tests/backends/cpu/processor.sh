#!/usr/bin/env bash
# A program on a processor that lacks the instructions it was built for, which qemu plays: named, and exit code 1.
# processor.sh KILN MODEL; 77 (skipped) without qemu. ProcessorTest.cpp holds the check itself on any machine.
set -euo pipefail
kiln=$1 model=$2
qemu=$(command -v qemu-x86_64-static || command -v qemu-x86_64) || {
  echo "skipped: no qemu-x86_64 (package qemu-user)"
  exit 77
}
[ "$(uname -m)" = x86_64 ] || { echo "skipped: not an x86_64 machine"; exit 77; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$kiln" build "$model" --target-cpu x86-64-v4 -o new
"$kiln" build "$model" --target-cpu x86-64-v2 -o old

code=0
"$qemu" -cpu Haswell ./new train --out run --save w.safetensors > out.txt 2> err.txt || code=$?
[ "$code" = 1 ] || { echo "expected exit code 1, got $code"; cat out.txt err.txt; exit 1; }
grep -q '^error: .*this processor lacks .*avx512f.*compiled for (x86-64-v4); build it again' err.txt || { cat err.txt; exit 1; }
[ ! -e w.safetensors ] && [ ! -e run/last.safetensors ] || { echo "something was written"; exit 1; }
"$qemu" -cpu Haswell ./new info > /dev/null 2>&1 || { echo "info runs no code: it must work anywhere"; exit 1; }

"$qemu" -cpu Haswell ./old bench forward --min-time 0.01 2> err.txt | grep -q '^forward: median' || { cat err.txt; exit 1; }
echo "ok"
