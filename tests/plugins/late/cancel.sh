#!/usr/bin/env bash
# A step that is under way is given up: at the second Ctrl-C, and at --step-timeout. Arguments: kiln, the plugins' folder.
set -uo pipefail
source "$(dirname "$0")/common.sh"
make late late_parts
timeout 60 ./on_late train --steps 5 --out kept > /dev/null 2>&1 || fail "five steps"
for name in late late_parts; do
  for signal in INT TERM; do
    resume="--steps 40 --out kept --resume"
    [ $name = late ] || resume=
    timeout 100 setsid ./on_$name train $resume --backend-option delay=100000000 > said 2>&1 &
    outer=$!
    for ((i = 0; i < 300; ++i)); do
      grep -qs "resumed\|note" said && break
      sleep 0.1
    done
    sleep 0.5
    inner=$(pgrep -P $outer) # timeout's child
    kill -$signal "$inner"
    for ((i = 0; i < 100; ++i)); do grep -qs "stopping after this step" said && break; sleep 0.1; done
    began=$SECONDS
    kill -$signal "$inner"
    wait $outer
    code=$?
    [ $code -eq 130 ] || fail "$name, $signal: exit code $code"
    [ $((SECONDS - began)) -lt 30 ] || fail "$name, $signal: it took $((SECONDS - began)) s to give up"
    grep -q "stopping after this step; again gives it up" said && grep -q "giving up this step; again ends at once" said &&
      grep -q "error: the backend $name gave up 'train_step' at the second signal" said || { fail "$name, $signal: it is not told"; cat said; }
    [ $name != late ] || grep -q "The last checkpoint stands: kept/last.safetensors, after step 5" said || { fail "no word of the checkpoint"; cat said; }
  done
  timeout 60 ./on_$name train --step-timeout 1 --backend-option delay=100000000 > said 2>&1
  code=$?
  [ $code -eq 1 ] && grep -q "error: the backend $name gave up 'train_step' after 1 s (--step-timeout)" said || { fail "$name, --step-timeout: code $code"; cat said; }
done
# It can go on from there.
timeout 60 ./on_late train --steps 10 --out kept --resume > said 2>&1 && grep -q "resumed at step 5" said || { fail "not resumed"; cat said; }
[ $bad -ne 0 ] || echo "given up, and told"
exit $bad
