// RUN: %kiln-opt --kiln-fuse -split-input-file %s | FileCheck %s

// A product takes its bias and activation; the relu's mask in the backward half comes from the result.
// CHECK-LABEL: func.func @epilogue
// CHECK: kiln.group "contract"
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
// CHECK-COUNT-1: kiln.group "loops"
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
// CHECK-COUNT-1: kiln.group "loops"
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
// CHECK-COUNT-2: kiln.group "loops"
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
// CHECK: kiln.group "loops"
// CHECK: kiln.exp
// CHECK: kiln.group "loops"
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
// CHECK: kiln.group "loops"
// CHECK: kiln.exp
// CHECK: kiln.group "contract"
// CHECK: kiln.dot_general
// CHECK: kiln.add
// CHECK-NOT: kiln.group
func.func @no_cycle(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = kiln.exp %x : tensor<4x4xf32>
  %1 = kiln.dot_general %0, %x batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %2 = kiln.add %0, %1 : tensor<4x4xf32>
  return %2 : tensor<4x4xf32>
}
