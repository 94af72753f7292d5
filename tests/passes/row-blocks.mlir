// RUN: %kiln-opt --kiln-row-blocks="bytes=1 block=1 rows=2" %s | FileCheck %s
// RUN: %kiln-opt --kiln-row-blocks %s | FileCheck %s --check-prefix=SMALL
// RUN: %kiln-opt --kiln-row-blocks="bytes=1 block=1 rows=3" %s | FileCheck %s --check-prefix=PRIME

// Softmax and both gradients of its product: logits exist a block at a time, the matrix's gradient is carried, the rows'
// is an output. What every row reads (its factor, a mask that is made of a row's number) comes along.
// CHECK-LABEL: @both
// CHECK:       %[[ZERO:.*]] = kiln.constant dense<0.0
// CHECK:       %[[X:.*]] = kiln.reshape %arg0 : tensor<2x3x4xf32> -> tensor<3x2x4xf32>
// CHECK:       %[[LOOP:.*]]:2 = kiln.scan "3" step(%{{.*}}) carry(%[[SUM:.*]] = %[[ZERO]] : tensor<16x4xf32>) over(%[[ROWS:.*]] = %[[X]]
// CHECK-NEXT:    %[[L:.*]] = kiln.dot_general %[[ROWS]], %arg1 {{.*}} -> tensor<2x16xf32>
// CHECK:         kiln.reduce max %[[L]], [1]
// CHECK:         kiln.iota 1 : tensor<2x16xi32>
// CHECK:         %[[G:.*]] = kiln.sub {{.*}} : tensor<2x16xf32>
// CHECK:         %[[DX:.*]] = kiln.dot_general %[[G]], %arg1 {{.*}} -> tensor<2x4xf32>
// CHECK:         %[[DW:.*]] = kiln.dot_general %[[G]], %[[ROWS]] batch [] x [] contract [0] x [0] : {{.*}} -> tensor<16x4xf32>
// CHECK:         %[[NEXT:.*]] = kiln.add %[[SUM]], %[[DW]]
// CHECK:         kiln.yield %[[NEXT]], %[[DX]]
// CHECK:       kiln.reshape %[[LOOP]]#1 : tensor<3x2x4xf32> -> tensor<2x3x4xf32>
// SMALL-LABEL: @both
// SMALL-NOT:   kiln.scan
// SMALL-LABEL: @symbols
func.func @both(%x: tensor<2x3x4xf32>, %w: tensor<16x4xf32>, %y: tensor<2x3xi32>) -> (tensor<2x3x4xf32>, tensor<16x4xf32>) {
  %l = kiln.dot_general %x, %w batch [] x [] contract [2] x [1] : tensor<2x3x4xf32>, tensor<16x4xf32> -> tensor<2x3x16xf32>
  %m = kiln.reduce max %l, [2] : tensor<2x3x16xf32> -> tensor<2x3xf32>
  %mb = kiln.broadcast %m, [0, 1] : tensor<2x3xf32> -> tensor<2x3x16xf32>
  %s = kiln.sub %l, %mb : tensor<2x3x16xf32>
  %e = kiln.exp %s : tensor<2x3x16xf32>
  %n = kiln.reduce sum %e, [2] : tensor<2x3x16xf32> -> tensor<2x3xf32>
  %nb = kiln.broadcast %n, [0, 1] : tensor<2x3xf32> -> tensor<2x3x16xf32>
  %p = kiln.div %e, %nb : tensor<2x3x16xf32>
  %i = kiln.iota 2 : tensor<2x3x16xi32>
  %yb = kiln.broadcast %y, [0, 1] : tensor<2x3xi32> -> tensor<2x3x16xi32>
  %h = kiln.compare eq %i, %yb : tensor<2x3x16xi32> -> tensor<2x3x16xi1>
  %t = kiln.convert %h : tensor<2x3x16xi1> -> tensor<2x3x16xf32>
  %g = kiln.sub %p, %t : tensor<2x3x16xf32>
  %dx = kiln.dot_general %g, %w batch [] x [] contract [2] x [0] : tensor<2x3x16xf32>, tensor<16x4xf32> -> tensor<2x3x4xf32>
  %dw = kiln.dot_general %g, %x batch [] x [] contract [0, 1] x [0, 1] : tensor<2x3x16xf32>, tensor<2x3x4xf32> -> tensor<16x4xf32>
  return %dx, %dw : tensor<2x3x4xf32>, tensor<16x4xf32>
}

// The first extent is a symbol: a block is what lies behind it. What reads a row's sum and stands in between waits.
// CHECK-LABEL: @symbols
// CHECK:       kiln.scan "B" step(%{{.*}}) over(%[[ROWS:.*]] = %arg0 : tensor<?x?x4xf32, #kiln.dims<"B", "T", "4">>)
// CHECK-NEXT:    kiln.dot_general %[[ROWS]], %arg1 {{.*}} -> tensor<?x16xf32, #kiln.dims<"T", "16">>
// CHECK:       }
// CHECK-NEXT:  kiln.reduce sum
func.func @symbols(%x: tensor<?x?x4xf32, #kiln.dims<"B", "T", "4">>, %w: tensor<4x16xf32>) -> (tensor<f32>, tensor<?x?xf32, #kiln.dims<"B", "T">>) attributes {kiln.bounds = {T = 8 : i64}} {
  %l = kiln.dot_general %x, %w batch [] x [] contract [2] x [0] : tensor<?x?x4xf32, #kiln.dims<"B", "T", "4">>, tensor<4x16xf32> -> tensor<?x?x16xf32, #kiln.dims<"B", "T", "16">>
  %m = kiln.reduce max %l, [2] : tensor<?x?x16xf32, #kiln.dims<"B", "T", "16">> -> tensor<?x?xf32, #kiln.dims<"B", "T">>
  %a = kiln.reduce sum %m, [0, 1] : tensor<?x?xf32, #kiln.dims<"B", "T">> -> tensor<f32>
  %s = kiln.reduce sum %l, [2] : tensor<?x?x16xf32, #kiln.dims<"B", "T", "16">> -> tensor<?x?xf32, #kiln.dims<"B", "T">>
  return %a, %s : tensor<f32>, tensor<?x?xf32, #kiln.dims<"B", "T">>
}

// Left whole: logits that are a result, rows that are related to one another, a number of rows that has no divisor, and
// products whose rows are nearly as wide as what they are made of.
// CHECK-LABEL: @result
// CHECK-NOT: kiln.scan
// CHECK-LABEL: @prime
// CHECK-LABEL: @narrow
// CHECK-NOT: kiln.scan
func.func @result(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>) -> (tensor<6xf32>, tensor<6x16xf32>) {
  %l = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<6x4xf32>, tensor<4x16xf32> -> tensor<6x16xf32>
  %m = kiln.reduce max %l, [1] : tensor<6x16xf32> -> tensor<6xf32>
  return %m, %l : tensor<6xf32>, tensor<6x16xf32>
}
func.func @related(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>) -> (tensor<6xf32>, tensor<6x16xf32>) {
  %l = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<6x4xf32>, tensor<4x16xf32> -> tensor<6x16xf32>
  %m = kiln.reduce max %l, [1] : tensor<6x16xf32> -> tensor<6xf32>
  %c = kiln.cumsum %l, 0 : tensor<6x16xf32>
  return %m, %c : tensor<6xf32>, tensor<6x16xf32>
}
// PRIME-LABEL: @prime
// PRIME-NOT: kiln.scan
func.func @prime(%x: tensor<7x4xf32>, %w: tensor<4x16xf32>) -> tensor<7xf32> {
  %l = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<7x4xf32>, tensor<4x16xf32> -> tensor<7x16xf32>
  %m = kiln.reduce max %l, [1] : tensor<7x16xf32> -> tensor<7xf32>
  return %m : tensor<7xf32>
}
// PRIME-LABEL: @narrow
func.func @narrow(%x: tensor<6x8xf32>, %w: tensor<8x16xf32>) -> tensor<6xf32> {
  %l = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<6x8xf32>, tensor<8x16xf32> -> tensor<6x16xf32>
  %m = kiln.reduce max %l, [1] : tensor<6x16xf32> -> tensor<6xf32>
  return %m : tensor<6xf32>
}

// A second product of the kind, made of the first one's rows, is in its loop.
// CHECK-LABEL: @twice
// CHECK:       kiln.scan
// CHECK:         kiln.dot_general {{.*}} -> tensor<2x16xf32>
// CHECK:         kiln.dot_general {{.*}} -> tensor<2x64xf32>
// CHECK:       }
// CHECK-NOT:   kiln.scan
func.func @twice(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %v: tensor<16x64xf32>) -> tensor<6xf32> {
  %l = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<6x4xf32>, tensor<4x16xf32> -> tensor<6x16xf32>
  %e = kiln.exp %l : tensor<6x16xf32>
  %k = kiln.dot_general %e, %v batch [] x [] contract [1] x [0] : tensor<6x16xf32>, tensor<16x64xf32> -> tensor<6x64xf32>
  %m = kiln.reduce max %k, [1] : tensor<6x64xf32> -> tensor<6xf32>
  return %m : tensor<6xf32>
}

// Logits of a vocabulary that is filled up, of which a part is read: cut in each row, and the gradient put back there.
// CHECK-LABEL: @cut
// CHECK:       kiln.scan "3"
// CHECK:         %[[L:.*]] = kiln.dot_general {{.*}} -> tensor<2x16xf32>
// CHECK:         kiln.slice %[[L]], <"0", "1">, [1, 1] : tensor<2x16xf32> -> tensor<2x12xf32>
// CHECK:         %[[G:.*]] = kiln.pad {{.*}} <"0", "1">, <"0", "3">, [0, 0] : tensor<2x12xf32>, tensor<f32> -> tensor<2x16xf32>
// CHECK:         kiln.dot_general %[[G]], {{.*}} -> tensor<16x4xf32>
// Where rows are cut off, the product stays whole.
// CHECK-LABEL: @fewer
// CHECK-NOT:   kiln.scan
func.func @cut(%x: tensor<2x3x4xf32>, %w: tensor<16x4xf32>) -> (tensor<2x3xf32>, tensor<16x4xf32>) {
  %zero = kiln.constant dense<0.0> : tensor<f32> : tensor<f32>
  %l = kiln.dot_general %x, %w batch [] x [] contract [2] x [1] : tensor<2x3x4xf32>, tensor<16x4xf32> -> tensor<2x3x16xf32>
  %c = kiln.slice %l, #kiln.dims<"0", "0", "1">, [1, 1, 1] : tensor<2x3x16xf32> -> tensor<2x3x12xf32>
  %e = kiln.exp %c : tensor<2x3x12xf32>
  %n = kiln.reduce sum %e, [2] : tensor<2x3x12xf32> -> tensor<2x3xf32>
  %g = kiln.pad %e, %zero, #kiln.dims<"0", "0", "1">, #kiln.dims<"0", "0", "3">, [0, 0, 0] : tensor<2x3x12xf32>, tensor<f32> -> tensor<2x3x16xf32>
  %dw = kiln.dot_general %g, %x batch [] x [] contract [0, 1] x [0, 1] : tensor<2x3x16xf32>, tensor<2x3x4xf32> -> tensor<16x4xf32>
  return %n, %dw : tensor<2x3xf32>, tensor<16x4xf32>
}
func.func @fewer(%x: tensor<6x4xf32>, %w: tensor<16x4xf32>) -> tensor<5xf32> {
  %l = kiln.dot_general %x, %w batch [] x [] contract [1] x [1] : tensor<6x4xf32>, tensor<16x4xf32> -> tensor<6x16xf32>
  %c = kiln.slice %l, #kiln.dims<"1", "0">, [1, 1] : tensor<6x16xf32> -> tensor<5x16xf32>
  %n = kiln.reduce sum %c, [1] : tensor<5x16xf32> -> tensor<5xf32>
  return %n : tensor<5xf32>
}
