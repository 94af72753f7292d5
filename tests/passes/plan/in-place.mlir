// RUN: %kiln-opt --kiln-plan-memory -split-input-file %s | FileCheck %s

// Rows written over what they are made of. The gather that checks %t reads none of it.
// CHECK-LABEL: func.func @checked_rows
// CHECK: kiln.places = ["arg0", "arena+0"]
// CHECK: kiln.group rows {{.*}} {kiln.alias = array<i32: 1, -1>, kiln.places = ["arg1", "arena+0", "arena+0", "arg2"]}
func.func @checked_rows(%x: tensor<8x20xf32>, %t: tensor<8xi32>) -> (tensor<8xf32>, tensor<8x20xf32>) {
  %0 = kiln.group elementwise %x : (tensor<8x20xf32>) -> tensor<8x20xf32> {
  ^bb0(%a: tensor<8x20xf32>):
    %1 = kiln.exp %a : tensor<8x20xf32>
    kiln.yield %1 : tensor<8x20xf32>
  }
  %2:2 = kiln.group rows %t, %0 : (tensor<8xi32>, tensor<8x20xf32>) -> (tensor<8x20xf32>, tensor<8xf32>) {
  ^bb0(%n: tensor<8xi32>, %a: tensor<8x20xf32>):
    %3 = kiln.reduce sum %a, [1] : tensor<8x20xf32> -> tensor<8xf32>
    %4 = kiln.broadcast %3, [0] : tensor<8xf32> -> tensor<8x20xf32>
    %5 = kiln.div %a, %4 : tensor<8x20xf32>
    %6 = kiln.iota 0 : tensor<3xf32>
    %7 = kiln.gather %6, %n, 0 : tensor<3xf32>, tensor<8xi32> -> tensor<8xf32>
    %8 = kiln.mul %3, %7 : tensor<8xf32>
    kiln.yield %5, %8 : tensor<8x20xf32>, tensor<8xf32>
  }
  %9 = kiln.group elementwise %2#0 : (tensor<8x20xf32>) -> tensor<8x20xf32> {
  ^bb0(%a: tensor<8x20xf32>):
    %10 = kiln.neg %a : tensor<8x20xf32>
    kiln.yield %10 : tensor<8x20xf32>
  }
  return %2#1, %9 : tensor<8xf32>, tensor<8x20xf32>
}

// -----

// The sum of another row is gathered: by then that row may have been written over.
// CHECK-LABEL: func.func @other_rows
// CHECK: kiln.group rows {{.*}} {kiln.alias = array<i32: -1>, kiln.places = ["arg1", "arena+0", "arena+640"]}
func.func @other_rows(%x: tensor<8x20xf32>, %t: tensor<8xi32>) -> tensor<8x20xf32> {
  %0 = kiln.group elementwise %x : (tensor<8x20xf32>) -> tensor<8x20xf32> {
  ^bb0(%a: tensor<8x20xf32>):
    %1 = kiln.exp %a : tensor<8x20xf32>
    kiln.yield %1 : tensor<8x20xf32>
  }
  %2 = kiln.group rows %t, %0 : (tensor<8xi32>, tensor<8x20xf32>) -> tensor<8x20xf32> {
  ^bb0(%n: tensor<8xi32>, %a: tensor<8x20xf32>):
    %3 = kiln.reduce sum %a, [1] : tensor<8x20xf32> -> tensor<8xf32>
    %4 = kiln.gather %3, %n, 0 : tensor<8xf32>, tensor<8xi32> -> tensor<8xf32>
    %5 = kiln.broadcast %4, [0] : tensor<8xf32> -> tensor<8x20xf32>
    %6 = kiln.div %a, %5 : tensor<8x20xf32>
    kiln.yield %6 : tensor<8x20xf32>
  }
  %7 = kiln.group elementwise %2 : (tensor<8x20xf32>) -> tensor<8x20xf32> {
  ^bb0(%a: tensor<8x20xf32>):
    %8 = kiln.neg %a : tensor<8x20xf32>
    kiln.yield %8 : tensor<8x20xf32>
  }
  return %7 : tensor<8x20xf32>
}
