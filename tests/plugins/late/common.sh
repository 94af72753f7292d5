# For the scripts beside it: a model, its data, programs of it. Arguments: kiln, the plugins' folder.
kiln=$1 plugins=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/mix.kiln" .
awk 'BEGIN { for (i = 0; i < 80; ++i) { a = i % 4 / 4; b = i * 7 % 5 / 5; c = i * 3 % 7 / 7; d = i % 3 / 3
             print a "," b "," c "," d "," a - b "," c + d } }' > points.csv
bad=0
fail() { echo "FAILED: $*"; bad=1; }
# NAME...: programs on_NAME
make() {
  for name in "$@"; do
    backend=$plugins/libkiln_backend_$name.so
    [ "$name" = cpu ] && backend=cpu
    "$kiln" build mix.kiln --backend "$backend" -o "on_$name" || exit 1
  done
}
# OUT PROGRAM OPTION...: a training's validation losses, and what it says
validations() {
  local out=$1
  shift
  timeout 120 "$@" --json 2> "$out.log" | sed -nE 's/.*"val_loss":([-0-9.e+]+).*/\1/p' > "$out.txt"
}
# Whether the numbers of two files agree to 1e-5, all of at least so many.
agree() { paste -d ' ' "$1.txt" "$2.txt" | awk -v least="$3" '{ d = $1 - $2; if (d < 0) d = -d; if (NF != 2 || d > 1e-5) bad = 1 } END { exit bad || NR < least }'; }
# DEVICE NAME FILE: one of the numbers that a device of the plugin says when it is closed
number() { sed -nE "s/^late $1: ([0-9]+) executions, ([0-9]+) given while it was at work; ([0-9]+) waits, ([0-9]+) of them blocked; ([0-9]+) signals$/\1 \2 \3 \4 \5/p" "$3" |
           cut -d ' ' -f "$2"; }
