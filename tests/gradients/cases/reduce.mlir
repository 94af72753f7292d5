// Reductions, running sums, windows.
func.func @reduce_sum(%x: tensor<2x3x4xf32>) -> tensor<3xf32> {
  %0 = kiln.reduce sum %x, [0, 2] : tensor<2x3x4xf32> -> tensor<3xf32>
  return %0 : tensor<3xf32>
}
func.func @reduce_all(%x: tensor<2x3xf32>) -> tensor<f32> {
  %0 = kiln.reduce sum %x, [0, 1] : tensor<2x3xf32> -> tensor<f32>
  return %0 : tensor<f32>
}
func.func @reduce_max(%x: tensor<3x4xf32>) -> tensor<3xf32> {
  %0 = kiln.reduce max %x, [1] : tensor<3x4xf32> -> tensor<3xf32>
  return %0 : tensor<3xf32>
}
func.func @reduce_min(%x: tensor<3x4xf32>) -> tensor<4xf32> {
  %0 = kiln.reduce min %x, [0] : tensor<3x4xf32> -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @reduce_prod(%x: tensor<3x4xf32>) -> tensor<3xf32> {
  %0 = kiln.reduce prod %x, [1] : tensor<3x4xf32> -> tensor<3xf32>
  return %0 : tensor<3xf32>
}
func.func @reduce_prod_zero(%x: tensor<3x4xf32>, %m: tensor<3x4xf32> {test.range = [1, 1]}) -> tensor<3xf32> {
  // A zero in the first column of every row: only its own gradient is not zero.
  %c = kiln.constant dense<[[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]> : tensor<3x4xf32> : tensor<3x4xf32>
  %0 = kiln.mul %x, %c : tensor<3x4xf32>
  %1 = kiln.mul %0, %m : tensor<3x4xf32>
  %2 = kiln.reduce prod %1, [1] : tensor<3x4xf32> -> tensor<3xf32>
  return %2 : tensor<3xf32>
}
func.func @reduce_of_broadcast(%x: tensor<3xf32>) -> tensor<4xf32> {
  %0 = kiln.broadcast %x, [1] : tensor<3xf32> -> tensor<4x3x5xf32>
  %1 = kiln.reduce sum %0, [1, 2] : tensor<4x3x5xf32> -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func @reduce_of_transpose(%x: tensor<2x3x4xf32>) -> tensor<4x2xf32> {
  %0 = kiln.transpose %x, [2, 1, 0] : tensor<2x3x4xf32> -> tensor<4x3x2xf32>
  %1 = kiln.reduce sum %0, [1] : tensor<4x3x2xf32> -> tensor<4x2xf32>
  return %1 : tensor<4x2xf32>
}
func.func @cumsum(%x: tensor<2x5xf32>) -> tensor<2x5xf32> {
  %0 = kiln.cumsum %x, 1 : tensor<2x5xf32>
  return %0 : tensor<2x5xf32>
}
func.func @cumsum_exclusive(%x: tensor<3x2xf32>) -> tensor<3x2xf32> {
  %0 = kiln.cumsum %x, 0 {exclusive = true, reverse = true} : tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}
func.func @window_max(%x: tensor<1x2x7x6xf32>) -> tensor<1x2x4x3xf32> {
  %0 = kiln.reduce_window max %x {window = array<i64: 1, 1, 3, 3>, strides = array<i64: 1, 1, 2, 2>, low = array<i64: 0, 0, 1, 1>, high = array<i64: 0, 0, 1, 1>} : tensor<1x2x7x6xf32> -> tensor<1x2x4x3xf32>
  return %0 : tensor<1x2x4x3xf32>
}
func.func @window_min(%x: tensor<2x7xf32>) -> tensor<2x3xf32> {
  %0 = kiln.reduce_window min %x {window = array<i64: 1, 2>, strides = array<i64: 1, 2>, low = array<i64: 0, 0>, high = array<i64: 0, 0>} : tensor<2x7xf32> -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
func.func @window_sum_tiled(%x: tensor<2x6x4xf32>) -> tensor<2x3x2xf32> {
  %0 = kiln.reduce_window sum %x {window = array<i64: 1, 2, 2>, strides = array<i64: 1, 2, 2>, low = array<i64: 0, 0, 0>, high = array<i64: 0, 0, 0>} : tensor<2x6x4xf32> -> tensor<2x3x2xf32>
  return %0 : tensor<2x3x2xf32>
}
func.func @window_sum(%x: tensor<2x7x6xf32>) -> tensor<2x4x2xf32> {
  %0 = kiln.reduce_window sum %x {window = array<i64: 1, 3, 2>, strides = array<i64: 1, 2, 3>, low = array<i64: 0, 1, 0>, high = array<i64: 0, 1, 1>} : tensor<2x7x6xf32> -> tensor<2x4x2xf32>
  return %0 : tensor<2x4x2xf32>
}
func.func @window_sum_leftover(%x: tensor<9xf32>) -> tensor<2xf32> {
  %0 = kiln.reduce_window sum %x {window = array<i64: 3>, strides = array<i64: 5>, low = array<i64: 0>, high = array<i64: 0>} : tensor<9xf32> -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
