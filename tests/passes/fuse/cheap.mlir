// RUN: %kiln-opt --kiln-fuse -split-input-file %s | FileCheck %s

// Cheap ops are cloned into each group that reads them, and a clone reads its operands again: where a cheap op has a
// kernel of its own too, what lies below it has to be in memory for both.

// The broadcast is a result, and what softmax subtracts from: the transpose is read by both kernels.
// CHECK-LABEL: func.func @ofTransposed
// CHECK: %[[TRANSPOSED:.*]] = kiln.group elementwise %arg0
// CHECK: %[[BROADCAST:.*]] = kiln.group elementwise %[[TRANSPOSED]] :
// CHECK: kiln.group rows %[[BROADCAST]], %[[TRANSPOSED]] :
// CHECK: return {{.*}}, %[[BROADCAST]]
func.func @ofTransposed(%x: tensor<8x17xf32>) -> (tensor<2x17x2x8xf32>, tensor<2x17x2x8xf32>) {
  %0 = kiln.transpose %x, [1, 0] : tensor<8x17xf32> -> tensor<17x8xf32>
  %1 = kiln.broadcast %0, [1, 3] : tensor<17x8xf32> -> tensor<2x17x2x8xf32>
  %2 = kiln.reduce max %1, [3] : tensor<2x17x2x8xf32> -> tensor<2x17x2xf32>
  %3 = kiln.broadcast %2, [0, 1, 2] : tensor<2x17x2xf32> -> tensor<2x17x2x8xf32>
  %4 = kiln.sub %1, %3 : tensor<2x17x2x8xf32>
  %5 = kiln.exp %4 : tensor<2x17x2x8xf32>
  %6 = kiln.reduce sum %5, [3] : tensor<2x17x2x8xf32> -> tensor<2x17x2xf32>
  %7 = kiln.log %6 : tensor<2x17x2xf32>
  %8 = kiln.broadcast %7, [0, 1, 2] : tensor<2x17x2xf32> -> tensor<2x17x2x8xf32>
  %9 = kiln.sub %4, %8 : tensor<2x17x2x8xf32>
  return %9, %1 : tensor<2x17x2x8xf32>, tensor<2x17x2x8xf32>
}

// -----

// The same where the other reader is a column reduction, and below it lie a reverse and a gather.
// CHECK-LABEL: func.func @ofReversed
// CHECK: %[[GATHERED:.*]] = kiln.group elementwise %arg0, %arg1
// CHECK: kiln.reverse
// CHECK: kiln.group elementwise %[[GATHERED]] :
// CHECK: kiln.group columns %[[GATHERED]] :
// CHECK: kiln.reduce  sum
func.func @ofReversed(%x: tensor<8x6xf32>, %i: tensor<5xi32>) -> (tensor<6xf32>, tensor<4x5x6xf32>) {
  %0 = kiln.reverse %x, [0] : tensor<8x6xf32>
  %1 = kiln.gather %0, %i, 0 : tensor<8x6xf32>, tensor<5xi32> -> tensor<5x6xf32>
  %2 = kiln.broadcast %1, [1, 2] : tensor<5x6xf32> -> tensor<4x5x6xf32>
  %3 = kiln.neg %2 : tensor<4x5x6xf32>
  %4 = kiln.exp %3 : tensor<4x5x6xf32>
  %5 = kiln.reduce sum %4, [0, 1] : tensor<4x5x6xf32> -> tensor<6xf32>
  return %5, %2 : tensor<6xf32>, tensor<4x5x6xf32>
}

// -----

// Each of three cheap ops above each other is a result.
// CHECK-LABEL: func.func @chain
// CHECK: %[[SLICED:.*]] = kiln.group elementwise %arg0
// CHECK-COUNT-4: kiln.group {{elementwise|rows}} %[[SLICED]] :
func.func @chain(%x: tensor<9xf32>) -> (tensor<4xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<8x4xf32>) {
  %0 = kiln.slice %x, <"1">, [1] : tensor<9xf32> -> tensor<8xf32>
  %1 = kiln.broadcast %0, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %2 = kiln.neg %1 : tensor<4x8xf32>
  %3 = kiln.mul %2, %1 : tensor<4x8xf32>
  %4 = kiln.abs %3 : tensor<4x8xf32>
  %5 = kiln.reduce sum %4, [1] : tensor<4x8xf32> -> tensor<4xf32>
  %6 = kiln.transpose %3, [1, 0] : tensor<4x8xf32> -> tensor<8x4xf32>
  return %5, %1, %2, %6 : tensor<4xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<8x4xf32>
}

// -----

// The other reader stands in a loop.
// CHECK-LABEL: func.func @inLoop
// CHECK: %[[BELOW:.*]] = kiln.group elementwise %arg0
// CHECK: kiln.scan
// CHECK: kiln.group elementwise {{.*}}, %[[BELOW]] :
func.func @inLoop(%x: tensor<8xf32>, %y: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = kiln.reverse %x, [0] : tensor<8xf32>
  %1 = kiln.exp %0 : tensor<8xf32>
  %2 = kiln.broadcast %1, [1] : tensor<8xf32> -> tensor<4x8xf32>
  %3 = kiln.neg %2 : tensor<4x8xf32>
  %4 = kiln.scan "3" step(%t) carry(%c = %y : tensor<4x8xf32>) over() -> () {
    %5 = kiln.mul %c, %3 : tensor<4x8xf32>
    kiln.yield %5 : tensor<4x8xf32>
  }
  return %4, %2 : tensor<4x8xf32>, tensor<4x8xf32>
}
