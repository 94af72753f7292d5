// RUN: %kiln-opt --kiln-train-step --kiln-decompose --kiln-simplify %s | FileCheck %s

// Arguments: inputs, parameters, states (the model's, then the optimizer's), seed, step. Results: loss, metrics, the
// norm, the rate, new parameters, new states. The frozen parameter is read, not trained. The functions of rates and updates
// are written into the step and gone.
// CHECK-NOT: updates
// CHECK-NOT: @optimizer
// CHECK: kiln.states = [{{.*}}name = "norm.count"{{.*}}name = "optimizer.momentum_buffer.w"{{.*}}
// CHECK-LABEL: func.func @train_step
// CHECK-SAME: kiln.input = "data.x"
// CHECK-SAME: kiln.parameter = "w"
// CHECK-SAME: kiln.parameter = "frozen"
// CHECK-SAME: kiln.state = "norm.count"
// CHECK-SAME: kiln.state = "optimizer.momentum_buffer.w"
// CHECK-SAME: kiln.seed
// CHECK-SAME: kiln.step
// CHECK-SAME: -> (tensor<f32> {kiln.loss}, tensor<f32> {kiln.metric = "size"}, tensor<f32> {kiln.metric = "grad_norm"}, tensor<f32> {kiln.metric = "lr"}, tensor<4xf32> {kiln.parameter = "w"}, tensor<f32> {kiln.state = "norm.count"}, tensor<4xf32> {kiln.state = "optimizer.momentum_buffer.w"})
// The learning rate is computed from the step.
// CHECK: kiln.convert %{{.*}} : tensor<i32> -> tensor<f64>
// CHECK: kiln.pow
// CHECK-NOT: @optimizer
module attributes {
    kiln.parameters = [{name = "w", type = tensor<4xf32>, trainable = true}, {name = "frozen", type = tensor<4xf32>, trainable = false}],
    kiln.states = [{name = "norm.count", type = tensor<f32>, kind = "persistent", init = {kind = "zeros"}}],
    kiln.train = {loss = "loss.train", clip = {kind = "norm", value = 1.0},
                  rates = "optimizer.rates", updates = [{parameter = "w", function = "optimizer.update.0", rate = 0 : i64}]}} {
  func.func private @optimizer.rates(%step: tensor<i32> {kiln.step}) -> tensor<f64> {
    %0 = kiln.convert %step : tensor<i32> -> tensor<f64>
    %1 = kiln.constant dense<0.9> : tensor<f64> : tensor<f64>
    %2 = kiln.pow %1, %0 : tensor<f64>
    return %2 : tensor<f64>
  }
  func.func private @optimizer.update.0(%p: tensor<4xf32> {kiln.input = "p"}, %g: tensor<4xf32> {kiln.input = "gradient"},
                                        %lr: tensor<f64> {kiln.input = "lr"}, %m: tensor<4xf32> {kiln.input = "momentum_buffer"})
      -> (tensor<4xf32>, tensor<4xf32>) attributes {kiln.states = [{name = "momentum_buffer", init = {kind = "zeros"}}]} {
    %0 = kiln.add %m, %g : tensor<4xf32>
    %1 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %2 = kiln.broadcast %1, [] : tensor<f32> -> tensor<4xf32>
    %3 = kiln.mul %2, %0 : tensor<4xf32>
    %4 = kiln.sub %p, %3 : tensor<4xf32>
    return %4, %0 : tensor<4xf32>, tensor<4xf32>
  }
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
