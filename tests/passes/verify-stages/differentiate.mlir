// RUN: not %kiln-opt --kiln-verify-stage=stage=differentiate %s 2>&1 | FileCheck %s
// RUN: not %kiln-opt --kiln-verify-stage=stage=train-step %s 2>&1 | FileCheck %s --check-prefix=STEP
// RUN: %kiln-opt --kiln-differentiate --kiln-verify-stage=stage=differentiate %S/../Inputs/mlp.mlir

// A gradient has the type of its parameter, and a model with a recipe has a step.
// CHECK: error: result 0 is kiln.gradient 'p' and has another type than argument 0
// STEP: error: there is a kiln.train and no @train_step
module attributes {kiln.train = {loss = "loss.train"}} {
  func.func @grad(%p: tensor<16xf32> {kiln.parameter = "p"}) -> (tensor<4x4xf32> {kiln.gradient = "p"}) {
    %r = kiln.reshape %p : tensor<16xf32> -> tensor<4x4xf32>
    return %r : tensor<4x4xf32>
  }
}
