// Indexed access.
func.func @gather(%x: tensor<5x3xf32>, %i: tensor<2x4xi32> {test.range = [0, 4]}) -> tensor<2x4x3xf32> {
  %0 = kiln.gather %x, %i, 0 : tensor<5x3xf32>, tensor<2x4xi32> -> tensor<2x4x3xf32>
  return %0 : tensor<2x4x3xf32>
}
func.func @gather_axis(%x: tensor<2x5x3xf32>, %i: tensor<4xi64> {test.range = [0, 4]}) -> tensor<2x4x3xf32> {
  %0 = kiln.gather %x, %i, 1 : tensor<2x5x3xf32>, tensor<4xi64> -> tensor<2x4x3xf32>
  return %0 : tensor<2x4x3xf32>
}
func.func @gather_class(%x: tensor<4x5xf32>, %i: tensor<4xi32> {test.range = [0, 4]}) -> tensor<4xf32> {
  %0 = kiln.gather %x, %i, 1 {batch_dims = 1 : i64} : tensor<4x5xf32>, tensor<4xi32> -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @gather_class_inner(%x: tensor<2x5x3xf32>, %i: tensor<2xi32> {test.range = [0, 4]}) -> tensor<2x3xf32> {
  %0 = kiln.gather %x, %i, 1 {batch_dims = 1 : i64} : tensor<2x5x3xf32>, tensor<2xi32> -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
func.func @gather_batched(%x: tensor<3x5x2xf32>, %i: tensor<3x4xi32> {test.range = [0, 4]}) -> tensor<3x4x2xf32> {
  %0 = kiln.gather %x, %i, 1 {batch_dims = 1 : i64} : tensor<3x5x2xf32>, tensor<3x4xi32> -> tensor<3x4x2xf32>
  return %0 : tensor<3x4x2xf32>
}
func.func @scatter_add(%x: tensor<5x3xf32>, %i: tensor<4xi32> {test.range = [0, 4]}, %u: tensor<4x3xf32>) -> tensor<5x3xf32> {
  %0 = kiln.scatter add %x, %i, %u, 0 : tensor<5x3xf32>, tensor<4xi32>, tensor<4x3xf32>
  return %0 : tensor<5x3xf32>
}
func.func @scatter_set(%x: tensor<3x4xf32>, %i: tensor<5xi32> {test.range = [0, 2]}, %u: tensor<5x4xf32>) -> tensor<3x4xf32> {
  // Five updates on three rows: some are overwritten and have no gradient.
  %0 = kiln.scatter set %x, %i, %u, 0 : tensor<3x4xf32>, tensor<5xi32>, tensor<5x4xf32>
  return %0 : tensor<3x4xf32>
}
func.func @sort(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %v, %i = kiln.sort %x, 1 : tensor<3x5xf32> -> tensor<3x5xf32>, tensor<3x5xi32>
  return %v : tensor<3x5xf32>
}
func.func @sort_first_axis(%x: tensor<4x2x3xf32>) -> tensor<4x2x3xf32> {
  %v, %i = kiln.sort %x, 0 {descending = true} : tensor<4x2x3xf32> -> tensor<4x2x3xf32>, tensor<4x2x3xi32>
  return %v : tensor<4x2x3xf32>
}
func.func @top_k(%x: tensor<3x6xf32>) -> tensor<3x2xf32> {
  %v, %i = kiln.top_k %x, 2 : tensor<3x6xf32> -> tensor<3x2xf32>, tensor<3x2xi32>
  return %v : tensor<3x2xf32>
}
func.func @tied(%e: tensor<5x3xf32>, %i: tensor<4xi32> {test.range = [0, 4]}) -> tensor<4x5xf32> {
  %0 = kiln.gather %e, %i, 0 : tensor<5x3xf32>, tensor<4xi32> -> tensor<4x3xf32>
  %1 = kiln.dot_general %0, %e batch [] x [] contract [1] x [1] : tensor<4x3xf32>, tensor<5x3xf32> -> tensor<4x5xf32>
  return %1 : tensor<4x5xf32>
}
func.func @table_product(%e: tensor<3x4xf32>, %i: tensor<2x6xi32> {test.range = [0, 2]}, %w: tensor<5x4xf32>) -> tensor<2x6x5xf32> {
  %0 = kiln.gather %e, %i, 0 : tensor<3x4xf32>, tensor<2x6xi32> -> tensor<2x6x4xf32>
  %1 = kiln.dot_general %0, %w batch [] x [] contract [2] x [1] : tensor<2x6x4xf32>, tensor<5x4xf32> -> tensor<2x6x5xf32>
  return %1 : tensor<2x6x5xf32>
}
