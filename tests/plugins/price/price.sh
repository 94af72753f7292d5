#!/usr/bin/env bash
# What the interface costs, in instructions: a call of a function, a launch within it, a change from one backend to
# another in the process's memory. Differences of counts, so that starting, and all that is done once, goes out.
# Arguments: kiln, the plugin of whole composites (whose memory is the process's).
set -euo pipefail
kiln=$1 whole=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# BACKEND LAUNCHES EXPRESSION: instructions of one call of a function that says `x = EXPRESSION` so many times.
count() {
  printf 'model Price():\n    w = parameter(f32[1, 1], init=ones)\n\n    def forward(x: f32[1, 1]) -> f32[1, 1]:\n        for i in range(%s):\n            x = %s\n        return x\n' \
    "$2" "$3" > price.kiln
  "$kiln" build price.kiln --target-cpu x86-64 --backend "$1" --emit shared -o libprice.so >&2
  cc -std=c99 -O1 -I. "$here/call.c" -L. -lprice -Wl,-rpath,"$work" -o call >&2
  local n few many
  for n in 10 110; do
    valgrind --tool=callgrind --callgrind-out-file=/dev/null ./call $n > log 2>&1 || { cat log >&2; exit 1; }
    [ $n = 10 ] && few=$(sed -n 's/.*Collected : //p' log) || many=$(sed -n 's/.*Collected : //p' log)
  done
  echo $(((many - few) / 100))
}
# NAME INSTRUCTIONS LIMIT
bad=0
judge() {
  echo "$1: $2 instructions, at most $3"
  [ "$2" -gt 20 ] && [ "$2" -le "$3" ] || bad=1
}

product=$(count cpu 8 "x @ w") products=$(count cpu 40 "x @ w")
softmax=$(count "$whole" 8 "softmax(x)") softmaxes=$(count "$whole" 40 "softmax(x)")
pair=$(count "$whole" 8 "softmax(x @ w)") pairs=$(count "$whole" 40 "softmax(x @ w)")
launch=$(((products - product) / 32)) other=$(((softmaxes - softmax) / 32)) both=$(((pairs - pair) / 32))
# With the kernel itself, a product of one element or a softmax of one.
judge "a launch on cpu" $launch 450
judge "a launch of a plugin" $other 550
judge "a call" $((product - 8 * launch)) 6000
judge "a change of backend" $(((both - launch - other) / 2)) 900
exit $bad
