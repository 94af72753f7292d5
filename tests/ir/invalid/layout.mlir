// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// reshape (C1)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.reshape' op (C1) element types differ: f32[4] and f64[2, 2]}}
  %r = kiln.reshape %x : tensor<4xf32> -> tensor<2x2xf64>
  return
}

// -----

// reshape (C2)
func.func @f(%x: tensor<?x6xf32, #kiln.dims<"B", "6">>) {
  // expected-error@+1 {{'kiln.reshape' op (C2) f32[B, 6] has 6*B elements, the result f32[5*B] has 5*B}}
  %r = kiln.reshape %x : tensor<?x6xf32, #kiln.dims<"B", "6">> -> tensor<?xf32, #kiln.dims<"5*B">>
  return
}

// -----

// transpose (C1): twice
func.func @f(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'kiln.transpose' op (C1) axis 0 is named twice in [0, 0]}}
  %r = kiln.transpose %x, [0, 0] : tensor<2x3xf32> -> tensor<2x2xf32>
  return
}

// -----

// transpose (C1): length
func.func @f(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'kiln.transpose' op (C1) the permutation [0] has 1 entries, the operand rank 2}}
  %r = kiln.transpose %x, [0] : tensor<2x3xf32> -> tensor<2x3xf32>
  return
}

// -----

// transpose (C1): range
func.func @f(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'kiln.transpose' op (C1) axis 2 is outside [0, 2)}}
  %r = kiln.transpose %x, [0, 2] : tensor<2x3xf32> -> tensor<2x3xf32>
  return
}

// -----

// transpose (C2)
func.func @f(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'kiln.transpose' op (C2) expected the result f32[3, 2], found f32[2, 3]}}
  %r = kiln.transpose %x, [1, 0] : tensor<2x3xf32> -> tensor<2x3xf32>
  return
}

// -----

// broadcast (C1): count
func.func @f(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'kiln.broadcast' op (C1) axes [0] has 1 entries, the operand rank 2}}
  %r = kiln.broadcast %x, [0] : tensor<2x3xf32> -> tensor<2x3xf32>
  return
}

// -----

// broadcast (C1): order
func.func @f(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{'kiln.broadcast' op (C1) axes must increase, found [1, 0]}}
  %r = kiln.broadcast %x, [1, 0] : tensor<2x3xf32> -> tensor<3x2xf32>
  return
}

// -----

// broadcast (C2)
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{'kiln.broadcast' op (C2) operand dimension 2 at axis 0 must be 1 or the result's 3 at axis 1}}
  %r = kiln.broadcast %x, [1] : tensor<2xf32> -> tensor<2x3xf32>
  return
}

// -----

// slice (C1): count
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error@+1 {{'kiln.slice' op (C1) expected 2 starts and strides, found 1 and 1}}
  %r = kiln.slice %x, <"0">, [1] : tensor<4x4xf32> -> tensor<4x4xf32>
  return
}

// -----

// slice (C1): stride
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.slice' op (C1) stride 0 at axis 0 is not positive}}
  %r = kiln.slice %x, <"0">, [0] : tensor<4xf32> -> tensor<2xf32>
  return
}

// -----

// slice (C2)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.slice' op (C2) expected the result f32[2], found f64[2]}}
  %r = kiln.slice %x, <"0">, [1] : tensor<4xf32> -> tensor<2xf64>
  return
}

// -----

// slice (C3): end
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.slice' op (C3) the last element read is 5 at axis 0, the dimension is 4}}
  %r = kiln.slice %x, <"1">, [2] : tensor<4xf32> -> tensor<3xf32>
  return
}

// -----

// slice (C3): end, symbolic
func.func @f(%x: tensor<?xf32, #kiln.dims<"T">>) {
  // expected-error@+1 {{'kiln.slice' op (C3) the last element read is T at axis 0, the dimension is T}}
  %r = kiln.slice %x, <"1">, [1] : tensor<?xf32, #kiln.dims<"T">> -> tensor<?xf32, #kiln.dims<"T">>
  return
}

// -----

// slice (C3): start
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.slice' op (C3) start -1 at axis 0 is negative}}
  %r = kiln.slice %x, <"-1">, [1] : tensor<4xf32> -> tensor<2xf32>
  return
}

// -----

// pad (C1): count
func.func @f(%x: tensor<4xf32>, %v: tensor<f32>) {
  // expected-error@+1 {{'kiln.pad' op (C1) expected 1 entries in low, high and interior, found 1, 1 and 0}}
  %r = kiln.pad %x, %v, <"1">, <"1">, [] : tensor<4xf32>, tensor<f32> -> tensor<6xf32>
  return
}

// -----

// pad (C1): negative
func.func @f(%x: tensor<4xf32>, %v: tensor<f32>) {
  // expected-error@+1 {{'kiln.pad' op (C1) padding -1 at axis 0 is negative}}
  %r = kiln.pad %x, %v, <"-1">, <"1">, [0] : tensor<4xf32>, tensor<f32> -> tensor<4xf32>
  return
}

// -----

// pad (C2)
func.func @f(%x: tensor<4xf32>, %v: tensor<f64>) {
  // expected-error@+1 {{'kiln.pad' op (C2) the value must be a scalar of the operand's element type, found f64[] for f32[4]}}
  %r = kiln.pad %x, %v, <"1">, <"1">, [0] : tensor<4xf32>, tensor<f64> -> tensor<6xf32>
  return
}

// -----

// pad (C3)
func.func @f(%x: tensor<4xf32>, %v: tensor<f32>) {
  // expected-error@+1 {{'kiln.pad' op (C3) expected the result f32[9], found f32[6]}}
  %r = kiln.pad %x, %v, <"1">, <"1">, [1] : tensor<4xf32>, tensor<f32> -> tensor<6xf32>
  return
}

// -----

// concat (C1): none
func.func @f() {
  // expected-error@+1 {{'kiln.concat' op (C1) expected at least one operand}}
  %r = "kiln.concat"() <{axis = 0 : i64}> : () -> tensor<4xf32>
  return
}

// -----

// concat (C1): ranks
func.func @f(%x: tensor<4xf32>, %y: tensor<1x4xf32>) {
  // expected-error@+1 {{'kiln.concat' op (C1) operands must have one element type and rank, found f32[4] and f32[1, 4]}}
  %r = kiln.concat 0, %x, %y : tensor<4xf32>, tensor<1x4xf32> -> tensor<8xf32>
  return
}

// -----

// concat (C2)
func.func @f(%x: tensor<2x4xf32>, %y: tensor<3x5xf32>) {
  // expected-error@+1 {{'kiln.concat' op (C2) dimensions at axis 1 differ: f32[2, 4] and f32[3, 5]}}
  %r = kiln.concat 0, %x, %y : tensor<2x4xf32>, tensor<3x5xf32> -> tensor<5x4xf32>
  return
}

// -----

// concat (C3)
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error@+1 {{'kiln.concat' op (C3) expected the result f32[4, 4], found f32[5, 4]}}
  %r = kiln.concat 0, %x, %x : tensor<2x4xf32>, tensor<2x4xf32> -> tensor<5x4xf32>
  return
}

// -----

// reverse (C1): twice
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error@+1 {{'kiln.reverse' op (C1) axes must be distinct}}
  %r = kiln.reverse %x, [1, 1] : tensor<2x4xf32>
  return
}

// -----

// reverse (C1): range
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error@+1 {{'kiln.reverse' op (C1) axis 2 is outside [0, 2)}}
  %r = kiln.reverse %x, [2] : tensor<2x4xf32>
  return
}

// -----

// dynamic_slice (C1): count
func.func @f(%x: tensor<2x4xf32>, %i: tensor<i32>) {
  // expected-error@+1 {{'kiln.dynamic_slice' op (C1) expected 2 starts, found 1}}
  %r = kiln.dynamic_slice %x[%i] : (tensor<2x4xf32>, tensor<i32>) -> tensor<1x4xf32>
  return
}

// -----

// dynamic_slice (C1): type
func.func @f(%x: tensor<4xf32>, %i: tensor<f32>) {
  // expected-error@+1 {{'kiln.dynamic_slice' op (C1) a start must be an integer, found f32[]}}
  %r = kiln.dynamic_slice %x[%i] : (tensor<4xf32>, tensor<f32>) -> tensor<1xf32>
  return
}

// -----

// dynamic_slice (C2)
func.func @f(%x: tensor<4xf32>, %i: tensor<i32>) {
  // expected-error@+1 {{'kiln.dynamic_slice' op (C2) the result must have the operand's rank and element type, found f32[4] and f64[1]}}
  %r = kiln.dynamic_slice %x[%i] : (tensor<4xf32>, tensor<i32>) -> tensor<1xf64>
  return
}

// -----

// dynamic_update_slice (C1)
func.func @f(%x: tensor<4xf32>, %u: tensor<1xf32>) {
  // expected-error@+1 {{'kiln.dynamic_update_slice' op (C1) expected 1 starts, found 0}}
  %r = kiln.dynamic_update_slice %x, %u : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32>
  return
}

// -----

// dynamic_update_slice (C2)
func.func @f(%x: tensor<4xf32>, %u: tensor<f32>, %i: tensor<i32>) {
  // expected-error@+1 {{'kiln.dynamic_update_slice' op (C2) update must have the operand's rank and element type, found f32[4] and f32[]}}
  %r = kiln.dynamic_update_slice %x, %u[%i] : (tensor<4xf32>, tensor<f32>, tensor<i32>) -> tensor<4xf32>
  return
}

// -----

// dynamic_update_slice (C2): result
func.func @f(%x: tensor<4xf32>, %u: tensor<1xf32>, %i: tensor<i32>) {
  // expected-error@+1 {{failed to verify that (C2) all of {operand, result} have the same type}}
  %r = kiln.dynamic_update_slice %x, %u[%i] : (tensor<4xf32>, tensor<1xf32>, tensor<i32>) -> tensor<5xf32>
  return
}
