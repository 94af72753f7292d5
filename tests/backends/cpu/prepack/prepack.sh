#!/usr/bin/env bash
# Weights that are packed once give a library's program the same bits as weights that are not, however they are changed
# in between; and the option that refuses the memory does. Argument: kiln.
set -uo pipefail
kiln=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/weights.kiln" .
bad=0
fail() { echo "FAILED: $*"; bad=1; }
for prepack in true false; do
  mkdir "$prepack"
  "$kiln" build weights.kiln --entry forward,train_step --backend-option "prepack=$prepack" --emit shared -o "$prepack/libweights.so" || exit 1
  cc -std=c99 -I"$prepack" "$here/weights.c" -L"$prepack" -lweights -Wl,-rpath,"$work/$prepack" -o "$prepack/weights" || exit 1
  (cd "$prepack" && ./weights > said) || fail "the library's program with prepack=$prepack"
done
cmp -s true/said false/said || { fail "other bits where weights are packed once:"; diff true/said false/said | cut -c1-200; }
# The same words, the same numbers; other words, others: made, beside, trained, trained twice.
[ "$(sort -u true/said | wc -l)" -eq 4 ] || { fail "weights that change make no difference, or others do:"; cut -c1-200 true/said | sort -u; }

# What it takes, in a program: as much as there is to pack, or nothing.
"$kiln" build weights.kiln --entry forward --bound B=2 -o program || exit 1
held() { ./program bench forward --min-time 0.05 --json "$@" 2> log | sed -nE 's/.*"device_bytes": *([0-9]+).*/\1/p'; }
taken=$(held) refused=$(held --backend-option prepack=false)
[ "${taken:-0}" -gt 1100000 ] || fail "nothing is packed once: ${taken:-no} bytes"
[ "${refused:-1}" -eq 0 ] || fail "packed once in spite of the option: ${refused:-no} bytes"
./program info | grep -q "prepack" || fail "info does not list the option"
[ $bad -ne 0 ] || echo "packed once, and the same bits"
exit $bad
