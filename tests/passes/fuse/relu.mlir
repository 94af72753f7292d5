// RUN: %kiln-opt --kiln-fuse %s | FileCheck %s

// The mask is made again from the relu's result; the operand is not kept for it.
// CHECK: %[[Y:.*]] = kiln.group elementwise %arg0
// CHECK: kiln.group contract %[[Y]], %arg1
// CHECK: kiln.group contract %{{.*}}, %arg1, %[[Y]]
// CHECK: kiln.compare {{ *}}le
// CHECK: kiln.select
func.func @relu(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %zero = kiln.constant dense<0.0> : tensor<4x4xf32> : tensor<4x4xf32>
  %e = kiln.exp %x : tensor<4x4xf32>
  %m = kiln.compare le %e, %zero : tensor<4x4xf32> -> tensor<4x4xi1>
  %y = kiln.select %m, %zero, %e : tensor<4x4xi1>, tensor<4x4xf32>
  %z = kiln.dot_general %y, %w batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %d = kiln.dot_general %z, %w batch [] x [] contract [1] x [1] : tensor<4x4xf32>, tensor<4x4xf32> -> tensor<4x4xf32>
  %g = kiln.select %m, %zero, %d : tensor<4x4xi1>, tensor<4x4xf32>
  return %g : tensor<4x4xf32>
}
