// RUN: not %kiln-opt --kiln-verify-stage=stage=fuse %s 2>&1 | FileCheck %s
// RUN: %kiln-opt --kiln-fuse --kiln-verify-stage=stage=fuse %s

// Fusing leaves nothing that computes outside of a group, in a loop neither; reshapes and constants are no kernels.
// CHECK: error: 'kiln.tanh' is in no group
func.func @loose(%xs: tensor<5x16xf32>, %h0: tensor<16xf32>) -> tensor<4x4xf32> {
  %h = kiln.scan "5" step(%t) carry(%a = %h0 : tensor<16xf32>) over(%x = %xs : tensor<5x16xf32>) -> () {
    %g = kiln.group elementwise %x, %a : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32> {
    ^body(%y: tensor<16xf32>, %b: tensor<16xf32>):
      %1 = kiln.add %y, %b : tensor<16xf32>
      kiln.yield %1 : tensor<16xf32>
    }
    %0 = kiln.tanh %g : tensor<16xf32>
    kiln.yield %0 : tensor<16xf32>
  }
  %r = kiln.reshape %h : tensor<16xf32> -> tensor<4x4xf32>
  return %r : tensor<4x4xf32>
}
