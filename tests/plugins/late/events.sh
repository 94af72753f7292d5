#!/usr/bin/env bash
# Backends that finish late: what comes of it is what comes of the CPU's, and nobody waits who need not. Arguments: kiln,
# the plugins' folder.
set -uo pipefail
source "$(dirname "$0")/common.sh"
make cpu late late_parts late_host
validations cpu ./on_cpu train
for name in late late_parts late_host; do
  validations $name ./on_$name train
  agree cpu.txt $name.txt 8 || { fail "$name trains otherwise than the CPU:"; paste cpu.txt $name.txt; cat $name.log; }
done

# A whole program on one: each step that nothing ends with is given while the one before is under way, and its loss is
# read when the next is on its way. 40 steps, of which every fifth is validated.
executions=$(number 0 1 late.log) meanwhile=$(number 0 2 late.log)
[ "${meanwhile:-0}" -ge 24 ] || fail "only ${meanwhile:-no} of ${executions:-no} executions were given ahead"

# Two softmaxes with a product between them that needs neither: that is made while the first is under way, the second
# is given meanwhile, and one wait is enough for both.
python3 - <<'P'
import struct
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (16, 4), }".ljust(117) + "\n"
with open("x.npy", "wb") as file:
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
    file.write(struct.pack("<64f", *[i % 7 / 7 for i in range(64)]))
P
for name in cpu late late_parts late_host; do
  delay="--backend-option delay=30000"
  [ $name = cpu ] && delay=
  timeout 60 ./on_$name run apart --input x=x.npy --output $name.safetensors $delay > $name.said 2> $name.run || { fail "run apart on $name"; cat $name.run; }
done
[ "$(number 0 1 late_host.run)" = 2 ] || { fail "late_host is to have two parts of apart"; cat late_host.run; }
[ "$(number 0 2 late_host.run)" = 1 ] || { fail "the second softmax was not given while the first was under way"; cat late_host.run; }
[ "$(number 0 4 late_host.run)" = 1 ] || { fail "one wait is enough for both softmaxes"; cat late_host.run; }

# What breaks late is told by its name all the same.
for name in late late_parts late_host; do
  timeout 60 ./on_$name train --backend-option breaks=7 > broken 2>&1 && fail "$name: a broken execution goes unnoticed"
  grep -q "error: the backend $name failed in 'train_step': it broke, and nobody was there" broken ||
    grep -q "error: the backend $name failed in 'eval': it broke, and nobody was there" broken || { fail "$name: not told what broke"; cat broken; }
done
[ $bad -ne 0 ] || echo "late, and right"
exit $bad
