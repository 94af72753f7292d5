// arguments 9031813102145439688
// symbol N 1
// a kept row of f16 was rounded in memory and not in the register that the mean was taken of
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<?x1xf32, #kiln.dims<"N", "1">> {kiln.input = "x0"}, %arg1: tensor<4x?xf32, #kiln.dims<"4", "N">> {kiln.input = "x1"}, %arg2: tensor<1xf32> {kiln.input = "x2"}, %arg3: tensor<4xi32> {kiln.input = "x3"}) -> (tensor<4x?xf32, #kiln.dims<"4", "N">> {kiln.output = "3"}) attributes {kiln.bounds = {N = 40 : i64}} {
    %0 = kiln.convert %arg1 : tensor<4x?xf32, #kiln.dims<"4", "N">> -> tensor<4x?xf16, #kiln.dims<"4", "N">>
    %1 = kiln.tanh %0 : tensor<4x?xf16, #kiln.dims<"4", "N">>
    %2 = kiln.convert %1 : tensor<4x?xf16, #kiln.dims<"4", "N">> -> tensor<4x?xf32, #kiln.dims<"4", "N">>
    %3 = kiln.layer_norm %2 epsilon 1.000000e-02 : tensor<4x?xf32, #kiln.dims<"4", "N">>
    %4 = kiln.slice %arg3, <"3">, [1] : tensor<4xi32> -> tensor<1xi32>
    %5 = kiln.reshape %4 : tensor<1xi32> -> tensor<i32>
    %6 = kiln.constant dense<0> : tensor<i32> : tensor<i32>
    %7 = kiln.compare  gt %5, %6 : tensor<i32> -> tensor<i1>
    %8 = kiln.if %7 : (tensor<i1>) -> tensor<4x?xf32, #kiln.dims<"4", "N">> {
      kiln.yield %arg1 : tensor<4x?xf32, #kiln.dims<"4", "N">>
    } else {
      kiln.yield %3 : tensor<4x?xf32, #kiln.dims<"4", "N">>
    }
    return %8 : tensor<4x?xf32, #kiln.dims<"4", "N">>
  }
}
