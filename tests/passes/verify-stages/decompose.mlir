// RUN: not %kiln-opt --kiln-verify-stage=stage=decompose %s 2>&1 | FileCheck %s
// RUN: not %kiln-opt --kiln-verify-stage=stage=typo %s 2>&1 | FileCheck %s --check-prefix=TYPO
// RUN: %kiln-opt --kiln-decompose=attention --kiln-verify-stage=stage=decompose %s

// Decomposing leaves no composite but attention, which may be one kernel.
// CHECK: error: 'kiln.softmax' is no primitive that a kernel can hold
// CHECK-NOT: 'kiln.attention'
// CHECK: error: this is not what the stage 'decompose' promises to the next
// TYPO: there is no stage 'typo' that promises anything
func.func @composite(%x: tensor<2x4x6x8xf32>) -> tensor<2x4x6x8xf32> {
  %0 = kiln.softmax %x, 3 : tensor<2x4x6x8xf32>
  %o, %l = kiln.attention %0, %0, %0 scale 0.5 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
  return %o : tensor<2x4x6x8xf32>
}
