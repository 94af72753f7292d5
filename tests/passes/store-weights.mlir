// RUN: %kiln-opt %s --kiln-store-weights=as=bf16 | FileCheck %s
// RUN: %kiln-opt %s --kiln-store-weights | FileCheck %s --check-prefix=AS-DECLARED
// RUN: not %kiln-opt %s --kiln-store-weights=as=i8 2>&1 | FileCheck %s --check-prefix=TYPE

// Matrices are bf16 from their declaration on, vectors are not; the recipe is gone with what only it uses.
// CHECK:     module {{.*}} attributes {kiln.parameters = [
// CHECK-SAME: name = "table", trainable = true, type = tensor<9x4xbf16>
// CHECK-SAME: name = "bias", trainable = true, type = tensor<4xf32>
// CHECK-NOT: kiln.train
// CHECK-NOT: @loss.train
// CHECK-NOT: @rates
module @M attributes {
    kiln.parameters = [{init = {kind = "zeros"}, name = "table", trainable = true, type = tensor<9x4xf32>},
                       {init = {kind = "zeros"}, name = "bias", trainable = true, type = tensor<4xf32>}],
    kiln.train = {loss = "loss.train"}} {
  func.func @loss.train(%t: tensor<9x4xf32> {kiln.parameter = "table"}) -> (tensor<9x4xf32> {kiln.output = "0"}) {
    return %t : tensor<9x4xf32>
  }
  func.func private @rates() -> (tensor<f64> {kiln.output = "0"}) {
    %r = kiln.constant dense<1.0> : tensor<f64> : tensor<f64>
    return %r : tensor<f64>
  }

  // What is picked from a table is widened, not the table; where all of it is read, it is widened there, once.
  // CHECK-LABEL: @read
  // CHECK-SAME:  %arg0: tensor<3xi32> {kiln.input = "ids"}, %arg1: tensor<9x4xbf16> {kiln.parameter = "table"}, %arg2: tensor<4xf32>
  // CHECK:       %[[ALL:.*]] = kiln.convert %arg1 : tensor<9x4xbf16> -> tensor<9x4xf32>
  // CHECK:       %[[ROWS:.*]] = kiln.gather %arg1, %arg0, 0 : tensor<9x4xbf16>, tensor<3xi32> -> tensor<3x4xbf16>
  // CHECK:       %[[WIDE:.*]] = kiln.convert %[[ROWS]] : tensor<3x4xbf16> -> tensor<3x4xf32>
  // CHECK:       kiln.mul %[[WIDE]], %{{.*}} : tensor<3x4xf32>
  // CHECK:       kiln.exp %[[ALL]] : tensor<9x4xf32>
  // CHECK:       kiln.tanh %[[ALL]] : tensor<9x4xf32>
  // CHECK:       %[[TURNED:.*]] = kiln.transpose %arg1, [1, 0] : tensor<9x4xbf16> -> tensor<4x9xbf16>
  // CHECK:       %[[CUT:.*]] = kiln.reshape %[[TURNED]] : tensor<4x9xbf16> -> tensor<36xbf16>
  // CHECK:       kiln.convert %[[CUT]] : tensor<36xbf16> -> tensor<36xf32>
  // AS-DECLARED:     @loss.train
  // AS-DECLARED:     @read
  // AS-DECLARED-NOT: convert
  func.func @read(%ids: tensor<3xi32> {kiln.input = "ids"}, %t: tensor<9x4xf32> {kiln.parameter = "table"}, %b: tensor<4xf32> {kiln.parameter = "bias"})
      -> (tensor<3x4xf32> {kiln.output = "0"}, tensor<9x4xf32> {kiln.output = "1"}, tensor<9x4xf32> {kiln.output = "2"}, tensor<36xf32> {kiln.output = "3"}) {
    %rows = kiln.gather %t, %ids, 0 : tensor<9x4xf32>, tensor<3xi32> -> tensor<3x4xf32>
    %bias = kiln.broadcast %b, [1] : tensor<4xf32> -> tensor<3x4xf32>
    %y = kiln.mul %rows, %bias : tensor<3x4xf32>
    %e = kiln.exp %t : tensor<9x4xf32>
    %h = kiln.tanh %t : tensor<9x4xf32>
    %turned = kiln.transpose %t, [1, 0] : tensor<9x4xf32> -> tensor<4x9xf32>
    %flat = kiln.reshape %turned : tensor<4x9xf32> -> tensor<36xf32>
    %sine = kiln.sin %flat : tensor<36xf32>
    return %y, %e, %h, %sine : tensor<3x4xf32>, tensor<9x4xf32>, tensor<9x4xf32>, tensor<36xf32>
  }
}

// TYPE: weights are stored as f32, bf16, q8, q4 or as they are declared, not as 'i8'
