#!/usr/bin/env bash
# What a user sets of a backend reaches either side of it, is listed, recorded and part of what a program is known by; what
# does not fit is told. Arguments: kiln, the folder of the plugins.
set -uo pipefail
source "$(dirname "$0")/common.sh"
plugin=$plugins/plain/libkiln_backend_tuned.so

# Listed.
KILN_BACKEND_PATH=$plugins/plain says 0 "option take=all, one of all, sums, products, when it is built: which ops it takes" "$kiln" backends
grep -qF "option tile=16, a whole number from 1 to 64, when it is built or starts: columns" said || { echo "FAILED: no tile"; bad=1; }
grep -qF "option trace=false, true or false, when a program starts: tell what is done" said || { echo "FAILED: no trace"; bad=1; }
grep -qF "option note, a text, when a program starts: a word" said || { echo "FAILED: no note"; bad=1; }

# What makes no sense: the option, what there is, the nearest name.
build=("$kiln" build plane.kiln --backend "$plugin" -o program)
says 1 "the backends tuned, cpu have no option 'tiel' (did you mean 'tile'?); there is: tuned.take, tuned.tile, tuned.trace, tuned.note" \
  "${build[@]}" --backend-option tiel=8
says 1 "the backend tuned has no option 'tiel' (did you mean 'tile'?)" "${build[@]}" --backend-option tuned.tiel=8
says 1 "the backend cpu has no option 'tile'; there is: cpu.prepack" "${build[@]}" --backend-option cpu.tile=8
says 1 "no backend 'tund' is at work here (did you mean 'tuned'?); there is: tuned, cpu" "${build[@]}" --backend-option tund.tile=8
says 1 "--backend-option tile=65: tuned.tile is a whole number from 1 to 64" "${build[@]}" --backend-option tile=65
for value in 0 -1 8.5 x "" 99999999999999999999; do
  says 1 "tuned.tile is a whole number from 1 to 64" "${build[@]}" --backend-option "tile=$value"
done
says 1 "tuned.take is one of all, sums, products (did you mean 'products'?)" "${build[@]}" --backend-option take=product
says 1 "--backend-option tile=9: tuned.tile was set to '8' before" "${build[@]}" --backend-option tuned.tile=8 --backend-option tile=9
says 1 "--backend-option tuned.trace=true: this is set when a program starts" "${build[@]}" --backend-option trace=true
says 2 "--backend-option tile: expected NAME=VALUE or BACKEND.NAME=VALUE" "${build[@]}" --backend-option tile
says 1 "the backend cpu has no option 'tile'" "$kiln" build plane.kiln -o program --backend-option tile=8
says 1 "the backend cpu has no option 'tile'" env -u KILN_VERIFY_STAGES "$kiln" build plane.kiln -o program --backend-option tile=8 # which looks into the cache first
[ ! -e program ] || { echo "FAILED: a program was written all the same"; bad=1; }

# The compile side gets them, in a process of its own and in kiln's.
explain=("$kiln" explain plane.kiln --backend "$plugin")
says 0 "as tiles of 16" "${explain[@]}" --fusion
for trust in "" --trust; do
  says 0 "as tiles of 8" "${explain[@]}" --fusion --backend-option tuned.tile=08 $trust
done
says 0 "it was set to take another op" "${explain[@]}" --placement --backend-option take=sums
says 0 "no errors" "$kiln" check plane.kiln --backend "$plugin" --backend-option take=sums

# A program keeps what it was built with; its start may say otherwise where the option is of both sides.
says 0 "" "${build[@]}" --backend-option tile=8 --backend-option take=products
says 0 "built with take=products" ./program info
grep -qF "built with tile=8" said || { echo "FAILED: info does not say the tile"; bad=1; }
grep -qF "option trace=false" said || { echo "FAILED: info lists no options"; bad=1; }
says 0 '"backend_options":{"tuned":{"take":"products","tile":"8"}}' ./program info --json
says 0 "done after 40 steps" ./program train
never "tuned "
says 0 "tuned closed: tile 8, note 'a=b.c', " ./program train --backend-option trace=true --backend-option "tuned.note=a=b.c"
grep -qF "tuned loads code for tiles of 8" said || { echo "FAILED: the code is for another tile"; bad=1; }
says 0 "tuned opened: tile 4, note ''" ./program train --backend-option trace=true --backend-option tile=4
says 0 "done after 40 steps" ./program train --backend-option take=products
says 1 "tuned.take=sums: this is settled when a program is built, and this one was built with take=products" \
  ./program train --backend-option take=sums
says 1 "the backends tuned, cpu have no option 'trac' (did you mean 'trace'?)" ./program train --backend-option trac=true
says 1 "tuned.trace is true or false" ./program info --backend-option trace=yes
says 1 "tuned.trace was set to 'true' before" ./program train --backend-option trace=true --backend-option trace=false
says 2 "expected NAME=VALUE or BACKEND.NAME=VALUE" ./program train --backend-option trace

# Built into the cache and run: each half has its own, and another program is made only where it is another.
train=("$kiln" train plane.kiln --backend "$plugin" --backend-option trace=true)
says 0 "tuned closed: tile 4, note ''" "${train[@]}" --backend-option tile=4
grep -qF "tuned loads code for tiles of 4" said || { echo "FAILED: train's code is for another tile"; bad=1; }
says 0 "tuned loads code for tiles of 16" "${train[@]}"
says 0 "note 'again'" "${train[@]}" --backend-option note=again
says 0 "tuned loads code for tiles of 4" "${train[@]}" --backend-option tuned.tile=4
count=$(find cache/kiln -name '*.sum' | wc -l)
[ "$count" -eq 2 ] || { echo "FAILED: $count programs in the cache, not 2"; bad=1; }

# Commands about several backends.
says 0 "agree" "$kiln" check plane.kiln --backend "$plugin" --against reference --backend-option trace=true --backend-option tile=2
grep -qF "tuned loads code for tiles of 2" said || { echo "FAILED: --against's code is for another tile"; bad=1; }
says 0 "agree" "$kiln" check plane.kiln --backend cpu --against "$plugin" --backend-option tuned.take=all --backend-option trace=true
grep -qF "tuned loads code" said || { echo "FAILED: the option did not reach the second backend"; bad=1; }
says 1 "the backends tuned, cpu, reference have no option 'tiles'" \
  "$kiln" check plane.kiln --backend "$plugin" --against reference --backend-option tiles=2
bench=("$kiln" bench plane.kiln --backend "$plugin,cpu" --min-time 0.01)
says 0 "tuned loads code for tiles of 2" "${bench[@]}" --backend-option tile=2 --backend-option trace=true
says 1 "--backend-option tiles=2: none of the backends" "${bench[@]}" --backend-option tiles=2
says 0 "0 failures" "$kiln" conform "$plugin" --only 'ops/dot*|ops/add*' --backend-option take=products
grep -Eq "ops add +f32 [0-9]+ refused  f64" said || { echo "FAILED: the kit did not set what is taken:"; grep "ops" said | head; bad=1; }
says 1 "the backend tuned has no option 'tiel' (did you mean 'tile'?)" "$kiln" conform "$plugin" --backend-option tiel=8
[ $bad -ne 0 ] || echo "every option reaches its side"
exit $bad
