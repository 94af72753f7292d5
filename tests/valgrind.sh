#!/usr/bin/env bash
# Runs one share of a test program under valgrind, another at each run (KILN_LONG=1: all of it). Arguments: valgrind, into how
# many shares, the program.
set -euo pipefail
shares=$2
[ "${KILN_LONG:-0}" = 0 ] || shares=1
export GTEST_TOTAL_SHARDS=$shares
export GTEST_SHARD_INDEX=${GTEST_SHARD_INDEX:-$((RANDOM % shares))}
echo "GTEST_TOTAL_SHARDS=$GTEST_TOTAL_SHARDS GTEST_SHARD_INDEX=$GTEST_SHARD_INDEX" # to have a failure again
exec "$1" -q --undef-value-errors=no --error-exitcode=9 "$3"
