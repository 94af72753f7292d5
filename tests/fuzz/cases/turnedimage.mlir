// arguments 1
// a convolution whose image was turned: its pixels do not lie side by side
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<9x128xf32> {kiln.input = "x0"}, %arg1: tensor<4x128x1xf32> {kiln.input = "x1"}) -> (tensor<1x4x9xf32> {kiln.output = "0"}) {
    %0 = kiln.reshape %arg0 : tensor<9x128xf32> -> tensor<9x1x128xf32>
    %1 = kiln.transpose %0, [1, 2, 0] : tensor<9x1x128xf32> -> tensor<1x128x9xf32>
    %2 = kiln.convolution %1, %arg1 {filter_dilation = array<i64: 1>, groups = 1 : i64, high = array<i64: 0>, input_dilation = array<i64: 1>, low = array<i64: 0>, strides = array<i64: 1>} : tensor<1x128x9xf32>, tensor<4x128x1xf32> -> tensor<1x4x9xf32>
    return %2 : tensor<1x4x9xf32>
  }
}
