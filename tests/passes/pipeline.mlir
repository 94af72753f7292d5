// RUN: %kiln-opt --kiln-compile %S/Inputs/mlp.mlir | FileCheck %s

// After the whole way a function holds kernels and nothing that a kernel could hold.
// CHECK-LABEL: func.func @loss.train
// CHECK-LABEL: func.func @grad
// CHECK-LABEL: func.func @train_step
// CHECK: kiln.group
