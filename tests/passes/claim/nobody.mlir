// RUN: not %kiln-opt --kiln-fuse --kiln-claim="refuse=exp refuse-elsewhere=exp" %s 2>&1 | FileCheck %s

// CHECK: nobody.mlir:[[#@LINE+3]]:{{.*}} error: no backend takes 'exp' of this form (home: no exp here; other: no exp here)
func.func @chain(%x: tensor<16xf32>) -> tensor<16xf32> {
  %0 = kiln.tanh %x : tensor<16xf32>
  %1 = kiln.exp %0 : tensor<16xf32>
  return %1 : tensor<16xf32>
}
