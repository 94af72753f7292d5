// RUN: %kiln-opt --kiln-fuse -split-input-file %s | FileCheck %s
// RUN: %kiln-opt --kiln-fuse --kiln-verify-stage=stage=fuse -split-input-file %s -o %t

// A product takes its bias and activation; the relu's mask in the backward half comes from the result.
// CHECK-LABEL: func.func @epilogue
// CHECK: kiln.group contract
// CHECK: kiln.dot_general
// CHECK: kiln.broadcast
// CHECK: kiln.tanh
// CHECK: kiln.yield
// CHECK-NOT: kiln.group
func.func @epilogue(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x8xf32> -> tensor<4x8xf32>
  %1 = kiln.broadcast %b, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %2 = kiln.add %0, %1 : tensor<4x8xf32>
  %3 = kiln.tanh %2 : tensor<4x8xf32>
  return %3 : tensor<4x8xf32>
}

// -----

// Softmax is one kernel over rows.
// CHECK-LABEL: func.func @rows
// CHECK-COUNT-1: kiln.group rows
// CHECK-NOT: kiln.group
func.func @rows(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = kiln.reduce max %x, [1] : tensor<4x8xf32> -> tensor<4xf32>
  %1 = kiln.broadcast %0, [0] : tensor<4xf32> -> tensor<4x8xf32>
  %2 = kiln.sub %x, %1 : tensor<4x8xf32>
  %3 = kiln.exp %2 : tensor<4x8xf32>
  %4 = kiln.reduce sum %3, [1] : tensor<4x8xf32> -> tensor<4xf32>
  %5 = kiln.broadcast %4, [0] : tensor<4xf32> -> tensor<4x8xf32>
  %6 = kiln.div %3, %5 : tensor<4x8xf32>
  return %6 : tensor<4x8xf32>
}

// -----

// Reductions along columns that share an input are one kernel, with the product below one of them.
// CHECK-LABEL: func.func @columns
// CHECK-COUNT-1: kiln.group columns
// CHECK-NOT: kiln.group
func.func @columns(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = kiln.mul %x, %y : tensor<4x8xf32>
  %1 = kiln.reduce sum %0, [0] : tensor<4x8xf32> -> tensor<8xf32>
  %2 = kiln.reduce sum %x, [0] : tensor<4x8xf32> -> tensor<8xf32>
  return %1, %2 : tensor<8xf32>, tensor<8xf32>
}

// -----

// The second reduction needs the first one's result for its operand: two kernels.
// CHECK-LABEL: func.func @columns_in_turn
// CHECK-COUNT-2: kiln.group columns
// CHECK-NOT: kiln.group
func.func @columns_in_turn(%x: tensor<4x8xf32>) -> tensor<8xf32> {
  %0 = kiln.reduce max %x, [0] : tensor<4x8xf32> -> tensor<8xf32>
  %1 = kiln.broadcast %0, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %2 = kiln.sub %x, %1 : tensor<4x8xf32>
  %3 = kiln.reduce sum %2, [0] : tensor<4x8xf32> -> tensor<8xf32>
  return %3 : tensor<8xf32>
}

// -----

// A transposed value that was computed is stored first: no element is computed at two places.
// CHECK-LABEL: func.func @layout_of_computed
// CHECK: kiln.group elementwise
// CHECK: kiln.exp
// CHECK: kiln.group elementwise
// CHECK: kiln.transpose
// CHECK: kiln.add
func.func @layout_of_computed(%x: tensor<4x8xf32>, %y: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %0 = kiln.exp %x : tensor<4x8xf32>
  %1 = kiln.transpose %0, [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  %2 = kiln.add %1, %y : tensor<8x4xf32>
  return %2 : tensor<8x4xf32>
}

// -----

// No group waits for itself: x feeds both an elementwise op and a product that this op needs.
// CHECK-LABEL: func.func @no_cycle
// CHECK: kiln.group elementwise
// CHECK: kiln.exp
// CHECK: kiln.group contract
// CHECK: kiln.dot_general
// CHECK: kiln.add
// CHECK-NOT: kiln.group
func.func @no_cycle(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = kiln.exp %x : tensor<4x4xf32>
  %1 = kiln.dot_general %0, %x batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %2 = kiln.add %0, %1 : tensor<4x4xf32>
  return %2 : tensor<4x4xf32>
}

// -----

// An index that is checked against a list of classes stays with the row's loss.
// CHECK-LABEL: func.func @lookup
// CHECK-COUNT-1: kiln.group rows
// CHECK-NOT: kiln.group
func.func @lookup(%x: tensor<4x8xf32>, %t: tensor<4xi32>) -> tensor<4xf32> {
  %n = kiln.constant dense<3> : tensor<4xi32> : tensor<4xi32>
  %a = kiln.max %t, %n : tensor<4xi32>
  %i = kiln.iota 0 : tensor<8xi32>
  %c = kiln.gather %i, %a, 0 : tensor<8xi32>, tensor<4xi32> -> tensor<4xi32>
  %j = kiln.iota 1 : tensor<4x8xi32>
  %b = kiln.broadcast %c, [0] : tensor<4xi32> -> tensor<4x8xi32>
  %h = kiln.compare eq %j, %b : tensor<4x8xi32> -> tensor<4x8xi1>
  %z = kiln.constant dense<0.0> : tensor<4x8xf32> : tensor<4x8xf32>
  %s = kiln.select %h, %x, %z : tensor<4x8xi1>, tensor<4x8xf32>
  %r = kiln.reduce sum %s, [1] : tensor<4x8xf32> -> tensor<4xf32>
  return %r : tensor<4xf32>
}

// -----

// The product stores the gradient alone: what the reductions and the elementwise reader need beside it they make of it.
// CHECK-LABEL: func.func @peeled
// CHECK: kiln.group contract {{.*}} -> tensor<4x8xf32> {
// CHECK: kiln.yield
// CHECK: return
func.func @peeled(%g: tensor<4x6xf32>, %w: tensor<6x8xf32>, %x: tensor<4x8xf32>, %m: tensor<8xf32>, %s: tensor<8xf32>)
    -> (tensor<8xf32>, tensor<8xf32>, tensor<4x8xf32>) {
  %0 = kiln.dot_general %g, %w batch [] x [] contract [1] x [0] : tensor<4x6xf32>, tensor<6x8xf32> -> tensor<4x8xf32>
  %1 = kiln.broadcast %m, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %2 = kiln.sub %x, %1 : tensor<4x8xf32>
  %3 = kiln.mul %0, %2 : tensor<4x8xf32>
  %4 = kiln.broadcast %s, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %5 = kiln.mul %0, %4 : tensor<4x8xf32>
  %6 = kiln.reduce sum %0, [0] : tensor<4x8xf32> -> tensor<8xf32>
  %7 = kiln.reduce sum %3, [0] : tensor<4x8xf32> -> tensor<8xf32>
  %8 = kiln.broadcast %7, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %9 = kiln.add %5, %8 : tensor<4x8xf32>
  return %6, %7, %9 : tensor<8xf32>, tensor<8xf32>, tensor<4x8xf32>
}

// -----

// A cheap value that leaves the function is stored by a kernel of its own; what else is made of it clones it.
// CHECK-LABEL: func.func @cheap_and_returned
// CHECK: %[[STORED:.*]] = kiln.group elementwise : () -> tensor<100xf32>
// CHECK: kiln.group elementwise : () -> tensor<100xf32>
// CHECK: kiln.iota
// CHECK: kiln.sub
// CHECK: kiln.log
// CHECK: kiln.group single
// CHECK: return %{{.*}}, %[[STORED]]
func.func @cheap_and_returned() -> (tensor<100xf32>, tensor<100xf32>) {
  %one = kiln.constant dense<1.0> : tensor<100xf32> : tensor<100xf32>
  %part = kiln.constant dense<1.0e-3> : tensor<100xf32> : tensor<100xf32>
  %i = kiln.iota 0 : tensor<100xi32>
  %f = kiln.convert %i : tensor<100xi32> -> tensor<100xf32>
  %beta = kiln.mul %f, %part : tensor<100xf32>
  %alpha = kiln.sub %one, %beta : tensor<100xf32>
  %log = kiln.log %alpha : tensor<100xf32>
  %sum = kiln.cumsum %log, 0 : tensor<100xf32>
  return %sum, %beta : tensor<100xf32>, tensor<100xf32>
}

// -----

// What a product reads and what follows it may be copies of one value. In one kernel they stay two, since it would be no
// product with a prologue otherwise.
// CHECK-LABEL: func.func @stored_copy
// CHECK: kiln.group contract
// CHECK-COUNT-2: kiln.convert
// CHECK-NOT: kiln.group
func.func @stored_copy(%x: tensor<8x8xf32>, %w: tensor<8x8xbf16>) -> (tensor<8x8xf32>, tensor<8x8xbf16>) {
  %0 = kiln.convert %x : tensor<8x8xf32> -> tensor<8x8xbf16>
  %1 = kiln.convert %x : tensor<8x8xf32> -> tensor<8x8xbf16>
  %2 = kiln.dot_general %0, %w batch [] x [] contract [1] x [0] : tensor<8x8xbf16>, tensor<8x8xbf16> -> tensor<8x8xf32>
  return %2, %1 : tensor<8x8xf32>, tensor<8x8xbf16>
}

// -----

// CHECK-LABEL: func.func @copy_behind
// CHECK: kiln.group contract
// CHECK-COUNT-2: kiln.mul
// CHECK-NOT: kiln.group
func.func @copy_behind(%x: tensor<8x8xf32>, %w: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = kiln.mul %x, %x : tensor<8x8xf32>
  %1 = kiln.mul %x, %x : tensor<8x8xf32>
  %2 = kiln.dot_general %0, %w batch [] x [] contract [1] x [0] : tensor<8x8xf32>, tensor<8x8xf32> -> tensor<8x8xf32>
  %3 = kiln.add %2, %1 : tensor<8x8xf32>
  return %3 : tensor<8x8xf32>
}
