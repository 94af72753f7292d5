// Products and convolutions, odd shapes.
func.func @dot_plain(%x: tensor<3x5xf32>, %y: tensor<5x2xf32>) -> tensor<3x2xf32> {
  %0 = kiln.dot_general %x, %y batch [] x [] contract [1] x [0] : tensor<3x5xf32>, tensor<5x2xf32> -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}
func.func @dot_linear(%x: tensor<2x3x5xf32>, %y: tensor<4x5xf32>) -> tensor<2x3x4xf32> {
  %0 = kiln.dot_general %x, %y batch [] x [] contract [2] x [1] : tensor<2x3x5xf32>, tensor<4x5xf32> -> tensor<2x3x4xf32>
  return %0 : tensor<2x3x4xf32>
}
func.func @dot_left_transposed(%x: tensor<5x3xf32>, %y: tensor<5x2xf32>) -> tensor<3x2xf32> {
  %0 = kiln.dot_general %x, %y batch [] x [] contract [0] x [0] : tensor<5x3xf32>, tensor<5x2xf32> -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}
func.func @dot_batched(%x: tensor<2x3x4x5xf32>, %y: tensor<2x3x6x5xf32>) -> tensor<2x3x4x6xf32> {
  %0 = kiln.dot_general %x, %y batch [0, 1] x [0, 1] contract [3] x [3] : tensor<2x3x4x5xf32>, tensor<2x3x6x5xf32> -> tensor<2x3x4x6xf32>
  return %0 : tensor<2x3x4x6xf32>
}
func.func @dot_batch_inside(%x: tensor<3x2x5xf32>, %y: tensor<5x4x2xf32>) -> tensor<2x3x4xf32> {
  %0 = kiln.dot_general %x, %y batch [1] x [2] contract [2] x [0] : tensor<3x2x5xf32>, tensor<5x4x2xf32> -> tensor<2x3x4xf32>
  return %0 : tensor<2x3x4xf32>
}
func.func @dot_two_contracted(%x: tensor<3x4x2xf32>, %y: tensor<2x5x4xf32>) -> tensor<3x5xf32> {
  %0 = kiln.dot_general %x, %y batch [] x [] contract [1, 2] x [2, 0] : tensor<3x4x2xf32>, tensor<2x5x4xf32> -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @dot_outer(%x: tensor<3xf32>, %y: tensor<4xf32>) -> tensor<3x4xf32> {
  %0 = kiln.dot_general %x, %y batch [] x [] contract [] x [] : tensor<3xf32>, tensor<4xf32> -> tensor<3x4xf32>
  return %0 : tensor<3x4xf32>
}
func.func @dot_inner(%x: tensor<3xf32>, %y: tensor<3xf32>) -> tensor<f32> {
  %0 = kiln.dot_general %x, %y batch [] x [] contract [0] x [0] : tensor<3xf32>, tensor<3xf32> -> tensor<f32>
  return %0 : tensor<f32>
}
func.func @dot_batch_swapped(%x: tensor<2x3x4xf32>, %y: tensor<3x2x4xf32>) -> tensor<2x3xf32> {
  %0 = kiln.dot_general %x, %y batch [0, 1] x [1, 0] contract [2] x [2] : tensor<2x3x4xf32>, tensor<3x2x4xf32> -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
func.func @dot_crossed(%x: tensor<3x4x2xf32>, %y: tensor<2x4x5xf32>) -> tensor<3x5xf32> {
  %0 = kiln.dot_general %x, %y batch [] x [] contract [2, 1] x [0, 1] : tensor<3x4x2xf32>, tensor<2x4x5xf32> -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}
func.func @conv_1d(%x: tensor<2x3x7xf32>, %w: tensor<4x3x3xf32>) -> tensor<2x4x7xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1>, low = array<i64: 1>, high = array<i64: 1>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<2x3x7xf32>, tensor<4x3x3xf32> -> tensor<2x4x7xf32>
  return %0 : tensor<2x4x7xf32>
}
func.func @conv_2d(%x: tensor<2x2x5x6xf32>, %w: tensor<3x2x3x2xf32>) -> tensor<2x3x5x6xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1, 1>, low = array<i64: 1, 0>, high = array<i64: 1, 1>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<2x2x5x6xf32>, tensor<3x2x3x2xf32> -> tensor<2x3x5x6xf32>
  return %0 : tensor<2x3x5x6xf32>
}
func.func @conv_strided(%x: tensor<1x2x7x6xf32>, %w: tensor<3x2x3x3xf32>) -> tensor<1x3x4x2xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 2, 3>, low = array<i64: 1, 1>, high = array<i64: 1, 1>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<1x2x7x6xf32>, tensor<3x2x3x3xf32> -> tensor<1x3x4x2xf32>
  return %0 : tensor<1x3x4x2xf32>
}
func.func @conv_strided_leftover(%x: tensor<1x2x8xf32>, %w: tensor<2x2x3xf32>) -> tensor<1x2x2xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 3>, low = array<i64: 0>, high = array<i64: 0>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<1x2x8xf32>, tensor<2x2x3xf32> -> tensor<1x2x2xf32>
  return %0 : tensor<1x2x2xf32>
}
func.func @conv_dilated(%x: tensor<1x2x9xf32>, %w: tensor<2x2x3xf32>) -> tensor<1x2x4xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 2>, low = array<i64: 2>, high = array<i64: 1>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 2>, groups = 1 : i64} : tensor<1x2x9xf32>, tensor<2x2x3xf32> -> tensor<1x2x4xf32>
  return %0 : tensor<1x2x4xf32>
}
func.func @conv_transposed(%x: tensor<1x2x4x3xf32>, %w: tensor<3x2x3x3xf32>) -> tensor<1x3x8x5xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1, 1>, low = array<i64: 2, 1>, high = array<i64: 1, 1>, input_dilation = array<i64: 2, 2>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<1x2x4x3xf32>, tensor<3x2x3x3xf32> -> tensor<1x3x8x5xf32>
  return %0 : tensor<1x3x8x5xf32>
}
func.func @conv_transposed_apart(%x: tensor<2x2x4xf32>, %w: tensor<3x2x3xf32>) -> tensor<2x3x9xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1>, low = array<i64: 1>, high = array<i64: 2>, input_dilation = array<i64: 3>, filter_dilation = array<i64: 2>, groups = 1 : i64} : tensor<2x2x4xf32>, tensor<3x2x3xf32> -> tensor<2x3x9xf32>
  return %0 : tensor<2x3x9xf32>
}
func.func @conv_transposed_one_axis(%x: tensor<1x2x3x4xf32>, %w: tensor<2x2x2x3xf32>) -> tensor<1x2x5x4xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1, 1>, low = array<i64: 1, 1>, high = array<i64: 0, 1>, input_dilation = array<i64: 2, 1>, filter_dilation = array<i64: 1, 1>, groups = 1 : i64} : tensor<1x2x3x4xf32>, tensor<2x2x2x3xf32> -> tensor<1x2x5x4xf32>
  return %0 : tensor<1x2x5x4xf32>
}
func.func @conv_transposed_cut(%x: tensor<2x2x5xf32>, %w: tensor<2x2x2xf32>) -> tensor<2x2x6xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1>, low = array<i64: -1>, high = array<i64: -1>, input_dilation = array<i64: 2>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<2x2x5xf32>, tensor<2x2x2xf32> -> tensor<2x2x6xf32>
  return %0 : tensor<2x2x6xf32>
}
func.func @conv_all(%x: tensor<2x2x5xf32>, %w: tensor<2x2x3xf32>) -> tensor<2x2x7xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 2>, low = array<i64: 1>, high = array<i64: 3>, input_dilation = array<i64: 3>, filter_dilation = array<i64: 2>, groups = 1 : i64} : tensor<2x2x5xf32>, tensor<2x2x3xf32> -> tensor<2x2x7xf32>
  return %0 : tensor<2x2x7xf32>
}
func.func @conv_groups(%x: tensor<2x4x6xf32>, %w: tensor<6x2x3xf32>) -> tensor<2x6x3xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 2>, low = array<i64: 1>, high = array<i64: 1>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 1>, groups = 2 : i64} : tensor<2x4x6xf32>, tensor<6x2x3xf32> -> tensor<2x6x3xf32>
  return %0 : tensor<2x6x3xf32>
}
func.func @conv_depthwise(%x: tensor<1x3x5x5xf32>, %w: tensor<3x1x3x3xf32>) -> tensor<1x3x5x5xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1, 1>, low = array<i64: 1, 1>, high = array<i64: 1, 1>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 1, 1>, groups = 3 : i64} : tensor<1x3x5x5xf32>, tensor<3x1x3x3xf32> -> tensor<1x3x5x5xf32>
  return %0 : tensor<1x3x5x5xf32>
}
func.func @conv_cropped(%x: tensor<1x2x8xf32>, %w: tensor<2x2x3xf32>) -> tensor<1x2x3xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1>, low = array<i64: -1>, high = array<i64: -2>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<1x2x8xf32>, tensor<2x2x3xf32> -> tensor<1x2x3xf32>
  return %0 : tensor<1x2x3xf32>
}
func.func @conv_wide_padding(%x: tensor<1x1x4xf32>, %w: tensor<1x1x2xf32>) -> tensor<1x1x8xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1>, low = array<i64: 3>, high = array<i64: 2>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<1x1x4xf32>, tensor<1x1x2xf32> -> tensor<1x1x8xf32>
  return %0 : tensor<1x1x8xf32>
}
func.func @conv_3d(%x: tensor<1x2x3x4x3xf32>, %w: tensor<2x2x2x2x2xf32>) -> tensor<1x2x3x2x2xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 1, 2, 1>, low = array<i64: 0, 1, 0>, high = array<i64: 1, 0, 0>, input_dilation = array<i64: 1, 1, 1>, filter_dilation = array<i64: 1, 1, 1>, groups = 1 : i64} : tensor<1x2x3x4x3xf32>, tensor<2x2x2x2x2xf32> -> tensor<1x2x3x2x2xf32>
  return %0 : tensor<1x2x3x2x2xf32>
}
func.func @conv_grouped_strided_dilated(%x: tensor<2x4x7x5xf32>, %w: tensor<4x2x2x3xf32>) -> tensor<2x4x3x5xf32> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 2, 1>, low = array<i64: 1, 1>, high = array<i64: 0, 1>, input_dilation = array<i64: 1, 1>, filter_dilation = array<i64: 2, 1>, groups = 2 : i64} : tensor<2x4x7x5xf32>, tensor<4x2x2x3xf32> -> tensor<2x4x3x5xf32>
  return %0 : tensor<2x4x3x5xf32>
}
func.func @conv_symbolic_batch(%x: tensor<?x2x5xf32, #kiln.dims<"B", "2", "5">>, %w: tensor<3x2x3xf32>) -> tensor<?x3x3xf32, #kiln.dims<"B", "3", "3">> {
  %0 = kiln.convolution %x, %w {strides = array<i64: 2>, low = array<i64: 1>, high = array<i64: 1>, input_dilation = array<i64: 1>, filter_dilation = array<i64: 1>, groups = 1 : i64} : tensor<?x2x5xf32, #kiln.dims<"B", "2", "5">>, tensor<3x2x3xf32> -> tensor<?x3x3xf32, #kiln.dims<"B", "3", "3">>
  return %0 : tensor<?x3x3xf32, #kiln.dims<"B", "3", "3">>
}
func.func @dot_of_transposes(%x: tensor<5x3xf32>, %y: tensor<2x5xf32>) -> tensor<2x3xf32> {
  %0 = kiln.transpose %x, [1, 0] : tensor<5x3xf32> -> tensor<3x5xf32>
  %1 = kiln.transpose %y, [1, 0] : tensor<2x5xf32> -> tensor<5x2xf32>
  %2 = kiln.dot_general %0, %1 batch [] x [] contract [1] x [0] : tensor<3x5xf32>, tensor<5x2xf32> -> tensor<3x2xf32>
  %3 = kiln.transpose %2, [1, 0] : tensor<3x2xf32> -> tensor<2x3xf32>
  return %3 : tensor<2x3xf32>
}
func.func @heads(%x: tensor<2x5x6xf32>, %w: tensor<6x6xf32>) -> tensor<2x3x5x5xf32> {
  %0 = kiln.dot_general %x, %w batch [] x [] contract [2] x [1] : tensor<2x5x6xf32>, tensor<6x6xf32> -> tensor<2x5x6xf32>
  %1 = kiln.reshape %0 : tensor<2x5x6xf32> -> tensor<2x5x3x2xf32>
  %2 = kiln.transpose %1, [0, 2, 1, 3] : tensor<2x5x3x2xf32> -> tensor<2x3x5x2xf32>
  %3 = kiln.dot_general %2, %2 batch [0, 1] x [0, 1] contract [3] x [3] : tensor<2x3x5x2xf32>, tensor<2x3x5x2xf32> -> tensor<2x3x5x5xf32>
  return %3 : tensor<2x3x5x5xf32>
}
