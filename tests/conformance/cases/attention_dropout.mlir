// dropout_attention and dropout_attention_grad: rows that begin at any of a draw's four words, beside masks, biases,
// starts, windows and heads that share keys; every share kept, nearly all dropped, and all of them.

// Rows of keys that are whole blocks of a draw, and those that are not.
func.func @whole(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x40x5xf32>, %v: tensor<2x3x40x7xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x3x37x7xf32>, tensor<2x3x37xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x37x5xf32>, tensor<2x3x40x5xf32>, tensor<2x3x40x7xf32>, tensor<ui32>, tensor<i32> -> tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
  return %r, %l : tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
}

func.func @whole_grad(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x40x5xf32>, %v: tensor<2x3x40x7xf32>, %o: tensor<2x3x37x7xf32>, %l: tensor<2x3x37xf32>, %g: tensor<2x3x37x7xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x3x37x5xf32>, tensor<2x3x40x5xf32>, tensor<2x3x40x7xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x37x5xf32>, tensor<2x3x40x5xf32>, tensor<2x3x40x7xf32>, tensor<2x3x37x7xf32>, tensor<2x3x37xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x3x37x5xf32>, tensor<2x3x40x5xf32>, tensor<2x3x40x7xf32>
}

func.func @by_one(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x3x37x7xf32>, tensor<2x3x37xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<ui32>, tensor<i32> -> tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
  return %r, %l : tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
}

func.func @by_one_grad(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>, %o: tensor<2x3x37x7xf32>, %l: tensor<2x3x37xf32>, %g: tensor<2x3x37x7xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<2x3x37x7xf32>, tensor<2x3x37xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>
}

func.func @by_two(%q: tensor<2x2x50x8xf32>, %k: tensor<2x2x42x8xf32>, %v: tensor<2x2x42x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x2x50x8xf32>, tensor<2x2x50xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<2x2x50x8xf32>, tensor<2x2x42x8xf32>, tensor<2x2x42x8xf32>, tensor<ui32>, tensor<i32> -> tensor<2x2x50x8xf32>, tensor<2x2x50xf32>
  return %r, %l : tensor<2x2x50x8xf32>, tensor<2x2x50xf32>
}

func.func @by_two_grad(%q: tensor<2x2x50x8xf32>, %k: tensor<2x2x42x8xf32>, %v: tensor<2x2x42x8xf32>, %o: tensor<2x2x50x8xf32>, %l: tensor<2x2x50xf32>, %g: tensor<2x2x50x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x2x50x8xf32>, tensor<2x2x42x8xf32>, tensor<2x2x42x8xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<2x2x50x8xf32>, tensor<2x2x42x8xf32>, tensor<2x2x42x8xf32>, tensor<2x2x50x8xf32>, tensor<2x2x50xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x2x50x8xf32>, tensor<2x2x42x8xf32>, tensor<2x2x42x8xf32>
}

func.func @by_three(%q: tensor<1x3x70x16xf32>, %k: tensor<1x3x67x16xf32>, %v: tensor<1x3x67x16xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<1x3x70x16xf32>, tensor<1x3x70xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<1x3x70x16xf32>, tensor<1x3x67x16xf32>, tensor<1x3x67x16xf32>, tensor<ui32>, tensor<i32> -> tensor<1x3x70x16xf32>, tensor<1x3x70xf32>
  return %r, %l : tensor<1x3x70x16xf32>, tensor<1x3x70xf32>
}

func.func @by_three_grad(%q: tensor<1x3x70x16xf32>, %k: tensor<1x3x67x16xf32>, %v: tensor<1x3x67x16xf32>, %o: tensor<1x3x70x16xf32>, %l: tensor<1x3x70xf32>, %g: tensor<1x3x70x16xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<1x3x70x16xf32>, tensor<1x3x67x16xf32>, tensor<1x3x67x16xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<1x3x70x16xf32>, tensor<1x3x67x16xf32>, tensor<1x3x67x16xf32>, tensor<1x3x70x16xf32>, tensor<1x3x70xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<1x3x70x16xf32>, tensor<1x3x67x16xf32>, tensor<1x3x67x16xf32>
}

func.func @one_key(%q: tensor<2x2x9x4xf32>, %k: tensor<2x2x1x4xf32>, %v: tensor<2x2x1x4xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x2x9x4xf32>, tensor<2x2x9xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x2x9x4xf32>, tensor<2x2x1x4xf32>, tensor<2x2x1x4xf32>, tensor<ui32>, tensor<i32> -> tensor<2x2x9x4xf32>, tensor<2x2x9xf32>
  return %r, %l : tensor<2x2x9x4xf32>, tensor<2x2x9xf32>
}

func.func @one_key_grad(%q: tensor<2x2x9x4xf32>, %k: tensor<2x2x1x4xf32>, %v: tensor<2x2x1x4xf32>, %o: tensor<2x2x9x4xf32>, %l: tensor<2x2x9xf32>, %g: tensor<2x2x9x4xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x2x9x4xf32>, tensor<2x2x1x4xf32>, tensor<2x2x1x4xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x2x9x4xf32>, tensor<2x2x1x4xf32>, tensor<2x2x1x4xf32>, tensor<2x2x9x4xf32>, tensor<2x2x9xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x2x9x4xf32>, tensor<2x2x1x4xf32>, tensor<2x2x1x4xf32>
}

func.func @doubles(%q: tensor<1x2x19x5xf64>, %k: tensor<1x2x23x5xf64>, %v: tensor<1x2x23x3xf64>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<1x2x19x3xf64>, tensor<1x2x19xf64>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<1x2x19x5xf64>, tensor<1x2x23x5xf64>, tensor<1x2x23x3xf64>, tensor<ui32>, tensor<i32> -> tensor<1x2x19x3xf64>, tensor<1x2x19xf64>
  return %r, %l : tensor<1x2x19x3xf64>, tensor<1x2x19xf64>
}

func.func @doubles_grad(%q: tensor<1x2x19x5xf64>, %k: tensor<1x2x23x5xf64>, %v: tensor<1x2x23x3xf64>, %o: tensor<1x2x19x3xf64>, %l: tensor<1x2x19xf64>, %g: tensor<1x2x19x3xf64>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<1x2x19x5xf64>, tensor<1x2x23x5xf64>, tensor<1x2x23x3xf64>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<1x2x19x5xf64>, tensor<1x2x23x5xf64>, tensor<1x2x23x3xf64>, tensor<1x2x19x3xf64>, tensor<1x2x19xf64>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<1x2x19x5xf64>, tensor<1x2x23x5xf64>, tensor<1x2x23x3xf64>
}

// A query by itself, and few of them.
func.func @one_query(%q: tensor<2x3x1x5xf32>, %k: tensor<2x3x37x5xf32>, %v: tensor<2x3x37x7xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x3x1x7xf32>, tensor<2x3x1xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x1x5xf32>, tensor<2x3x37x5xf32>, tensor<2x3x37x7xf32>, tensor<ui32>, tensor<i32> -> tensor<2x3x1x7xf32>, tensor<2x3x1xf32>
  return %r, %l : tensor<2x3x1x7xf32>, tensor<2x3x1xf32>
}

func.func @one_query_grad(%q: tensor<2x3x1x5xf32>, %k: tensor<2x3x37x5xf32>, %v: tensor<2x3x37x7xf32>, %o: tensor<2x3x1x7xf32>, %l: tensor<2x3x1xf32>, %g: tensor<2x3x1x7xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x3x1x5xf32>, tensor<2x3x37x5xf32>, tensor<2x3x37x7xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x1x5xf32>, tensor<2x3x37x5xf32>, tensor<2x3x37x7xf32>, tensor<2x3x1x7xf32>, tensor<2x3x1xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x3x1x5xf32>, tensor<2x3x37x5xf32>, tensor<2x3x37x7xf32>
}

func.func @few(%q: tensor<2x3x5x8xf32>, %k: tensor<2x3x39x8xf32>, %v: tensor<2x3x39x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x3x5x8xf32>, tensor<2x3x5xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<2x3x5x8xf32>, tensor<2x3x39x8xf32>, tensor<2x3x39x8xf32>, tensor<ui32>, tensor<i32> -> tensor<2x3x5x8xf32>, tensor<2x3x5xf32>
  return %r, %l : tensor<2x3x5x8xf32>, tensor<2x3x5xf32>
}

func.func @few_grad(%q: tensor<2x3x5x8xf32>, %k: tensor<2x3x39x8xf32>, %v: tensor<2x3x39x8xf32>, %o: tensor<2x3x5x8xf32>, %l: tensor<2x3x5xf32>, %g: tensor<2x3x5x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x3x5x8xf32>, tensor<2x3x39x8xf32>, tensor<2x3x39x8xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<2x3x5x8xf32>, tensor<2x3x39x8xf32>, tensor<2x3x39x8xf32>, tensor<2x3x5x8xf32>, tensor<2x3x5xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x3x5x8xf32>, tensor<2x3x39x8xf32>, tensor<2x3x39x8xf32>
}

// Beside what else attention has.
func.func @masked(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %m: tensor<2x1x17x23xi1>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x3x17x8xf32>, tensor<2x3x17xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v mask %m : tensor<2x1x17x23xi1> scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<ui32>, tensor<i32> -> tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
  return %r, %l : tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
}

func.func @masked_grad(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %o: tensor<2x3x17x8xf32>, %l: tensor<2x3x17xf32>, %g: tensor<2x3x17x8xf32>, %m: tensor<2x1x17x23xi1>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g mask %m : tensor<2x1x17x23xi1> scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x17x8xf32>, tensor<2x3x17xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>
}

func.func @biased(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %b: tensor<1x3x17x23xf32>, %m: tensor<2x1x1x23xi1>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x3x17x8xf32>, tensor<2x3x17xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v bias %b : tensor<1x3x17x23xf32> mask %m : tensor<2x1x1x23xi1> scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<ui32>, tensor<i32> -> tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
  return %r, %l : tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
}

func.func @biased_grad(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %o: tensor<2x3x17x8xf32>, %l: tensor<2x3x17xf32>, %g: tensor<2x3x17x8xf32>, %b: tensor<1x3x17x23xf32>, %m: tensor<2x1x1x23xi1>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<1x3x17x23xf32>) {
  %dq, %dk, %dv, %db = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g bias %b : tensor<1x3x17x23xf32> mask %m : tensor<2x1x1x23xi1> scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x17x8xf32>, tensor<2x3x17xf32>, tensor<ui32>, tensor<i32> -> tensor<1x3x17x23xf32>
  return %dq, %dk, %dv, %db : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<1x3x17x23xf32>
}

func.func @window(%q: tensor<1x2x75x8xf32>, %k: tensor<1x2x75x8xf32>, %v: tensor<1x2x75x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<1x2x75x8xf32>, tensor<1x2x75xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true, sliding_window = 11 : i64}
      : tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>, tensor<ui32>, tensor<i32> -> tensor<1x2x75x8xf32>, tensor<1x2x75xf32>
  return %r, %l : tensor<1x2x75x8xf32>, tensor<1x2x75xf32>
}

func.func @window_grad(%q: tensor<1x2x75x8xf32>, %k: tensor<1x2x75x8xf32>, %v: tensor<1x2x75x8xf32>, %o: tensor<1x2x75x8xf32>, %l: tensor<1x2x75xf32>, %g: tensor<1x2x75x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true, sliding_window = 11 : i64}
      : tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>, tensor<1x2x75xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>, tensor<1x2x75x8xf32>
}

func.func @started(%q: tensor<2x2x18x8xf32>, %k: tensor<2x2x45x8xf32>, %v: tensor<2x2x45x8xf32>, %at: tensor<i32> {kiln.test_below = 9 : i64}, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x2x18x8xf32>, tensor<2x2x18xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v start %at : tensor<i32> scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<2x2x18x8xf32>, tensor<2x2x45x8xf32>, tensor<2x2x45x8xf32>, tensor<ui32>, tensor<i32> -> tensor<2x2x18x8xf32>, tensor<2x2x18xf32>
  return %r, %l : tensor<2x2x18x8xf32>, tensor<2x2x18xf32>
}

func.func @started_grad(%q: tensor<2x2x18x8xf32>, %k: tensor<2x2x45x8xf32>, %v: tensor<2x2x45x8xf32>, %o: tensor<2x2x18x8xf32>, %l: tensor<2x2x18xf32>, %g: tensor<2x2x18x8xf32>, %at: tensor<i32> {kiln.test_below = 9 : i64}, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x2x18x8xf32>, tensor<2x2x45x8xf32>, tensor<2x2x45x8xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g start %at : tensor<i32> scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<2x2x18x8xf32>, tensor<2x2x45x8xf32>, tensor<2x2x45x8xf32>, tensor<2x2x18x8xf32>, tensor<2x2x18xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x2x18x8xf32>, tensor<2x2x45x8xf32>, tensor<2x2x45x8xf32>
}

func.func @shared_keys(%q: tensor<2x4x33x8xf32>, %k: tensor<2x2x35x8xf32>, %v: tensor<2x2x35x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<2x4x33x8xf32>, tensor<2x4x33xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true, groups = 2 : i64}
      : tensor<2x4x33x8xf32>, tensor<2x2x35x8xf32>, tensor<2x2x35x8xf32>, tensor<ui32>, tensor<i32> -> tensor<2x4x33x8xf32>, tensor<2x4x33xf32>
  return %r, %l : tensor<2x4x33x8xf32>, tensor<2x4x33xf32>
}

func.func @shared_keys_grad(%q: tensor<2x4x33x8xf32>, %k: tensor<2x2x35x8xf32>, %v: tensor<2x2x35x8xf32>, %o: tensor<2x4x33x8xf32>, %l: tensor<2x4x33xf32>, %g: tensor<2x4x33x8xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<2x4x33x8xf32>, tensor<2x2x35x8xf32>, tensor<2x2x35x8xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true, groups = 2 : i64}
      : tensor<2x4x33x8xf32>, tensor<2x2x35x8xf32>, tensor<2x2x35x8xf32>, tensor<2x4x33x8xf32>, tensor<2x4x33xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<2x4x33x8xf32>, tensor<2x2x35x8xf32>, tensor<2x2x35x8xf32>
}

// Corners of p; no counters.
func.func @none_dropped(%q: tensor<1x2x17x4xf32>, %k: tensor<1x2x19x4xf32>, %v: tensor<1x2x19x4xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<1x2x17x4xf32>, tensor<1x2x17xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.0 stream 1048577
      : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>, tensor<ui32>, tensor<i32> -> tensor<1x2x17x4xf32>, tensor<1x2x17xf32>
  return %r, %l : tensor<1x2x17x4xf32>, tensor<1x2x17xf32>
}

func.func @none_dropped_grad(%q: tensor<1x2x17x4xf32>, %k: tensor<1x2x19x4xf32>, %v: tensor<1x2x19x4xf32>, %o: tensor<1x2x17x4xf32>, %l: tensor<1x2x17xf32>, %g: tensor<1x2x17x4xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.0 stream 1048577
      : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x17x4xf32>, tensor<1x2x17xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>
}

func.func @nearly_all(%q: tensor<1x2x17x4xf32>, %k: tensor<1x2x19x4xf32>, %v: tensor<1x2x19x4xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<1x2x17x4xf32>, tensor<1x2x17xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.999 stream 1048577
      : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>, tensor<ui32>, tensor<i32> -> tensor<1x2x17x4xf32>, tensor<1x2x17xf32>
  return %r, %l : tensor<1x2x17x4xf32>, tensor<1x2x17xf32>
}

func.func @nearly_all_grad(%q: tensor<1x2x17x4xf32>, %k: tensor<1x2x19x4xf32>, %v: tensor<1x2x19x4xf32>, %o: tensor<1x2x17x4xf32>, %l: tensor<1x2x17xf32>, %g: tensor<1x2x17x4xf32>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.999 stream 1048577
      : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x17x4xf32>, tensor<1x2x17xf32>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>
}

func.func @all_dropped(%q: tensor<1x2x17x4xf32>, %k: tensor<1x2x19x4xf32>, %v: tensor<1x2x19x4xf32>, %seed: tensor<ui32> {kiln.seed}) -> (tensor<1x2x17x4xf32>, tensor<1x2x17xf32>) {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed p 1.0 stream 1048577
      : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>, tensor<ui32> -> tensor<1x2x17x4xf32>, tensor<1x2x17xf32>
  return %r, %l : tensor<1x2x17x4xf32>, tensor<1x2x17xf32>
}

func.func @all_dropped_grad(%q: tensor<1x2x17x4xf32>, %k: tensor<1x2x19x4xf32>, %v: tensor<1x2x19x4xf32>, %o: tensor<1x2x17x4xf32>, %l: tensor<1x2x17xf32>, %g: tensor<1x2x17x4xf32>, %seed: tensor<ui32> {kiln.seed})
    -> (tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>) {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed p 1.0 stream 1048577
      : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x17x4xf32>, tensor<1x2x17xf32>, tensor<ui32>
  return %dq, %dk, %dv : tensor<1x2x17x4xf32>, tensor<1x2x19x4xf32>, tensor<1x2x19x4xf32>
}

// Lengths that are known at run time.
func.func @lengths(%q: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %k: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %v: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>) attributes {kiln.bounds = {B = 3 : i64, T = 50 : i64}} {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<ui32>, tensor<i32> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>
  return %r, %l : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>
}

func.func @lengths_grad(%q: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %k: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %v: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %o: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %l: tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>, %g: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>) attributes {kiln.bounds = {B = 3 : i64, T = 50 : i64}} {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577 {causal = true}
      : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
}

func.func @lengths_apart(%q: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %k: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, %v: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step}) -> (tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>) attributes {kiln.bounds = {B = 3 : i64, T = 50 : i64, S = 40 : i64}} {
  %r, %l = kiln.dropout_attention %q, %k, %v scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, tensor<ui32>, tensor<i32> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>
  return %r, %l : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>
}

func.func @lengths_apart_grad(%q: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %k: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, %v: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, %o: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %l: tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>, %g: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %seed: tensor<ui32> {kiln.seed}, %step: tensor<i32> {kiln.step})
    -> (tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>) attributes {kiln.bounds = {B = 3 : i64, T = 50 : i64, S = 40 : i64}} {
  %dq, %dk, %dv = kiln.dropout_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 drops %seed, %step p 0.3 stream 1048577
      : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>, tensor<ui32>, tensor<i32>
  return %dq, %dk, %dv : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "S", "8">>
}
