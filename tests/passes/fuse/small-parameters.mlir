// RUN: %kiln-opt --kiln-compile %s | FileCheck %s
// RUN: sed 's/clip = /unclipped = /' %s | %kiln-opt --kiln-compile | FileCheck %s --check-prefix=FREE

// Clipping by the norm makes every update wait for all gradients. So parameters of one shape share kernels: here two
// updates of Adam, of three results each (eight at most), are one.
// CHECK-LABEL: func.func @train_step
// CHECK: kiln.group "loops" {{.*}} -> (tensor<16xf32>, tensor<16xf32>, tensor<16xf32>, tensor<16xf32>, tensor<16xf32>, tensor<16xf32>) {
// CHECK: kiln.group "loops" {{.*}} -> (tensor<16xf32>, tensor<16xf32>, tensor<16xf32>) {
// CHECK-NOT: kiln.group
// CHECK: return

// Without it each is updated when its gradient is there.
// FREE-LABEL: func.func @train_step
// FREE-NOT: -> (tensor<16xf32>, tensor<16xf32>, tensor<16xf32>, tensor<16xf32>
// FREE: return
module attributes {
    kiln.parameters = [{name = "a", type = tensor<16xf32>, trainable = true, init = {kind = "zeros"}},
                       {name = "b", type = tensor<16xf32>, trainable = true, init = {kind = "zeros"}},
                       {name = "c", type = tensor<16xf32>, trainable = true, init = {kind = "zeros"}}],
    kiln.train = {loss = "loss.train", steps = 1, optimizer = {kind = "adam", lr = 0.1}, clip = {kind = "norm", value = 1.0}}} {
  func.func @loss.train(%x: tensor<4x16xf32> {kiln.input = "x"}, %a: tensor<16xf32> {kiln.parameter = "a"}, %b: tensor<16xf32> {kiln.parameter = "b"},
                        %c: tensor<16xf32> {kiln.parameter = "c"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.broadcast %a, [1] : tensor<16xf32> -> tensor<4x16xf32>
    %1 = kiln.mul %x, %0 : tensor<4x16xf32>
    %2 = kiln.broadcast %b, [1] : tensor<16xf32> -> tensor<4x16xf32>
    %3 = kiln.add %1, %2 : tensor<4x16xf32>
    %4 = kiln.tanh %3 : tensor<4x16xf32>
    %5 = kiln.broadcast %c, [1] : tensor<16xf32> -> tensor<4x16xf32>
    %6 = kiln.mul %4, %5 : tensor<4x16xf32>
    %7 = kiln.reduce sum %6, [0, 1] : tensor<4x16xf32> -> tensor<f32>
    return %7 : tensor<f32>
  }
}
