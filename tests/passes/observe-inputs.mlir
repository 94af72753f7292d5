// RUN: %kiln-opt %s --kiln-observe-inputs | FileCheck %s
// RUN: not %kiln-opt %s --kiln-store-weights=as=q8 --kiln-observe-inputs 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: there is no matrix in 'forward' that products read, and that could be observed

// Of each number that a matrix's products sum over the sum of its squares; of two products their sum. A matrix by rows is
// read turned; what is no matrix, or is read by nothing but a gather, is not observed, and neither is
// what is turned and read within a loop, nor another function.
// CHECK-LABEL: @forward
// CHECK-SAME:  -> (tensor<64xf32> {kiln.output = "rows.importance"}, tensor<64xf32> {kiln.output = "columns.importance"})
// CHECK:       %[[Y:.*]] = kiln.dot_general %[[X:arg0]]
// CHECK:       %[[A:.*]] = kiln.mul %arg0, %arg0 : tensor<5x64xf32>
// CHECK:       %[[ROWS:.*]] = kiln.reduce sum %[[A]], [0] : tensor<5x64xf32> -> tensor<64xf32>
// CHECK-COUNT-2: kiln.reduce sum {{.*}} -> tensor<64xf32>
// CHECK:       %[[COLUMNS:.*]] = kiln.add
// CHECK:       return %[[ROWS]], %[[COLUMNS]] : tensor<64xf32>, tensor<64xf32>
// CHECK-LABEL: @other
// CHECK-NOT:   importance
module @M attributes {
    kiln.parameters = [{init = {kind = "zeros"}, name = "rows", trainable = true, type = tensor<9x64xf32>},
                       {init = {kind = "zeros"}, name = "columns", trainable = true, type = tensor<64x9xf32>},
                       {init = {kind = "zeros"}, name = "table", trainable = true, type = tensor<7x9xf32>},
                       {init = {kind = "zeros"}, name = "looped", trainable = true, type = tensor<64x64xf32>},
                       {init = {kind = "zeros"}, name = "bias", trainable = true, type = tensor<9xf32>}]} {
  func.func @forward(%x: tensor<5x64xf32> {kiln.input = "x"}, %z: tensor<2x5x64xf32> {kiln.input = "z"}, %ids: tensor<5xi32> {kiln.input = "ids"},
                     %r: tensor<9x64xf32> {kiln.parameter = "rows"}, %c: tensor<64x9xf32> {kiln.parameter = "columns"},
                     %t: tensor<7x9xf32> {kiln.parameter = "table"}, %b: tensor<9xf32> {kiln.parameter = "bias"},
                     %l: tensor<64x64xf32> {kiln.parameter = "looped"}) -> (tensor<5x9xf32> {kiln.output = "0"}, tensor<5x64xf32> {kiln.output = "1"}) {
    %turned = kiln.transpose %r, [1, 0] : tensor<9x64xf32> -> tensor<64x9xf32>
    %y = kiln.dot_general %x, %turned batch [] x [] contract [1] x [0] : tensor<5x64xf32>, tensor<64x9xf32> -> tensor<5x9xf32>
    %v = kiln.dot_general %x, %c batch [] x [] contract [1] x [0] : tensor<5x64xf32>, tensor<64x9xf32> -> tensor<5x9xf32>
    %w = kiln.dot_general %z, %c batch [] x [] contract [2] x [0] : tensor<2x5x64xf32>, tensor<64x9xf32> -> tensor<2x5x9xf32>
    %most = kiln.reduce max %w, [0] : tensor<2x5x9xf32> -> tensor<5x9xf32>
    %p = kiln.gather %t, %ids, 0 : tensor<7x9xf32>, tensor<5xi32> -> tensor<5x9xf32>
    %1 = kiln.add %y, %v : tensor<5x9xf32>
    %2 = kiln.add %1, %most : tensor<5x9xf32>
    %3 = kiln.add %2, %p : tensor<5x9xf32>
    %again = kiln.scan "3" step(%i) carry(%h = %x : tensor<5x64xf32>) -> () {
      %back = kiln.transpose %l, [1, 0] : tensor<64x64xf32> -> tensor<64x64xf32>
      %next = kiln.dot_general %h, %back batch [] x [] contract [1] x [0] : tensor<5x64xf32>, tensor<64x64xf32> -> tensor<5x64xf32>
      kiln.yield %next : tensor<5x64xf32>
    }
    return %3, %again : tensor<5x9xf32>, tensor<5x64xf32>
  }
  func.func @other(%x: tensor<5x64xf32> {kiln.input = "x"}, %c: tensor<64x9xf32> {kiln.parameter = "columns"}) -> (tensor<5x9xf32> {kiln.output = "0"}) {
    %v = kiln.dot_general %x, %c batch [] x [] contract [1] x [0] : tensor<5x64xf32>, tensor<64x9xf32> -> tensor<5x9xf32>
    return %v : tensor<5x9xf32>
  }
}
