#!/usr/bin/env bash
# Packs a built tree for a machine that has none of Kiln's packages: pack.sh FILE.tar.xz, or pack.sh FOLDER to look at it.
#
# There: unpack it (`tar xf FILE.tar.xz`, or `python3 -m tarfile -e FILE.tar.xz`), then kiln-gpu/tests/gpu/run.sh OUT. It holds the
# compiler with LLVM's libraries and what programs are linked with, the test programs, models, fixtures, the Vulkan loader and
# its validation layer. Libraries that Kiln never calls into are carried as their names alone. At most 64 MiB.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ $# -eq 1 ] && [ "${1#-}" = "$1" ] || { echo "usage: pack.sh FILE.tar.xz|FOLDER" >&2; exit 2; }
file=$(realpath -m "$1")
if [[ $file == *.tar.xz ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
else
  work=$file
fi
root=$work/kiln-gpu
system=/usr/lib/x86_64-linux-gnu
programs="kiln e2e_parity e2e_greedy gpu_loops"

cd "$tree"
mkdir -p "$root/tests" "$root/build/bin" "$root/build/lib/kiln/backends" "$root"/carried/{lib,lacking,layers,sysroot}
cp -r models "$root"
cp -r tests/gpu tests/bench tests/fixtures "$root/tests"
find "$root" -name __pycache__ -prune -exec rm -r {} +
for program in $programs; do
  strip -o "$root/build/bin/$program" "build/bin/$program"
done
for plugin in build/lib/kiln/backends/*.so; do
  strip -o "$root/build/lib/kiln/backends/${plugin##*/}" "$plugin"
done
cp build/lib/libkiln_program.a build/lib/libkiln_*_run.a "$root/build/lib"

# What the programs need of this machine. The C library is everywhere; what lies in `lacking` is used where there is none.
libraries() { ldd "$@" | sed -nE 's/.* => (\/[^ ]+).*/\1/p' | sort -u; }
# shellcheck disable=SC2046,SC2086 # words
for library in $(libraries $(printf 'build/bin/%s ' $programs) build/lib/kiln/backends/*.so); do
  case ${library##*/} in
    libc.so.*|libm.so.*|libdl.so.*|libpthread.so.*|librt.so.*|ld-linux*) ;;
    libstdc++.so.*|libgcc_s.so.*) cp -L "$library" "$root/carried/lacking" ;;
    *) cp -L "$library" "$root/carried/lib" ;;
  esac
done
python3 tests/gpu/names.py "$root/carried/lib" libz3.so.4 libxml2.so.2
rm -f "$root"/carried/lib/{libicuuc,libicudata,liblzma}.so.* # which libxml2 alone needs

# What a program is linked with, where the linker looks for it (KILN_SYSROOT).
gcc=$(dirname "$(gcc -print-file-name=crtbeginS.o)")
gcc=$(realpath "$gcc")
sysroot=$root/carried/sysroot
mkdir -p "$sysroot$gcc" "$sysroot$system" "$sysroot/lib64" "$sysroot/lib"
ln -s ../usr/lib/x86_64-linux-gnu "$sysroot/lib/x86_64-linux-gnu"
cp -L "$gcc"/{crtbeginS.o,crtendS.o,libgcc.a,libgcc_s.so,libstdc++.so} "$sysroot$gcc"
cp -L "$system"/{Scrt1.o,crt1.o,crti.o,crtn.o,libc.so,libc_nonshared.a,libm.so,libmvec.so.1,libpthread.a,libz.a} "$sysroot$system"
cp -L "$system"/{libc.so.6,libm.so.6,libgcc_s.so.1} "$sysroot$system"
cp -L /lib64/ld-linux-x86-64.so.2 "$sysroot/lib64"

# The loader, and what drivers for graphics want of a machine without a screen.
for library in libvulkan.so.1 libGLdispatch.so.0 libGLX.so.0 libEGL.so.1 libX11.so.6 libXext.so.6 libxcb.so.1 libXau.so.6 libXdmcp.so.6; do
  [ ! -f "$system/$library" ] || cp -L "$system/$library" "$root/carried/lacking"
done
if [ -f "$system/libVkLayer_khronos_validation.so" ]; then
  strip -o "$root/carried/layers/libVkLayer_khronos_validation.so" "$system/libVkLayer_khronos_validation.so"
  sed 's|"library_path": *"[^"]*"|"library_path": "./libVkLayer_khronos_validation.so"|' \
    /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json >"$root/carried/layers/VkLayer_khronos_validation.json"
fi

[ "$work" != "$file" ] || exit 0
tar -C "$work" -c --sort=name --owner=0 --group=0 kiln-gpu | xz --threads=1 --x86 --lzma2=preset=9,dict=256MiB >"$file"
bytes=$(stat -c %s "$file")
echo "$file: $((bytes / 1024 / 1024)) MiB"
[ "$bytes" -le $((64 << 20)) ] || { echo "pack.sh: that is more than 64 MiB" >&2; exit 1; }
