// RUN: %kiln-opt --kiln-compile %S/Inputs/mlp.mlir | FileCheck %s

// After the whole way an entry holds launches with their places, and nothing that a kernel could hold.
// CHECK-LABEL: func.func @loss.train
// CHECK-LABEL: func.func @grad
// CHECK-LABEL: func.func @train_step
// CHECK-SAME: kiln.arena
// CHECK: kiln.group {{.*}}kiln.places = [{{.*}}kiln.target = 0
