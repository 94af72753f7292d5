// RUN: %kiln-opt --kiln-rematerialize="gap=1 bytes=1" %s | FileCheck %s
// RUN: %kiln-opt --kiln-rematerialize="gap=3 bytes=1" %s | FileCheck %s --check-prefix=NEAR

// The activation is computed again for its late reader from the product's result, which another late reader keeps
// anyway; with a longer gap asked for, nothing is far enough.
// CHECK-LABEL: @activation
// CHECK: %[[P:.*]] = kiln.dot_general %arg0, %arg1
// CHECK: %[[A:.*]] = kiln.tanh %[[P]]
// CHECK: %[[Q:.*]] = kiln.dot_general %[[A]], %arg1
// CHECK: kiln.dot_general %[[Q]], %arg1
// CHECK: %[[AGAIN:.*]] = kiln.tanh %[[P]]
// CHECK: kiln.mul %{{.*}}, %[[AGAIN]]
// NEAR-LABEL: @activation
// NEAR-COUNT-1: kiln.tanh
// NEAR-NOT: kiln.tanh
// NEAR-LABEL: @alone
func.func @activation(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [1] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %1 = kiln.tanh %0 : tensor<4x4xf32>
  %2 = kiln.dot_general %1, %w batch [] x [] contract [1] x [1] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %3 = kiln.dot_general %2, %w batch [] x [] contract [1] x [1] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %4 = kiln.mul %3, %1 : tensor<4x4xf32>
  %5 = kiln.mul %4, %0 : tensor<4x4xf32>
  return %4, %5 : tensor<4x4xf32>, tensor<4x4xf32>
}

// Here nobody else keeps the product's result: to repeat the activation would only keep that in its place.
// CHECK-LABEL: @alone
// CHECK-COUNT-1: kiln.tanh
// CHECK-NOT: kiln.tanh
func.func @alone(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [1] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %1 = kiln.tanh %0 : tensor<4x4xf32>
  %2 = kiln.dot_general %1, %w batch [] x [] contract [1] x [1] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %3 = kiln.dot_general %2, %w batch [] x [] contract [1] x [1] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %4 = kiln.mul %3, %1 : tensor<4x4xf32>
  return %4 : tensor<4x4xf32>
}
