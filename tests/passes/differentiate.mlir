// RUN: %kiln-opt --kiln-differentiate %S/Inputs/mlp.mlir | FileCheck %s --check-prefix=GRAD
// RUN: %kiln-opt --kiln-differentiate="function=unused wrt=0,2" --canonicalize %s | FileCheck %s --check-prefix=UNUSED
// RUN: %kiln-opt --kiln-differentiate=function=tied --canonicalize %s | FileCheck %s --check-prefix=TIED
// RUN: %kiln-opt --kiln-differentiate=function=rnn --canonicalize %s | FileCheck %s --check-prefix=RNN
// RUN: %kiln-opt --kiln-differentiate="function=stopped wrt=0" %s | FileCheck %s --check-prefix=STOPPED
// RUN: %kiln-opt --kiln-differentiate="function=bits wrt=0" --canonicalize %s | FileCheck %s --check-prefix=BITS
// RUN: %kiln-opt --kiln-differentiate="function=widened wrt=1" %s | FileCheck %s --check-prefix=WIDENED

// @grad has the loss's arguments; it returns the loss and the gradient of each trainable parameter, by name.
// GRAD-LABEL: func.func @grad
// GRAD-SAME: kiln.parameter = "b.weight"
// GRAD-SAME: -> (tensor<f32> {kiln.loss}, tensor<5x4xf32> {kiln.gradient = "a.weight"}, tensor<5xf32> {kiln.gradient = "a.bias"}, tensor<3x5xf32> {kiln.gradient = "b.weight"})
// Nothing is differentiated with respect to the data: four products, none of which gives a gradient of x.
// GRAD-COUNT-5: kiln.dot_general
// GRAD-NOT: kiln.dot_general
// GRAD: return

// An argument that nothing depends on gets zeros.
// UNUSED-LABEL: func.func @unused.grad
// UNUSED: %[[ZERO:.*]] = kiln.constant dense<0.000000e+00> : tensor<2xf32>
// UNUSED: return %{{.*}}, %{{.*}}, %[[ZERO]]
func.func @unused(%x: tensor<3xf32>, %y: tensor<3xf32>, %z: tensor<2xf32>) -> tensor<3xf32> {
  %0 = kiln.mul %x, %y : tensor<3xf32>
  return %0 : tensor<3xf32>
}

// Two uses of one tensor: the two gradients are added.
// TIED-LABEL: func.func @tied.grad
// TIED: %[[A:.*]] = kiln.dot_general
// TIED: %[[B:.*]] = kiln.dot_general
// TIED: %[[C:.*]] = kiln.dot_general
// TIED: %[[SCATTERED:.*]] = kiln.scatter add
// TIED: kiln.add %[[C]], %[[SCATTERED]]
func.func @tied(%e: tensor<5x3xf32>, %i: tensor<4xi32>) -> tensor<4x5xf32> {
  %0 = kiln.gather %e, %i, 0 : tensor<5x3xf32>, tensor<4xi32> -> tensor<4x3xf32>
  %1 = kiln.dot_general %0, %e batch [] x [] contract [1] x [1] : tensor<4x3xf32>, tensor<5x3xf32> -> tensor<4x5xf32>
  return %1 : tensor<4x5xf32>
}

// The forward loop stacks the carry and tanh's result, nothing else. The backward loop carries only the gradient of the
// state; the gradients of the weights are products over all steps, behind it.
// RNN-LABEL: func.func @rnn.grad
// RNN: kiln.scan "7" step
// RNN-SAME: -> (tensor<7x2x4xf32>, tensor<7x2x4xf32>, tensor<7x2x4xf32>)
// RNN: kiln.tanh
// RNN: kiln.scan "7" reverse step
// RNN-SAME: carry(%{{[a-z0-9]*}} = %{{[a-z0-9]*}} : tensor<2x4xf32>) over
// RNN-NOT: kiln.tanh
// RNN-COUNT-2: kiln.dot_general
// RNN: kiln.yield
// RNN: }
// RNN: kiln.dot_general {{.*}} contract [0, 1] x [0, 1] : tensor<7x2x4xf32>, tensor<7x2x4xf32> -> tensor<4x4xf32>
// RNN: kiln.dot_general {{.*}} contract [0, 1] x [0, 1] : tensor<7x2x4xf32>, tensor<7x2x3xf32> -> tensor<4x3xf32>
// RNN: kiln.reduce sum {{.*}}, [0, 1] : tensor<7x2x4xf32> -> tensor<4xf32>
func.func @rnn(%x: tensor<7x2x3xf32>, %h0: tensor<2x4xf32>, %u: tensor<4x4xf32>, %w: tensor<4x3xf32>, %b: tensor<4xf32>) -> (tensor<7x2x4xf32>, tensor<2x4xf32>) {
  %h, %ys = kiln.scan "7" step(%t) carry(%c = %h0 : tensor<2x4xf32>) over(%xt = %x : tensor<7x2x3xf32>) -> (tensor<7x2x4xf32>) {
    %0 = kiln.dot_general %c, %u batch [] x [] contract [1] x [1] : tensor<2x4xf32>, tensor<4x4xf32> -> tensor<2x4xf32>
    %1 = kiln.dot_general %xt, %w batch [] x [] contract [1] x [1] : tensor<2x3xf32>, tensor<4x3xf32> -> tensor<2x4xf32>
    %2 = kiln.add %0, %1 : tensor<2x4xf32>
    %3 = kiln.broadcast %b, [1] : tensor<4xf32> -> tensor<2x4xf32>
    %4 = kiln.add %2, %3 : tensor<2x4xf32>
    %5 = kiln.tanh %4 : tensor<2x4xf32>
    kiln.yield %5, %5 : tensor<2x4xf32>, tensor<2x4xf32>
  }
  return %ys, %h : tensor<7x2x4xf32>, tensor<2x4xf32>
}

// A branch gives gradients to what has one in it alone: %n is read behind stop_gradient, and what made it (a while without
// a gradient) is not asked for one.
// STOPPED-LABEL: @stopped.grad
// STOPPED: kiln.while
// STOPPED: kiln.if %arg1
// STOPPED: %[[G:.*]] = kiln.if %arg1 : (tensor<i1>) -> tensor<f32>
// STOPPED: return %{{.*}}, %[[G]]
func.func @stopped(%x: tensor<f32>, %c: tensor<i1>) -> tensor<f32> {
  %one = kiln.constant dense<1.0> : tensor<f32> : tensor<f32>
  %n = kiln.while %one : (tensor<f32>) -> tensor<f32> {
  ^condition(%a: tensor<f32>):
    %p = kiln.compare lt %a, %x : tensor<f32> -> tensor<i1>
    kiln.yield %p : tensor<i1>
  } do {
  ^body(%a: tensor<f32>):
    %b = kiln.mul %a, %x : tensor<f32>
    kiln.yield %b : tensor<f32>
  }
  %r = kiln.if %c : (tensor<i1>) -> tensor<f32> {
    %s = kiln.stop_gradient %n : tensor<f32>
    %y = kiln.mul %x, %s : tensor<f32>
    kiln.yield %y : tensor<f32>
  } else {
    %y = kiln.exp %x : tensor<f32>
    kiln.yield %y : tensor<f32>
  }
  return %r : tensor<f32>
}

// Through its bits nothing flows back to a number: of x alone, the gradient is the factor that was made of them.
// BITS-LABEL: func.func @bits.grad
// BITS-SAME: tensor<3xf32>, %[[G:[a-z0-9]*]]: tensor<3xf32>) ->
// BITS: %[[FACTOR:.*]] = kiln.bitcast %{{.*}} : tensor<3xi32> -> tensor<3xf32>
// BITS: %[[DX:.*]] = kiln.mul %[[G]], %[[FACTOR]]
// BITS-NOT: kiln
// BITS: return %{{.*}}, %[[DX]] : tensor<3xf32>, tensor<3xf32>
func.func @bits(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = kiln.bitcast %x : tensor<3xf32> -> tensor<3xi32>
  %1 = kiln.bitcast %0 : tensor<3xi32> -> tensor<3xf32>
  %2 = kiln.mul %1, %x : tensor<3xf32>
  return %2 : tensor<3xf32>
}

// A filter's gradient where the input is dilated meets none of the zeros between its elements: it is a filter, dilated.
// WIDENED-LABEL: func.func @widened.grad
// WIDENED: kiln.convolution {{.*}}input_dilation = array<i64: 2>
// WIDENED: kiln.convolution {{.*}}filter_dilation = array<i64: 2>, groups = 1 : i64, high = array<i64: 1>, input_dilation = array<i64: 1>, low = array<i64: 1>
// WIDENED: kiln.reverse
func.func @widened(%x: tensor<1x2x4xf32>, %w: tensor<3x2x3xf32>) -> tensor<1x3x7xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1>, low = array<i64: 1>, high = array<i64: 1>, input_dilation = array<i64: 2>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<1x2x4xf32>, tensor<3x2x3xf32> -> tensor<1x3x7xf32>
  return %0 : tensor<1x3x7xf32>
}
