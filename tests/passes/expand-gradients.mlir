// RUN: %kiln-opt %s --kiln-expand-gradients --split-input-file --verify-diagnostics | FileCheck %s

// The derivative of the first result, and of that the next one; nothing of it is left to be asked for.
// CHECK-LABEL: @twice
// CHECK-NOT: kiln.gradient
// CHECK: %[[E:.*]] = kiln.exp %arg0
// CHECK: %[[FIRST:.*]] = kiln.mul %{{.*}}, %[[E]]
// CHECK: kiln.mul %{{.*}}, %[[E]]
// CHECK-NOT: kiln.gradient
func.func @twice(%x: tensor<4xf32>, %dy: tensor<4xf32>) -> tensor<4xf32> {
  %y = kiln.exp %x : tensor<4xf32>
  %first = kiln.gradient %y along %dy by %x : tensor<4xf32>, (tensor<4xf32>) -> tensor<4xf32>
  %second = kiln.gradient %first along %dy by %x : tensor<4xf32>, (tensor<4xf32>) -> tensor<4xf32>
  return %second : tensor<4xf32>
}

// By a value on the way: what it came from is not followed. By what takes no part: zeros.
// CHECK-LABEL: @between
// CHECK: %[[M:.*]] = kiln.neg %arg0
// CHECK: kiln.sin %[[M]]
// CHECK: %[[C:.*]] = kiln.cos %[[M]]
// CHECK: %[[D:.*]] = kiln.mul %arg1, %[[C]]
// CHECK: %[[Z:.*]] = kiln.constant dense<0.000000e+00>
// CHECK: return %[[D]], %[[Z]]
func.func @between(%x: tensor<4xf32>, %dy: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %m = kiln.neg %x : tensor<4xf32>
  %y = kiln.sin %m : tensor<4xf32>
  %d:2 = kiln.gradient %y along %dy by %m, %dy : tensor<4xf32>, (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return %d#0, %d#1 : tensor<4xf32>, tensor<4xf32>
}

// In each step of a loop, by what is carried; and by a loop's result, though another derivative replaces the loop.
// CHECK-LABEL: @loops
// CHECK: kiln.scan "3"
// CHECK: kiln.cos
// CHECK: kiln.yield
// CHECK: %[[SAME:.*]] = kiln.reshape
// CHECK: kiln.mul %[[SAME]], %[[SAME]]
// CHECK-NOT: kiln.gradient
func.func @loops(%x: tensor<f32>, %one: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  %s = kiln.scan "3" step(%t) carry(%c = %x : tensor<f32>) -> () {
    %y = kiln.sin %c : tensor<f32>
    %d = kiln.gradient %y along %one by %c : tensor<f32>, (tensor<f32>) -> tensor<f32>
    kiln.yield %d : tensor<f32>
  }
  %z = kiln.mul %s, %s : tensor<f32>
  %g:2 = kiln.gradient %z along %one by %x, %s : tensor<f32>, (tensor<f32>, tensor<f32>) -> (tensor<f32>, tensor<f32>)
  return %g#0, %g#1 : tensor<f32>, tensor<f32>
}

// Attention's backward half stays whole where no second derivative goes through it.
// CHECK-LABEL: @attacked
// CHECK: kiln.attention_grad
// CHECK: kiln.sign
func.func @attacked(%q: tensor<1x2x8x4xf32>, %dy: tensor<1x2x8x4xf32>) -> tensor<1x2x8x4xf32> {
  %y = kiln.attention %q, %q, %q scale 0.5 : tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32>, tensor<1x2x8x4xf32> -> tensor<1x2x8x4xf32>
  %d = kiln.gradient %y along %dy by %q : tensor<1x2x8x4xf32>, (tensor<1x2x8x4xf32>) -> tensor<1x2x8x4xf32>
  %s = kiln.sign %d : tensor<1x2x8x4xf32>
  %g = kiln.gradient %s along %dy by %q : tensor<1x2x8x4xf32>, (tensor<1x2x8x4xf32>) -> tensor<1x2x8x4xf32>
  %r = kiln.add %s, %g : tensor<1x2x8x4xf32>
  return %r : tensor<1x2x8x4xf32>
}

// -----

func.func @endless(%x: tensor<f32>, %one: tensor<f32>) -> tensor<f32> {
  // expected-error @below {{has no gradient}}
  %y = kiln.while %x : (tensor<f32>) -> tensor<f32> {
  ^condition(%a: tensor<f32>):
    %c = kiln.compare gt %a, %one : tensor<f32> -> tensor<i1>
    kiln.yield %c : tensor<i1>
  } do {
  ^body(%a: tensor<f32>):
    %b = kiln.sin %a : tensor<f32>
    kiln.yield %b : tensor<f32>
  }
  %g = kiln.gradient %y along %one by %x : tensor<f32>, (tensor<f32>) -> tensor<f32>
  return %g : tensor<f32>
}
