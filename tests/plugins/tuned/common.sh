# For the scripts beside it: a model, and words that a command has to say. Arguments: kiln, the plugins' folder.
kiln=$1 plugins=$2
source "$(dirname "$0")/../common.sh"
export XDG_CACHE_HOME=$work/cache
cp "$here/../packing/plane.kiln" .

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
