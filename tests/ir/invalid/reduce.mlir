// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// reduce (C1): order
func.func @f(%x: tensor<2x3x4xf32>) {
  // expected-error@+1 {{'kiln.reduce' op (C1) axes must increase, found [2, 0]}}
  %r = kiln.reduce sum %x, [2, 0] : tensor<2x3x4xf32> -> tensor<3xf32>
  return
}

// -----

// reduce (C1): range
func.func @f(%x: tensor<2x3x4xf32>) {
  // expected-error@+1 {{'kiln.reduce' op (C1) axis -1 is outside [0, 3)}}
  %r = kiln.reduce sum %x, [-1] : tensor<2x3x4xf32> -> tensor<3xf32>
  return
}

// -----

// reduce (C2)
func.func @f(%x: tensor<2x?xf32, #kiln.dims<"2", "T">>) {
  // expected-error@+1 {{'kiln.reduce' op (C2) expected the result f32[T], found f32[2]}}
  %r = kiln.reduce sum %x, [0] : tensor<2x?xf32, #kiln.dims<"2", "T">> -> tensor<2xf32>
  return
}

// -----

// reduce (C3)
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{'kiln.reduce' op (C3) any takes i1, found f32[2]}}
  %r = kiln.reduce any %x, [0] : tensor<2xf32> -> tensor<f32>
  return
}

// -----

// arg_reduce (C1)
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{'kiln.arg_reduce' op (C1) axis 1 is outside [0, 1)}}
  %r = kiln.arg_reduce max %x, 1 : tensor<2xf32> -> tensor<i32>
  return
}

// -----

// arg_reduce (C1): empty
func.func @f(%x: tensor<0xf32>) {
  // expected-error@+1 {{'kiln.arg_reduce' op (C1) the dimension at axis 0 is 0, so there is no largest or smallest element}}
  %r = kiln.arg_reduce max %x, 0 : tensor<0xf32> -> tensor<i32>
  return
}

// -----

// arg_reduce (C2)
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{'kiln.arg_reduce' op (C2) the result's element type must be i32 or i64}}
  %r = kiln.arg_reduce max %x, 0 : tensor<2xf32> -> tensor<f32>
  return
}

// -----

// cumsum (C1)
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{'kiln.cumsum' op (C1) axis 1 is outside [0, 1)}}
  %r = kiln.cumsum %x, 1 : tensor<2xf32>
  return
}

// -----

// reduce_window (C1): count
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{'kiln.reduce_window' op (C1) expected 2 entries in window, strides, low and high, found 1, 2, 2 and 2}}
  %r = kiln.reduce_window max %x {window = array<i64: 3>, strides = array<i64: 1, 2>, low = array<i64: 0, 1>, high = array<i64: 0, 1>} : tensor<2x8xf32> -> tensor<2x4xf32>
  return
}

// -----

// reduce_window (C1): positive
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{'kiln.reduce_window' op (C1) window 3 and stride 0 at axis 1 must be positive}}
  %r = kiln.reduce_window max %x {window = array<i64: 1, 3>, strides = array<i64: 1, 0>, low = array<i64: 0, 1>, high = array<i64: 0, 1>} : tensor<2x8xf32> -> tensor<2x4xf32>
  return
}

// -----

// reduce_window (C2)
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{'kiln.reduce_window' op (C2) kind must be sum, max or min, found prod}}
  %r = kiln.reduce_window prod %x {window = array<i64: 1, 3>, strides = array<i64: 1, 2>, low = array<i64: 0, 1>, high = array<i64: 0, 1>} : tensor<2x8xf32> -> tensor<2x4xf32>
  return
}

// -----

// reduce_window (C3)
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{'kiln.reduce_window' op (C3) expected the result f32[2, 4], found f32[2, 5]}}
  %r = kiln.reduce_window max %x {window = array<i64: 1, 3>, strides = array<i64: 1, 2>, low = array<i64: 0, 1>, high = array<i64: 0, 1>} : tensor<2x8xf32> -> tensor<2x5xf32>
  return
}

// -----

// reduce_window (C3): too large
func.func @f(%x: tensor<2x0xf32>) {
  // expected-error@+1 {{'kiln.reduce_window' op (C3) the window 3 at axis 1 is larger than the padded dimension 2}}
  %r = kiln.reduce_window max %x {window = array<i64: 1, 3>, strides = array<i64: 1, 2>, low = array<i64: 0, 1>, high = array<i64: 0, 1>} : tensor<2x0xf32> -> tensor<2x0xf32>
  return
}

// -----

// reduce_window_grad (C1)
func.func @f(%x: tensor<2x8xf32>, %g: tensor<2x4xf32>) {
  // expected-error@+1 {{'kiln.reduce_window_grad' op (C1) kind must be max or min, found sum}}
  %r = kiln.reduce_window_grad sum %x, %g {window = array<i64: 1, 3>, strides = array<i64: 1, 2>, low = array<i64: 0, 1>, high = array<i64: 0, 1>} : tensor<2x8xf32>, tensor<2x4xf32> -> tensor<2x8xf32>
  return
}

// -----

// reduce_window_grad (C2)
func.func @f(%x: tensor<2x8xf32>, %g: tensor<2x5xf32>) {
  // expected-error@+1 {{'kiln.reduce_window_grad' op (C2) expected the gradient f32[2, 4], found f32[2, 5]}}
  %r = kiln.reduce_window_grad max %x, %g {window = array<i64: 1, 3>, strides = array<i64: 1, 2>, low = array<i64: 0, 1>, high = array<i64: 0, 1>} : tensor<2x8xf32>, tensor<2x5xf32> -> tensor<2x8xf32>
  return
}
