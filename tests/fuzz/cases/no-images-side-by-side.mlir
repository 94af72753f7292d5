// cpu x86-64-v3:l2=256K:forms=600626
// arguments 1
// Images of few pixels lie side by side: of none there was no pixel to begin with.
module @Random attributes {kiln.parameters = [{init = {kind = "zeros"}, name = "p1", trainable = true, type = tensor<40x7x3x3xf32>}], kiln.states = []} {
  func.func @f(%arg0: tensor<0x7x3x3xf32> {kiln.input = "x0"}, %arg1: tensor<40x7x3x3xf32> {kiln.parameter = "p1"}) -> (tensor<0x40x1x3xf32> {kiln.output = "0"}) {
    %0 = kiln.convolution %arg0, %arg1 {filter_dilation = array<i64: 1, 1>, groups = 1 : i64, high = array<i64: 0, 1>, input_dilation = array<i64: 1, 1>, low = array<i64: 0, 1>, strides = array<i64: 1, 1>} : tensor<0x7x3x3xf32>, tensor<40x7x3x3xf32> -> tensor<0x40x1x3xf32>
    return %0 : tensor<0x40x1x3xf32>
  }
}
