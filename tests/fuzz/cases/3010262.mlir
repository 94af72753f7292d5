// cpu x86-64-v3
// arguments 3300008545916235624
// symbol N 40
// under red zones: 1[1]: interpreter 0, compiled 0.0009765625 (norm 0, rounding strays by 0)
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<?x1xf16, #kiln.dims<"N", "1">> {kiln.input = "x0"}, %arg1: tensor<1x?xf16, #kiln.dims<"1", "N">> {kiln.input = "x1"}, %arg2: tensor<1xf16> {kiln.input = "x2"}, %arg3: tensor<1xi32> {kiln.input = "x3"}) -> (tensor<?x1xf16, #kiln.dims<"N", "1">> {kiln.output = "1"}) attributes {kiln.bounds = {N = 40 : i64}} {
    %0 = kiln.constant dense<1.000000e+00> : tensor<f16> : tensor<?x1xf16, #kiln.dims<"N", "1">>
    %1 = kiln.add %arg0, %0 : tensor<?x1xf16, #kiln.dims<"N", "1">>
    %2 = kiln.reduce  sum %1, [1] : tensor<?x1xf16, #kiln.dims<"N", "1">> -> tensor<?xf16, #kiln.dims<"N">>
    %3 = kiln.broadcast %2, [0] : tensor<?xf16, #kiln.dims<"N">> -> tensor<?x1xf16, #kiln.dims<"N", "1">>
    %4 = kiln.sub %1, %3 : tensor<?x1xf16, #kiln.dims<"N", "1">>
    return %4 : tensor<?x1xf16, #kiln.dims<"N", "1">>
  }
}
