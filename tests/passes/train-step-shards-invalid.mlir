// RUN: %kiln-opt --kiln-train-step -split-input-file -verify-diagnostics %s

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  // expected-error @below {{--shards 2 does not divide the batch of 9: each shard has equally many of its rows}}
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 9 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %r = kiln.reduce sum %y, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  // expected-error @below {{--shards: the recipe's data have no batch that could be cut}}
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %r = kiln.reduce sum %y, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  // expected-error @below {{--shards: the loss changes the parameter "w", and each shard would change it in its own way}}
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}, tensor<f32> {kiln.parameter = "w"})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %r = kiln.reduce sum %y, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    return %r, %r : tensor<f32>, tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    // expected-error @below {{this softmax takes the max over the rows of the batch}}
    %z = kiln.softmax %y, 0 : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %r = kiln.reduce sum %z, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    // expected-error @below {{this reverse goes along the rows of the batch}}
    %z = kiln.reverse %y, [0] : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %r = kiln.reduce sum %z, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    // expected-error @below {{this cumsum goes along the rows of the batch}}
    %z = kiln.cumsum %y, 0 : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %r = kiln.reduce sum %z, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    // expected-error @below {{this dot_general joins rows of the batch with each other}}
    %d = kiln.dot_general %y, %y batch [] x [] contract [1] x [1] : tensor<?x3xf32, #kiln.dims<"N", "3">>, tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<?x?xf32, #kiln.dims<"N", "N">>
    %r = kiln.reduce sum %d, [0, 1] : tensor<?x?xf32, #kiln.dims<"N", "N">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %t = kiln.transpose %y, [1, 0] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<3x?xf32, #kiln.dims<"3", "N">>
    // expected-error @below {{this reshape joins rows of the batch with an axis in front of them}}
    %f = kiln.reshape %t : tensor<3x?xf32, #kiln.dims<"3", "N">> -> tensor<?xf32, #kiln.dims<"3*N">>
    %r = kiln.reduce sum %f, [0] : tensor<?xf32, #kiln.dims<"3*N">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %m = kiln.reduce sum %y, [0] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<3xf32>
    // expected-error @below {{this broadcast needs all of a sum over the batch}}
    %n = kiln.broadcast %m, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %z = kiln.sub %y, %n : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %r = kiln.reduce sum %z, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %m = kiln.reduce sum %y, [0] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<3xf32>
    // expected-error @below {{this mul needs all of a sum over the batch}}
    %q = kiln.mul %m, %m : tensor<3xf32>
    %r = kiln.reduce sum %q, [0] : tensor<3xf32> -> tensor<f32>
    return %r : tensor<f32>
  }
}

// -----

module attributes {kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}], kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = []}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func @loss.train(%w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    return %0 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %b = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %y = kiln.mul %x, %b : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %i = kiln.constant dense<0> : tensor<2xi32> : tensor<2xi32>
    // expected-error @below {{this gather picks among the rows of the batch}}
    %g = kiln.gather %y, %i, 0 : tensor<?x3xf32, #kiln.dims<"N", "3">>, tensor<2xi32> -> tensor<2x3xf32>
    %r = kiln.reduce sum %g, [0, 1] : tensor<2x3xf32> -> tensor<f32>
    return %r : tensor<f32>
  }
}
