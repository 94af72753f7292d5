// attention and attention_grad with a start, a sliding window and heads that share keys: panels of queries, single ones, and both by
// the number of queries. test_below: starts from 0 to beyond the last key.

func.func @step(%q: tensor<2x3x1x16xf32>, %k: tensor<2x3x70x16xf32>, %v: tensor<2x3x70x16xf32>, %s: tensor<i32> {kiln.test_below = 80 : i64}) -> tensor<2x3x1x16xf32> {
  %o = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true}
      : tensor<2x3x1x16xf32>, tensor<2x3x70x16xf32>, tensor<2x3x70x16xf32> -> tensor<2x3x1x16xf32>
  return %o : tensor<2x3x1x16xf32>
}

func.func @step_shared(%q: tensor<1x4x1x20xf32>, %k: tensor<1x1x130x20xf32>, %v: tensor<1x1x130x9xf32>, %s: tensor<i32> {kiln.test_below = 129 : i64}) -> (tensor<1x4x1x9xf32>, tensor<1x4x1xf32>) {
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 4 : i64}
      : tensor<1x4x1x20xf32>, tensor<1x1x130x20xf32>, tensor<1x1x130x9xf32> -> tensor<1x4x1x9xf32>, tensor<1x4x1xf32>
  return %o, %l : tensor<1x4x1x9xf32>, tensor<1x4x1xf32>
}

func.func @step_window(%q: tensor<2x4x1x8xf32>, %k: tensor<2x2x100x8xf32>, %v: tensor<2x2x100x40xf32>, %s: tensor<i32> {kiln.test_below = 140 : i64}) -> (tensor<2x4x1x40xf32>, tensor<2x4x1xf32>) {
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 17 : i64}
      : tensor<2x4x1x8xf32>, tensor<2x2x100x8xf32>, tensor<2x2x100x40xf32> -> tensor<2x4x1x40xf32>, tensor<2x4x1xf32>
  return %o, %l : tensor<2x4x1x40xf32>, tensor<2x4x1xf32>
}

func.func @step_masked(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x50x8xf32>, %v: tensor<2x2x50x8xf32>, %m: tensor<2x1x1x50xi1>, %s: tensor<i32> {kiln.test_below = 50 : i64}) -> (tensor<2x4x3x8xf32>, tensor<2x4x3xf32>) {
  %o, %l = kiln.attention %q, %k, %v mask %m start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 33 : i64}
      : tensor<2x4x3x8xf32>, tensor<2x2x50x8xf32>, tensor<2x2x50x8xf32>, tensor<2x1x1x50xi1> -> tensor<2x4x3x8xf32>, tensor<2x4x3xf32>
  return %o, %l : tensor<2x4x3x8xf32>, tensor<2x4x3xf32>
}

func.func @step_everything(%q: tensor<1x2x5x7xf32>, %k: tensor<1x2x37x7xf32>, %v: tensor<1x2x37x130xf32>, %m: tensor<1x2x5x37xi1>) -> (tensor<1x2x5x130xf32>, tensor<1x2x5xf32>) {
  %o, %l = kiln.attention %q, %k, %v mask %m scale 0.35
      : tensor<1x2x5x7xf32>, tensor<1x2x37x7xf32>, tensor<1x2x37x130xf32>, tensor<1x2x5x37xi1> -> tensor<1x2x5x130xf32>, tensor<1x2x5xf32>
  return %o, %l : tensor<1x2x5x130xf32>, tensor<1x2x5xf32>
}

func.func @step_double(%q: tensor<1x4x2x6xf64>, %k: tensor<1x2x41x6xf64>, %v: tensor<1x2x41x5xf64>, %s: tensor<i32> {kiln.test_below = 45 : i64}) -> (tensor<1x4x2x5xf64>, tensor<1x4x2xf64>) {
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 9 : i64}
      : tensor<1x4x2x6xf64>, tensor<1x2x41x6xf64>, tensor<1x2x41x5xf64> -> tensor<1x4x2x5xf64>, tensor<1x4x2xf64>
  return %o, %l : tensor<1x4x2x5xf64>, tensor<1x4x2xf64>
}

func.func @started(%q: tensor<2x2x33x8xf32>, %k: tensor<2x2x90x8xf32>, %v: tensor<2x2x90x16xf32>, %s: tensor<i32> {kiln.test_below = 100 : i64}) -> (tensor<2x2x33x16xf32>, tensor<2x2x33xf32>) {
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true}
      : tensor<2x2x33x8xf32>, tensor<2x2x90x8xf32>, tensor<2x2x90x16xf32> -> tensor<2x2x33x16xf32>, tensor<2x2x33xf32>
  return %o, %l : tensor<2x2x33x16xf32>, tensor<2x2x33xf32>
}

func.func @started_grad(%q: tensor<2x2x33x8xf32>, %k: tensor<2x2x90x8xf32>, %v: tensor<2x2x90x16xf32>, %o: tensor<2x2x33x16xf32>, %l: tensor<2x2x33xf32>, %g: tensor<2x2x33x16xf32>, %s: tensor<i32> {kiln.test_below = 100 : i64}) -> (tensor<2x2x33x8xf32>, tensor<2x2x90x8xf32>, tensor<2x2x90x16xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g start %s : tensor<i32> scale 0.35 {causal = true}
      : tensor<2x2x33x8xf32>, tensor<2x2x90x8xf32>, tensor<2x2x90x16xf32>, tensor<2x2x33x16xf32>, tensor<2x2x33xf32>
  return %dq, %dk, %dv : tensor<2x2x33x8xf32>, tensor<2x2x90x8xf32>, tensor<2x2x90x16xf32>
}

func.func @started_window(%q: tensor<1x4x70x16xf32>, %k: tensor<1x2x150x16xf32>, %v: tensor<1x2x150x8xf32>, %s: tensor<i32> {kiln.test_below = 170 : i64}) -> (tensor<1x4x70x8xf32>, tensor<1x4x70xf32>) {
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 20 : i64}
      : tensor<1x4x70x16xf32>, tensor<1x2x150x16xf32>, tensor<1x2x150x8xf32> -> tensor<1x4x70x8xf32>, tensor<1x4x70xf32>
  return %o, %l : tensor<1x4x70x8xf32>, tensor<1x4x70xf32>
}

func.func @started_window_grad(%q: tensor<1x4x70x16xf32>, %k: tensor<1x2x150x16xf32>, %v: tensor<1x2x150x8xf32>, %o: tensor<1x4x70x8xf32>, %l: tensor<1x4x70xf32>, %g: tensor<1x4x70x8xf32>, %s: tensor<i32> {kiln.test_below = 170 : i64}) -> (tensor<1x4x70x16xf32>, tensor<1x2x150x16xf32>, tensor<1x2x150x8xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 20 : i64}
      : tensor<1x4x70x16xf32>, tensor<1x2x150x16xf32>, tensor<1x2x150x8xf32>, tensor<1x4x70x8xf32>, tensor<1x4x70xf32>
  return %dq, %dk, %dv : tensor<1x4x70x16xf32>, tensor<1x2x150x16xf32>, tensor<1x2x150x8xf32>
}

func.func @window(%q: tensor<2x2x75x8xf32>, %k: tensor<2x2x75x8xf32>, %v: tensor<2x2x75x8xf32>) -> (tensor<2x2x75x8xf32>, tensor<2x2x75xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true, sliding_window = 5 : i64}
      : tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32> -> tensor<2x2x75x8xf32>, tensor<2x2x75xf32>
  return %o, %l : tensor<2x2x75x8xf32>, tensor<2x2x75xf32>
}

func.func @window_grad(%q: tensor<2x2x75x8xf32>, %k: tensor<2x2x75x8xf32>, %v: tensor<2x2x75x8xf32>, %o: tensor<2x2x75x8xf32>, %l: tensor<2x2x75xf32>, %g: tensor<2x2x75x8xf32>) -> (tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true, sliding_window = 5 : i64}
      : tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>, tensor<2x2x75xf32>
  return %dq, %dk, %dv : tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>, tensor<2x2x75x8xf32>
}

func.func @window_long(%q: tensor<1x4x75x16xf32>, %k: tensor<1x2x90x16xf32>, %v: tensor<1x2x90x16xf32>) -> (tensor<1x4x75x16xf32>, tensor<1x4x75xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 40 : i64}
      : tensor<1x4x75x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x16xf32> -> tensor<1x4x75x16xf32>, tensor<1x4x75xf32>
  return %o, %l : tensor<1x4x75x16xf32>, tensor<1x4x75xf32>
}

func.func @window_long_grad(%q: tensor<1x4x75x16xf32>, %k: tensor<1x2x90x16xf32>, %v: tensor<1x2x90x16xf32>, %o: tensor<1x4x75x16xf32>, %l: tensor<1x4x75xf32>, %g: tensor<1x4x75x16xf32>) -> (tensor<1x4x75x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x16xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 40 : i64}
      : tensor<1x4x75x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x16xf32>, tensor<1x4x75x16xf32>, tensor<1x4x75xf32>
  return %dq, %dk, %dv : tensor<1x4x75x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x16xf32>
}

func.func @window_of_one(%q: tensor<1x2x40x8xf32>, %k: tensor<1x1x40x8xf32>, %v: tensor<1x1x40x8xf32>) -> (tensor<1x2x40x8xf32>, tensor<1x2x40xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 1 : i64}
      : tensor<1x2x40x8xf32>, tensor<1x1x40x8xf32>, tensor<1x1x40x8xf32> -> tensor<1x2x40x8xf32>, tensor<1x2x40xf32>
  return %o, %l : tensor<1x2x40x8xf32>, tensor<1x2x40xf32>
}

func.func @window_of_one_grad(%q: tensor<1x2x40x8xf32>, %k: tensor<1x1x40x8xf32>, %v: tensor<1x1x40x8xf32>, %o: tensor<1x2x40x8xf32>, %l: tensor<1x2x40xf32>, %g: tensor<1x2x40x8xf32>) -> (tensor<1x2x40x8xf32>, tensor<1x1x40x8xf32>, tensor<1x1x40x8xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 1 : i64}
      : tensor<1x2x40x8xf32>, tensor<1x1x40x8xf32>, tensor<1x1x40x8xf32>, tensor<1x2x40x8xf32>, tensor<1x2x40xf32>
  return %dq, %dk, %dv : tensor<1x2x40x8xf32>, tensor<1x1x40x8xf32>, tensor<1x1x40x8xf32>
}

func.func @window_masked(%q: tensor<2x4x37x8xf32>, %k: tensor<2x2x41x8xf32>, %v: tensor<2x2x41x7xf32>, %m: tensor<2x1x37x41xi1>) -> (tensor<2x4x37x7xf32>, tensor<2x4x37xf32>) {
  %o, %l = kiln.attention %q, %k, %v mask %m scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 11 : i64}
      : tensor<2x4x37x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x7xf32>, tensor<2x1x37x41xi1> -> tensor<2x4x37x7xf32>, tensor<2x4x37xf32>
  return %o, %l : tensor<2x4x37x7xf32>, tensor<2x4x37xf32>
}

func.func @window_masked_grad(%q: tensor<2x4x37x8xf32>, %k: tensor<2x2x41x8xf32>, %v: tensor<2x2x41x7xf32>, %o: tensor<2x4x37x7xf32>, %l: tensor<2x4x37xf32>, %g: tensor<2x4x37x7xf32>, %m: tensor<2x1x37x41xi1>) -> (tensor<2x4x37x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x7xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g mask %m scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 11 : i64}
      : tensor<2x4x37x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x7xf32>, tensor<2x4x37x7xf32>, tensor<2x4x37xf32>, tensor<2x1x37x41xi1>
  return %dq, %dk, %dv : tensor<2x4x37x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x7xf32>
}

func.func @shared(%q: tensor<2x6x41x8xf32>, %k: tensor<2x2x41x8xf32>, %v: tensor<2x2x41x16xf32>) -> (tensor<2x6x41x16xf32>, tensor<2x6x41xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true, groups = 3 : i64}
      : tensor<2x6x41x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x16xf32> -> tensor<2x6x41x16xf32>, tensor<2x6x41xf32>
  return %o, %l : tensor<2x6x41x16xf32>, tensor<2x6x41xf32>
}

func.func @shared_grad(%q: tensor<2x6x41x8xf32>, %k: tensor<2x2x41x8xf32>, %v: tensor<2x2x41x16xf32>, %o: tensor<2x6x41x16xf32>, %l: tensor<2x6x41xf32>, %g: tensor<2x6x41x16xf32>) -> (tensor<2x6x41x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x16xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true, groups = 3 : i64}
      : tensor<2x6x41x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x16xf32>, tensor<2x6x41x16xf32>, tensor<2x6x41xf32>
  return %dq, %dk, %dv : tensor<2x6x41x8xf32>, tensor<2x2x41x8xf32>, tensor<2x2x41x16xf32>
}

func.func @shared_everything(%q: tensor<1x4x20x5xf32>, %k: tensor<1x1x33x5xf32>, %v: tensor<1x1x33x7xf32>) -> (tensor<1x4x20x7xf32>, tensor<1x4x20xf32>) {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {groups = 4 : i64}
      : tensor<1x4x20x5xf32>, tensor<1x1x33x5xf32>, tensor<1x1x33x7xf32> -> tensor<1x4x20x7xf32>, tensor<1x4x20xf32>
  return %o, %l : tensor<1x4x20x7xf32>, tensor<1x4x20xf32>
}

func.func @shared_everything_grad(%q: tensor<1x4x20x5xf32>, %k: tensor<1x1x33x5xf32>, %v: tensor<1x1x33x7xf32>, %o: tensor<1x4x20x7xf32>, %l: tensor<1x4x20xf32>, %g: tensor<1x4x20x7xf32>) -> (tensor<1x4x20x5xf32>, tensor<1x1x33x5xf32>, tensor<1x1x33x7xf32>) {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {groups = 4 : i64}
      : tensor<1x4x20x5xf32>, tensor<1x1x33x5xf32>, tensor<1x1x33x7xf32>, tensor<1x4x20x7xf32>, tensor<1x4x20xf32>
  return %dq, %dk, %dv : tensor<1x4x20x5xf32>, tensor<1x1x33x5xf32>, tensor<1x1x33x7xf32>
}

func.func @either(%q: tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>, %k: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, %v: tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, %s: tensor<i32> {kiln.test_below = 60 : i64}) -> tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">> attributes {kiln.bounds = {S = 80 : i64, T = 40 : i64}} {
  %o = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64}
      : tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">>, tensor<1x2x?x16xf32, #kiln.dims<"1", "2", "S", "16">> -> tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>
  return %o : tensor<1x4x?x16xf32, #kiln.dims<"1", "4", "T", "16">>
}

func.func @either_window(%q: tensor<2x2x?x8xf32, #kiln.dims<"2", "2", "T", "8">>, %k: tensor<2x2x96x8xf32>, %v: tensor<2x2x96x8xf32>, %s: tensor<i32> {kiln.test_below = 90 : i64}) -> (tensor<2x2x?x8xf32, #kiln.dims<"2", "2", "T", "8">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, sliding_window = 13 : i64}
      : tensor<2x2x?x8xf32, #kiln.dims<"2", "2", "T", "8">>, tensor<2x2x96x8xf32>, tensor<2x2x96x8xf32> -> tensor<2x2x?x8xf32, #kiln.dims<"2", "2", "T", "8">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>
  return %o, %l : tensor<2x2x?x8xf32, #kiln.dims<"2", "2", "T", "8">>, tensor<2x2x?xf32, #kiln.dims<"2", "2", "T">>
}

func.func @square_window(%q: tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, %k: tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, %v: tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>) -> (tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %o, %l = kiln.attention %q, %k, %v scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 6 : i64}
      : tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">> -> tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>
  return %o, %l : tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>
}

func.func @square_window_grad(%q: tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, %k: tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, %v: tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, %o: tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, %l: tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>, %g: tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>) -> (tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>) attributes {kiln.bounds = {T = 40 : i64}} {
  %dq, %dk, %dv = kiln.attention_grad %q, %k, %v, %o, %l, %g scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 6 : i64}
      : tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x4x?xf32, #kiln.dims<"1", "4", "T">>
  return %dq, %dk, %dv : tensor<1x4x?x8xf32, #kiln.dims<"1", "4", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>, tensor<1x2x?x8xf32, #kiln.dims<"1", "2", "T", "8">>
}

func.func @before_all(%q: tensor<1x4x20x8xf32>, %k: tensor<1x2x30x8xf32>, %v: tensor<1x2x30x8xf32>) -> (tensor<1x4x20x8xf32>, tensor<1x4x20xf32>) {
  %s = kiln.constant dense<-7> : tensor<i32> : tensor<i32>
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 4 : i64}
      : tensor<1x4x20x8xf32>, tensor<1x2x30x8xf32>, tensor<1x2x30x8xf32> -> tensor<1x4x20x8xf32>, tensor<1x4x20xf32>
  return %o, %l : tensor<1x4x20x8xf32>, tensor<1x4x20xf32>
}

func.func @step_before_all(%q: tensor<1x4x1x8xf32>, %k: tensor<1x2x30x8xf32>, %v: tensor<1x2x30x8xf32>) -> (tensor<1x4x1x8xf32>, tensor<1x4x1xf32>) {
  %s = kiln.constant dense<-1> : tensor<i32> : tensor<i32>
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64}
      : tensor<1x4x1x8xf32>, tensor<1x2x30x8xf32>, tensor<1x2x30x8xf32> -> tensor<1x4x1x8xf32>, tensor<1x4x1xf32>
  return %o, %l : tensor<1x4x1x8xf32>, tensor<1x4x1xf32>
}

func.func @far(%q: tensor<1x4x9x8xf32>, %k: tensor<1x2x12x8xf32>, %v: tensor<1x2x12x8xf32>) -> (tensor<1x4x9x8xf32>, tensor<1x4x9xf32>) {
  %s = kiln.constant dense<2000000000> : tensor<i32> : tensor<i32>
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 4 : i64}
      : tensor<1x4x9x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32> -> tensor<1x4x9x8xf32>, tensor<1x4x9xf32>
  return %o, %l : tensor<1x4x9x8xf32>, tensor<1x4x9xf32>
}

func.func @step_far(%q: tensor<1x4x2x8xf32>, %k: tensor<1x2x12x8xf32>, %v: tensor<1x2x12x8xf32>) -> (tensor<1x4x2x8xf32>, tensor<1x4x2xf32>) {
  %s = kiln.constant dense<2000000000> : tensor<i32> : tensor<i32>
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 4 : i64}
      : tensor<1x4x2x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32> -> tensor<1x4x2x8xf32>, tensor<1x4x2xf32>
  return %o, %l : tensor<1x4x2x8xf32>, tensor<1x4x2xf32>
}

func.func @step_end(%q: tensor<1x4x3x8xf32>, %k: tensor<1x2x12x8xf32>, %v: tensor<1x2x12x8xf32>) -> (tensor<1x4x3x8xf32>, tensor<1x4x3xf32>) {
  %s = kiln.constant dense<11> : tensor<i32> : tensor<i32>
  %o, %l = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 4 : i64}
      : tensor<1x4x3x8xf32>, tensor<1x2x12x8xf32>, tensor<1x2x12x8xf32> -> tensor<1x4x3x8xf32>, tensor<1x4x3xf32>
  return %o, %l : tensor<1x4x3x8xf32>, tensor<1x4x3xf32>
}
