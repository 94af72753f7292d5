// RUN: %kiln-opt --kiln-train-step -split-input-file -verify-diagnostics %s

// expected-error @below {{unknown optimizer "lion"; known: sgd, adagrad, rmsprop, adam, adamw}}
module attributes {kiln.train = {loss = "loss.train", optimizer = {kind = "lion", lr = 0.1}}} {
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

// expected-error @below {{unknown schedule "sawtooth"; known: constant, linear, cosine, exponential, step, noam}}
module attributes {kiln.train = {loss = "loss.train", optimizer = {kind = "sgd", lr = {kind = "sawtooth", base = 0.1}}}} {
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

// expected-error @below {{parameter "w" is in two optimizers}}
module attributes {kiln.train = {loss = "loss.train", optimizers = [{kind = "sgd", lr = 0.1, parameters = ["w"]}, {kind = "sgd", lr = 0.1}]}} {
  func.func @loss.train(%w: tensor<f32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    return %w : tensor<f32>
  }
}

// -----

module attributes {kiln.train = {loss = "loss.train", optimizer = {kind = "sgd", lr = 0.1}}} {
  // expected-error @below {{a loss is one floating-point number}}
  func.func @loss.train(%w: tensor<2xf32> {kiln.parameter = "w"}) -> (tensor<2xf32> {kiln.loss}) {
    return %w : tensor<2xf32>
  }
}

// -----

// expected-error @below {{kiln.train names no loss function that exists}}
module attributes {kiln.train = {loss = "elsewhere", optimizer = {kind = "sgd", lr = 0.1}}} {
}
