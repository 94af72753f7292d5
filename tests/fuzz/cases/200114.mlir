// arguments 1
// symbol N 7
// a product of rows that sum to zero: all of the result is rounding
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<?x24xf32, #kiln.dims<"N", "24">> {kiln.input = "x0"}, %arg1: tensor<9x?xf32, #kiln.dims<"9", "N">> {kiln.input = "x1"}, %arg2: tensor<13xf32> {kiln.input = "x2"}, %arg3: tensor<5xi32> {kiln.input = "x3"}) -> (tensor<?x81xf32, #kiln.dims<"N", "81">> {kiln.output = "0"}, tensor<?x24xf32, #kiln.dims<"N", "24">> {kiln.output = "1"}, tensor<?x24xf32, #kiln.dims<"N", "24">> {kiln.output = "2"}) attributes {kiln.bounds = {N = 40 : i64}} {
    %0 = kiln.min %arg0, %arg0 : tensor<?x24xf32, #kiln.dims<"N", "24">>
    %1 = kiln.layer_norm %0 epsilon 1.000000e-02 : tensor<?x24xf32, #kiln.dims<"N", "24">>
    %2 = kiln.abs %arg0 : tensor<?x24xf32, #kiln.dims<"N", "24">>
    %3 = kiln.reverse %1, [0] : tensor<?x24xf32, #kiln.dims<"N", "24">>
    %4 = kiln.reduce  sum %0, [0, 1] : tensor<?x24xf32, #kiln.dims<"N", "24">> -> tensor<f32>
    %5 = kiln.constant dense<1.000000e+00> : tensor<f32> : tensor<f32>
    %6 = kiln.extent <"24*N"> : tensor<f32>
    %7 = kiln.div %5, %6 : tensor<f32>
    %8 = kiln.mul %4, %7 : tensor<f32>
    %9 = kiln.broadcast %8, [] : tensor<f32> -> tensor<?x24xf32, #kiln.dims<"N", "24">>
    %10 = kiln.sub %0, %9 : tensor<?x24xf32, #kiln.dims<"N", "24">>
    %11 = kiln.constant dense<5.000000e-01> : tensor<f32> : tensor<f32>
    %12 = kiln.pad %2, %11, <"0", "2">, <"0", "1">, [0, 0] : tensor<?x24xf32, #kiln.dims<"N", "24">>, tensor<f32> -> tensor<?x27xf32, #kiln.dims<"N", "27">>
    %13 = kiln.silu %12 : tensor<?x27xf32, #kiln.dims<"N", "27">>
    %14 = kiln.reverse %arg2, [0] : tensor<13xf32>
    %15 = kiln.min %arg0, %2 : tensor<?x24xf32, #kiln.dims<"N", "24">>
    %16 = kiln.iota 0 : tensor<24xf32>
    %17 = kiln.broadcast %16, [0] : tensor<24xf32> -> tensor<24x24xf32>
    %18 = kiln.constant dense<3.700000e-01> : tensor<24x24xf32> : tensor<24x24xf32>
    %19 = kiln.mul %17, %18 : tensor<24x24xf32>
    %20 = kiln.sin %19 : tensor<24x24xf32>
    %21 = kiln.dot_general %1, %20 batch [] x [] contract [1] x [1] : tensor<?x24xf32, #kiln.dims<"N", "24">>, tensor<24x24xf32> -> tensor<?x24xf32, #kiln.dims<"N", "24">>
    %22 = kiln.tanh %21 : tensor<?x24xf32, #kiln.dims<"N", "24">>
    %23 = kiln.concat 1, %13, %12, %13 : tensor<?x27xf32, #kiln.dims<"N", "27">>, tensor<?x27xf32, #kiln.dims<"N", "27">>, tensor<?x27xf32, #kiln.dims<"N", "27">> -> tensor<?x81xf32, #kiln.dims<"N", "81">>
    return %23, %22, %15 : tensor<?x81xf32, #kiln.dims<"N", "81">>, tensor<?x24xf32, #kiln.dims<"N", "24">>, tensor<?x24xf32, #kiln.dims<"N", "24">>
  }
}
