// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// dot_general (C1): range
func.func @f(%x: tensor<2x3xf32>, %y: tensor<3x4xf32>) {
  // expected-error@+1 {{'kiln.dot_general' op (C1) lhs: axis 2 is outside [0, 2)}}
  %r = kiln.dot_general %x, %y batch [] x [] contract [2] x [0] : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  return
}

// -----

// dot_general (C1): twice
func.func @f(%x: tensor<2x3xf32>, %y: tensor<3x4xf32>) {
  // expected-error@+1 {{'kiln.dot_general' op (C1) rhs: axis 0 is named twice in [0, 0]}}
  %r = kiln.dot_general %x, %y batch [0] x [0] contract [1] x [0] : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  return
}

// -----

// dot_general (C2)
func.func @f(%x: tensor<2x3xf32>, %y: tensor<4x5xf32>) {
  // expected-error@+1 {{'kiln.dot_general' op (C2) lhs dimension 3 at axis 1 and rhs dimension 4 at axis 0 must be equal, found f32[2, 3] and f32[4, 5]}}
  %r = kiln.dot_general %x, %y batch [] x [] contract [1] x [0] : tensor<2x3xf32>, tensor<4x5xf32> -> tensor<2x5xf32>
  return
}

// -----

// dot_general (C2): pairs
func.func @f(%x: tensor<2x3xf32>, %y: tensor<3x4xf32>) {
  // expected-error@+1 {{'kiln.dot_general' op (C2) axes are paired, found batch [] x [] and contract [1] x []}}
  %r = kiln.dot_general %x, %y batch [] x [] contract [1] x [] : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf32>
  return
}

// -----

// dot_general (C3)
func.func @f(%x: tensor<2x3xf32>, %y: tensor<3x4xf32>) {
  // expected-error@+1 {{'kiln.dot_general' op (C3) element types do not go together: f32[2, 3], f32[3, 4] -> f64}}
  %r = kiln.dot_general %x, %y batch [] x [] contract [1] x [0] : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<2x4xf64>
  return
}

// -----

// dot_general (C4)
func.func @f(%x: tensor<2x3xf32>, %y: tensor<3x4xf32>) {
  // expected-error@+1 {{'kiln.dot_general' op (C4) expected the result f32[2, 4], found f32[4, 2]}}
  %r = kiln.dot_general %x, %y batch [] x [] contract [1] x [0] : tensor<2x3xf32>, tensor<3x4xf32> -> tensor<4x2xf32>
  return
}

// -----

// convolution (C1)
func.func @f(%x: tensor<2x3xf32>, %f: tensor<4x3xf32>) {
  // expected-error@+1 {{'kiln.convolution' op (C1) ranks must be equal and from 3 to 5, found f32[2, 3] and f32[4, 3]}}
  %r = kiln.convolution %x, %f {strides = array<i64: 1, 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<2x3xf32>, tensor<4x3xf32> -> tensor<2x4xf32>
  return
}

// -----

// convolution (C2): multiples
func.func @f(%x: tensor<2x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) {
  // expected-error@+1 {{'kiln.convolution' op (C2) channels 3 and filters 4 must be multiples of groups 2}}
  %r = kiln.convolution %x, %f {strides = array<i64: 1, 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 2 : i64} : tensor<2x3x8x8xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x6xf32>
  return
}

// -----

// convolution (C2): filter
func.func @f(%x: tensor<2x4x8x8xf32>, %f: tensor<4x3x3x3xf32>) {
  // expected-error@+1 {{'kiln.convolution' op (C2) the filter's axis 1 must be channels / groups = 2, found 3}}
  %r = kiln.convolution %x, %f {strides = array<i64: 1, 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 2 : i64} : tensor<2x4x8x8xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x6xf32>
  return
}

// -----

// convolution (C3): count
func.func @f(%x: tensor<2x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) {
  // expected-error@+1 {{'kiln.convolution' op (C3) expected 2 entries in each list, found [1]}}
  %r = kiln.convolution %x, %f {strides = array<i64: 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<2x3x8x8xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x6xf32>
  return
}

// -----

// convolution (C3): positive
func.func @f(%x: tensor<2x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) {
  // expected-error@+1 {{'kiln.convolution' op (C3) strides and dilations must be positive, found stride 0 and dilations 1 and 1}}
  %r = kiln.convolution %x, %f {strides = array<i64: 0, 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<2x3x8x8xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x6x6xf32>
  return
}

// -----

// convolution (C4)
func.func @f(%x: tensor<2x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) {
  // expected-error@+1 {{'kiln.convolution' op (C4) expected the result f32[2, 4, 6, 6], found f32[2, 4, 8, 8]}}
  %r = kiln.convolution %x, %f {strides = array<i64: 1, 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<2x3x8x8xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x8x8xf32>
  return
}

// -----

// convolution (C4): too large
func.func @f(%x: tensor<2x3x2x8xf32>, %f: tensor<4x3x3x3xf32>) {
  // expected-error@+1 {{'kiln.convolution' op (C4) the filter's reach 3 is larger than the padded dimension 2 at spatial axis 0}}
  %r = kiln.convolution %x, %f {strides = array<i64: 1, 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<2x3x2x8xf32>, tensor<4x3x3x3xf32> -> tensor<2x4x0x6xf32>
  return
}

// -----

// convolution (C5)
func.func @f(%x: tensor<2x3x8x8xf32>, %f: tensor<4x3x3x3xf64>) {
  // expected-error@+1 {{'kiln.convolution' op (C5) element types do not go together: f32[2, 3, 8, 8], f64[4, 3, 3, 3] -> f32}}
  %r = kiln.convolution %x, %f {strides = array<i64: 1, 1>, low = array<i64: 0, 0>, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<2x3x8x8xf32>, tensor<4x3x3x3xf64> -> tensor<2x4x6x6xf32>
  return
}
