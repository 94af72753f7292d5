// cpu x86-64-v3
// arguments 4396599179610207132
// compile: -:9:10: error: memory plan is wrong: operand 0 is not in the memory that the kernel reads
module @Random attributes {kiln.parameters = [{init = {kind = "zeros"}, name = "p0", trainable = true, type = tensor<1x1xf32>}, {init = {kind = "zeros"}, name = "p1", trainable = true, type = tensor<1x1xf32>}, {init = {kind = "zeros"}, name = "p2", trainable = true, type = tensor<1xf32>}], kiln.states = [], kiln.train = {loss = "loss.train", rates = "optimizer.rates", updates = [{parameter = "p0", function = "optimizer.update.0", rate = 0 : i64}, {parameter = "p1", function = "optimizer.update.1", rate = 0 : i64}, {parameter = "p2", function = "optimizer.update.2", rate = 0 : i64}], steps = 1 : i64}} {
  func.func @loss.train(%arg0: tensor<1x1xf32> {kiln.parameter = "p0"}, %arg1: tensor<1x1xf32> {kiln.parameter = "p1"}, %arg2: tensor<1xf32> {kiln.parameter = "p2"}, %arg3: tensor<1xi32> {kiln.input = "x1"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.constant dense<true> : tensor<i1> : tensor<i1>
    %1:2 = kiln.if %0 : (tensor<i1>) -> (tensor<1x1xf32>, tensor<1x1xf32>) {
      kiln.yield %arg1, %arg1 : tensor<1x1xf32>, tensor<1x1xf32>
    } else {
      kiln.yield %arg0, %arg0 : tensor<1x1xf32>, tensor<1x1xf32>
    }
    %2 = kiln.reduce  sum %1#0, [0, 1] : tensor<1x1xf32> -> tensor<f32>
    return %2 : tensor<f32>
  }
  func.func private @optimizer.rates() -> tensor<f64> {
    %0 = kiln.constant dense<1.000000e-01> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @optimizer.update.0(%p: tensor<1x1xf32>, %g: tensor<1x1xf32>, %lr: tensor<f64>) -> tensor<1x1xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<1x1xf32>
    %2 = kiln.mul %1, %g : tensor<1x1xf32>
    %3 = kiln.sub %p, %2 : tensor<1x1xf32>
    return %3 : tensor<1x1xf32>
  }
  func.func private @optimizer.update.1(%p: tensor<1x1xf32>, %g: tensor<1x1xf32>, %lr: tensor<f64>) -> tensor<1x1xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<1x1xf32>
    %2 = kiln.mul %1, %g : tensor<1x1xf32>
    %3 = kiln.sub %p, %2 : tensor<1x1xf32>
    return %3 : tensor<1x1xf32>
  }
  func.func private @optimizer.update.2(%p: tensor<1xf32>, %g: tensor<1xf32>, %lr: tensor<f64>) -> tensor<1xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<1xf32>
    %2 = kiln.mul %1, %g : tensor<1xf32>
    %3 = kiln.sub %p, %2 : tensor<1xf32>
    return %3 : tensor<1xf32>
  }
}
