#!/usr/bin/env bash
# A backend that takes loops as one kernel: what it gives is the cpu's, what it refuses is a loop as before. Arguments:
# kiln, the plugin.
set -uo pipefail
kiln=$1 plugin=$2
source "$(dirname "$0")/../common.sh"
cp "$here/leaky.kiln" .
for name in cpu loops reference; do
  backend=$name
  [ $name = loops ] && backend=$plugin
  "$kiln" build leaky.kiln --backend "$backend" --verify-stages -o "on_$name" || exit 1
  validations $name "./on_$name" train --save $name.safetensors
done
for name in loops reference; do
  agree cpu.txt $name.txt 8 || { fail "validation losses of $name differ:"; paste cpu.txt $name.txt; cat $name.log; }
done

# Both halves of the step's loop, and the one that is stacked, are kernels; the one with products is a loop over kernels.
"$kiln" explain leaky.kiln --backend "$plugin" --placement > placement.txt || fail "explain --placement"
[ "$(sed '/^cpu:/,$d' placement.txt | grep -c scan)" -ge 3 ] || { fail "its loops are not kernels:"; cat placement.txt; }
"$kiln" explain leaky.kiln --backend "$plugin" --fusion > fusion.txt || fail "explain --fusion"
grep -q "refused: .*scan.*this backend has loops" fusion.txt || { fail "no loop was refused:"; cat fusion.txt; }
"$kiln" explain leaky.kiln --backend reference --fusion > fusion.txt || fail "explain --fusion"
grep -q "^k[0-9]*_scan (any): scan" fusion.txt || { fail "the reference has no loop as a kernel:"; cat fusion.txt; }
! "$kiln" explain leaky.kiln --fusion | grep -q scan || fail "the cpu was offered a loop"

# Each launch beside the reference's; then with loops that are claimed, and not executed.
"$kiln" check leaky.kiln --backend "$plugin" --against reference > against.txt 2>&1 || { fail "check --against"; tail -3 against.txt; }
"$kiln" check leaky.kiln --backend reference --against cpu > against.txt 2>&1 || { fail "reference against cpu"; tail -3 against.txt; }
LOOPS_FORGOTTEN=1 "$kiln" check leaky.kiln --backend "$plugin" --against reference > against.txt 2>&1 &&
  fail "loops that are not executed are not found"
grep -q "the results part at launch [0-9]*, scan at leaky.kiln:[0-9:]*, result 0: .* on loops, .* on reference" against.txt ||
  { fail "which kernel it is, is not said:"; cat against.txt; }
[ $bad -ne 0 ] || echo "loops as kernels, and as loops"
exit $bad
