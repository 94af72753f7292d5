// RUN: %kiln-opt -canonicalize -split-input-file %s | FileCheck %s

// CHECK-LABEL: @identities
// CHECK-NEXT: return %arg0, %arg0, %arg0, %arg0, %arg0, %arg0
func.func @identities(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
  %zero = kiln.constant dense<0.0> : tensor<2x3xf32> : tensor<2x3xf32>
  %one = kiln.constant dense<1.0> : tensor<2x3xf32> : tensor<2x3xf32>
  %minus = kiln.constant dense<-0.0> : tensor<2x3xf32> : tensor<2x3xf32>
  %a = kiln.add %x, %minus : tensor<2x3xf32>
  %b = kiln.sub %x, %zero : tensor<2x3xf32>
  %c = kiln.mul %one, %x : tensor<2x3xf32>
  %d = kiln.div %x, %one : tensor<2x3xf32>
  %e0 = kiln.neg %x : tensor<2x3xf32>
  %e = kiln.neg %e0 : tensor<2x3xf32>
  %f = kiln.convert %x : tensor<2x3xf32> -> tensor<2x3xf32>
  return %a, %b, %c, %d, %e, %f : tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>
}

// -----

// x * 0 is not 0 for infinities and NaN, x + 0 is not x for -0.
// CHECK-LABEL: @not_identities
// CHECK: kiln.mul
// CHECK: kiln.sub
// CHECK: kiln.add
func.func @not_identities(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
  %zero = kiln.constant dense<0.0> : tensor<2xf32> : tensor<2xf32>
  %a = kiln.mul %x, %zero : tensor<2xf32>
  %b = kiln.sub %zero, %x : tensor<2xf32>
  %c = kiln.add %x, %zero : tensor<2xf32>
  return %a, %b, %c : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
}

// -----

// CHECK-LABEL: @layout
// CHECK-NEXT: %[[T:.*]] = kiln.transpose %arg0, [1, 2, 0]
// CHECK-NEXT: %[[R:.*]] = kiln.reshape %arg0 : tensor<2x3x4xf32> -> tensor<24xf32>
// CHECK-NEXT: return %arg0, %[[T]], %[[R]], %arg0
func.func @layout(%x: tensor<2x3x4xf32>) -> (tensor<2x3x4xf32>, tensor<3x4x2xf32>, tensor<24xf32>, tensor<2x3x4xf32>) {
  %a0 = kiln.transpose %x, [2, 0, 1] : tensor<2x3x4xf32> -> tensor<4x2x3xf32>
  %a = kiln.transpose %a0, [1, 2, 0] : tensor<4x2x3xf32> -> tensor<2x3x4xf32>
  %b = kiln.transpose %a0, [2, 0, 1] : tensor<4x2x3xf32> -> tensor<3x4x2xf32>
  %c0 = kiln.reshape %x : tensor<2x3x4xf32> -> tensor<6x4xf32>
  %c = kiln.reshape %c0 : tensor<6x4xf32> -> tensor<24xf32>
  %d = kiln.slice %x, <"0", "0", "0">, [1, 1, 1] : tensor<2x3x4xf32> -> tensor<2x3x4xf32>
  return %a, %b, %c, %d : tensor<2x3x4xf32>, tensor<3x4x2xf32>, tensor<24xf32>, tensor<2x3x4xf32>
}

// -----

// CHECK-LABEL: @constants
// CHECK-DAG: dense<[1.25{{0*}}e+01, {{.*}}2.0{{0*}}e+01]> : tensor<2xf32>
// CHECK-DAG: dense<3.0{{0*}}e+00> : tensor<1000x1000xf32>
// CHECK-DAG: dense<6.0{{0*}}e+00> : tensor<f32> : tensor<?xf32, #kiln.dims<"T">>
// CHECK-DAG: dense<true> : tensor<2xi1>
// CHECK-NOT: kiln.add
// CHECK-NOT: kiln.mul
// CHECK-NOT: kiln.broadcast
// CHECK-NOT: kiln.compare
// CHECK: return
func.func @constants() -> (tensor<2xf32>, tensor<1000x1000xf32>, tensor<?xf32, #kiln.dims<"T">>, tensor<2xi1>) {
  %a = kiln.constant dense<[2.5, 4.0]> : tensor<2xf32> : tensor<2xf32>
  %b = kiln.constant dense<5.0> : tensor<2xf32> : tensor<2xf32>
  %r = kiln.mul %a, %b : tensor<2xf32>
  %c = kiln.constant dense<3.0> : tensor<f32> : tensor<f32>
  %s = kiln.broadcast %c, [] : tensor<f32> -> tensor<1000x1000xf32>
  %t0 = kiln.broadcast %c, [] : tensor<f32> -> tensor<?xf32, #kiln.dims<"T">>
  %t = kiln.add %t0, %t0 : tensor<?xf32, #kiln.dims<"T">>
  %u = kiln.compare lt %a, %b : tensor<2xf32> -> tensor<2xi1>
  return %r, %s, %t, %u : tensor<2xf32>, tensor<1000x1000xf32>, tensor<?xf32, #kiln.dims<"T">>, tensor<2xi1>
}

// -----

// A mistake in the data stays, so that the run reports it.
// CHECK-LABEL: @division_by_zero
// CHECK: kiln.div
func.func @division_by_zero() -> tensor<i32> {
  %a = kiln.constant dense<1> : tensor<i32> : tensor<i32>
  %b = kiln.constant dense<0> : tensor<i32> : tensor<i32>
  %r = kiln.div %a, %b : tensor<i32>
  return %r : tensor<i32>
}

// -----

// CHECK-LABEL: @select_constant
// CHECK-NEXT: return %arg0
func.func @select_constant(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<2xf32> {
  %c = kiln.constant dense<true> : tensor<2xi1> : tensor<2xi1>
  %r = kiln.select %c, %x, %y : tensor<2xi1>, tensor<2xf32>
  return %r : tensor<2xf32>
}
