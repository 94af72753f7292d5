// RUN: %kiln-opt --kiln-decompose %s | FileCheck %s
// RUN: %kiln-opt --kiln-decompose=keep=kiln.softmax %s | FileCheck %s --check-prefix=KEEP

// Nothing but primitives is left, inside of loops too.
// CHECK-NOT: kiln.{{softmax|silu|stop_gradient|custom_grad}}
// KEEP: kiln.softmax
// KEEP-NOT: kiln.{{silu|stop_gradient|custom_grad}}
func.func @all(%x: tensor<3x4xf32>) -> tensor<4xf32> {
  %0 = kiln.softmax %x, 1 : tensor<3x4xf32>
  %1 = kiln.stop_gradient %0 : tensor<3x4xf32>
  %2 = kiln.custom_grad %1 : (tensor<3x4xf32>) -> tensor<3x4xf32> forward {
  ^forward(%a: tensor<3x4xf32>):
    %b = kiln.silu %a : tensor<3x4xf32>
    kiln.yield %b : tensor<3x4xf32>
  } backward {
  ^backward(%a: tensor<3x4xf32>, %g: tensor<3x4xf32>):
    kiln.yield %g : tensor<3x4xf32>
  }
  %init = kiln.constant dense<0.0> : tensor<4xf32> : tensor<4xf32>
  %3 = kiln.scan "3" step(%t) carry(%c = %init : tensor<4xf32>) over(%y = %2 : tensor<3x4xf32>) -> () {
    %4 = kiln.silu %y : tensor<4xf32>
    %5 = kiln.add %c, %4 : tensor<4xf32>
    kiln.yield %5 : tensor<4xf32>
  }
  return %3 : tensor<4xf32>
}
