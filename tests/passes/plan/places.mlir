// RUN: %kiln-opt --kiln-fuse=single --kiln-plan-memory -split-input-file %s | FileCheck %s

// A chain lives in one buffer; the last value is born in the result's memory.
// CHECK-LABEL: func.func @chain
// CHECK-SAME: kiln.arena = 64 : i64, kiln.lower_bound = 64
// CHECK: kiln.places = ["arg0", "arena+0"]
// CHECK: kiln.alias = array<i32: 0>, kiln.places = ["arena+0", "arena+0"]
// CHECK: kiln.places = ["arena+0", "arg1"]
func.func @chain(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = kiln.exp %x : tensor<16xf32>
  %1 = kiln.tanh %0 : tensor<16xf32>
  %2 = kiln.neg %1 : tensor<16xf32>
  return %2 : tensor<16xf32>
}

// -----

// The new parameter is written over the old one, after the old one's other reader.
// CHECK-LABEL: func.func @update
// CHECK: kiln.exp
// CHECK: kiln.places = ["arg0", "arg1", "arg0"]
// CHECK-NEXT: ^
// CHECK-NEXT: kiln.sub
func.func @update(%p: tensor<16xf32> {kiln.parameter = "p"}, %g: tensor<16xf32>)
    -> (tensor<16xf32> {kiln.parameter = "p"}, tensor<16xf32>) {
  %0 = kiln.sub %p, %g : tensor<16xf32>
  %1 = kiln.exp %p : tensor<16xf32>
  return %0, %1 : tensor<16xf32>, tensor<16xf32>
}

// -----

// A scan reads and writes its sequences in place.
// CHECK-LABEL: func.func @scan
// CHECK: kiln.places = ["arg0+64*i0", "arg1", "arg1"]
// CHECK: kiln.places = ["arg1", "arg2+64*i0"]
func.func @scan(%xs: tensor<5x16xf32>, %h0: tensor<16xf32> {kiln.state = "h"})
    -> (tensor<16xf32> {kiln.state = "h"}, tensor<5x16xf32>) {
  %h, %ys = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> (tensor<5x16xf32>) {
    %0 = kiln.add %x, %a : tensor<16xf32>
    %1 = kiln.exp %0 : tensor<16xf32>
    kiln.yield %0, %1 : tensor<16xf32>, tensor<16xf32>
  }
  return %h, %ys : tensor<16xf32>, tensor<5x16xf32>
}
