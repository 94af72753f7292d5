#!/usr/bin/env bash
# What a quarter of an hour with a graphics card is spent on: run.sh [--small] [--budget SECONDS] [--only PART,PART] OUT
#
# In parts that each end by themselves, most telling first. Rows go to OUT/results.jsonl as they are measured, what the parts
# print to OUT/log.txt; table.py OUT makes the table. Run again with the same OUT, a part that is done is not done again.
# A part that fails is recorded with the end of what it printed, and the next one begins. --small: sizes for a processor, to
# try the script itself. --budget: begin no part later than that. Environment: PEER, a python with PyTorch or JAX (python3);
# KILN_DATA (else text from models/gpt and digits out of the air); KILN_GPU_BREAK=PART has that part fail.
#
# Needs a built tree, or one packed by pack.sh, and Python; peers that are not there are left out, which is said.
set -uo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
small='' budget=100000 only=''
while [ $# -gt 1 ]; do
  case $1 in
    --small) small=--small ;;
    --budget) budget=$2; shift ;;
    --only) only=,$2,; shift ;;
    *) break ;;
  esac
  shift
done
[ $# -eq 1 ] && [ "${1#-}" = "$1" ] || { echo "usage: run.sh [--small] [--budget SECONDS] [--only PART,PART] OUT" >&2; exit 2; }
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)

# Part and seconds that it may take.
parts=(
  device:40 kit-gpu:150 parity:120 gate:30 products:170 steps:170 attention:90 rows:60 generate:80 profile:60
  kit-portable:150 greedy:60 validation:90 steps-compiled:240
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KILN_GPU_WORK=$work
. "$tree/tests/gpu/carried.sh"

begin=$SECONDS
failed=0
for entry in "${parts[@]}"; do
  part=${entry%:*} limit=${entry#*:}
  [ -z "$only" ] || [[ $only == *,$part,* ]] || continue
  if python3 "$tree/tests/gpu/rows.py" "$out" done "$part"; then
    echo "== $part: done before"
    continue
  fi
  [ -z "$small" ] || limit=$((limit * 10)) # there the script is tried, on whatever machine, and not the device
  left=$((budget - (SECONDS - begin)))
  if [ "$left" -lt 20 ]; then
    echo "== $part: no time left for it; run this again with the same folder"
    continue
  fi
  [ "$limit" -lt "$left" ] || limit=$left
  echo "== $part"
  start=$(date +%s%N)
  # The part itself ends what it began when its time is over; `timeout` is for one that does not.
  timeout -k 5 $((limit + 10)) python3 "$tree/tests/gpu/parts.py" "$part" "$out" --limit "$limit" $small >"$work/log" 2>&1
  code=$?
  { echo "== $part"; cat "$work/log"; } >>"$out/log.txt"
  grep -a '^left out:' "$work/log"
  python3 "$tree/tests/gpu/rows.py" "$out" ended "$part" "$code" $(($(date +%s%N) - start)) "$work/log" || failed=$((failed + 1))
done
[ "$failed" -eq 0 ] || echo "$failed parts failed; $out/results.jsonl has the end of what they printed"
exit 0
