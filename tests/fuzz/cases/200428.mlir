// arguments 1
// the compiler freed an op that a group read: a cheap op with a kernel of its own, cloned elsewhere
module @Random attributes {kiln.parameters = [], kiln.states = []} {
  func.func @f(%arg0: tensor<8x17xf32> {kiln.input = "x0"}, %arg1: tensor<35x8xf32> {kiln.input = "x1"}, %arg2: tensor<4xf32> {kiln.input = "x2"}, %arg3: tensor<5xi32> {kiln.input = "x3"}) -> (tensor<2x17x2x8xf32> {kiln.output = "0"}, tensor<136xf32> {kiln.output = "1"}, tensor<2x17x2x8xf32> {kiln.output = "2"}) {
    %0 = kiln.broadcast %arg0, [1, 2] : tensor<8x17xf32> -> tensor<2x8x17xf32>
    %1 = kiln.max %arg0, %arg0 : tensor<8x17xf32>
    %2 = kiln.sub %arg1, %arg1 : tensor<35x8xf32>
    %3 = kiln.log_softmax %1, 1 : tensor<8x17xf32>
    %4 = kiln.transpose %arg0, [1, 0] : tensor<8x17xf32> -> tensor<17x8xf32>
    %5 = kiln.iota 0 : tensor<17xf32>
    %6 = kiln.broadcast %5, [0] : tensor<17xf32> -> tensor<17x17xf32>
    %7 = kiln.constant dense<3.700000e-01> : tensor<17x17xf32> : tensor<17x17xf32>
    %8 = kiln.mul %6, %7 : tensor<17x17xf32>
    %9 = kiln.sin %8 : tensor<17x17xf32>
    %10 = kiln.dot_general %arg0, %9 batch [] x [] contract [1] x [0] : tensor<8x17xf32>, tensor<17x17xf32> -> tensor<8x17xf32>
    %11 = kiln.tanh %10 : tensor<8x17xf32>
    %12 = kiln.iota 0 : tensor<17xf32>
    %13 = kiln.broadcast %12, [1] : tensor<17xf32> -> tensor<17x17xf32>
    %14 = kiln.constant dense<3.700000e-01> : tensor<17x17xf32> : tensor<17x17xf32>
    %15 = kiln.mul %13, %14 : tensor<17x17xf32>
    %16 = kiln.sin %15 : tensor<17x17xf32>
    %17 = kiln.dot_general %1, %16 batch [] x [] contract [1] x [1] : tensor<8x17xf32>, tensor<17x17xf32> -> tensor<8x17xf32>
    %18 = kiln.tanh %17 : tensor<8x17xf32>
    %19 = kiln.reduce  sum %1, [1] : tensor<8x17xf32> -> tensor<8xf32>
    %20 = kiln.constant dense<0.0588235296> : tensor<8xf32> : tensor<8xf32>
    %21 = kiln.mul %19, %20 : tensor<8xf32>
    %22 = kiln.broadcast %4, [1, 2] : tensor<17x8xf32> -> tensor<2x17x8xf32>
    %23 = kiln.sin %0 : tensor<2x8x17xf32>
    %24 = kiln.constant dense<5.000000e-01> : tensor<f32> : tensor<f32>
    %25 = kiln.pad %21, %24, <"2">, <"1">, [0] : tensor<8xf32>, tensor<f32> -> tensor<11xf32>
    %26 = kiln.concat 0, %2, %arg1, %2 : tensor<35x8xf32>, tensor<35x8xf32>, tensor<35x8xf32> -> tensor<105x8xf32>
    %27 = kiln.log_softmax %22, 2 : tensor<2x17x8xf32>
    %28 = kiln.reduce  max %4, [1] : tensor<17x8xf32> -> tensor<17xf32>
    %29 = kiln.broadcast %28, [0] : tensor<17xf32> -> tensor<17x8xf32>
    %30 = kiln.sub %4, %29 : tensor<17x8xf32>
    %31 = kiln.constant dense<2.500000e-01> : tensor<4xf32> : tensor<4xf32>
    %32 = kiln.compare  gt %arg2, %31 : tensor<4xf32> -> tensor<4xi1>
    %33 = kiln.neg %arg2 : tensor<4xf32>
    %34 = kiln.constant dense<5.000000e-01> : tensor<4xf32> : tensor<4xf32>
    %35 = kiln.mul %arg2, %34 : tensor<4xf32>
    %36 = kiln.select %32, %33, %35 : tensor<4xi1>, tensor<4xf32>
    %37 = kiln.mul %1, %1 : tensor<8x17xf32>
    %38 = kiln.constant dense<1.000000e+00> : tensor<8x17xf32> : tensor<8x17xf32>
    %39 = kiln.add %37, %38 : tensor<8x17xf32>
    %40 = kiln.log %39 : tensor<8x17xf32>
    %41 = kiln.broadcast %22, [0, 1, 3] : tensor<2x17x8xf32> -> tensor<2x17x2x8xf32>
    %42 = kiln.reshape %18 : tensor<8x17xf32> -> tensor<136xf32>
    %43 = kiln.log_softmax %41, 3 : tensor<2x17x2x8xf32>
    return %43, %42, %41 : tensor<2x17x2x8xf32>, tensor<136xf32>, tensor<2x17x2x8xf32>
  }
}
