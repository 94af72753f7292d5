// RUN: %kiln-opt --kiln-fuse --kiln-claim=refuse=exp,log --kiln-place=refuse=exp,log -split-input-file %s | FileCheck %s
// RUN: %kiln-opt --kiln-fuse --kiln-claim=refuse=exp,log --kiln-place="refuse=exp,log apart=true" -split-input-file %s | FileCheck %s --check-prefix=APART

// What was refused op by op is one kernel again, the other's; the reason is the last op's.
// CHECK-LABEL: func.func @again
// CHECK: kiln.group {{.*}}kiln.target = 0
// CHECK: kiln.group {{.*}}kiln.target = 1 : i64, kiln.target_reason = "no log here"
// CHECK: kiln.exp
// CHECK-NEXT: kiln.log
// CHECK: kiln.group {{.*}}kiln.target = 0
// CHECK-NOT: kiln.refused
func.func @again(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = kiln.tanh %x : tensor<16xf32>
  %1 = kiln.exp %0 : tensor<16xf32>
  %2 = kiln.log %1 : tensor<16xf32>
  %3 = kiln.neg %2 : tensor<16xf32>
  return %3 : tensor<16xf32>
}

// -----

// An island stays where nothing is copied. With memory of its own the home would get a handful of numbers and give them
// back: that costs more than the work, so the island joins what is around it.
// CHECK-LABEL: func.func @island
// CHECK: kiln.target = 1
// CHECK: kiln.target = 0
// CHECK: kiln.target = 1
// APART-LABEL: func.func @island
// APART: kiln.group {{.*}}kiln.target = 1
// APART-NOT: kiln.group
func.func @island(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = kiln.exp %x : tensor<16xf32>
  %1 = kiln.tanh %0 : tensor<16xf32>
  %2 = kiln.exp %1 : tensor<16xf32>
  return %2 : tensor<16xf32>
}

// -----

// A product is worth its copies.
// APART-LABEL: func.func @product
// APART: kiln.target = 1
// APART: kiln.target = 0
// APART: kiln.target = 1
func.func @product(%x: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %0 = kiln.exp %x : tensor<16x16xf32>
  %1 = kiln.dot_general %0, %0 batch [] x [] contract [1] x [0] : tensor<16x16xf32>, tensor<16x16xf32> -> tensor<16x16xf32>
  %2 = kiln.exp %1 : tensor<16x16xf32>
  return %2 : tensor<16x16xf32>
}

// -----

// The bytes of an island are those at the bounds, and a dimension may be largest where its symbol is smallest: here the
// copies of 2000001 - T rows take longer than the product.
// APART-LABEL: func.func @falling
// APART-NOT: kiln.target = 0
// APART: return
func.func @falling(%x: tensor<?x1xf32, #kiln.dims<"-T+2000001", "1">>, %w: tensor<1x1xf32>, %t: tensor<?xf32, #kiln.dims<"T">>)
    -> tensor<?x1xf32, #kiln.dims<"-T+2000001", "1">> attributes {kiln.bounds = {T = 2000000 : i64}} {
  %0 = kiln.exp %x : tensor<?x1xf32, #kiln.dims<"-T+2000001", "1">>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [1] x [0] : tensor<?x1xf32, #kiln.dims<"-T+2000001", "1">>, tensor<1x1xf32> -> tensor<?x1xf32, #kiln.dims<"-T+2000001", "1">>
  %2 = kiln.exp %1 : tensor<?x1xf32, #kiln.dims<"-T+2000001", "1">>
  return %2 : tensor<?x1xf32, #kiln.dims<"-T+2000001", "1">>
}

// -----

// A loop is one backend's as a whole.
// CHECK-LABEL: func.func @loop
// CHECK: kiln.scan
// CHECK-NOT: kiln.target = 0
// CHECK: return
func.func @loop(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>) -> tensor<16xf32> {
  %h = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> () {
    %0 = kiln.cumsum %a, 0 : tensor<16xf32>
    %1 = kiln.add %x, %0 : tensor<16xf32>
    %2 = kiln.exp %1 : tensor<16xf32>
    kiln.yield %2 : tensor<16xf32>
  }
  return %h : tensor<16xf32>
}
