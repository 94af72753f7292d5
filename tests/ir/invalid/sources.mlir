// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// constant (C1)
func.func @f() {
  // expected-error@+1 {{'kiln.constant' op (C1) expected elements of type 'f32', found i32[2]}}
  %r = "kiln.constant"() <{value = dense<1> : tensor<2xi32>}> : () -> tensor<2xf32>
  return
}

// -----

// constant (C2)
func.func @f() {
  // expected-error@+1 {{'kiln.constant' op (C2) the value's shape must be the result's or rank 0, found f32[3] and f32[2]}}
  %r = "kiln.constant"() <{value = dense<1.0> : tensor<3xf32>}> : () -> tensor<2xf32>
  return
}

// -----

// iota (C1)
func.func @f() {
  // expected-error@+1 {{'kiln.iota' op (C1) axis 1 is outside [0, 1)}}
  %r = kiln.iota 1 : tensor<4xi32>
  return
}

// -----

// iota (C2)
func.func @f() {
  // expected-error@+1 {{'kiln.iota' op (C2) the element type must not be bool, found i1[4]}}
  %r = kiln.iota 0 : tensor<4xi1>
  return
}

// -----

// extent (C1)
func.func @f() {
  // expected-error@+1 {{'kiln.extent' op (C1) expected one expression, found 2}}
  %r = kiln.extent <"B", "T"> : tensor<i32>
  return
}

// -----

// extent (C2)
func.func @f() {
  // expected-error@+1 {{'kiln.extent' op (C2) the result must be a float or an integer, found i1[]}}
  %r = kiln.extent <"B"> : tensor<i1>
  return
}

// -----

// random_bits (C1)
func.func @f(%s: tensor<i32>) {
  // expected-error@+1 {{'kiln.random_bits' op (C1) seed must be ui32[], found i32[]}}
  %r = kiln.random_bits 0, %s : tensor<i32> -> tensor<4xui32>
  return
}

// -----

// random_bits (C2): type
func.func @f(%s: tensor<ui32>, %c: tensor<i64>) {
  // expected-error@+1 {{'kiln.random_bits' op (C2) a counter must be i32[], found i64[]}}
  %r = kiln.random_bits 0, %s, %c : tensor<ui32>, tensor<i64> -> tensor<4xui32>
  return
}

// -----

// random_bits (C2): number
func.func @f(%s: tensor<ui32>, %c: tensor<i32>) {
  // expected-error@+1 {{'kiln.random_bits' op (C2) expected at most 3 counters, found 4}}
  %r = kiln.random_bits 0, %s, %c, %c, %c, %c : tensor<ui32>, tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32> -> tensor<4xui32>
  return
}

// -----

// random_bits (C3)
func.func @f(%s: tensor<ui32>) {
  // expected-error@+1 {{'kiln.random_bits' op (C3) the result's element type must be ui32, found i32[4]}}
  %r = kiln.random_bits 0, %s : tensor<ui32> -> tensor<4xi32>
  return
}
