// RUN: %kiln-opt --kiln-fuse -split-input-file %s | FileCheck %s

// Attention is one kernel, with the transposes that split and join heads. The backward half reads the result as it lies
// in memory.
// CHECK-LABEL: func.func @heads
// CHECK: %[[Q:.*]] = kiln.reshape
// CHECK: %[[FORWARD:.*]]:2 = kiln.group attention %[[Q]] {{.*}} -> (tensor<2x4x6xf32>, tensor<2x6x4x8xf32>)
// CHECK: kiln.transpose
// CHECK: kiln.attention %
// CHECK: kiln.transpose
// CHECK: kiln.yield
// CHECK: kiln.group attention %[[Q]], %[[FORWARD]]#1, %[[FORWARD]]#0, {{.*}} -> (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x6x4x8xf32>)
// CHECK: kiln.attention_grad
// CHECK: kiln.yield
// CHECK-NOT: kiln.group
func.func @heads(%x: tensor<2x6x32xf32>, %g: tensor<2x4x6x8xf32>) -> (tensor<2x6x4x8xf32>, tensor<2x6x4x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>) {
  %s = kiln.reshape %x : tensor<2x6x32xf32> -> tensor<2x6x4x8xf32>
  %q = kiln.transpose %s, [0, 2, 1, 3] : tensor<2x6x4x8xf32> -> tensor<2x4x6x8xf32>
  %o, %l = kiln.attention %q, %q, %q scale 0.5 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
  %t = kiln.transpose %o, [0, 2, 1, 3] : tensor<2x4x6x8xf32> -> tensor<2x6x4x8xf32>
  %dq, %dk, %dv = kiln.attention_grad %q, %q, %q, %o, %l, %g scale 0.5 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
  %u = kiln.transpose %dq, [0, 2, 1, 3] : tensor<2x4x6x8xf32> -> tensor<2x6x4x8xf32>
  return %t, %u, %dk, %dv : tensor<2x6x4x8xf32>, tensor<2x6x4x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>
}

// -----

// A transpose that takes rows apart is a kernel of its own.
// CHECK-LABEL: func.func @columns
// CHECK: kiln.group elementwise
// CHECK: kiln.transpose
// CHECK: kiln.group attention
// CHECK-NOT: kiln.transpose
// CHECK: return
func.func @columns(%x: tensor<2x4x8x6xf32>) -> tensor<2x4x6x8xf32> {
  %q = kiln.transpose %x, [0, 1, 3, 2] : tensor<2x4x8x6xf32> -> tensor<2x4x6x8xf32>
  %o = kiln.attention %q, %q, %q scale 0.5 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>
  return %o : tensor<2x4x6x8xf32>
}
