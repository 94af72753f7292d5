// RUN: %kiln-opt --kiln-plan-memory="red-zone=512" %s | FileCheck %s
// RUN: %kiln-opt --kiln-plan-memory %s | FileCheck %s --check-prefix=PLAIN

// With red zones no memory is used twice: %0 is dead when %2 is made, and keeps its place all the same. 80 bytes behind
// 512, then 512 more up to a multiple of 64.
// CHECK: kiln.arena = 2432
// CHECK: kiln.places = ["arg0", "arena+512"]
// CHECK: kiln.places = ["arena+512", "arena+1152"]
// CHECK: kiln.places = ["arena+1152", "arena+1792"]
// CHECK: kiln.places = ["arena+1792", "arg1"]

// PLAIN: kiln.arena = 256
func.func @chain(%x: tensor<20xf32>) -> tensor<20xf32> {
  %0 = kiln.group elementwise %x : (tensor<20xf32>) -> tensor<20xf32> {
  ^bb0(%a: tensor<20xf32>):
    %1 = kiln.exp %a : tensor<20xf32>
    kiln.yield %1 : tensor<20xf32>
  }
  %2 = kiln.group elementwise %0 : (tensor<20xf32>) -> tensor<20xf32> {
  ^bb0(%a: tensor<20xf32>):
    %3 = kiln.reverse %a, [0] : tensor<20xf32>
    kiln.yield %3 : tensor<20xf32>
  }
  %4 = kiln.group elementwise %2 : (tensor<20xf32>) -> tensor<20xf32> {
  ^bb0(%a: tensor<20xf32>):
    %5 = kiln.reverse %a, [0] : tensor<20xf32>
    kiln.yield %5 : tensor<20xf32>
  }
  %6 = kiln.group elementwise %4 : (tensor<20xf32>) -> tensor<20xf32> {
  ^bb0(%a: tensor<20xf32>):
    %7 = kiln.reverse %a, [0] : tensor<20xf32>
    kiln.yield %7 : tensor<20xf32>
  }
  return %6 : tensor<20xf32>
}
