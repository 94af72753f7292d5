# For the scripts beside it: a model, and programs of it. Arguments: kiln, the plugins' folder.
kiln=$1 plugins=$2
source "$(dirname "$0")/../common.sh"
cp "$here/mix.kiln" .
# NAME...: programs on_NAME
make() {
  for name in "$@"; do
    backend=$plugins/libkiln_backend_$name.so
    [ "$name" = cpu ] && backend=cpu
    "$kiln" build mix.kiln --backend "$backend" -o "on_$name" || exit 1
  done
}
# DEVICE NAME FILE: one of the numbers that a device of the plugin says when it is closed
number() { sed -nE "s/^late $1: ([0-9]+) executions, ([0-9]+) given while it was at work; ([0-9]+) waits, ([0-9]+) of them blocked; ([0-9]+) signals$/\1 \2 \3 \4 \5/p" "$3" |
           cut -d ' ' -f "$2"; }
