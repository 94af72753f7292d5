#!/usr/bin/env bash
# Runs every test of a built tree and the check of its formatting; then the language's, the passes' and the runtime's tests
# again under address and undefined, and what needs no LLVM under thread; and ends with the line "N passed, N failed,
# N skipped". KILN_SANITIZERS=0 leaves the sanitizers out; arguments go to ctest.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -n "${KILN_DATA:-}" ] || echo "note: KILN_DATA is not set; tests on real data are skipped" >&2

jobs=${KILN_JOBS:-$(nproc)}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

run() { # preset, arguments for ctest
  local preset=$1 total bad jumped
  shift
  ctest --preset "$preset" -j "$jobs" --output-on-failure --timeout 2700 --no-tests=error "$@" | tee "$log"
  local code=${PIPESTATUS[0]}
  total=$(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+)/\2/p' "$log" | tail -1)
  bad=$(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+)/\1/p' "$log" | tail -1)
  jumped=$(grep -cE '\*\*\*Skipped' "$log")
  # A run that ended without its closing line counts as a failure.
  [ -n "$total" ] || { total=1 bad=1; }
  [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  passed=$((passed + total - bad - jumped)) failed=$((failed + bad)) skipped=$((skipped + jumped))
}

if ./dev format --check; then
  passed=$((passed + 1))
else
  echo "formatting: ./dev format puts it right" >&2
  failed=$((failed + 1))
fi

run release "$@"

if [ "${KILN_SANITIZERS:-1}" != 0 ]; then
  for preset in asan tsan; do
    echo "==> under the ${preset} preset"
    if cmake --preset "$preset" >/dev/null && cmake --build --preset "$preset" -j "$jobs" -- --quiet; then
      run "$preset"
    else
      failed=$((failed + 1))
    fi
  done
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
