// arguments 1
// symbol N 7
// a product of rows that sum to zero: all of the result is rounding
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<?x4xf32, #kiln.dims<"N", "4">> {kiln.input = "x0"}, %arg1: tensor<5x?xf32, #kiln.dims<"5", "N">> {kiln.input = "x1"}, %arg2: tensor<24xf32> {kiln.input = "x2"}, %arg3: tensor<5xi32> {kiln.input = "x3"}) -> (tensor<2x?x4xf32, #kiln.dims<"2", "N", "4">> {kiln.output = "0"}, tensor<24xf32> {kiln.output = "1"}, tensor<?x4xf32, #kiln.dims<"N", "4">> {kiln.output = "2"}) attributes {kiln.bounds = {N = 40 : i64}} {
    %0 = kiln.log_softmax %arg2, 0 : tensor<24xf32>
    %1 = kiln.reverse %0, [0] : tensor<24xf32>
    %2 = kiln.reverse %arg1, [0] : tensor<5x?xf32, #kiln.dims<"5", "N">>
    %3 = kiln.gather %arg1, %arg3, 0 : tensor<5x?xf32, #kiln.dims<"5", "N">>, tensor<5xi32> -> tensor<5x?xf32, #kiln.dims<"5", "N">>
    %4 = kiln.mul %1, %arg2 : tensor<24xf32>
    %5 = kiln.tanh %4 : tensor<24xf32>
    %6 = kiln.softmax %3, 1 : tensor<5x?xf32, #kiln.dims<"5", "N">>
    %7 = kiln.broadcast %arg1, [1, 2] : tensor<5x?xf32, #kiln.dims<"5", "N">> -> tensor<1x5x?xf32, #kiln.dims<"1", "5", "N">>
    %8 = kiln.gelu %5 {tanh = true} : tensor<24xf32>
    %9 = kiln.iota 0 : tensor<?xf32, #kiln.dims<"N">>
    %10 = kiln.broadcast %9, [0] : tensor<?xf32, #kiln.dims<"N">> -> tensor<?x?xf32, #kiln.dims<"N", "N">>
    %11 = kiln.constant dense<3.700000e-01> : tensor<f32> : tensor<?x?xf32, #kiln.dims<"N", "N">>
    %12 = kiln.mul %10, %11 : tensor<?x?xf32, #kiln.dims<"N", "N">>
    %13 = kiln.sin %12 : tensor<?x?xf32, #kiln.dims<"N", "N">>
    %14 = kiln.dot_general %2, %13 batch [] x [] contract [1] x [0] : tensor<5x?xf32, #kiln.dims<"5", "N">>, tensor<?x?xf32, #kiln.dims<"N", "N">> -> tensor<5x?xf32, #kiln.dims<"5", "N">>
    %15 = kiln.tanh %14 : tensor<5x?xf32, #kiln.dims<"5", "N">>
    %16 = kiln.sigmoid %arg1 : tensor<5x?xf32, #kiln.dims<"5", "N">>
    %17 = kiln.gather %16, %arg3, 0 : tensor<5x?xf32, #kiln.dims<"5", "N">>, tensor<5xi32> -> tensor<5x?xf32, #kiln.dims<"5", "N">>
    %18 = kiln.layer_norm %1 epsilon 1.000000e-02 : tensor<24xf32>
    %19 = kiln.cumsum %arg0, 1 : tensor<?x4xf32, #kiln.dims<"N", "4">>
    %20 = kiln.iota 0 : tensor<24xf32>
    %21 = kiln.broadcast %20, [0] : tensor<24xf32> -> tensor<24x24xf32>
    %22 = kiln.constant dense<3.700000e-01> : tensor<24x24xf32> : tensor<24x24xf32>
    %23 = kiln.mul %21, %22 : tensor<24x24xf32>
    %24 = kiln.sin %23 : tensor<24x24xf32>
    %25 = kiln.dot_general %18, %24 batch [] x [] contract [0] x [1] : tensor<24xf32>, tensor<24x24xf32> -> tensor<24xf32>
    %26 = kiln.tanh %25 : tensor<24xf32>
    %27 = kiln.broadcast %arg0, [1, 2] : tensor<?x4xf32, #kiln.dims<"N", "4">> -> tensor<2x?x4xf32, #kiln.dims<"2", "N", "4">>
    return %27, %26, %19 : tensor<2x?x4xf32, #kiln.dims<"2", "N", "4">>, tensor<24xf32>, tensor<?x4xf32, #kiln.dims<"N", "4">>
  }
}
