#!/usr/bin/env bash
# kiln conform BACKEND ...; 77 where it has no device on this machine. Arguments: the kiln program, the backend, what else
# `kiln conform` is to get. KILN_LONG=1: the full tier.
set -uo pipefail
kiln=$1 backend=$2
shift 2
if ! "$kiln" backends | awk -v name="$backend:" '/^[^ ]/ { mine = $1 == name } mine && /^ *device 0:/ { found = 1 } END { exit !found }'; then
  echo "SKIPPED: kiln conform $backend (it finds no device here; \`kiln backends\` says why)"
  exit 77
fi
# A level that this processor has not: said aloud, since what it would show goes untried.
level=$(printf '%s\n' "$@" | grep -o 'x86-64-v[234]$' || true)
if [ -n "$level" ] && ! /lib64/ld-linux-x86-64.so.2 --help 2>/dev/null | grep -q "$level (supported"; then
  echo "SKIPPED: kiln conform $backend for $level (this processor has it not: its code is not tried here)"
  exit 77
fi
[ "${KILN_LONG:-0}" = 0 ] || set -- "$@" --full
"$kiln" conform "$backend" "$@"
