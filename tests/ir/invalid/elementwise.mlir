// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// unary (C1)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.exp' op (C1) expected one type, found f32[4] and f64[4]}}
  %r = "kiln.exp"(%x) : (tensor<4xf32>) -> tensor<4xf64>
  return
}

// -----

// unary (C2) floats
func.func @f(%x: tensor<4xi32>) {
  // expected-error@+1 {{'kiln.exp' op (C2) expected floats, found i32[4]}}
  %r = kiln.exp %x : tensor<4xi32>
  return
}

// -----

// unary (C2) numbers
func.func @f(%x: tensor<4xi1>) {
  // expected-error@+1 {{'kiln.neg' op (C2) expected floats or integers, found i1[4]}}
  %r = kiln.neg %x : tensor<4xi1>
  return
}

// -----

// unary (C2) bits
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.not' op (C2) expected integers or bool, found f32[4]}}
  %r = kiln.not %x : tensor<4xf32>
  return
}

// -----

// binary (C1): nothing is broadcast
func.func @f(%x: tensor<4xf32>, %y: tensor<1xf32>) {
  // expected-error@+1 {{'kiln.add' op (C1) expected one type, found f32[4] and f32[1]}}
  %r = "kiln.add"(%x, %y) : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32>
  return
}

// -----

// binary (C1): symbols differ
func.func @f(%x: tensor<?xf32, #kiln.dims<"B">>, %y: tensor<?xf32, #kiln.dims<"T">>) {
  // expected-error@+1 {{'kiln.mul' op (C1) expected one type, found f32[B] and f32[T]}}
  %r = "kiln.mul"(%x, %y) : (tensor<?xf32, #kiln.dims<"B">>, tensor<?xf32, #kiln.dims<"T">>) -> tensor<?xf32, #kiln.dims<"B">>
  return
}

// -----

// binary (C2) integers
func.func @f(%x: tensor<4xi1>) {
  // expected-error@+1 {{'kiln.shl' op (C2) expected integers, found i1[4]}}
  %r = kiln.shl %x, %x : tensor<4xi1>
  return
}

// -----

// binary (C2) floats
func.func @f(%x: tensor<4xi32>) {
  // expected-error@+1 {{'kiln.pow' op (C2) expected floats, found i32[4]}}
  %r = kiln.pow %x, %x : tensor<4xi32>
  return
}

// -----

// compare (C1)
func.func @f(%x: tensor<4xf32>, %y: tensor<4xi32>) {
  // expected-error@+1 {{'kiln.compare' op (C1) expected one type, found f32[4] and i32[4]}}
  %r = "kiln.compare"(%x, %y) <{predicate = #kiln<predicate lt>}> : (tensor<4xf32>, tensor<4xi32>) -> tensor<4xi1>
  return
}

// -----

// compare (C2)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.compare' op (C2) expected the result i1[4], found i8[4]}}
  %r = kiln.compare lt %x, %x : tensor<4xf32> -> tensor<4xi8>
  return
}

// -----

// select (C1)
func.func @f(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf64>) {
  // expected-error@+1 {{failed to verify that (C1) all of {on_true, on_false, result} have the same type}}
  %r = "kiln.select"(%c, %x, %y) : (tensor<4xi1>, tensor<4xf32>, tensor<4xf64>) -> tensor<4xf32>
  return
}

// -----

// select (C2)
func.func @f(%c: tensor<4xi8>, %x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.select' op (C2) expected the condition i1[4], found i8[4]}}
  %r = kiln.select %c, %x, %x : tensor<4xi8>, tensor<4xf32>
  return
}

// -----

// convert (C1)
func.func @f(%x: tensor<?xf32, #kiln.dims<"T">>) {
  // expected-error@+1 {{'kiln.convert' op (C1) expected the result i32[T], found i32[B]}}
  %r = kiln.convert %x : tensor<?xf32, #kiln.dims<"T">> -> tensor<?xi32, #kiln.dims<"B">>
  return
}

// -----

// bitcast (C1)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.bitcast' op (C1) f32 and an integer of 32 bits, or f64 and i64, were expected, found f32[4] and i64[4]}}
  %r = kiln.bitcast %x : tensor<4xf32> -> tensor<4xi64>
  return
}

// -----

// bitcast (C2)
func.func @f(%x: tensor<?xf64, #kiln.dims<"T">>) {
  // expected-error@+1 {{'kiln.bitcast' op (C2) expected the result i64[T], found i64[B]}}
  %r = kiln.bitcast %x : tensor<?xf64, #kiln.dims<"T">> -> tensor<?xi64, #kiln.dims<"B">>
  return
}
