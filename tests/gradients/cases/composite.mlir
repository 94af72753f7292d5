// Composites: those with a rule of their own and those that are decomposed first.
func.func @softmax(%x: tensor<2x4x3xf32>) -> tensor<2x4x3xf32> {
  %0 = kiln.softmax %x, 1 : tensor<2x4x3xf32>
  return %0 : tensor<2x4x3xf32>
}
func.func @log_softmax(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.log_softmax %x, 1 : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @layer_norm(%x: tensor<2x3x8xf32>, %s: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<2x3x8xf32> {
  %0 = kiln.layer_norm %x scale %s bias %b epsilon 1.0e-5 : tensor<2x3x8xf32>, tensor<8xf32>, tensor<8xf32>
  return %0 : tensor<2x3x8xf32>
}
func.func @layer_norm_plain(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.layer_norm %x epsilon 1.0e-2 : tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @rms_norm(%x: tensor<3x5xf32>, %s: tensor<5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.rms_norm %x scale %s epsilon 1.0e-6 : tensor<3x5xf32>, tensor<5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @cross_entropy(%x: tensor<4x5xf32>, %t: tensor<4xi32> {test.range = [0, 4]}) -> tensor<4xf32> {
  %0 = kiln.cross_entropy %x, %t : tensor<4x5xf32>, tensor<4xi32> -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @cross_entropy_smoothed(%x: tensor<2x3x7xf64>, %t: tensor<2x3xi64> {test.range = [0, 6]}) -> tensor<2x3xf64> {
  // Class 2 is ignored.
  %0 = kiln.cross_entropy %x, %t {smoothing = 0.1, ignore_index = 2 : i64} : tensor<2x3x7xf64>, tensor<2x3xi64> -> tensor<2x3xf64>
  return %0 : tensor<2x3xf64>
}
func.func @cross_entropy_symbolic(%x: tensor<?x5xf64, #kiln.dims<"B", "5">>, %t: tensor<?xi32, #kiln.dims<"B">>) -> tensor<?xf64, #kiln.dims<"B">> {
  %0 = kiln.cross_entropy %x, %t {smoothing = 0.2} : tensor<?x5xf64, #kiln.dims<"B", "5">>, tensor<?xi32, #kiln.dims<"B">> -> tensor<?xf64, #kiln.dims<"B">>
  return %0 : tensor<?xf64, #kiln.dims<"B">>
}
func.func @attention(%q: tensor<2x2x4x3xf32>, %k: tensor<2x2x5x3xf32>, %v: tensor<2x2x5x2xf32>, %m: tensor<2x1x1x5xi1> {test.range = [1, 1]}) -> tensor<2x2x4x2xf32> {
  %0 = kiln.attention %q, %k, %v mask %m scale 0.35 {causal = true}
      : tensor<2x2x4x3xf32>, tensor<2x2x5x3xf32>, tensor<2x2x5x2xf32>, tensor<2x1x1x5xi1> -> tensor<2x2x4x2xf32>
  return %0 : tensor<2x2x4x2xf32>
}
func.func @attention_dropout(%q: tensor<2x2x4x3xf32>, %k: tensor<2x2x5x3xf32>, %v: tensor<2x2x5x2xf32>, %b: tensor<1x2x4x5xf32>, %m: tensor<2x1x1x5xi1> {test.range = [1, 1]}, %seed: tensor<ui32> {test.range = [1, 9]}, %step: tensor<i32>) -> tensor<2x2x4x2xf32> {
  %0 = kiln.dropout_attention %q, %k, %v bias %b : tensor<1x2x4x5xf32> mask %m : tensor<2x1x1x5xi1> scale 0.35 drops %seed, %step p 0.4 stream 3 {causal = true}
      : tensor<2x2x4x3xf32>, tensor<2x2x5x3xf32>, tensor<2x2x5x2xf32>, tensor<ui32>, tensor<i32> -> tensor<2x2x4x2xf32>
  return %0 : tensor<2x2x4x2xf32>
}
func.func @attention_plain(%q: tensor<1x2x3x4xf32>, %k: tensor<1x2x3x4xf32>, %v: tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> {
  %0 = kiln.attention %q, %k, %v scale 0.5 : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32> -> tensor<1x2x3x4xf32>
  return %0 : tensor<1x2x3x4xf32>
}
func.func @attention_shared_window(%q: tensor<1x4x6x3xf32>, %k: tensor<1x2x6x3xf32>, %v: tensor<1x2x6x2xf32>) -> tensor<1x4x6x2xf32> {
  %0 = kiln.attention %q, %k, %v scale 0.35 {causal = true, groups = 2 : i64, sliding_window = 3 : i64}
      : tensor<1x4x6x3xf32>, tensor<1x2x6x3xf32>, tensor<1x2x6x2xf32> -> tensor<1x4x6x2xf32>
  return %0 : tensor<1x4x6x2xf32>
}
func.func @attention_started(%q: tensor<1x2x3x3xf32>, %k: tensor<1x2x7x3xf32>, %v: tensor<1x2x7x2xf32>, %s: tensor<i32> {test.range = [2, 3]}) -> tensor<1x2x3x2xf32> {
  %0 = kiln.attention %q, %k, %v start %s : tensor<i32> scale 0.35 {causal = true}
      : tensor<1x2x3x3xf32>, tensor<1x2x7x3xf32>, tensor<1x2x7x2xf32> -> tensor<1x2x3x2xf32>
  return %0 : tensor<1x2x3x2xf32>
}
func.func @attention_capped(%q: tensor<1x4x6x3xf32>, %k: tensor<1x2x6x3xf32>, %v: tensor<1x2x6x2xf32>, %m: tensor<1x1x1x6xi1> {test.range = [1, 1]}) -> tensor<1x4x6x2xf32> {
  %0 = kiln.capped_attention %q, %k, %v mask %m scale 0.7 softcap 0.6 {causal = true, groups = 2 : i64, sliding_window = 3 : i64}
      : tensor<1x4x6x3xf32>, tensor<1x2x6x3xf32>, tensor<1x2x6x2xf32>, tensor<1x1x1x6xi1> -> tensor<1x4x6x2xf32>
  return %0 : tensor<1x4x6x2xf32>
}
func.func @attention_capped_double(%q: tensor<1x2x3x4xf64>, %k: tensor<1x2x5x4xf64>, %v: tensor<1x2x5x4xf64>) -> tensor<1x2x3x4xf64> {
  %0 = kiln.capped_attention %q, %k, %v scale 0.5 softcap 50.0 : tensor<1x2x3x4xf64>, tensor<1x2x5x4xf64>, tensor<1x2x5x4xf64> -> tensor<1x2x3x4xf64>
  return %0 : tensor<1x2x3x4xf64>
}
func.func @dropout(%x: tensor<4x8xf32>, %seed: tensor<ui32> {test.range = [1, 9]}, %step: tensor<i32>) -> tensor<4x8xf32> {
  %0 = kiln.dropout %x, %seed, %step p 0.4 stream 3 : tensor<4x8xf32>, tensor<ui32>, tensor<i32>
  return %0 : tensor<4x8xf32>
}
func.func @reparametrised(%mean: tensor<6xf32>, %scale: tensor<6xf32>, %seed: tensor<ui32> {test.range = [1, 9]}) -> tensor<6xf32> {
  %0 = kiln.random_normal 3, %seed : tensor<ui32> -> tensor<6xf32>
  %1 = kiln.mul %scale, %0 : tensor<6xf32>
  %2 = kiln.add %mean, %1 : tensor<6xf32>
  return %2 : tensor<6xf32>
}
