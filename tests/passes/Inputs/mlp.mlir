// A classifier with one hidden layer, its loss and a recipe: what the passes work on in several tests.
module @MLP attributes {
    kiln.parameters = [{name = "a.weight", type = tensor<5x4xf32>, trainable = true, init = {kind = "zeros"}},
                       {name = "a.bias", type = tensor<5xf32>, trainable = true, init = {kind = "zeros"}},
                       {name = "b.weight", type = tensor<3x5xf32>, trainable = true, init = {kind = "zeros"}}],
    kiln.train = {loss = "loss.train", rates = "optimizer.rates", updates = [{parameter = "a.weight", function = "optimizer.update.0", rate = 0 : i64}, {parameter = "a.bias", function = "optimizer.update.1", rate = 0 : i64}, {parameter = "b.weight", function = "optimizer.update.2", rate = 0 : i64}]}} {
  func.func @loss.train(%x: tensor<6x4xf32> {kiln.input = "data.x"}, %y: tensor<6xi32> {kiln.input = "data.y"},
                        %w: tensor<5x4xf32> {kiln.parameter = "a.weight"}, %b: tensor<5xf32> {kiln.parameter = "a.bias"},
                        %v: tensor<3x5xf32> {kiln.parameter = "b.weight"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [1] : tensor<6x4xf32>, tensor<5x4xf32> -> tensor<6x5xf32>
    %1 = kiln.broadcast %b, [1] : tensor<5xf32> -> tensor<6x5xf32>
    %2 = kiln.add %0, %1 : tensor<6x5xf32>
    %3 = kiln.relu %2 : tensor<6x5xf32>
    %4 = kiln.dot_general %3, %v batch [] x [] contract [1] x [1] : tensor<6x5xf32>, tensor<3x5xf32> -> tensor<6x3xf32>
    %5 = "kiln.cross_entropy"(%4, %y) : (tensor<6x3xf32>, tensor<6xi32>) -> tensor<6xf32>
    %6 = kiln.reduce sum %5, [0] : tensor<6xf32> -> tensor<f32>
    %7 = kiln.constant dense<6.0> : tensor<f32> : tensor<f32>
    %8 = kiln.div %6, %7 : tensor<f32>
    return %8 : tensor<f32>
  }
  func.func private @optimizer.rates() -> tensor<f64> {
    %0 = kiln.constant dense<5.0e-1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @optimizer.update.0(%p: tensor<5x4xf32>, %g: tensor<5x4xf32>, %lr: tensor<f64>) -> tensor<5x4xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<5x4xf32>
    %2 = kiln.mul %1, %g : tensor<5x4xf32>
    %3 = kiln.sub %p, %2 : tensor<5x4xf32>
    return %3 : tensor<5x4xf32>
  }
  func.func private @optimizer.update.1(%p: tensor<5xf32>, %g: tensor<5xf32>, %lr: tensor<f64>) -> tensor<5xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<5xf32>
    %2 = kiln.mul %1, %g : tensor<5xf32>
    %3 = kiln.sub %p, %2 : tensor<5xf32>
    return %3 : tensor<5xf32>
  }
  func.func private @optimizer.update.2(%p: tensor<3x5xf32>, %g: tensor<3x5xf32>, %lr: tensor<f64>) -> tensor<3x5xf32> {
    %0 = kiln.convert %lr : tensor<f64> -> tensor<f32>
    %1 = kiln.broadcast %0, [] : tensor<f32> -> tensor<3x5xf32>
    %2 = kiln.mul %1, %g : tensor<3x5xf32>
    %3 = kiln.sub %p, %2 : tensor<3x5xf32>
    return %3 : tensor<3x5xf32>
  }
}
