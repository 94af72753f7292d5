// cpu native
// arguments 2641883371860306342
// compile: -:9:5: error: memory plan is wrong: result 0 is not in its memory at the end
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<1x1xf32> {kiln.input = "x0"}, %arg1: tensor<1x1xf32> {kiln.input = "x1"}, %arg2: tensor<1xf32> {kiln.input = "x2"}, %arg3: tensor<1xi32> {kiln.input = "x3"}) -> (tensor<1x1xf32> {kiln.output = "0"}) {
    %0 = kiln.constant dense<true> : tensor<i1> : tensor<i1>
    %1:2 = kiln.if %0 : (tensor<i1>) -> (tensor<1x1xf32>, tensor<1x1xf32>) {
      kiln.yield %arg0, %arg0 : tensor<1x1xf32>, tensor<1x1xf32>
    } else {
      kiln.yield %arg1, %arg1 : tensor<1x1xf32>, tensor<1x1xf32>
    }
    return %1#0 : tensor<1x1xf32>
  }
}
