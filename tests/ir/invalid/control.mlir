// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// scan (C1)
func.func @f(%xs: tensor<?xf32, #kiln.dims<"T">>) {
  // expected-error@+1 {{'kiln.scan' op (C1) a sequence's leading dimension must be S, found f32[T]}}
  %r = kiln.scan "S" step(%t) over(%x = %xs : tensor<?xf32, #kiln.dims<"T">>) -> (tensor<?xf32, #kiln.dims<"S">>) {
    kiln.yield %x : tensor<f32>
  }
  return
}

// -----

// scan (C2): carried type
func.func @f(%h0: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.scan' op (C2) yielded values must have the types (f32[4]), found (i32[])}}
  %r = kiln.scan "5" step(%t) carry(%h = %h0 : tensor<4xf32>) -> () {
    kiln.yield %t : tensor<i32>
  }
  return
}

// -----

// scan (C2): number of yielded values
func.func @f(%h0: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.scan' op (C2) expected one yielded value for each of the 1 results, carries first, found 2}}
  %r = kiln.scan "5" step(%t) carry(%h = %h0 : tensor<4xf32>) -> () {
    kiln.yield %h, %t : tensor<4xf32>, tensor<i32>
  }
  return
}

// -----

// scan (C2): stacked output
func.func @f() {
  // expected-error@+1 {{'kiln.scan' op (C2) an output's leading dimension must be 5, found i32[4]}}
  %r = kiln.scan "5" step(%t) -> (tensor<4xi32>) {
    kiln.yield %t : tensor<i32>
  }
  return
}

// -----

// scan (C2): block arguments
func.func @f(%h0: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.scan' op (C2) block arguments must have the types (i32[], f32[4]), found (i32[], f32[5])}}
  %r = "kiln.scan"(%h0) <{count = #kiln.dims<"5">, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%t: tensor<i32>, %h: tensor<5xf32>):
    kiln.yield %h : tensor<5xf32>
  }) : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// if (C1)
func.func @f(%c: tensor<i1>, %x: tensor<4xf32>, %y: tensor<5xf32>) {
  // expected-error@+1 {{'kiln.if' op (C1) the second region's values must have the types (f32[4]), found (f32[5])}}
  %r = kiln.if %c : (tensor<i1>) -> tensor<4xf32> {
    kiln.yield %x : tensor<4xf32>
  } else {
    kiln.yield %y : tensor<5xf32>
  }
  return
}

// -----

// if (C2)
func.func @f(%c: tensor<i32>, %x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.if' op (C2) expected the condition i1[], found i32[]}}
  %r = kiln.if %c : (tensor<i32>) -> tensor<4xf32> {
    kiln.yield %x : tensor<4xf32>
  } else {
    kiln.yield %x : tensor<4xf32>
  }
  return
}

// -----

// while (C1)
func.func @f(%x: tensor<f32>, %c: tensor<i1>) {
  // expected-error@+1 {{'kiln.while' op (C1) the body's values must have the types (f32[]), found (i1[])}}
  %r = kiln.while %x : (tensor<f32>) -> tensor<f32> {
  ^condition(%a: tensor<f32>):
    kiln.yield %c : tensor<i1>
  } do {
  ^body(%a: tensor<f32>):
    kiln.yield %c : tensor<i1>
  }
  return
}

// -----

// while (C2)
func.func @f(%x: tensor<f32>) {
  // expected-error@+1 {{'kiln.while' op (C2) the condition's value must have the types (i1[]), found (f32[])}}
  %r = kiln.while %x : (tensor<f32>) -> tensor<f32> {
  ^condition(%a: tensor<f32>):
    kiln.yield %a : tensor<f32>
  } do {
  ^body(%a: tensor<f32>):
    kiln.yield %a : tensor<f32>
  }
  return
}

// -----

// stop_gradient (C1)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.stop_gradient' op (C1) expected one type, found f32[4] and f32[5]}}
  %r = "kiln.stop_gradient"(%x) : (tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

// custom_grad (C1): one gradient for each float operand
func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>) {
  // expected-error@+1 {{'kiln.custom' op (C1) backward's values must have the types (f32[4]), found (f32[4], i32[4])}}
  %r = kiln.custom %x, %i : (tensor<4xf32>, tensor<4xi32>) -> tensor<4xf32> forward {
  ^forward(%a: tensor<4xf32>, %b: tensor<4xi32>):
    kiln.yield %a : tensor<4xf32>
  } backward {
  ^backward(%a: tensor<4xf32>, %b: tensor<4xi32>, %g: tensor<4xf32>):
    kiln.yield %g, %b : tensor<4xf32>, tensor<4xi32>
  }
  return
}

// -----

// group (C1)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.group' op (C1) the body's values must have the types (f32[5]), found (f32[4])}}
  %r = kiln.group elementwise %x : (tensor<4xf32>) -> tensor<5xf32> {
  ^body(%a: tensor<4xf32>):
    kiln.yield %a : tensor<4xf32>
  }
  return
}
