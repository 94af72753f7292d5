// RUN: %kiln-opt %s --kiln-store-weights=as=q4 | FileCheck %s
// RUN: %kiln-opt %s --kiln-store-weights=as=q8 | FileCheck %s --check-prefix=BYTES

// Beside matrices of 4096, 4096 and 2048 elements one of 512 is small: a quarter at most of their mean, with it. A table
// and a matrix whose rows are no whole pairs of blocks are bytes anyhow, and count for nothing.
// CHECK:      name = "large", trainable = true, type = tensor<64x1x32xui8>
// CHECK-SAME: name = "large.scales", trainable = true, type = tensor<64x2xf16>
// CHECK-SAME: name = "large.minimums", trainable = true, type = tensor<64x2xf16>
// CHECK-SAME: name = "turned", trainable = true, type = tensor<64x1x32xui8>
// CHECK-SAME: name = "turned.column_scales"
// CHECK-SAME: name = "turned.minimums"
// CHECK-SAME: name = "middle", trainable = true, type = tensor<32x1x32xui8>
// CHECK-SAME: name = "small", trainable = true, type = tensor<8x2x32xi8>
// CHECK-SAME: name = "small.scales", trainable = true, type = tensor<8x2xf16>
// CHECK-NOT:  small.minimums
// CHECK-SAME: name = "odd", trainable = true, type = tensor<9x1x32xi8>
// CHECK-SAME: name = "table", trainable = true, type = tensor<1024x2x32xi8>
// BYTES-NOT:  ui8
// BYTES-NOT:  minimums
module @M attributes {
    kiln.parameters = [{init = {kind = "zeros"}, name = "large", trainable = true, type = tensor<64x64xf32>},
                       {init = {kind = "zeros"}, name = "turned", trainable = true, type = tensor<64x64xf32>},
                       {init = {kind = "zeros"}, name = "middle", trainable = true, type = tensor<32x64xf32>},
                       {init = {kind = "zeros"}, name = "small", trainable = true, type = tensor<8x64xf32>},
                       {init = {kind = "zeros"}, name = "odd", trainable = true, type = tensor<9x32xf32>},
                       {init = {kind = "zeros"}, name = "table", trainable = true, type = tensor<1024x64xf32>}]} {
  func.func @picked(%ids: tensor<3xi32> {kiln.input = "ids"}, %t: tensor<1024x64xf32> {kiln.parameter = "table"}) -> (tensor<3x64xf32> {kiln.output = "0"}) {
    %y = kiln.gather %t, %ids, 0 : tensor<1024x64xf32>, tensor<3xi32> -> tensor<3x64xf32>
    return %y : tensor<3x64xf32>
  }
  func.func @columns(%x: tensor<5x64xf32> {kiln.input = "x"}, %c: tensor<64x64xf32> {kiln.parameter = "turned"}) -> (tensor<5x64xf32> {kiln.output = "0"}) {
    %y = kiln.dot_general %x, %c batch [] x [] contract [1] x [0] : tensor<5x64xf32>, tensor<64x64xf32> -> tensor<5x64xf32>
    return %y : tensor<5x64xf32>
  }
}
