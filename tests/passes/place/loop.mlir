// RUN: not %kiln-opt --kiln-fuse --kiln-claim="refuse=exp refuse-elsewhere=cumsum" --kiln-place="refuse=exp refuse-elsewhere=cumsum" %s 2>&1 | FileCheck %s

// A loop that no backend can be given as a whole.
// CHECK: error: this loop cannot be on one backend: home: no exp here; other: no cumsum here
func.func @loop(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>) -> tensor<16xf32> {
  %h = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> () {
    %0 = kiln.cumsum %a, 0 : tensor<16xf32>
    %1 = kiln.add %x, %0 : tensor<16xf32>
    %2 = kiln.exp %1 : tensor<16xf32>
    kiln.yield %2 : tensor<16xf32>
  }
  return %h : tensor<16xf32>
}
