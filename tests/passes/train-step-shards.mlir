// RUN: %kiln-opt --kiln-train-step -split-input-file %s | FileCheck %s

// A mean over the rows that count, and something of the parameters alone. How many count is a total: summed over the
// shards first, and then an input. A shard has half of the rows; the number of all of them stays in the mean. What is the same
// in both shards is added by halves. The dropout's seed is the shard's own; rows are counted from the batch's first.
// CHECK: func.func @shard.totals(%{{.*}}: tensor<4xf32> {kiln.input = "data.m"}) -> (tensor<f32> {kiln.output = "0"})
// CHECK-NEXT: kiln.reduce sum
// CHECK-NEXT: return
// CHECK: func.func @shard.gradients(%{{.*}}: tensor<4x3xf32> {kiln.input = "data.x"}, %{{.*}}: tensor<4xf32> {kiln.input = "data.m"}, %[[SHARD:.*]]: tensor<ui32> {kiln.input = "shard"}, %[[TOTAL:.*]]: tensor<f32> {kiln.input = "total.0"}, %{{.*}}: tensor<3xf32> {kiln.parameter = "w"}, %[[SEED:.*]]: tensor<ui32> {kiln.seed})
// CHECK-SAME: -> (tensor<f32> {kiln.loss}, tensor<3xf32> {kiln.gradient = "w"})
// CHECK: %[[GOLDEN:.*]] = kiln.constant dense<2654435769>
// CHECK: %[[OWN:.*]] = kiln.mul %[[SHARD]], %[[GOLDEN]] : tensor<ui32>
// CHECK: %[[MIXED:.*]] = kiln.add %[[SEED]], %[[OWN]]
// CHECK: kiln.random_bits 1, %[[MIXED]]
// CHECK: kiln.div %{{.*}}, %[[TOTAL]]
// CHECK: kiln.constant dense<8.000000e+00>
// CHECK: kiln.constant dense<5.000000e-01>
// CHECK: func.func @shard.update(%{{.*}}: tensor<3xf32> {kiln.input = "gradient.w"}, %{{.*}}: tensor<3xf32> {kiln.parameter = "w"}, %{{.*}}: tensor<3xf32> {kiln.state = "optimizer.m.w"})
// CHECK-SAME: -> (tensor<f32> {kiln.metric = "grad_norm"}, tensor<3xf32> {kiln.parameter = "w"}, tensor<3xf32> {kiln.state = "optimizer.m.w"})
// CHECK: func.func @train_step(%{{.*}}: tensor<8x3xf32>
// CHECK-NOT: loss.shard
module attributes {
    kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}],
    kiln.train = {loss = "loss.train", shards = 2 : i64, clip = {kind = "norm", value = 1.0}, rates = "r", updates = [{parameter = "w", function = "u", rate = 0 : i64}]}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @u(%p: tensor<3xf32>, %g: tensor<3xf32>, %lr: tensor<f64>, %m: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
      attributes {kiln.states = [{name = "m", init = {kind = "zeros"}}]} {
    %0 = kiln.add %m, %g : tensor<3xf32>
    %1 = kiln.sub %p, %0 : tensor<3xf32>
    return %1, %0 : tensor<3xf32>, tensor<3xf32>
  }
  func.func @loss.train(%x: tensor<8x3xf32> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}) -> (tensor<f32> {kiln.loss}) {
    %0 = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<8x3xf32>
    %1 = kiln.mul %x, %0 : tensor<8x3xf32>
    %2 = kiln.reduce sum %1, [0, 1] : tensor<8x3xf32> -> tensor<f32>
    return %2 : tensor<f32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %m: tensor<?xf32, #kiln.dims<"N">> {kiln.input = "data.m"},
                        %w: tensor<3xf32> {kiln.parameter = "w"}, %seed: tensor<ui32> {kiln.seed}) -> (tensor<f32> {kiln.loss})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %0 = kiln.dropout %x, %seed p 0.5 stream 1 : tensor<?x3xf32, #kiln.dims<"N", "3">>, tensor<ui32>
    %1 = kiln.dot_general %0, %w batch [] x [] contract [1] x [0] : tensor<?x3xf32, #kiln.dims<"N", "3">>, tensor<3xf32> -> tensor<?xf32, #kiln.dims<"N">>
    %2 = kiln.mul %1, %m : tensor<?xf32, #kiln.dims<"N">>
    %3 = kiln.reduce sum %2, [0] : tensor<?xf32, #kiln.dims<"N">> -> tensor<f32>
    %4 = kiln.reduce sum %m, [0] : tensor<?xf32, #kiln.dims<"N">> -> tensor<f32>
    %5 = kiln.div %3, %4 : tensor<f32>
    %6 = kiln.extent <"N"> : tensor<f32>
    %7 = kiln.reduce sum %1, [0] : tensor<?xf32, #kiln.dims<"N">> -> tensor<f32>
    %8 = kiln.div %7, %6 : tensor<f32>
    %9 = kiln.add %5, %8 : tensor<f32>
    %10 = kiln.reduce sum %w, [0] : tensor<3xf32> -> tensor<f32>
    %11 = kiln.add %9, %10 : tensor<f32>
    return %11 : tensor<f32>
  }
}
