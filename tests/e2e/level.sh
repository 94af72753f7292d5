#!/usr/bin/env bash
# level.sh CPU PROGRAM ...: runs a test with KILN_TEST_CPU=CPU; 77, said aloud, where this processor has not that level.
set -euo pipefail
level=${1%%:*}
if [[ $level == x86-64-v* ]] && ! /lib64/ld-linux-x86-64.so.2 --help 2>/dev/null | grep -q "$level (supported"; then
  echo "SKIPPED: $2 for $1 (this processor has it not: its code is not tried here)"
  exit 77
fi
export KILN_TEST_CPU=$1
exec "${@:2}"
