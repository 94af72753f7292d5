// cpu native
// arguments 5481380722368687557
// compile: -:12:10: error: memory plan is wrong: operand 0 is not in the memory that the kernel reads
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<1x1xf32> {kiln.input = "x0"}, %arg1: tensor<1x1xf32> {kiln.input = "x1"}, %arg2: tensor<2xf32> {kiln.input = "x2"}, %arg3: tensor<1xi32> {kiln.input = "x3"}) -> (tensor<2xf32> {kiln.output = "1"}) {
    %0:4 = kiln.scan "2" step(%arg4) carry(%arg5 = %arg0 : tensor<1x1xf32>, %arg6 = %arg0 : tensor<1x1xf32>) over(%arg7 = %arg2 : tensor<2xf32>) -> (tensor<2x1x1xf32>, tensor<2x1x1xf32>) {
      %2 = kiln.constant dense<true> : tensor<i1> : tensor<i1>
      %3 = kiln.if %2 : (tensor<i1>) -> tensor<1x1xf32> {
        kiln.yield %arg1 : tensor<1x1xf32>
      } else {
        kiln.yield %arg6 : tensor<1x1xf32>
      }
      kiln.yield %arg5, %arg0, %3, %arg1 : tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32>
    }
    %1 = kiln.reduce  max %0#2, [1, 2] : tensor<2x1x1xf32> -> tensor<2xf32>
    return %1 : tensor<2xf32>
  }
}
