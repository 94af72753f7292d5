// RUN: %kiln-opt --kiln-fuse --kiln-claim -split-input-file %s | FileCheck %s --check-prefix=ALL
// RUN: %kiln-opt --kiln-fuse --kiln-claim=refuse=exp,dot_general -split-input-file %s | FileCheck %s
// RUN: %kiln-opt --kiln-fuse --kiln-claim="refuse=exp,dot_general parts=true" -split-input-file %s | FileCheck %s --check-prefix=PARTS
// RUN: %kiln-opt --kiln-fuse --kiln-claim="refuse=tanh,exp,neg,dot_general" -split-input-file %s | FileCheck %s --check-prefix=NOTHING
// RUN: %kiln-opt --kiln-fuse --kiln-claim="refuse=exp entries=product" -split-input-file %s | FileCheck %s --check-prefix=ENTRIES

// Who takes all gets the groups as fusion made them. Else a group falls apart into single ops, and what is refused even so
// is another's, with the reason.
// ALL-LABEL: func.func @chain
// ALL: kiln.group elementwise %{{.*}} {kiln.as_fused, kiln.target = 0 : i64}
// ALL-NOT: kiln.group
// ALL: return
// CHECK-LABEL: func.func @chain
// CHECK: kiln.group {{.*}}kiln.target = 0
// CHECK: kiln.tanh
// CHECK: kiln.group {{.*}}kiln.target = 1 : i64, kiln.target_reason = "no exp here"
// CHECK: kiln.exp
// CHECK: kiln.group {{.*}}kiln.target = 0
// CHECK: kiln.neg
// Whose pieces are all refused stays one group.
// NOTHING-LABEL: func.func @chain
// NOTHING: kiln.group {{.*}}kiln.as_fused, kiln.target = 1
// NOTHING-NOT: kiln.group
// NOTHING: return
// Functions that are not asked for are nobody's.
// ENTRIES-LABEL: func.func @chain
// ENTRIES-NOT: kiln.target
// ENTRIES: return
func.func @chain(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = kiln.tanh %x : tensor<16xf32>
  %1 = kiln.exp %0 : tensor<16xf32>
  %2 = kiln.neg %1 : tensor<16xf32>
  return %2 : tensor<16xf32>
}

// -----

// A product that is refused first loses what surrounds it; then it is offered alone, and goes elsewhere.
// NOTHING-LABEL: func.func @product
// NOTHING: kiln.group contract {{.*}}kiln.target = 1
// NOTHING-NOT: kiln.group
// NOTHING: return
// CHECK-LABEL: func.func @product
// CHECK: kiln.group contract {{.*}}kiln.target_reason = "no dot_general here"
// CHECK: kiln.dot_general
// CHECK-NEXT: kiln.yield
// CHECK: kiln.group elementwise {{.*}}kiln.target = 0
// CHECK: kiln.tanh
// CHECK-NOT: kiln.group
// With parts, what the first takes stays.
// PARTS-LABEL: func.func @product
// PARTS: kiln.group {{.*}}kiln.target_reason = "no dot_general here"
// PARTS: kiln.group {{.*}}kiln.target = 0
// PARTS: kiln.tanh
func.func @product(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = kiln.dot_general %x, %x batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %1 = kiln.tanh %0 : tensor<4x4xf32>
  return %1 : tensor<4x4xf32>
}

// -----

// What a loop holds is claimed too; loss.train is no entry of a program.
// CHECK-LABEL: func.func @loss.train
// CHECK-NOT: kiln.target
// CHECK-LABEL: func.func @scan
// CHECK: kiln.scan
// CHECK: kiln.group {{.*}}kiln.target = 0
func.func @loss.train(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = kiln.tanh %x : tensor<16xf32>
  return %0 : tensor<16xf32>
}
func.func @scan(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>) -> tensor<16xf32> {
  %h = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> () {
    %0 = kiln.add %x, %a : tensor<16xf32>
    kiln.yield %0 : tensor<16xf32>
  }
  return %h : tensor<16xf32>
}
