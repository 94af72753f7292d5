#!/usr/bin/env bash
# Programs for 64-bit ARM, which qemu runs here. aarch64.sh TARGETS PROGRAM [ARGUMENT]...: PROGRAM is a test that builds
# with KILN_TEST_TARGET and runs through KILN_TEST_RUNNER; TARGETS the folder that `./dev cross` fills. 77 (skipped)
# without qemu or that folder.
set -euo pipefail
target=$1/aarch64-linux-gnu
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || {
  echo "skipped: no qemu-aarch64 (package qemu-user)"
  exit 77
}
[ -e "$target/libkiln_program.a" ] || { echo "skipped: nothing to link programs for 64-bit ARM with (./dev cross)"; exit 77; }
shift
KILN_TEST_TARGET=aarch64-linux-gnu KILN_TEST_RUNNER="$qemu -L $target/sysroot" exec "$@"
