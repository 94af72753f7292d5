// biased_attention and biased_attention_grad: biases that batches, heads or queries share or not, beside masks, starts,
// windows and heads that share keys.

// All batches share it: its gradient is summed over them.
func.func @shared(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>, %b: tensor<1x3x37x41xf32>) -> (tensor<2x3x37x7xf32>, tensor<2x3x37xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<1x3x37x41xf32> -> tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
  return %r, %l : tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
}

func.func @shared_grad(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>, %o: tensor<2x3x37x7xf32>, %l: tensor<2x3x37xf32>, %g: tensor<2x3x37x7xf32>, %b: tensor<1x3x37x41xf32>)
    -> (tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<1x3x37x41xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<2x3x37x7xf32>, tensor<2x3x37xf32>, tensor<1x3x37x41xf32>
  return %dq, %dk, %dv, %db : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<1x3x37x41xf32>
}

func.func @whole(%q: tensor<2x2x37x5xf32>, %k: tensor<2x2x41x5xf32>, %v: tensor<2x2x41x7xf32>, %b: tensor<2x2x37x41xf32>) -> (tensor<2x2x37x7xf32>, tensor<2x2x37xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35 {causal = true}
      : tensor<2x2x37x5xf32>, tensor<2x2x41x5xf32>, tensor<2x2x41x7xf32>, tensor<2x2x37x41xf32> -> tensor<2x2x37x7xf32>, tensor<2x2x37xf32>
  return %r, %l : tensor<2x2x37x7xf32>, tensor<2x2x37xf32>
}

func.func @whole_grad(%q: tensor<2x2x37x5xf32>, %k: tensor<2x2x41x5xf32>, %v: tensor<2x2x41x7xf32>, %o: tensor<2x2x37x7xf32>, %l: tensor<2x2x37xf32>, %g: tensor<2x2x37x7xf32>, %b: tensor<2x2x37x41xf32>)
    -> (tensor<2x2x37x5xf32>, tensor<2x2x41x5xf32>, tensor<2x2x41x7xf32>, tensor<2x2x37x41xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35 {causal = true}
      : tensor<2x2x37x5xf32>, tensor<2x2x41x5xf32>, tensor<2x2x41x7xf32>, tensor<2x2x37x7xf32>, tensor<2x2x37xf32>, tensor<2x2x37x41xf32>
  return %dq, %dk, %dv, %db : tensor<2x2x37x5xf32>, tensor<2x2x41x5xf32>, tensor<2x2x41x7xf32>, tensor<2x2x37x41xf32>
}

// Heads or queries share it: gradients in products.
func.func @by_heads(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %b: tensor<2x1x17x23xf32>) -> (tensor<2x3x17x8xf32>, tensor<2x3x17xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x1x17x23xf32> -> tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
  return %r, %l : tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
}

func.func @by_heads_grad(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %o: tensor<2x3x17x8xf32>, %l: tensor<2x3x17xf32>, %g: tensor<2x3x17x8xf32>, %b: tensor<2x1x17x23xf32>)
    -> (tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x1x17x23xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x17x8xf32>, tensor<2x3x17xf32>, tensor<2x1x17x23xf32>
  return %dq, %dk, %dv, %db : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x1x17x23xf32>
}

func.func @by_queries(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %b: tensor<2x3x1x23xf32>) -> (tensor<2x3x17x8xf32>, tensor<2x3x17xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x1x23xf32> -> tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
  return %r, %l : tensor<2x3x17x8xf32>, tensor<2x3x17xf32>
}

func.func @by_queries_grad(%q: tensor<2x3x17x8xf32>, %k: tensor<2x3x23x8xf32>, %v: tensor<2x3x23x8xf32>, %o: tensor<2x3x17x8xf32>, %l: tensor<2x3x17xf32>, %g: tensor<2x3x17x8xf32>, %b: tensor<2x3x1x23xf32>)
    -> (tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x1x23xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
      : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x17x8xf32>, tensor<2x3x17xf32>, tensor<2x3x1x23xf32>
  return %dq, %dk, %dv, %db : tensor<2x3x17x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x23x8xf32>, tensor<2x3x1x23xf32>
}

func.func @by_batches(%q: tensor<3x1x17x8xf32>, %k: tensor<3x1x23x8xf32>, %v: tensor<3x1x23x8xf32>, %b: tensor<1x1x17x23xf32>) -> (tensor<3x1x17x8xf32>, tensor<3x1x17xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35
      : tensor<3x1x17x8xf32>, tensor<3x1x23x8xf32>, tensor<3x1x23x8xf32>, tensor<1x1x17x23xf32> -> tensor<3x1x17x8xf32>, tensor<3x1x17xf32>
  return %r, %l : tensor<3x1x17x8xf32>, tensor<3x1x17xf32>
}

func.func @by_batches_grad(%q: tensor<3x1x17x8xf32>, %k: tensor<3x1x23x8xf32>, %v: tensor<3x1x23x8xf32>, %o: tensor<3x1x17x8xf32>, %l: tensor<3x1x17xf32>, %g: tensor<3x1x17x8xf32>, %b: tensor<1x1x17x23xf32>)
    -> (tensor<3x1x17x8xf32>, tensor<3x1x23x8xf32>, tensor<3x1x23x8xf32>, tensor<1x1x17x23xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
      : tensor<3x1x17x8xf32>, tensor<3x1x23x8xf32>, tensor<3x1x23x8xf32>, tensor<3x1x17x8xf32>, tensor<3x1x17xf32>, tensor<1x1x17x23xf32>
  return %dq, %dk, %dv, %db : tensor<3x1x17x8xf32>, tensor<3x1x23x8xf32>, tensor<3x1x23x8xf32>, tensor<1x1x17x23xf32>
}

// Several panels, with all that hides keys.
func.func @everything(%q: tensor<2x4x70x16xf32>, %k: tensor<2x2x90x16xf32>, %v: tensor<2x2x90x8xf32>, %b: tensor<1x4x70x90xf32>, %m: tensor<2x1x1x90xi1>, %s: tensor<i32> {kiln.test_below = 100 : i64}) -> (tensor<2x4x70x8xf32>, tensor<2x4x70xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b mask %m start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 20 : i64}
      : tensor<2x4x70x16xf32>, tensor<2x2x90x16xf32>, tensor<2x2x90x8xf32>, tensor<1x4x70x90xf32>, tensor<2x1x1x90xi1> -> tensor<2x4x70x8xf32>, tensor<2x4x70xf32>
  return %r, %l : tensor<2x4x70x8xf32>, tensor<2x4x70xf32>
}

func.func @everything_grad(%q: tensor<2x4x70x16xf32>, %k: tensor<2x2x90x16xf32>, %v: tensor<2x2x90x8xf32>, %o: tensor<2x4x70x8xf32>, %l: tensor<2x4x70xf32>, %g: tensor<2x4x70x8xf32>, %b: tensor<1x4x70x90xf32>, %m: tensor<2x1x1x90xi1>, %s: tensor<i32> {kiln.test_below = 100 : i64})
    -> (tensor<2x4x70x16xf32>, tensor<2x2x90x16xf32>, tensor<2x2x90x8xf32>, tensor<1x4x70x90xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b mask %m start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 20 : i64}
      : tensor<2x4x70x16xf32>, tensor<2x2x90x16xf32>, tensor<2x2x90x8xf32>, tensor<2x4x70x8xf32>, tensor<2x4x70xf32>, tensor<1x4x70x90xf32>, tensor<2x1x1x90xi1>
  return %dq, %dk, %dv, %db : tensor<2x4x70x16xf32>, tensor<2x2x90x16xf32>, tensor<2x2x90x8xf32>, tensor<1x4x70x90xf32>
}

// The first queries see no key.
func.func @shorter(%q: tensor<1x2x20x8xf32>, %k: tensor<1x2x12x8xf32>, %v: tensor<1x2x12x8xf32>, %b: tensor<1x2x20x12xf32>) -> (tensor<1x2x20x8xf32>, tensor<1x2x20xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35 {causal = true}
      : tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x20x12xf32> -> tensor<1x2x20x8xf32>, tensor<1x2x20xf32>
  return %r, %l : tensor<1x2x20x8xf32>, tensor<1x2x20xf32>
}

func.func @shorter_grad(%q: tensor<1x2x20x8xf32>, %k: tensor<1x2x12x8xf32>, %v: tensor<1x2x12x8xf32>, %o: tensor<1x2x20x8xf32>, %l: tensor<1x2x20xf32>, %g: tensor<1x2x20x8xf32>, %b: tensor<1x2x20x12xf32>)
    -> (tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x20x12xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35 {causal = true}
      : tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x20x8xf32>, tensor<1x2x20xf32>, tensor<1x2x20x12xf32>
  return %dq, %dk, %dv, %db : tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x20x12xf32>
}

func.func @one_query(%q: tensor<2x4x1x16xf32>, %k: tensor<2x2x19x16xf32>, %v: tensor<2x2x19x16xf32>, %b: tensor<1x4x1x19xf32>, %s: tensor<i32> {kiln.test_below = 19 : i64}) -> (tensor<2x4x1x16xf32>, tensor<2x4x1xf32>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64}
      : tensor<2x4x1x16xf32>, tensor<2x2x19x16xf32>, tensor<2x2x19x16xf32>, tensor<1x4x1x19xf32> -> tensor<2x4x1x16xf32>, tensor<2x4x1xf32>
  return %r, %l : tensor<2x4x1x16xf32>, tensor<2x4x1xf32>
}

func.func @one_query_grad(%q: tensor<2x4x1x16xf32>, %k: tensor<2x2x19x16xf32>, %v: tensor<2x2x19x16xf32>, %o: tensor<2x4x1x16xf32>, %l: tensor<2x4x1xf32>, %g: tensor<2x4x1x16xf32>, %b: tensor<1x4x1x19xf32>, %s: tensor<i32> {kiln.test_below = 19 : i64})
    -> (tensor<2x4x1x16xf32>, tensor<2x2x19x16xf32>, tensor<2x2x19x16xf32>, tensor<1x4x1x19xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64}
      : tensor<2x4x1x16xf32>, tensor<2x2x19x16xf32>, tensor<2x2x19x16xf32>, tensor<2x4x1x16xf32>, tensor<2x4x1xf32>, tensor<1x4x1x19xf32>
  return %dq, %dk, %dv, %db : tensor<2x4x1x16xf32>, tensor<2x2x19x16xf32>, tensor<2x2x19x16xf32>, tensor<1x4x1x19xf32>
}

// By themselves or in panels, as T is.
func.func @any_queries(%q: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %k: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %v: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %b: tensor<1x2x?x?xf32, #kiln.dims<"1", "2", "T", "T">>) -> (tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35 {causal = true}
      : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<1x2x?x?xf32, #kiln.dims<"1", "2", "T", "T">> -> tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>
  return %r, %l : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>
}

func.func @any_queries_grad(%q: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %k: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %v: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %o: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %l: tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>, %g: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %b: tensor<1x2x?x?xf32, #kiln.dims<"1", "2", "T", "T">>)
    -> (tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<1x2x?x?xf32, #kiln.dims<"1", "2", "T", "T">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35 {causal = true}
      : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>, tensor<1x2x?x?xf32, #kiln.dims<"1", "2", "T", "T">>
  return %dq, %dk, %dv, %db : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<1x2x?x?xf32, #kiln.dims<"1", "2", "T", "T">>
}

func.func @any_batch(%q: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %b: tensor<?x2x33x30xf32, #kiln.dims<"B", "2", "33", "30">>, %m: tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">>) -> (tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>) attributes {kiln.bounds = {B = 3 : i64}} {
  %r, %l = kiln.biased_attention %q, %k, %v, %b mask %m scale 0.35
      : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x33x30xf32, #kiln.dims<"B", "2", "33", "30">>, tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">> -> tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>
  return %r, %l : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>
}

func.func @any_batch_grad(%q: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %o: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %l: tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>, %g: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %b: tensor<?x2x33x30xf32, #kiln.dims<"B", "2", "33", "30">>, %m: tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">>)
    -> (tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x33x30xf32, #kiln.dims<"B", "2", "33", "30">>) attributes {kiln.bounds = {B = 3 : i64}} {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b mask %m scale 0.35
      : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>, tensor<?x2x33x30xf32, #kiln.dims<"B", "2", "33", "30">>, tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">>
  return %dq, %dk, %dv, %db : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x33x30xf32, #kiln.dims<"B", "2", "33", "30">>
}

func.func @any_batch_shared(%q: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %b: tensor<1x2x33x30xf32>) -> (tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>) attributes {kiln.bounds = {B = 3 : i64}} {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35
      : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<1x2x33x30xf32> -> tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>
  return %r, %l : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>
}

func.func @any_batch_shared_grad(%q: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %o: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %l: tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>, %g: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %b: tensor<1x2x33x30xf32>)
    -> (tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<1x2x33x30xf32>) attributes {kiln.bounds = {B = 3 : i64}} {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
      : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>, tensor<1x2x33x30xf32>
  return %dq, %dk, %dv, %db : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<1x2x33x30xf32>
}

func.func @double(%q: tensor<2x2x19x6xf64>, %k: tensor<2x2x21x6xf64>, %v: tensor<2x2x21x5xf64>, %b: tensor<1x2x19x21xf64>) -> (tensor<2x2x19x5xf64>, tensor<2x2x19xf64>) {
  %r, %l = kiln.biased_attention %q, %k, %v, %b scale 0.35
      : tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64>, tensor<1x2x19x21xf64> -> tensor<2x2x19x5xf64>, tensor<2x2x19xf64>
  return %r, %l : tensor<2x2x19x5xf64>, tensor<2x2x19xf64>
}

func.func @double_grad(%q: tensor<2x2x19x6xf64>, %k: tensor<2x2x21x6xf64>, %v: tensor<2x2x21x5xf64>, %o: tensor<2x2x19x5xf64>, %l: tensor<2x2x19xf64>, %g: tensor<2x2x19x5xf64>, %b: tensor<1x2x19x21xf64>)
    -> (tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64>, tensor<1x2x19x21xf64>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
      : tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64>, tensor<2x2x19x5xf64>, tensor<2x2x19xf64>, tensor<1x2x19x21xf64>
  return %dq, %dk, %dv, %db : tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64>, tensor<1x2x19x21xf64>
}

// Parts of the queries, each with its rows of the bias's gradient, which all batches share.
func.func @parts_grad(%q: tensor<2x1x280x8xf32>, %k: tensor<2x1x130x8xf32>, %v: tensor<2x1x130x8xf32>, %o: tensor<2x1x280x8xf32>, %l: tensor<2x1x280xf32>, %g: tensor<2x1x280x8xf32>, %b: tensor<1x1x280x130xf32>)
    -> (tensor<2x1x280x8xf32>, tensor<2x1x130x8xf32>, tensor<2x1x130x8xf32>, tensor<1x1x280x130xf32>) {
  %dq, %dk, %dv, %db = kiln.biased_attention_grad %q, %k, %v, %o, %l, %g, %b scale 0.35
      : tensor<2x1x280x8xf32>, tensor<2x1x130x8xf32>, tensor<2x1x130x8xf32>, tensor<2x1x280x8xf32>, tensor<2x1x280xf32>, tensor<1x1x280x130xf32>
  return %dq, %dk, %dv, %db : tensor<2x1x280x8xf32>, tensor<2x1x130x8xf32>, tensor<2x1x130x8xf32>, tensor<1x1x280x130xf32>
}
