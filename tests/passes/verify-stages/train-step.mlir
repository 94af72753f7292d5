// RUN: not %kiln-opt --kiln-verify-stage=stage=train-step %s 2>&1 | FileCheck %s

// A step gives back what it took: the new parameter has the old one's type.
// CHECK: error: result 0 is kiln.parameter 'p' and has another type than argument 0
func.func @train_step(%p: tensor<16xf32> {kiln.parameter = "p"}) -> (tensor<4x4xf32> {kiln.parameter = "p"}) {
  %r = kiln.reshape %p : tensor<16xf32> -> tensor<4x4xf32>
  return %r : tensor<4x4xf32>
}
