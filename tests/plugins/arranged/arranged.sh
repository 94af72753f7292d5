#!/usr/bin/env bash
# A backend that wants its weights transposed gets them so: once, and again when they have changed. Arguments: kiln, the
# plugin.
set -uo pipefail
kiln=$1 plugin=$2
source "$(dirname "$0")/../common.sh"
cp "$here/../packing/plane.kiln" .
for name in cpu arranged; do
  backend=cpu
  [ $name = arranged ] && backend=$plugin
  "$kiln" build plane.kiln --backend "$backend" -o "on_$name" || exit 1
  validations $name "./on_$name" train --save $name.safetensors
done
agree cpu.txt arranged.txt 8 || { fail "validation losses differ:"; paste cpu.txt arranged.txt; cat arranged.log; }

# Both products have their weights so, in functions that only read them and in the step that writes them.
"$kiln" explain plane.kiln --backend "$plugin" --fusion > fusion.txt || fail "explain"
grep -q "by columns): transpose dot_general" fusion.txt || { fail "no product has an operand by columns:"; cat fusion.txt; }
"$kiln" explain plane.kiln --backend "$plugin" --placement > placement.txt
grep -q "it arranges what arranged reads" placement.txt || { fail "the step's weights are not arranged by a kernel:"; cat placement.txt; }
# Two weights, plain and arranged, in two parts: the same ones in any number of executions.
./on_arranged bench forward --min-time 0.05 > bench.log 2>&1 || { fail "bench"; cat bench.log; }
grep -Eq "arranged: [0-9]{2,} executions, 8 other weights" bench.log || { fail "not arranged once:"; grep arranged bench.log; }
# Weights that were loaded are arranged anew.
for name in cpu arranged; do
  ./on_$name eval --load arranged.safetensors --json 2> /dev/null | sed -nE 's/.*"loss":([-0-9.e+]+).*/\1/p' > $name.eval
done
agree cpu.eval arranged.eval 1 1e-6 ||
  { fail "loaded weights differ:"; paste cpu.eval arranged.eval; }
"$kiln" check plane.kiln --backend "$plugin" --against reference > against.txt 2>&1 || { fail "check --against"; tail -3 against.txt; }
[ $bad -ne 0 ] || echo "arranged once, and right"
exit $bad
