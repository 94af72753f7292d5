#!/usr/bin/env bash
# A model trains through a plugin as on the CPU. Arguments: kiln, the plugin.
set -euo pipefail
kiln=$1 plugin=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/plane.kiln" .
awk 'BEGIN { for (i = 0; i < 64; ++i) { a = i % 4 / 4; b = i * 7 % 5 / 5; c = i * 3 % 7 / 7; d = i % 3 / 3
             print a "," b "," c "," d "," a - b "," c + d } }' > points.csv
"$kiln" build plane.kiln -o on_cpu
"$kiln" build plane.kiln --backend "$plugin" -o on_plugin
for program in on_cpu on_plugin; do
  "./$program" train --steps 20 --out "out_$program" --json 2> "$program.log" |
    sed -nE 's/.*"step":([0-9]+),"loss":([-0-9.e+]+).*/\1 \2/p' > "$program.txt" || { cat "$program.log" >&2; exit 1; }
done
./on_plugin info --json | grep -q '"backend":"minimal"' || { echo "no kernel is the plugin's" >&2; exit 1; }
paste -d ' ' on_cpu.txt on_plugin.txt | awk '
  { d = $2 - $4; if (d < 0) d = -d; if ($1 != $3 || d > 1e-5) { print "losses differ: " $0; bad = 1 } }
  NR == 1 { first = $2 } { last = $2 }
  END { if (NR != 20 || last >= first) { print NR " steps, loss from " first " to " last; bad = 1 } exit bad }'
echo "20 steps as on the CPU"
