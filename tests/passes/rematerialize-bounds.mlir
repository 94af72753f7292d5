// RUN: %kiln-opt --kiln-rematerialize="gap=1 bytes=65536" %s | FileCheck %s

// Sizes are those at the bounds: below 64 KiB a value stays where it is, with T up to 128 it is larger than that.
// CHECK-LABEL: @long
// CHECK-COUNT-2: kiln.tanh
// CHECK-LABEL: @short
// CHECK-COUNT-1: kiln.tanh
// CHECK-NOT: kiln.tanh
func.func @long(%x: tensor<?x128xf32, #kiln.dims<"T", "128">>, %w: tensor<128x128xf32>) -> (tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<?x128xf32, #kiln.dims<"T", "128">>) attributes {kiln.bounds = {T = 128 : i64}} {
  %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [1] : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<128x128xf32> -> tensor<?x128xf32, #kiln.dims<"T", "128">>
  %1 = kiln.tanh %0 : tensor<?x128xf32, #kiln.dims<"T", "128">>
  %2 = kiln.dot_general %1, %w batch [] x [] contract [1] x [1] : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<128x128xf32> -> tensor<?x128xf32, #kiln.dims<"T", "128">>
  %3 = kiln.dot_general %2, %w batch [] x [] contract [1] x [1] : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<128x128xf32> -> tensor<?x128xf32, #kiln.dims<"T", "128">>
  %4 = kiln.mul %3, %1 : tensor<?x128xf32, #kiln.dims<"T", "128">>
  %5 = kiln.mul %4, %0 : tensor<?x128xf32, #kiln.dims<"T", "128">>
  return %4, %5 : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<?x128xf32, #kiln.dims<"T", "128">>
}

func.func @short(%x: tensor<?x128xf32, #kiln.dims<"T", "128">>, %w: tensor<128x128xf32>) -> (tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<?x128xf32, #kiln.dims<"T", "128">>) attributes {kiln.bounds = {T = 32 : i64}} {
  %0 = kiln.dot_general %x, %w batch [] x [] contract [1] x [1] : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<128x128xf32> -> tensor<?x128xf32, #kiln.dims<"T", "128">>
  %1 = kiln.tanh %0 : tensor<?x128xf32, #kiln.dims<"T", "128">>
  %2 = kiln.dot_general %1, %w batch [] x [] contract [1] x [1] : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<128x128xf32> -> tensor<?x128xf32, #kiln.dims<"T", "128">>
  %3 = kiln.dot_general %2, %w batch [] x [] contract [1] x [1] : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<128x128xf32> -> tensor<?x128xf32, #kiln.dims<"T", "128">>
  %4 = kiln.mul %3, %1 : tensor<?x128xf32, #kiln.dims<"T", "128">>
  %5 = kiln.mul %4, %0 : tensor<?x128xf32, #kiln.dims<"T", "128">>
  return %4, %5 : tensor<?x128xf32, #kiln.dims<"T", "128">>, tensor<?x128xf32, #kiln.dims<"T", "128">>
}
