// RUN: %kiln-opt --kiln-skip="bytes=128" %s | FileCheck %s
// RUN: %kiln-opt --kiln-skip="bytes=1024" %s | FileCheck %s --check-prefix=SMALL

// A mixture's part: the product, what it reads and the sum are in the branch; the other adds what the select gives.
// CHECK-LABEL: @expert
// SMALL-LABEL: @expert
// SMALL-NOT: kiln.if
func.func @expert(%x: tensor<?x4xf32, #kiln.dims<"T", "4">>, %y: tensor<?x8xf32, #kiln.dims<"T", "8">>,
                  %chosen: tensor<?x1xi32, #kiln.dims<"T", "1">>, %w: tensor<4x8xf32> {kiln.parameter = "w"})
    -> tensor<?x8xf32, #kiln.dims<"T", "8">> {
  %number = kiln.constant dense<1> : tensor<i32> : tensor<i32>
  %one = kiln.broadcast %number, [] : tensor<i32> -> tensor<?x1xi32, #kiln.dims<"T", "1">>
  %none = kiln.constant dense<0.0> : tensor<f32> : tensor<f32>
  %zero = kiln.broadcast %none, [] : tensor<f32> -> tensor<?x8xf32, #kiln.dims<"T", "8">>
  // CHECK: %[[MASK:.*]] = kiln.compare eq
  %mask = kiln.compare eq %chosen, %one : tensor<?x1xi32, #kiln.dims<"T", "1">> -> tensor<?x1xi1, #kiln.dims<"T", "1">>
  // CHECK-NOT: kiln.tanh
  // CHECK: %[[ANY:.*]] = kiln.reduce any %[[MASK]], [0, 1]
  // CHECK: kiln.if %[[ANY]]
  // CHECK: %[[NUMBER:.*]] = kiln.constant dense<0.0
  // CHECK: %[[ZERO:.*]] = kiln.broadcast %[[NUMBER]]
  // CHECK: kiln.tanh
  // CHECK: kiln.dot_general
  // CHECK: %[[TAKEN:.*]] = kiln.select {{.*}}, {{.*}}, %[[ZERO]]
  // CHECK: kiln.add %arg1, %[[TAKEN]]
  // CHECK: else
  // CHECK: %[[OTHER:.*]] = kiln.constant dense<0.0
  // CHECK: %[[NONE:.*]] = kiln.broadcast %[[OTHER]]
  // CHECK: kiln.add %arg1, %[[NONE]]
  %a = kiln.tanh %x : tensor<?x4xf32, #kiln.dims<"T", "4">>
  %p = kiln.dot_general %a, %w batch [] x [] contract [1] x [0] : tensor<?x4xf32, #kiln.dims<"T", "4">>, tensor<4x8xf32> -> tensor<?x8xf32, #kiln.dims<"T", "8">>
  %wide = kiln.broadcast %mask, [0, 1] : tensor<?x1xi1, #kiln.dims<"T", "1">> -> tensor<?x8xi1, #kiln.dims<"T", "8">>
  %s = kiln.select %wide, %p, %zero : tensor<?x8xi1, #kiln.dims<"T", "8">>, tensor<?x8xf32, #kiln.dims<"T", "8">>
  %r = kiln.add %y, %s : tensor<?x8xf32, #kiln.dims<"T", "8">>
  return %r : tensor<?x8xf32, #kiln.dims<"T", "8">>
}

// What something else reads, too, is computed in any case; so is what is taken where the mask says no.
// CHECK-LABEL: @others
// CHECK: kiln.tanh
// CHECK: %[[P:.*]] = kiln.dot_general
// CHECK-NOT: kiln.if
func.func @others(%x: tensor<2x4xf32>, %mask: tensor<2x1xi1>, %w: tensor<4x8xf32> {kiln.parameter = "w"})
    -> (tensor<2x8xf32>, tensor<2x8xf32>) {
  %zero = kiln.constant dense<0.0> : tensor<2x8xf32> : tensor<2x8xf32>
  %a = kiln.tanh %x : tensor<2x4xf32>
  %p = kiln.dot_general %a, %w batch [] x [] contract [1] x [0] : tensor<2x4xf32>, tensor<4x8xf32> -> tensor<2x8xf32>
  %wide = kiln.broadcast %mask, [0, 1] : tensor<2x1xi1> -> tensor<2x8xi1>
  %s = kiln.select %wide, %p, %zero : tensor<2x8xi1>, tensor<2x8xf32>
  return %s, %p : tensor<2x8xf32>, tensor<2x8xf32>
}

// Among so many rows one has chosen, and a mask of elements is none of rows.
// CHECK-LABEL: @many
// CHECK-NOT: kiln.if
func.func @many(%x: tensor<65x4xf32>, %mask: tensor<65x1xi1>, %each: tensor<65x8xi1>, %w: tensor<4x8xf32> {kiln.parameter = "w"})
    -> (tensor<65x8xf32>, tensor<65x8xf32>) {
  %zero = kiln.constant dense<0.0> : tensor<65x8xf32> : tensor<65x8xf32>
  %p = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<65x4xf32>, tensor<4x8xf32> -> tensor<65x8xf32>
  %q = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<65x4xf32>, tensor<4x8xf32> -> tensor<65x8xf32>
  %wide = kiln.broadcast %mask, [0, 1] : tensor<65x1xi1> -> tensor<65x8xi1>
  %s = kiln.select %wide, %p, %zero : tensor<65x8xi1>, tensor<65x8xf32>
  %t = kiln.select %each, %q, %zero : tensor<65x8xi1>, tensor<65x8xf32>
  return %s, %t : tensor<65x8xf32>, tensor<65x8xf32>
}
