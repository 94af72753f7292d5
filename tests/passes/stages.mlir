// RUN: %kiln-opt --kiln-differentiate --kiln-train-step --kiln-decompose --kiln-simplify %s | FileCheck %s

// Two recipes of a model: each has its gradients and its step, whose optimizer has states of its own. What a stage freezes
// the other one trains. What comes behind an update sees its results, and brings arguments of its own.
// CHECK-NOT: after =
// CHECK: kiln.states = [{{.*}}name = "optimizer.momentum.w"{{.*}}name = "optimizer.tune.momentum.w"{{.*}}
// CHECK: func.func @grad(
// CHECK-SAME: {kiln.gradient = "v"}, {{.*}}{kiln.gradient = "w"})
// CHECK: func.func @grad.tune(
// CHECK-NOT: kiln.gradient = "v"
// CHECK: kiln.gradient = "w"
// CHECK-LABEL: func.func @train_step(
// CHECK-SAME: kiln.parameter = "mean"
// CHECK-SAME: kiln.state = "optimizer.momentum.w"
// CHECK-SAME: {kiln.parameter = "v"}, {{.*}}{kiln.parameter = "w"}, {{.*}}{kiln.parameter = "mean"}, {{.*}}{kiln.state = "optimizer.momentum.v"}, {{.*}}{kiln.state = "optimizer.momentum.w"}
// CHECK-LABEL: func.func @train_step.tune(
// CHECK-SAME: kiln.state = "optimizer.tune.momentum.w"
// CHECK-NOT: @stage.after
module attributes {
    kiln.parameters = [{name = "v", type = tensor<4xf32>, trainable = true}, {name = "w", type = tensor<4xf32>, trainable = true},
                       {name = "mean", type = tensor<4xf32>, trainable = false}],
    kiln.states = [],
    kiln.train = {loss = "loss.train", rates = "optimizer.rates", after = "stage.after",
                  updates = [{parameter = "v", function = "optimizer.update.0", rate = 0 : i64}, {parameter = "w", function = "optimizer.update.0", rate = 0 : i64}]},
    kiln.stages = [{name = "first"},
                   {name = "tune", train = {loss = "loss.train.tune", rates = "optimizer.rates.tune",
                    updates = [{parameter = "w", function = "optimizer.update.tune.0", rate = 0 : i64}]}}]} {
  func.func private @optimizer.rates() -> tensor<f64> {
    %0 = kiln.constant dense<0.5> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @optimizer.rates.tune() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @optimizer.update.0(%p: tensor<4xf32> {kiln.input = "p"}, %g: tensor<4xf32> {kiln.input = "gradient"},
                                        %lr: tensor<f64> {kiln.input = "lr"}, %m: tensor<4xf32> {kiln.input = "momentum"})
      -> (tensor<4xf32>, tensor<4xf32>) attributes {kiln.states = [{name = "momentum", init = {kind = "zeros"}}]} {
    %0 = kiln.add %m, %g : tensor<4xf32>
    %1 = kiln.sub %p, %0 : tensor<4xf32>
    return %1, %0 : tensor<4xf32>, tensor<4xf32>
  }
  func.func private @optimizer.update.tune.0(%p: tensor<4xf32> {kiln.input = "p"}, %g: tensor<4xf32> {kiln.input = "gradient"},
                                        %lr: tensor<f64> {kiln.input = "lr"}, %m: tensor<4xf32> {kiln.input = "momentum"})
      -> (tensor<4xf32>, tensor<4xf32>) attributes {kiln.states = [{name = "momentum", init = {kind = "zeros"}}]} {
    %0 = kiln.sub %m, %g : tensor<4xf32>
    %1 = kiln.sub %p, %0 : tensor<4xf32>
    return %1, %0 : tensor<4xf32>, tensor<4xf32>
  }
  func.func private @stage.after(%w: tensor<4xf32> {kiln.parameter = "w"}, %mean: tensor<4xf32> {kiln.parameter = "mean"})
      -> (tensor<4xf32> {kiln.parameter = "mean"}) {
    %0 = kiln.add %w, %mean : tensor<4xf32>
    return %0 : tensor<4xf32>
  }
  func.func @loss.train(%x: tensor<4xf32> {kiln.input = "data.x"}, %v: tensor<4xf32> {kiln.parameter = "v"}, %w: tensor<4xf32> {kiln.parameter = "w"})
      -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.mul %x, %w : tensor<4xf32>
    %1 = kiln.mul %0, %v : tensor<4xf32>
    %2 = kiln.reduce sum %1, [0] : tensor<4xf32> -> tensor<f32>
    return %2 : tensor<f32>
  }
  func.func @loss.train.tune(%x: tensor<4xf32> {kiln.input = "data.x"}, %v: tensor<4xf32> {kiln.parameter = "v"}, %w: tensor<4xf32> {kiln.parameter = "w"})
      -> (tensor<f32> {kiln.loss}) attributes {kiln.frozen = ["v"]} {
    %0 = kiln.mul %x, %w : tensor<4xf32>
    %1 = kiln.mul %0, %v : tensor<4xf32>
    %2 = kiln.reduce sum %1, [0] : tensor<4xf32> -> tensor<f32>
    return %2 : tensor<f32>
  }
}
