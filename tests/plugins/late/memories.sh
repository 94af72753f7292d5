#!/usr/bin/env bash
# A device with several memories: each buffer is asked for by its use, what finds no room goes elsewhere, and the numbers
# are the same. Arguments: kiln, the plugins' folder.
set -uo pipefail
source "$(dirname "$0")/common.sh"
make late_host late_memories
validations late_host ./on_late_host train
validations late_memories ./on_late_memories train
cmp -s late_host.txt late_memories.txt || { fail "with several memories it trains otherwise:"; paste late_host.txt late_memories.txt; cat late_memories.log; }
grep -qE "late: buffers for any [0-9]+, arena [1-9][0-9]*, kept [1-9][0-9]* \([1-9][0-9]* no room\), input [1-9][0-9]*, result [1-9]" late_memories.log ||
  { fail "not every use was asked for"; tail -3 late_memories.log; }
./on_late_memories info > said
grep -qF "; near: 64.0 MiB (arena, kept); seen by the host (input); far: 1.0 GiB (any)" said || { fail "info does not tell of the memories"; head -5 said; }
[ $bad -ne 0 ] || echo "each in its memory"
exit $bad
