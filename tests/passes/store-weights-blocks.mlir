// RUN: %kiln-opt %s --kiln-store-weights=as=q8 | FileCheck %s
// RUN: %kiln-opt %s --kiln-store-weights=as=q4 | FileCheck %s --check-prefix=HALVES

// A matrix whose rows are whole blocks of 32 is bytes and their scales; others stay.
// CHECK:      module {{.*}} attributes {kiln.parameters = [
// CHECK-SAME: {init = {kind = "zeros"}, name = "w", trainable = true, type = tensor<9x2x32xi8>}
// CHECK-SAME: {init = {kind = "zeros"}, name = "w.scales", trainable = true, type = tensor<9x2xf16>}
// CHECK-SAME: name = "odd", trainable = true, type = tensor<9x40xf32>
module @M attributes {
    kiln.parameters = [{init = {kind = "normal", mean = 0.0, std = 1.0}, name = "w", trainable = true, type = tensor<9x64xf32>},
                       {init = {kind = "zeros"}, name = "odd", trainable = true, type = tensor<9x40xf32>},
                       {init = {kind = "zeros"}, name = "c", trainable = true, type = tensor<64x7xf32>}]} {
  // A product reads it widened, which is the product's own affair later.
  // CHECK-LABEL: @product
  // CHECK-SAME:  %arg1: tensor<9x2x32xi8> {kiln.parameter = "w"}, %arg2: tensor<9x2xf16> {kiln.parameter = "w.scales"}
  // CHECK:       %[[W:.*]] = kiln.dequantize %arg1, %arg2 : tensor<9x2x32xi8>, tensor<9x2xf16> -> tensor<9x64xf32>
  // CHECK:       kiln.transpose %[[W]]
  // Where halves of bytes are asked for, whole ones all the same: rows are picked from it below.
  // HALVES-LABEL: @product
  // HALVES:      kiln.dequantize %arg1, %arg2 : tensor<9x2x32xi8>, tensor<9x2xf16> -> tensor<9x64xf32>
  func.func @product(%x: tensor<5x3x64xf32> {kiln.input = "x"}, %w: tensor<9x64xf32> {kiln.parameter = "w"}) -> (tensor<5x3x9xf32> {kiln.output = "0"}) {
    %t = kiln.transpose %w, [1, 0] : tensor<9x64xf32> -> tensor<64x9xf32>
    %y = kiln.dot_general %x, %t batch [] x [] contract [2] x [0] : tensor<5x3x64xf32>, tensor<64x9xf32> -> tensor<5x3x9xf32>
    return %y : tensor<5x3x9xf32>
  }

  // Rows are picked before they are widened; what else reads the matrix has all of it.
  // CHECK-LABEL: @rows
  // CHECK:       %[[ALL:.*]] = kiln.dequantize %arg1, %arg2
  // CHECK-DAG:   %[[PICKED:.*]] = kiln.gather %arg1, %arg0, 0 : tensor<9x2x32xi8>, tensor<3xi32> -> tensor<3x2x32xi8>
  // CHECK-DAG:   %[[SCALES:.*]] = kiln.gather %arg2, %arg0, 0 : tensor<9x2xf16>, tensor<3xi32> -> tensor<3x2xf16>
  // CHECK:       kiln.dequantize %[[PICKED]], %[[SCALES]] : tensor<3x2x32xi8>, tensor<3x2xf16> -> tensor<3x64xf32>
  // CHECK:       kiln.exp %[[ALL]] : tensor<9x64xf32>
  func.func @rows(%ids: tensor<3xi32> {kiln.input = "ids"}, %w: tensor<9x64xf32> {kiln.parameter = "w"}) -> (tensor<3x64xf32> {kiln.output = "0"}, tensor<9x64xf32> {kiln.output = "1"}) {
    %y = kiln.gather %w, %ids, 0 : tensor<9x64xf32>, tensor<3xi32> -> tensor<3x64xf32>
    %e = kiln.exp %w : tensor<9x64xf32>
    return %y, %e : tensor<3x64xf32>, tensor<9x64xf32>
  }

  // What is read by products over its columns alone is stored by them.
  // CHECK-LABEL: @columns
  // CHECK-SAME:  %arg1: tensor<7x2x32xi8> {kiln.parameter = "c"}, %arg2: tensor<7x2xf16> {kiln.parameter = "c.column_scales"}
  // CHECK:       %[[ROWS:.*]] = kiln.dequantize %arg1, %arg2 : tensor<7x2x32xi8>, tensor<7x2xf16> -> tensor<7x64xf32>
  // CHECK:       kiln.transpose %[[ROWS]], [1, 0] : tensor<7x64xf32> -> tensor<64x7xf32>
  // HALVES-LABEL: @columns
  // HALVES-SAME: %arg2: tensor<7x2xf16> {kiln.parameter = "c.column_scales"}, %arg3: tensor<7x2xf16> {kiln.parameter = "c.minimums"}
  // HALVES:      kiln.dequantize %arg1, %arg2, %arg3 : tensor<7x1x32xui8>, tensor<7x2xf16>, tensor<7x2xf16> -> tensor<7x64xf32>
  func.func @columns(%x: tensor<5x64xf32> {kiln.input = "x"}, %c: tensor<64x7xf32> {kiln.parameter = "c"}) -> (tensor<5x7xf32> {kiln.output = "0"}) {
    %y = kiln.dot_general %x, %c batch [] x [] contract [1] x [0] : tensor<5x64xf32>, tensor<64x7xf32> -> tensor<5x7xf32>
    return %y : tensor<5x7xf32>
  }
}
