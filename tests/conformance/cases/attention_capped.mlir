// capped_attention and capped_attention_grad: panels of queries, single ones, and both by the number of queries; beside masks,
// starts, windows and heads that share keys. Caps that bend much and little.

func.func @plain(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>) -> (tensor<2x3x37x7xf32>, tensor<2x3x37xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v scale 0.35 softcap 0.5
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32> -> tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
  return %o, %l : tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
}

func.func @plain_grad(%q: tensor<2x3x37x5xf32>, %k: tensor<2x3x41x5xf32>, %v: tensor<2x3x41x7xf32>, %o: tensor<2x3x37x7xf32>, %l: tensor<2x3x37xf32>, %g: tensor<2x3x37x7xf32>)
    -> (tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 0.5
      : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>, tensor<2x3x37x7xf32>, tensor<2x3x37xf32>
  return %dq, %dk, %dv : tensor<2x3x37x5xf32>, tensor<2x3x41x5xf32>, tensor<2x3x41x7xf32>
}

func.func @causal(%q: tensor<2x2x70x16xf32>, %k: tensor<2x2x70x16xf32>, %v: tensor<2x2x70x16xf32>) -> (tensor<2x2x70x16xf32>, tensor<2x2x70xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v scale 0.35 softcap 50.0 {causal = true}
      : tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32> -> tensor<2x2x70x16xf32>, tensor<2x2x70xf32>
  return %o, %l : tensor<2x2x70x16xf32>, tensor<2x2x70xf32>
}

func.func @causal_grad(%q: tensor<2x2x70x16xf32>, %k: tensor<2x2x70x16xf32>, %v: tensor<2x2x70x16xf32>, %o: tensor<2x2x70x16xf32>, %l: tensor<2x2x70xf32>, %g: tensor<2x2x70x16xf32>)
    -> (tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 50.0 {causal = true}
      : tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70xf32>
  return %dq, %dk, %dv : tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>
}

func.func @window(%q: tensor<1x4x70x16xf32>, %k: tensor<1x2x90x16xf32>, %v: tensor<1x2x90x8xf32>, %m: tensor<1x1x1x90xi1>, %s: tensor<i32> {kiln.test_below = 100 : i64}) -> (tensor<1x4x70x8xf32>, tensor<1x4x70xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v mask %m start %s : tensor<i32> scale 0.35 softcap 1.5 {causal = true, groups = 2 : i64, sliding_window = 20 : i64}
      : tensor<1x4x70x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x8xf32>, tensor<1x1x1x90xi1> -> tensor<1x4x70x8xf32>, tensor<1x4x70xf32>
  return %o, %l : tensor<1x4x70x8xf32>, tensor<1x4x70xf32>
}

func.func @window_grad(%q: tensor<1x4x70x16xf32>, %k: tensor<1x2x90x16xf32>, %v: tensor<1x2x90x8xf32>, %o: tensor<1x4x70x8xf32>, %l: tensor<1x4x70xf32>, %g: tensor<1x4x70x8xf32>, %m: tensor<1x1x1x90xi1>, %s: tensor<i32> {kiln.test_below = 100 : i64})
    -> (tensor<1x4x70x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x8xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g mask %m start %s : tensor<i32> scale 0.35 softcap 1.5 {causal = true, groups = 2 : i64, sliding_window = 20 : i64}
      : tensor<1x4x70x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x8xf32>, tensor<1x4x70x8xf32>, tensor<1x4x70xf32>, tensor<1x1x1x90xi1>
  return %dq, %dk, %dv : tensor<1x4x70x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x8xf32>
}

// The first queries see no key.

func.func @shorter(%q: tensor<1x2x20x8xf32>, %k: tensor<1x2x12x8xf32>, %v: tensor<1x2x12x8xf32>) -> (tensor<1x2x20x8xf32>, tensor<1x2x20xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v scale 0.35 softcap 2.0 {causal = true}
      : tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32> -> tensor<1x2x20x8xf32>, tensor<1x2x20xf32>
  return %o, %l : tensor<1x2x20x8xf32>, tensor<1x2x20xf32>
}

func.func @shorter_grad(%q: tensor<1x2x20x8xf32>, %k: tensor<1x2x12x8xf32>, %v: tensor<1x2x12x8xf32>, %o: tensor<1x2x20x8xf32>, %l: tensor<1x2x20xf32>, %g: tensor<1x2x20x8xf32>)
    -> (tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 2.0 {causal = true}
      : tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x20x8xf32>, tensor<1x2x20xf32>
  return %dq, %dk, %dv : tensor<1x2x20x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32>
}

// A key for some queries alone.

func.func @masked(%q: tensor<2x1x33x16xf32>, %k: tensor<2x1x30x16xf32>, %v: tensor<2x1x30x16xf32>, %m: tensor<2x1x33x30xi1>) -> (tensor<2x1x33x16xf32>, tensor<2x1x33xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v mask %m scale 0.35 softcap 3.0
      : tensor<2x1x33x16xf32>, tensor<2x1x30x16xf32>, tensor<2x1x30x16xf32>, tensor<2x1x33x30xi1> -> tensor<2x1x33x16xf32>, tensor<2x1x33xf32>
  return %o, %l : tensor<2x1x33x16xf32>, tensor<2x1x33xf32>
}

func.func @masked_grad(%q: tensor<2x1x33x16xf32>, %k: tensor<2x1x30x16xf32>, %v: tensor<2x1x30x16xf32>, %o: tensor<2x1x33x16xf32>, %l: tensor<2x1x33xf32>, %g: tensor<2x1x33x16xf32>, %m: tensor<2x1x33x30xi1>)
    -> (tensor<2x1x33x16xf32>, tensor<2x1x30x16xf32>, tensor<2x1x30x16xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g mask %m scale 0.35 softcap 3.0
      : tensor<2x1x33x16xf32>, tensor<2x1x30x16xf32>, tensor<2x1x30x16xf32>, tensor<2x1x33x16xf32>, tensor<2x1x33xf32>, tensor<2x1x33x30xi1>
  return %dq, %dk, %dv : tensor<2x1x33x16xf32>, tensor<2x1x30x16xf32>, tensor<2x1x30x16xf32>
}

// Few queries.

func.func @step(%q: tensor<2x4x1x16xf32>, %k: tensor<2x2x70x16xf32>, %v: tensor<2x2x70x16xf32>, %s: tensor<i32> {kiln.test_below = 80 : i64}) -> (tensor<2x4x1x16xf32>, tensor<2x4x1xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v start %s : tensor<i32> scale 0.35 softcap 2.0 {causal = true, groups = 2 : i64}
      : tensor<2x4x1x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32> -> tensor<2x4x1x16xf32>, tensor<2x4x1xf32>
  return %o, %l : tensor<2x4x1x16xf32>, tensor<2x4x1xf32>
}

func.func @step_grad(%q: tensor<2x4x1x16xf32>, %k: tensor<2x2x70x16xf32>, %v: tensor<2x2x70x16xf32>, %o: tensor<2x4x1x16xf32>, %l: tensor<2x4x1xf32>, %g: tensor<2x4x1x16xf32>, %s: tensor<i32> {kiln.test_below = 80 : i64})
    -> (tensor<2x4x1x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g start %s : tensor<i32> scale 0.35 softcap 2.0 {causal = true, groups = 2 : i64}
      : tensor<2x4x1x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>, tensor<2x4x1x16xf32>, tensor<2x4x1xf32>
  return %dq, %dk, %dv : tensor<2x4x1x16xf32>, tensor<2x2x70x16xf32>, tensor<2x2x70x16xf32>
}

func.func @step_window(%q: tensor<2x4x1x8xf32>, %k: tensor<2x2x100x8xf32>, %v: tensor<2x2x100x40xf32>, %s: tensor<i32> {kiln.test_below = 140 : i64}) -> (tensor<2x4x1x40xf32>, tensor<2x4x1xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v start %s : tensor<i32> scale 0.35 softcap 0.7 {causal = true, groups = 2 : i64, sliding_window = 17 : i64}
      : tensor<2x4x1x8xf32>, tensor<2x2x100x8xf32>, tensor<2x2x100x40xf32> -> tensor<2x4x1x40xf32>, tensor<2x4x1xf32>
  return %o, %l : tensor<2x4x1x40xf32>, tensor<2x4x1xf32>
}

func.func @step_window_grad(%q: tensor<2x4x1x8xf32>, %k: tensor<2x2x100x8xf32>, %v: tensor<2x2x100x40xf32>, %o: tensor<2x4x1x40xf32>, %l: tensor<2x4x1xf32>, %g: tensor<2x4x1x40xf32>, %s: tensor<i32> {kiln.test_below = 140 : i64})
    -> (tensor<2x4x1x8xf32>, tensor<2x2x100x8xf32>, tensor<2x2x100x40xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g start %s : tensor<i32> scale 0.35 softcap 0.7 {causal = true, groups = 2 : i64, sliding_window = 17 : i64}
      : tensor<2x4x1x8xf32>, tensor<2x2x100x8xf32>, tensor<2x2x100x40xf32>, tensor<2x4x1x40xf32>, tensor<2x4x1xf32>
  return %dq, %dk, %dv : tensor<2x4x1x8xf32>, tensor<2x2x100x8xf32>, tensor<2x2x100x40xf32>
}

func.func @step_masked(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x50x8xf32>, %v: tensor<2x2x50x8xf32>, %m: tensor<2x1x1x50xi1>, %s: tensor<i32> {kiln.test_below = 50 : i64}) -> (tensor<2x4x3x8xf32>, tensor<2x4x3xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v mask %m start %s : tensor<i32> scale 0.35 softcap 30.0 {causal = true, groups = 2 : i64, sliding_window = 33 : i64}
      : tensor<2x4x3x8xf32>, tensor<2x2x50x8xf32>, tensor<2x2x50x8xf32>, tensor<2x1x1x50xi1> -> tensor<2x4x3x8xf32>, tensor<2x4x3xf32>
  return %o, %l : tensor<2x4x3x8xf32>, tensor<2x4x3xf32>
}

func.func @step_masked_grad(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x50x8xf32>, %v: tensor<2x2x50x8xf32>, %o: tensor<2x4x3x8xf32>, %l: tensor<2x4x3xf32>, %g: tensor<2x4x3x8xf32>, %m: tensor<2x1x1x50xi1>, %s: tensor<i32> {kiln.test_below = 50 : i64})
    -> (tensor<2x4x3x8xf32>, tensor<2x2x50x8xf32>, tensor<2x2x50x8xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g mask %m start %s : tensor<i32> scale 0.35 softcap 30.0 {causal = true, groups = 2 : i64, sliding_window = 33 : i64}
      : tensor<2x4x3x8xf32>, tensor<2x2x50x8xf32>, tensor<2x2x50x8xf32>, tensor<2x4x3x8xf32>, tensor<2x4x3xf32>, tensor<2x1x1x50xi1>
  return %dq, %dk, %dv : tensor<2x4x3x8xf32>, tensor<2x2x50x8xf32>, tensor<2x2x50x8xf32>
}

func.func @step_double(%q: tensor<1x4x2x6xf64>, %k: tensor<1x2x41x6xf64>, %v: tensor<1x2x41x5xf64>, %s: tensor<i32> {kiln.test_below = 45 : i64}) -> (tensor<1x4x2x5xf64>, tensor<1x4x2xf64>) {
  %o, %l = kiln.capped_attention %q, %k, %v start %s : tensor<i32> scale 0.35 softcap 1.0 {causal = true, groups = 2 : i64, sliding_window = 9 : i64}
      : tensor<1x4x2x6xf64>, tensor<1x2x41x6xf64>, tensor<1x2x41x5xf64> -> tensor<1x4x2x5xf64>, tensor<1x4x2xf64>
  return %o, %l : tensor<1x4x2x5xf64>, tensor<1x4x2xf64>
}

// By themselves or in panels, as T is.

func.func @any_queries(%q: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %k: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %v: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>) -> (tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %o, %l = kiln.capped_attention %q, %k, %v scale 0.35 softcap 1.0 {causal = true}
      : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">> -> tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>
  return %o, %l : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>
}

func.func @any_queries_grad(%q: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %k: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %v: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %o: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, %l: tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>, %g: tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>)
    -> (tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 1.0 {causal = true}
      : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>
  return %dq, %dk, %dv : tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>, tensor<2x2x?x16xf32, #kiln.dims<"2", "2", "T", "16">>
}

func.func @any_cache(%q: tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>, %k: tensor<1x2x60x16xf32>, %v: tensor<1x2x60x16xf32>, %s: tensor<i32> {kiln.test_below = 70 : i64}) -> (tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>, tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %o, %l = kiln.capped_attention %q, %k, %v start %s : tensor<i32> scale 0.35 softcap 1.0 {causal = true, groups = 2 : i64}
      : tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>, tensor<1x2x60x16xf32>, tensor<1x2x60x16xf32> -> tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>, tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>
  return %o, %l : tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>, tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>
}

func.func @any_batch(%q: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %m: tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">>) -> (tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>) attributes {kiln.bounds = {B = 3 : i64}} {
  %o, %l = kiln.capped_attention %q, %k, %v mask %m scale 0.35 softcap 2.0
      : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">> -> tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>
  return %o, %l : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>
}

func.func @any_batch_grad(%q: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %k: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %v: tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, %o: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %l: tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>, %g: tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, %m: tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">>)
    -> (tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>) attributes {kiln.bounds = {B = 3 : i64}} {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g mask %m scale 0.35 softcap 2.0
      : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x33xf32, #kiln.dims<"B", "2", "33">>, tensor<?x1x33x1xi1, #kiln.dims<"B", "1", "33", "1">>
  return %dq, %dk, %dv : tensor<?x2x33x16xf32, #kiln.dims<"B", "2", "33", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>, tensor<?x2x30x16xf32, #kiln.dims<"B", "2", "30", "16">>
}

func.func @double(%q: tensor<2x2x19x6xf64>, %k: tensor<2x2x21x6xf64>, %v: tensor<2x2x21x5xf64>) -> (tensor<2x2x19x5xf64>, tensor<2x2x19xf64>) {
  %o, %l = kiln.capped_attention %q, %k, %v scale 0.35 softcap 0.4
      : tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64> -> tensor<2x2x19x5xf64>, tensor<2x2x19xf64>
  return %o, %l : tensor<2x2x19x5xf64>, tensor<2x2x19xf64>
}

func.func @double_grad(%q: tensor<2x2x19x6xf64>, %k: tensor<2x2x21x6xf64>, %v: tensor<2x2x21x5xf64>, %o: tensor<2x2x19x5xf64>, %l: tensor<2x2x19xf64>, %g: tensor<2x2x19x5xf64>)
    -> (tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 0.4
      : tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64>, tensor<2x2x19x5xf64>, tensor<2x2x19xf64>
  return %dq, %dk, %dv : tensor<2x2x19x6xf64>, tensor<2x2x21x6xf64>, tensor<2x2x21x5xf64>
}

// Parts of the queries.

func.func @parts(%q: tensor<1x2x280x8xf32>, %k: tensor<1x1x130x8xf32>, %v: tensor<1x1x130x8xf32>) -> (tensor<1x2x280x8xf32>, tensor<1x2x280xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v scale 0.35 softcap 2.0 {causal = true, groups = 2 : i64}
      : tensor<1x2x280x8xf32>, tensor<1x1x130x8xf32>, tensor<1x1x130x8xf32> -> tensor<1x2x280x8xf32>, tensor<1x2x280xf32>
  return %o, %l : tensor<1x2x280x8xf32>, tensor<1x2x280xf32>
}

func.func @parts_grad(%q: tensor<1x2x280x8xf32>, %k: tensor<1x1x130x8xf32>, %v: tensor<1x1x130x8xf32>, %o: tensor<1x2x280x8xf32>, %l: tensor<1x2x280xf32>, %g: tensor<1x2x280x8xf32>)
    -> (tensor<1x2x280x8xf32>, tensor<1x1x130x8xf32>, tensor<1x1x130x8xf32>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 2.0 {causal = true, groups = 2 : i64}
      : tensor<1x2x280x8xf32>, tensor<1x1x130x8xf32>, tensor<1x1x130x8xf32>, tensor<1x2x280x8xf32>, tensor<1x2x280xf32>
  return %dq, %dk, %dv : tensor<1x2x280x8xf32>, tensor<1x1x130x8xf32>, tensor<1x1x130x8xf32>
}

func.func @halves(%q: tensor<1x2x9x8xbf16>, %k: tensor<1x2x11x8xbf16>, %v: tensor<1x2x11x8xbf16>) -> (tensor<1x2x9x8xbf16>, tensor<1x2x9xf32>) {
  %o, %l = kiln.capped_attention %q, %k, %v scale 0.35 softcap 2.0 {causal = true}
      : tensor<1x2x9x8xbf16>, tensor<1x2x11x8xbf16>, tensor<1x2x11x8xbf16> -> tensor<1x2x9x8xbf16>, tensor<1x2x9xf32>
  return %o, %l : tensor<1x2x9x8xbf16>, tensor<1x2x9xf32>
}

func.func @halves_grad(%q: tensor<1x2x9x8xbf16>, %k: tensor<1x2x11x8xbf16>, %v: tensor<1x2x11x8xbf16>, %o: tensor<1x2x9x8xbf16>, %l: tensor<1x2x9xf32>, %g: tensor<1x2x9x8xbf16>)
    -> (tensor<1x2x9x8xbf16>, tensor<1x2x11x8xbf16>, tensor<1x2x11x8xbf16>) {
  %dq, %dk, %dv = kiln.capped_attention_grad %q, %k, %v, %o, %l, %g scale 0.35 softcap 2.0 {causal = true}
      : tensor<1x2x9x8xbf16>, tensor<1x2x11x8xbf16>, tensor<1x2x11x8xbf16>, tensor<1x2x9x8xbf16>, tensor<1x2x9xf32>
  return %dq, %dk, %dv : tensor<1x2x9x8xbf16>, tensor<1x2x11x8xbf16>, tensor<1x2x11x8xbf16>
}
