// Symbolic dimensions: each function is compiled once and run at several extents.

func.func @elementwise(%x: tensor<?x?xf32, #kiln.dims<"B", "T">>, %y: tensor<?xf32, #kiln.dims<"T">>) -> tensor<?x?xf32, #kiln.dims<"B", "T">>
    attributes {kiln.bounds = {B = 5 : i64, T = 37 : i64}} {
  %b = kiln.broadcast %y, [1] : tensor<?xf32, #kiln.dims<"T">> -> tensor<?x?xf32, #kiln.dims<"B", "T">>
  %s = kiln.add %x, %b : tensor<?x?xf32, #kiln.dims<"B", "T">>
  %r = kiln.tanh %s : tensor<?x?xf32, #kiln.dims<"B", "T">>
  return %r : tensor<?x?xf32, #kiln.dims<"B", "T">>
}

func.func @row_and_column_sums(%x: tensor<?x?xf32, #kiln.dims<"B", "T">>)
    -> (tensor<?xf32, #kiln.dims<"B">>, tensor<?xf32, #kiln.dims<"T">>, tensor<f32>, tensor<?xf32, #kiln.dims<"B">>)
    attributes {kiln.bounds = {B = 9 : i64, T = 70 : i64}} {
  %r = kiln.reduce sum %x, [1] : tensor<?x?xf32, #kiln.dims<"B", "T">> -> tensor<?xf32, #kiln.dims<"B">>
  %c = kiln.reduce sum %x, [0] : tensor<?x?xf32, #kiln.dims<"B", "T">> -> tensor<?xf32, #kiln.dims<"T">>
  %a = kiln.reduce sum %x, [0, 1] : tensor<?x?xf32, #kiln.dims<"B", "T">> -> tensor<f32>
  %m = kiln.reduce max %x, [1] : tensor<?x?xf32, #kiln.dims<"B", "T">> -> tensor<?xf32, #kiln.dims<"B">>
  return %r, %c, %a, %m : tensor<?xf32, #kiln.dims<"B">>, tensor<?xf32, #kiln.dims<"T">>, tensor<f32>, tensor<?xf32, #kiln.dims<"B">>
}

func.func @softmax_and_norm(%x: tensor<?x?xf32, #kiln.dims<"B", "T">>, %s: tensor<?xf32, #kiln.dims<"T">>)
    -> (tensor<?x?xf32, #kiln.dims<"B", "T">>, tensor<?x?xf32, #kiln.dims<"B", "T">>)
    attributes {kiln.bounds = {B = 4 : i64, T = 33 : i64}} {
  %a = kiln.softmax %x, 1 : tensor<?x?xf32, #kiln.dims<"B", "T">>
  %b = kiln.layer_norm %x scale %s bias %s epsilon 1.0e-2
      : tensor<?x?xf32, #kiln.dims<"B", "T">>, tensor<?xf32, #kiln.dims<"T">>, tensor<?xf32, #kiln.dims<"T">>
  return %a, %b : tensor<?x?xf32, #kiln.dims<"B", "T">>, tensor<?x?xf32, #kiln.dims<"B", "T">>
}

func.func @softmax_outer(%x: tensor<?x?xf32, #kiln.dims<"B", "T">>) -> tensor<?x?xf32, #kiln.dims<"B", "T">>
    attributes {kiln.bounds = {B = 6 : i64, T = 19 : i64}} {
  %a = kiln.log_softmax %x, 0 : tensor<?x?xf32, #kiln.dims<"B", "T">>
  return %a : tensor<?x?xf32, #kiln.dims<"B", "T">>
}

func.func @products(%x: tensor<?x?x24xf32, #kiln.dims<"B", "T", "24">>, %w: tensor<24x40xf32>, %b: tensor<40xf32>)
    -> (tensor<?x?x40xf32, #kiln.dims<"B", "T", "40">>, tensor<?x?x?xf32, #kiln.dims<"B", "T", "T">>, tensor<24x40xf32>)
    attributes {kiln.bounds = {B = 3 : i64, T = 29 : i64}} {
  %p = kiln.dot_general %x, %w batch [] x [] contract [2] x [0]
      : tensor<?x?x24xf32, #kiln.dims<"B", "T", "24">>, tensor<24x40xf32> -> tensor<?x?x40xf32, #kiln.dims<"B", "T", "40">>
  %c = kiln.broadcast %b, [2] : tensor<40xf32> -> tensor<?x?x40xf32, #kiln.dims<"B", "T", "40">>
  %q = kiln.add %p, %c : tensor<?x?x40xf32, #kiln.dims<"B", "T", "40">>
  %r = kiln.relu %q : tensor<?x?x40xf32, #kiln.dims<"B", "T", "40">>
  %s = kiln.dot_general %x, %x batch [0] x [0] contract [2] x [2]
      : tensor<?x?x24xf32, #kiln.dims<"B", "T", "24">>, tensor<?x?x24xf32, #kiln.dims<"B", "T", "24">> -> tensor<?x?x?xf32, #kiln.dims<"B", "T", "T">>
  %g = kiln.dot_general %x, %r batch [] x [] contract [0, 1] x [0, 1]
      : tensor<?x?x24xf32, #kiln.dims<"B", "T", "24">>, tensor<?x?x40xf32, #kiln.dims<"B", "T", "40">> -> tensor<24x40xf32>
  return %r, %s, %g : tensor<?x?x40xf32, #kiln.dims<"B", "T", "40">>, tensor<?x?x?xf32, #kiln.dims<"B", "T", "T">>, tensor<24x40xf32>
}

func.func @layout(%x: tensor<?x?x3xf32, #kiln.dims<"B", "T", "3">>, %y: tensor<?x2x3xf32, #kiln.dims<"B", "2", "3">>)
    -> (tensor<?x?x3xf32, #kiln.dims<"B", "T+2", "3">>, tensor<3x?x?xf32, #kiln.dims<"3", "T", "B">>, tensor<?x1x3xf32, #kiln.dims<"B", "1", "3">>, tensor<?xf32, #kiln.dims<"3*B*T">>)
    attributes {kiln.bounds = {B = 4 : i64, T = 21 : i64}} {
  %c = kiln.concat 1, %x, %y : tensor<?x?x3xf32, #kiln.dims<"B", "T", "3">>, tensor<?x2x3xf32, #kiln.dims<"B", "2", "3">> -> tensor<?x?x3xf32, #kiln.dims<"B", "T+2", "3">>
  %t = kiln.transpose %x, [2, 1, 0] : tensor<?x?x3xf32, #kiln.dims<"B", "T", "3">> -> tensor<3x?x?xf32, #kiln.dims<"3", "T", "B">>
  %s = kiln.slice %x, <"0", "T-1", "0">, [1, 1, 1] : tensor<?x?x3xf32, #kiln.dims<"B", "T", "3">> -> tensor<?x1x3xf32, #kiln.dims<"B", "1", "3">>
  %r = kiln.reshape %x : tensor<?x?x3xf32, #kiln.dims<"B", "T", "3">> -> tensor<?xf32, #kiln.dims<"3*B*T">>
  return %c, %t, %s, %r : tensor<?x?x3xf32, #kiln.dims<"B", "T+2", "3">>, tensor<3x?x?xf32, #kiln.dims<"3", "T", "B">>, tensor<?x1x3xf32, #kiln.dims<"B", "1", "3">>, tensor<?xf32, #kiln.dims<"3*B*T">>
}

func.func @pad_and_reverse(%x: tensor<?x?xf32, #kiln.dims<"B", "T">>, %v: tensor<f32>)
    -> (tensor<?x?xf32, #kiln.dims<"B+1", "T+3">>, tensor<?x?xf32, #kiln.dims<"B", "T">>)
    attributes {kiln.bounds = {B = 4 : i64, T = 21 : i64}} {
  %p = kiln.pad %x, %v, <"1", "0">, <"0", "3">, [0, 0] : tensor<?x?xf32, #kiln.dims<"B", "T">>, tensor<f32> -> tensor<?x?xf32, #kiln.dims<"B+1", "T+3">>
  %r = kiln.reverse %x, [0, 1] : tensor<?x?xf32, #kiln.dims<"B", "T">>
  return %p, %r : tensor<?x?xf32, #kiln.dims<"B+1", "T+3">>, tensor<?x?xf32, #kiln.dims<"B", "T">>
}

func.func @embedding(%table: tensor<11x6xf32>, %ids: tensor<?x?xi32, #kiln.dims<"B", "T">> {kiln.test_below = 11 : i64}) -> (tensor<?x?x6xf32, #kiln.dims<"B", "T", "6">>, tensor<11x6xf32>)
    attributes {kiln.bounds = {B = 3 : i64, T = 13 : i64}} {
  %e = kiln.gather %table, %ids, 0 : tensor<11x6xf32>, tensor<?x?xi32, #kiln.dims<"B", "T">> -> tensor<?x?x6xf32, #kiln.dims<"B", "T", "6">>
  %s = kiln.scatter add %table, %ids, %e, 0 : tensor<11x6xf32>, tensor<?x?xi32, #kiln.dims<"B", "T">>, tensor<?x?x6xf32, #kiln.dims<"B", "T", "6">>
  return %e, %s : tensor<?x?x6xf32, #kiln.dims<"B", "T", "6">>, tensor<11x6xf32>
}

func.func @loss(%x: tensor<?x10xf32, #kiln.dims<"B", "10">>, %t: tensor<?xi32, #kiln.dims<"B">> {kiln.test_below = 10 : i64}) -> (tensor<?xf32, #kiln.dims<"B">>, tensor<f32>)
    attributes {kiln.bounds = {B = 17 : i64}} {
  %l = kiln.cross_entropy %x, %t {smoothing = 0.1, ignore_index = 3 : i64} : tensor<?x10xf32, #kiln.dims<"B", "10">>, tensor<?xi32, #kiln.dims<"B">> -> tensor<?xf32, #kiln.dims<"B">>
  %n = kiln.extent <"B"> : tensor<f32>
  %s = kiln.reduce sum %l, [0] : tensor<?xf32, #kiln.dims<"B">> -> tensor<f32>
  %m = kiln.div %s, %n : tensor<f32>
  return %l, %m : tensor<?xf32, #kiln.dims<"B">>, tensor<f32>
}

func.func @attention(%q: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, %k: tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>) -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
    attributes {kiln.bounds = {B = 3 : i64, T = 18 : i64}} {
  %r = kiln.attention %q, %k, %k scale 0.35 {causal = true}
      : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>, tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">> -> tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
  return %r : tensor<?x2x?x8xf32, #kiln.dims<"B", "2", "T", "8">>
}

func.func @iota_and_extent() -> (tensor<3x4xi32>, tensor<5xf32>) {
  %i = kiln.iota 1 : tensor<3x4xi32>
  %f = kiln.iota 0 : tensor<5xf32>
  return %i, %f : tensor<3x4xi32>, tensor<5xf32>
}

func.func @positions(%x: tensor<?x?xf32, #kiln.dims<"B", "T">>) -> tensor<?x?xf32, #kiln.dims<"B", "T">>
    attributes {kiln.bounds = {B = 3 : i64, T = 18 : i64}} {
  %i = kiln.iota 1 : tensor<?x?xi32, #kiln.dims<"B", "T">>
  %f = kiln.convert %i : tensor<?x?xi32, #kiln.dims<"B", "T">> -> tensor<?x?xf32, #kiln.dims<"B", "T">>
  %n = kiln.extent <"2*T+1"> : tensor<f32>
  %m = kiln.broadcast %n, [] : tensor<f32> -> tensor<?x?xf32, #kiln.dims<"B", "T">>
  %d = kiln.div %f, %m : tensor<?x?xf32, #kiln.dims<"B", "T">>
  %r = kiln.add %d, %x : tensor<?x?xf32, #kiln.dims<"B", "T">>
  return %r : tensor<?x?xf32, #kiln.dims<"B", "T">>
}

func.func @convolution(%x: tensor<?x3x?x9xf32, #kiln.dims<"B", "3", "H", "9">>, %f: tensor<6x3x3x3xf32>) -> tensor<?x6x?x5xf32, #kiln.dims<"B", "6", "floordiv(H+1, 2)", "5">>
    attributes {kiln.bounds = {B = 3 : i64, H = 14 : i64}} {
  %r = kiln.convolution %x, %f {strides = array<i64: 2, 2>, low = array<i64: 1, 1>, high = array<i64: 1, 1>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64}
      : tensor<?x3x?x9xf32, #kiln.dims<"B", "3", "H", "9">>, tensor<6x3x3x3xf32> -> tensor<?x6x?x5xf32, #kiln.dims<"B", "6", "floordiv(H+1, 2)", "5">>
  return %r : tensor<?x6x?x5xf32, #kiln.dims<"B", "6", "floordiv(H+1, 2)", "5">>
}

func.func @pooling(%x: tensor<?x3x8x8xf32, #kiln.dims<"B", "3", "8", "8">>) -> tensor<?x3x4x4xf32, #kiln.dims<"B", "3", "4", "4">>
    attributes {kiln.bounds = {B = 5 : i64}} {
  %r = kiln.reduce_window max %x {window = array<i64: 1, 1, 2, 2>, strides = array<i64: 1, 1, 2, 2>, low = array<i64: 0, 0, 0, 0>, high = array<i64: 0, 0, 0, 0>}
      : tensor<?x3x8x8xf32, #kiln.dims<"B", "3", "8", "8">> -> tensor<?x3x4x4xf32, #kiln.dims<"B", "3", "4", "4">>
  return %r : tensor<?x3x4x4xf32, #kiln.dims<"B", "3", "4", "4">>
}

func.func @argmax_accuracy(%x: tensor<?x10xf32, #kiln.dims<"B", "10">>, %t: tensor<?xi32, #kiln.dims<"B">> {kiln.test_below = 10 : i64}) -> tensor<f32>
    attributes {kiln.bounds = {B = 40 : i64}} {
  %a = kiln.arg_reduce max %x, 1 : tensor<?x10xf32, #kiln.dims<"B", "10">> -> tensor<?xi32, #kiln.dims<"B">>
  %e = kiln.compare eq %a, %t : tensor<?xi32, #kiln.dims<"B">> -> tensor<?xi1, #kiln.dims<"B">>
  %f = kiln.convert %e : tensor<?xi1, #kiln.dims<"B">> -> tensor<?xf32, #kiln.dims<"B">>
  %s = kiln.reduce sum %f, [0] : tensor<?xf32, #kiln.dims<"B">> -> tensor<f32>
  return %s : tensor<f32>
}
