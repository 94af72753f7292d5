// RUN: %kiln-opt --kiln-decompose %s | FileCheck %s
// RUN: %kiln-opt --kiln-decompose=keep=kiln.softmax %s | FileCheck %s --check-prefix=KEEP
// RUN: %kiln-opt --kiln-decompose=whole=silu,twist,nothing --kiln-fuse %s | FileCheck %s --check-prefix=WHOLE
// RUN: %kiln-opt --kiln-decompose="derived whole=twist_grad" %s | FileCheck %s --check-prefix=DERIVED

// Nothing but primitives is left, inside of loops too.
// CHECK-NOT: kiln.{{softmax|silu|stop_gradient|custom}}
// KEEP: kiln.softmax
// KEEP-NOT: kiln.{{silu|stop_gradient|custom}}
func.func @all(%x: tensor<3x4xf32>) -> tensor<4xf32> {
  %0 = kiln.softmax %x, 1 : tensor<3x4xf32>
  %1 = kiln.stop_gradient %0 : tensor<3x4xf32>
  %2 = kiln.custom %1 : (tensor<3x4xf32>) -> tensor<3x4xf32> forward {
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

// What a backend takes whole is a group of its own, which reads what is stored; its definition is primitives.
// WHOLE-LABEL: func.func @whole
// WHOLE: kiln.group elementwise %arg0
// WHOLE: kiln.add
// WHOLE: %[[WHOLE:.*]] = kiln.group single
// WHOLE-NEXT: ^
// WHOLE-NEXT: kiln.custom "twist" %{{.*}} {fields = {by = 2 : i64}, kiln.whole}
// WHOLE-NOT: kiln.gelu
// WHOLE: kiln.yield
// WHOLE: kiln.group single %[[WHOLE]]
// WHOLE-NEXT: ^
// WHOLE-NEXT: kiln.silu %{{.*}} {kiln.whole}
// WHOLE-NEXT: kiln.yield
// WHOLE: kiln.group elementwise
// WHOLE-NEXT: ^
// WHOLE-NEXT: kiln.neg

// Before differentiation only custom ops go whose gradient is that of their definition, and that no backend names.
// DERIVED-LABEL: func.func @whole
// DERIVED: kiln.custom "twist"
// DERIVED: kiln.silu
// DERIVED-NOT: "other"
func.func @whole(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = kiln.add %x, %x : tensor<4xf32>
  %1 = kiln.custom "twist" %0 {fields = {by = 2 : i64}} : (tensor<4xf32>) -> tensor<4xf32> forward {
  ^forward(%a: tensor<4xf32>):
    %b = kiln.gelu %a : tensor<4xf32>
    kiln.yield %b : tensor<4xf32>
  }
  %2 = kiln.silu %1 : tensor<4xf32>
  %3 = kiln.custom "other" %2 : (tensor<4xf32>) -> tensor<4xf32> forward {
  ^forward(%a: tensor<4xf32>):
    %b = kiln.neg %a : tensor<4xf32>
    kiln.yield %b : tensor<4xf32>
  }
  return %3 : tensor<4xf32>
}
