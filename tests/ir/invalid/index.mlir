// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// gather (C1)
func.func @f(%x: tensor<5x4xf32>, %i: tensor<3xi32>) {
  // expected-error@+1 {{'kiln.gather' op (C1) expected 0 <= batch_dims <= axis < operand rank and batch_dims <= indices rank, found batch_dims 0, axis 2, f32[5, 4] and i32[3]}}
  %r = kiln.gather %x, %i, 2 : tensor<5x4xf32>, tensor<3xi32> -> tensor<3x4xf32>
  return
}

// -----

// gather (C2)
func.func @f(%x: tensor<5x4xf32>, %i: tensor<3xi32>) {
  // expected-error@+1 {{'kiln.gather' op (C2) batch dimensions at axis 0 differ: f32[5, 4] and i32[3]}}
  %r = kiln.gather %x, %i, 1 {batch_dims = 1 : i64} : tensor<5x4xf32>, tensor<3xi32> -> tensor<5xf32>
  return
}

// -----

// gather (C3)
func.func @f(%x: tensor<5x4xf32>, %i: tensor<3xf32>) {
  // expected-error@+1 {{'kiln.gather' op (C3) indices must be of an integer type, found f32[3]}}
  %r = kiln.gather %x, %i, 0 : tensor<5x4xf32>, tensor<3xf32> -> tensor<3x4xf32>
  return
}

// -----

// gather (C4)
func.func @f(%x: tensor<5x4xf32>, %i: tensor<3xi32>) {
  // expected-error@+1 {{'kiln.gather' op (C4) expected the result f32[3, 4], found f32[3, 5]}}
  %r = kiln.gather %x, %i, 0 : tensor<5x4xf32>, tensor<3xi32> -> tensor<3x5xf32>
  return
}

// -----

// scatter (C1): updates
func.func @f(%x: tensor<5x4xf32>, %i: tensor<3xi32>, %u: tensor<3x5xf32>) {
  // expected-error@+1 {{'kiln.scatter' op (C1) expected the updates f32[3, 4], found f32[3, 5]}}
  %r = kiln.scatter add %x, %i, %u, 0 : tensor<5x4xf32>, tensor<3xi32>, tensor<3x5xf32>
  return
}

// -----

// scatter (C1): result
func.func @f(%x: tensor<5x4xf32>, %i: tensor<3xi32>, %u: tensor<3x4xf32>) {
  // expected-error@+1 {{failed to verify that (C1) all of {operand, result} have the same type}}
  %r = "kiln.scatter"(%x, %i, %u) <{kind = #kiln<scatter_kind add>, axis = 0 : i64}> : (tensor<5x4xf32>, tensor<3xi32>, tensor<3x4xf32>) -> tensor<4x4xf32>
  return
}

// -----

// sort (C1)
func.func @f(%x: tensor<5xf32>) {
  // expected-error@+1 {{'kiln.sort' op (C1) axis 1 is outside [0, 1)}}
  %v, %i = kiln.sort %x, 1 : tensor<5xf32> -> tensor<5xf32>, tensor<5xi32>
  return
}

// -----

// sort (C2)
func.func @f(%x: tensor<5xf32>) {
  // expected-error@+1 {{'kiln.sort' op (C2) expected values f32[5] and indices of its shape with i32 or i64, found f32[5] and i8[5]}}
  %v, %i = kiln.sort %x, 0 : tensor<5xf32> -> tensor<5xf32>, tensor<5xi8>
  return
}

// -----

// top_k (C1)
func.func @f(%x: tensor<5xf32>) {
  // expected-error@+1 {{'kiln.top_k' op (C1) k must be from 0 to the last dimension 5, found 6}}
  %v, %i = kiln.top_k %x, 6 : tensor<5xf32> -> tensor<6xf32>, tensor<6xi32>
  return
}

// -----

// top_k (C2)
func.func @f(%x: tensor<5xf32>) {
  // expected-error@+1 {{'kiln.top_k' op (C2) expected values f32[2] and indices of its shape with i32 or i64, found f32[3] and i32[2]}}
  %v, %i = kiln.top_k %x, 2 : tensor<5xf32> -> tensor<3xf32>, tensor<2xi32>
  return
}
