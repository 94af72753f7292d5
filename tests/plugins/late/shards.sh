#!/usr/bin/env bash
# A batch's shards on two devices: the bits of one device, and the numbers of the step that is not cut. Arguments: kiln, the plugins' folder.
set -uo pipefail
source "$(dirname "$0")/common.sh"
make late
for shards in 2 4 3; do
  [ $shards = 3 ] && sed -i 's/batch=16/batch=18/' mix.kiln && make late
  "$kiln" build mix.kiln --backend "$plugins/libkiln_backend_late.so" --shards $shards -o cut || exit 1
  validations whole ./on_late train
  validations one ./cut train --out one$shards
  for devices in 0,1 1,0; do
    validations two ./cut train --device $devices --out two$shards.$devices
    cmp -s one.txt two.txt && cmp -s one$shards/last.safetensors two$shards.$devices/last.safetensors ||
      fail "$shards shards on devices $devices train otherwise than on one: $(paste one.txt two.txt)"
    for device in 0 1; do
      [ "$(number $device 1 two.log)" -ge 40 ] || { fail "device $device computes no shards with --device $devices"; cat two.log; }
    done
  done
  agree whole.txt two.txt 8 1e-5 || fail "$shards shards train otherwise than the whole batch: $(paste whole.txt two.txt)"
done
# Where a part of each shard is the cpu's, and where devices work in the process's memory, one after the other.
for name in late_parts late_host; do
  "$kiln" build mix.kiln --backend "$plugins/libkiln_backend_$name.so" --shards 2 -o cut_$name || exit 1
  validations one ./cut_$name train --save one.safetensors
  validations two ./cut_$name train --device 0,1 --save two.safetensors
  [ -s one.txt ] && cmp -s one.txt two.txt && cmp -s one.safetensors two.safetensors || fail "shards of $name train otherwise on two devices"
  agree whole.txt two.txt 8 1e-5 || fail "shards of $name train otherwise than the whole batch: $(paste whole.txt two.txt)"
  for device in 0 1; do
    [ "$(number $device 1 two.log)" -ge 40 ] || { fail "device $device of $name computes no shards"; cat two.log; }
  done
done
# Statistics of each shard, draws, and states of rows and over them.
cat > own.kiln <<'TEXT'
model Mix:
    hidden = parameter(f32[4, 8], init=uniform(-0.5, 0.5))
    out    = parameter(f32[8, 2], init=uniform(-0.5, 0.5))
    norm   = BatchNorm1d(8)
    last   = state(f32[B, 2], session)
    trail  = state(f32[8], persistent)

    def forward(x: f32[B, 4]) -> f32[B, 2]:
        h = norm(dropout(softmax(x @ hidden), 0.3))
        y = h @ out + 0.1 * last
        if training:
            last  = y
            trail = 0.9 * trail + 0.1 * mean(h, axis=0)
        return y

train Mix:
    data      = csv("points.csv", features=4, target=[4, 5], batch=16)
    loss      = mse(forward(data.features), data.target)
    optimizer = Adam(lr=0.05)
    steps     = 40
TEXT
"$kiln" build own.kiln --backend "$plugins/libkiln_backend_late.so" --shards 4 -o own 2> /dev/null || exit 1
./own train --out own_one > /dev/null 2>&1
for devices in 0,1 1,0; do
  ./own train --device $devices --out own_two > own.log 2>&1
  cmp -s own_one/last.safetensors own_two/last.safetensors || { fail "statistics, draws and states are others on devices $devices"; tail -3 own.log; }
  rm -rf own_two
done
# Two devices are at work at the same time: each was given work while the other had some.
"$kiln" build mix.kiln --backend "$plugins/libkiln_backend_late.so" --shards 2 -o cut
spent() { local began=$(date +%s%N); "$@" > /dev/null 2>&1; echo $((($(date +%s%N) - began) / 1000000)); }
one=$(spent ./cut train --backend-option late.delay=20000) two=$(spent ./cut train --device 0,1 --backend-option late.delay=20000)
[ $((two * 10)) -lt $((one * 9)) ] || fail "two devices take $two ms, one takes $one"
# A run goes on, on another number of devices.
./cut train --steps 20 --device 0,1 --out parts > /dev/null 2>&1 && ./cut train --resume --out parts > /dev/null 2>&1
./cut train --out piece > /dev/null 2>&1
cmp -s parts/last.safetensors piece/last.safetensors || fail "20 steps on two devices and 20 on one are not 40 on one"
./cut info --device 0,1 | grep -qF '; on devices 0, 1' || { fail "info does not say where the shards are"; ./cut info --device 0,1; }
[ $bad -ne 0 ] || echo "in shares"
exit $bad
