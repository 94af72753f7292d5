#!/usr/bin/env bash
# kiln conform BACKEND ...; 77 where it has no device on this machine. Arguments: the kiln program, the backend, what else
# `kiln conform` is to get. KILN_LONG=1: the full tier.
set -uo pipefail
kiln=$1 backend=$2
shift 2
if ! "$kiln" backends | grep -A 2 "^$backend:" | grep -q 'device 0'; then
  echo "SKIPPED: kiln conform $backend (it finds no device here; \`kiln backends\` says why)"
  exit 77
fi
[ "${KILN_LONG:-0}" = 0 ] || set -- "$@" --full
"$kiln" conform "$backend" "$@"
