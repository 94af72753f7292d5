// RUN: %kiln-opt --kiln-skip="bytes=128" %s | FileCheck %s
// RUN: %kiln-opt --kiln-skip="bytes=1024" %s | FileCheck %s --check-prefix=SMALL

// A mixture's part: the product, what it reads and the sum are in the branch; the other adds what the select gives.
// CHECK-LABEL: @expert
// SMALL-LABEL: @expert
// SMALL-NOT: kiln.if
func.func @expert(%x: tensor<?x4xf32, #kiln.dims<"T", "4">>, %y: tensor<?x8xf32, #kiln.dims<"T", "8">>,
                  %chosen: tensor<?x1xi32, #kiln.dims<"T", "1">>, %w: tensor<4x8xf32> {kiln.parameter = "w"})
    -> tensor<?x8xf32, #kiln.dims<"T", "8">> attributes {kiln.bounds = {T = 32 : i64}} {
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

// Of many rows those that have chosen are computed, in blocks: where they lie, then a loop that adds to the sum.
// CHECK-LABEL: @rows
// CHECK: %[[MASK:.*]] = kiln.compare eq
// CHECK: %[[COUNT:.*]] = kiln.reduce sum
// CHECK: kiln.cumsum
// CHECK: %[[PLACES:.*]] = kiln.scatter set
// CHECK: kiln.while {{.*}}, %arg1
// CHECK: kiln.compare lt {{.*}}, %[[COUNT]]
// CHECK: do {
// CHECK: %[[ITS:.*]] = kiln.dynamic_slice %[[PLACES]]
// CHECK: %[[X:.*]] = kiln.gather %arg0, %[[ITS]], 0 : {{.*}} -> tensor<?x4xf32, #kiln.dims<"-max(32, T)+T+32", "4">>
// CHECK: kiln.tanh %[[X]]
// CHECK: kiln.dot_general
// CHECK: kiln.scatter add %{{.*}}, %[[ITS]]
// CHECK-NOT: kiln.select {{.*}} tensor<?x8xf32, #kiln.dims<"T", "8">>
// CHECK: return
func.func @rows(%x: tensor<?x4xf32, #kiln.dims<"T", "4">>, %y: tensor<?x8xf32, #kiln.dims<"T", "8">>,
                %chosen: tensor<?x1xi32, #kiln.dims<"T", "1">>, %w: tensor<4x8xf32> {kiln.parameter = "w"})
    -> tensor<?x8xf32, #kiln.dims<"T", "8">> attributes {kiln.bounds = {T = 33 : i64}} {
  %one = kiln.constant dense<1> : tensor<i32> : tensor<?x1xi32, #kiln.dims<"T", "1">>
  %zero = kiln.constant dense<0.0> : tensor<f32> : tensor<?x8xf32, #kiln.dims<"T", "8">>
  %mask = kiln.compare eq %chosen, %one : tensor<?x1xi32, #kiln.dims<"T", "1">> -> tensor<?x1xi1, #kiln.dims<"T", "1">>
  %a = kiln.tanh %x : tensor<?x4xf32, #kiln.dims<"T", "4">>
  %p = kiln.dot_general %a, %w batch [] x [] contract [1] x [0] : tensor<?x4xf32, #kiln.dims<"T", "4">>, tensor<4x8xf32> -> tensor<?x8xf32, #kiln.dims<"T", "8">>
  %wide = kiln.broadcast %mask, [0, 1] : tensor<?x1xi1, #kiln.dims<"T", "1">> -> tensor<?x8xi1, #kiln.dims<"T", "8">>
  %s = kiln.select %wide, %p, %zero : tensor<?x8xi1, #kiln.dims<"T", "8">>, tensor<?x8xf32, #kiln.dims<"T", "8">>
  %r = kiln.add %y, %s : tensor<?x8xf32, #kiln.dims<"T", "8">>
  return %r : tensor<?x8xf32, #kiln.dims<"T", "8">>
}

// Halves of each row are cut out of it: a gated product in one matrix.
// CHECK-LABEL: @halves
// CHECK: do {
// CHECK: %[[PRODUCT:.*]] = kiln.dot_general {{.*}} -> tensor<?x16xf32, #kiln.dims<"-max(32, T)+T+32", "16">>
// CHECK: kiln.slice %[[PRODUCT]]{{.*}} -> tensor<?x8xf32, #kiln.dims<"-max(32, T)+T+32", "8">>
// CHECK: kiln.slice %[[PRODUCT]]{{.*}} -> tensor<?x8xf32, #kiln.dims<"-max(32, T)+T+32", "8">>
// CHECK: kiln.scatter add
func.func @halves(%x: tensor<?x4xf32, #kiln.dims<"T", "4">>, %y: tensor<?x8xf32, #kiln.dims<"T", "8">>,
                  %mask: tensor<?x1xi1, #kiln.dims<"T", "1">>, %w: tensor<4x16xf32> {kiln.parameter = "w"})
    -> tensor<?x8xf32, #kiln.dims<"T", "8">> attributes {kiln.bounds = {T = 33 : i64}} {
  %zero = kiln.constant dense<0.0> : tensor<f32> : tensor<?x8xf32, #kiln.dims<"T", "8">>
  %p = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<?x4xf32, #kiln.dims<"T", "4">>, tensor<4x16xf32> -> tensor<?x16xf32, #kiln.dims<"T", "16">>
  %a = kiln.slice %p, #kiln.dims<"0", "0">, [1, 1] : tensor<?x16xf32, #kiln.dims<"T", "16">> -> tensor<?x8xf32, #kiln.dims<"T", "8">>
  %b = kiln.slice %p, #kiln.dims<"0", "8">, [1, 1] : tensor<?x16xf32, #kiln.dims<"T", "16">> -> tensor<?x8xf32, #kiln.dims<"T", "8">>
  %g = kiln.mul %a, %b : tensor<?x8xf32, #kiln.dims<"T", "8">>
  %wide = kiln.broadcast %mask, [0, 1] : tensor<?x1xi1, #kiln.dims<"T", "1">> -> tensor<?x8xi1, #kiln.dims<"T", "8">>
  %s = kiln.select %wide, %g, %zero : tensor<?x8xi1, #kiln.dims<"T", "8">>, tensor<?x8xf32, #kiln.dims<"T", "8">>
  %r = kiln.add %y, %s : tensor<?x8xf32, #kiln.dims<"T", "8">>
  return %r : tensor<?x8xf32, #kiln.dims<"T", "8">>
}

// A row that reads others, here by a running sum over them, cannot be computed alone: a branch, as for few rows.
// CHECK-LABEL: @mixed
// CHECK-NOT: kiln.while
// CHECK: kiln.if
func.func @mixed(%x: tensor<?x4xf32, #kiln.dims<"T", "4">>, %mask: tensor<?x1xi1, #kiln.dims<"T", "1">>,
                 %w: tensor<4x8xf32> {kiln.parameter = "w"}) -> tensor<?x8xf32, #kiln.dims<"T", "8">> {
  %zero = kiln.constant dense<0.0> : tensor<f32> : tensor<?x8xf32, #kiln.dims<"T", "8">>
  %a = kiln.cumsum %x, 0 : tensor<?x4xf32, #kiln.dims<"T", "4">>
  %p = kiln.dot_general %a, %w batch [] x [] contract [1] x [0] : tensor<?x4xf32, #kiln.dims<"T", "4">>, tensor<4x8xf32> -> tensor<?x8xf32, #kiln.dims<"T", "8">>
  %wide = kiln.broadcast %mask, [0, 1] : tensor<?x1xi1, #kiln.dims<"T", "1">> -> tensor<?x8xi1, #kiln.dims<"T", "8">>
  %s = kiln.select %wide, %p, %zero : tensor<?x8xi1, #kiln.dims<"T", "8">>, tensor<?x8xf32, #kiln.dims<"T", "8">>
  return %s : tensor<?x8xf32, #kiln.dims<"T", "8">>
}

// Where many rows mix, one of them has chosen, and nothing is asked; a mask of elements is none of rows.
// CHECK-LABEL: @many
// CHECK-NOT: kiln.if
// CHECK-NOT: kiln.while
func.func @many(%x: tensor<65x4xf32>, %mask: tensor<65x1xi1>, %each: tensor<65x8xi1>, %w: tensor<4x8xf32> {kiln.parameter = "w"})
    -> (tensor<65x8xf32>, tensor<65x8xf32>) {
  %zero = kiln.constant dense<0.0> : tensor<65x8xf32> : tensor<65x8xf32>
  %a = kiln.cumsum %x, 0 : tensor<65x4xf32>
  %p = kiln.dot_general %a, %w batch [] x [] contract [1] x [0] : tensor<65x4xf32>, tensor<4x8xf32> -> tensor<65x8xf32>
  %q = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<65x4xf32>, tensor<4x8xf32> -> tensor<65x8xf32>
  %wide = kiln.broadcast %mask, [0, 1] : tensor<65x1xi1> -> tensor<65x8xi1>
  %s = kiln.select %wide, %p, %zero : tensor<65x8xi1>, tensor<65x8xf32>
  %t = kiln.select %each, %q, %zero : tensor<65x8xi1>, tensor<65x8xf32>
  return %s, %t : tensor<65x8xf32>, tensor<65x8xf32>
}
