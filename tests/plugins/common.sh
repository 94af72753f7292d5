# For the scripts of the folders beside it, which source it first: a folder of their own to work in, a model's data,
# comparisons. `here` is the script's folder.
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
awk 'BEGIN { for (i = 0; i < 80; ++i) { a = i % 4 / 4; b = i * 7 % 5 / 5; c = i * 3 % 7 / 7; d = i % 3 / 3
             print a "," b "," c "," d "," a - b "," c + d } }' > points.csv
bad=0
fail() { echo "FAILED: $*"; bad=1; }
# NAME COMMAND...: a training's validation losses into NAME.txt, and what it says into NAME.log
validations() {
  local name=$1
  shift
  timeout 120 "$@" --json 2> "$name.log" | sed -nE 's/.*"val_loss":([-0-9.e+]+).*/\1/p' > "$name.txt"
}
# FILE FILE LEAST [APART]: whether the numbers of two files are no further apart (than 1e-5), all of at least so many.
agree() {
  paste -d ' ' "$1" "$2" | awk -v least="$3" -v apart="${4:-1e-5}" '
    { d = $1 - $2; if (d < 0) d = -d; if (NF != 2 || d > apart) bad = 1 } END { exit bad || NR < least }'
}
