// RUN: %kiln-opt --kiln-train-step --kiln-decompose --kiln-simplify %s | FileCheck %s

// Arguments: inputs, parameters, states (the model's, then the optimizer's), seed, step. Results: loss, metrics, the
// norm, new parameters, new states. The frozen parameter is read, not trained; the group's decay is its own.
// CHECK: kiln.states = [{{.*}}name = "norm.count"{{.*}}name = "optimizer.momentum_buffer.w"{{.*}}
// CHECK-LABEL: func.func @train_step
// CHECK-SAME: kiln.input = "data.x"
// CHECK-SAME: kiln.parameter = "w"
// CHECK-SAME: kiln.parameter = "frozen"
// CHECK-SAME: kiln.state = "norm.count"
// CHECK-SAME: kiln.state = "optimizer.momentum_buffer.w"
// CHECK-SAME: kiln.seed
// CHECK-SAME: kiln.step
// CHECK-SAME: -> (tensor<f32> {kiln.loss}, tensor<f32> {kiln.metric = "size"}, tensor<f32> {kiln.metric = "grad_norm"}, tensor<4xf32> {kiln.parameter = "w"}, tensor<f32> {kiln.state = "norm.count"}, tensor<4xf32> {kiln.state = "optimizer.momentum_buffer.w"})
// The learning rate is computed from the step.
// CHECK: kiln.convert %{{.*}} : tensor<i32> -> tensor<f64>
// CHECK: kiln.pow
module attributes {
    kiln.parameters = [{name = "w", type = tensor<4xf32>, trainable = true}, {name = "frozen", type = tensor<4xf32>, trainable = false}],
    kiln.states = [{name = "norm.count", type = tensor<f32>, kind = "persistent", init = {kind = "zeros"}}],
    kiln.train = {loss = "loss.train", clip = {kind = "norm", value = 1.0},
                  optimizer = {kind = "sgd", momentum = 0.9, lr = {kind = "exponential", base = 0.1, factor = 0.9}},
                  groups = [{parameters = ["w"], weight_decay = 0.25}]}} {
  func.func @loss.train(%x: tensor<4xf32> {kiln.input = "data.x"}, %w: tensor<4xf32> {kiln.parameter = "w"},
                        %f: tensor<4xf32> {kiln.parameter = "frozen"}, %n: tensor<f32> {kiln.state = "norm.count"},
                        %seed: tensor<ui32> {kiln.seed})
      -> (tensor<f32> {kiln.loss}, tensor<f32> {kiln.metric = "size"}, tensor<f32> {kiln.state = "norm.count"}) {
    %0 = kiln.dropout %x, %seed p 0.5 stream 1 : tensor<4xf32>, tensor<ui32>
    %1 = kiln.mul %0, %w : tensor<4xf32>
    %2 = kiln.mul %1, %f : tensor<4xf32>
    %3 = kiln.mul %2, %2 : tensor<4xf32>
    %4 = kiln.reduce sum %3, [0] : tensor<4xf32> -> tensor<f32>
    %5 = kiln.add %n, %4 : tensor<f32>
    %6 = kiln.sqrt %4 : tensor<f32>
    return %4, %6, %5 : tensor<f32>, tensor<f32>, tensor<f32>
  }
}
