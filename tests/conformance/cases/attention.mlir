// attention and attention_grad: one kernel each where the backend has it, products and softmax elsewhere.

func.func @ragged(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>) -> (tensor<2x3x37x7xf32>, tensor<2x3x37xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32> -> tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
  return %o, %l : tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
}

func.func @ragged_grad(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>, %o: tensor<2x3x37x7xf32>, %g: tensor<2x3x37x7xf32>, %l: tensor<2x3x37xf32>)
    -> (tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
  return %dq, %dk, %dv : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>
}

// Heads beside each other in a row, several panels of queries.
func.func @causal(%q0: tensor<1x75x2x32xf32>, %k0: tensor<1x75x2x32xf32>, %v0: tensor<1x75x2x32xf32>) -> (tensor<1x75x2x32xf32>, tensor<1x2x75xf32>) {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %o, %l = kiln.attention %q, %k, %v scale 0.17677669 {causal = true}
      : tensor<1x2x75x32xf32>, tensor<1x2x75x32xf32>, tensor<1x2x75x32xf32> -> tensor<1x2x75x32xf32>, tensor<1x2x75xf32>
  %r = kiln.transpose %o, [0, 2, 1, 3] : tensor<1x2x75x32xf32> -> tensor<1x75x2x32xf32>
  return %r, %l : tensor<1x75x2x32xf32>, tensor<1x2x75xf32>
}

func.func @causal_grad(%q0: tensor<1x75x2x32xf32>, %k0: tensor<1x75x2x32xf32>, %v0: tensor<1x75x2x32xf32>, %o0: tensor<1x75x2x32xf32>, %g0: tensor<1x75x2x32xf32>, %l: tensor<1x2x75xf32>)
    -> (tensor<1x75x2x32xf32>, tensor<1x75x2x32xf32>, tensor<1x75x2x32xf32>) {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %o = kiln.transpose %o0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %g = kiln.transpose %g0, [0, 2, 1, 3] : tensor<1x75x2x32xf32> -> tensor<1x2x75x32xf32>
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.17677669 {causal = true}
      : tensor<1x2x75x32xf32>, tensor<1x2x75x32xf32>, tensor<1x2x75x32xf32>, tensor<1x2x75x32xf32>, tensor<1x2x75xf32>
  %dq1 = kiln.transpose %dq, [0, 2, 1, 3] : tensor<1x2x75x32xf32> -> tensor<1x75x2x32xf32>
  %dk1 = kiln.transpose %dk, [0, 2, 1, 3] : tensor<1x2x75x32xf32> -> tensor<1x75x2x32xf32>
  %dv1 = kiln.transpose %dv, [0, 2, 1, 3] : tensor<1x2x75x32xf32> -> tensor<1x75x2x32xf32>
  return %dq1, %dk1, %dv1 : tensor<1x75x2x32xf32>, tensor<1x75x2x32xf32>, tensor<1x75x2x32xf32>
}

// More keys than queries: the earlier ones are seen by all.
func.func @causal_longer(%q: tensor<2x1x33x8xf32>, %k: tensor<2x1x70x8xf32>, %v: tensor<2x1x70x16xf32>) -> (tensor<2x1x33x16xf32>, tensor<2x1x33xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true}
      : tensor<2x1x33x8xf32>, tensor<2x1x70x8xf32>, tensor<2x1x70x16xf32> -> tensor<2x1x33x16xf32>, tensor<2x1x33xf32>
  return %o, %l : tensor<2x1x33x16xf32>, tensor<2x1x33xf32>
}

func.func @causal_longer_grad(%q: tensor<2x1x33x8xf32>, %k: tensor<2x1x70x8xf32>, %v: tensor<2x1x70x16xf32>, %o: tensor<2x1x33x16xf32>, %g: tensor<2x1x33x16xf32>, %l: tensor<2x1x33xf32>)
    -> (tensor<2x1x33x8xf32>, tensor<2x1x70x8xf32>, tensor<2x1x70x16xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true}
      : tensor<2x1x33x8xf32>, tensor<2x1x70x8xf32>, tensor<2x1x70x16xf32>, tensor<2x1x33x16xf32>, tensor<2x1x33xf32>
  return %dq, %dk, %dv : tensor<2x1x33x8xf32>, tensor<2x1x70x8xf32>, tensor<2x1x70x16xf32>
}

// The first queries see no key: 0, and inf in the second result.
func.func @causal_shorter(%q: tensor<1x1x20x8xf32>, %k: tensor<1x1x12x8xf32>, %v: tensor<1x1x12x8xf32>) -> (tensor<1x1x20x8xf32>, tensor<1x1x20xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true}
      : tensor<1x1x20x8xf32>, tensor<1x1x12x8xf32>, tensor<1x1x12x8xf32> -> tensor<1x1x20x8xf32>, tensor<1x1x20xf32>
  return %o, %l : tensor<1x1x20x8xf32>, tensor<1x1x20xf32>
}

func.func @causal_shorter_grad(%q: tensor<1x1x20x8xf32>, %k: tensor<1x1x12x8xf32>, %v: tensor<1x1x12x8xf32>, %o: tensor<1x1x20x8xf32>, %g: tensor<1x1x20x8xf32>, %l: tensor<1x1x20xf32>)
    -> (tensor<1x1x20x8xf32>, tensor<1x1x12x8xf32>, tensor<1x1x12x8xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true}
      : tensor<1x1x20x8xf32>, tensor<1x1x12x8xf32>, tensor<1x1x12x8xf32>, tensor<1x1x20x8xf32>, tensor<1x1x20xf32>
  return %dq, %dk, %dv : tensor<1x1x20x8xf32>, tensor<1x1x12x8xf32>, tensor<1x1x12x8xf32>
}

func.func @padding(%q0: tensor<3x19x2x16xf32>, %k0: tensor<3x23x2x16xf32>, %v0: tensor<3x23x2x16xf32>, %m: tensor<3x1x1x23xi1>) -> (tensor<3x19x2x16xf32>, tensor<3x2x19xf32>) {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<3x19x2x16xf32> -> tensor<3x2x19x16xf32>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<3x23x2x16xf32> -> tensor<3x2x23x16xf32>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<3x23x2x16xf32> -> tensor<3x2x23x16xf32>
  %o, %l = kiln.attention %q, %k, %v mask %m scale 0.35
      : tensor<3x2x19x16xf32>, tensor<3x2x23x16xf32>, tensor<3x2x23x16xf32>, tensor<3x1x1x23xi1> -> tensor<3x2x19x16xf32>, tensor<3x2x19xf32>
  %r = kiln.transpose %o, [0, 2, 1, 3] : tensor<3x2x19x16xf32> -> tensor<3x19x2x16xf32>
  return %r, %l : tensor<3x19x2x16xf32>, tensor<3x2x19xf32>
}

func.func @padding_grad(%q0: tensor<3x19x2x16xf32>, %k0: tensor<3x23x2x16xf32>, %v0: tensor<3x23x2x16xf32>, %o0: tensor<3x19x2x16xf32>, %g0: tensor<3x19x2x16xf32>, %l: tensor<3x2x19xf32>, %m: tensor<3x1x1x23xi1>)
    -> (tensor<3x19x2x16xf32>, tensor<3x23x2x16xf32>, tensor<3x23x2x16xf32>) {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<3x19x2x16xf32> -> tensor<3x2x19x16xf32>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<3x23x2x16xf32> -> tensor<3x2x23x16xf32>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<3x23x2x16xf32> -> tensor<3x2x23x16xf32>
  %o = kiln.transpose %o0, [0, 2, 1, 3] : tensor<3x19x2x16xf32> -> tensor<3x2x19x16xf32>
  %g = kiln.transpose %g0, [0, 2, 1, 3] : tensor<3x19x2x16xf32> -> tensor<3x2x19x16xf32>
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g mask %m scale 0.35
      : tensor<3x2x19x16xf32>, tensor<3x2x23x16xf32>, tensor<3x2x23x16xf32>, tensor<3x2x19x16xf32>, tensor<3x2x19xf32>, tensor<3x1x1x23xi1>
  %dq1 = kiln.transpose %dq, [0, 2, 1, 3] : tensor<3x2x19x16xf32> -> tensor<3x19x2x16xf32>
  %dk1 = kiln.transpose %dk, [0, 2, 1, 3] : tensor<3x2x23x16xf32> -> tensor<3x23x2x16xf32>
  %dv1 = kiln.transpose %dv, [0, 2, 1, 3] : tensor<3x2x23x16xf32> -> tensor<3x23x2x16xf32>
  return %dq1, %dk1, %dv1 : tensor<3x19x2x16xf32>, tensor<3x23x2x16xf32>, tensor<3x23x2x16xf32>
}

func.func @full_mask(%q0: tensor<2x21x2x16xf32>, %k0: tensor<2x26x2x16xf32>, %v0: tensor<2x26x2x64xf32>, %m: tensor<2x2x21x26xi1>) -> (tensor<2x21x2x64xf32>, tensor<2x2x21xf32>) {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<2x21x2x16xf32> -> tensor<2x2x21x16xf32>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<2x26x2x16xf32> -> tensor<2x2x26x16xf32>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<2x26x2x64xf32> -> tensor<2x2x26x64xf32>
  %o, %l = kiln.attention %q, %k, %v mask %m scale 0.35 {causal = true}
      : tensor<2x2x21x16xf32>, tensor<2x2x26x16xf32>, tensor<2x2x26x64xf32>, tensor<2x2x21x26xi1> -> tensor<2x2x21x64xf32>, tensor<2x2x21xf32>
  %r = kiln.transpose %o, [0, 2, 1, 3] : tensor<2x2x21x64xf32> -> tensor<2x21x2x64xf32>
  return %r, %l : tensor<2x21x2x64xf32>, tensor<2x2x21xf32>
}

func.func @full_mask_grad(%q0: tensor<2x21x2x16xf32>, %k0: tensor<2x26x2x16xf32>, %v0: tensor<2x26x2x64xf32>, %o0: tensor<2x21x2x64xf32>, %g0: tensor<2x21x2x64xf32>, %l: tensor<2x2x21xf32>, %m: tensor<2x2x21x26xi1>)
    -> (tensor<2x21x2x16xf32>, tensor<2x26x2x16xf32>, tensor<2x26x2x64xf32>) {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<2x21x2x16xf32> -> tensor<2x2x21x16xf32>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<2x26x2x16xf32> -> tensor<2x2x26x16xf32>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<2x26x2x64xf32> -> tensor<2x2x26x64xf32>
  %o = kiln.transpose %o0, [0, 2, 1, 3] : tensor<2x21x2x64xf32> -> tensor<2x2x21x64xf32>
  %g = kiln.transpose %g0, [0, 2, 1, 3] : tensor<2x21x2x64xf32> -> tensor<2x2x21x64xf32>
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g mask %m scale 0.35 {causal = true}
      : tensor<2x2x21x16xf32>, tensor<2x2x26x16xf32>, tensor<2x2x26x64xf32>, tensor<2x2x21x64xf32>, tensor<2x2x21xf32>, tensor<2x2x21x26xi1>
  %dq1 = kiln.transpose %dq, [0, 2, 1, 3] : tensor<2x2x21x16xf32> -> tensor<2x21x2x16xf32>
  %dk1 = kiln.transpose %dk, [0, 2, 1, 3] : tensor<2x2x26x16xf32> -> tensor<2x26x2x16xf32>
  %dv1 = kiln.transpose %dv, [0, 2, 1, 3] : tensor<2x2x26x64xf32> -> tensor<2x26x2x64xf32>
  return %dq1, %dk1, %dv1 : tensor<2x21x2x16xf32>, tensor<2x26x2x16xf32>, tensor<2x26x2x64xf32>
}

func.func @wide(%q: tensor<1x1x64x80xf32>, %k: tensor<1x1x64x80xf32>, %v: tensor<1x1x64x100xf32>) -> (tensor<1x1x64x100xf32>, tensor<1x1x64xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35
      : tensor<1x1x64x80xf32>, tensor<1x1x64x80xf32>, tensor<1x1x64x100xf32> -> tensor<1x1x64x100xf32>, tensor<1x1x64xf32>
  return %o, %l : tensor<1x1x64x100xf32>, tensor<1x1x64xf32>
}

func.func @wide_grad(%q: tensor<1x1x64x80xf32>, %k: tensor<1x1x64x80xf32>, %v: tensor<1x1x64x100xf32>, %o: tensor<1x1x64x100xf32>, %g: tensor<1x1x64x100xf32>, %l: tensor<1x1x64xf32>)
    -> (tensor<1x1x64x80xf32>, tensor<1x1x64x80xf32>, tensor<1x1x64x100xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35
      : tensor<1x1x64x80xf32>, tensor<1x1x64x80xf32>, tensor<1x1x64x100xf32>, tensor<1x1x64x100xf32>, tensor<1x1x64xf32>
  return %dq, %dk, %dv : tensor<1x1x64x80xf32>, tensor<1x1x64x80xf32>, tensor<1x1x64x100xf32>
}

func.func @double(%q: tensor<1x2x34x12xf64>, %k: tensor<1x2x34x12xf64>, %v: tensor<1x2x34x20xf64>) -> (tensor<1x2x34x20xf64>, tensor<1x2x34xf64>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true}
      : tensor<1x2x34x12xf64>, tensor<1x2x34x12xf64>, tensor<1x2x34x20xf64> -> tensor<1x2x34x20xf64>, tensor<1x2x34xf64>
  return %o, %l : tensor<1x2x34x20xf64>, tensor<1x2x34xf64>
}

func.func @double_grad(%q: tensor<1x2x34x12xf64>, %k: tensor<1x2x34x12xf64>, %v: tensor<1x2x34x20xf64>, %o: tensor<1x2x34x20xf64>, %g: tensor<1x2x34x20xf64>, %l: tensor<1x2x34xf64>)
    -> (tensor<1x2x34x12xf64>, tensor<1x2x34x12xf64>, tensor<1x2x34x20xf64>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true}
      : tensor<1x2x34x12xf64>, tensor<1x2x34x12xf64>, tensor<1x2x34x20xf64>, tensor<1x2x34x20xf64>, tensor<1x2x34xf64>
  return %dq, %dk, %dv : tensor<1x2x34x12xf64>, tensor<1x2x34x12xf64>, tensor<1x2x34x20xf64>
}

func.func @dynamic(%q0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, %k0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, %v0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>) -> (tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>) attributes {kiln.bounds = {B = 3 : i64, T = 50 : i64}} {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true}
      : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>
  %r = kiln.transpose %o, [0, 2, 1, 3] : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">> -> tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>
  return %r, %l : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>
}

func.func @dynamic_grad(%q0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, %k0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, %v0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, %o0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, %g0: tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, %l: tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>)
    -> (tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>) attributes {kiln.bounds = {B = 3 : i64, T = 50 : i64}} {
  %q = kiln.transpose %q0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %k = kiln.transpose %k0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %v = kiln.transpose %v0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %o = kiln.transpose %o0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %g = kiln.transpose %g0, [0, 2, 1, 3] : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true}
      : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?xf32, #kiln.dims<"B", "2", "T">>
  %dq1 = kiln.transpose %dq, [0, 2, 1, 3] : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">> -> tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>
  %dk1 = kiln.transpose %dk, [0, 2, 1, 3] : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">> -> tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>
  %dv1 = kiln.transpose %dv, [0, 2, 1, 3] : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">> -> tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>
  return %dq1, %dk1, %dv1 : tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>, tensor<?x?x2x8xf32, #kiln.dims<"B", "T", "2", "8">>
}

func.func @dynamic_batch(%q: tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %m: tensor<?x1x40x1xi1, #kiln.dims<"B", "1", "40", "1">>) -> (tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x40xf32, #kiln.dims<"B", "2", "40">>) attributes {kiln.bounds = {B = 3 : i64}} {
  %o, %l = kiln.attention %q, %k, %v mask %m scale 1.0
      : tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x1x40x1xi1, #kiln.dims<"B", "1", "40", "1">> -> tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x40xf32, #kiln.dims<"B", "2", "40">>
  return %o, %l : tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x40xf32, #kiln.dims<"B", "2", "40">>
}

func.func @dynamic_batch_grad(%q: tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %o: tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, %g: tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, %l: tensor<?x2x40xf32, #kiln.dims<"B", "2", "40">>, %m: tensor<?x1x40x1xi1, #kiln.dims<"B", "1", "40", "1">>)
    -> (tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>) attributes {kiln.bounds = {B = 3 : i64}} {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g mask %m scale 1.0
      : tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x40xf32, #kiln.dims<"B", "2", "40">>, tensor<?x1x40x1xi1, #kiln.dims<"B", "1", "40", "1">>
  return %dq, %dk, %dv : tensor<?x2x40x16xf32, #kiln.dims<"B", "2", "40", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>
}

// By itself: a panel would be empty but for one query.
func.func @one_query(%q: tensor<2x2x1x16xf32>, %k: tensor<2x2x19x16xf32>, %v: tensor<2x2x19x16xf32>) -> (tensor<2x2x1x16xf32>, tensor<2x2x1xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35
      : tensor<2x2x1x16xf32>, tensor<2x2x19x16xf32>, tensor<2x2x19x16xf32> -> tensor<2x2x1x16xf32>, tensor<2x2x1xf32>
  return %o, %l : tensor<2x2x1x16xf32>, tensor<2x2x1xf32>
}

// By themselves or in panels, as T is; gradients in products.
func.func @few_queries(%q: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, %k: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, %v: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>) -> (tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?xf32, #kiln.dims<"1", "2", "T">>) attributes {kiln.bounds = {T = 40 : i64, S = 40 : i64}} {
  %o, %l = kiln.attention %q, %k, %v scale 0.35
      : tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">> -> tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?xf32, #kiln.dims<"1", "2", "T">>
  return %o, %l : tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?xf32, #kiln.dims<"1", "2", "T">>
}

func.func @few_queries_grad(%q: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, %k: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, %v: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, %o: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, %g: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, %l: tensor<1x2x?xf32, #kiln.dims<"1", "2", "T">>)
    -> (tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>) attributes {kiln.bounds = {T = 40 : i64, S = 40 : i64}} {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35
      : tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?xf32, #kiln.dims<"1", "2", "T">>
  return %dq, %dk, %dv : tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "T", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>
}

func.func @half(%q: tensor<1x2x16x8xbf16>, %k: tensor<1x2x16x8xbf16>, %v: tensor<1x2x16x8xbf16>) -> (tensor<1x2x16x8xbf16>, tensor<1x2x16xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true}
      : tensor<1x2x16x8xbf16>, tensor<1x2x16x8xbf16>, tensor<1x2x16x8xbf16> -> tensor<1x2x16x8xbf16>, tensor<1x2x16xf32>
  return %o, %l : tensor<1x2x16x8xbf16>, tensor<1x2x16xf32>
}


// Few batches and heads, and many queries: the gradients of keys and values are sums of several parts.
func.func @parts_grad(%q: tensor<1x3x300x20xf32>, %k: tensor<1x3x290x20xf32>, %v: tensor<1x3x290x9xf32>, %o: tensor<1x3x300x9xf32>, %l: tensor<1x3x300xf32>, %g: tensor<1x3x300x9xf32>)
    -> (tensor<1x3x300x20xf32>, tensor<1x3x290x20xf32>, tensor<1x3x290x9xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true}
      : tensor<1x3x300x20xf32>, tensor<1x3x290x20xf32>, tensor<1x3x290x9xf32>, tensor<1x3x300x9xf32>, tensor<1x3x300xf32>
  return %dq, %dk, %dv : tensor<1x3x300x20xf32>, tensor<1x3x290x20xf32>, tensor<1x3x290x9xf32>
}

func.func @parts_shared_grad(%q: tensor<?x4x?x8xf32, #kiln.dims<"B", "4", "T", "8">>, %k: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %v: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %o: tensor<?x4x?x8xf32, #kiln.dims<"B", "4", "T", "8">>, %l: tensor<?x4x?xf32, #kiln.dims<"B", "4", "T">>, %g: tensor<?x4x?x8xf32, #kiln.dims<"B", "4", "T", "8">>)
    -> (tensor<?x4x?x8xf32, #kiln.dims<"B", "4", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>) attributes {kiln.bounds = {B = 2 : i64, T = 270 : i64}} {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 60 : i64}
      : tensor<?x4x?x8xf32, #kiln.dims<"B", "4", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x4x?x8xf32, #kiln.dims<"B", "4", "T", "8">>, tensor<?x4x?xf32, #kiln.dims<"B", "4", "T">>
  return %dq, %dk, %dv : tensor<?x4x?x8xf32, #kiln.dims<"B", "4", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
}
