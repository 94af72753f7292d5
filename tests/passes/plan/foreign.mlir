// RUN: %kiln-opt %s -split-input-file -verify-diagnostics --kiln-compile
// What no op looks at is looked at where it gets its place.

// expected-error@+1 {{takes or gives 'tensor<4xcomplex<f32>>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xcomplex<f32>> {kiln.input = "x"}) -> (tensor<4xcomplex<f32>> {kiln.output = "0"}) {
  return %x : tensor<4xcomplex<f32>>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xf8E4M3FN>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xf8E4M3FN> {kiln.input = "x"}) -> (tensor<4xf8E4M3FN> {kiln.output = "0"}) {
  return %x : tensor<4xf8E4M3FN>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xf8E5M2>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xf8E5M2> {kiln.input = "x"}) -> (tensor<4xf8E5M2> {kiln.output = "0"}) {
  return %x : tensor<4xf8E5M2>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xindex>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xindex> {kiln.input = "x"}) -> (tensor<4xindex> {kiln.output = "0"}) {
  return %x : tensor<4xindex>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xi4>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xi4> {kiln.input = "x"}) -> (tensor<4xi4> {kiln.output = "0"}) {
  return %x : tensor<4xi4>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xi16>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xi16> {kiln.input = "x"}) -> (tensor<4xi16> {kiln.output = "0"}) {
  return %x : tensor<4xi16>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xui64>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xui64> {kiln.input = "x"}) -> (tensor<4xui64> {kiln.output = "0"}) {
  return %x : tensor<4xui64>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xf80>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xf80> {kiln.input = "x"}) -> (tensor<4xf80> {kiln.output = "0"}) {
  return %x : tensor<4xf80>
}

// -----

// expected-error@+1 {{takes or gives 'tensor<4xi128>', which has no place in memory: no tensor of the dialect}}
func.func @forward(%x: tensor<4xi128> {kiln.input = "x"}) -> (tensor<4xi128> {kiln.output = "0"}) {
  return %x : tensor<4xi128>
}
