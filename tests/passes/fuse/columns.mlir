// RUN: %kiln-opt --kiln-fuse %s | FileCheck %s

// Column sums of one shape that are near each other are one kernel, whatever they read: the gradients of two biases.
// CHECK-LABEL: func.func @biases
// CHECK: kiln.group columns
// CHECK-SAME: -> (tensor<8xf32>, tensor<8xf32>)
// CHECK-NOT: kiln.group
// CHECK: return
func.func @biases(%a: tensor<32x8xf32>, %b: tensor<32x8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = kiln.reduce sum %a, [0] : tensor<32x8xf32> -> tensor<8xf32>
  %1 = kiln.reduce sum %b, [0] : tensor<32x8xf32> -> tensor<8xf32>
  return %0, %1 : tensor<8xf32>, tensor<8xf32>
}

// Not where one waits for the other,
// CHECK-LABEL: func.func @waits
// CHECK-COUNT-2: kiln.group columns
// CHECK: return
func.func @waits(%a: tensor<32x8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = kiln.reduce sum %a, [0] : tensor<32x8xf32> -> tensor<8xf32>
  %1 = kiln.broadcast %0, [1] : tensor<8xf32> -> tensor<32x8xf32>
  %2 = kiln.mul %a, %1 : tensor<32x8xf32>
  %3 = kiln.reduce sum %2, [0] : tensor<32x8xf32> -> tensor<8xf32>
  return %0, %3 : tensor<8xf32>, tensor<8xf32>
}

// nor where all is summed up to one number: there may be many such sums, and all would wait for the last of them.
// CHECK-LABEL: func.func @norms
// CHECK-COUNT-2: kiln.group columns
// CHECK: return
func.func @norms(%a: tensor<32x8xf32>, %b: tensor<32x8xf32>) -> (tensor<f32>, tensor<f32>) {
  %0 = kiln.reduce sum %a, [0, 1] : tensor<32x8xf32> -> tensor<f32>
  %1 = kiln.reduce sum %b, [0, 1] : tensor<32x8xf32> -> tensor<f32>
  return %0, %1 : tensor<f32>, tensor<f32>
}
