#!/usr/bin/env bash
# Installs Kiln into a temporary prefix, builds the plugins there as somebody outside would, and runs them: kernels made
# by hand, then a model's training beside the CPU's. Arguments: the build folder, the source folder, which plugin (minimal
# or opencl). KILN_LONG=1: every kernel, also where the driver compiles each of them for long.
set -euo pipefail
build=$1 source=$2 which=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
export XDG_CACHE_HOME=$work/cache

say() { echo "==> $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

say "what docs/write-a-backend.md shows is the tested code"
blocks() { awk -v open='```'"$1" '$0 == open {inside = 1; next} /^```$/ {inside = 0} inside' "$source/docs/write-a-backend.md"; }
blocks c | diff - "$source/tests/plugins/minimal/minimal.c" || fail "the document's C is not tests/plugins/minimal/minimal.c"
blocks cmake | diff - "$source/tests/plugins/minimal/CMakeLists.txt" || fail "nor its CMakeLists.txt"
python3 - "$source" <<'EOF' || fail "a block of docs/grow-a-backend.md is not in tests/plugins/whole/whole.c, nor in arranged/arranged.c or loops/loops.c"
import re, sys
page, *codes = (open(sys.argv[1] + path).read() for path in
                ("/docs/grow-a-backend.md", "/tests/plugins/whole/whole.c", "/tests/plugins/arranged/arranged.c",
                 "/tests/plugins/loops/loops.c"))
blocks = re.findall(r"```c\n(.*?)```", page, re.S)
sys.exit(not blocks or any(not any(block in code for code in codes) for block in blocks))
EOF
[ "$(wc -l < "$source/tests/plugins/minimal/minimal.c")" -le 200 ] || fail "the smallest backend has more than 200 lines"
[ "$(cat "$source"/tests/plugins/opencl/*.{cpp,h,txt} | wc -l)" -le 1500 ] || fail "the opencl backend has more than 1,500 lines"

say "install"
cmake --install "$build" --prefix "$prefix" > "$work/install.log" || { cat "$work/install.log"; fail "cmake --install"; }
"$prefix/bin/kiln" backends | tee "$work/backends"
grep -q "$prefix/lib/kiln/backends/libkiln_backend_cpu.so" "$work/backends" || fail "the installed kiln does not find its backends"

# NAME: build a plugin from outside; its file's path in $plugin.
plugin=
make_plugin() {
  cmake -G Ninja -S "$source/tests/plugins/$1" -B "$work/$1" -DCMAKE_PREFIX_PATH="$prefix" > "$work/log" 2>&1 &&
    cmake --build "$work/$1" -j 2 >> "$work/log" 2>&1 || { cat "$work/log"; fail "building the $1 backend from outside"; }
  plugin=$work/$1/libkiln_backend_$1.so
}

# NAME MODEL-FILE STEPS ARGUMENTS...: so many steps through the plugin and through the CPU; losses agree.
losses() { sed -nE 's/.*"step":([0-9]+),"loss":([-0-9.e+]+).*/\1 \2/p'; }
train() {
  local name=$1 model=$2 steps=$3
  shift 3
  if [ -z "${KILN_DATA:-}" ]; then
    echo "SKIPPED: training $model with the $name backend (KILN_DATA is not set)"
    return
  fi
  "$prefix/bin/kiln" build "$source/models/$model/$model.kiln" "$@" -o "$work/on_cpu"
  "$prefix/bin/kiln" build "$source/models/$model/$model.kiln" "$@" --backend "$plugin" -o "$work/on_$name"
  (cd "$work" && ./on_cpu train --steps "$steps" --out a --json 2> a.log | losses > a.txt &&
    "./on_$name" train --steps "$steps" --out b --json 2> b.log | losses > b.txt) ||
    { cat "$work"/[ab].log; fail "training $model with the $name backend"; }
  rm -rf "$work"/[ab]
  paste -d ' ' "$work/a.txt" "$work/b.txt" | awk -v steps="$steps" '
    { d = $2 - $4; if (d < 0) d = -d; if ($1 != $3 || d > 1e-5) { print "losses differ: " $0; bad = 1 } }
    END { if (NR != steps) { print NR " steps in place of " steps; bad = 1 } exit bad }' ||
    fail "$model learns otherwise with the $name backend"
  echo "$model: $steps steps as on the CPU"
}

# NAME ROWS: the kit on the plugin; these rows of it, all with KILN_LONG.
conform() {
  local tier=(--only "$2")
  [ "${KILN_LONG:-0}" = 0 ] || tier=(--full)
  [ ! -f "$source/tests/plugins/$1.expected" ] || tier+=(--expected "$source/tests/plugins/$1.expected")
  "$prefix/bin/kiln" conform "$plugin" "${tier[@]}" > "$work/table" || { cat "$work/table"; fail "kiln conform on the $1 backend"; }
  tail -n 1 "$work/table"
}

say "$which"
if [ "$which" = minimal ]; then
  make_plugin minimal
  "$build/bin/plugin-kernels" "$plugin" --gtest_brief=1 --gtest_filter='-*Status*' || fail "kernels on the minimal backend"
  conform minimal '*'
  train minimal iris 10 --model MLP
  exit 0
fi
if ! [ -f /usr/include/CL/cl.h ]; then
  echo "SKIPPED: the opencl backend (no CL/cl.h: install opencl-headers, ocl-icd-opencl-dev and pocl-opencl-icd)"
  exit 77
fi
make_plugin opencl
if ! KILN_BACKEND_PATH=$work/opencl "$prefix/bin/kiln" backends |
    awk '/^[^ ]/ { mine = $1 == "opencl:" } mine && /^ *device 0:/ { found = 1 } END { exit !found }'; then
  echo "SKIPPED: the opencl backend (no OpenCL device: install pocl-opencl-icd)"
  exit 77
fi
if [ "$which" = conform ]; then
  # The driver compiles each kernel for half a second: not all dtypes, unless asked for.
  conform opencl 'ops/*/f32/*|ops/*/i32/*|ops/*/bool/*|interface/*|threads/*|models/*'
  exit 0
fi
filter='*Layout*:*Products*:*Indexed*:*Status*'
[ "${KILN_LONG:-0}" = 0 ] || filter='*'
"$build/bin/plugin-kernels" "$plugin" --all --gtest_brief=1 --gtest_filter="$filter" || fail "kernels on the opencl backend"
train opencl mnist 25
train opencl gpt 3
