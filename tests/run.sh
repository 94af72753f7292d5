#!/usr/bin/env bash
# Runs every test of a built tree and ends with the line "N passed, N failed[, N skipped]".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -n "${KILN_DATA:-}" ] || echo "note: KILN_DATA is not set; tests on real data are skipped" >&2

failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

ctest --test-dir build -j "${KILN_JOBS:-$(nproc)}" --output-on-failure --timeout 900 --no-tests=error "$@" | tee "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1

total=$(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+)/\2/p' "$log" | tail -1)
bad=$(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+)/\1/p' "$log" | tail -1)
skipped=$(grep -cE '\*\*\*Skipped' "$log")
total=${total:-0} bad=${bad:-1}
echo "$((total - bad - skipped)) passed, $bad failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$bad" -eq 0 ]
