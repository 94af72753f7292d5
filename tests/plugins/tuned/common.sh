# For the scripts beside it: a model, its data, and words that a command has to say. Arguments: kiln, the plugins' folder.
kiln=$1 plugins=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache
cd "$work"
cp "$here/../packing/plane.kiln" .
awk 'BEGIN { for (i = 0; i < 80; ++i) { a = i % 4 / 4; b = i * 7 % 5 / 5; c = i * 3 % 7 / 7; d = i % 3 / 3
             print a "," b "," c "," d "," a - b "," c + d } }' > points.csv

bad=0
# CODE WORDS COMMAND...: the exit code, and words that it prints on either stream.
says() {
  local code=$1 words=$2 found=0
  shift 2
  timeout 120 "$@" > said 2>&1 || found=$?
  if [ $found -ne "$code" ] || { [ -n "$words" ] && ! grep -qF -- "$words" said; }; then
    echo "FAILED: $*: exit code $found, expected $code; it is to say '$words' and says:"
    tail -n 5 said
    bad=1
  fi
}
# Words that the last command has not printed.
never() {
  if grep -qF -- "$1" said; then
    echo "FAILED: the last command says '$1':"
    tail -n 5 said
    bad=1
  fi
}
