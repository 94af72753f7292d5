// arguments 1
// generated code wrote past a buffer
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<2x1xf32> {kiln.input = "x0"}, %arg1: tensor<3x2xf32> {kiln.input = "x1"}, %arg2: tensor<16xf32> {kiln.input = "x2"}, %arg3: tensor<5xi32> {kiln.input = "x3"}) -> (tensor<1xf32> {kiln.output = "0"}, tensor<1xf32> {kiln.output = "1"}, tensor<2x1xf32> {kiln.output = "2"}) {
    %0 = kiln.cumsum %arg0, 1 {exclusive = true} : tensor<2x1xf32>
    %1 = kiln.iota 0 : tensor<2xf32>
    %2 = kiln.broadcast %1, [1] : tensor<2xf32> -> tensor<2x2xf32>
    %3 = kiln.constant dense<3.700000e-01> : tensor<2x2xf32> : tensor<2x2xf32>
    %4 = kiln.mul %2, %3 : tensor<2x2xf32>
    %5 = kiln.sin %4 : tensor<2x2xf32>
    %6 = kiln.dot_general %arg1, %5 batch [] x [] contract [1] x [1] : tensor<3x2xf32>, tensor<2x2xf32> -> tensor<3x2xf32>
    %7 = kiln.tanh %6 : tensor<3x2xf32>
    %8 = kiln.dot_general %arg1, %arg1 batch [] x [] contract [1] x [1] : tensor<3x2xf32>, tensor<3x2xf32> -> tensor<3x3xf32>
    %9 = kiln.tanh %8 : tensor<3x3xf32>
    %10 = kiln.concat 0, %arg0, %arg0, %arg0 : tensor<2x1xf32>, tensor<2x1xf32>, tensor<2x1xf32> -> tensor<6x1xf32>
    %11 = kiln.sub %9, %9 : tensor<3x3xf32>
    %12 = kiln.tanh %11 : tensor<3x3xf32>
    %13 = kiln.broadcast %10, [1, 2] : tensor<6x1xf32> -> tensor<2x6x1xf32>
    %14 = kiln.layer_norm %arg1 epsilon 1.000000e-02 : tensor<3x2xf32>
    %15 = kiln.reshape %12 : tensor<3x3xf32> -> tensor<9xf32>
    %16 = kiln.layer_norm %15 epsilon 1.000000e-02 : tensor<9xf32>
    %17 = kiln.layer_norm %11 epsilon 1.000000e-02 : tensor<3x3xf32>
    %18 = kiln.cumsum %arg0, 1 {exclusive = true} : tensor<2x1xf32>
    %19 = kiln.cumsum %arg0, 1 {exclusive = true} : tensor<2x1xf32>
    %20 = kiln.mul %18, %18 : tensor<2x1xf32>
    %21 = kiln.constant dense<5.000000e-01> : tensor<2x1xf32> : tensor<2x1xf32>
    %22 = kiln.add %20, %21 : tensor<2x1xf32>
    %23 = kiln.sqrt %22 : tensor<2x1xf32>
    %24 = kiln.reduce  max %arg0, [0] : tensor<2x1xf32> -> tensor<1xf32>
    %25 = kiln.reduce  sum %10, [0] : tensor<6x1xf32> -> tensor<1xf32>
    %26 = kiln.constant dense<0.166666672> : tensor<1xf32> : tensor<1xf32>
    %27 = kiln.mul %25, %26 : tensor<1xf32>
    return %27, %24, %23 : tensor<1xf32>, tensor<1xf32>, tensor<2x1xf32>
  }
}
