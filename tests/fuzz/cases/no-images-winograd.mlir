// cpu native:l2=256K:forms=100226
// arguments 5165216005995019088
// math fast
// symbol N 17
// A convolution of no images by Winograd's tiles: the compiler divided by their number.
module @Random attributes {kiln.parameters = [{init = {kind = "zeros"}, name = "p4", trainable = true, type = tensor<5x1xf32>}, {init = {kind = "zeros"}, name = "p6", trainable = true, type = tensor<5xf32>}, {init = {kind = "zeros"}, name = "p8", trainable = true, type = tensor<1x1x3x3xf32>}], kiln.states = []} {
  func.func @f(%arg0: tensor<?x1xf32, #kiln.dims<"N", "1">> {kiln.input = "x0"}, %arg1: tensor<1x?xf32, #kiln.dims<"1", "N">> {kiln.input = "x1"}, %arg2: tensor<1xf32> {kiln.input = "x2"}, %arg3: tensor<5xi32> {kiln.input = "x3"}, %arg4: tensor<5x1xf32> {kiln.parameter = "p4"}, %arg5: tensor<1x1xf32> {kiln.input = "x5"}, %arg6: tensor<5xf32> {kiln.parameter = "p6"}, %arg7: tensor<0x1x14x7xf32> {kiln.input = "x7"}, %arg8: tensor<1x1x3x3xf32> {kiln.parameter = "p8"}) -> (tensor<0x12x5x1xf32> {kiln.output = "0"}) attributes {kiln.bounds = {N = 40 : i64}} {
    %0 = kiln.convolution %arg7, %arg8 {filter_dilation = array<i64: 1, 1>, groups = 1 : i64, high = array<i64: 0, 0>, input_dilation = array<i64: 1, 1>, low = array<i64: 0, 0>, strides = array<i64: 1, 1>} : tensor<0x1x14x7xf32>, tensor<1x1x3x3xf32> -> tensor<0x1x12x5xf32>
    %1 = kiln.transpose %0, [1, 2, 3, 0] : tensor<0x1x12x5xf32> -> tensor<1x12x5x0xf32>
    %2 = kiln.transpose %1, [3, 1, 2, 0] : tensor<1x12x5x0xf32> -> tensor<0x12x5x1xf32>
    return %2 : tensor<0x12x5x1xf32>
  }
}
