// RUN: %kiln-opt %s -split-input-file -verify-diagnostics

// relu (C2)
func.func @f(%x: tensor<4xi1>) {
  // expected-error@+1 {{'kiln.relu' op (C2) expected floats or integers, found i1[4]}}
  %r = kiln.relu %x : tensor<4xi1>
  return
}

// -----

// silu (C1)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.silu' op (C1) expected one type, found f32[4] and f64[4]}}
  %r = "kiln.silu"(%x) : (tensor<4xf32>) -> tensor<4xf64>
  return
}

// -----

// gelu (C2)
func.func @f(%x: tensor<4xi32>) {
  // expected-error@+1 {{'kiln.gelu' op (C2) expected floats, found i32[4]}}
  %r = kiln.gelu %x : tensor<4xi32>
  return
}

// -----

// softmax (C1)
func.func @f(%x: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.softmax' op (C1) axis 1 is outside [0, 1)}}
  %r = kiln.softmax %x, 1 : tensor<4xf32>
  return
}

// -----

// log_softmax (C2)
func.func @f(%x: tensor<4xi32>) {
  // expected-error@+1 {{'kiln.log_softmax' op (C2) expected floats, found i32[4]}}
  %r = kiln.log_softmax %x, 0 : tensor<4xi32>
  return
}

// -----

// layer_norm (C1)
func.func @f(%x: tensor<2x8xf32>, %s: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.layer_norm' op (C1) expected scale f32[8], found f32[4]}}
  %r = kiln.layer_norm %x scale %s bias %s epsilon 1.0e-5 : tensor<2x8xf32>, tensor<4xf32>, tensor<4xf32>
  return
}

// -----

// layer_norm (C1): together
func.func @f(%x: tensor<2x8xf32>, %s: tensor<8xf32>) {
  // expected-error@+1 {{'kiln.layer_norm' op (C1) scale and bias must be present together or absent}}
  %r = "kiln.layer_norm"(%x, %s) <{epsilon = 1.0e-5 : f64, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// layer_norm (C2)
func.func @f(%x: tensor<f32>) {
  // expected-error@+1 {{'kiln.layer_norm' op (C2) expected floats with at least one axis, found f32[]}}
  %r = kiln.layer_norm %x epsilon 1.0e-5 : tensor<f32>
  return
}

// -----

// rms_norm (C1)
func.func @f(%x: tensor<2x8xf32>, %s: tensor<4xf32>) {
  // expected-error@+1 {{'kiln.rms_norm' op (C1) expected scale f32[8], found f32[4]}}
  %r = kiln.rms_norm %x scale %s epsilon 1.0e-5 : tensor<2x8xf32>, tensor<4xf32>
  return
}

// -----

// rms_norm (C2)
func.func @f(%x: tensor<2x8xi32>, %s: tensor<8xf32>) {
  // expected-error@+1 {{'kiln.rms_norm' op (C2) expected floats with at least one axis, found i32[2, 8]}}
  %r = kiln.rms_norm %x scale %s epsilon 1.0e-5 : tensor<2x8xi32>, tensor<8xf32>
  return
}

// -----

// cross_entropy (C1): shape
func.func @f(%x: tensor<2x8xf32>, %t: tensor<3xi32>) {
  // expected-error@+1 {{'kiln.cross_entropy' op (C1) targets must have logits' shape without the last axis, found f32[2, 8] and i32[3]}}
  %r = kiln.cross_entropy %x, %t : tensor<2x8xf32>, tensor<3xi32> -> tensor<2xf32>
  return
}

// -----

// cross_entropy (C1): type
func.func @f(%x: tensor<2x8xf32>, %t: tensor<2xf32>) {
  // expected-error@+1 {{'kiln.cross_entropy' op (C1) targets must be of an integer type, found f32[2]}}
  %r = kiln.cross_entropy %x, %t : tensor<2x8xf32>, tensor<2xf32> -> tensor<2xf32>
  return
}

// -----

// cross_entropy (C2)
func.func @f(%x: tensor<2x8xf32>, %t: tensor<2xi32>) {
  // expected-error@+1 {{'kiln.cross_entropy' op (C2) expected the result f32[2], found f64[2]}}
  %r = kiln.cross_entropy %x, %t : tensor<2x8xf32>, tensor<2xi32> -> tensor<2xf64>
  return
}

// -----

// attention (C1)
func.func @f(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x7xf32>) {
  // expected-error@+1 {{'kiln.attention' op (C1) expected query [B, H, T, D], key [B, H, S, D] and value [B, H, S, E], found f32[2, 4, 6, 8], f32[2, 4, 9, 7] and f32[2, 4, 9, 7]}}
  %r = kiln.attention %q, %k, %k scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x9x7xf32>, tensor<2x4x9x7xf32> -> tensor<2x4x6x7xf32>
  return
}

// -----

// attention (C1): result
func.func @f(%q: tensor<2x4x6x8xf32>) {
  // expected-error@+1 {{'kiln.attention' op (C1) expected the result f32[2, 4, 6, 8], found f32[2, 4, 6, 9]}}
  %r = kiln.attention %q, %q, %q scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x9xf32>
  return
}

// -----

// attention (C1): second result
func.func @f(%q: tensor<2x4x6x8xf32>) {
  // expected-error@+1 {{'kiln.attention' op (C1) expected the second result f32[2, 4, 6], found f32[2, 4, 8]}}
  %r:2 = kiln.attention %q, %q, %q scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>, tensor<2x4x8xf32>
  return
}

// -----

// attention_grad (C1)
func.func @f(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x7xf32>, %l: tensor<2x4x6xf32>) {
  // expected-error@+1 {{'kiln.attention_grad' op (C1) expected query [B, H, T, D], key [B, H, S, D] and value [B, H, S, E], found f32[2, 4, 6, 8], f32[2, 4, 9, 7] and f32[2, 4, 9, 7]}}
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %k, %q, %l, %q scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x9x7xf32>, tensor<2x4x9x7xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
  return
}

// -----

// attention_grad (C1): attention's results
func.func @f(%q: tensor<2x4x6x8xf32>, %o: tensor<2x4x6x9xf32>, %l: tensor<2x4x6xf32>) {
  // expected-error@+1 {{'kiln.attention_grad' op (C1) expected attention's result f32[2, 4, 6, 8], found f32[2, 4, 6, 9]}}
  %dq, %dk, %dv = kiln.attention_grad %q, %q, %q, %o, %l, %o scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x9xf32>, tensor<2x4x6xf32>
  return
}

// -----

// attention_grad (C1): lse
func.func @f(%q: tensor<2x4x6x8xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{'kiln.attention_grad' op (C1) expected attention's second result f32[2, 4, 6], found f32[2, 4, 8]}}
  %dq, %dk, %dv = kiln.attention_grad %q, %q, %q, %q, %l, %q scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x8xf32>
  return
}

// -----

// attention_grad (C2)
func.func @f(%q: tensor<2x4x6x8xf32>, %k: tensor<2x4x9x8xf32>, %l: tensor<2x4x6xf32>) {
  // expected-error@+1 {{failed to verify that (C2) all of {key, dkey} have the same type}}
  %dq, %dk, %dv = "kiln.attention_grad"(%q, %k, %k, %q, %l, %q) {scale = 1.0, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0>} : (tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x9x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>, tensor<2x4x6x8xf32>) -> (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x9x8xf32>)
  return
}

// -----

// attention_grad (C3)
func.func @f(%q: tensor<2x4x6x8xf32>, %g: tensor<2x4x6x9xf32>, %l: tensor<2x4x6xf32>) {
  // expected-error@+1 {{failed to verify that (C3) all of {result, gradient} have the same type}}
  %dq, %dk, %dv = "kiln.attention_grad"(%q, %q, %q, %q, %l, %g) {scale = 1.0, operandSegmentSizes = array<i32: 1, 1, 1, 1, 1, 1, 0, 0>} : (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>, tensor<2x4x6x9xf32>) -> (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>)
  return
}

// -----

func.func @attention_groups(%q: tensor<2x4x6x8xf32>, %k: tensor<2x3x6x8xf32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.attention' op (C1) expected query [B, H, T, D], key [B, H, S, D] and value [B, H, S, E], with 2 heads of queries for each of keys and values, found f32[2, 4, 6, 8], f32[2, 3, 6, 8] and f32[2, 3, 6, 8]}}
  %r = kiln.attention %q, %k, %k scale 1.0 {groups = 2 : i64} : tensor<2x4x6x8xf32>, tensor<2x3x6x8xf32>, tensor<2x3x6x8xf32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

func.func @attention_no_groups(%q: tensor<2x4x6x8xf32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.attention' op (C5) groups must be at least 1, found 0}}
  %r = kiln.attention %q, %q, %q scale 1.0 {groups = 0 : i64} : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

func.func @attention_start(%q: tensor<2x4x6x8xf32>, %s: tensor<i64>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.attention' op (C3) start must be a scalar i32, found i64[]}}
  %r = kiln.attention %q, %q, %q start %s : tensor<i64> scale 1.0 {causal = true} : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

func.func @attention_start_of_all(%q: tensor<2x4x6x8xf32>, %s: tensor<i32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.attention' op (C3) start says where causal queries begin: without causal it has no meaning}}
  %r = kiln.attention %q, %q, %q start %s : tensor<i32> scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

func.func @attention_wide_window(%q: tensor<2x4x6x8xf32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.attention' op (C4) a sliding window is of at most 1073741824 keys, found 2147483648}}
  %r = kiln.attention %q, %q, %q scale 1.0 {causal = true, sliding_window = 2147483648 : i64} : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

func.func @attention_window(%q: tensor<2x4x6x8xf32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.attention' op (C4) a sliding window is of at least 1 key and needs causal, found 0}}
  %r = kiln.attention %q, %q, %q scale 1.0 {causal = true, sliding_window = 0 : i64} : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

// attention (C2): rank
func.func @f(%q: tensor<2x4x6x8xf32>, %m: tensor<6x6xi1>) {
  // expected-error@+1 {{'kiln.attention' op (C2) mask must be i1 of rank 4, found i1[6, 6]}}
  %r = kiln.attention %q, %q, %q mask %m scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<6x6xi1> -> tensor<2x4x6x8xf32>
  return
}

// -----

// attention (C2): shape
func.func @f(%q: tensor<2x4x6x8xf32>, %m: tensor<1x1x6x5xi1>) {
  // expected-error@+1 {{'kiln.attention' op (C2) mask must broadcast to i1[2, 4, 6, 6], found i1[1, 1, 6, 5]}}
  %r = kiln.attention %q, %q, %q mask %m scale 1.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<1x1x6x5xi1> -> tensor<2x4x6x8xf32>
  return
}

// -----

// random_uniform (C1)
func.func @f(%s: tensor<ui32>) {
  // expected-error@+1 {{'kiln.random_uniform' op (C1) the element type must be f32 or f64, found bf16[4]}}
  %r = kiln.random_uniform 0, %s : tensor<ui32> -> tensor<4xbf16>
  return
}

// -----

// random_uniform (C2)
func.func @f(%s: tensor<i32>) {
  // expected-error@+1 {{'kiln.random_uniform' op (C2) seed must be ui32[], found i32[]}}
  %r = kiln.random_uniform 0, %s : tensor<i32> -> tensor<4xf32>
  return
}

// -----

// random_normal (C1)
func.func @f(%s: tensor<ui32>) {
  // expected-error@+1 {{'kiln.random_normal' op (C1) the element type must be f32 or f64, found i32[4]}}
  %r = kiln.random_normal 0, %s : tensor<ui32> -> tensor<4xi32>
  return
}

// -----

// random_normal (C2)
func.func @f(%s: tensor<ui32>, %c: tensor<f32>) {
  // expected-error@+1 {{'kiln.random_normal' op (C2) a counter must be i32[], found f32[]}}
  %r = kiln.random_normal 0, %s, %c : tensor<ui32>, tensor<f32> -> tensor<4xf32>
  return
}

// -----

// dropout_attention (C7)
func.func @dropout_attention_share(%q: tensor<2x4x6x8xf32>, %s: tensor<ui32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.dropout_attention' op (C7) p must be from 0 to 1, found 1.5}}
  %r = kiln.dropout_attention %q, %q, %q scale 1.0 drops %s p 1.5 stream 0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<ui32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

// dropout_attention (C8)
func.func @dropout_attention_seed(%q: tensor<2x4x6x8xf32>, %s: tensor<i32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.dropout_attention' op (C8) seed must be ui32[], found i32[]}}
  %r = kiln.dropout_attention %q, %q, %q scale 1.0 drops %s p 0.5 stream 0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<i32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

// dropout_attention_grad (C2): the bias
func.func @dropout_attention_grad_bias(%q: tensor<2x4x6x8xf32>, %l: tensor<2x4x6xf32>, %b: tensor<1x1x6x6xf32>, %s: tensor<ui32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.dropout_attention_grad' op (C2) expected a gradient of the bias where there is one, and of its type}}
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %q, %q, %q, %l, %q bias %b : tensor<1x1x6x6xf32> scale 1.0 drops %s p 0.5 stream 0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>, tensor<ui32>
  return %dq : tensor<2x4x6x8xf32>
}

// -----

// capped_attention (C9)
func.func @capped_attention(%q: tensor<2x4x6x8xf32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.capped_attention' op (C9) softcap must be a finite number above 0, found 0}}
  %r = kiln.capped_attention %q, %q, %q scale 1.0 softcap 0.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32> -> tensor<2x4x6x8xf32>
  return %r : tensor<2x4x6x8xf32>
}

// -----

// capped_attention_grad (C9)
func.func @capped_attention_grad(%q: tensor<2x4x6x8xf32>, %l: tensor<2x4x6xf32>) -> tensor<2x4x6x8xf32> {
  // expected-error@+1 {{'kiln.capped_attention_grad' op (C9) softcap must be a finite number above 0, found -2}}
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %q, %q, %q, %l, %q scale 1.0 softcap -2.0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
  return %dq : tensor<2x4x6x8xf32>
}

// -----

// dropout (C1)
func.func @f(%x: tensor<4xi32>, %s: tensor<ui32>) {
  // expected-error@+1 {{'kiln.dropout' op (C1) expected floats, found i32[4]}}
  %r = kiln.dropout %x, %s p 0.5 stream 0 : tensor<4xi32>, tensor<ui32>
  return
}

// -----

// dropout (C2)
func.func @f(%x: tensor<4xf32>, %s: tensor<ui32>) {
  // expected-error@+1 {{'kiln.dropout' op (C2) p must be from 0 to 1, found 1.5}}
  %r = kiln.dropout %x, %s p 1.5 stream 0 : tensor<4xf32>, tensor<ui32>
  return
}

// -----

// dropout (C3)
func.func @f(%x: tensor<4xf32>, %s: tensor<i32>) {
  // expected-error@+1 {{'kiln.dropout' op (C3) seed must be ui32[], found i32[]}}
  %r = kiln.dropout %x, %s p 0.5 stream 0 : tensor<4xf32>, tensor<i32>
  return
}
