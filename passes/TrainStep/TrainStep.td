include "mlir/Pass/PassBase.td"

def TrainStep : Pass<"kiln-train-step", "mlir::ModuleOp"> {
  let summary = "Builds @train_step: loss, gradients, clipping, schedule and optimizer in one function";
  let description = [{
    From `kiln.train` and the functions that it names: the loss, the rates (of the step, one result each), and an update
    for each parameter, (p, gradient, lr, states…, step) to (p, states…), whose attribute `kiln.states` describes its
    states. They are written into the step, and erased. The function takes the loss function's arguments, the
    optimizer's states behind the other states, and the step; it returns the loss, the metrics (with `grad_norm` where
    the norm is clipped, and the rate as `lr`), the new parameters and the new states.

    Where `kiln.train` says `shards = N` there is a second loss, `loss.shard`, whose batch is a symbol
    (`kiln.batches` of the function names it, `kiln.bounds` has its size), and three functions are made of it:
    `shard.gradients` gives, of an Nth of the batch's rows, its part of the loss and of each gradient; `shard.update`
    takes the sums of the gradients (inputs `gradient.NAME`) and does all else that a step does; `shard.totals`, where
    something needs one, gives sums over the rows that `shard.gradients` then reads (inputs `total.N`), and
    `shard.totals1`, … those that are made of others. States that the
    loss changes are outputs of `shard.gradients` (`sum.NAME`, `rows.NAME`, `same.NAME`), and inputs of `shard.update`
    (`state.NAME`) when they are put together. Draws for rows are the whole batch's, of which a shard has its rows. What
    no shard can compute is an error (BatchRows.h).
  }];
  let dependentDialects = ["kiln::KilnDialect"];
}
