// RUN: %kiln-opt %s --kiln-narrow --split-input-file | FileCheck %s
// RUN: %kiln-opt %s --kiln-narrow=compute=bf16 --split-input-file | FileCheck %s --check-prefix=ALL
// RUN: not %kiln-opt %s --kiln-narrow=compute=f8 --split-input-file 2>&1 | FileCheck %s --check-prefix=TYPE

// The operands of a product are rounded in a function that asks for it; each product by conversions of its own.
// CHECK-LABEL: @asked
// CHECK:       %[[X:.*]] = kiln.convert %arg0 : tensor<3x5xf32> -> tensor<3x5xbf16>
// CHECK:       %[[W:.*]] = kiln.convert %arg1 : tensor<5x5xf32> -> tensor<5x5xbf16>
// CHECK:       %[[Y:.*]] = kiln.dot_general %[[X]], %[[W]]{{.*}} : tensor<3x5xbf16>, tensor<5x5xbf16> -> tensor<3x5xf32>
// CHECK:       %[[Z:.*]] = kiln.exp %[[Y]] : tensor<3x5xf32>
// CHECK:       %[[Z16:.*]] = kiln.convert %[[Z]]
// CHECK:       %[[W2:.*]] = kiln.convert %arg1
// CHECK:       kiln.dot_general %[[Z16]], %[[W2]]
func.func @asked(%x: tensor<3x5xf32>, %w: tensor<5x5xf32>) -> tensor<3x5xf32> attributes {kiln.compute = "bf16"} {
  %y = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<3x5xf32>, tensor<5x5xf32> -> tensor<3x5xf32>
  %z = kiln.exp %y : tensor<3x5xf32>
  %r = kiln.dot_general %z, %w batch [] x [] contract [1] x [0] : tensor<3x5xf32>, tensor<5x5xf32> -> tensor<3x5xf32>
  return %r : tensor<3x5xf32>
}

// CHECK-LABEL: @not_asked
// CHECK-NOT:   convert
// CHECK:       kiln.dot_general %arg0, %arg1
// ALL-LABEL:   @not_asked
// ALL-COUNT-2: kiln.convert
func.func @not_asked(%x: tensor<3x5xf32>, %w: tensor<5x5xf32>) -> tensor<3x5xf32> {
  %y = kiln.dot_general %x, %w batch [] x [] contract [1] x [0] : tensor<3x5xf32>, tensor<5x5xf32> -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// What was widened from bf16 is read as it was; other types are left alone; loops are reached.
// ALL-LABEL: @others
// ALL:       kiln.convert %arg1 : tensor<5x5xbf16> -> tensor<5x5xf32>
// ALL:       kiln.dot_general %arg2, %arg2{{.*}} tensor<5x5xf64>
// ALL:       kiln.scan
// ALL:         %[[H:.*]] = kiln.convert %{{.*}} : tensor<3x5xf32> -> tensor<3x5xbf16>
// ALL:         kiln.dot_general %[[H]], %arg1{{.*}} : tensor<3x5xbf16>, tensor<5x5xbf16> -> tensor<3x5xf32>
func.func @others(%x: tensor<3x5xf32>, %w: tensor<5x5xbf16>, %d: tensor<5x5xf64>) -> (tensor<3x5xf32>, tensor<5x5xf64>) {
  %wide = kiln.convert %w : tensor<5x5xbf16> -> tensor<5x5xf32>
  %e = kiln.dot_general %d, %d batch [] x [] contract [1] x [0] : tensor<5x5xf64>, tensor<5x5xf64> -> tensor<5x5xf64>
  %r = kiln.scan "4" step(%t) carry(%h = %x : tensor<3x5xf32>) -> () {
    %y = kiln.dot_general %h, %wide batch [] x [] contract [1] x [0] : tensor<3x5xf32>, tensor<5x5xf32> -> tensor<3x5xf32>
    kiln.yield %y : tensor<3x5xf32>
  }
  return %r, %e : tensor<3x5xf32>, tensor<5x5xf64>
}

// TYPE: products are computed in bf16 or as they are written, not in 'f8'
