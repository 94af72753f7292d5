// RUN: %kiln-opt --kiln-differentiate=function=f -split-input-file -verify-diagnostics %s

func.func @f(%x: tensor<f32>) -> tensor<f32> {
  // expected-error @below {{has no gradient: its number of steps is computed. Bound it (`while … at most N`), or put stop_gradient on what it reads}}
  %0 = kiln.while %x : (tensor<f32>) -> tensor<f32> {
  ^cond(%a: tensor<f32>):
    %one = kiln.constant dense<1.0> : tensor<f32> : tensor<f32>
    %p = kiln.compare lt %a, %one : tensor<f32> -> tensor<i1>
    kiln.yield %p : tensor<i1>
  } do {
  ^body(%a: tensor<f32>):
    %b = kiln.add %a, %a : tensor<f32>
    kiln.yield %b : tensor<f32>
  }
  return %0 : tensor<f32>
}

// -----

func.func @f(%x: tensor<4096xf32>, %g: tensor<2xf32>) -> tensor<4096xf32> {
  // expected-error @below {{has no gradient for windows of more than 1024 elements}}
  %0 = kiln.reduce_window_grad max %x, %g {window = array<i64: 2048>, strides = array<i64: 2048>, low = array<i64: 0>, high = array<i64: 0>} : tensor<4096xf32>, tensor<2xf32> -> tensor<4096xf32>
  return %0 : tensor<4096xf32>
}

// -----

func.func @f(%x: tensor<1x1x?xf32, #kiln.dims<"1", "1", "T">>, %w: tensor<1x1x?xf32, #kiln.dims<"1", "1", "K">>) -> tensor<1x1x?xf32, #kiln.dims<"1", "1", "floordiv(T-K, 2)+1">> {
  // expected-error @below {{gradient needs the padding K-1, which is not constant: the filter's extent is a symbol}}
  %0 = kiln.convolution %x, %w {strides = array<i64: 2>, low = array<i64: 0>, high = array<i64: 0>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<1x1x?xf32, #kiln.dims<"1", "1", "T">>, tensor<1x1x?xf32, #kiln.dims<"1", "1", "K">> -> tensor<1x1x?xf32, #kiln.dims<"1", "1", "floordiv(T-K, 2)+1">>
  return %0 : tensor<1x1x?xf32, #kiln.dims<"1", "1", "floordiv(T-K, 2)+1">>
}

// -----

// expected-error @below {{has no function @f}}
module {
}
