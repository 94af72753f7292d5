// RUN: %kiln-opt --kiln-recover %s | FileCheck %s

// Scores, their softmax and the product with the values: one op, in a loop's body too (its forms: tests/ir/RecoverTest.cpp).
// CHECK-LABEL: func.func @written
// CHECK-NOT: kiln.softmax
// CHECK: kiln.scan
// CHECK: kiln.attention %{{.*}}, %{{.*}}, %{{.*}} scale 5.000000e-01 :
// CHECK-NOT: kiln.dot_general
// CHECK: return
func.func @written(%q: tensor<2x3x5x4xf32>, %k: tensor<2x3x5x4xf32>, %v: tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32> {
  %half = kiln.constant dense<0.5> : tensor<f32> : tensor<f32>
  %last = kiln.scan "3" step(%t) carry(%x = %q : tensor<2x3x5x4xf32>) over() -> () {
    %s = kiln.dot_general %x, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32> -> tensor<2x3x5x5xf32>
    %b = kiln.broadcast %half, [] : tensor<f32> -> tensor<2x3x5x5xf32>
    %m = kiln.mul %b, %s : tensor<2x3x5x5xf32>
    %w = kiln.softmax %m, 3 : tensor<2x3x5x5xf32>
    %o = kiln.dot_general %w, %v batch [0, 1] x [0, 1] contract [3] x [2] : tensor<2x3x5x5xf32>, tensor<2x3x5x4xf32> -> tensor<2x3x5x4xf32>
    kiln.yield %o : tensor<2x3x5x4xf32>
  }
  return %last : tensor<2x3x5x4xf32>
}

// Who returns the shares keeps them.
// CHECK-LABEL: func.func @told
// CHECK: kiln.softmax
// CHECK-NOT: kiln.attention
func.func @told(%q: tensor<2x5x4xf32>, %v: tensor<2x5x4xf32>) -> (tensor<2x5x4xf32>, tensor<2x5x5xf32>) {
  %s = kiln.dot_general %q, %q batch [0] x [0] contract [2] x [2] : tensor<2x5x4xf32>, tensor<2x5x4xf32> -> tensor<2x5x5xf32>
  %w = kiln.softmax %s, 2 : tensor<2x5x5xf32>
  %o = kiln.dot_general %w, %v batch [0] x [0] contract [2] x [1] : tensor<2x5x5xf32>, tensor<2x5x4xf32> -> tensor<2x5x4xf32>
  return %o, %w : tensor<2x5x4xf32>, tensor<2x5x5xf32>
}
