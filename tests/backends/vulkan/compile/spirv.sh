#!/bin/sh
# spirv-val over every shader of the models, in both of its variants, strict and fast. Usage: spirv.sh KILN MODELS FOLDER
set -eu
kiln=$1 models=$2 folder=$3
for model in iris:MLP mnist:MNIST resnet:ResNet gpt:GPT translate:Translate; do
  for math in strict fast; do
    name=${model%%:*} work=$folder/$name-$math
    rm -rf "$work"
    mkdir -p "$work"
    "$kiln" build "$models/$name/$name.kiln" --model "${model##*:}" --backend vulkan --math $math --emit spirv -o "$work/all"
    csplit -s -z -n 4 -f "$work/shader" "$work/all" '/^; SPIR-V$/' '{*}'
    rm "$work/all"
    count=0
    for shader in "$work"/shader*; do
      spirv-as --target-env vulkan1.2 "$shader" -o "$work/module"
      spirv-val --target-env vulkan1.2 "$work/module" || { echo "$shader of $name, $math" >&2; exit 1; }
      count=$((count + 1))
    done
    test $count -ge 10 || { echo "$name has $count shaders only" >&2; exit 1; }
    echo "$name $math: $count shaders"
    rm -r "$work"
  done
done
