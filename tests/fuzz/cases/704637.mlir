// cpu x86-64-v3
// arguments 2978639937597022294
// under red zones: train_step: p1[91]: interpreter -0.664778108, compiled -nan (norm 1.89867079, rounding strays by 0)
module @Random attributes {kiln.parameters = [{init = {kind = "zeros"}, name = "p0", trainable = true, type = tensor<13x1xf64>}, {init = {kind = "zeros"}, name = "p1", trainable = true, type = tensor<34x13xf64>}, {init = {kind = "zeros"}, name = "p2", trainable = true, type = tensor<2xf64>}], kiln.states = [], kiln.train = {loss = "loss.train", rates = "optimizer.rates", steps = 1 : i64, updates = [{function = "optimizer.update.0", parameter = "p0", rate = 0 : i64}, {function = "optimizer.update.1", parameter = "p1", rate = 0 : i64}, {function = "optimizer.update.2", parameter = "p2", rate = 0 : i64}]}} {
  func.func @loss.train(%arg0: tensor<13x1xf64> {kiln.parameter = "p0"}, %arg1: tensor<34x13xf64> {kiln.parameter = "p1"}, %arg2: tensor<2xf64> {kiln.parameter = "p2"}, %arg3: tensor<1xi32> {kiln.input = "x3"}) -> (tensor<f64> {kiln.loss}) {
    %0 = kiln.concat 0, %arg1, %arg1, %arg1 : tensor<34x13xf64>, tensor<34x13xf64>, tensor<34x13xf64> -> tensor<102x13xf64>
    %1 = kiln.broadcast %0, [2, 3] : tensor<102x13xf64> -> tensor<1x2x102x13xf64>
    %2 = kiln.broadcast %0, [2, 3] : tensor<102x13xf64> -> tensor<1x1x102x13xf64>
    %3 = kiln.broadcast %0, [2, 3] : tensor<102x13xf64> -> tensor<1x1x102x13xf64>
    %4 = kiln.constant dense<1> : tensor<ui32> : tensor<ui32>
    %result = kiln.dropout_attention %1, %2, %3 scale 3.000000e-01 drops %4 p 2.500000e-01 stream 7 {causal = true, groups = 2 : i64, sliding_window = 4 : i64} : tensor<1x2x102x13xf64>, tensor<1x1x102x13xf64>, tensor<1x1x102x13xf64>, tensor<ui32> -> tensor<1x2x102x13xf64>
    %5 = kiln.sin %result : tensor<1x2x102x13xf64>
    %6 = kiln.reduce  sum %5, [0, 1, 2, 3] : tensor<1x2x102x13xf64> -> tensor<f64>
    return %6 : tensor<f64>
  }
  func.func private @optimizer.rates() -> tensor<f64> {
    %0 = kiln.constant dense<1.000000e-01> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @optimizer.update.0(%arg0: tensor<13x1xf64>, %arg1: tensor<13x1xf64>, %arg2: tensor<f64>) -> tensor<13x1xf64> {
    %0 = kiln.broadcast %arg2, [] : tensor<f64> -> tensor<13x1xf64>
    %1 = kiln.mul %0, %arg1 : tensor<13x1xf64>
    %2 = kiln.sub %arg0, %1 : tensor<13x1xf64>
    return %2 : tensor<13x1xf64>
  }
  func.func private @optimizer.update.1(%arg0: tensor<34x13xf64>, %arg1: tensor<34x13xf64>, %arg2: tensor<f64>) -> tensor<34x13xf64> {
    %0 = kiln.broadcast %arg2, [] : tensor<f64> -> tensor<34x13xf64>
    %1 = kiln.mul %0, %arg1 : tensor<34x13xf64>
    %2 = kiln.sub %arg0, %1 : tensor<34x13xf64>
    return %2 : tensor<34x13xf64>
  }
  func.func private @optimizer.update.2(%arg0: tensor<2xf64>, %arg1: tensor<2xf64>, %arg2: tensor<f64>) -> tensor<2xf64> {
    %0 = kiln.broadcast %arg2, [] : tensor<f64> -> tensor<2xf64>
    %1 = kiln.mul %0, %arg1 : tensor<2xf64>
    %2 = kiln.sub %arg0, %1 : tensor<2xf64>
    return %2 : tensor<2xf64>
  }
}
