// RUN: %kiln-opt --kiln-train-step -split-input-file -verify-diagnostics %s

// expected-error @below {{kiln.train names no updates}}
module attributes {kiln.train = {loss = "loss.train", rates = "r"}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

// expected-error @below {{kiln.train names no function of rates that exists}}
module attributes {kiln.train = {loss = "loss.train", updates = []}} {
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

// expected-error @below {{parameter "w" is in two optimizers}}
module attributes {kiln.train = {loss = "loss.train", rates = "r", updates = [{parameter = "w", function = "u", rate = 0 : i64}, {parameter = "w", function = "u", rate = 0 : i64}]}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @u(%p: tensor<f32>, %g: tensor<f32>, %lr: tensor<f64>) -> tensor<f32> {
    return %p : tensor<f32>
  }
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

// expected-error @below {{an update of kiln.train has no rate}}
module attributes {kiln.train = {loss = "loss.train", rates = "r", updates = [{parameter = "w", function = "u", rate = 1 : i64}]}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @u(%p: tensor<f32>, %g: tensor<f32>, %lr: tensor<f64>) -> tensor<f32> {
    return %p : tensor<f32>
  }
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

module attributes {kiln.train = {loss = "loss.train", rates = "r", updates = [{parameter = "w", function = "u", rate = 0 : i64}]}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  // expected-error @below {{is no update of "w": (p, gradient, lr, states}}
  func.func private @u(%p: tensor<2xf32>, %g: tensor<2xf32>, %lr: tensor<f64>) -> tensor<2xf32> {
    return %p : tensor<2xf32>
  }
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

module attributes {kiln.train = {loss = "loss.train"}} {
  // expected-error @below {{a loss is one floating-point number}}
  func.func @loss.train(%w: tensor<2xf32> {kiln.parameter = "w"}) -> (tensor<2xf32> {kiln.loss}) {
    return %w : tensor<2xf32>
  }
}

// -----

// expected-error @below {{kiln.train names no loss function that exists}}
module attributes {kiln.train = {loss = "elsewhere"}} {
}
