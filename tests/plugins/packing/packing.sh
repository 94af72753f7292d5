#!/usr/bin/env bash
# Weights are packed once as long as nobody writes them, and anew as soon as somebody does: training, loading, another
# entry, another backend. Arguments: kiln, the plugin that packs, the one that never looks again.
set -uo pipefail
kiln=$1 packing=$2 blind=$3
source "$(dirname "$0")/../common.sh"
cp "$here/plane.kiln" .
for name in cpu packing blind; do
  backend=cpu
  [ $name = packing ] && backend=$packing
  [ $name = blind ] && backend=$blind
  "$kiln" build plane.kiln --backend "$backend" -o "on_$name" || exit 1
  validations $name "./on_$name" train
done

# Validations while it trains: between two of them the training's entry has written the weights, on either backend.
agree cpu.txt packing.txt 8 || { fail "validation losses differ:"; paste cpu.txt packing.txt; }
! agree cpu.txt blind.txt 8 || fail "weights that are never packed again make no difference: this test sees nothing"
grep -Eq "packed [1-9][0-9]* times, reused [1-9][0-9]* times" packing.log || { fail "it packs nothing:"; cat packing.log; }

# Many executions of one function, and no write: each of the two weights once.
./on_packing bench forward --min-time 0.05 > bench.log 2>&1 || { fail "bench"; cat bench.log; }
grep -Eq "packed 2 times, reused [1-9][0-9]+ times" bench.log || { fail "not packed once:"; grep packing bench.log; }

# A library's weights.
for name in cpu packing blind; do
  mkdir "lib_$name"
  backend=cpu
  [ $name = packing ] && backend=$packing
  [ $name = blind ] && backend=$blind
  "$kiln" build plane.kiln --backend "$backend" --emit shared -o "lib_$name/libplane.so" || exit 1
  cc -std=c99 -I"lib_$name" "$here/weights.c" -L"lib_$name" -lplane -Wl,-rpath,"$work/lib_$name" -o "lib_$name/weights" || exit 1
  (cd "lib_$name" && ./weights > said 2> log) || { fail "the library's program on $name"; cat "lib_$name/log"; }
done
cmp -s lib_cpu/said lib_packing/said || { fail "a library's weights differ:"; diff lib_cpu/said lib_packing/said; }
! cmp -s lib_cpu/said lib_blind/said || fail "the library's test sees nothing"
[ "$(sort -u lib_cpu/said | wc -l)" -eq 6 ] || fail "the library's program says too little"
[ $bad -ne 0 ] || echo "packed once, and right"
exit $bad
