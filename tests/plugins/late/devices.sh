#!/usr/bin/env bash
# Functions of a program on devices of their own. Arguments: kiln, the plugins' folder.
set -uo pipefail
source "$(dirname "$0")/common.sh"
make cpu late late_parts
for name in late late_parts; do
  validations $name ./on_$name train
  for devices in 0,1 1,0; do
    validations $name.$devices ./on_$name train --device $devices
    cmp -s $name.txt $name.$devices.txt || { fail "$name on devices $devices trains otherwise than on one:"; paste $name.txt $name.$devices.txt; cat $name.$devices.log; }
    for device in 0 1; do
      [ "$(number $device 1 $name.$devices.log)" -gt 0 ] || fail "device $device of $name does nothing with --device $devices"
    done
  done
done
# What training leaves on one device is brought to the other behind its back: by a signal, not by a wait of the host.
[ "$(number 1 5 late.0,1.log)" -gt 0 ] || [ "$(number 0 5 late.0,1.log)" -gt 0 ] || { fail "no signal between the devices"; cat late.0,1.log; }
[ "$(./on_late info --device 0,1 | grep -c "; on device [01]$")" -ge 3 ] || { fail "info does not say which function is where"; ./on_late info --device 0,1; }

# CODE WORDS COMMAND...
says() {
  local code=$1 words=$2 found=0
  shift 2
  timeout 60 "$@" > said 2>&1 || found=$?
  [ $found -eq "$code" ] && grep -qF -- "$words" said || { fail "$*: code $found, not $code with '$words':"; tail -3 said; }
}
says 1 "--device 1: backend cpu has 1 device, numbered from 0:" ./on_cpu train --device 0,1
says 1 "--device 2: backend late has 2 devices, numbered from 0:" ./on_late train --device 0,2
says 2 "--device 0,0': device 0 stands twice" ./on_late train --device 0,0
says 2 "--device 0,': expected the number of a device, or several: 0,1" ./on_late train --device 0,
says 2 "--device x': expected the number" ./on_late train --device x
says 2 "--device 0,-1': expected the number" ./on_late train --device 0,-1
says 1 "--device names 7 devices, and the program has something to do for 4" ./on_late train --device 0,1,2,3,4,5,6
[ $bad -ne 0 ] || echo "each where it belongs"
exit $bad
