#!/bin/sh
# spirv-val over every shader of the models, in all of its variants, strict and fast. Usage: spirv.sh KILN MODELS FOLDER
#
# Shaders of cooperative matrices come as numbers where the SPIRV-Tools that Kiln was built with do not know them. A newer
# spirv-val in the path does; an old one is said to have left them out.
set -eu
kiln=$1 models=$2 folder=$3 unknown=0
validate() { # shader, of whom
  spirv-val --target-env vulkan1.2 "$work/module" 2>"$work/message" && return
  case $(cat "$work/message") in
    *"Invalid capability operand"*) unknown=$((unknown + 1)) ;;
    *) cat "$work/message"; echo "$1 of $2" >&2; exit 1 ;;
  esac
}
for model in iris:MLP mnist:MNIST resnet:ResNet gpt:GPT translate:Translate; do
  for math in strict fast; do
    name=${model%%:*} work=$folder/$name-$math
    rm -rf "$work"
    mkdir -p "$work"
    "$kiln" build "$models/$name/$name.kiln" --model "${model##*:}" --backend vulkan --math $math --emit spirv -o "$work/all"
    csplit -s -z -n 4 -f "$work/shader" "$work/all" '/^; SPIR-V$\|^; this build.s SPIRV-Tools/' '{*}'
    rm "$work/all"
    count=0
    for shader in "$work"/shader*; do
      if head -n 1 "$shader" | grep -q '^; SPIR-V'; then
        spirv-as --target-env vulkan1.2 "$shader" -o "$work/module"
      else
        python3 -c 'import array, sys; array.array("I", map(int, sys.stdin.read().split("\n", 1)[1].split())).tofile(sys.stdout.buffer)' \
          <"$shader" >"$work/module"
      fi
      validate "$shader" "$name, $math"
      count=$((count + 1))
    done
    test $count -ge 10 || { echo "$name has $count shaders only" >&2; exit 1; }
    echo "$name $math: $count shaders"
    rm -r "$work"
  done
done
if [ $unknown -gt 0 ]; then
  echo "LEFT OUT: $unknown shaders by cooperative matrices: $(spirv-val --version | head -n 1) does not know SPV_KHR_cooperative_matrix"
fi
