// RUN: %kiln-opt %s --kiln-store-weights=as=bf16 -split-input-file | FileCheck %s

// A matrix that no step trains and a recipe sets between its stages stays as it is, as trained ones do; one that nothing
// changes is stored as asked.
// CHECK: name = "frozen", trainable = false, type = tensor<9x4xbf16>
// CHECK: name = "copied", trainable = false, type = tensor<9x4xf32>
// CHECK: name = "trained", trainable = true, type = tensor<9x4xf32>
// CHECK-LABEL: @stage.end
// CHECK-NOT:   bf16
module @M attributes {
    kiln.parameters = [{init = {kind = "zeros"}, name = "frozen", trainable = false, type = tensor<9x4xf32>},
                       {init = {kind = "zeros"}, name = "copied", trainable = false, type = tensor<9x4xf32>},
                       {init = {kind = "zeros"}, name = "trained", trainable = true, type = tensor<9x4xf32>}],
    kiln.train = {end = "stage.end", loss = "loss.train"}} {
  func.func @stage.end(%t: tensor<9x4xf32> {kiln.parameter = "trained"}) -> (tensor<9x4xf32> {kiln.parameter = "copied"}) {
    return %t : tensor<9x4xf32>
  }
}

// -----

// Where there is no other, all are stored as asked, and what sets them goes with the recipe.
// CHECK: name = "copied", trainable = false, type = tensor<9x4xbf16>
// CHECK: name = "trained", trainable = true, type = tensor<9x4xbf16>
// CHECK-NOT: @stage
module @N attributes {
    kiln.parameters = [{init = {kind = "zeros"}, name = "copied", trainable = false, type = tensor<9x4xf32>},
                       {init = {kind = "zeros"}, name = "trained", trainable = true, type = tensor<9x4xf32>}],
    kiln.train = {end = "stage.end", loss = "loss.train"}} {
  func.func @stage.end(%t: tensor<9x4xf32> {kiln.parameter = "trained"}) -> (tensor<9x4xf32> {kiln.parameter = "copied"}) {
    return %t : tensor<9x4xf32>
  }
}
