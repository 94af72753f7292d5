// Ops that move elements.
func.func @reshape(%x: tensor<3x4xf32>) -> tensor<2x6xf32> {
  %0 = kiln.reshape %x : tensor<3x4xf32> -> tensor<2x6xf32>
  return %0 : tensor<2x6xf32>
}
func.func @transpose(%x: tensor<2x3x5xf32>) -> tensor<5x2x3xf32> {
  %0 = kiln.transpose %x, [2, 0, 1] : tensor<2x3x5xf32> -> tensor<5x2x3xf32>
  return %0 : tensor<5x2x3xf32>
}
func.func @broadcast(%x: tensor<3x1xf32>) -> tensor<2x3x5xf32> {
  %0 = kiln.broadcast %x, [1, 2] : tensor<3x1xf32> -> tensor<2x3x5xf32>
  return %0 : tensor<2x3x5xf32>
}
func.func @broadcast_scalar(%x: tensor<f32>) -> tensor<2x3xf32> {
  %0 = kiln.broadcast %x, [] : tensor<f32> -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
func.func @slice(%x: tensor<7x9xf32>) -> tensor<3x4xf32> {
  %0 = kiln.slice %x, <"1", "0">, [2, 2] : tensor<7x9xf32> -> tensor<3x4xf32>
  return %0 : tensor<3x4xf32>
}
func.func @slice_symbolic(%x: tensor<?x3xf32, #kiln.dims<"T", "3">>) -> tensor<1x2xf32> {
  %0 = kiln.slice %x, <"T-1", "1">, [1, 1] : tensor<?x3xf32, #kiln.dims<"T", "3">> -> tensor<1x2xf32>
  return %0 : tensor<1x2xf32>
}
func.func @gates(%x: tensor<2x12xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  %0 = kiln.slice %x, <"0", "0">, [1, 1] : tensor<2x12xf32> -> tensor<2x3xf32>
  %1 = kiln.slice %x, <"0", "3">, [1, 1] : tensor<2x12xf32> -> tensor<2x3xf32>
  %2 = kiln.slice %x, <"0", "9">, [1, 1] : tensor<2x12xf32> -> tensor<2x3xf32>
  %3 = kiln.tanh %0 : tensor<2x3xf32>
  %4 = kiln.mul %1, %3 : tensor<2x3xf32>
  return %4, %2 : tensor<2x3xf32>, tensor<2x3xf32>
}
func.func @overlapping_slices(%x: tensor<2x7xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  %0 = kiln.slice %x, <"0", "0">, [1, 1] : tensor<2x7xf32> -> tensor<2x3xf32>
  %1 = kiln.slice %x, <"0", "2">, [1, 1] : tensor<2x7xf32> -> tensor<2x3xf32>
  return %0, %1 : tensor<2x3xf32>, tensor<2x3xf32>
}
func.func @pad(%x: tensor<3x2xf32>, %v: tensor<f32>) -> tensor<8x5xf32> {
  %0 = kiln.pad %x, %v, <"1", "0">, <"2", "3">, [1, 0] : tensor<3x2xf32>, tensor<f32> -> tensor<8x5xf32>
  return %0 : tensor<8x5xf32>
}
func.func @concat(%x: tensor<2x3xf32>, %y: tensor<2x1xf32>) -> tensor<2x7xf32> {
  %0 = kiln.concat 1, %x, %y, %x : tensor<2x3xf32>, tensor<2x1xf32>, tensor<2x3xf32> -> tensor<2x7xf32>
  return %0 : tensor<2x7xf32>
}
func.func @reverse(%x: tensor<2x3x2xf32>) -> tensor<2x3x2xf32> {
  %0 = kiln.reverse %x, [0, 1] : tensor<2x3x2xf32>
  return %0 : tensor<2x3x2xf32>
}
func.func @dynamic_slice(%x: tensor<6x4xf32>, %i: tensor<i32> {test.range = [0, 5]}, %j: tensor<i32>) -> tensor<2x3xf32> {
  %0 = kiln.dynamic_slice %x[%i, %j] : (tensor<6x4xf32>, tensor<i32>, tensor<i32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
func.func @dynamic_update_slice(%x: tensor<6x4xf32>, %u: tensor<2x3xf32>, %i: tensor<i32> {test.range = [0, 4]}, %j: tensor<i32>) -> tensor<6x4xf32> {
  %0 = kiln.dynamic_update_slice %x, %u[%i, %j] : (tensor<6x4xf32>, tensor<2x3xf32>, tensor<i32>, tensor<i32>) -> tensor<6x4xf32>
  return %0 : tensor<6x4xf32>
}
func.func @chain(%x: tensor<2x3x4xf32>) -> tensor<8x3xf32> {
  %0 = kiln.transpose %x, [0, 2, 1] : tensor<2x3x4xf32> -> tensor<2x4x3xf32>
  %1 = kiln.transpose %0, [1, 0, 2] : tensor<2x4x3xf32> -> tensor<4x2x3xf32>
  %2 = kiln.reshape %1 : tensor<4x2x3xf32> -> tensor<8x3xf32>
  return %2 : tensor<8x3xf32>
}
func.func @transposed_broadcast(%x: tensor<2x3xf32>) -> tensor<4x3x2xf32> {
  %0 = kiln.broadcast %x, [0, 2] : tensor<2x3xf32> -> tensor<2x4x3xf32>
  %1 = kiln.transpose %0, [1, 2, 0] : tensor<2x4x3xf32> -> tensor<4x3x2xf32>
  %2 = kiln.exp %1 : tensor<4x3x2xf32>
  return %2 : tensor<4x3x2xf32>
}
func.func @time_first(%e: tensor<9x4xf32>, %i: tensor<2x3xi32> {test.range = [0, 8]}, %w: tensor<16x4xf32>, %b: tensor<16xf32>) -> tensor<3x2x16xf32> {
  %0 = kiln.gather %e, %i, 0 : tensor<9x4xf32>, tensor<2x3xi32> -> tensor<2x3x4xf32>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [2] x [1] : tensor<2x3x4xf32>, tensor<16x4xf32> -> tensor<2x3x16xf32>
  %2 = kiln.broadcast %b, [2] : tensor<16xf32> -> tensor<2x3x16xf32>
  %3 = kiln.add %1, %2 : tensor<2x3x16xf32>
  %4 = kiln.transpose %3, [1, 0, 2] : tensor<2x3x16xf32> -> tensor<3x2x16xf32>
  return %4 : tensor<3x2x16xf32>
}
