// RUN: %kiln-opt %s --kiln-store-weights=as=q8 | FileCheck %s

// A matrix whose rows are whole blocks of 32 is bytes and their scales; others stay.
// CHECK:      module {{.*}} attributes {kiln.parameters = [
// CHECK-SAME: {init = {kind = "zeros"}, name = "w", trainable = true, type = tensor<9x2x32xi8>}
// CHECK-SAME: {init = {kind = "zeros"}, name = "w.scales", trainable = true, type = tensor<9x2xf32>}
// CHECK-SAME: name = "odd", trainable = true, type = tensor<9x40xf32>
module @M attributes {
    kiln.parameters = [{init = {kind = "normal", mean = 0.0, std = 1.0}, name = "w", trainable = true, type = tensor<9x64xf32>},
                       {init = {kind = "zeros"}, name = "odd", trainable = true, type = tensor<9x40xf32>}]} {
  // A product reads the blocks as they lie, over both axes that its rows were cut into.
  // CHECK-LABEL: @product
  // CHECK-SAME:  %arg1: tensor<9x2x32xi8> {kiln.parameter = "w"}, %arg2: tensor<9x2xf32> {kiln.parameter = "w.scales"}
  // CHECK:       %[[X:.*]] = kiln.reshape %arg0 : tensor<5x3x64xf32> -> tensor<5x3x2x32xf32>
  // CHECK:       %[[BYTES:.*]] = kiln.convert %arg1 : tensor<9x2x32xi8> -> tensor<9x2x32xf32>
  // CHECK:       %[[SCALES:.*]] = kiln.broadcast %arg2, [0, 1] : tensor<9x2xf32> -> tensor<9x2x32xf32>
  // CHECK:       %[[W:.*]] = kiln.mul %[[BYTES]], %[[SCALES]]
  // CHECK:       kiln.dot_general %[[X]], %[[W]] batch [] x [] contract [2, 3] x [1, 2] : {{.*}} -> tensor<5x3x9xf32>
  func.func @product(%x: tensor<5x3x64xf32> {kiln.input = "x"}, %w: tensor<9x64xf32> {kiln.parameter = "w"}) -> (tensor<5x3x9xf32> {kiln.output = "0"}) {
    %t = kiln.transpose %w, [1, 0] : tensor<9x64xf32> -> tensor<64x9xf32>
    %y = kiln.dot_general %x, %t batch [] x [] contract [2] x [0] : tensor<5x3x64xf32>, tensor<64x9xf32> -> tensor<5x3x9xf32>
    return %y : tensor<5x3x9xf32>
  }

  // Rows are picked before they are widened; what else reads the matrix has all of it.
  // CHECK-LABEL: @rows
  // CHECK:       %[[PICKED:.*]] = kiln.gather %arg1, %arg0, 0 : tensor<9x2x32xi8>, tensor<3xi32> -> tensor<3x2x32xi8>
  // CHECK:       kiln.gather %arg2, %arg0, 0 : tensor<9x2xf32>, tensor<3xi32> -> tensor<3x2xf32>
  // CHECK:       kiln.reshape %{{.*}} : tensor<3x2x32xf32> -> tensor<3x64xf32>
  // CHECK:       kiln.reshape %{{.*}} : tensor<9x2x32xf32> -> tensor<9x64xf32>
  // CHECK:       kiln.exp %{{.*}} : tensor<9x64xf32>
  func.func @rows(%ids: tensor<3xi32> {kiln.input = "ids"}, %w: tensor<9x64xf32> {kiln.parameter = "w"}) -> (tensor<3x64xf32> {kiln.output = "0"}, tensor<9x64xf32> {kiln.output = "1"}) {
    %y = kiln.gather %w, %ids, 0 : tensor<9x64xf32>, tensor<3xi32> -> tensor<3x64xf32>
    %e = kiln.exp %w : tensor<9x64xf32>
    return %y, %e : tensor<3x64xf32>, tensor<9x64xf32>
  }
}
