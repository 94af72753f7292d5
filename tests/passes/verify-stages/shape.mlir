// RUN: not %kiln-opt --kiln-verify-stage=stage=fuse %s 2>&1 | FileCheck %s

// A group is of the shape that it says: backends take it at its word.
// CHECK: error: the group's shape is 'elementwise'; by its ops it is 'rows'
func.func @told(%x: tensor<8x20xf32>) -> tensor<8xf32> {
  %g = kiln.group elementwise %x : (tensor<8x20xf32>) -> tensor<8xf32> {
  ^body(%a: tensor<8x20xf32>):
    %s = kiln.reduce sum %a, [1] : tensor<8x20xf32> -> tensor<8xf32>
    kiln.yield %s : tensor<8xf32>
  }
  return %g : tensor<8xf32>
}
