// RUN: not %kiln-opt --kiln-verify-stage=stage=import %s 2>&1 | FileCheck %s

// A parameter that nobody declared would have no value.
// CHECK: error: 'q' is not among the module's kiln.parameters
module attributes {kiln.parameters = [{name = "p", type = tensor<4xf32>}]} {
  func.func @f(%p: tensor<4xf32> {kiln.parameter = "p"}) -> tensor<4xf32> {
    return %p : tensor<4xf32>
  }
  func.func @g(%q: tensor<4xf32> {kiln.parameter = "q"}) -> tensor<4xf32> {
    return %q : tensor<4xf32>
  }
}
