// RUN: %kiln-opt --kiln-train-step -split-input-file %s | FileCheck %s

// A mean over the rows that count, and something of the parameters alone. How many count is a total: summed over the
// shards first, and then an input. A shard has half of the rows; the number of all of them stays in the mean. What is the same
// in both shards is added by halves. The dropout's draws are the whole batch's, of which the shard has its rows.
// CHECK: func.func @shard.totals(%{{.*}}: tensor<4xf32> {kiln.input = "data.m"}) -> (tensor<f32> {kiln.output = "0"})
// CHECK-NEXT: kiln.reduce sum
// CHECK-NEXT: return
// CHECK: func.func @shard.gradients(%{{.*}}: tensor<4x3xf32> {kiln.input = "data.x"}, %{{.*}}: tensor<4xf32> {kiln.input = "data.m"}, %[[SHARD:.*]]: tensor<ui32> {kiln.input = "shard"}, %[[TOTAL:.*]]: tensor<f32> {kiln.input = "total.0"}, %{{.*}}: tensor<3xf32> {kiln.parameter = "w"}, %[[SEED:.*]]: tensor<ui32> {kiln.seed})
// CHECK-SAME: -> (tensor<f32> {kiln.loss}, tensor<3xf32> {kiln.gradient = "w"})
// CHECK: %[[NONE:.*]] = kiln.constant dense<0> : tensor<i32>
// CHECK: %[[NUMBER:.*]] = kiln.convert %[[SHARD]] : tensor<ui32> -> tensor<i32>
// CHECK: %[[ROWS:.*]] = kiln.constant dense<4> : tensor<i32>
// CHECK: %[[FIRST:.*]] = kiln.mul %[[NUMBER]], %[[ROWS]] : tensor<i32>
// CHECK: %[[DRAWN:.*]] = kiln.random_bits 1, %[[SEED]] : tensor<ui32> -> tensor<8x3xui32>
// CHECK: kiln.dynamic_slice %[[DRAWN]][%[[FIRST]], %[[NONE]]] : (tensor<8x3xui32>, tensor<i32>, tensor<i32>) -> tensor<4x3xui32>
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

// -----

// A state that is a sum is added up over the shards, what is the same in them is any one's, and rows are cut and put
// together; what each shard has by itself (its mean is over 4 rows) is shared out, and so the state is the shards' mean.
// CHECK: func.func @shard.gradients(%{{.*}}: tensor<4x3xf32> {kiln.input = "data.x"}, %[[ROWS:.*]]: tensor<2x4xf32> {kiln.input = "rows.rows"}, %{{.*}}: tensor<3xf32> {kiln.parameter = "w"}, %{{.*}}: tensor<f32> {kiln.state = "same"})
// CHECK-SAME: -> (tensor<f32> {kiln.loss}, tensor<3xf32> {kiln.gradient = "w"}, tensor<3xf32> {kiln.output = "sum.sum"}, tensor<f32> {kiln.output = "same.same"}, tensor<2x4xf32> {kiln.output = "rows.rows"}, tensor<3xf32> {kiln.output = "sum.own"})
// CHECK-NOT: per_shard
// CHECK: %[[OWN:.*]] = kiln.div %{{.*}} : tensor<3xf32>
// CHECK: %[[SHARE:.*]] = kiln.mul %[[OWN]], %{{.*}} : tensor<3xf32>
// CHECK: return %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[ROWS]], %[[SHARE]]
// CHECK: func.func @shard.update(%{{.*}}: tensor<3xf32> {kiln.input = "gradient.w"}, %[[A:.*]]: tensor<3xf32> {kiln.input = "state.sum"}, %[[B:.*]]: tensor<f32> {kiln.input = "state.same"}, %[[C:.*]]: tensor<2x8xf32> {kiln.input = "state.rows"}, %[[D:.*]]: tensor<3xf32> {kiln.input = "state.own"}, %{{.*}}: tensor<3xf32> {kiln.parameter = "w"})
// CHECK: return %{{.*}}, %[[A]], %[[B]], %[[C]], %[[D]]
module attributes {
    kiln.parameters = [{name = "w", type = tensor<3xf32>, trainable = true}],
    kiln.train = {loss = "loss.train", shards = 2 : i64, rates = "r", updates = [{parameter = "w", function = "u", rate = 0 : i64}]}} {
  func.func private @r() -> tensor<f64> {
    %0 = kiln.constant dense<0.1> : tensor<f64> : tensor<f64>
    return %0 : tensor<f64>
  }
  func.func private @u(%p: tensor<3xf32>, %g: tensor<3xf32>, %lr: tensor<f64>) -> (tensor<3xf32>) {
    %1 = kiln.sub %p, %g : tensor<3xf32>
    return %1 : tensor<3xf32>
  }
  func.func @loss.train(%x: tensor<8x3xf32> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}, %same: tensor<f32> {kiln.state = "same"}, %rows: tensor<2x8xf32> {kiln.state = "rows"})
      -> (tensor<f32> {kiln.loss}, tensor<3xf32> {kiln.state = "sum"}, tensor<f32> {kiln.state = "same"}, tensor<2x8xf32> {kiln.state = "rows"}, tensor<3xf32> {kiln.state = "own"}) {
    %0 = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<8x3xf32>
    %1 = kiln.mul %x, %0 : tensor<8x3xf32>
    %2 = kiln.reduce sum %1, [0, 1] : tensor<8x3xf32> -> tensor<f32>
    %3 = kiln.reduce sum %x, [0] : tensor<8x3xf32> -> tensor<3xf32>
    return %2, %3, %same, %rows, %3 : tensor<f32>, tensor<3xf32>, tensor<f32>, tensor<2x8xf32>, tensor<3xf32>
  }
  func.func @loss.shard(%x: tensor<?x3xf32, #kiln.dims<"N", "3">> {kiln.input = "data.x"}, %w: tensor<3xf32> {kiln.parameter = "w"}, %same: tensor<f32> {kiln.state = "same"}, %rows: tensor<2x?xf32, #kiln.dims<"2", "N">> {kiln.state = "rows"})
      -> (tensor<f32> {kiln.loss}, tensor<3xf32> {kiln.state = "sum"}, tensor<f32> {kiln.state = "same"}, tensor<2x?xf32, #kiln.dims<"2", "N">> {kiln.state = "rows"}, tensor<3xf32> {kiln.state = "own"})
      attributes {kiln.bounds = {N = 8 : i64}, kiln.batches = ["N"]} {
    %0 = kiln.broadcast %w, [1] : tensor<3xf32> -> tensor<?x3xf32, #kiln.dims<"N", "3">>
    %1 = kiln.mul %x, %0 : tensor<?x3xf32, #kiln.dims<"N", "3">>
    %2 = kiln.reduce sum %1, [0, 1] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<f32>
    %3 = kiln.reduce sum %x, [0] : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<3xf32>
    %4 = kiln.reduce sum %x, [0] {kiln.per_shard} : tensor<?x3xf32, #kiln.dims<"N", "3">> -> tensor<3xf32>
    %5 = kiln.extent <"N"> {kiln.per_shard} : tensor<f32>
    %6 = kiln.broadcast %5, [] : tensor<f32> -> tensor<3xf32>
    %7 = kiln.div %4, %6 {kiln.per_shard} : tensor<3xf32>
    return %2, %3, %same, %rows, %7 : tensor<f32>, tensor<3xf32>, tensor<f32>, tensor<2x?xf32, #kiln.dims<"2", "N">>, tensor<3xf32>
  }
}
