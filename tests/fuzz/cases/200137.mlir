// arguments 1
// the gradient of a mean that is always zero: all of it is rounding
module @Random attributes {kiln.parameters = [{init = {kind = "zeros"}, name = "p0", trainable = true, type = tensor<2x2xf32>}, {init = {kind = "zeros"}, name = "p1", trainable = true, type = tensor<15x2xf32>}, {init = {kind = "zeros"}, name = "p2", trainable = true, type = tensor<16xf32>}], kiln.states = [], kiln.train = {loss = "loss.train", rates = "optimizer.rates", updates = [{parameter = "p0", function = "optimizer.update.0", rate = 0 : i64}, {parameter = "p1", function = "optimizer.update.1", rate = 0 : i64}, {parameter = "p2", function = "optimizer.update.2", rate = 0 : i64}], steps = 1 : i64}} {
  func.func @loss.train(%arg0: tensor<2x2xf32> {kiln.parameter = "p0"}, %arg1: tensor<15x2xf32> {kiln.parameter = "p1"}, %arg2: tensor<16xf32> {kiln.parameter = "p2"}, %arg3: tensor<5xi32> {kiln.input = "x3"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.gather %arg1, %arg3, 0 : tensor<15x2xf32>, tensor<5xi32> -> tensor<5x2xf32>
    %1 = kiln.constant dense<5.000000e-01> : tensor<f32> : tensor<f32>
    %2 = kiln.pad %arg2, %1, <"2">, <"1">, [0] : tensor<16xf32>, tensor<f32> -> tensor<19xf32>
    %3 = kiln.slice %arg2, <"6">, [1] : tensor<16xf32> -> tensor<2xf32>
    %4 = kiln.broadcast %arg2, [1] : tensor<16xf32> -> tensor<1x16xf32>
    %5 = kiln.iota 0 : tensor<2xf32>
    %6 = kiln.broadcast %5, [1] : tensor<2xf32> -> tensor<2x2xf32>
    %7 = kiln.constant dense<3.700000e-01> : tensor<2x2xf32> : tensor<2x2xf32>
    %8 = kiln.mul %6, %7 : tensor<2x2xf32>
    %9 = kiln.sin %8 : tensor<2x2xf32>
    %10 = kiln.dot_general %3, %9 batch [] x [] contract [0] x [1] : tensor<2xf32>, tensor<2x2xf32> -> tensor<2xf32>
    %11 = kiln.tanh %10 : tensor<2xf32>
    %12 = kiln.gelu %arg1 {tanh = true} : tensor<15x2xf32>
    %13 = kiln.reduce  sum %12, [1] : tensor<15x2xf32> -> tensor<15xf32>
    %14 = kiln.constant dense<5.000000e-01> : tensor<15xf32> : tensor<15xf32>
    %15 = kiln.mul %13, %14 : tensor<15xf32>
    %16 = kiln.mul %4, %4 : tensor<1x16xf32>
    %17 = kiln.constant dense<1.000000e+00> : tensor<1x16xf32> : tensor<1x16xf32>
    %18 = kiln.add %16, %17 : tensor<1x16xf32>
    %19 = kiln.log %18 : tensor<1x16xf32>
    %20 = kiln.tanh %arg1 : tensor<15x2xf32>
    %21 = kiln.exp %20 : tensor<15x2xf32>
    %22 = kiln.cumsum %arg0, 1 : tensor<2x2xf32>
    %23 = kiln.gelu %arg1 {tanh = true} : tensor<15x2xf32>
    %24 = kiln.layer_norm %21 epsilon 1.000000e-02 : tensor<15x2xf32>
    %25 = kiln.concat 1, %24, %23, %24 : tensor<15x2xf32>, tensor<15x2xf32>, tensor<15x2xf32> -> tensor<15x6xf32>
    %26 = kiln.layer_norm %3 epsilon 1.000000e-02 : tensor<2xf32>
    %27 = kiln.reduce  sum %26, [0] : tensor<2xf32> -> tensor<f32>
    %28 = kiln.constant dense<5.000000e-01> : tensor<f32> : tensor<f32>
    %29 = kiln.mul %27, %28 : tensor<f32>
    %30 = kiln.broadcast %29, [] : tensor<f32> -> tensor<2xf32>
    %31 = kiln.sub %26, %30 : tensor<2xf32>
    %32 = kiln.sin %31 : tensor<2xf32>
    %33 = kiln.reduce  sum %32, [0] : tensor<2xf32> -> tensor<f32>
    %34 = kiln.constant dense<5.000000e-01> : tensor<f32> : tensor<f32>
    %35 = kiln.mul %33, %34 : tensor<f32>
    %36 = kiln.sin %29 : tensor<f32>
    %37 = kiln.add %35, %36 : tensor<f32>
    %38 = kiln.sin %26 : tensor<2xf32>
    %39 = kiln.reduce  sum %38, [0] : tensor<2xf32> -> tensor<f32>
    %40 = kiln.constant dense<5.000000e-01> : tensor<f32> : tensor<f32>
    %41 = kiln.mul %39, %40 : tensor<f32>
    %42 = kiln.add %37, %41 : tensor<f32>
    return %42 : tensor<f32>
  }
  func.func private @optimizer.rates() -> tensor<f64> {
    %0 = kiln.constant dense<1.000000e-01> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @optimizer.update.0(%p: tensor<2x2xf32>, %g: tensor<2x2xf32>, %lr: tensor<f64>) -> tensor<2x2xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<2x2xf32>
    %2 = kiln.mul %1, %g : tensor<2x2xf32>
    %3 = kiln.sub %p, %2 : tensor<2x2xf32>
    return %3 : tensor<2x2xf32>
  }
  func.func private @optimizer.update.1(%p: tensor<15x2xf32>, %g: tensor<15x2xf32>, %lr: tensor<f64>) -> tensor<15x2xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<15x2xf32>
    %2 = kiln.mul %1, %g : tensor<15x2xf32>
    %3 = kiln.sub %p, %2 : tensor<15x2xf32>
    return %3 : tensor<15x2xf32>
  }
  func.func private @optimizer.update.2(%p: tensor<16xf32>, %g: tensor<16xf32>, %lr: tensor<f64>) -> tensor<16xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<16xf32>
    %2 = kiln.mul %1, %g : tensor<16xf32>
    %3 = kiln.sub %p, %2 : tensor<16xf32>
    return %3 : tensor<16xf32>
  }
}
