// RUN: %kiln-opt --kiln-fuse %s | FileCheck %s

// What is computed of one row is not put into the product with a large matrix, which reads the row as it lies.
// CHECK-LABEL: func.func @one_row
// CHECK: kiln.mul
// CHECK: }
// CHECK: kiln.group
// CHECK-NOT: kiln.mul
// CHECK: kiln.dot_general
func.func @one_row(%x: tensor<?x64xf32, #kiln.dims<"B", "64">>, %s: tensor<64xf32>, %w: tensor<500x64xf32>) -> tensor<?x500xf32, #kiln.dims<"B", "500">> attributes {kiln.bounds = {B = 1 : i64}} {
  %b = kiln.broadcast %s, [1] : tensor<64xf32> -> tensor<?x64xf32, #kiln.dims<"B", "64">>
  %m = kiln.mul %x, %b : tensor<?x64xf32, #kiln.dims<"B", "64">>
  %y = kiln.dot_general %m, %w batch [] x [] contract [1] x [1] : tensor<?x64xf32, #kiln.dims<"B", "64">>, tensor<500x64xf32> -> tensor<?x500xf32, #kiln.dims<"B", "500">>
  return %y : tensor<?x500xf32, #kiln.dims<"B", "500">>
}

// Of many rows it happens while they are packed.
// CHECK-LABEL: func.func @many_rows
// CHECK: kiln.group
// CHECK: kiln.mul
// CHECK: kiln.dot_general
// CHECK: return
func.func @many_rows(%x: tensor<?x64xf32, #kiln.dims<"B", "64">>, %s: tensor<64xf32>, %w: tensor<500x64xf32>) -> tensor<?x500xf32, #kiln.dims<"B", "500">> attributes {kiln.bounds = {B = 64 : i64}} {
  %b = kiln.broadcast %s, [1] : tensor<64xf32> -> tensor<?x64xf32, #kiln.dims<"B", "64">>
  %m = kiln.mul %x, %b : tensor<?x64xf32, #kiln.dims<"B", "64">>
  %y = kiln.dot_general %m, %w batch [] x [] contract [1] x [1] : tensor<?x64xf32, #kiln.dims<"B", "64">>, tensor<500x64xf32> -> tensor<?x500xf32, #kiln.dims<"B", "500">>
  return %y : tensor<?x500xf32, #kiln.dims<"B", "500">>
}
